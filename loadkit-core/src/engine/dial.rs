//! `(segment, party) -> rank`: who plays when the load is turned below what the plan asks for, or above it.
//!
//! **A rank depends on nothing but the party and its segment, so that shards need not agree.** The parties of a segment, one
//! after another, have the radical inverses of 0, 1, 2, … in base 2 (J. G. van der Corput, 1935), so of any `n` of them
//! that follow each other a share `d` has a rank up to `d`, but for `1 + log2(n) / 3` at most. (No sequence can do with a
//! bound that does not grow: W. M. Schmidt, 1972.) Where `d` is so many halves, quarters or eighths, whole groups of
//! that many are exact. The segment's own number is taken into the digits, so that shards do not all err on one side.

use std::time::Duration;

use crate::seed::Seed;
use crate::segment::Segment;

/// Those who come because the dial was turned up come within this time, each at a time of its party's own.
const SPREAD: Duration = Duration::from_secs(5);
/// 2^53: as many ranks as a float tells apart.
const RANKS: f64 = 9_007_199_254_740_992.0;

/// The rank of a party of this segment, above 0 and at most 1. It plays while the dial stands there or higher; its twin
/// while the dial stands one above it.
pub(super) fn rank(segment: Segment, party: u64) -> f64 {
    let place = party / segment.count();
    let digits = place.reverse_bits() ^ segment.index().reverse_bits();
    ((digits >> 11) + 1) as f64 / RANKS
}

/// How long after the dial was turned up a party comes.
pub(super) fn delay(seed: Seed, party: u64) -> Duration {
    let share = (seed.stream("dial", party, 0) >> 11) as f64 / RANKS;
    SPREAD.mul_f64(share)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn playing(segment: Segment, parties: u64, dial: f64) -> u64 {
        (0..parties).filter(|party| segment.owns(*party) && rank(segment, *party) <= dial).count() as u64
    }

    #[test]
    fn halves_and_quarters_are_exact() {
        for shift in 0..3 {
            let part = Segment::new(shift, 3).unwrap();
            for (dial, players) in [(0.0, 0), (0.25, 250), (0.5, 500), (0.75, 750), (1.0, 1_000)] {
                assert_eq!(playing(part, 3_000, dial), players, "{part} at {dial}");
            }
        }
        assert_eq!(playing(Segment::WHOLE, 1, 0.01), 1, "the first of a segment is the last to leave");
    }

    proptest! {
        #[test]
        fn any_share_of_any_shape_is_even_on_every_shard(
            dial in 0.0..=1.0f64, parties in 0u64..3_000, shards in 1u64..9,
        ) {
            let (mut all, mut bounds) = (0, 0.0);
            for shard in 0..shards {
                let segment = Segment::new(shard, shards).unwrap();
                let (owned, played) = (segment.seat_count(parties, 1), playing(segment, parties, dial));
                let bound = 1.0 + (owned.max(1) as f64).log2() / 3.0;
                prop_assert!((played as f64 - dial * owned as f64).abs() <= bound, "{played} of {owned}");
                all += played;
                bounds += bound;
            }
            prop_assert!((all as f64 - dial * parties as f64).abs() <= bounds, "{all} of {parties}");
        }
    }
}
