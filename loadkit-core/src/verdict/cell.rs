//! What one metric gathered in a stretch of time.

use crate::metrics::{GaugeDelta, Snapshot, StepDelta, Totals, TrendDelta};

/// What stands under one name in a stretch of time, and how the players ended in it.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "keep", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Cell {
    step: Option<StepDelta>,
    trend: Option<TrendDelta>,
    count: Option<u64>,
    gauge: Option<GaugeDelta>,
    finished: u64,
    failed: u64,
}

impl Cell {
    /// Adds what a snapshot has under this name.
    pub(super) fn add(&mut self, name: Option<&str>, snapshot: &Snapshot) {
        self.join(Cell {
            step: find(&snapshot.steps, name).cloned(),
            trend: find(&snapshot.trends, name).cloned(),
            count: find(&snapshot.counts, name).copied(),
            gauge: find(&snapshot.gauges, name).copied(),
            finished: snapshot.finished,
            failed: snapshot.failed.iter().map(|(_, count)| count).sum(),
        });
    }

    pub(super) fn join(&mut self, other: Cell) {
        match (&mut self.step, other.step) {
            (Some(ours), Some(theirs)) => ours.merge(&theirs),
            (ours @ None, theirs) => *ours = theirs,
            _ => {}
        }
        match (&mut self.trend, other.trend) {
            (Some(ours), Some(theirs)) => ours.values.merge(&theirs.values),
            (ours @ None, theirs) => *ours = theirs,
            _ => {}
        }
        if let Some(count) = other.count {
            self.count = Some(self.count.unwrap_or(0).saturating_add(count));
        }
        if let Some(gauge) = other.gauge {
            self.gauge = Some(self.gauge.map_or(gauge, |ours| ours.merge(gauge)));
        }
        self.finished = self.finished.saturating_add(other.finished);
        self.failed = self.failed.saturating_add(other.failed);
    }

    /// The same as the totals of a run in which there was nothing else.
    pub(super) fn into_totals(self, name: Option<&str>) -> Totals {
        let mut totals = Totals { finished: self.finished, ..Totals::default() };
        if self.failed > 0 {
            totals.failed.push((String::new(), self.failed));
        }
        let name = name.unwrap_or_default().to_owned();
        if let Some(step) = self.step {
            totals.steps.entry(name.clone()).or_default().apply(&step);
        }
        if let Some(trend) = self.trend {
            let row = totals.trends.entry(name.clone()).or_default();
            row.unit = trend.unit;
            row.values.apply(&trend.values);
        }
        totals.counts.extend(self.count.map(|count| (name.clone(), count)));
        totals.gauges.extend(self.gauge.map(|gauge| (name, gauge)));
        totals
    }
}

fn find<'a, T>(rows: &'a [(String, T)], name: Option<&str>) -> Option<&'a T> {
    let name = name?;
    rows.iter().find(|(known, _)| known == name).map(|(_, row)| row)
}
