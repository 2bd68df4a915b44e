//! `snapshots -> points`: what happened over time, in a bounded number of points and of bytes.

use std::time::Duration;

use super::packed::{ROOM, Store};
use super::point::{Point, Population, Row, shard_of};
use super::snapshot::Snapshot;
use super::stretch::Stretch;

/// At most so many points; at the bound neighbours are joined and the width doubles.
const MAX_POINTS: usize = 300;
/// The same happens when their histograms take more than this, which leaves the store a quarter for what it gives up.
const MAX_BYTES: usize = ROOM / 4 * 3;
/// So few points are not joined, whatever they take: then there are hundreds of steps.
const FEW_POINTS: usize = 60;

/// All points of a run. **Which points there are does not depend on the order of the snapshots**: each bound is of something
/// that only grows with every snapshot.
#[derive(Clone, Debug)]
pub(super) struct Series {
    width: Duration,
    rows: Vec<Row>,
    store: Store,
}

impl Series {
    /// An empty one, for snapshots of this interval.
    pub(super) fn new(interval: Duration) -> Series {
        Series { width: interval.max(Duration::from_millis(1)), rows: Vec::new(), store: Store::default() }
    }

    /// How much time a point covers.
    pub(super) fn width(&self) -> Duration {
        self.width
    }

    /// Point `i` covers the time from `i` to `i + 1` widths since the start of the run.
    pub(super) fn points(&self) -> impl DoubleEndedIterator<Item = Point<'_>> + ExactSizeIterator + Clone {
        self.rows.iter().map(|row| Point::new(row, &self.store))
    }

    /// Adds the snapshots of a stretch of time. The caller sees to it that each is added once.
    pub(super) fn add(&mut self, stretch: &Stretch<'_>) {
        let Snapshot { from_us, to_us, .. } = *stretch.figures();
        let last = loop {
            match self.index(to_us.saturating_sub(1)) {
                Some(index) => break index,
                None => self.widen(),
            }
        };
        if self.rows.len() <= last {
            self.rows.resize_with(last + 1, Row::default);
        }
        if let Some(row) = self.rows.get_mut(last) {
            row.add(stretch.figures(), &mut self.store);
        }
        // An interval that was joined from several counts its population in every point that it touches.
        let first = self.index(from_us).map_or(last, |first| first.min(last));
        for row in self.rows.iter_mut().take(last + 1).skip(first) {
            stretch.shards().iter().for_each(|shard| row.put(shard_of(shard), Population::of(shard)));
        }
        self.tidy();
        while self.store.live() > MAX_BYTES && self.rows.len() > FEW_POINTS {
            self.widen();
        }
    }

    /// Whether it can be what one for snapshots of this interval has become.
    #[cfg(feature = "keep")]
    pub(super) fn is_of(&self, interval: Duration) -> bool {
        let base = Series::new(interval).width.as_nanos();
        let times = self.width.as_nanos() / base;
        times.is_power_of_two() && times * base == self.width.as_nanos() && self.rows.len() <= MAX_POINTS
    }

    /// Its rows, and where their histograms lie.
    #[cfg(feature = "keep")]
    pub(super) fn parts(&self) -> (&[Row], &Store) {
        (&self.rows, &self.store)
    }

    /// One of such parts.
    #[cfg(feature = "keep")]
    pub(super) fn of_parts(width: Duration, rows: Vec<Row>, store: Store) -> Series {
        Series { width, rows, store }
    }

    /// The number of the point at this time, if there can be one.
    fn index(&self, at_us: u64) -> Option<usize> {
        let index = u128::from(at_us) * 1_000 / self.width.as_nanos();
        usize::try_from(index).ok().filter(|index| *index < MAX_POINTS)
    }

    fn widen(&mut self) {
        self.width *= 2;
        let joined = self.rows.len().div_ceil(2);
        for at in 0..joined {
            let mut pair = self.rows.iter_mut().skip(2 * at).take(2).map(std::mem::take);
            let (first, second) = (pair.next(), pair.next());
            if let (Some(mut row), Some(place)) = (first, self.rows.get_mut(at)) {
                second.into_iter().for_each(|next| row.join(next, &mut self.store));
                *place = row;
            }
            self.tidy();
        }
        self.rows.truncate(joined);
    }

    /// Sees to it that the store does not grow by what is given up in it.
    fn tidy(&mut self) {
        if self.store.is_full() {
            self.store.compact(self.rows.iter_mut().flat_map(Row::slots).collect());
        }
    }
}

impl PartialEq for Series {
    /// By what they stand for, wherever it lies.
    fn eq(&self, other: &Series) -> bool {
        self.width == other.width && self.points().eq(other.points())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::interval::IntervalHistogram;
    use crate::metrics::{RunId, SnapshotKey, StepDelta};

    /// Second by second, snapshots of so many steps whose times are spread over so many buckets each.
    fn snapshots(seconds: u64, steps: u64, spread: u64) -> Vec<Snapshot> {
        let of_second = |seq: u64| {
            let key = SnapshotKey { run: RunId(1), worker: 0, shard: 0, attempt: 0, seq };
            let step = |nth: u64| {
                let mut times = IntervalHistogram::default();
                (0..spread).for_each(|i| times.record(1_000 + (seq * 131 + nth * 17 + i * 7_919) % 1_000_003));
                (format!("step {nth}"), StepDelta { response: times.take(), ..StepDelta::default() })
            };
            let steps = (0..steps).map(step).collect();
            Snapshot { steps, ..Snapshot::empty(key, seq * 1_000_000, (seq + 1) * 1_000_000) }
        };
        (0..seconds).map(of_second).collect()
    }

    fn series<'a>(snapshots: impl IntoIterator<Item = &'a Snapshot>) -> Series {
        let mut series = Series::new(Duration::from_secs(1));
        snapshots.into_iter().for_each(|snapshot| series.add(&Stretch::one(snapshot)));
        series
    }

    fn count(series: &Series) -> u64 {
        series.points().flat_map(Point::steps).map(|(_, step)| step.response.count()).sum()
    }

    #[test]
    fn its_memory_is_taken_at_the_start_and_never_grows() {
        let all = snapshots(2_000, 8, 600);
        let mut series = Series::new(Duration::from_secs(1));
        let mut before = None;
        for snapshot in &all {
            series.add(&Stretch::one(snapshot));
            assert!(series.store.live() <= MAX_BYTES);
            assert_eq!(*before.get_or_insert(series.store.room()), series.store.room());
        }
        assert!(series.rows.len() > FEW_POINTS && series.rows.len() <= MAX_POINTS, "{}", series.rows.len());
        assert!(series.width > Duration::from_secs(8), "by its bytes, not by the number of its points");
        assert_eq!(count(&series), 2_000 * 8 * 600);
    }

    #[test]
    fn the_order_of_snapshots_does_not_matter_for_its_points() {
        let all = snapshots(700, 40, 300);
        let (once, back) = (series(&all), series(all.iter().rev()));
        let (even, odd): (Vec<&Snapshot>, Vec<&Snapshot>) = all.iter().partition(|snapshot| snapshot.key.seq % 2 == 0);
        assert!(once.width > Duration::from_secs(3) && once == back);
        assert!(once == series(even.into_iter().chain(odd)));
    }

    #[test]
    fn hundreds_of_steps_keep_some_points() {
        let series = series(&snapshots(70, 600, 40));
        assert!(series.rows.len() >= FEW_POINTS / 2, "{}", series.rows.len());
        assert_eq!(count(&series), 70 * 600 * 40);
    }
}
