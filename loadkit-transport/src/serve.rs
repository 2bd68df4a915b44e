//! What a server without I/O is to its [`Host`](crate::Host).

use std::net::SocketAddr;

use loadkit_core::Failure;
use tokio::time::Instant;

use crate::protocol::{Channel, Event};

/// The end that is connected to, as a state machine: many peers, no socket, no clock, no randomness of its own.
///
/// **After every change, drain [`poll_transmit`](Serve::poll_transmit) and [`poll_event`](Serve::poll_event), then wait
/// for the next datagram or for [`deadline`](Serve::deadline)**: [`Host`](crate::Host) does.
///
/// As a [`Protocol`](crate::Protocol), an implementation never panics and never grows without bound, whatever `input`
/// is given.
pub trait Serve {
    /// Names a peer for as long as it is connected.
    type Peer: Copy;
    /// What a goodbye tells: a text, a number, nothing.
    type Reason: ?Sized;

    /// Takes a datagram that arrived at `now`.
    fn input(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]);

    /// Does what is due at `now`. Calling it early does no harm.
    fn timeout(&mut self, now: Instant);

    /// When [`Serve::timeout`] is to be called next, if nothing else happens before.
    fn deadline(&self) -> Option<Instant>;

    /// Queues a message to a peer.
    ///
    /// # Errors
    /// As [`Protocol::send`](crate::Protocol::send); `CLOSED` also when the peer has left.
    fn send(&mut self, now: Instant, to: Self::Peer, channel: Channel, message: &[u8]) -> Result<(), Failure>;

    /// Appends the next packet to `packet`, which is empty; where it goes. `None` when there is none.
    fn poll_transmit(&mut self, now: Instant, packet: &mut Vec<u8>) -> Option<SocketAddr>;

    /// The next event, and whose it is. After [`Event::Closed`] the peer is gone.
    fn poll_event(&mut self) -> Option<(Self::Peer, Event)>;

    /// Sends a peer away; [`Event::Closed`] follows.
    fn disconnect(&mut self, now: Instant, peer: Self::Peer, reason: &Self::Reason);

    /// Sends all peers away.
    fn disconnect_all(&mut self, now: Instant, reason: &Self::Reason);
}
