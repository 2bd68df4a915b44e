//! The knobs of ENet, and what each costs.

use std::time::Duration;

use super::wire::{MAX_HEADER, ThrottleRates};

/// The knobs of an end. The defaults are those of ENet 1.3; the two ends agree in the handshake on the smaller number
/// of channels and the smaller MTU, and only [`checksum`](Config::checksum) must be the same at both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Channels that a client asks for and a server grants at most, 1 to 255. Each that is used costs some 40 bytes.
    pub channels: u8,
    /// Whether datagrams carry a CRC-32 (`enet_crc32`): 4 bytes each, and a look at a table for every
    /// byte.
    pub checksum: bool,
    /// The largest datagram sent, headers of ENet included, in bytes: 576 to 4,096; ENet's default is 1,392.
    pub mtu: u16,
    /// A word that the server gets with the connect request; games send a version or a colour in it.
    pub data: u32,
    /// Bytes a second that this end takes, all peers together; 0: any number. It is told to the other side, which drops
    /// unreliable messages to keep to it.
    pub incoming_bandwidth: u32,
    /// Bytes a second that this end sends, all peers together; 0: any number. Over it unreliable messages are dropped.
    pub outgoing_bandwidth: u32,
    /// Pings after so long without an acknowledgement. Each costs a packet, and one for its acknowledgement.
    pub ping: Duration,
    /// A command that is resent so often that its time-out has grown by this factor may end the connection; a power
    /// of two.
    pub time_out_limit: u32,
    /// But not before nothing has been acknowledged for so long.
    pub time_out_min: Duration,
    /// The connection ends in any case when nothing has been acknowledged for so long.
    pub time_out_max: Duration,
    /// The round trip is compared with the one of the last interval of this length.
    pub throttle_interval: Duration,
    /// When a round trip is better, so many thirty-seconds more of the unreliable messages are sent.
    pub throttle_acceleration: u32,
    /// When a round trip is much worse, so many thirty-seconds of the unreliable messages fewer are sent. With 0 none
    /// is ever dropped: for whoever does not want back-off in a load test.
    pub throttle_deceleration: u32,
    /// The longest message, both ways, in bytes. ENet's default is 32 MiB; here it is 1 MiB, for the receiver holds so
    /// much while a message comes together.
    pub message: usize,
    /// Bytes that a connection holds of incoming messages at most: so many of reliable ones that are before their turn,
    /// so many of the pieces of those whose turn it is, and so many of unreliable ones. At least
    /// [`message`](Config::message). What is over it is dropped, and comes again if it is reliable.
    pub waiting: usize,
    /// Reliable bytes that wait or are under way, at most; each command counts for 128 bytes more than it has, which is
    /// what it costs. At the bound `send` fails with `BACKLOG`.
    pub send_buffer: usize,
    /// Unreliable bytes that wait for the next flush, at most.
    pub flush_buffer: usize,
    /// On closing, waits so long for what was sent before and for the other side's word; then it ends without.
    pub linger: Duration,
    /// Connections that a server takes from one IP address, at most (`duplicatePeers`).
    pub peers_per_address: u16,
}

/// The parts into which throttles divide: 32 of 32 is everything (`ENET_PEER_PACKET_THROTTLE_SCALE`).
pub(super) const THROTTLE_SCALE: u32 = 32;
/// The MTUs that ENet knows (`ENET_PROTOCOL_MINIMUM_MTU`, `ENET_PROTOCOL_MAXIMUM_MTU`).
pub(super) const MTU: std::ops::RangeInclusive<u16> = 576..=4_096;
/// The windows of reliable bytes under way that ENet knows (`ENET_PROTOCOL_MINIMUM_WINDOW_SIZE`, …).
const WINDOW: std::ops::RangeInclusive<u32> = 4_096..=65_536;
/// The bandwidth that deserves the smallest window (`ENET_PEER_WINDOW_SIZE_SCALE`).
const WINDOW_SCALE: u32 = 65_536;
/// No more peers fit into the 12 bits of a peer number.
pub(super) const MAX_PEERS: usize = 4_095;

/// Times longer than this are for ever: they must fit into 32 bits of milliseconds.
const LONGEST: Duration = Duration::from_secs(40 * 24 * 3_600);

impl Config {
    /// The defaults: those of ENet 1.3, with one channel and smaller bounds.
    pub const DEFAULT: Config = Config {
        channels: 1,
        checksum: false,
        mtu: 1_392,
        data: 0,
        incoming_bandwidth: 0,
        outgoing_bandwidth: 0,
        ping: Duration::from_millis(500),
        time_out_limit: 32,
        time_out_min: Duration::from_secs(5),
        time_out_max: Duration::from_secs(30),
        throttle_interval: Duration::from_secs(5),
        throttle_acceleration: 2,
        throttle_deceleration: 2,
        message: 1 << 20,
        waiting: 2 << 20,
        send_buffer: 2 << 20,
        flush_buffer: 256 << 10,
        linger: Duration::from_secs(1),
        peers_per_address: MAX_PEERS as u16,
    };

    /// With all values brought into what the protocol can express.
    pub(super) fn bounded(mut self) -> Config {
        let times = [&mut self.ping, &mut self.time_out_min, &mut self.time_out_max, &mut self.throttle_interval];
        for time in times.into_iter().chain([&mut self.linger]) {
            *time = (*time).clamp(Duration::from_millis(1), LONGEST);
        }
        self.channels = self.channels.max(1);
        self.peers_per_address = self.peers_per_address.max(1);
        self.mtu = self.mtu.clamp(*MTU.start(), *MTU.end());
        self.message = self.message.min(u32::MAX as usize / 2);
        self.waiting = self.waiting.max(self.message);
        self
    }

    pub(super) fn throttle(&self) -> ThrottleRates {
        ThrottleRates {
            interval_ms: self.throttle_interval.as_millis() as u32,
            acceleration: self.throttle_acceleration,
            deceleration: self.throttle_deceleration,
        }
    }

    /// Bytes that a datagram of `mtu` bytes has room for beside its header.
    pub(super) fn room(&self, mtu: u16) -> usize {
        usize::from(mtu) - if self.checksum { MAX_HEADER } else { MAX_HEADER - 4 }
    }
}

impl Default for Config {
    fn default() -> Config {
        Config::DEFAULT
    }
}

/// The window for a way that both ends limit to so many bytes a second; 0 is no limit.
pub(super) fn window(ours: u32, theirs: u32) -> u32 {
    let bandwidth = match (ours, theirs) {
        (0, 0) => return *WINDOW.end(),
        (0, one) | (one, 0) => one,
        (ours, theirs) => ours.min(theirs),
    };
    bounded_window(bandwidth / WINDOW_SCALE * WINDOW.start())
}

/// A window that the other side told.
pub(super) fn bounded_window(told: u32) -> u32 {
    told.clamp(*WINDOW.start(), *WINDOW.end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_follow_the_smaller_bandwidth() {
        assert_eq!(window(0, 0), 65_536);
        assert_eq!(window(0, 1_000), 4_096);
        assert_eq!(window(128 << 10, 0), 8_192);
        assert_eq!(window(1 << 20, 256 << 10), 16_384);
        assert_eq!(window(u32::MAX, u32::MAX), 65_536);
    }

    #[test]
    fn values_that_the_protocol_cannot_express_are_bounded() {
        let odd =
            Config { channels: 0, mtu: 20, message: usize::MAX, ping: Duration::MAX, ..Config::DEFAULT }.bounded();
        assert_eq!((odd.channels, odd.mtu, odd.ping), (1, 576, LONGEST));
        assert!(odd.waiting >= odd.message);
        assert_eq!(Config::DEFAULT.bounded(), Config::DEFAULT);
    }
}
