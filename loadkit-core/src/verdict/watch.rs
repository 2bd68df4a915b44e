//! One threshold over time: the figures of its metric alone, interval by interval, as far as it still needs them.
//!
//! Windows are made of cells. A cell takes what comes in any order; the oldest go when there are too many, and the windows
//! that end with them are judged then. So memory does not grow with the run, and the order of snapshots counts only for
//! those that come later than all the cells are long.

use std::collections::VecDeque;
use std::time::Duration;

use super::cell::Cell;
use super::drift::drift;
use super::measure::{measure, samples, samples_needed};
use crate::metrics::{Stretch, Totals};
use crate::shape::MAX_DURATION;
use crate::threshold::{Comparison, Stat, Threshold};

/// At most so many cells to a window.
const MAX_PER_WINDOW: u64 = 60;
/// Cells that are kept beyond a window, for snapshots that come late.
const SLACK: usize = 60;
/// Cells through which a drift is measured; at the bound neighbours are joined and the width doubles.
const MAX_DRIFT_CELLS: usize = 256;

/// What a threshold came to, and when.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "keep", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Worst {
    pub(super) value: f64,
    /// When the window began, µs since the start of the run.
    pub(super) from_us: u64,
}

/// The windows that were judged.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "keep", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Windows {
    pub(super) judged: u64,
    pub(super) missed: u64,
    /// Had fewer samples than the percentile needs, or none.
    pub(super) thin: u64,
    /// The most samples that a thin one had.
    pub(super) thin_samples: u64,
    pub(super) worst: Option<Worst>,
}

/// A threshold that is not of the totals alone, and what it needs to know.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Watch {
    threshold: Threshold,
    from_us: u64,
    pub(super) cell_us: u64,
    /// Cells of a window; none if it is about the whole time.
    pub(super) per_window: Option<usize>,
    pub(super) cells: VecDeque<Cell>,
    /// The number of the first of them, from `from_us` on.
    pub(super) first: u64,
    /// The end of the latest interval.
    pub(super) to_us: u64,
    pub(super) windows: Windows,
    /// Snapshots that came when their cell was gone, or of a time that no run has.
    pub(super) too_late: u64,
}

impl Watch {
    /// Watches a threshold in a run with intervals of this length; none if the totals are enough for it.
    pub(super) fn new(threshold: &Threshold, interval: Duration) -> Option<Watch> {
        if threshold.is_of_totals() {
            return None;
        }
        let interval_us = (interval.as_micros() as u64).max(1);
        let whole = |time: Duration| (time.as_micros() as u64).div_ceil(interval_us).max(1);
        let (per_cell, per_window) = match threshold.over() {
            None => (1, None),
            Some(over) => {
                let intervals = whole(over);
                let per_cell = cell_of(intervals);
                (per_cell, Some((intervals / per_cell) as usize))
            }
        };
        let mut cells = VecDeque::new();
        if threshold.metric().is_drift() {
            // Written once, so that a run's memory is what it is from the beginning on.
            cells.resize_with(MAX_DRIFT_CELLS, Cell::default);
            cells.clear();
        }
        Some(Watch {
            threshold: threshold.clone(),
            from_us: threshold.after().map_or(0, |after| whole(after) * interval_us),
            cell_us: per_cell * interval_us,
            per_window,
            cells,
            first: 0,
            to_us: 0,
            windows: Windows::default(),
            too_late: 0,
        })
    }

    /// Takes the snapshots of a stretch of time. The caller sees to it that each comes once.
    pub(super) fn add(&mut self, stretch: &Stretch<'_>) {
        let snapshot = stretch.figures();
        let Some(since) = snapshot.from_us.checked_sub(self.from_us) else { return };
        // No run lasts so long: whatever says so must not have all windows before it judged.
        let is_of_a_run = Duration::from_micros(since) <= MAX_DURATION;
        let Some(at) = Some(since).filter(|_| is_of_a_run).and_then(|since| self.room_at(since)) else {
            self.too_late += stretch.shards().len() as u64;
            return;
        };
        self.to_us = self.to_us.max(snapshot.to_us);
        if self.cells.len() <= at {
            self.cells.resize_with(at + 1, Cell::default);
        }
        self.cells[at].add(self.threshold.metric().name(), snapshot);
    }

    /// The place of the cell for what came so long after its time began; none if the cell is gone.
    fn room_at(&mut self, since_us: u64) -> Option<usize> {
        if self.per_window.is_none() && !self.threshold.metric().is_drift() {
            // All in one.
            return Some(0);
        }
        loop {
            let at = (since_us / self.cell_us).checked_sub(self.first)?;
            match usize::try_from(at) {
                Ok(at) if at < self.max_cells() => return Some(at),
                _ => self.make_room(),
            }
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.cells.len()
    }

    pub(super) fn max_cells(&self) -> usize {
        self.per_window.map_or(MAX_DRIFT_CELLS, |per_window| per_window + SLACK)
    }

    fn make_room(&mut self) {
        let Some(per_window) = self.per_window else { return self.widen() };
        let mut windows = std::mem::take(&mut self.windows);
        if self.cells.len() < per_window {
            // Nothing came for longer than a window.
            self.cells.resize_with(per_window, Cell::default);
        }
        self.judge_window(0, per_window, &mut windows);
        self.windows = windows;
        self.cells.pop_front();
        self.first += 1;
    }

    fn widen(&mut self) {
        self.cell_us *= 2;
        let joined = self.cells.len().div_ceil(2);
        for at in 0..joined {
            let mut pair = self.cells.iter_mut().skip(2 * at).take(2).map(std::mem::take);
            if let Some(mut cell) = pair.next() {
                pair.for_each(|next| cell.join(next));
                self.cells[at] = cell;
            }
        }
        self.cells.truncate(joined);
    }

    /// The figures of so many cells from one on.
    fn figures(&self, at: usize, count: usize) -> Totals {
        let mut sum = Cell::default();
        self.cells.iter().skip(at).take(count).for_each(|cell| sum.join(cell.clone()));
        sum.into_totals(self.threshold.metric().name())
    }

    fn judge_window(&self, at: usize, per_window: usize, windows: &mut Windows) {
        let figures = self.figures(at, per_window);
        let metric = self.threshold.metric();
        let (has, needs) = (samples(metric, &figures), samples_needed(metric));
        let seconds = (per_window as u64 * self.cell_us) as f64 / 1e6;
        // What did not happen in a window happened no times in it.
        let none = matches!(metric.stat(), Stat::Rate | Stat::Count).then_some(0.0);
        match measure(metric, &figures, seconds).or(none).filter(|_| has >= needs) {
            None => {
                windows.thin += 1;
                windows.thin_samples = windows.thin_samples.max(has);
            }
            Some(value) => {
                windows.judged += 1;
                windows.missed += u64::from(!self.threshold.holds(value));
                let is_worse = |known: &Worst| match self.threshold.comparison() {
                    Comparison::Less | Comparison::AtMost => value > known.value,
                    Comparison::More | Comparison::AtLeast => value < known.value,
                };
                if windows.worst.as_ref().is_none_or(is_worse) {
                    let from_us = self.from_us + (self.first + at as u64) * self.cell_us;
                    windows.worst = Some(Worst { value, from_us });
                }
            }
        }
    }

    /// Cells that are over when the run has come to `to_us`.
    fn whole_cells(&self, to_us: u64) -> usize {
        let whole = to_us.saturating_sub(self.from_us) / self.cell_us;
        whole.saturating_sub(self.first) as usize
    }

    /// All windows of the run, of which the last one ends with it. `ends_us` is when the load ended: what comes after is
    /// players leaving.
    pub(super) fn windows(&self, ends_us: u64) -> Windows {
        let mut windows = self.windows.clone();
        let Some(per_window) = self.per_window else { return windows };
        let whole = self.whole_cells(self.to_us.min(ends_us));
        for at in 0..(whole + 1).saturating_sub(per_window) {
            self.judge_window(at, per_window, &mut windows);
        }
        windows
    }

    /// The figures from its time on, and how many seconds they are of.
    pub(super) fn whole(&self, ends_us: u64) -> (Totals, f64) {
        let seconds = self.to_us.min(ends_us).saturating_sub(self.from_us) as f64 / 1e6;
        (self.figures(0, self.cells.len()), seconds)
    }

    /// How much the metric changes an hour, relative to its median; none while there is too little to say.
    pub(super) fn drift(&self, ends_us: u64) -> Option<f64> {
        let metric = self.threshold.metric();
        let cell_s = self.cell_us as f64 / 1e6;
        let whole = self.whole_cells(self.to_us.min(ends_us));
        let points: Vec<(f64, f64)> = (0..whole.min(self.cells.len()))
            .filter_map(|at| {
                let value = measure(metric, &self.figures(at, 1), cell_s)?;
                Some(((at as f64 + 0.5) * cell_s / 3_600.0, value))
            })
            .collect();
        drift(&points)
    }

    /// What it comes to when the run has come to `now_us`: in the latest window, or in all so far.
    pub(super) fn now(&self, now_us: u64) -> Option<f64> {
        let metric = self.threshold.metric();
        if metric.is_drift() {
            return self.drift(now_us);
        }
        let Some(per_window) = self.per_window else {
            let (figures, seconds) = self.whole(now_us);
            return measure(metric, &figures, seconds).filter(|_| samples(metric, &figures) >= samples_needed(metric));
        };
        let at = self.whole_cells(now_us).checked_sub(per_window)?;
        let mut latest = Windows::default();
        self.judge_window(at, per_window, &mut latest);
        latest.worst.map(|worst| worst.value)
    }
}

/// Of how many intervals a cell is, for windows of so many: few cells to a window, and the window a whole number of them.
fn cell_of(intervals: u64) -> u64 {
    let least = intervals.div_ceil(MAX_PER_WINDOW);
    (least..=intervals).find(|cell| intervals.is_multiple_of(*cell)).unwrap_or(intervals)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_whole_cells_and_not_many() {
        for intervals in 1..5_000 {
            let cell = cell_of(intervals);
            assert!(intervals % cell == 0 && intervals / cell <= MAX_PER_WINDOW, "{intervals}");
        }
        assert_eq!([30, 60, 61, 3_600].map(cell_of), [1, 1, 61, 60]);
    }
}
