//! The knobs of reliable UDP, and what each costs.

use std::time::Duration;

/// The knobs of a connection. Both ends need the same [`protocol`](Config::protocol) and
/// [`packet`](Config::packet); the others are each end's own affair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Which game, and which version of its protocol: a server answers only those that name its own.
    pub protocol: u32,
    /// The largest UDP payload sent and taken, in bytes; 1,200 passes everywhere (RFC 9000, section 14). Larger ones
    /// save packets and may be fragmented or dropped by the way. At least [`MIN_PACKET`].
    pub packet: usize,
    /// The handshake's retry. Each costs the server one keyed hash and one datagram.
    pub retry: Duration,
    /// Sends something after so much silence of its own. Each costs a packet, and one for its ack.
    pub keep_alive: Duration,
    /// Gives the other side up after so much silence.
    pub time_out: Duration,
    /// Waits so long for something to send before an ack goes in a packet of its own. Longer saves packets; it must
    /// stay well below `rto_min`, or the other side sends in vain.
    pub ack_delay: Duration,
    /// How coarsely the other side flushes: a server of 20 Hz may hold an ack back for 50 ms. The least that is added
    /// to the round trip for the resend time-out.
    pub tick: Duration,
    /// The least resend time-out. Shorter repairs losses sooner and resends more in vain.
    pub rto_min: Duration,
    /// The greatest resend time-out.
    pub rto_max: Duration,
    /// The resend time-out before the first measured round trip.
    pub rto_first: Duration,
    /// Reliable bytes that wait or are under way, at most; each message counts for 64 bytes more than it has, which
    /// is what it costs. At the bound `send` fails with `BACKLOG`.
    pub send_buffer: usize,
    /// Unreliable bytes that wait for the next flush, at most.
    pub flush_buffer: usize,
    /// The longest message on a reliable, ordered channel. Longer than a packet it travels in pieces, and the receiver
    /// holds so much memory while it comes together.
    pub message: usize,
    /// On closing, waits so long at most for acks of what had been sent before.
    pub linger: Duration,
    /// Says goodbye in so many packets, because no ack comes for them.
    pub goodbyes: u8,
}

/// The smallest [`Config::packet`]: what IPv6 passes in any case less its headers would be 1,232, IPv4 548.
pub const MIN_PACKET: usize = 256;

/// Times longer than this are for ever.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3_600);

impl Config {
    /// The defaults. Sources: netcode 1.02 (packet, retry), ENet and GameNetworkingSockets (keep-alive, time-out, send
    /// buffer), KCP and ENet (resend time-outs).
    pub const DEFAULT: Config = Config {
        protocol: 0,
        packet: 1_200,
        retry: Duration::from_millis(100),
        keep_alive: Duration::from_millis(500),
        time_out: Duration::from_secs(10),
        ack_delay: Duration::from_millis(20),
        tick: Duration::from_millis(50),
        rto_min: Duration::from_millis(100),
        rto_max: Duration::from_secs(5),
        rto_first: Duration::from_millis(333),
        send_buffer: 512 * 1024,
        flush_buffer: 64 * 1024,
        message: 64 * 1024,
        linger: Duration::from_millis(300),
        goodbyes: 3,
    };

    /// With the packet size brought into what the wire format can carry, and times into what clocks can.
    pub(super) fn bounded(mut self) -> Config {
        let times = [&mut self.retry, &mut self.keep_alive, &mut self.time_out, &mut self.ack_delay, &mut self.tick];
        for time in
            times.into_iter().chain([&mut self.rto_min, &mut self.rto_max, &mut self.rto_first, &mut self.linger])
        {
            *time = (*time).min(LONGEST);
        }
        self.packet = self.packet.clamp(MIN_PACKET, 16 * 1024);
        self.goodbyes = self.goodbyes.max(1);
        self
    }
}

impl Default for Config {
    fn default() -> Config {
        Config::DEFAULT
    }
}
