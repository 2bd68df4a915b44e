//! The end that is connected to: many peers, one state machine.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use loadkit_core::{Failure, Kind};
use siphasher::sip::SipHasher13;
use tokio::time::Instant;

use super::bandwidth;
use super::config::{Config, MAX_PEERS};
use super::session::{BANDWIDTH_INTERVAL_US, Session};
use super::wire::{Body, Commands, Header, NO_PEER, NO_SESSION, Terms, checked, peer_id_of};
use crate::peers::{Peer, PeerId, Peers};
use crate::protocol::{Channel, Event, Protocol, Stats};
use crate::serve::Serve;

/// Events that nobody has fetched, at most; until then datagrams are dropped as if they had been lost.
const MAX_EVENTS: usize = 1 << 18;

impl Peer for Session {
    fn is_closed(&self) -> bool {
        Session::is_closed(self)
    }
}

/// A keyed hash for addresses: who picks its address cannot pick its place in the table.
#[derive(Clone, Debug)]
struct Keyed([u64; 2]);

impl BuildHasher for Keyed {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.0[0], self.0[1])
    }
}

/// What a server counted, from its beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServerStats {
    /// Requests to connect that got an answer.
    pub accepted: u64,
    /// Requests that got none, because the server was full or had enough of that address.
    pub denied: u64,
    /// Datagrams that belong to no peer and are no request to connect.
    pub discarded: u64,
}

/// The end that is connected to: many peers, one state machine without I/O.
///
/// **After every change, drain [`poll_transmit`](Serve::poll_transmit) and [`poll_event`](Serve::poll_event), then wait
/// for the next datagram or for [`deadline`](Serve::deadline)**: [`Host`](super::Host) does.
///
/// As the protocol wants it, a request to connect is believed without proof that its sender can be reached: each takes a
/// place in the table until its time-out, and up to seven answers of its own length go to that address. A full server
/// stays silent.
#[derive(Debug)]
pub struct Server {
    config: Rc<Config>,
    max_peers: usize,
    peers: Peers<Session>,
    /// By address and the number that the client chose, so that a repeated request is known.
    known: HashMap<(SocketAddr, u32), PeerId, Keyed>,
    per_address: HashMap<IpAddr, u16, Keyed>,
    /// The sessions of the last connection at each place of the table.
    sessions: Vec<[u8; 2]>,
    /// When it divided its bandwidth last.
    divided: Instant,
    /// Peers have come or gone since it told its bandwidth.
    is_news: bool,
    stats: ServerStats,
}

impl Server {
    /// A server for at most `max_peers`, and no more than 4,095. `key` is random and secret: it keeps the tables even,
    /// whatever addresses come.
    pub fn new(config: Config, max_peers: usize, key: [u64; 2], now: Instant) -> Server {
        Server {
            config: Rc::new(config.bounded()),
            max_peers: max_peers.min(MAX_PEERS),
            peers: Peers::new(),
            known: HashMap::with_hasher(Keyed(key)),
            per_address: HashMap::with_hasher(Keyed(key)),
            sessions: Vec::new(),
            divided: now,
            is_news: false,
            stats: ServerStats::default(),
        }
    }

    /// Peers now, with those in the handshake.
    pub fn peers(&self) -> usize {
        self.peers.len()
    }

    /// What it counted.
    pub fn stats(&self) -> ServerStats {
        self.stats
    }

    /// All peers now, with those in the handshake. It walks the whole table: not for every turn.
    pub fn ids(&self) -> impl Iterator<Item = PeerId> {
        self.peers.ids()
    }

    /// A peer's address.
    pub fn addr(&self, id: PeerId) -> Option<SocketAddr> {
        self.peers.get(id).map(|(addr, _)| addr)
    }

    /// A peer's session: the word with which it came, what was agreed.
    pub fn session(&self, id: PeerId) -> Option<&Session> {
        self.peers.get(id).map(|(_, session)| session)
    }

    /// What a peer's session measured.
    pub fn peer_stats(&self, id: PeerId) -> Option<Stats> {
        self.session(id).map(Session::stats)
    }

    /// Tells a peer how it is to throttle what it sends; see the knobs of the same names in [`Config`].
    pub fn configure_throttle(&mut self, id: PeerId, interval: Duration, acceleration: u32, deceleration: u32) {
        self.peers.change(id, |session| session.configure_throttle(interval, acceleration, deceleration));
    }

    /// Takes a request to connect.
    fn accept(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) -> Option<PeerId> {
        let (_, rest) = Header::read(datagram)?;
        let commands = if self.config.checksum { checked(datagram, rest, 0)? } else { rest };
        let first = Commands(commands).next()?.ok()?;
        let Body::Connect { terms, data } = first.body else { return None };
        if self.known.contains_key(&(from, terms.connect_id)) {
            // A repeated one: the answer is under way.
            return None;
        }
        let from_there = self.per_address.get(&from.ip()).copied().unwrap_or(0);
        if self.peers.len() >= self.max_peers || from_there >= self.config.peers_per_address {
            self.stats.denied += 1;
            return None;
        }
        let id = self.grant(now, from, &terms, data)?;
        self.known.insert((from, terms.connect_id), id);
        *self.per_address.entry(from.ip()).or_default() += 1;
        self.stats.accepted += 1;
        self.is_news = true;
        Some(id)
    }

    fn grant(&mut self, now: Instant, from: SocketAddr, terms: &Terms, data: u32) -> Option<PeerId> {
        let index = self.peers.next_index();
        if self.sessions.len() <= index {
            self.sessions.resize(index + 1, [NO_SESSION; 2]);
        }
        let sessions = self.sessions.get_mut(index)?;
        let own_id = u16::try_from(index).ok()?;
        let session = Session::accept(self.config.clone(), own_id, *sessions, (terms, data), now).ok()?;
        *sessions = session.sessions();
        Some(self.peers.insert(from, session))
    }

    /// Forgets those that have ended.
    fn tidy(&mut self) {
        while let Some((_, addr, session)) = self.peers.take_gone() {
            self.is_news = true;
            self.known.remove(&(addr, session.connect_id()));
            if let Some(from_there) = self.per_address.get_mut(&addr.ip()) {
                *from_there -= 1;
                if *from_there == 0 {
                    self.per_address.remove(&addr.ip());
                }
            }
        }
    }

    /// Whether there is a bandwidth to be divided.
    fn has_bandwidth(&self) -> bool {
        self.config.outgoing_bandwidth > 0 || self.config.incoming_bandwidth > 0
    }

    fn divides_at(&self) -> Option<Instant> {
        let is_needed = self.has_bandwidth() && self.peers.len() > 0;
        is_needed.then(|| self.divided + Duration::from_micros(BANDWIDTH_INTERVAL_US))
    }

    /// Divides the bandwidth among all peers, once a second.
    fn divide(&mut self, now: Instant) {
        if self.divides_at().is_none_or(|at| now < at) {
            return;
        }
        let elapsed = now.saturating_duration_since(std::mem::replace(&mut self.divided, now));
        let ids: Vec<PeerId> = self.peers.ids().collect();
        if self.config.outgoing_bandwidth > 0 {
            let uses: Vec<_> =
                ids.iter().filter_map(|&id| self.peers.change(id, |session| session.use_bandwidth())).collect();
            let elapsed_us = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
            let limits = bandwidth::throttles(self.config.outgoing_bandwidth, elapsed_us, &uses);
            for (&id, limit) in ids.iter().zip(limits) {
                self.peers.change(id, |session| session.set_throttle_limit(limit));
            }
        }
        if self.config.incoming_bandwidth > 0 && std::mem::take(&mut self.is_news) {
            let wants: Vec<_> = ids.iter().filter_map(|&id| self.session(id).map(Session::wants)).collect();
            for (&id, share) in ids.iter().zip(bandwidth::shares(self.config.incoming_bandwidth, &wants)) {
                self.peers.change(id, |session| session.tell_share(share));
            }
        }
    }

    #[cfg(test)]
    pub(super) fn check_bounds(&self) {
        self.peers.check_bounds(self.max_peers);
        assert!(self.peers.events() <= MAX_EVENTS + 40_000);
        assert_eq!(self.known.len(), self.peers.len());
        assert!(self.per_address.len() <= self.peers.len() && self.sessions.len() <= self.max_peers);
        for id in self.ids() {
            self.session(id).unwrap().check_bounds();
        }
    }

    #[cfg(test)]
    pub(super) fn session_mut(&mut self, id: PeerId) -> Option<&mut Session> {
        self.peers.peer_mut(id)
    }
}

impl Serve for Server {
    type Peer = PeerId;
    /// The word that goes with a disconnect.
    type Reason = u32;

    fn input(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) {
        if self.peers.events() >= MAX_EVENTS {
            self.stats.discarded += 1;
            return;
        }
        let place = peer_id_of(datagram).and_then(|index| self.peers.at(index.into()));
        let is_request = datagram.first_chunk().is_some_and(|head| u16::from_be_bytes(*head) & NO_PEER == NO_PEER);
        match place {
            Some((id, addr, _)) if addr == from => {
                self.peers.change(id, |session| session.input(now, datagram));
                self.tidy();
            }
            None if is_request => {
                let known = self.stats.denied;
                if self.accept(now, from, datagram).is_none() && self.stats.denied == known {
                    self.stats.discarded += 1;
                }
            }
            _ => self.stats.discarded += 1,
        }
    }

    fn timeout(&mut self, now: Instant) {
        self.peers.timeout(now);
        self.divide(now);
        self.tidy();
    }

    fn deadline(&self) -> Option<Instant> {
        [self.peers.deadline(), self.divides_at()].into_iter().flatten().min()
    }

    fn send(&mut self, now: Instant, to: PeerId, channel: Channel, message: &[u8]) -> Result<(), Failure> {
        let sent = self.peers.change(to, |session| session.send(now, channel, message));
        sent.unwrap_or_else(|| Err(Failure::new(Kind::CLOSED, "the peer has left")))
    }

    fn poll_transmit(&mut self, now: Instant, packet: &mut Vec<u8>) -> Option<SocketAddr> {
        let to = self.peers.poll_transmit(now, packet);
        self.tidy();
        to
    }

    /// Of peers that never finish the handshake nothing is told.
    fn poll_event(&mut self) -> Option<(PeerId, Event)> {
        self.peers.poll_event()
    }

    fn disconnect(&mut self, now: Instant, peer: PeerId, data: &u32) {
        self.peers.change(peer, |session| session.disconnect(now, *data));
        self.tidy();
    }

    fn disconnect_all(&mut self, now: Instant, data: &u32) {
        let ids: Vec<PeerId> = self.peers.ids().collect();
        for id in ids {
            self.disconnect(now, id, data);
        }
    }
}
