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
    /// The population wants it played.
    pub(crate) wanted: bool,
    /// It was to join while the player before was still leaving.
    pub(crate) rejoins: bool,
}

const _: () = assert!(size_of::<Slot>() == 16);

/// The slots of a shard: those of the population in a row, 16 bytes each; those of arrivals for as long as they play.
pub(crate) struct Slots {
    segment: Segment,
    peak: u64,
    party: u64,
    population: Vec<Slot>,
    arrivals: FxHashMap<u64, Slot>,
}

impl Slots {
    pub(crate) fn new(segment: Segment, peak: u64, party: u64) -> Slots {
        let mine = usize::try_from(segment.seat_count(peak, party)).unwrap_or(MOST_RESERVED);
        let population = Vec::with_capacity(mine.min(MOST_RESERVED));
        Slots { segment, peak, party, population, arrivals: FxHashMap::default() }
    }

    /// Whether the seat is of one who arrives, plays once, and goes.
    pub(crate) fn is_arrival(&self, seat: u64) -> bool {
        seat >= self.peak
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
        let place = self.place(seat);
        if self.population.len() <= place {
            self.population.resize_with(place + 1, Slot::default);
        }
        &mut self.population[place]
    }

    /// The slot of a seat that has been played.
    pub(crate) fn get_mut(&mut self, seat: u64) -> Option<&mut Slot> {
        if self.is_arrival(seat) {
            return self.arrivals.get_mut(&seat);
        }
        let place = self.place(seat);
        self.population.get_mut(place)
    }

    /// Forgets one who arrived.
    pub(crate) fn remove(&mut self, seat: u64) {
        self.arrivals.remove(&seat);
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Slot> {
        self.population.iter().chain(self.arrivals.values())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_no_gaps_on_any_shard() {
        for (index, count, party) in [(0, 1, 1), (1, 3, 1), (2, 3, 4), (0, 2, 3)] {
            let segment = Segment::new(index, count).unwrap();
            let mut slots = Slots::new(segment, 50, party);
            for (n, seat) in segment.seats(50, party).enumerate() {
                slots.entry(seat).life = seat as u32;
                assert_eq!(slots.population.len(), n + 1);
            }
            assert!(segment.seats(50, party).all(|seat| slots.get_mut(seat).is_some_and(|s| s.life == seat as u32)));
            slots.entry(60).wanted = true;
            assert_eq!(slots.iter().filter(|slot| slot.wanted).count(), 1);
            slots.remove(60);
            assert!(slots.get_mut(60).is_none());
        }
    }
}
