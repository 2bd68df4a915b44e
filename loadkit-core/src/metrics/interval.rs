//! The distribution of one interval, as a shard records it: HdrHistogram's own buckets in a plain array.
//!
//! Recording here takes a third of the instructions of the general histogram, and half of its memory. What is taken
//! out at the end of an interval goes into a [`Histogram`](super::Histogram), bucket for bucket.

use super::histogram::{HistogramDelta, LARGEST};

/// Buckets of equal width at each scale, for 3 significant digits: the least power of two that is 1,000 or more.
/// Source: HdrHistogram's layout, <https://github.com/HdrHistogram/HdrHistogram>.
const HALF: u64 = 1_024;
/// Values below this have a bucket each.
const EXACT: u64 = 2 * HALF;
/// Values below this, just over four seconds in microseconds, find room from the first value on: times have tails, and memory
/// is not to grow with each new longest of them.
pub(super) const ROOMY: u64 = 1 << 22;

/// Values of one interval. 56 KiB from the first value on, which is enough up to four seconds in microseconds; beyond it grows
/// with the largest value seen, to 68 KiB at a minute. Allocates only then.
#[derive(Clone, Debug, Default)]
pub(crate) struct IntervalHistogram {
    counts: Vec<u32>,
    count: u64,
    sum: u128,
    min: u64,
    max: u64,
}

impl IntervalHistogram {
    /// Records one value.
    #[inline]
    pub(crate) fn record(&mut self, value: u64) {
        let index = index_of(value.min(LARGEST));
        match self.counts.get_mut(index) {
            Some(count) => *count = count.saturating_add(1),
            None => self.grow_to(index),
        }
        self.min = if self.count == 0 { value } else { self.min.min(value) };
        self.max = self.max.max(value);
        self.sum = self.sum.wrapping_add(u128::from(value));
        self.count += 1;
    }

    /// Makes room up to the end of the index's scale, and counts there.
    #[cold]
    fn grow_to(&mut self, index: usize) {
        let far = index.max(index_of(ROOMY));
        self.counts.resize(far.next_multiple_of(HALF as usize) + HALF as usize, 0);
        self.counts[index] = 1;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Takes all that is in it, and leaves it empty with its memory kept.
    pub(crate) fn take(&mut self) -> HistogramDelta {
        if self.is_empty() {
            return HistogramDelta::default();
        }
        let used = (index_of(self.max.min(LARGEST)) + 1).min(self.counts.len());
        let first = index_of(self.min.min(LARGEST)).min(used);
        let cells = self.counts[first..used].iter_mut().enumerate();
        let buckets = cells
            .filter(|(_, count)| **count > 0)
            .map(|(i, count)| (highest_of(first + i), u64::from(std::mem::take(count))))
            .collect();
        let delta = HistogramDelta { buckets, sum: self.sum, min: self.min, max: self.max };
        (self.count, self.sum, self.min, self.max) = (0, 0, 0, 0);
        delta
    }
}

/// The bucket of a value. Scale `s` has buckets of width 2^s, and each scale above the first adds [`HALF`] of them.
#[inline]
pub(super) fn index_of(value: u64) -> usize {
    let scale = u64::from(EXACT.leading_zeros() + 1).saturating_sub(u64::from((value | (EXACT - 1)).leading_zeros()));
    (scale * HALF + (value >> scale)) as usize
}

/// The lowest value of a bucket.
#[cfg_attr(not(feature = "archive"), expect(dead_code, reason = "only logs are read from buckets"))]
pub(crate) fn lowest_of(index: usize) -> u64 {
    if index == 0 { 0 } else { highest_of(index - 1) + 1 }
}

/// How many buckets there are.
pub(crate) fn most_buckets() -> usize {
    index_of(LARGEST) + 1
}

/// The highest value of a bucket.
pub(crate) fn highest_of(index: usize) -> u64 {
    let index = index as u64;
    if index < EXACT {
        return index;
    }
    let scale = index / HALF - 1;
    (((index % HALF) + HALF + 1) << scale) - 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::metrics::Histogram;

    proptest! {
        /// The general histogram is the judge: the same values, the same buckets.
        #[test]
        fn buckets_are_those_of_hdr_histogram(values in prop::collection::vec(prop_oneof![0..5_000_u64, any::<u64>()], 1..200)) {
            let mut interval = IntervalHistogram::default();
            let mut direct = Histogram::new();
            for &value in &values {
                interval.record(value);
                direct.record(value);
            }
            let delta = interval.take();
            prop_assert!(delta.buckets.iter().copied().eq(direct.buckets()));
            let mut merged = Histogram::new();
            merged.apply(&delta);
            prop_assert_eq!(merged, direct);
            prop_assert!(interval.is_empty() && interval.counts.iter().all(|&count| count == 0));
        }
    }

    #[test]
    fn memory_is_what_the_doc_says() {
        let mut interval = IntervalHistogram::default();
        interval.record(20);
        let room = interval.counts.len();
        assert!(room * 4 <= 56 << 10, "{room}");
        interval.record(4_000_000);
        assert_eq!(interval.counts.len(), room, "no more until there is more than four seconds");
        interval.record(60_000_000);
        assert!(interval.counts.len() * 4 <= 72 << 10, "{}", interval.counts.len());
    }
}
