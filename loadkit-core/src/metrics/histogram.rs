//! HdrHistogram with an exact sum, minimum and maximum beside it, and deltas that merge exactly.

use std::cmp::Ordering;

use hdrhistogram::Histogram as Hdr;

use super::interval::{ROOMY, highest_of, index_of};

/// Significant decimal digits: a bucket is at most 0.1 % wide.
const DIGITS: u8 = 3;

/// The largest value kept; what is larger counts as this. One hour in microseconds is 3.6·10⁹; plain numbers get
/// three more orders of magnitude.
pub(super) const LARGEST: u64 = 1 << 42;

/// A distribution of whole numbers (of microseconds, for times), to 3 significant digits.
///
/// 112 KiB from the first value on, which is enough up to four seconds; beyond it grows, to 136 KiB at a minute. One per metric and shard,
/// never one per bot.
#[derive(Clone, Debug)]
pub struct Histogram {
    buckets: Hdr<u64>,
    sum: u128,
    min: u64,
    max: u64,
}

/// What a histogram gained since the last delta: its non-empty buckets, and exact sum, minimum and maximum.
///
/// Where machines read, as in MessagePack, it is packed: some one and a half bytes a bucket. Both forms are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HistogramDelta {
    /// `(a value in the bucket, how many)`, ascending.
    pub buckets: Vec<(u64, u64)>,
    /// The exact sum of all values.
    pub sum: u128,
    /// The exact smallest value; of no meaning without buckets.
    pub min: u64,
    /// The exact largest value.
    pub max: u64,
}

impl Histogram {
    /// An empty one.
    #[expect(clippy::expect_used, reason = "a constant within the crate's documented range of 0 to 5 digits")]
    pub fn new() -> Histogram {
        let buckets = Hdr::new(DIGITS).expect("three digits are in range");
        Histogram { buckets, sum: 0, min: u64::MAX, max: 0 }
    }

    /// Records one value. Allocates only when the value is larger than all before it.
    #[inline]
    pub fn record(&mut self, value: u64) {
        self.record_n(value, 1);
        self.add_exact(u128::from(value), value, value);
    }

    #[inline]
    fn record_n(&mut self, value: u64, count: u64) {
        let value = value.min(LARGEST);
        if self.buckets.high() < ROOMY {
            self.make_room();
        }
        // Cannot fail: the histogram resizes itself, and the value is bounded.
        let _ = self.buckets.record_n(value, count);
    }

    /// Makes room for times of up to four seconds.
    #[cold]
    fn make_room(&mut self) {
        let mut roomy = Histogram::new().buckets;
        let fits = roomy.record(ROOMY).is_ok();
        roomy.reset();
        if fits && roomy.add(&self.buckets).is_ok() {
            self.buckets = roomy;
        }
    }

    #[inline]
    fn add_exact(&mut self, sum: u128, min: u64, max: u64) {
        // 2^64 values of 64 bits cannot overflow 128.
        self.sum = self.sum.wrapping_add(sum);
        self.min = self.min.min(min);
        self.max = self.max.max(max);
    }

    /// How many values.
    pub fn count(&self) -> u64 {
        self.buckets.len()
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.buckets.is_empty()
    }

    /// The value below or at which the share `quantile` (0 to 1) of all values lies, to 3 digits.
    pub fn quantile(&self, quantile: f64) -> u64 {
        self.buckets.value_at_quantile(quantile).min(self.max)
    }

    /// The exact mean; 0 when empty.
    pub fn mean(&self) -> f64 {
        if self.is_empty() { 0.0 } else { self.sum as f64 / self.count() as f64 }
    }

    /// The exact smallest value; 0 when empty.
    pub fn min(&self) -> u64 {
        if self.is_empty() { 0 } else { self.min }
    }

    /// The exact largest value; 0 when empty.
    pub fn max(&self) -> u64 {
        self.max
    }

    /// The non-empty buckets as `(highest value of the bucket, how many)`, ascending.
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.buckets.iter_recorded().map(|bucket| (bucket.value_iterated_to(), bucket.count_since_last_iteration()))
    }

    /// All that is in it, as one delta.
    pub fn to_delta(&self) -> HistogramDelta {
        HistogramDelta { buckets: self.buckets().collect(), sum: self.sum, min: self.min(), max: self.max }
    }

    /// Adds a delta: afterwards this is what it would be had the delta's values been recorded here.
    pub fn apply(&mut self, delta: &HistogramDelta) {
        for &(value, count) in &delta.buckets {
            self.record_n(value, count);
        }
        if !delta.buckets.is_empty() {
            self.add_exact(delta.sum, delta.min, delta.max);
        }
    }
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram::new()
    }
}

impl PartialEq for Histogram {
    /// Bucket for bucket, and by the exact sum, minimum and maximum.
    fn eq(&self, other: &Histogram) -> bool {
        (self.sum, self.min, self.max) == (other.sum, other.min, other.max) && self.buckets().eq(other.buckets())
    }
}

impl HistogramDelta {
    /// How many values.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|&(_, count)| count).fold(0, u64::saturating_add)
    }

    /// The value below or at which the share `quantile` (0 to 1) of all values lies, to 3 digits, as
    /// [`Histogram::quantile`] has it; 0 when empty.
    pub fn quantile(&self, quantile: f64) -> u64 {
        let rank = ((quantile * self.count() as f64).ceil() as u64).max(1);
        let mut below = 0_u64;
        for &(value, count) in &self.buckets {
            below = below.saturating_add(count);
            if below >= rank {
                return value.min(self.max);
            }
        }
        self.max
    }

    /// Whether it is one that a recorder makes, and so comes out of its packed form as it was.
    pub(super) fn can_be_packed(&self) -> bool {
        let is_bucket = |&(value, count): &(u64, u64)| count > 0 && highest_of(index_of(value.min(LARGEST))) == value;
        let is_nothing = self.buckets.is_empty() && (self.sum, self.min, self.max) == (0, 0, 0);
        let is_some = !self.buckets.is_empty() && self.min <= self.max;
        let ascends = self.buckets.is_sorted_by(|a, b| a.0 < b.0);
        (is_nothing || is_some) && ascends && self.buckets.iter().all(is_bucket)
    }

    /// Joins another delta to this one, as if the values of both had been recorded in one interval.
    pub fn merge(&mut self, other: &HistogramDelta) {
        if other.buckets.is_empty() {
            return;
        }
        if self.buckets.is_empty() {
            self.clone_from(other);
            return;
        }
        let mut joined = Vec::with_capacity(self.buckets.len().max(other.buckets.len()));
        let (mut ours, mut theirs) = (self.buckets.as_slice(), other.buckets.as_slice());
        // Equal buckets have equal values here: all histograms have the same layout, however far they have grown.
        while let ([a, our_rest @ ..], [b, their_rest @ ..]) = (ours, theirs) {
            joined.push(match a.0.cmp(&b.0) {
                Ordering::Less => *a,
                Ordering::Equal => (a.0, a.1.saturating_add(b.1)),
                Ordering::Greater => *b,
            });
            ours = if a.0 <= b.0 { our_rest } else { ours };
            theirs = if b.0 <= a.0 { their_rest } else { theirs };
        }
        joined.extend_from_slice(ours);
        joined.extend_from_slice(theirs);
        self.buckets = joined;
        self.sum = self.sum.saturating_add(other.sum);
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::metrics::interval::IntervalHistogram;

    proptest! {
        #[test]
        fn parts_taken_in_any_order_make_the_whole(parts in prop::collection::vec(prop::collection::vec(any::<u64>(), 0..50), 1..6)) {
            let mut whole = Histogram::new();
            let mut shard = IntervalHistogram::default();
            let mut deltas = Vec::new();
            for part in &parts {
                for &value in part {
                    whole.record(value);
                    shard.record(value);
                }
                deltas.push(shard.take());
            }
            let mut merged = Histogram::new();
            deltas.iter().rev().for_each(|delta| merged.apply(delta));
            prop_assert_eq!(&merged, &whole);
            let mut joined = HistogramDelta::default();
            deltas.iter().for_each(|delta| joined.merge(delta));
            for quantile in [0.5, 0.9, 0.99, 0.999, 1.0] {
                prop_assert_eq!(joined.quantile(quantile), whole.quantile(quantile));
            }
            let mut of_joined = Histogram::new();
            of_joined.apply(&joined);
            prop_assert_eq!(of_joined, whole);
        }
    }

    #[test]
    fn counts_from_a_file_may_be_more_than_fit_together() {
        let delta = HistogramDelta { buckets: vec![(5, 1 << 63), (6, u64::MAX)], sum: 9, min: 5, max: 6 };
        assert_eq!((delta.count(), delta.quantile(0.1), delta.quantile(1.0)), (u64::MAX, 5, 6));
    }

    #[test]
    fn sums_and_extremes_are_exact() {
        let mut histogram = Histogram::new();
        for value in [1, 1_000_003, 2_000_001] {
            histogram.record(value);
        }
        assert_eq!((histogram.min(), histogram.max(), histogram.count()), (1, 2_000_001, 3));
        assert_eq!(histogram.mean(), 3_000_005.0 / 3.0);
        assert_eq!(histogram.quantile(1.0), 2_000_001);
        assert!(histogram.quantile(0.5).abs_diff(1_000_003) <= 1_000);
    }
}
