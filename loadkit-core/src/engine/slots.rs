//! Who plays which seat of a shard.

use rustc_hash::FxHashMap;

use crate::cx::Cx;
use crate::segment::Segment;

/// Seats for which there is room from the start: to grow among a hundred thousand players takes milliseconds.
const MOST_RESERVED: usize = 1 << 20;

/// A seat that is played, or that the load shape wants played.
#[derive(Default)]
pub(crate) struct Slot {
    pub(crate) player: Option<Cx>,
    pub(crate) life: u32,
    /// The load shape wants it played, whatever the dial says. Of a twin, its original says so.
    pub(crate) planned: bool,
    /// It is to be played: the shape and the dial want it.
    pub(crate) wanted: bool,
    /// It will join soon, because the dial was turned up.
    pub(crate) pending: bool,
    /// It was to join while the player before was still leaving.
    pub(crate) rejoins: bool,
}

const _: () = assert!(size_of::<Slot>() == 16);

/// The slots of a shard: those of the population in a row, 16 bytes each, and once they have played, their twins in
/// another; those of arrivals for as long as they play.
pub(crate) struct Slots {
    segment: Segment,
    peak: u64,
    party: u64,
    first_twin: u64,
    population: Vec<Slot>,
    twins: Vec<Slot>,
    arrivals: FxHashMap<u64, Slot>,
}

impl Slots {
    /// For the seats of a segment, of which those below `peak` are the population's; twins begin at `first_twin`.
    pub(crate) fn new(segment: Segment, peak: u64, party: u64, first_twin: u64) -> Slots {
        let mine = usize::try_from(segment.seat_count(peak, party)).unwrap_or(MOST_RESERVED);
        let population = Vec::with_capacity(mine.min(MOST_RESERVED));
        Slots { segment, peak, party, first_twin, population, twins: Vec::new(), arrivals: FxHashMap::default() }
    }

    /// The seat whose twin this is, if it is one's.
    pub(crate) fn twin_of(&self, seat: u64) -> Option<u64> {
        seat.checked_sub(self.first_twin)
    }

    /// Whether the seat is of one who arrives, plays once, and goes.
    pub(crate) fn is_arrival(&self, seat: u64) -> bool {
        self.twin_of(seat).unwrap_or(seat) >= self.peak
    }

    /// How many seats of this shard are before this one of it.
    fn place(&self, seat: u64) -> usize {
        usize::try_from(self.segment.seat_count(seat, self.party)).unwrap_or(usize::MAX)
    }

    /// The slot of a seat of this shard, free if it has not been played.
    pub(crate) fn entry(&mut self, seat: u64) -> &mut Slot {
        if self.is_arrival(seat) {
            return self.arrivals.entry(seat).or_default();
        }
        let original = self.twin_of(seat);
        let place = self.place(original.unwrap_or(seat));
        let row = if original.is_some() { &mut self.twins } else { &mut self.population };
        if row.len() <= place {
            row.resize_with(place + 1, Slot::default);
        }
        &mut row[place]
    }

    /// The slot of a seat that has been played.
    pub(crate) fn get_mut(&mut self, seat: u64) -> Option<&mut Slot> {
        if self.is_arrival(seat) {
            return self.arrivals.get_mut(&seat);
        }
        match self.twin_of(seat) {
            Some(original) => {
                let place = self.place(original);
                self.twins.get_mut(place)
            }
            None => {
                let place = self.place(seat);
                self.population.get_mut(place)
            }
        }
    }

    /// Forgets one who arrived.
    pub(crate) fn remove(&mut self, seat: u64) {
        self.arrivals.remove(&seat);
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Slot> {
        self.population.iter().chain(&self.twins).chain(self.arrivals.values())
    }

    /// The seats of the population that the shape wants, in order.
    pub(crate) fn planned(&self) -> Vec<u64> {
        let seats = self.segment.seats(self.peak, self.party).zip(&self.population);
        seats.filter(|(_, slot)| slot.planned).map(|(seat, _)| seat).collect()
    }

    /// The seats of those who arrived and are still here, in order.
    pub(crate) fn arrived(&self) -> Vec<u64> {
        let mut seats: Vec<u64> = self.arrivals.keys().copied().collect();
        seats.sort_unstable();
        seats
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_no_gaps_on_any_shard() {
        for (index, count, party) in [(0, 1, 1), (1, 3, 1), (2, 3, 4), (0, 2, 3)] {
            let segment = Segment::new(index, count).unwrap();
            let mut slots = Slots::new(segment, 50, party, 200);
            for (n, seat) in segment.seats(50, party).enumerate() {
                slots.entry(seat).life = seat as u32;
                assert_eq!(slots.population.len(), n + 1);
            }
            assert!(segment.seats(50, party).all(|seat| slots.get_mut(seat).is_some_and(|s| s.life == seat as u32)));
            slots.entry(60).wanted = true;
            assert_eq!(slots.iter().filter(|slot| slot.wanted).count(), 1);
            slots.remove(60);
            assert!(slots.get_mut(60).is_none());
            for seat in segment.seats(50, party) {
                assert!(slots.get_mut(200 + seat).is_none_or(|slot| slot.life == 0));
                slots.entry(200 + seat).life = 1_000 + seat as u32;
                assert_eq!(slots.twin_of(200 + seat), Some(seat));
            }
            assert!(segment.seats(50, party).all(|seat| slots.get_mut(seat).is_some_and(|s| s.life == seat as u32)));
            assert!(slots.is_arrival(250) && !slots.is_arrival(249));
        }
    }
}
