//! The end that is connected to: many peers on one socket.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use loadkit_core::{Failure, Kind};
use quinn_proto::{ConnectionHandle, DatagramEvent, Endpoint, Incoming, Transmit, VarInt};
use tokio::time::Instant;

use super::config::{Config, Identity};
use super::session::{Bounds, Session};
use crate::peers::{PeerId, Peers};
use crate::protocol::{Channel, Event, Protocol, Stats};
use crate::serve::Serve;

/// Handshake replies that wait to be sent, at most; what asks for further ones will come again.
const MAX_REPLIES: usize = 1_024;
/// Events that nobody has fetched, at most; until then packets are dropped as if they had been lost.
const MAX_EVENTS: usize = 1 << 18;
/// While so many handshakes are under way, newcomers must show first that they can be reached (RFC 9000, section 8.1.2):
/// until then nothing is remembered of them.
pub(super) const MANY_HANDSHAKES: usize = 256;

/// What a server counted, from its beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServerStats {
    /// Handshakes begun.
    pub accepted: u64,
    /// Newcomers turned away because the server was full.
    pub denied: u64,
    /// Newcomers who had to show first that they can be reached.
    pub retried: u64,
    /// Packets that made no sense, or came when replies or events were backed up.
    pub discarded: u64,
}

/// What a goodbye tells the other side: a code of the game's own, and a reason for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Goodbye {
    /// The game's own code; 0 is a goodbye in peace.
    pub code: u32,
    /// Why, in words.
    pub reason: String,
}

/// The end that is connected to: many peers, one state machine without I/O. With its endpoint it is a
/// [`Host`](super::Host).
///
/// A peer whose handshake fails shows only its [`Event::Closed`].
///
/// **After every change, drain [`poll_transmit`](Serve::poll_transmit) and [`poll_event`](Serve::poll_event), then wait
/// for the next datagram or for [`deadline`](Serve::deadline).** Idle peers cost no time.
pub struct Server {
    endpoint: Rc<RefCell<Endpoint>>,
    peers: Peers<ConnectionHandle, Session>,
    max_peers: usize,
    bounds: Bounds,
    handshakes: Rc<Cell<usize>>,
    replies: VecDeque<(SocketAddr, Vec<u8>)>,
    stats: ServerStats,
}

impl Server {
    /// A server for at most `max_peers`, known by `identity`. `key` is random and secret.
    ///
    /// # Errors
    /// When certificate and key do not belong together.
    pub fn new(config: &Config, identity: Identity, max_peers: usize, key: [u64; 2]) -> Result<Server, Failure> {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&key[0].to_le_bytes());
        seed[8..16].copy_from_slice(&key[1].to_le_bytes());
        let endpoint = Endpoint::new(Config::endpoint(), Some(Arc::new(config.server(identity)?)), false, Some(seed));
        Ok(Server {
            endpoint: Rc::new(RefCell::new(endpoint)),
            peers: Peers::new(max_peers, key),
            max_peers,
            bounds: Bounds { framing: config.framing, send_buffer: config.send_buffer },
            handshakes: Rc::default(),
            replies: VecDeque::new(),
            stats: ServerStats::default(),
        })
    }

    /// Peers connected now, or in their handshake.
    pub fn peers(&self) -> usize {
        self.peers.len()
    }

    /// All peers connected now, or in their handshake. It walks the whole table: not for every turn.
    pub fn ids(&self) -> impl Iterator<Item = PeerId> {
        self.peers.ids()
    }

    /// What it counted.
    pub fn stats(&self) -> ServerStats {
        self.stats
    }

    /// A peer's address, as it is now.
    pub fn addr(&self, id: PeerId) -> Option<SocketAddr> {
        self.peers.get(id).map(|(_, session)| session.remote())
    }

    /// What a peer's connection measured.
    pub fn peer_stats(&self, id: PeerId) -> Option<Stats> {
        self.peers.get(id).map(|(_, session)| session.stats())
    }

    fn newcomer(&mut self, now: Instant, incoming: Incoming) {
        let mut reply = Vec::new();
        if self.peers.len() >= self.max_peers {
            self.stats.denied += 1;
            let transmit = self.endpoint.borrow_mut().refuse(incoming, &mut reply);
            return self.reply(&transmit, reply);
        }
        let incoming = if self.handshakes.get() >= MANY_HANDSHAKES && incoming.may_retry() {
            let asked = self.endpoint.borrow_mut().retry(incoming, &mut reply);
            match asked {
                Ok(transmit) => {
                    self.stats.retried += 1;
                    return self.reply(&transmit, reply);
                }
                Err(error) => error.into_incoming(),
            }
        } else {
            incoming
        };
        let accepted = self.endpoint.borrow_mut().accept(incoming, now.into_std(), &mut reply, None);
        match accepted {
            Ok((handle, connection)) => {
                self.stats.accepted += 1;
                let parts = (handle, connection);
                let session = Session::new(self.endpoint.clone(), parts, self.handshakes.clone(), self.bounds);
                if let Some(id) = self.peers.insert(handle, session) {
                    self.peers.change(id, |session| session.open(now));
                }
            }
            Err(error) => {
                self.stats.discarded += 1;
                if let Some(transmit) = error.response {
                    self.reply(&transmit, reply);
                }
            }
        }
    }

    fn reply(&mut self, transmit: &Transmit, mut reply: Vec<u8>) {
        if self.replies.len() >= MAX_REPLIES {
            self.stats.discarded += 1;
            return;
        }
        reply.truncate(transmit.size);
        self.replies.push_back((transmit.destination, reply));
    }

    #[cfg(test)]
    pub(super) fn check_bounds(&self) {
        self.peers.check_bounds();
        assert!(self.replies.len() <= MAX_REPLIES && self.handshakes.get() <= self.peers.len());
        assert_eq!(self.endpoint.borrow().open_connections(), self.peers.len());
    }
}

impl Serve for Server {
    type Peer = PeerId;
    type Reason = Goodbye;

    fn input(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) {
        if self.peers.events() >= MAX_EVENTS {
            self.stats.discarded += 1;
            return;
        }
        let mut reply = Vec::new();
        let datagram = BytesMut::from(datagram);
        let event = self.endpoint.borrow_mut().handle(now.into_std(), from, None, None, datagram, &mut reply);
        match event {
            Some(DatagramEvent::ConnectionEvent(handle, event)) => {
                if let Some(id) = self.peers.find(&handle) {
                    self.peers.change(id, |session| session.handle(now, event));
                }
            }
            Some(DatagramEvent::NewConnection(incoming)) => self.newcomer(now, incoming),
            Some(DatagramEvent::Response(transmit)) => self.reply(&transmit, reply),
            None => self.stats.discarded += 1,
        }
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

    fn poll_transmit(&mut self, now: Instant, packet: &mut Vec<u8>) -> Option<SocketAddr> {
        if let Some((to, mut reply)) = self.replies.pop_front() {
            packet.append(&mut reply);
            return Some(to);
        }
        let handle = self.peers.poll_transmit(now, packet)?;
        let id = self.peers.find(&handle)?;
        self.addr(id)
    }

    fn poll_event(&mut self) -> Option<(PeerId, Event)> {
        self.peers.poll_event()
    }

    /// Sends a peer away when all that was sent to it has arrived.
    fn disconnect(&mut self, now: Instant, peer: PeerId, goodbye: &Goodbye) {
        let reason = Bytes::copy_from_slice(goodbye.reason.as_bytes());
        self.peers.change(peer, |session| session.disconnect(now, VarInt::from_u32(goodbye.code), reason));
    }

    fn disconnect_all(&mut self, now: Instant, goodbye: &Goodbye) {
        let ids: Vec<PeerId> = self.ids().collect();
        for id in ids {
            self.disconnect(now, id, goodbye);
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("peers", &self.peers.len()).field("stats", &self.stats).finish_non_exhaustive()
    }
}
