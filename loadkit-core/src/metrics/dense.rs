//! `PackedDelta… -> HistogramDelta`: many distributions as one, over an array of all buckets.
//!
//! To join two sorted lists costs what both are long, each time. Here each costs what it is long alone, once.

use super::histogram::HistogramDelta;
use super::interval::{highest_of, most_buckets};
use super::packed::for_each;
use super::wire::PackedDelta;

/// The sum of some distributions. 265 KiB, which are kept from one sum to the next.
#[derive(Debug, Default)]
pub(super) struct Dense {
    counts: Vec<u64>,
    /// What has been touched, from the lowest bucket to behind the highest.
    touched: std::ops::Range<usize>,
    sum: u128,
    min: u64,
    max: u64,
}

impl Dense {
    /// Adds a distribution, as [`HistogramDelta::merge`] does.
    pub(super) fn add(&mut self, delta: &PackedDelta) {
        if delta.bytes().is_empty() {
            return;
        }
        if self.counts.is_empty() {
            self.counts.resize(most_buckets(), 0);
        }
        let (counts, mut first, mut last) = (self.counts.as_mut_slice(), usize::MAX, 0);
        let added = for_each(delta.bytes(), |index, count| {
            if let Some(cell) = counts.get_mut(index) {
                *cell = cell.saturating_add(count);
            }
            (first, last) = (first.min(index), index);
        });
        // It is a distribution: whoever made it has seen to that.
        let (Some((sum, max, min)), true) = (added, first <= last) else { return };
        if self.touched.is_empty() {
            (self.touched, self.sum, self.min, self.max) = (first..last + 1, sum, min, max);
        } else {
            self.touched = self.touched.start.min(first)..self.touched.end.max(last + 1);
            self.sum = self.sum.saturating_add(sum);
            (self.min, self.max) = (self.min.min(min), self.max.max(max));
        }
    }

    /// Takes the sum of all that was added since the last time.
    pub(super) fn take(&mut self) -> HistogramDelta {
        let range = std::mem::take(&mut self.touched);
        let first = range.start;
        let Some(cells) = self.counts.get_mut(range) else { return HistogramDelta::default() };
        if cells.is_empty() {
            return HistogramDelta::default();
        }
        let used = cells.iter().filter(|count| **count > 0).count();
        let mut buckets = Vec::with_capacity(used);
        let filled = cells.iter_mut().enumerate().filter(|(_, count)| **count > 0);
        buckets.extend(filled.map(|(i, count)| (highest_of(first + i), std::mem::take(count))));
        HistogramDelta { buckets, sum: self.sum, min: self.min, max: self.max }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::metrics::interval::IntervalHistogram;

    proptest! {
        #[test]
        fn it_joins_as_one_after_the_other_does(
            sums in prop::collection::vec(
                prop::collection::vec(prop::collection::vec(prop_oneof![0..5_000_u64, any::<u64>()], 0..50), 0..6),
                1..4,
            ),
        ) {
            let mut dense = Dense::default();
            for parts in &sums {
                let mut whole = HistogramDelta::default();
                for part in parts {
                    let mut interval = IntervalHistogram::default();
                    part.iter().for_each(|&value| interval.record(value));
                    let delta = interval.take();
                    dense.add(&PackedDelta::new(&delta));
                    whole.merge(&delta);
                }
                prop_assert_eq!(dense.take(), whole);
                prop_assert!(dense.counts.iter().all(|count| *count == 0));
            }
        }

        #[test]
        fn no_buckets_do_harm(buckets in prop::collection::vec(any::<(u64, u64)>(), 0..20)) {
            let mut dense = Dense::default();
            dense.add(&PackedDelta::new(&HistogramDelta { buckets, ..HistogramDelta::default() }));
            dense.take();
            prop_assert!(dense.counts.iter().all(|count| *count == 0));
        }
    }
}
