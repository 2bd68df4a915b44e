//! A server's table of peers: by place, by session and by the handshake that they came from.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::net::SocketAddr;

use bytes::Bytes;
use tokio::time::Instant;

use super::session::Session;
use crate::protocol::{Event, Protocol};

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

/// What a newcomer said in its handshake.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hello {
    /// Its own word: [`Config::payload`](super::Config::payload).
    pub payload: Bytes,
    /// Who it is, says its connect token.
    pub client: Option<u64>,
    /// What its connect token says besides.
    pub user_data: Bytes,
}

#[derive(Debug)]
pub(super) struct Peer {
    pub(super) addr: SocketAddr,
    pub(super) salt: u64,
    /// The handshake that it came from.
    pub(super) origin: u64,
    pub(super) session: Session,
    pub(super) hello: Option<Box<Hello>>,
    /// Goes with every accept, until the client shows that it has come.
    pub(super) answer: Option<Box<[u8]>>,
    /// It has been let in; until then nothing is sent.
    pub(super) admitted: bool,
    /// In the list of those with something to send.
    dirty: bool,
    /// The deadline that stands for it in the heap.
    armed: Option<Instant>,
}

impl Peer {
    pub(super) fn new(addr: SocketAddr, salt: u64, origin: u64, session: Session) -> Peer {
        Peer { addr, salt, origin, session, hello: None, answer: None, admitted: true, dirty: false, armed: None }
    }

    fn deadline(&self) -> Option<Instant> {
        if self.admitted { self.session.deadline() } else { Some(self.session.silent_until()) }
    }
}

#[derive(Debug)]
struct Slot {
    generation: u32,
    peer: Option<Peer>,
    /// With which code the last one here went.
    code: Option<u32>,
}

/// Keys that are keyed hashes already: nobody can choose them, and they are hashed no further.
#[derive(Debug, Default)]
pub(super) struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {}

    fn write_u32(&mut self, number: u32) {
        // The table's own bits are the top ones.
        self.0 = u64::from(number) << 32 | u64::from(number);
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

/// Peers that have gone and are remembered, at most; of more, the oldest are forgotten.
const MAX_ENDED: usize = 16_384;

type Table<K> = HashMap<K, u32, BuildHasherDefault<AsItIs>>;

/// The peers of a server.
#[derive(Debug, Default)]
pub(super) struct Peers {
    slots: Vec<Slot>,
    free: Vec<u32>,
    by_session: Table<u32>,
    by_origin: Table<u64>,
    /// Origins of peers that have gone, and when that was noticed; the newest ones not yet dated.
    ended: VecDeque<(u64, u64)>,
    undated: Vec<u64>,
    dirty: VecDeque<u32>,
    deadlines: BinaryHeap<Reverse<(Instant, u32)>>,
    pub(super) events: VecDeque<(PeerId, Event)>,
}

impl Peers {
    pub(super) fn len(&self) -> usize {
        self.by_session.len()
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = PeerId> {
        let slots = self.slots.iter().enumerate().filter(|(_, slot)| slot.peer.is_some());
        slots.map(|(index, slot)| PeerId { index: index as u32, generation: slot.generation })
    }

    pub(super) fn of_session(&self, session: u32) -> Option<u32> {
        self.by_session.get(&session).copied()
    }

    pub(super) fn of_origin(&self, origin: u64) -> Option<u32> {
        self.by_origin.get(&origin).copied()
    }

    pub(super) fn get(&self, id: PeerId) -> Option<&Peer> {
        let slot = self.slots.get(id.index as usize)?;
        slot.peer.as_ref().filter(|_| slot.generation == id.generation)
    }

    pub(super) fn get_mut(&mut self, id: PeerId) -> Option<&mut Peer> {
        let slot = self.slots.get_mut(id.index as usize)?;
        slot.peer.as_mut().filter(|_| slot.generation == id.generation)
    }

    pub(super) fn at(&mut self, index: u32) -> Option<&mut Peer> {
        self.slots.get_mut(index as usize)?.peer.as_mut()
    }

    pub(super) fn id_at(&self, index: u32) -> Option<PeerId> {
        self.slots.get(index as usize).map(|slot| PeerId { index, generation: slot.generation })
    }

    /// With which code a peer went that has just gone.
    pub(super) fn code(&self, id: PeerId) -> Option<u32> {
        let slot = self.slots.get(id.index as usize)?;
        slot.code.filter(|_| slot.generation == id.generation.wrapping_add(1) && slot.peer.is_none())
    }

    /// Takes a new peer up. Its session's id and its origin must be new.
    pub(super) fn insert(&mut self, peer: Peer) -> Option<PeerId> {
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                self.slots.push(Slot { generation: 0, peer: None, code: None });
                u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
            }
        };
        self.by_session.insert(peer.session.id(), index);
        self.by_origin.insert(peer.origin, index);
        let slot = self.slots.get_mut(index as usize)?;
        (slot.peer, slot.code) = (Some(peer), None);
        let id = PeerId { index, generation: slot.generation };
        self.settle(index);
        Some(id)
    }

    /// Whether a peer of this origin has gone while its handshake's cookie may still be good: in this bucket of time, or
    /// the two before.
    pub(super) fn has_ended(&mut self, origin: u64, bucket: u64) -> bool {
        self.ended.extend(self.undated.drain(..).map(|origin| (origin, bucket)));
        while self.ended.front().is_some_and(|(_, at)| at + 2 < bucket) || self.ended.len() > MAX_ENDED {
            self.ended.pop_front();
        }
        self.ended.iter().any(|(ended, _)| *ended == origin)
    }

    /// Changes a peer's session, and sees to what follows.
    pub(super) fn change<T>(&mut self, index: u32, change: impl FnOnce(&mut Session) -> T) -> Option<T> {
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
            self.by_session.remove(&peer.session.id());
            self.by_origin.remove(&peer.origin);
            if self.undated.len() < MAX_ENDED {
                self.undated.push(peer.origin);
            }
            slot.code = peer.session.code();
            slot.peer = None;
            slot.generation = slot.generation.wrapping_add(1);
            self.free.push(index);
            return;
        }
        // A dirty peer is settled once more when it has sent: then is the time to look at its deadline.
        if peer.dirty {
            return;
        }
        if let Some(at) = peer.deadline()
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

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadlines.peek().map(|Reverse((at, _))| *at)
    }

    pub(super) fn timeout(&mut self, now: Instant) {
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

    /// Appends the next packet of a peer, and says where it goes.
    pub(super) fn poll_transmit(&mut self, now: Instant, packet: &mut Vec<u8>) -> Option<SocketAddr> {
        while let Some(&index) = self.dirty.front() {
            if let Some(peer) = self.at(index) {
                let addr = peer.addr;
                if peer.admitted && peer.session.poll_transmit(now, packet) {
                    return Some(addr);
                }
                peer.dirty = false;
                self.settle(index);
            }
            self.dirty.pop_front();
        }
        None
    }

    #[cfg(test)]
    pub(super) fn check_bounds(&self, max_peers: usize) {
        assert!(self.slots.len() <= max_peers && self.len() <= max_peers && self.by_origin.len() == self.len());
        assert!(self.dirty.len() <= 2 * self.slots.len() && self.deadlines.len() <= 64 + 4 * self.slots.len());
    }
}
