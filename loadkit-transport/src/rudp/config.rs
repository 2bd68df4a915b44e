//! The knobs of reliable UDP, and what each costs.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::frame::{MAX_FRAME_HEADER, MAX_PIECES, MAX_WHOLE_HEADER};
use super::sealing::TAG_LEN;
use super::wire::{MAX_HEADER, RESPONSE_HEADER, kind, kind_and_id};
use crate::protocol::Delivery;

/// The knobs of a connection. Both ends need the same [`protocol`](Config::protocol), [`magic`](Config::magic),
/// [`packet`](Config::packet) and [`channels`](Config::channels), and the receiver's [`message`](Config::message) and
/// [`send_buffer`](Config::send_buffer) must not be smaller than the sender's; the others are each end's own affair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Which game, and which version of its protocol: a server answers only those that name its own.
    pub protocol: u32,
    /// What every packet begins with: so that several protocols can share a port, and captures show whose packets they
    /// are. Each byte is sent with every packet.
    pub magic: Magic,
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
    /// How the resend time-out grows while nothing is acked. See also [`Config::fast`].
    pub back_off: BackOff,
    /// Reliable bytes that wait or are under way, at most; each message counts for 64 bytes more than it has, which
    /// is what it costs. At the bound `send` fails with `BACKLOG`.
    pub send_buffer: usize,
    /// Unreliable bytes that wait for the next flush, at most.
    pub flush_buffer: usize,
    /// The longest message. Longer than a packet it travels in pieces, and the receiver holds so much memory while it
    /// comes together. At most 256 pieces.
    pub message: usize,
    /// The length of a piece of a long message, in bytes. Shorter ones lose less with a packet and cost more headers.
    pub fragment: usize,
    /// An unreliable message in pieces is given up so long after its first one came.
    pub reassembly_time: Duration,
    /// Pieces of unreliable messages that wait for the others, in bytes, at most; at the bound the oldest go.
    pub reassembly_bytes: usize,
    /// The lanes of each promise. Only those that are used cost memory, about 16 bytes each.
    pub channels: Channels,
    /// On closing, waits so long at most for acks of what had been sent before.
    pub linger: Duration,
    /// Says goodbye in so many packets, because no ack comes for them.
    pub goodbyes: u8,
    /// Whether the rate follows losses. A load tester reports back-off and does not hide it: off by default.
    pub congestion: Congestion,
    /// Bytes that leave in one flush, at most; the rest follows a millisecond later. Acks and pings always leave.
    pub bytes_per_flush: u32,
    /// Bytes that leave in a second, at most; 0: no limit. Then `bytes_per_flush` is the longest burst.
    pub bytes_per_second: u32,
    /// A client's own word in the handshake: a build number, a ticket of the lobby, … The server gets it with the
    /// connect event. As long as a packet has room for it: see [`Config::max_payload`].
    pub payload: Option<Arc<[u8]>>,
    /// A client's connect token: it is shown to the server, and all packets are sealed. Each costs 16 bytes more.
    #[cfg(feature = "encryption")]
    pub token: Option<Arc<super::token::Token>>,
    /// On a server: newcomers wait for [`Server::admit`](super::Server::admit) or
    /// [`Server::deny`](super::Server::deny). Without it all are admitted.
    pub ask: bool,
}

/// The smallest [`Config::packet`]: what IPv6 passes in any case less its headers would be 1,232, IPv4 548. A request
/// of the handshake has as much.
pub const MIN_PACKET: usize = 256;

/// Times longer than this are for ever.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3_600);

impl Config {
    /// The defaults. Sources: netcode 1.02 (packet, retry, goodbyes), ENet and GameNetworkingSockets (keep-alive,
    /// time-out, send buffer), KCP and ENet (resend time-outs), mas-bandwidth's `reliable` (pieces).
    pub const DEFAULT: Config = Config {
        protocol: 0,
        magic: Magic::NONE,
        packet: 1_200,
        retry: Duration::from_millis(100),
        keep_alive: Duration::from_millis(500),
        time_out: Duration::from_secs(10),
        ack_delay: Duration::from_millis(20),
        tick: Duration::from_millis(50),
        rto_min: Duration::from_millis(100),
        rto_max: Duration::from_secs(5),
        rto_first: Duration::from_millis(333),
        back_off: BackOff::Double,
        send_buffer: 512 * 1024,
        flush_buffer: 64 * 1024,
        message: 64 * 1024,
        fragment: 1_024,
        reassembly_time: Duration::from_secs(3),
        reassembly_bytes: 256 * 1024,
        channels: Channels::DEFAULT,
        linger: Duration::from_millis(300),
        goodbyes: 10,
        congestion: Congestion::Off,
        bytes_per_flush: 256 * 1024,
        bytes_per_second: 0,
        payload: None,
        #[cfg(feature = "encryption")]
        token: None,
        ask: false,
    };

    /// For games where a late message is worth little: resends after at least 30 ms (KCP's `nodelay`), grows the
    /// time-out by half only, acks after 5 ms and expects the other side to flush every 10 ms. More is sent in vain.
    pub fn fast(self) -> Config {
        Config {
            ack_delay: Duration::from_millis(5),
            tick: Duration::from_millis(10),
            rto_min: Duration::from_millis(30),
            back_off: BackOff::ByHalf,
            ..self
        }
    }

    /// Whose packet this is: the [`Client::id`](super::Client::id) of the client to which a server sent it. A look at
    /// fixed bytes, for sockets that many clients share. `None`: it is no packet to a client.
    pub fn client_id_of(&self, datagram: &[u8]) -> Option<u32> {
        let (kind, id) = kind_and_id(self.magic, datagram)?;
        let to_client = matches!(
            kind,
            kind::CHALLENGE
                | kind::ACCEPT
                | kind::DENIED
                | kind::DATA
                | kind::ACK
                | kind::GOODBYE
                | kind::PATH_CHALLENGE
                | kind::RESET
        );
        to_client.then_some(id)
    }

    /// The longest [`payload`](Config::payload): what a packet holds beside the rest of a response.
    pub fn max_payload(&self) -> usize {
        self.packet.saturating_sub(self.response_len(0))
    }

    /// A response's length, before it is padded.
    pub(super) fn response_len(&self, payload: usize) -> usize {
        #[cfg(feature = "encryption")]
        let token = self.token.as_ref().map_or(0, |token| token.shown_len() + TAG_LEN);
        #[cfg(not(feature = "encryption"))]
        let token = 0;
        self.magic.as_bytes().len() + RESPONSE_HEADER + token + payload
    }

    /// With sizes brought into what the wire format can carry, and times into what clocks can.
    pub(super) fn bounded(mut self) -> Config {
        let times = [&mut self.retry, &mut self.keep_alive, &mut self.time_out, &mut self.ack_delay, &mut self.tick];
        let more = [&mut self.rto_min, &mut self.rto_max, &mut self.rto_first, &mut self.linger];
        for time in times.into_iter().chain(more).chain([&mut self.reassembly_time]) {
            *time = (*time).min(LONGEST);
        }
        self.packet = self.packet.clamp(MIN_PACKET, 16 * 1024);
        self.goodbyes = self.goodbyes.max(1);
        // With room for a tag, so that a message has as many pieces sealed and plain.
        self.fragment = self.fragment.clamp(1, self.room() - MAX_FRAME_HEADER - TAG_LEN);
        self.message = self.message.min(self.fragment * MAX_PIECES);
        self.bytes_per_flush = self.bytes_per_flush.max(self.packet as u32);
        self
    }

    /// Whether nothing in it is of one client alone.
    pub(super) fn is_common(&self) -> bool {
        #[cfg(feature = "encryption")]
        if self.token.is_some() {
            return false;
        }
        self.payload.is_none()
    }

    /// What a packet holds beside its header.
    fn room(&self) -> usize {
        self.packet - self.magic.as_bytes().len() - MAX_HEADER
    }

    /// The longest message that travels whole.
    pub(super) fn whole(&self) -> usize {
        self.room() - MAX_WHOLE_HEADER
    }
}

impl Default for Config {
    fn default() -> Config {
        Config::DEFAULT
    }
}

/// 0 to 8 bytes at the beginning of every packet.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Magic {
    bytes: [u8; 8],
    len: u8,
}

impl Magic {
    /// No bytes.
    pub const NONE: Magic = Magic { bytes: [0; 8], len: 0 };

    /// The first 8 of these bytes.
    pub const fn new(bytes: &[u8]) -> Magic {
        let mut magic = Magic::NONE;
        while (magic.len as usize) < bytes.len() && magic.len < 8 {
            magic.bytes[magic.len as usize] = bytes[magic.len as usize];
            magic.len += 1;
        }
        magic
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len.into()).unwrap_or_default()
    }

    /// What follows them, if a packet begins with them.
    pub(super) fn strip(self, packet: &[u8]) -> Option<&[u8]> {
        if self.len == 0 { Some(packet) } else { packet.strip_prefix(self.as_bytes()) }
    }
}

impl fmt::Debug for Magic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Magic(\"{}\")", self.as_bytes().escape_ascii())
    }
}

/// How many lanes each promise has, 16 at most; 0: the promise is not given. Messages on lanes that do not exist are
/// refused by `send`, and packets with them by the receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Channels {
    /// Lanes of [`Delivery::Unreliable`].
    pub unreliable: u8,
    /// Lanes of [`Delivery::Sequenced`].
    pub sequenced: u8,
    /// Lanes of [`Delivery::Ordered`].
    pub ordered: u8,
    /// Lanes of [`Delivery::Unordered`].
    pub unordered: u8,
}

/// The most lanes of a promise.
pub(super) const MAX_LANES: u8 = 16;

impl Channels {
    /// Eight of each.
    pub const DEFAULT: Channels = Channels { unreliable: 8, sequenced: 8, ordered: 8, unordered: 8 };

    /// The lanes of a promise.
    pub const fn lanes(&self, delivery: Delivery) -> u8 {
        let lanes = match delivery {
            Delivery::Unreliable => self.unreliable,
            Delivery::Sequenced => self.sequenced,
            Delivery::Ordered => self.ordered,
            Delivery::Unordered => self.unordered,
        };
        if lanes < MAX_LANES { lanes } else { MAX_LANES }
    }
}

impl Default for Channels {
    fn default() -> Channels {
        Channels::DEFAULT
    }
}

/// How the resend time-out grows with every time that it passes in a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BackOff {
    /// It doubles (RFC 6298).
    #[default]
    Double,
    /// It grows by half (KCP's `nodelay`).
    ByHalf,
}

/// What the sender does about losses beside sending again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Congestion {
    /// Nothing: the rate is the game's own, within the byte budget.
    #[default]
    Off,
    /// NewReno (RFC 9002, section 7): a window of bytes under way that halves with a loss. It ends at 64 packets,
    /// because so many are remembered. Costs about 40 bytes a connection.
    NewReno,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_within_their_bounds() {
        assert_eq!(Config::DEFAULT.bounded(), Config::DEFAULT);
    }

    #[test]
    fn magic_is_8_bytes_at_most() {
        assert_eq!(Magic::new(b"0123456789").as_bytes(), b"01234567");
        assert_eq!(Magic::new(b"LK").strip(b"LKx"), Some(&b"x"[..]));
        assert_eq!(Magic::new(b"LK").strip(b"L"), None);
        assert_eq!(format!("{:?} {:?}", Magic::new(b"L\0"), Magic::NONE), r#"Magic("L\x00") Magic("")"#);
    }
}
