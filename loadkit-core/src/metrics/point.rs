//! One point of the series over time.

use std::collections::BTreeMap;

use super::collect::{MAX_NAMES, entry};
use super::histogram::HistogramDelta;
use super::names::is_kits_own;
use super::packed::{Slot, Store};
use super::snapshot::{GaugeDelta, Snapshot, StepDelta};
use super::stretch::ShardPlayers;

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
    pub(super) fn of(shard: &ShardPlayers) -> Population {
        let ShardPlayers { to_us, active, connected, planned, .. } = *shard;
        Population { to_us, active, connected, planned }
    }
}

/// One point of the series: all that happened within its width.
#[derive(Clone, Copy)]
pub struct Point<'a> {
    row: &'a Row,
    store: &'a Store,
}

impl<'a> Point<'a> {
    pub(super) fn new(row: &'a Row, store: &'a Store) -> Point<'a> {
        Point { row, store }
    }

    /// Players at work at its end.
    pub fn active(&self) -> u64 {
        self.row.population.values().map(|shard| shard.active).sum()
    }

    /// Players with an open connection at its end.
    pub fn connected(&self) -> u64 {
        self.row.population.values().map(|shard| shard.connected).sum()
    }

    /// Players that the load shape asked for at its end.
    pub fn planned(&self) -> u64 {
        self.row.population.values().map(|shard| shard.planned).sum()
    }

    /// Players started.
    pub fn started(&self) -> u64 {
        self.row.started
    }

    /// Players that failed.
    pub fn failed(&self) -> u64 {
        self.row.failed
    }

    /// A step within it.
    pub fn step(&self, name: &str) -> Option<SeriesStep> {
        self.row.steps.get(name).map(|step| self.unpacked(step))
    }

    /// The names of the steps within it.
    pub fn step_names(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.row.steps.keys().map(String::as_str)
    }

    /// All steps within it, by name.
    pub fn steps(self) -> impl Iterator<Item = (&'a str, SeriesStep)> {
        self.row.steps.iter().map(move |(name, step)| (name.as_str(), self.unpacked(step)))
    }

    /// The trends of connections and of the kit itself (`net.` and `loadkit.`) that have values within it, without their
    /// parts, by name.
    pub fn trends(self) -> impl Iterator<Item = (&'a str, HistogramDelta)> {
        let with_values = self.row.trends.iter().filter(|(_, values)| !values.is_empty());
        with_values.map(move |(name, values)| (name.as_str(), self.store.unpack(*values)))
    }

    /// Counts of connections and of the kit itself, without their parts, by name.
    pub fn counts(&self) -> &'a BTreeMap<String, u64> {
        &self.row.counts
    }

    /// Gauges of the same.
    pub fn gauges(&self) -> &'a BTreeMap<String, GaugeDelta> {
        &self.row.gauges
    }

    fn unpacked(&self, (response, failed): &(Slot, u64)) -> SeriesStep {
        SeriesStep { response: self.store.unpack(*response), failed: *failed }
    }
}

impl PartialEq for Point<'_> {
    /// By what they stand for, wherever it lies.
    fn eq(&self, other: &Point<'_>) -> bool {
        let rest = |row: &Row| (row.started, row.failed);
        rest(self.row) == rest(other.row)
            && self.row.population == other.row.population
            && self.row.counts == other.row.counts
            && self.row.gauges == other.row.gauges
            && self.steps().eq(other.steps())
            && self.trends().eq(other.trends())
    }
}

impl std::fmt::Debug for Point<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.row.fmt(f)
    }
}

/// Whose population it is: attempts at a segment hand over to each other, and both have players meanwhile.
pub(super) fn shard_of(shard: &ShardPlayers) -> (u32, u32, u32) {
    (shard.key.worker, shard.key.shard, shard.key.attempt)
}

/// What a point has gathered; its histograms lie in the series' store.
#[derive(Clone, Debug, Default)]
pub(super) struct Row {
    pub(super) population: BTreeMap<(u32, u32, u32), Population>,
    /// Steps by name: their response times, and how many failed.
    pub(super) steps: BTreeMap<String, (Slot, u64)>,
    /// Trends of connections and of the kit itself, without their parts, by name.
    pub(super) trends: BTreeMap<String, Slot>,
    pub(super) counts: BTreeMap<String, u64>,
    pub(super) gauges: BTreeMap<String, GaugeDelta>,
    pub(super) started: u64,
    pub(super) failed: u64,
}

impl Row {
    /// Adds what was gathered; whose population it is, is put beside it.
    pub(super) fn add(&mut self, snapshot: &Snapshot, store: &mut Store) {
        for (name, StepDelta { response, failures, .. }) in &snapshot.steps {
            if let Some(ours) = entry(&mut self.steps, name) {
                store.merge(&mut ours.0, response);
                ours.1 = ours.1.saturating_add(failures.iter().map(|(_, count)| count).sum());
            }
        }
        for (name, delta) in snapshot.trends.iter().filter(|(name, _)| is_kits_own(name)) {
            if let Some(ours) = entry(&mut self.trends, name) {
                store.merge(ours, &delta.values);
            }
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

    pub(super) fn put(&mut self, shard: (u32, u32, u32), population: Population) {
        let latest = self.population.entry(shard).or_insert(population);
        if population.to_us >= latest.to_us {
            *latest = population;
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

    /// Takes in the row that follows. What finds no room for its name is given up.
    pub(super) fn join(&mut self, next: Row, store: &mut Store) {
        for (shard, population) in next.population {
            self.put(shard, population);
        }
        for (name, (times, failed)) in &next.steps {
            match entry(&mut self.steps, name) {
                Some(ours) => {
                    store.join(&mut ours.0, *times);
                    ours.1 = ours.1.saturating_add(*failed);
                }
                None => store.drop(*times),
            }
        }
        for (name, values) in &next.trends {
            match entry(&mut self.trends, name) {
                Some(ours) => store.join(ours, *values),
                None => store.drop(*values),
            }
        }
        next.counts.iter().for_each(|(name, count)| self.put_count(name, *count));
        next.gauges.iter().for_each(|(name, gauge)| self.put_gauge(name, *gauge));
        self.started += next.started;
        self.failed += next.failed;
    }

    /// Where all its histograms lie.
    pub(super) fn slots(&mut self) -> impl Iterator<Item = &mut Slot> {
        self.steps.values_mut().map(|(slot, _)| slot).chain(self.trends.values_mut())
    }
}
