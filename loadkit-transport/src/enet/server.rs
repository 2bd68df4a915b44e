//! The end that is connected to: many peers, one state machine.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use loadkit_core::{Failure, Kind};
use tokio::time::Instant;

use super::bandwidth;
use super::config::{Config, MAX_PEERS};
use super::session::{BANDWIDTH_INTERVAL_US, Session};
use super::wire::{Body, Commands, Header, NO_PEER, NO_SESSION, checked, peer_id_of};
use crate::peers::{PeerId, Peers};
use crate::protocol::{Channel, Event, Protocol, Stats};
use crate::serve::Serve;

/// Events that nobody has fetched, at most; until then datagrams are dropped as if they had been lost.
const MAX_EVENTS: usize = 1 << 18;

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
    /// By address and the number that the client chose, so that a repeated request is known.
    peers: Peers<(SocketAddr, u32), Session>,
    places: Vec<Place>,
    /// When it divided its bandwidth last, and how many had come then and were there.
    divided: (Instant, u64, usize),
    stats: ServerStats,
}

/// A place in the table of peers, whoever is there.
#[derive(Debug)]
struct Place {
    /// The sessions of the last connection here.
    sessions: [u8; 2],
    /// Whose coming was told, and whose going is to be.
    told: Option<PeerId>,
}

impl Server {
    /// A server for at most `max_peers`, and no more than 4,095. `key` is random and secret: who picks its address
    /// cannot pick its place in the table.
    pub fn new(config: Config, max_peers: usize, key: [u64; 2], now: Instant) -> Server {
        Server {
            config: Rc::new(config.bounded()),
            peers: Peers::new(max_peers.min(MAX_PEERS), key),
            places: Vec::new(),
            divided: (now, 0, 0),
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
        self.peers.get(id).map(|((addr, _), _)| *addr)
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
        let key = (from, terms.connect_id);
        if self.peers.find(&key).is_some() {
            // A repeated one: the answer is under way.
            return None;
        }
        let place = self.peers.next_place();
        let own_id = u16::try_from(place).ok()?;
        let sessions = self.places.get(place).map_or([NO_SESSION; 2], |place| place.sessions);
        let session = Session::accept(self.config.clone(), own_id, sessions, (&terms, data), now).ok()?;
        let sessions = session.sessions();
        let id = if self.has_enough_of(from) { None } else { self.peers.insert(key, session) };
        if id.is_none() {
            self.stats.denied += 1;
            return None;
        }
        self.stats.accepted += 1;
        if self.places.len() <= place {
            self.places.resize_with(place + 1, || Place { sessions, told: None });
        }
        self.places.get_mut(place)?.sessions = sessions;
        id
    }

    /// Whether so many come from that IP address that there may be no more. Unless that is limited nobody counts.
    fn has_enough_of(&self, from: SocketAddr) -> bool {
        let limit = usize::from(self.config.peers_per_address);
        let is_from_there = |id: &PeerId| self.addr(*id).is_some_and(|addr| addr.ip() == from.ip());
        limit < MAX_PEERS && self.ids().filter(is_from_there).nth(limit.saturating_sub(1)).is_some()
    }

    /// Whether there is a bandwidth to be divided.
    fn has_bandwidth(&self) -> bool {
        self.config.outgoing_bandwidth > 0 || self.config.incoming_bandwidth > 0
    }

    fn divides_at(&self) -> Option<Instant> {
        let is_needed = self.has_bandwidth() && self.peers.len() > 0;
        is_needed.then(|| self.divided.0 + Duration::from_micros(BANDWIDTH_INTERVAL_US))
    }

    /// Divides the bandwidth among all peers, once a second.
    fn divide(&mut self, now: Instant) {
        if self.divides_at().is_none_or(|at| now < at) {
            return;
        }
        let census = (now, self.stats.accepted, self.peers.len());
        let (since, accepted, there) = std::mem::replace(&mut self.divided, census);
        let is_news = (accepted, there) != (census.1, census.2);
        let elapsed = now.saturating_duration_since(since);
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
        if self.config.incoming_bandwidth > 0 && is_news {
            let wants: Vec<_> = ids.iter().filter_map(|&id| self.session(id).map(Session::wants)).collect();
            for (&id, share) in ids.iter().zip(bandwidth::shares(self.config.incoming_bandwidth, &wants)) {
                let is_told = self.peers.change(id, |session| session.tell_share(share));
                if is_told == Some(false) {
                    // It is still in the handshake: next time.
                    self.divided.1 = u64::MAX;
                }
            }
        }
    }

    #[cfg(test)]
    pub(super) fn check_bounds(&self) {
        self.peers.check_bounds();
        assert!(self.peers.events() <= MAX_EVENTS + 40_000 && self.places.len() <= MAX_PEERS);
        for id in self.ids() {
            self.session(id).unwrap().check_bounds();
        }
    }

    #[cfg(test)]
    pub(super) fn session_mut(&mut self, id: PeerId) -> Option<&mut Session> {
        self.peers.get_mut(id)
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
        let peer = peer_id_of(datagram).and_then(|index| self.peers.at(index.into()));
        let is_request = datagram.first_chunk().is_some_and(|head| u16::from_be_bytes(*head) & NO_PEER == NO_PEER);
        match peer {
            Some(id) if self.addr(id) == Some(from) => {
                self.peers.change(id, |session| session.input(now, datagram));
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
    }

    fn deadline(&self) -> Option<Instant> {
        [self.peers.deadline(), self.divides_at()].into_iter().flatten().min()
    }

    fn send(&mut self, now: Instant, to: PeerId, channel: Channel, message: &[u8]) -> Result<(), Failure> {
        let sent = self.peers.change(to, |session| session.send(now, channel, message));
        sent.unwrap_or_else(|| Err(Failure::new(Kind::CLOSED, "the peer has left")))
    }

    fn poll_transmit(&mut self, now: Instant, packet: &mut Vec<u8>) -> Option<SocketAddr> {
        self.peers.poll_transmit(now, packet).map(|(addr, _)| addr)
    }

    /// Of peers that never finish the handshake nothing is told.
    fn poll_event(&mut self) -> Option<(PeerId, Event)> {
        loop {
            let (id, event) = self.peers.poll_event()?;
            let told = self.places.get_mut(id.index()).map(|place| &mut place.told);
            let is_for_the_game = match (&event, told) {
                (Event::Connected, Some(told)) => told.replace(id) != Some(id),
                (Event::Closed(_), Some(told)) => told.take_if(|told| *told == id).is_some(),
                _ => true,
            };
            if is_for_the_game {
                return Some((id, event));
            }
        }
    }

    fn disconnect(&mut self, now: Instant, peer: PeerId, data: &u32) {
        self.peers.change(peer, |session| session.disconnect(now, *data));
    }

    fn disconnect_all(&mut self, now: Instant, data: &u32) {
        let ids: Vec<PeerId> = self.peers.ids().collect();
        for id in ids {
            self.disconnect(now, id, data);
        }
    }
}
