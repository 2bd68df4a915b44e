//! A server's peers: their table, whose turn it is to send, and whose deadline is next.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::net::SocketAddr;

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

/// What a server holds of a peer.
pub(crate) trait Peer: Protocol {
    /// Whether it has ended; it may still have an event to tell.
    fn is_closed(&self) -> bool;
}

#[derive(Debug)]
struct Place<P> {
    addr: SocketAddr,
    peer: P,
    /// In the list of those with something to send.
    dirty: bool,
    /// The deadline that stands for it in the heap.
    armed: Option<Instant>,
}

#[derive(Debug)]
struct Slot<P> {
    generation: u32,
    place: Option<Place<P>>,
}

/// The peers of a server. Idle ones cost no time: deadlines stand in a heap, and those with something to send in a
/// list.
#[derive(Debug)]
pub(crate) struct Peers<P> {
    slots: Vec<Slot<P>>,
    free: Vec<u32>,
    dirty: VecDeque<u32>,
    deadlines: BinaryHeap<Reverse<(Instant, u32)>>,
    events: VecDeque<(PeerId, Event)>,
    /// Those that have ended, until [`Peers::take_gone`].
    gone: Vec<(u32, SocketAddr, P)>,
}

impl<P: Peer> Peers<P> {
    pub(crate) fn new() -> Peers<P> {
        Peers {
            slots: Vec::new(),
            free: Vec::new(),
            dirty: VecDeque::new(),
            deadlines: BinaryHeap::new(),
            events: VecDeque::new(),
            gone: Vec::new(),
        }
    }

    /// Peers now.
    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// The place that the next peer takes.
    pub(crate) fn next_index(&self) -> usize {
        self.free.last().map_or(self.slots.len(), |index| *index as usize)
    }

    /// A new peer, at [`Peers::next_index`].
    pub(crate) fn insert(&mut self, addr: SocketAddr, peer: P) -> PeerId {
        let place = Some(Place { addr, peer, dirty: true, armed: None });
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                self.slots.push(Slot { generation: 0, place: None });
                u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
            }
        };
        let mut generation = 0;
        if let Some(slot) = self.slots.get_mut(index as usize) {
            slot.place = place;
            generation = slot.generation;
        }
        self.dirty.push_back(index);
        self.settle(index);
        PeerId { index, generation }
    }

    /// All of them. It walks the whole table: not for every turn.
    pub(crate) fn ids(&self) -> impl Iterator<Item = PeerId> {
        let slots = self.slots.iter().enumerate().filter(|(_, slot)| slot.place.is_some());
        slots.map(|(index, slot)| PeerId { index: index as u32, generation: slot.generation })
    }

    /// Whoever is at this place now.
    pub(crate) fn at(&self, index: usize) -> Option<(PeerId, SocketAddr, &P)> {
        let slot = self.slots.get(index)?;
        let place = slot.place.as_ref()?;
        let id = PeerId { index: u32::try_from(index).ok()?, generation: slot.generation };
        Some((id, place.addr, &place.peer))
    }

    pub(crate) fn get(&self, id: PeerId) -> Option<(SocketAddr, &P)> {
        self.at(id.index()).filter(|(now, ..)| *now == id).map(|(_, addr, peer)| (addr, peer))
    }

    /// Changes a peer, and sees to what follows. `None` when it has left.
    pub(crate) fn change<T>(&mut self, id: PeerId, change: impl FnOnce(&mut P) -> T) -> Option<T> {
        self.get(id)?;
        let place = self.place_mut(id.index)?;
        let result = change(&mut place.peer);
        if !std::mem::replace(&mut place.dirty, true) {
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
            let Some(place) = self.place_mut(index).filter(|place| place.armed == Some(at)) else { continue };
            place.armed = None;
            if let Some((id, ..)) = self.at(index as usize) {
                self.change(id, |peer| peer.timeout(now));
            }
        }
    }

    /// When [`Peers::timeout`] is to be called next.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadlines.peek().map(|Reverse((at, _))| *at)
    }

    /// Appends the next packet to `packet`; where it goes.
    pub(crate) fn poll_transmit(&mut self, now: Instant, packet: &mut Vec<u8>) -> Option<SocketAddr> {
        while let Some(&index) = self.dirty.front() {
            if let Some(place) = self.place_mut(index) {
                let addr = place.addr;
                if place.peer.poll_transmit(now, packet) {
                    return Some(addr);
                }
                place.dirty = false;
                self.settle(index);
            }
            self.dirty.pop_front();
        }
        None
    }

    /// The next event, and whose it is.
    pub(crate) fn poll_event(&mut self) -> Option<(PeerId, Event)> {
        self.events.pop_front()
    }

    /// Events that nobody has fetched.
    pub(crate) fn events(&self) -> usize {
        self.events.len()
    }

    /// One that has ended: where it was in the table, and its address.
    pub(crate) fn take_gone(&mut self) -> Option<(usize, SocketAddr, P)> {
        self.gone.pop().map(|(index, addr, peer)| (index as usize, addr, peer))
    }

    fn place_mut(&mut self, index: u32) -> Option<&mut Place<P>> {
        self.slots.get_mut(index as usize)?.place.as_mut()
    }

    /// Fetches a peer's events, sets its deadline, and removes it when it has ended.
    fn settle(&mut self, index: u32) {
        let Some(slot) = self.slots.get_mut(index as usize) else { return };
        let id = PeerId { index, generation: slot.generation };
        let Some(place) = &mut slot.place else { return };
        while let Some(event) = place.peer.poll_event() {
            self.events.push_back((id, event));
        }
        if place.peer.is_closed() {
            slot.generation = slot.generation.wrapping_add(1);
            self.free.push(index);
            if let Some(place) = slot.place.take() {
                self.gone.push((index, place.addr, place.peer));
            }
            return;
        }
        // A dirty peer is settled once more when it has sent: then is the time to look at its deadline.
        if place.dirty {
            return;
        }
        if let Some(at) = place.peer.deadline()
            && place.armed.is_none_or(|armed| at < armed)
        {
            place.armed = Some(at);
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
            let place = slots.get(*index as usize).and_then(|slot| slot.place.as_ref());
            place.is_some_and(|place| place.armed == Some(*at))
        });
    }

    #[cfg(test)]
    pub(crate) fn check_bounds(&self, max_peers: usize) {
        assert!(self.slots.len() <= max_peers && self.gone.is_empty());
        assert!(self.dirty.len() <= 2 * self.slots.len() && self.deadlines.len() <= 65 + 4 * self.slots.len());
    }

    #[cfg(test)]
    pub(crate) fn peer_mut(&mut self, id: PeerId) -> Option<&mut P> {
        self.get(id)?;
        self.place_mut(id.index).map(|place| &mut place.peer)
    }
}
