//! Many peers of one server: a table of state machines, of which the idle ones cost no time.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::hash::{BuildHasher, Hash};

use siphasher::sip::SipHasher13;
use tokio::time::Instant;

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
struct Peer<K, P> {
    key: K,
    protocol: P,
    /// In the list of those with something to send.
    dirty: bool,
    /// The deadline that stands for it in the heap.
    armed: Option<Instant>,
}

#[derive(Debug)]
struct Slot<K, P> {
    generation: u32,
    peer: Option<Peer<K, P>>,
}

/// Peers by what tells their datagrams apart: an address, or an address and a conversation.
///
/// Deadlines stand in a heap, and peers with something to send in a list.
#[derive(Debug)]
pub(crate) struct Peers<K, P> {
    max: usize,
    slots: Vec<Slot<K, P>>,
    free: Vec<u32>,
    by_key: HashMap<K, u32, Keyed>,
    dirty: VecDeque<u32>,
    deadlines: BinaryHeap<Reverse<(Instant, u32)>>,
    events: VecDeque<(PeerId, Event)>,
}

impl<K: Copy + Eq + Hash, P: Protocol> Peers<K, P> {
    /// For at most `max` peers; `key` is random and secret.
    pub(crate) fn new(max: usize, key: [u64; 2]) -> Peers<K, P> {
        Peers {
            max: max.min(u32::MAX as usize),
            slots: Vec::new(),
            free: Vec::new(),
            by_key: HashMap::with_hasher(Keyed(key)),
            dirty: VecDeque::new(),
            deadlines: BinaryHeap::new(),
            events: VecDeque::new(),
        }
    }

    /// Peers connected now.
    pub(crate) fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Events that nobody has fetched.
    pub(crate) fn events(&self) -> usize {
        self.events.len()
    }

    /// All peers connected now. It walks the whole table.
    pub(crate) fn ids(&self) -> impl Iterator<Item = PeerId> {
        let slots = self.slots.iter().enumerate().filter(|(_, slot)| slot.peer.is_some());
        slots.map(|(index, slot)| PeerId { index: index as u32, generation: slot.generation })
    }

    /// What tells its datagrams apart, and its end of the connection.
    pub(crate) fn get(&self, id: PeerId) -> Option<(&K, &P)> {
        let slot = self.slots.get(id.index()).filter(|slot| slot.generation == id.generation)?;
        slot.peer.as_ref().map(|peer| (&peer.key, &peer.protocol))
    }

    /// Whose datagrams these are.
    pub(crate) fn find(&self, key: &K) -> Option<PeerId> {
        let index = *self.by_key.get(key)?;
        self.slots.get(index as usize).map(|slot| PeerId { index, generation: slot.generation })
    }

    /// Whoever is at this place of the table.
    pub(crate) fn at(&self, index: usize) -> Option<PeerId> {
        let slot = self.slots.get(index).filter(|slot| slot.peer.is_some())?;
        Some(PeerId { index: u32::try_from(index).ok()?, generation: slot.generation })
    }

    /// The place that the next peer takes.
    pub(crate) fn next_place(&self) -> usize {
        self.free.last().map_or(self.slots.len(), |index| *index as usize)
    }

    /// A new peer, unless there are as many as may be, or it is there already.
    pub(crate) fn insert(&mut self, key: K, protocol: P) -> Option<PeerId> {
        if self.by_key.len() >= self.max || self.by_key.contains_key(&key) {
            return None;
        }
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                self.slots.push(Slot { generation: 0, peer: None });
                u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
            }
        };
        let slot = self.slots.get_mut(index as usize)?;
        // It may have something to send at once.
        slot.peer = Some(Peer { key, protocol, dirty: true, armed: None });
        let id = PeerId { index, generation: slot.generation };
        self.by_key.insert(key, index);
        self.dirty.push_back(index);
        self.settle(index);
        Some(id)
    }

    /// Changes a peer's end, and sees to what follows. `None` when the peer has left.
    pub(crate) fn change<T>(&mut self, id: PeerId, change: impl FnOnce(&mut P) -> T) -> Option<T> {
        let slot = self.slots.get_mut(id.index()).filter(|slot| slot.generation == id.generation)?;
        let peer = slot.peer.as_mut()?;
        let result = change(&mut peer.protocol);
        if !std::mem::replace(&mut peer.dirty, true) {
            self.dirty.push_back(id.index);
        }
        self.settle(id.index);
        Some(result)
    }

    /// Does what is due at `now`.
    pub(crate) fn timeout(&mut self, now: Instant) {
        while let Some(&Reverse((at, index))) = self.deadlines.peek()
            && at <= now
        {
            self.deadlines.pop();
            let Some(slot) = self.slots.get_mut(index as usize) else { continue };
            let id = PeerId { index, generation: slot.generation };
            if let Some(peer) = slot.peer.as_mut().filter(|peer| peer.armed == Some(at)) {
                peer.armed = None;
                self.change(id, |protocol| protocol.timeout(now));
            }
        }
    }

    /// When something is due next.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadlines.peek().map(|Reverse((at, _))| *at)
    }

    /// Appends the next packet to `packet`, which is empty; whose it is. `None` when there is none.
    pub(crate) fn poll_transmit(&mut self, now: Instant, packet: &mut Vec<u8>) -> Option<K> {
        while let Some(&index) = self.dirty.front() {
            if let Some(peer) = self.slots.get_mut(index as usize).and_then(|slot| slot.peer.as_mut()) {
                if peer.protocol.poll_transmit(now, packet) {
                    return Some(peer.key);
                }
                peer.dirty = false;
                self.settle(index);
            }
            self.dirty.pop_front();
        }
        None
    }

    /// The next event, and whose it is. After [`Event::Closed`] the peer is gone.
    pub(crate) fn poll_event(&mut self) -> Option<(PeerId, Event)> {
        self.events.pop_front()
    }

    /// Fetches a peer's events, sets its deadline, and removes it when it has ended.
    fn settle(&mut self, index: u32) {
        let Some(slot) = self.slots.get_mut(index as usize) else { return };
        let id = PeerId { index, generation: slot.generation };
        let Some(peer) = &mut slot.peer else { return };
        let mut has_ended = false;
        while let Some(event) = peer.protocol.poll_event() {
            has_ended |= matches!(event, Event::Closed(_));
            self.events.push_back((id, event));
        }
        if has_ended {
            self.by_key.remove(&peer.key);
            slot.peer = None;
            slot.generation = slot.generation.wrapping_add(1);
            self.free.push(index);
            if self.by_key.is_empty() {
                // What is left stands for nobody, and would only wake the server.
                self.deadlines.clear();
            }
            return;
        }
        // A dirty peer is settled once more when it has sent: then is the time to look at its deadline.
        if peer.dirty {
            return;
        }
        if let Some(at) = peer.protocol.deadline()
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

    #[cfg(test)]
    pub(crate) fn get_mut(&mut self, id: PeerId) -> Option<&mut P> {
        let slot = self.slots.get_mut(id.index()).filter(|slot| slot.generation == id.generation)?;
        slot.peer.as_mut().map(|peer| &mut peer.protocol)
    }

    #[cfg(test)]
    pub(crate) fn check_bounds(&self) {
        assert!(self.slots.len() <= self.max && self.by_key.len() <= self.max);
        assert!(self.dirty.len() <= 2 * self.slots.len() && self.deadlines.len() <= 64 + 4 * self.slots.len());
    }
}
