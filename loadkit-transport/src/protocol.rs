//! `bytes and time in; bytes, events and the next deadline out`: what a game protocol is, without I/O.

use std::time::Duration;

use bytes::Bytes;
use loadkit_core::Failure;
use tokio::time::Instant;

/// What a channel promises about its messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Delivery {
    /// At most once, in any order.
    Unreliable,
    /// At most once; what is older than the newest that was delivered is dropped.
    Sequenced,
    /// Exactly once, in the order of sending, for as long as the connection lives.
    Ordered,
    /// Exactly once, in any order, for as long as the connection lives.
    Unordered,
}

/// Where a message travels: a promise, and a lane among those that give the same promise.
///
/// Lanes do not wait for each other. A protocol says how many it has; all have lane 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Channel {
    /// What it promises.
    pub delivery: Delivery,
    /// Which of those that promise it.
    pub lane: u8,
}

impl Channel {
    /// At most once, in any order.
    pub const UNRELIABLE: Channel = Channel::new(Delivery::Unreliable, 0);
    /// At most once, never older than what came before.
    pub const SEQUENCED: Channel = Channel::new(Delivery::Sequenced, 0);
    /// Exactly once, in order.
    pub const ORDERED: Channel = Channel::new(Delivery::Ordered, 0);
    /// Exactly once, in any order.
    pub const UNORDERED: Channel = Channel::new(Delivery::Unordered, 0);

    /// A lane of a promise.
    pub const fn new(delivery: Delivery, lane: u8) -> Channel {
        Channel { delivery, lane }
    }

    /// What stands for it on a flight recorder.
    pub(crate) const fn code(self) -> [u8; 2] {
        let promise = match self.delivery {
            Delivery::Unreliable => 1,
            Delivery::Sequenced => 2,
            Delivery::Ordered => 3,
            Delivery::Unordered => 4,
        };
        [promise, self.lane]
    }

    /// Whether lost messages are sent again.
    pub const fn is_reliable(self) -> bool {
        matches!(self.delivery, Delivery::Ordered | Delivery::Unordered)
    }
}

/// What a protocol tells whoever drives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The handshake is done: messages may be sent.
    Connected,
    /// A whole message from the other side.
    Message {
        /// Where it travelled.
        channel: Channel,
        /// Its bytes.
        payload: Bytes,
    },
    /// One round trip was measured.
    RoundTrip(Duration),
    /// The connection has ended, and nothing comes after this. The kind tells how: `CLOSED` by the other side or by
    /// [`Protocol::close`], `TIMED_OUT`, `REFUSED`, …
    Closed(Failure),
}

/// What a connection measured about itself, from its beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// The round trip measured last.
    pub rtt: Option<Duration>,
    /// The smoothed round trip (RFC 6298).
    pub srtt: Option<Duration>,
    /// The smallest round trip measured, of late where the protocol forgets.
    pub min_rtt: Option<Duration>,
    /// How much one round trip differs from the next, smoothed (RFC 3550, section 6.4.1).
    pub jitter: Option<Duration>,
    /// Messages sent again.
    pub resends: u64,
    /// Packets of ours that the protocol takes for lost.
    pub lost: u64,
    /// Packets of the other side that did not come, as the gaps between their numbers tell.
    pub lost_received: u64,
    /// Packets that came again.
    pub duplicates: u64,
    /// Packets that came after one that was sent later.
    pub reordered: u64,
    /// Packets thrown away on arrival: malformed, forged, stale or seen before.
    pub discarded: u64,
    /// Unreliable messages in pieces that were given up because pieces did not come.
    pub incomplete: u64,
    /// How often messages had to wait for a budget or for congestion control.
    pub held_back: u64,
    /// How long the oldest unacked reliable message had been waiting when something was last sent or received.
    pub queue_age: Option<Duration>,
    /// Packets sent.
    pub packets_sent: u64,
    /// Packets received, discarded ones included.
    pub packets_received: u64,
    /// Bytes in the packets sent, without UDP and IP headers.
    pub bytes_sent: u64,
    /// Bytes in the packets received, without UDP and IP headers.
    pub bytes_received: u64,
}

/// One end of one connection, as a state machine: no socket, no clock, no randomness of its own.
///
/// The grammar of its methods: [`open`](Protocol::open), [`input`](Protocol::input), [`timeout`](Protocol::timeout),
/// [`send`](Protocol::send) and [`close`](Protocol::close) change it; the `poll_` methods hand out what came of it;
/// [`deadline`](Protocol::deadline) and [`stats`](Protocol::stats) look.
///
/// **After every change, drain [`poll_transmit`](Protocol::poll_transmit) and [`poll_event`](Protocol::poll_event)
/// until they have nothing more, then wait for the next datagram or for `deadline`, whichever comes first.**
///
/// ```
/// # use loadkit_transport::{Event, Protocol};
/// # use tokio::time::Instant;
/// # enum Wait { Datagram(Vec<u8>), Deadline, Leave }
/// # fn drive(protocol: &mut impl Protocol, mut now: impl FnMut() -> Instant,
/// #          mut wait: impl FnMut(Option<Instant>) -> Wait, mut transmit: impl FnMut(&[u8])) {
/// let mut packet = Vec::new();
/// protocol.open(now());
/// loop {
///     while protocol.poll_transmit(now(), &mut packet) {
///         transmit(&packet);
///         packet.clear();
///     }
///     while let Some(event) = protocol.poll_event() {
///         match event {
///             Event::Closed(_) => return,
///             _ => { /* the game's own work, which may call `send` and `close` */ }
///         }
///     }
///     match wait(protocol.deadline()) {
///         Wait::Datagram(bytes) => protocol.input(now(), &bytes),
///         Wait::Deadline => protocol.timeout(now()),
///         Wait::Leave => protocol.close(now()),
///     }
/// }
/// # }
/// ```
///
/// Whoever queues in the work on events drains `poll_transmit` once more before it waits; the driver does both once
/// a turn, so that what a turn sends shares packets.
///
/// Time never runs backwards between calls, but datagrams carry the kernel's time of arrival, which lies a little in
/// the past: `now` in `input` may be older than in the call before, and an implementation must bear that
/// (`saturating_duration_since`).
///
/// An implementation **never panics and never grows without bound, whatever `input` is given**, and holds no buffer
/// while it is idle.
pub trait Protocol {
    /// What its figures are called: `net.rtt{protocol=rudp}`. Empty for a protocol that adds nothing to its link, whose
    /// name stands for both then.
    fn name(&self) -> &'static str {
        "custom"
    }

    /// Starts the handshake. A protocol without one reports [`Event::Connected`] at once.
    fn open(&mut self, now: Instant);

    /// Takes a datagram (over TCP: a frame) that arrived at `now`. What makes no sense is dropped and counted in
    /// [`Stats::discarded`].
    fn input(&mut self, now: Instant, datagram: &[u8]);

    /// Does what is due at `now`. Calling it early does no harm.
    fn timeout(&mut self, now: Instant) {
        let _ = now;
    }

    /// When [`Protocol::timeout`] is to be called next, if nothing else happens before.
    fn deadline(&self) -> Option<Instant> {
        None
    }

    /// Queues a message.
    ///
    /// # Errors
    /// `BACKLOG` when the send buffer is full, `TOO_LARGE` when the message can never be sent, `CLOSED` when there is
    /// no connection (any more), `TARGET` when the protocol has no such channel.
    fn send(&mut self, now: Instant, channel: Channel, message: &[u8]) -> Result<(), Failure>;

    /// Appends the next packet to `packet`, which is empty. False when there is none.
    fn poll_transmit(&mut self, now: Instant, packet: &mut Vec<u8>) -> bool;

    /// The next event, in the order of happening.
    fn poll_event(&mut self) -> Option<Event>;

    /// Says goodbye. [`Event::Closed`] follows, at once or when the goodbye has been said.
    fn close(&mut self, now: Instant);

    /// Says goodbye without waiting for what is under way: what is not drained from `poll_transmit` now is never sent.
    fn abort(&mut self, now: Instant) {
        self.close(now);
    }

    /// What it measured. Packets and bytes are counted by the driver and may be left at 0.
    fn stats(&self) -> Stats {
        Stats::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_two_promises_are_reliable() {
        let all = [Channel::UNRELIABLE, Channel::SEQUENCED, Channel::ORDERED, Channel::UNORDERED];
        assert_eq!(all.map(Channel::is_reliable), [false, false, true, true]);
    }
}
