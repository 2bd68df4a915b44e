//! One point of the series over time.

use std::collections::BTreeMap;

use super::collect::{MAX_NAMES, entry};
use super::histogram::HistogramDelta;
use super::names::is_kits_own;
use super::packed::PackedDelta;
use super::snapshot::{GaugeDelta, Snapshot, StepDelta};

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
#[cfg_attr(feature = "keep", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Population {
    to_us: u64,
    active: u64,
    connected: u64,
    planned: u64,
}

impl Population {
    pub(super) fn of(snapshot: &Snapshot) -> Population {
        let Snapshot { to_us, active, connected, planned, .. } = *snapshot;
        Population { to_us, active, connected, planned }
    }
}

/// One point of the series: all that happened within its width.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "keep", derive(serde::Serialize, serde::Deserialize))]
pub struct Point {
    population: BTreeMap<(u32, u32), Population>,
    /// Steps by name: their response times, and how many failed.
    steps: BTreeMap<String, (PackedDelta, u64)>,
    /// Trends of connections and of the kit itself, without their parts, by name.
    trends: BTreeMap<String, PackedDelta>,
    /// Counts of connections and of the kit itself (`net.` and `loadkit.`), without their parts, by name.
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

    /// A step within it.
    pub fn step(&self, name: &str) -> Option<SeriesStep> {
        self.steps.get(name).map(unpacked)
    }

    /// The names of the steps within it.
    pub fn step_names(&self) -> impl Iterator<Item = &str> {
        self.steps.keys().map(String::as_str)
    }

    /// All steps within it, by name.
    pub fn steps(&self) -> impl Iterator<Item = (&str, SeriesStep)> {
        self.steps.iter().map(|(name, step)| (name.as_str(), unpacked(step)))
    }

    /// The trends of connections and of the kit itself (`net.` and `loadkit.`) that have values within it, without their
    /// parts, by name.
    pub fn trends(&self) -> impl Iterator<Item = (&str, HistogramDelta)> {
        let with_values = self.trends.iter().filter(|(_, values)| !values.is_empty());
        with_values.map(|(name, values)| (name.as_str(), values.unpack()))
    }

    pub(super) fn add(&mut self, snapshot: &Snapshot) {
        self.put((snapshot.key.worker, snapshot.key.shard), Population::of(snapshot));
        for (name, StepDelta { response, failures, .. }) in &snapshot.steps {
            self.put_step(name, response, failures.iter().map(|(_, count)| count).sum());
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

    pub(super) fn put(&mut self, shard: (u32, u32), population: Population) {
        let latest = self.population.entry(shard).or_insert(population);
        if population.to_us >= latest.to_us {
            *latest = population;
        }
    }

    fn put_step(&mut self, name: &str, response: &HistogramDelta, failed: u64) {
        if let Some(ours) = entry(&mut self.steps, name) {
            ours.0.merge(response);
            ours.1 = ours.1.saturating_add(failed);
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

    pub(super) fn join(&mut self, other: Point) {
        for (shard, population) in other.population {
            self.put(shard, population);
        }
        other.steps.iter().for_each(|(name, (times, failed))| self.put_step(name, &times.unpack(), *failed));
        other.trends.iter().for_each(|(name, values)| self.put_trend(name, &values.unpack()));
        other.counts.iter().for_each(|(name, count)| self.put_count(name, *count));
        other.gauges.iter().for_each(|(name, gauge)| self.put_gauge(name, *gauge));
        self.started += other.started;
        self.failed += other.failed;
    }
}

fn unpacked((response, failed): &(PackedDelta, u64)) -> SeriesStep {
    SeriesStep { response: response.unpack(), failed: *failed }
}
