//! The end that is connected to: many peers, one state machine.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::Rc;

use loadkit_core::{Failure, Kind};
use tokio::time::Instant;

use super::config::Config;
use super::door::{CODE_FULL, Door, Stopped};
use super::gate::Gate;
use super::path::Stray;
use super::peers::{Hello, Peer, PeerId, Peers};
use super::session::{Ids, Session};
use super::wire::{
    Packet, Response, Welcome, begin_accept, client_id, kind, kind_and_id, write_challenge, write_denied,
    write_path_challenge, write_reset,
};
use crate::protocol::{Channel, Event, Protocol, Stats};

/// Replies that wait to be sent, at most; what asks for further ones is dropped, and will be repeated.
const MAX_REPLIES: usize = 4_096;
/// Events that nobody has fetched, at most; until then packets are dropped as if they had been lost.
const MAX_EVENTS: usize = 1 << 18;
/// The longest answer to a newcomer: an accept is never longer than the response that asks for it.
pub const MAX_ANSWER: usize = 200;

#[derive(Debug)]
enum Reply {
    Challenge { salt: u64, cookie: u64 },
    Accept(PeerId),
    Denied { salt: u64, code: u32, reason: Box<str> },
    Path { client: u32, token: u32 },
    Reset { client: u32, secret: u64 },
}

/// What a server counted, from its beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServerStats {
    /// Peers that ever finished the handshake.
    pub accepted: u64,
    /// Newcomers turned away: because the server was full, or by the game.
    pub denied: u64,
    /// Handshakes begun: requests that were answered.
    pub requests: u64,
    /// Peers that moved to a new address.
    pub moved: u64,
    /// Packets of known sessions from addresses that are not theirs (yet).
    pub strays: u64,
    /// Probes for sessions that are not known (any more).
    pub resets: u64,
    /// Packets that belong to no peer and begin no handshake, or came when replies were backed up.
    pub discarded: u64,
}

/// The end that is connected to: many peers, one state machine without I/O.
///
/// Nothing is remembered of a client until it has shown, with a cookie, that it can be reached at its address. Peers
/// are known by the session's id in their packets, so that many can share an address, and one can move to another:
/// it is asked at the new one before anything else goes there.
///
/// **After every change, drain [`poll_transmit`](Server::poll_transmit) and [`poll_event`](Server::poll_event), then
/// wait for the next datagram or for [`deadline`](Server::deadline).** Idle peers cost no time: deadlines stand in a
/// heap, and peers with something to send in a list.
#[derive(Debug)]
pub struct Server {
    config: Rc<Config>,
    max_peers: usize,
    gate: Gate,
    door: Door,
    peers: Peers,
    /// Sessions ever begun.
    count: u64,
    replies: VecDeque<(SocketAddr, Reply)>,
    stats: ServerStats,
}

impl Server {
    /// A server for at most `max_peers`. `key` is random and secret; cookies and sessions follow from it.
    pub fn new(config: Config, max_peers: usize, key: [u64; 2], now: Instant) -> Server {
        Server {
            config: Rc::new(config.bounded()),
            max_peers: max_peers.min(u32::MAX as usize / 2),
            gate: Gate::new(key, now),
            door: Door::default(),
            peers: Peers::default(),
            count: 0,
            replies: VecDeque::new(),
            stats: ServerStats::default(),
        }
    }

    /// From now on, lets in only those that show a connect token made with `key`, and seals all packets of their
    /// sessions. `unix` is the time now, in seconds since 1970; `addrs` are the server's own addresses as tokens name
    /// them, or none if any will do. A token may be used again until it expires: a game that wants one session a
    /// player looks at [`Hello::client`].
    #[cfg(feature = "encryption")]
    pub fn require_tokens(&mut self, now: Instant, unix: u64, key: super::token::TokenKey, addrs: &[SocketAddr]) {
        self.door = Door(Some(super::door::Tokens { key, at: (unix, now), addrs: addrs.to_vec() }));
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
        self.peers.get(id).map(|peer| peer.addr)
    }

    /// What a peer's session measured.
    pub fn peer_stats(&self, id: PeerId) -> Option<Stats> {
        self.peers.get(id).map(|peer| peer.session.stats())
    }

    /// What a peer said in its handshake. It takes memory until it is taken here or the peer goes.
    pub fn take_hello(&mut self, id: PeerId) -> Hello {
        let hello = self.peers.get_mut(id).and_then(|peer| peer.hello.take());
        hello.map(|hello| *hello).unwrap_or_default()
    }

    /// The code with which a peer said goodbye, until another takes its place.
    pub fn code(&self, id: PeerId) -> Option<u32> {
        self.peers.code(id)
    }

    /// Takes a datagram.
    pub fn input(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) {
        if self.peers.events.len() >= MAX_EVENTS {
            self.stats.discarded += 1;
            return;
        }
        match kind_and_id(self.config.magic, datagram) {
            Some((kind::DATA | kind::ACK | kind::GOODBYE | kind::PATH_RESPONSE, id)) => {
                match self.peers.of_session(id) {
                    Some(index) => self.of_session(now, from, index, datagram),
                    None => self.stats.discarded += 1,
                }
            }
            Some((kind::REQUEST | kind::RESPONSE | kind::PROBE, _)) => self.without_session(now, from, datagram),
            _ => self.stats.discarded += 1,
        }
    }

    fn of_session(&mut self, now: Instant, from: SocketAddr, index: u32, datagram: &[u8]) {
        let Some(peer) = self.peers.at(index).filter(|peer| peer.admitted) else {
            self.stats.discarded += 1;
            return;
        };
        if peer.addr == from {
            peer.answer = None;
            self.peers.change(index, |session| session.input(now, datagram));
            return;
        }
        // From elsewhere: nothing of it is taken in until the peer has shown that it is there.
        self.stats.strays += 1;
        let (session, client) = (peer.session.id(), client_id(peer.salt));
        match peer.session.stray(datagram) {
            Stray::Response { token, secret }
                if self.gate.is_path(now, from, session, token) && secret == self.gate.secret(session, client) =>
            {
                peer.addr = from;
                self.stats.moved += 1;
                self.peers.change(index, |session| session.moved(now));
            }
            Stray::Genuine => {
                let token = self.gate.path(now, from, session);
                self.reply(from, Reply::Path { client, token });
            }
            Stray::Response { .. } | Stray::Forged => self.stats.discarded += 1,
        }
    }

    fn without_session(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) {
        let ours = self.config.protocol;
        match Packet::read(self.config.magic, datagram) {
            Some(Packet::Request { protocol, salt }) if protocol == ours => {
                let cookie = self.gate.cookie(now, from, salt);
                self.stats.requests += 1;
                self.reply(from, Reply::Challenge { salt, cookie });
            }
            Some(Packet::Response(response))
                if response.protocol == ours && self.gate.is_cookie(now, from, response.salt, response.cookie) =>
            {
                self.knock(now, from, &response);
            }
            Some(Packet::Probe { session, client }) => {
                if self.peers.of_session(session).is_none() {
                    self.stats.resets += 1;
                    let secret = self.gate.secret(session, client);
                    self.reply(from, Reply::Reset { client, secret });
                }
            }
            _ => self.stats.discarded += 1,
        }
    }

    /// A client that can be reached at its address wants in.
    fn knock(&mut self, now: Instant, from: SocketAddr, response: &Response) {
        let salt = response.salt;
        let origin = self.gate.origin(from, salt);
        if let Some(index) = self.peers.of_origin(origin) {
            if self.peers.at(index).is_some_and(|peer| peer.admitted)
                && let Some(id) = self.peers.id_at(index)
            {
                self.reply(from, Reply::Accept(id));
            }
            return;
        }
        if self.peers.len() >= self.max_peers {
            self.stats.denied += 1;
            self.reply(from, Reply::Denied { salt, code: CODE_FULL, reason: "full".into() });
            return;
        }
        // A repeat that comes after the session has gone would begin another with the same keys.
        if self.peers.has_ended(origin, self.gate.bucket(now)) {
            self.stats.discarded += 1;
            return;
        }
        let passed = match self.door.check(now, response) {
            Ok(passed) => passed,
            Err(Stopped::Denied(code, reason)) => {
                self.stats.denied += 1;
                return self.reply(from, Reply::Denied { salt, code, reason: reason.into() });
            }
            Err(Stopped::Forged) => {
                self.stats.discarded += 1;
                return;
            }
        };
        let ids = Ids { own: self.new_session(), other: client_id(salt) };
        let session = Session::new(Some(self.config.clone()), ids, true, now).sealed(passed.sealing);
        let mut peer = Peer::new(from, salt, origin, session);
        peer.hello = passed.hello;
        peer.admitted = !self.config.ask;
        let Some(id) = self.peers.insert(peer) else { return };
        if !self.config.ask {
            self.stats.accepted += 1;
            self.reply(from, Reply::Accept(id));
        }
    }

    /// An id that no session has now.
    fn new_session(&mut self) -> u32 {
        loop {
            self.count += 1;
            let id = self.gate.session(self.count);
            if self.peers.of_session(id).is_none() {
                return id;
            }
        }
    }

    /// Lets a newcomer in, with an answer to what it said ([`MAX_ANSWER`] bytes at most). Only with [`Config::ask`].
    ///
    /// # Errors
    /// `TOO_LARGE` when the answer is too long, `CLOSED` when the peer has left.
    pub fn admit(&mut self, id: PeerId, answer: &[u8]) -> Result<(), Failure> {
        if answer.len() > MAX_ANSWER {
            let what = format!("an answer of {} bytes; at most {MAX_ANSWER} are taken", answer.len());
            return Err(Failure::new(Kind::TOO_LARGE, what));
        }
        let Some(peer) = self.peers.get_mut(id) else { return Err(left()) };
        if !peer.admitted {
            (peer.admitted, peer.answer) = (true, (!answer.is_empty()).then(|| answer.into()));
            let addr = peer.addr;
            self.stats.accepted += 1;
            self.reply(addr, Reply::Accept(id));
            self.peers.change(id.index() as u32, |_| ());
        }
        Ok(())
    }

    /// Turns a newcomer away, with a code and a reason that it gets to read (at most 120 bytes of it);
    /// [`Event::Closed`] follows. A peer that is in already is disconnected.
    pub fn deny(&mut self, now: Instant, id: PeerId, code: u32, reason: &str) {
        let Some(peer) = self.peers.get(id).filter(|peer| !peer.admitted) else {
            return self.disconnect_with(now, id, code, reason);
        };
        let (addr, salt) = (peer.addr, peer.salt);
        self.stats.denied += 1;
        self.reply(addr, Reply::Denied { salt, code, reason: reason.into() });
        self.peers.change(id.index() as u32, Session::denied);
    }

    /// Does what is due at `now`.
    pub fn timeout(&mut self, now: Instant) {
        self.peers.timeout(now);
    }

    /// When [`Server::timeout`] is to be called next.
    pub fn deadline(&self) -> Option<Instant> {
        self.peers.deadline()
    }

    /// Queues a message to a peer.
    ///
    /// # Errors
    /// As [`Protocol::send`]; `CLOSED` also when the peer has left.
    pub fn send(&mut self, now: Instant, to: PeerId, channel: Channel, message: &[u8]) -> Result<(), Failure> {
        if self.peers.get(to).is_none() {
            return Err(left());
        }
        let index = to.index() as u32;
        self.peers.change(index, |session| session.send(now, channel, message)).unwrap_or(Ok(()))
    }

    /// Sends a peer away; [`Event::Closed`] follows.
    pub fn disconnect(&mut self, now: Instant, id: PeerId, reason: &str) {
        self.disconnect_with(now, id, 0, reason);
    }

    /// Sends a peer away with a code of the game's own; [`Event::Closed`] follows.
    pub fn disconnect_with(&mut self, now: Instant, id: PeerId, code: u32, reason: &str) {
        match self.peers.get(id) {
            Some(peer) if !peer.admitted => self.deny(now, id, code, reason),
            Some(_) => {
                self.peers.change(id.index() as u32, |session| session.disconnect(now, code, reason));
            }
            None => {}
        }
    }

    /// Sends all peers away.
    pub fn disconnect_all(&mut self, now: Instant, reason: &str) {
        let ids: Vec<PeerId> = self.peers.ids().collect();
        for id in ids {
            self.deny(now, id, 0, reason);
        }
    }

    /// Appends the next packet to `packet`, which is empty; where it goes. `None` when there is none.
    pub fn poll_transmit(&mut self, now: Instant, packet: &mut Vec<u8>) -> Option<SocketAddr> {
        while let Some((addr, reply)) = self.replies.pop_front() {
            if self.write_reply(&reply, packet) {
                return Some(addr);
            }
        }
        self.peers.poll_transmit(now, packet)
    }

    /// False when it is not to be sent any more.
    fn write_reply(&self, reply: &Reply, packet: &mut Vec<u8>) -> bool {
        let magic = self.config.magic;
        match reply {
            Reply::Challenge { salt, cookie } => write_challenge(packet, magic, *salt, *cookie),
            Reply::Denied { salt, code, reason } => write_denied(packet, magic, *salt, *code, reason),
            Reply::Path { client, token } => write_path_challenge(packet, magic, *client, *token),
            Reply::Reset { client, secret } => write_reset(packet, magic, *client, *secret),
            Reply::Accept(id) => {
                let Some(peer) = self.peers.get(*id) else { return false };
                let session = peer.session.id();
                let secret = self.gate.secret(session, client_id(peer.salt));
                let start = packet.len();
                begin_accept(packet, magic, peer.salt);
                let body = packet.len();
                Welcome { session, secret, answer: peer.answer.as_deref().unwrap_or_default() }.write(packet);
                peer.session.sealing.seal_accept(self.config.protocol, peer.salt, packet, start, body);
            }
        }
        true
    }

    /// The next event, and whose it is. After [`Event::Closed`] the peer is gone.
    pub fn poll_event(&mut self) -> Option<(PeerId, Event)> {
        self.peers.events.pop_front()
    }

    fn reply(&mut self, to: SocketAddr, reply: Reply) {
        if self.replies.len() < MAX_REPLIES {
            self.replies.push_back((to, reply));
        } else {
            self.stats.discarded += 1;
        }
    }

    #[cfg(test)]
    pub(super) fn check_bounds(&self) {
        assert!(self.replies.len() <= MAX_REPLIES && self.peers.events.len() <= MAX_EVENTS + 2_000);
        self.peers.check_bounds(self.max_peers);
    }

    #[cfg(test)]
    pub(super) fn session_mut(&mut self, id: PeerId) -> Option<&mut Session> {
        self.peers.get_mut(id).map(|peer| &mut peer.session)
    }
}

fn left() -> Failure {
    Failure::new(Kind::CLOSED, "the peer has left")
}
