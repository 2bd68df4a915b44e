//! `Segment { index, count }`: the share of the players that one worker or one shard computes for itself.
//!
//! **Over all indices of a count, segments own every party exactly once.** Nothing has to be told to a worker but its
//! segment: which seats it plays follows by arithmetic, so there is no master. Parties are dealt in turn (strided), so
//! that the shares of a ramp grow together rather than one after the other.

use std::error::Error;
use std::fmt;

/// The largest `count` of a segment, nested splits included.
const MAX_COUNT: u64 = 1 << 32;

/// One of `count` equal shares of the players of a run; party `p` belongs to it if `p % count == index`.
///
/// Seats are grouped into parties (`party = seat / party_size`), and a party is never divided, so its members share a
/// shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Segment {
    index: u64,
    count: u64,
}

impl Segment {
    /// The whole run.
    pub const WHOLE: Segment = Segment { index: 0, count: 1 };

    /// Share number `index` (from 0) of `count`.
    ///
    /// # Errors
    /// If `count` is 0 or above 2^32, or `index` is not below it.
    pub fn new(index: u64, count: u64) -> Result<Segment, SegmentError> {
        if count == 0 {
            return Err(SegmentError::Empty);
        }
        if count > MAX_COUNT {
            return Err(SegmentError::TooMany);
        }
        if index >= count {
            return Err(SegmentError::Index { index, count });
        }
        Ok(Segment { index, count })
    }

    /// Which of the shares this is, from 0.
    pub fn index(self) -> u64 {
        self.index
    }

    /// How many shares there are in all.
    pub fn count(self) -> u64 {
        self.count
    }

    /// Whether this share plays party number `party`.
    pub fn owns(self, party: u64) -> bool {
        party % self.count == self.index
    }

    /// Share number `part` (from 0) of `parts` of this segment: how a worker deals its segment to its shards.
    ///
    /// The parts of a segment own exactly the parties of the segment, each once.
    ///
    /// # Errors
    /// As [`Segment::new`], for `part` of `parts`, and if the shares of the whole would be more than 2^32.
    pub fn split(self, parts: u64, part: u64) -> Result<Segment, SegmentError> {
        let inner = Segment::new(part, parts)?;
        // A party of ours is index + count * k; the part owns the k with k % parts == part.
        let count = self.count.checked_mul(inner.count).ok_or(SegmentError::TooMany)?;
        Segment::new(self.index + self.count * inner.index, count)
    }

    /// The seats below `total` that this share plays, in ascending order, whole parties at a time.
    ///
    /// The last party is short if `total` is not a multiple of `party_size`. A `party_size` of 0 means 1.
    pub fn seats(self, total: u64, party_size: u64) -> impl Iterator<Item = u64> + use<> {
        Climb::new(self, 0, total, party_size)
    }

    /// How many seats below `total` this share plays: the length of [`Segment::seats`], in constant time.
    pub fn seat_count(self, total: u64, party_size: u64) -> u64 {
        let size = party_size.max(1);
        let whole = total / size;
        let mine = if whole > self.index { (whole - self.index - 1) / self.count + 1 } else { 0 };
        let short = if self.owns(whole) { total % size } else { 0 };
        mine * size + short
    }

    /// The first party at or after `party` that this share plays, if it can be counted.
    fn at_or_after(self, party: u64) -> Option<u64> {
        let rest = party % self.count;
        let ahead = if rest <= self.index { self.index - rest } else { self.count - rest + self.index };
        party.checked_add(ahead)
    }

    /// The last party at or before `party` that this share plays, if there is one.
    fn at_or_before(self, party: u64) -> Option<u64> {
        let rest = party % self.count;
        let back = if rest >= self.index { rest - self.index } else { self.count - self.index + rest };
        party.checked_sub(back)
    }
}

impl fmt::Display for Segment {
    /// As people count: `1/4` is the first of four.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index + 1, self.count)
    }
}

/// A segment's seats in `low..high`, ascending.
#[derive(Clone, Debug)]
pub(crate) struct Climb {
    segment: Segment,
    next: u64,
    high: u64,
    party_size: u64,
}

impl Climb {
    pub(crate) fn new(segment: Segment, low: u64, high: u64, party_size: u64) -> Climb {
        Climb { segment, next: low, high, party_size: party_size.max(1) }
    }
}

impl Iterator for Climb {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let party = self.next / self.party_size;
        if !self.segment.owns(party) {
            let mine = self.segment.at_or_after(party).and_then(|p| p.checked_mul(self.party_size));
            self.next = mine.unwrap_or(self.high);
        }
        if self.next >= self.high {
            return None;
        }
        let seat = self.next;
        self.next += 1;
        Some(seat)
    }
}

/// A segment's seats in `low..high`, descending.
#[derive(Clone, Debug)]
pub(crate) struct Descend {
    segment: Segment,
    low: u64,
    /// One above the next seat.
    high: u64,
    party_size: u64,
}

impl Descend {
    pub(crate) fn new(segment: Segment, low: u64, high: u64, party_size: u64) -> Descend {
        Descend { segment, low, high, party_size: party_size.max(1) }
    }
}

impl Iterator for Descend {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let party = self.high.checked_sub(1)? / self.party_size;
        if !self.segment.owns(party) {
            // The party is below the one at `high`, so its end is a seat number and cannot overflow.
            let mine = self.segment.at_or_before(party).map(|p| (p + 1) * self.party_size);
            self.high = mine.unwrap_or(0);
        }
        if self.high <= self.low {
            return None;
        }
        self.high -= 1;
        Some(self.high)
    }
}

/// Why there is no such [`Segment`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SegmentError {
    /// A run in no shares: the count must be at least 1.
    Empty,
    /// More shares than are supported; use fewer workers or shards.
    TooMany,
    /// The index must be below the count.
    Index {
        /// The index asked for.
        index: u64,
        /// The number of shares there are.
        count: u64,
    },
}

impl fmt::Display for SegmentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SegmentError::Empty => {
                write!(f, "a run cannot be divided into 0 segments: use at least 1")
            }
            SegmentError::TooMany => write!(f, "a run cannot be divided into more than {MAX_COUNT} segments"),
            SegmentError::Index { index, count } => {
                write!(f, "there is no segment {index} of {count}: the index counts from 0 and must be below {count}")
            }
        }
    }
}

impl Error for SegmentError {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn refuses_what_is_no_share() {
        assert_eq!(Segment::new(0, 0), Err(SegmentError::Empty));
        assert_eq!(Segment::new(3, 3), Err(SegmentError::Index { index: 3, count: 3 }));
        assert_eq!(Segment::new(0, MAX_COUNT + 1), Err(SegmentError::TooMany));
        let wide = Segment::new(7, MAX_COUNT).unwrap();
        assert_eq!(wide.split(2, 1), Err(SegmentError::TooMany));
        assert_eq!(wide.split(1, 0), Ok(wide));
        assert_eq!(wide.to_string(), format!("8/{MAX_COUNT}"));
    }

    #[test]
    fn parties_stay_whole_and_the_last_may_be_short() {
        let second = Segment::new(1, 2).unwrap();
        assert_eq!(second.seats(11, 3).collect::<Vec<_>>(), [3, 4, 5, 9, 10]);
        assert_eq!(Descend::new(second, 4, 11, 3).collect::<Vec<_>>(), [10, 9, 5, 4]);
        assert_eq!(Climb::new(second, 4, 11, 3).collect::<Vec<_>>(), [4, 5, 9, 10]);
    }

    #[test]
    fn the_ends_of_the_numbers_do_not_overflow() {
        let last = Segment::new(1, 2).unwrap();
        assert_eq!(Climb::new(last, u64::MAX - 1, u64::MAX, u64::MAX).count(), 0);
        assert_eq!(Segment::WHOLE.seat_count(u64::MAX, 1), u64::MAX);
        assert_eq!(Climb::new(last, u64::MAX - 2, u64::MAX, 1).collect::<Vec<_>>(), [u64::MAX - 2]);
    }

    proptest! {
        #[test]
        fn segments_partition_the_seats(total in 0u64..500, count in 1u64..40, size in 1u64..9) {
            let mut owners = vec![0u32; total as usize];
            let mut party_of = vec![None; total as usize];
            for index in 0..count {
                let segment = Segment::new(index, count).unwrap();
                let seats: Vec<u64> = segment.seats(total, size).collect();
                prop_assert!(seats.is_sorted());
                prop_assert_eq!(seats.len() as u64, segment.seat_count(total, size));
                for seat in seats {
                    owners[seat as usize] += 1;
                    party_of[(seat / size) as usize].get_or_insert(index);
                    prop_assert_eq!(party_of[(seat / size) as usize], Some(index), "a party was divided");
                }
            }
            prop_assert!(owners.iter().all(|&n| n == 1));
        }

        #[test]
        fn splits_partition_their_segment(
            total in 0u64..400, count in 1u64..9, parts in 1u64..9, size in 1u64..6, pick in 0u64..9,
        ) {
            let segment = Segment::new(pick % count, count).unwrap();
            let mut nested: Vec<u64> = (0..parts)
                .flat_map(|part| segment.split(parts, part).unwrap().seats(total, size))
                .collect();
            nested.sort_unstable();
            prop_assert_eq!(nested, segment.seats(total, size).collect::<Vec<_>>());
        }

        #[test]
        fn both_directions_see_the_same_seats(
            low in 0u64..200, len in 0u64..200, count in 1u64..9, size in 1u64..6, pick in 0u64..9,
        ) {
            let segment = Segment::new(pick % count, count).unwrap();
            let up: Vec<u64> = Climb::new(segment, low, low + len, size).collect();
            let mut down: Vec<u64> = Descend::new(segment, low, low + len, size).collect();
            down.reverse();
            prop_assert_eq!(&up, &down);
            let truth: Vec<u64> = (low..low + len).filter(|s| segment.owns(s / size)).collect();
            prop_assert_eq!(up, truth);
        }
    }
}
