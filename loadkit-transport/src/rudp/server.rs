//! The end that is connected to: many peers, one state machine.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::hash::{BuildHasher, Hasher};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use loadkit_core::{Failure, Kind};
use siphasher::sip::{SipHasher13, SipHasher24};
use tokio::time::Instant;

use super::config::Config;
use super::session::Session;
use super::wire::{Packet, is_handshake, write_accept, write_challenge, write_denied};
use crate::protocol::{Channel, Event, Protocol, Stats};

/// A cookie is good for the rest of its bucket and all of the next.
const BUCKET: Duration = Duration::from_secs(5);
/// Handshake replies that wait to be sent, at most; further requests are dropped, and will be repeated.
const MAX_REPLIES: usize = 4_096;
/// Events that nobody has fetched, at most; until then packets are dropped as if they had been lost.
const MAX_EVENTS: usize = 1 << 18;

/// One peer of a server, for as long as it is connected. A number is never given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerId {
    index: u32,
    generation: u32,
}

impl PeerId {
    /// Its place in the server's table, below the greatest number of peers: an index into tables of the game's own.
    pub fn index(self) -> usize {
        self.index as usize
    }
}

#[derive(Debug)]
struct Peer {
    addr: SocketAddr,
    salt: u64,
    session: Session,
    /// In the list of those with something to send.
    dirty: bool,
    /// The deadline that stands for it in the heap.
    armed: Option<Instant>,
}

#[derive(Debug)]
struct Slot {
    generation: u32,
    peer: Option<Peer>,
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

#[derive(Debug)]
enum Reply {
    Challenge(u64),
    Accept(u32),
    Denied,
}

/// What a server counted, from its beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServerStats {
    /// Peers that ever finished the handshake.
    pub accepted: u64,
    /// Peers turned away because the server was full.
    pub denied: u64,
    /// Packets that belong to no peer and begin no handshake, or came when replies were backed up.
    pub discarded: u64,
}

/// The end that is connected to: many peers, one state machine without I/O.
///
/// Nothing is remembered of a client until it has shown, with a cookie, that it can be reached at its address.
/// **After every change, drain [`poll_transmit`](Server::poll_transmit) and [`poll_event`](Server::poll_event), then
/// wait for the next datagram or for [`deadline`](Server::deadline).** Idle peers cost no time: deadlines stand in a
/// heap, and peers with something to send in a list.
#[derive(Debug)]
pub struct Server {
    config: Rc<Config>,
    max_peers: usize,
    key: [u64; 2],
    began: Instant,
    slots: Vec<Slot>,
    free: Vec<u32>,
    by_addr: HashMap<SocketAddr, u32, Keyed>,
    dirty: VecDeque<u32>,
    deadlines: BinaryHeap<Reverse<(Instant, u32)>>,
    replies: VecDeque<(SocketAddr, u64, Reply)>,
    events: VecDeque<(PeerId, Event)>,
    stats: ServerStats,
}

impl Server {
    /// A server for at most `max_peers`. `key` is random and secret; cookies and sessions follow from it.
    pub fn new(config: Config, max_peers: usize, key: [u64; 2], now: Instant) -> Server {
        Server {
            config: Rc::new(config.bounded()),
            max_peers: max_peers.min(u32::MAX as usize),
            key,
            began: now,
            slots: Vec::new(),
            free: Vec::new(),
            by_addr: HashMap::with_hasher(Keyed(key)),
            dirty: VecDeque::new(),
            deadlines: BinaryHeap::new(),
            replies: VecDeque::new(),
            events: VecDeque::new(),
            stats: ServerStats::default(),
        }
    }

    /// Peers connected now.
    pub fn peers(&self) -> usize {
        self.by_addr.len()
    }

    /// What it counted.
    pub fn stats(&self) -> ServerStats {
        self.stats
    }

    /// All peers connected now. It walks the whole table: not for every turn.
    pub fn ids(&self) -> impl Iterator<Item = PeerId> {
        let slots = self.slots.iter().enumerate().filter(|(_, slot)| slot.peer.is_some());
        slots.map(|(index, slot)| PeerId { index: index as u32, generation: slot.generation })
    }

    /// A peer's address.
    pub fn addr(&self, id: PeerId) -> Option<SocketAddr> {
        self.peer(id).map(|peer| peer.addr)
    }

    /// What a peer's session measured.
    pub fn peer_stats(&self, id: PeerId) -> Option<Stats> {
        self.peer(id).map(|peer| peer.session.stats())
    }

    /// Takes a datagram.
    pub fn input(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) {
        if self.events.len() >= MAX_EVENTS {
            self.stats.discarded += 1;
            return;
        }
        if let Some(&index) = self.by_addr.get(&from)
            && !is_handshake(datagram)
        {
            self.change(index, |session| session.input(now, datagram));
            return;
        }
        match Packet::read(datagram) {
            Some(Packet::Request { protocol, salt }) if protocol == self.config.protocol => {
                let cookie = self.cookie(from, salt, self.bucket(now));
                self.reply(from, salt, Reply::Challenge(cookie));
            }
            Some(Packet::Response { protocol, salt, cookie }) if protocol == self.config.protocol => {
                let bucket = self.bucket(now);
                let fits = [bucket, bucket.wrapping_sub(1)]
                    .into_iter()
                    .any(|bucket| self.cookie(from, salt, bucket) == cookie);
                if fits {
                    self.accept(now, from, salt);
                } else {
                    self.stats.discarded += 1;
                }
            }
            _ => self.stats.discarded += 1,
        }
    }

    /// Does what is due at `now`.
    pub fn timeout(&mut self, now: Instant) {
        while let Some(&Reverse((at, index))) = self.deadlines.peek()
            && at <= now
        {
            self.deadlines.pop();
            let Some(peer) = self.at(index).filter(|peer| peer.armed == Some(at)) else {
                continue;
            };
            peer.armed = None;
            self.change(index, |session| session.timeout(now));
        }
    }

    /// When [`Server::timeout`] is to be called next.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadlines.peek().map(|Reverse((at, _))| *at)
    }

    /// Queues a message to a peer.
    ///
    /// # Errors
    /// As [`Protocol::send`]; `CLOSED` also when the peer has left.
    pub fn send(&mut self, now: Instant, to: PeerId, channel: Channel, message: &[u8]) -> Result<(), Failure> {
        if self.peer(to).is_none() {
            return Err(Failure::new(Kind::CLOSED, "the peer has left"));
        }
        self.change(to.index, |session| session.send(now, channel, message)).unwrap_or(Ok(()))
    }

    /// Sends a peer away; [`Event::Closed`] follows.
    pub fn disconnect(&mut self, now: Instant, id: PeerId, reason: &str) {
        if self.peer(id).is_some() {
            self.change(id.index, |session| session.disconnect(now, reason));
        }
    }

    /// Sends all peers away.
    pub fn disconnect_all(&mut self, now: Instant, reason: &str) {
        for index in 0..u32::try_from(self.slots.len()).unwrap_or(u32::MAX) {
            self.change(index, |session| session.disconnect(now, reason));
        }
    }

    /// Appends the next packet to `packet`, which is empty; where it goes. `None` when there is none.
    pub fn poll_transmit(&mut self, now: Instant, packet: &mut Vec<u8>) -> Option<SocketAddr> {
        if let Some((addr, salt, reply)) = self.replies.pop_front() {
            match reply {
                Reply::Challenge(cookie) => write_challenge(packet, salt, cookie),
                Reply::Accept(session) => write_accept(packet, salt, session),
                Reply::Denied => write_denied(packet, salt, "full"),
            }
            return Some(addr);
        }
        while let Some(&index) = self.dirty.front() {
            if let Some(peer) = self.at(index) {
                let addr = peer.addr;
                if peer.session.poll_transmit(now, packet) {
                    return Some(addr);
                }
                peer.dirty = false;
                self.settle(index);
            }
            self.dirty.pop_front();
        }
        None
    }

    /// The next event, and whose it is. After [`Event::Closed`] the peer is gone.
    pub fn poll_event(&mut self) -> Option<(PeerId, Event)> {
        self.events.pop_front()
    }

    #[cfg(test)]
    pub(super) fn check_bounds(&self) {
        assert!(self.replies.len() <= MAX_REPLIES && self.events.len() <= MAX_EVENTS + 2_000);
        assert!(self.slots.len() <= self.max_peers && self.by_addr.len() <= self.max_peers);
        assert!(self.dirty.len() <= 2 * self.slots.len() && self.deadlines.len() <= 64 + 4 * self.slots.len());
    }

    #[cfg(test)]
    pub(super) fn session_mut(&mut self, id: PeerId) -> Option<&mut Session> {
        self.at(id.index).map(|peer| &mut peer.session)
    }

    fn peer(&self, id: PeerId) -> Option<&Peer> {
        let slot = self.slots.get(id.index as usize)?;
        slot.peer.as_ref().filter(|_| slot.generation == id.generation)
    }

    fn at(&mut self, index: u32) -> Option<&mut Peer> {
        self.slots.get_mut(index as usize)?.peer.as_mut()
    }

    /// Changes a peer's session, and sees to what follows.
    fn change<T>(&mut self, index: u32, change: impl FnOnce(&mut Session) -> T) -> Option<T> {
        let peer = self.at(index)?;
        let result = change(&mut peer.session);
        let was_dirty = std::mem::replace(&mut peer.dirty, true);
        if !was_dirty {
            self.dirty.push_back(index);
        }
        self.settle(index);
        Some(result)
    }

    /// Fetches a peer's events, sets its deadline, and removes it when it has ended.
    fn settle(&mut self, index: u32) {
        let Some(slot) = self.slots.get_mut(index as usize) else {
            return;
        };
        let id = PeerId { index, generation: slot.generation };
        let Some(peer) = &mut slot.peer else { return };
        while let Some(event) = peer.session.poll_event() {
            self.events.push_back((id, event));
        }
        if peer.session.is_closed() {
            self.by_addr.remove(&peer.addr);
            slot.peer = None;
            slot.generation = slot.generation.wrapping_add(1);
            self.free.push(index);
            return;
        }
        // A dirty peer is settled once more when it has sent: then is the time to look at its deadline.
        if peer.dirty {
            return;
        }
        if let Some(at) = peer.session.deadline()
            && peer.armed.is_none_or(|armed| at < armed)
        {
            peer.armed = Some(at);
            self.deadlines.push(Reverse((at, index)));
            if self.deadlines.len() > 64 + 4 * self.slots.len() {
                self.compact();
            }
        }
    }

    /// Drops deadlines that stand for no peer any more.
    fn compact(&mut self) {
        let slots = &self.slots;
        self.deadlines.retain(|Reverse((at, index))| {
            let peer = slots.get(*index as usize).and_then(|slot| slot.peer.as_ref());
            peer.is_some_and(|peer| peer.armed == Some(*at))
        });
    }

    fn reply(&mut self, to: SocketAddr, salt: u64, reply: Reply) {
        if self.replies.len() < MAX_REPLIES {
            self.replies.push_back((to, salt, reply));
        } else {
            self.stats.discarded += 1;
        }
    }

    /// A client has shown that it can be reached.
    fn accept(&mut self, now: Instant, addr: SocketAddr, salt: u64) {
        if let Some(&index) = self.by_addr.get(&addr)
            && let Some(peer) = self.at(index)
        {
            if peer.salt == salt {
                let session = peer.session.id();
                self.reply(addr, salt, Reply::Accept(session));
                return;
            }
            // A new client behind the same address and port: the old one is no more.
            self.change(index, Session::replaced);
        }
        if self.by_addr.len() >= self.max_peers {
            self.stats.denied += 1;
            self.reply(addr, salt, Reply::Denied);
            return;
        }
        let id = (self.hash(b's', addr, salt, 0) >> 32) as u32;
        let session = Session::new(Some(self.config.clone()), id, true, now);
        let peer = Peer { addr, salt, session, dirty: false, armed: None };
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                self.slots.push(Slot { generation: 0, peer: None });
                u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
            }
        };
        if let Some(slot) = self.slots.get_mut(index as usize) {
            slot.peer = Some(peer);
            self.by_addr.insert(addr, index);
            self.stats.accepted += 1;
            self.settle(index);
            self.reply(addr, salt, Reply::Accept(id));
        }
    }

    fn bucket(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.began).as_secs() / BUCKET.as_secs()
    }

    fn cookie(&self, addr: SocketAddr, salt: u64, bucket: u64) -> u64 {
        self.hash(b'c', addr, salt, bucket)
    }

    /// A keyed hash of what a handshake is about, apart for each purpose.
    fn hash(&self, purpose: u8, addr: SocketAddr, salt: u64, bucket: u64) -> u64 {
        let mut hasher = SipHasher24::new_with_keys(self.key[0], self.key[1]);
        hasher.write(&[purpose]);
        let ip = match addr.ip() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        hasher.write(&ip.octets());
        hasher.write(&addr.port().to_le_bytes());
        hasher.write(&salt.to_le_bytes());
        hasher.write(&bucket.to_le_bytes());
        hasher.finish()
    }
}
