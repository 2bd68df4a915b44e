//! A step's intervals as a table of sums, from which the quantiles of any blocks are read without adding histograms.
//!
//! The sum over a block of intervals is the difference of two rows of running sums, and a quantile is a search among the
//! columns: some hundred additions for a draw, where to merge its histograms would take a million.

use super::blocks::Block;
use crate::metrics::SeriesStep;

/// At most so many columns; where there are more, neighbouring buckets are joined. A bucket is then at most 0.8 % wide,
/// and quantiles are taken within it.
const MAX_COLUMNS: usize = 4_096;
/// Significant bits of a bucket in HdrHistogram's layout for 3 digits: 1,024 to 2,047.
const BITS: u32 = 11;

/// A step of one run: how many values were at most so large, summed from its first interval on.
#[derive(Debug)]
pub(super) struct Table {
    columns: Vec<Column>,
    intervals: usize,
    width_s: f64,
    /// Column by column, so that a column's rows lie together; row `i` is the sum of the intervals before `i`.
    sums: Vec<u64>,
    failed: Vec<u64>,
}

/// A bucket: the values that it holds, `low..high`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Column {
    low: f64,
    high: f64,
}

impl Table {
    /// Of a step's intervals, each of so many seconds.
    pub(super) fn new(intervals: &[SeriesStep], width_s: f64) -> Table {
        let values = || intervals.iter().flat_map(|interval| interval.response.buckets.iter().map(|&(value, _)| value));
        let mut coarser = 0;
        let (mut of, mut columns) = columns(values(), coarser);
        while columns.len() > MAX_COLUMNS {
            coarser += 1;
            (of, columns) = self::columns(values(), coarser);
        }
        let rows = intervals.len() + 1;
        let mut sums = vec![0; columns.len() * rows];
        let mut failed = vec![0];
        for (i, interval) in intervals.iter().enumerate() {
            for &(value, count) in &interval.response.buckets {
                sums[of[place_of(value, coarser)] as usize * rows + i + 1] += count;
            }
            failed.push(failed[i] + interval.failed);
        }
        // Over the intervals first, then over the columns.
        for column in sums.chunks_exact_mut(rows) {
            for i in 1..rows {
                column[i] += column[i - 1];
            }
        }
        for i in rows..sums.len() {
            sums[i] += sums[i - rows];
        }
        let columns = columns.into_iter().map(|low| column_at(low, coarser)).collect();
        Table { columns, intervals: intervals.len(), width_s, sums, failed }
    }

    pub(super) fn intervals(&self) -> usize {
        self.intervals
    }

    /// The time that all intervals cover.
    pub(super) fn seconds(&self) -> f64 {
        self.intervals as f64 * self.width_s
    }

    /// How often it succeeded a second; none if it never did.
    pub(super) fn rate(&self, blocks: &[Block]) -> Option<f64> {
        let intervals: usize = blocks.iter().map(|block| block.to - block.from).sum();
        let succeeded = self.succeeded(blocks);
        (succeeded > 0).then(|| succeeded as f64 / (intervals as f64 * self.width_s))
    }

    /// How often the step succeeded within these blocks.
    pub(super) fn succeeded(&self, blocks: &[Block]) -> u64 {
        self.columns.len().checked_sub(1).map_or(0, |last| self.up_to(last, blocks))
    }

    /// How often it failed.
    pub(super) fn failed(&self, blocks: &[Block]) -> u64 {
        blocks.iter().map(|block| self.failed[block.to] - self.failed[block.from]).sum()
    }

    /// The share of failures among all; none if there was nothing.
    pub(super) fn error_share(&self, blocks: &[Block]) -> Option<f64> {
        let failed = self.failed(blocks);
        let all = failed + self.succeeded(blocks);
        (all > 0).then(|| failed as f64 / all as f64)
    }

    /// The quantile of all values within these blocks merged, taken linearly within its bucket: so that it is not the same
    /// for all draws where one bucket holds them. None without values.
    pub(super) fn quantile(&self, quantile: f64, blocks: &[Block]) -> Option<f64> {
        let rank = quantile * self.succeeded(blocks) as f64;
        let column = self.column_of(rank, blocks)?;
        let below = column.checked_sub(1).map_or(0, |before| self.up_to(before, blocks)) as f64;
        let within = self.up_to(column, blocks) as f64 - below;
        let Column { low, high } = self.columns[column];
        Some(low + (high - low) * ((rank - below) / within).clamp(0.0, 1.0))
    }

    /// By how many each interval's values above the whole's quantile are more than its share: a series whose mean moves as
    /// the quantile does (its influence function, but for a factor).
    pub(super) fn influence(&self, quantile: f64) -> Vec<f64> {
        let whole = [Block { from: 0, to: self.intervals }];
        let Some(column) = self.column_of(quantile * self.succeeded(&whole) as f64, &whole) else {
            return vec![0.0; self.intervals];
        };
        let of = |i: usize| {
            let one = [Block { from: i, to: i + 1 }];
            let all = self.succeeded(&one) as f64;
            (1.0 - quantile) * all - (all - self.up_to(column, &one) as f64)
        };
        (0..self.intervals).map(of).collect()
    }

    /// The first column up to which there are so many.
    fn column_of(&self, rank: f64, blocks: &[Block]) -> Option<usize> {
        let (mut low, mut high) = (0, self.columns.len());
        while low < high {
            let middle = low + (high - low) / 2;
            let reached = self.up_to(middle, blocks);
            if reached > 0 && reached as f64 >= rank {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        (low < self.columns.len()).then_some(low)
    }

    /// How many values are in the columns up to this one.
    #[inline]
    fn up_to(&self, column: usize, blocks: &[Block]) -> u64 {
        let rows = self.intervals + 1;
        let sums = &self.sums[column * rows..(column + 1) * rows];
        blocks.iter().map(|block| sums[block.to] - sums[block.from]).sum()
    }
}

/// Which column each place of the layout has, and the lowest value of each column: those that hold a value.
fn columns(values: impl Iterator<Item = u64>, coarser: u32) -> (Vec<u32>, Vec<u64>) {
    // 0 is a place without a value.
    let mut of = vec![0; place_of(u64::MAX, coarser) + 1];
    values.for_each(|value| of[place_of(value, coarser)] = 1);
    let bits = bits(coarser);
    let mut columns = Vec::new();
    for (place, column) in of.iter_mut().enumerate().filter(|(_, column)| **column > 0) {
        *column = columns.len() as u32;
        columns.push((place as u64 & ((1 << bits) - 1)) << (place >> bits));
    }
    (of, columns)
}

fn bits(coarser: u32) -> u32 {
    BITS - coarser.min(BITS - 1)
}

/// By how many bits the values of a bucket are shifted to the right.
fn scale_of(value: u64, coarser: u32) -> u32 {
    (64 - value.leading_zeros()).saturating_sub(bits(coarser))
}

/// The place of a value's bucket in the layout: larger values have larger ones.
fn place_of(value: u64, coarser: u32) -> usize {
    let scale = scale_of(value, coarser);
    ((scale as usize) << bits(coarser)) + (value >> scale) as usize
}

fn column_at(low: u64, coarser: u32) -> Column {
    let width = 1_u64 << scale_of(low, coarser);
    // What was recorded as 7 µs took from 7 to 8 µs.
    Column { low: low as f64, high: low as f64 + width as f64 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::gate::blocks::whole;
    use crate::metrics::{Histogram, HistogramDelta};

    pub(crate) fn interval(values: &[u64], failed: u64) -> SeriesStep {
        let mut histogram = Histogram::new();
        values.iter().for_each(|&value| histogram.record(value));
        let (sum, min, max) = (0, histogram.min(), histogram.max());
        SeriesStep { response: HistogramDelta { buckets: histogram.buckets().collect(), sum, min, max }, failed }
    }

    proptest! {
        /// The general histogram is the judge.
        #[test]
        fn quantiles_of_blocks_are_those_of_merged_histograms(
            parts in prop::collection::vec(prop::collection::vec(1_u64..3_000_000, 0..40), 1..12),
            ends in prop::collection::vec((0_usize..12, 0_usize..12), 1..5),
            quantile in 0.01_f64..0.999,
        ) {
            let intervals: Vec<_> = parts.iter().map(|values| interval(values, values.len() as u64 / 3)).collect();
            let table = Table::new(&intervals, 1.0);
            let n = intervals.len();
            let blocks: Vec<Block> =
                ends.iter().map(|&(a, b)| Block { from: a.min(b).min(n), to: a.max(b).min(n) }).collect();
            let mut merged = Histogram::new();
            let mut failed = 0;
            for interval in blocks.iter().flat_map(|block| &intervals[block.from..block.to]) {
                merged.apply(&interval.response);
                failed += interval.failed;
            }
            prop_assert_eq!(table.succeeded(&blocks), merged.count());
            prop_assert_eq!(table.failed(&blocks), failed);
            match table.quantile(quantile, &blocks) {
                None => prop_assert!(merged.is_empty()),
                Some(found) => {
                    let truth = merged.quantile(quantile) as f64;
                    prop_assert!((found - truth).abs() <= truth * 0.001 + 1.0, "{} for {}", found, truth);
                }
            }
        }
    }

    #[test]
    fn quantiles_move_within_a_bucket() {
        let table = Table::new(&[interval(&[7; 10], 0), interval(&[8; 30], 0)], 1.0);
        assert_eq!(table.quantile(0.5, &whole(2)), Some(8.0 + 10.0 / 30.0));
        assert_eq!(table.quantile(0.5, &[Block { from: 0, to: 1 }]), Some(7.5));
        assert_eq!(Table::new(&[], 1.0).quantile(0.5, &whole(0)), None);
    }

    #[test]
    fn more_columns_than_there_is_room_for_are_joined() {
        let values: Vec<u64> = (0..40).flat_map(|octave| (0..900).map(move |i| (1_024 + i) << (octave / 2))).collect();
        let fine = interval(&values, 0);
        assert!(fine.response.buckets.len() > MAX_COLUMNS, "{}", fine.response.buckets.len());
        let table = Table::new(std::slice::from_ref(&fine), 1.0);
        assert!(table.columns.len() <= MAX_COLUMNS);
        for quantile in [0.1, 0.5, 0.9, 0.99] {
            let (found, truth) =
                (table.quantile(quantile, &whole(1)).unwrap(), fine.response.quantile(quantile) as f64);
            assert!((found / truth - 1.0).abs() < 0.008, "{found} for {truth}");
        }
    }

    #[test]
    fn the_influence_is_that_of_each_interval() {
        let table = Table::new(&[interval(&[10, 20, 30, 40], 0), interval(&[10, 10, 10, 10], 0)], 1.0);
        // The median is in the bucket of 10; the first interval has one more above it than its half.
        assert_eq!(table.influence(0.5), [-1.0, 2.0]);
    }
}
