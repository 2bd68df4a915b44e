//! The end that is connected to: many peers on one socket, by address and conversation.

use std::net::SocketAddr;
use std::rc::Rc;

use loadkit_core::{Failure, Kind};
use tokio::time::Instant;

use super::config::{Config, SERVER_TIME_OUT};
use super::session::Session;
use super::wire::{Command, Segments, conv_of};
use crate::peers::{PeerId, Peers};
use crate::protocol::{Channel, Event, Protocol, Stats};
use crate::serve::Serve;

/// Events that nobody has fetched, at most; until then packets are dropped as if they had been lost.
const MAX_EVENTS: usize = 1 << 18;

/// What a server counted, from its beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServerStats {
    /// Peers that ever came.
    pub accepted: u64,
    /// Datagrams of new peers dropped because the server was full.
    pub denied: u64,
    /// Datagrams that belong to no peer and begin no conversation, or came when events were backed up.
    pub discarded: u64,
}

/// The end that is connected to: many peers, one state machine without I/O.
///
/// KCP has no handshake, so a peer comes with its first datagram: one with the beginning of a conversation's data.
/// Nobody has shown then that it can be reached at its address; what it is sent before it acks is no more than
/// the acks of its own datagrams, which are never longer than these, the probes of [`Config::keep_alive`], and what the
/// game itself sends. And KCP
/// has no goodbye: a peer that leaves is forgotten after [`Config::time_out`], or 60 s without one. Until then it
/// counts among `max_peers`.
///
/// It is driven by a [`Host`](super::Host), or by hand as [`Serve`] says. Idle peers cost no time.
#[derive(Debug)]
pub struct Server {
    config: Rc<Config>,
    peers: Peers<(SocketAddr, u32), Session>,
    stats: ServerStats,
}

impl Server {
    /// A server for at most `max_peers`. `key` is random and secret: who picks its address cannot pick its place in
    /// the server's table.
    pub fn new(config: Config, max_peers: usize, key: [u64; 2]) -> Server {
        let time_out = config.time_out.unwrap_or(SERVER_TIME_OUT);
        let config = Rc::new(Config { time_out: Some(time_out), ..config }.bounded());
        Server { config, peers: Peers::new(max_peers, key), stats: ServerStats::default() }
    }

    /// Peers connected now.
    pub fn peers(&self) -> usize {
        self.peers.len()
    }

    /// What it counted.
    pub fn stats(&self) -> ServerStats {
        self.stats
    }

    /// All peers connected now. It walks the whole table: not for every turn.
    pub fn ids(&self) -> impl Iterator<Item = PeerId> {
        self.peers.ids()
    }

    /// A peer's address.
    pub fn addr(&self, id: PeerId) -> Option<SocketAddr> {
        self.peers.get(id).map(|((addr, _), _)| *addr)
    }

    /// A peer's conversation.
    pub fn conv(&self, id: PeerId) -> Option<u32> {
        self.peers.get(id).map(|((_, conv), _)| *conv)
    }

    /// What a peer's session measured.
    pub fn peer_stats(&self, id: PeerId) -> Option<Stats> {
        self.peers.get(id).map(|(_, session)| session.stats())
    }

    /// A new peer, if its datagram is a conversation's first. The remains of one that is over are none: they would be
    /// acked, and never handed out, because their beginning is missing. Of a new one that comes in disorder, what came
    /// before the first is sent again.
    fn accept(&mut self, now: Instant, from: SocketAddr, conv: u32, mut segments: Segments) -> Option<PeerId> {
        let begins = segments.clone().all(|segment| segment.conv == conv && segment.una == 0)
            && segments.any(|segment| segment.command == Command::Push && segment.sn == 0);
        if !begins {
            self.stats.discarded += 1;
            return None;
        }
        let mut session = Session::sharing(Some(self.config.clone()), conv, now);
        session.open(now);
        let id = self.peers.insert((from, conv), session);
        let count = if id.is_some() { &mut self.stats.accepted } else { &mut self.stats.denied };
        *count += 1;
        id
    }

    #[cfg(test)]
    pub(super) fn check_bounds(&self) {
        self.peers.check_bounds();
        for id in self.ids() {
            self.peers.get(id).unwrap().1.check_bounds();
        }
    }
}

impl Serve for Server {
    type Peer = PeerId;
    /// KCP has no word for it.
    type Reason = ();

    fn input(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) {
        let segments = Segments::read(datagram).filter(|_| self.peers.events() < MAX_EVENTS);
        let Some(segments) = segments else {
            self.stats.discarded += 1;
            return;
        };
        let Some(conv) = conv_of(datagram) else { return };
        let Some(id) = self.peers.find(&(from, conv)).or_else(|| self.accept(now, from, conv, segments)) else {
            return;
        };
        self.peers.change(id, |session| session.input(now, datagram));
    }

    fn timeout(&mut self, now: Instant) {
        self.peers.timeout(now);
    }

    fn deadline(&self) -> Option<Instant> {
        self.peers.deadline()
    }

    fn send(&mut self, now: Instant, to: PeerId, channel: Channel, message: &[u8]) -> Result<(), Failure> {
        let sent = self.peers.change(to, |session| session.send(now, channel, message));
        sent.unwrap_or_else(|| Err(Failure::new(Kind::CLOSED, "the peer has left")))
    }

    /// Forgets a peer when it has acked what was sent to it; [`Event::Closed`] follows. The peer does not learn of it:
    /// KCP has no word for it. What it goes on sending is answered by nobody.
    fn disconnect(&mut self, now: Instant, id: PeerId, (): &()) {
        self.peers.change(id, |session| session.close(now));
    }

    /// Forgets all peers.
    fn disconnect_all(&mut self, now: Instant, (): &()) {
        for id in self.peers.ids().collect::<Vec<_>>() {
            self.disconnect(now, id, &());
        }
    }

    fn poll_transmit(&mut self, now: Instant, packet: &mut Vec<u8>) -> Option<SocketAddr> {
        self.peers.poll_transmit(now, packet).map(|(addr, _)| addr)
    }

    fn poll_event(&mut self) -> Option<(PeerId, Event)> {
        self.peers.poll_event()
    }
}
