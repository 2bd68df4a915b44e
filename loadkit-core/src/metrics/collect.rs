//! Snapshots in, figures out: exact totals, and a bounded series over time. Order and repetition do not matter.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;

use super::histogram::HistogramDelta;
use super::names::is_kits_own;
use super::recorder::{GaugeReading, MAX_SAMPLES, StepTotals, TrendTotals, count_kind};
use super::snapshot::{FailureSample, GaugeDelta, Snapshot, StepDelta};
use crate::failure::Failure;
use crate::split::is_whole;

/// At most so many points in the series; at the bound neighbours are joined and the width doubles.
const MAX_POINTS: usize = 300;
/// At most so many names of each kind from all workers together.
const MAX_NAMES: usize = 1_024;
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

/// Everything that a run gathered, exactly: N shards merged equal one, bucket for bucket.
#[derive(Clone, Debug, Default, PartialEq)]
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
            if let Some(step) = entry(&mut self.steps, name) {
                step.apply(delta);
            }
        }
        for (name, delta) in &snapshot.trends {
            if let Some(trend) = entry(&mut self.trends, name) {
                trend.unit = delta.unit;
                trend.values.apply(&delta.values);
            }
        }
        for (name, n) in &snapshot.counts {
            if let Some(count) = entry(&mut self.counts, name) {
                *count = count.saturating_add(*n);
            }
        }
        for (name, delta) in &snapshot.gauges {
            let merged = self.gauges.get(name).map_or(*delta, |old| old.merge(*delta));
            if self.gauges.len() < MAX_NAMES || self.gauges.contains_key(name) {
                self.gauges.insert(name.clone(), merged);
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
    }
}

fn entry<'a, T: Default>(rows: &'a mut BTreeMap<String, T>, name: &str) -> Option<&'a mut T> {
    if !rows.contains_key(name) {
        if rows.len() >= MAX_NAMES {
            return None;
        }
        rows.insert(name.to_owned(), T::default());
    }
    rows.get_mut(name)
}

/// A step within one point of the series.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SeriesStep {
    /// Response times of those that succeeded, µs.
    pub response: HistogramDelta,
    /// How many failed.
    pub failed: u64,
}

/// A shard's population at the end of its latest interval within a point.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Population {
    to_us: u64,
    active: u64,
    connected: u64,
    planned: u64,
}

impl Population {
    fn of(snapshot: &Snapshot) -> Population {
        let Snapshot { to_us, active, connected, planned, .. } = *snapshot;
        Population { to_us, active, connected, planned }
    }
}

/// One point of the series: all that happened within its width.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Point {
    population: BTreeMap<(u32, u32), Population>,
    /// Steps by name.
    pub steps: BTreeMap<String, SeriesStep>,
    /// Trends of connections and of the kit itself (`net.` and `loadkit.`), without their parts, by name.
    pub trends: BTreeMap<String, HistogramDelta>,
    /// Counts of the same.
    pub counts: BTreeMap<String, u64>,
    /// Gauges of the same.
    pub gauges: BTreeMap<String, GaugeDelta>,
    /// Players started.
    pub started: u64,
    /// Players that failed.
    pub failed: u64,
}

impl Point {
    /// Players at work at its end.
    pub fn active(&self) -> u64 {
        self.population.values().map(|shard| shard.active).sum()
    }

    /// Players with an open connection at its end.
    pub fn connected(&self) -> u64 {
        self.population.values().map(|shard| shard.connected).sum()
    }

    /// Players that the load shape asked for at its end.
    pub fn planned(&self) -> u64 {
        self.population.values().map(|shard| shard.planned).sum()
    }

    fn add(&mut self, snapshot: &Snapshot) {
        self.put((snapshot.key.worker, snapshot.key.shard), Population::of(snapshot));
        for (name, StepDelta { response, failures, .. }) in &snapshot.steps {
            if let Some(step) = entry(&mut self.steps, name) {
                step.response.merge(response);
                step.failed += failures.iter().map(|(_, count)| count).sum::<u64>();
            }
        }
        for (name, delta) in snapshot.trends.iter().filter(|(name, _)| is_kits_own(name)) {
            self.put_trend(name, &delta.values);
        }
        for (name, count) in snapshot.counts.iter().filter(|(name, _)| is_kits_own(name)) {
            self.put_count(name, *count);
        }
        for (name, gauge) in snapshot.gauges.iter().filter(|(name, _)| is_kits_own(name)) {
            self.put_gauge(name, *gauge);
        }
        self.started += snapshot.started;
        self.failed += snapshot.failed.iter().map(|(_, count)| count).sum::<u64>();
    }

    fn put(&mut self, shard: (u32, u32), population: Population) {
        let latest = self.population.entry(shard).or_insert(population);
        if population.to_us >= latest.to_us {
            *latest = population;
        }
    }

    fn put_trend(&mut self, name: &str, values: &HistogramDelta) {
        if let Some(ours) = entry(&mut self.trends, name) {
            ours.merge(values);
        }
    }

    fn put_count(&mut self, name: &str, n: u64) {
        if let Some(ours) = entry(&mut self.counts, name) {
            *ours = ours.saturating_add(n);
        }
    }

    fn put_gauge(&mut self, name: &str, gauge: GaugeDelta) {
        let merged = self.gauges.get(name).map_or(gauge, |ours| ours.merge(gauge));
        if self.gauges.len() < MAX_NAMES || self.gauges.contains_key(name) {
            self.gauges.insert(name.to_owned(), merged);
        }
    }

    fn join(&mut self, other: Point) {
        for (shard, population) in other.population {
            self.put(shard, population);
        }
        for (name, theirs) in other.steps {
            if let Some(ours) = entry(&mut self.steps, &name) {
                ours.response.merge(&theirs.response);
                ours.failed += theirs.failed;
            }
        }
        other.trends.iter().for_each(|(name, values)| self.put_trend(name, values));
        other.counts.iter().for_each(|(name, count)| self.put_count(name, *count));
        other.gauges.iter().for_each(|(name, gauge)| self.put_gauge(name, *gauge));
        self.started += other.started;
        self.failed += other.failed;
    }
}

/// Gathers the snapshots of a run into totals and a series.
#[derive(Clone, Debug, PartialEq)]
pub struct Collector {
    totals: Totals,
    seen: BTreeMap<(u32, u32, u32), Seen>,
    width: Duration,
    points: Vec<Point>,
}

impl Collector {
    /// An empty one, for snapshots of this interval.
    pub fn new(interval: Duration) -> Collector {
        let width = interval.max(Duration::from_millis(1));
        Collector { totals: Totals::default(), seen: BTreeMap::new(), width, points: Vec::new() }
    }

    /// Adds a snapshot, unless it has been added before.
    pub fn apply(&mut self, snapshot: &Snapshot) -> Applied {
        let key = snapshot.key;
        let applied = self.seen.entry((key.worker, key.shard, key.attempt)).or_default().admit(key.seq);
        if applied == Applied::New {
            self.totals.add(snapshot);
            self.point_at(snapshot.to_us.saturating_sub(1)).add(snapshot);
            self.fill_from(snapshot);
        }
        applied
    }

    /// Everything so far.
    pub fn totals(&self) -> &Totals {
        &self.totals
    }

    /// The series so far: point `i` covers the time from `i` to `i + 1` widths since the start of the run.
    pub fn points(&self) -> &[Point] {
        &self.points
    }

    /// How much time a point covers.
    pub fn width(&self) -> Duration {
        self.width
    }

    /// An interval that was joined from several counts its population in every point that it touches.
    fn fill_from(&mut self, snapshot: &Snapshot) {
        let index = |us: u64| usize::try_from(u128::from(us) * 1_000 / self.width.as_nanos()).unwrap_or(usize::MAX);
        let (first, last) = (index(snapshot.from_us), index(snapshot.to_us.saturating_sub(1)));
        let shard = (snapshot.key.worker, snapshot.key.shard);
        for point in self.points.iter_mut().take(last).skip(first) {
            point.put(shard, Population::of(snapshot));
        }
    }

    fn point_at(&mut self, at_us: u64) -> &mut Point {
        loop {
            let index = u128::from(at_us) * 1_000 / self.width.as_nanos();
            match usize::try_from(index) {
                Ok(index) if index < MAX_POINTS => {
                    if self.points.len() <= index {
                        self.points.resize_with(index + 1, Point::default);
                    }
                    return &mut self.points[index];
                }
                _ => self.widen(),
            }
        }
    }

    fn widen(&mut self) {
        self.width *= 2;
        let mut narrow = std::mem::take(&mut self.points).into_iter();
        while let Some(mut point) = narrow.next() {
            if let Some(next) = narrow.next() {
                point.join(next);
            }
            self.points.push(point);
        }
    }
}

#[async_trait]
impl MetricSink for Collector {
    async fn publish(&mut self, snapshot: &Snapshot) -> Result<(), Failure> {
        self.apply(snapshot);
        Ok(())
    }
}
