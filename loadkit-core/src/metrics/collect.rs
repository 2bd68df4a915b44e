//! Snapshots in, figures out: exact totals, and a bounded series over time. Order and repetition do not matter.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;

use super::names::NAMES_LEFT_OUT;
use super::point::Point;
use super::recorder::{GaugeReading, MAX_SAMPLES, StepTotals, TrendTotals, count_kind};
use super::series::Series;
use super::snapshot::{FailureSample, GaugeDelta, Snapshot, SnapshotKey};
use super::stretch::Stretch;
use super::table::MAX_LEFT_OUT;
use crate::failure::Failure;
use crate::flight::{self, Flight};
use crate::split::is_whole;

/// At most so many names of each kind from all workers together.
pub(super) const MAX_NAMES: usize = 1_024;
/// At most so many snapshots of one shard that came before one that is still missing.
const MAX_AHEAD: usize = 65_536;

/// Where snapshots go: a collector, a queue, a file. Called about once a second and shard.
#[async_trait]
pub trait MetricSink: Send {
    /// Takes one snapshot. Delivery may repeat and reorder: [`Snapshot::key`] tells.
    ///
    /// # Errors
    /// When the snapshot could not be taken; the run goes on and counts it as lost.
    async fn publish(&mut self, snapshot: &Snapshot) -> Result<(), Failure>;
}

/// What became of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// It was new and counts.
    New,
    /// It had been applied before; nothing changed.
    Duplicate,
    /// It came too far ahead of a missing one to be told apart from a repetition later; nothing changed.
    TooFarAhead,
}

/// Which snapshots of one shard have been applied: all below `next`, and those in `ahead`.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "keep", derive(serde::Serialize, serde::Deserialize))]
struct Seen {
    next: u64,
    ahead: BTreeSet<u64>,
}

impl Seen {
    fn admit(&mut self, seq: u64) -> Applied {
        if seq < self.next || self.ahead.contains(&seq) {
            return Applied::Duplicate;
        }
        if seq > self.next && self.ahead.len() >= MAX_AHEAD {
            return Applied::TooFarAhead;
        }
        self.ahead.insert(seq);
        while self.ahead.remove(&self.next) {
            self.next += 1;
        }
        Applied::New
    }
}

/// Which snapshots of one shard have come: all below `next`, and `ahead` more of those behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardSeen {
    /// The worker.
    pub worker: u32,
    /// The shard within the worker.
    pub shard: u32,
    /// The attempt at the worker's segment.
    pub attempt: u32,
    /// The first that is missing, or has not been made yet.
    pub next: u64,
    /// How many have come that are behind a missing one.
    pub ahead: u64,
    /// The last of those.
    pub last: Option<u64>,
}

impl ShardSeen {
    /// How many are known to be missing: those before the last that came.
    pub fn missing(&self) -> u64 {
        self.last.map_or(0, |last| (last + 1).saturating_sub(self.next).saturating_sub(self.ahead))
    }
}

/// Everything that a run gathered, exactly: N shards merged equal one, bucket for bucket.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "keep", derive(serde::Serialize, serde::Deserialize))]
pub struct Totals {
    /// Steps by name.
    pub steps: BTreeMap<String, StepTotals>,
    /// Trends by name.
    pub trends: BTreeMap<String, TrendTotals>,
    /// Counts by name.
    pub counts: BTreeMap<String, u64>,
    /// Gauges by name.
    pub gauges: BTreeMap<String, GaugeDelta>,
    /// Players started.
    pub started: u64,
    /// Players that ended well.
    pub finished: u64,
    /// Players that failed, by kind, sorted by kind.
    pub failed: Vec<(String, u64)>,
    /// Players cut off by the end of the grace time.
    pub cut_off: u64,
    /// The earliest messages of failures, a bounded number.
    pub samples: BTreeSet<FailureSample>,
    /// Some names for which there was no room, in a shard or here: the first by the alphabet.
    pub left_out: BTreeSet<String>,
    /// What some players did last, above all those that failed: a bounded number, the most telling first.
    pub flights: Vec<Flight>,
    /// The end of the latest interval, µs since the start of the run.
    pub to_us: u64,
}

impl Totals {
    /// Players that failed, of all kinds.
    pub fn failed(&self) -> u64 {
        self.failed.iter().map(|(_, count)| count).sum()
    }

    /// All steps, without their parts for shares of the players.
    pub fn whole_steps(&self) -> impl Iterator<Item = (&str, &StepTotals)> {
        self.steps.iter().map(|(name, step)| (name.as_str(), step)).filter(|(name, _)| is_whole(name))
    }

    /// A count's value, 0 if it was never counted.
    pub fn count(&self, name: &str) -> u64 {
        self.counts.get(name).copied().unwrap_or(0)
    }

    /// A gauge's reading.
    pub fn gauge(&self, name: &str) -> Option<GaugeReading> {
        self.gauges.get(name).map(|gauge| gauge.reading)
    }

    /// Adds what a snapshot gathered. The caller sees to it that each is added once.
    fn add(&mut self, snapshot: &Snapshot) {
        for (name, delta) in &snapshot.steps {
            match entry(&mut self.steps, name) {
                Some(step) => step.apply(delta),
                None => self.leave_out(name, delta.response.count()),
            }
        }
        for (name, delta) in &snapshot.trends {
            match entry(&mut self.trends, name) {
                Some(trend) => {
                    trend.unit = delta.unit;
                    trend.values.apply(&delta.values);
                }
                None => self.leave_out(name, delta.values.count()),
            }
        }
        for (name, n) in &snapshot.counts {
            match entry(&mut self.counts, name) {
                Some(count) => *count = count.saturating_add(*n),
                None => self.leave_out(name, 1),
            }
        }
        for (name, delta) in &snapshot.gauges {
            let merged = self.gauges.get(name).map_or(*delta, |old| old.merge(*delta));
            if self.gauges.len() < MAX_NAMES || self.gauges.contains_key(name) {
                self.gauges.insert(name.clone(), merged);
            } else {
                self.leave_out(name, 1);
            }
        }
        for (kind, count) in &snapshot.failed {
            count_kind(&mut self.failed, kind, *count);
        }
        self.started = self.started.saturating_add(snapshot.started);
        self.finished = self.finished.saturating_add(snapshot.finished);
        self.cut_off = self.cut_off.saturating_add(snapshot.cut_off);
        self.to_us = self.to_us.max(snapshot.to_us);
        self.samples.extend(snapshot.samples.iter().cloned());
        while self.samples.len() > MAX_SAMPLES {
            self.samples.pop_last();
        }
        if !snapshot.flights.is_empty() {
            self.flights.extend(snapshot.flights.iter().cloned());
            flight::choose(&mut self.flights);
        }
        snapshot.left_out.iter().for_each(|name| self.leave_out(name, 0));
    }

    /// Tells that there was no room for a name, and counts the records under it that are not counted yet.
    fn leave_out(&mut self, name: &str, records: u64) {
        if records > 0 {
            let count = self.counts.entry(NAMES_LEFT_OUT.to_owned()).or_default();
            *count = count.saturating_add(records);
        }
        self.left_out.insert(name.to_owned());
        while self.left_out.len() > MAX_LEFT_OUT {
            self.left_out.pop_last();
        }
    }
}

pub(super) fn entry<'a, T: Default>(rows: &'a mut BTreeMap<String, T>, name: &str) -> Option<&'a mut T> {
    if !rows.contains_key(name) {
        if rows.len() >= MAX_NAMES {
            return None;
        }
        rows.insert(name.to_owned(), T::default());
    }
    rows.get_mut(name)
}

/// Gathers the snapshots of a run into totals and a series.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "keep", derive(serde::Serialize, serde::Deserialize))]
pub struct Collector {
    totals: Totals,
    seen: BTreeMap<(u32, u32, u32), Seen>,
    series: Series,
}

impl Collector {
    /// An empty one, for snapshots of this interval.
    pub fn new(interval: Duration) -> Collector {
        Collector { totals: Totals::default(), seen: BTreeMap::new(), series: Series::new(interval) }
    }

    /// For tests: one that has gathered this, in no time.
    #[cfg(test)]
    pub(crate) fn of(totals: Totals) -> Collector {
        Collector { totals, ..Collector::new(Duration::from_secs(1)) }
    }

    /// Adds a snapshot, unless it has been added before.
    pub fn apply(&mut self, snapshot: &Snapshot) -> Applied {
        let applied = self.admit(snapshot.key);
        if applied == Applied::New {
            self.add(&Stretch::one(snapshot));
        }
        applied
    }

    /// Notes that a snapshot has come. What is new is to be added.
    pub(crate) fn admit(&mut self, key: SnapshotKey) -> Applied {
        self.seen.entry((key.worker, key.shard, key.attempt)).or_default().admit(key.seq)
    }

    /// Adds snapshots that were admitted.
    pub(crate) fn add(&mut self, stretch: &Stretch<'_>) {
        self.totals.add(stretch.figures());
        self.series.add(stretch);
    }

    /// Everything so far.
    pub fn totals(&self) -> &Totals {
        &self.totals
    }

    /// The series so far: point `i` covers the time from `i` to `i + 1` widths since the start of the run.
    pub fn points(&self) -> impl DoubleEndedIterator<Item = Point<'_>> + ExactSizeIterator + Clone {
        self.series.points()
    }

    /// How much time a point covers.
    pub fn width(&self) -> Duration {
        self.series.width()
    }

    /// What has come from each shard, in the order of workers, shards and attempts.
    pub fn seen(&self) -> impl Iterator<Item = ShardSeen> {
        self.seen.iter().map(|(&(worker, shard, attempt), seen)| {
            let (next, ahead) = (seen.next, seen.ahead.len() as u64);
            ShardSeen { worker, shard, attempt, next, ahead, last: seen.ahead.last().copied() }
        })
    }

    /// Whether it can be what one for snapshots of this interval has become.
    #[cfg(feature = "keep")]
    pub(crate) fn is_of(&self, interval: Duration) -> bool {
        self.series.is_of(interval)
    }
}

#[async_trait]
impl MetricSink for Collector {
    async fn publish(&mut self, snapshot: &Snapshot) -> Result<(), Failure> {
        self.apply(snapshot);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::RunId;

    #[test]
    fn what_is_missing_can_be_told() {
        let mut collector = Collector::new(Duration::from_secs(1));
        for (worker, attempt, seq) in [(3, 0, 0), (3, 0, 4), (3, 0, 1), (3, 0, 4), (3, 0, 7), (3, 1, 0), (1, 0, 2)] {
            let key = SnapshotKey { run: RunId(1), worker, shard: 0, attempt, seq };
            collector.apply(&Snapshot::empty(key, seq * 1_000_000, (seq + 1) * 1_000_000));
        }
        let seen: Vec<_> =
            collector.seen().map(|seen| (seen.worker, seen.attempt, seen.next, seen.ahead, seen.missing())).collect();
        // Of the second, 2, 3, 5 and 6 are missing; of the third, as far as is known, nothing.
        assert_eq!(seen, [(1, 0, 0, 1, 2), (3, 0, 2, 2, 4), (3, 1, 1, 0, 0)]);
    }
}
