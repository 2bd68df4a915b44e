//! `Snapshots of one stretch of time -> one`: what many shards gathered at the same time, joined once and not once a snapshot.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rustc_hash::FxHashMap;

use super::dense::Dense;
use super::histogram::HistogramDelta;
use super::recorder::MAX_SAMPLES;
use super::snapshot::{GaugeDelta, Snapshot, SnapshotKey, StepDelta, TrendDelta};
use super::wire::PackedDelta;
use crate::flight;

/// A second, µs.
const SECOND_US: u64 = 1_000_000;

/// What several shards gathered in the same stretch of time.
///
/// It begins and ends for all of them within the same interval of the run, and within the same second: so it belongs to one
/// window of whatever is made of whole intervals or of whole seconds.
#[derive(Clone, Debug)]
pub struct Stretch<'a> {
    figures: Cow<'a, Snapshot>,
    shards: Vec<ShardPlayers>,
}

/// A shard's players at the end of its interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardPlayers {
    /// Of which snapshot.
    pub key: SnapshotKey,
    /// When that was, µs since the start of the run.
    pub to_us: u64,
    /// At work.
    pub active: u64,
    /// With an open connection.
    pub connected: u64,
    /// That the load shape asked for.
    pub planned: u64,
}

impl ShardPlayers {
    fn of<H>(snapshot: &Snapshot<H>) -> ShardPlayers {
        let Snapshot { key, to_us, active, connected, planned, .. } = *snapshot;
        ShardPlayers { key, to_us, active, connected, planned }
    }
}

impl<'a> Stretch<'a> {
    /// One snapshot alone.
    pub(crate) fn one(snapshot: &'a Snapshot) -> Stretch<'a> {
        Stretch { figures: Cow::Borrowed(snapshot), shards: vec![ShardPlayers::of(snapshot)] }
    }

    /// Deals snapshots out by their stretches of time, joins those of each, and gives them out in the order of their ends. They
    /// are of a run with intervals of this length, and the caller sees to it that each is there once.
    pub fn each(
        snapshots: impl IntoIterator<Item = &'a Snapshot<PackedDelta>>,
        interval: Duration,
        mut each: impl FnMut(&Stretch<'_>),
    ) {
        let grain_us = grain_us(interval);
        let mut by_time = BTreeMap::<(u64, u64), Vec<&Snapshot<PackedDelta>>>::new();
        for snapshot in snapshots {
            let (from, to) = (snapshot.from_us / grain_us, snapshot.to_us.saturating_sub(1) / grain_us);
            by_time.entry((to, from)).or_default().push(snapshot);
        }
        let mut joiner = Joiner::default();
        for snapshots in by_time.into_values() {
            let shards = snapshots.iter().map(|snapshot| ShardPlayers::of(snapshot)).collect();
            if let Some(figures) = joiner.sum(&snapshots) {
                each(&Stretch { figures: Cow::Owned(figures), shards });
            }
        }
    }

    /// The figures of all of them as one snapshot, **but for the players' whereabouts** (`active`, `connected`, `planned`),
    /// which are a state of each shard; its key is that of one of them.
    pub fn figures(&self) -> &Snapshot {
        &self.figures
    }

    /// The players' whereabouts, a snapshot each: at least one.
    pub fn shards(&self) -> &[ShardPlayers] {
        &self.shards
    }
}

/// Joins snapshots of one stretch, one name after the other.
#[derive(Default)]
struct Joiner {
    dense: Dense,
}

impl Joiner {
    fn sum(&mut self, snapshots: &[&Snapshot<PackedDelta>]) -> Option<Snapshot> {
        let first = snapshots.first()?;
        let mut sum = Snapshot::empty(first.key, first.from_us, first.to_us);
        let mut samples = BTreeSet::new();
        for snapshot in snapshots {
            (sum.from_us, sum.to_us) = (sum.from_us.min(snapshot.from_us), sum.to_us.max(snapshot.to_us));
            sum.started = sum.started.saturating_add(snapshot.started);
            sum.finished = sum.finished.saturating_add(snapshot.finished);
            sum.cut_off = sum.cut_off.saturating_add(snapshot.cut_off);
            samples.extend(&snapshot.samples);
            while samples.len() > MAX_SAMPLES {
                samples.pop_last();
            }
            if !snapshot.flights.is_empty() {
                sum.flights.extend_from_slice(&snapshot.flights);
                flight::choose(&mut sum.flights);
            }
            sum.left_out.extend_from_slice(&snapshot.left_out);
        }
        sum.samples = samples.into_iter().cloned().collect();
        sum.failed = kinds(snapshots.iter().map(|snapshot| snapshot.failed.as_slice()));
        let steps = columns(snapshots.iter().map(|snapshot| snapshot.steps.as_slice()));
        sum.steps = steps.into_iter().map(|(name, rows)| (name.to_owned(), self.step(&rows))).collect();
        let trends = columns(snapshots.iter().map(|snapshot| snapshot.trends.as_slice()));
        sum.trends = trends.into_iter().map(|(name, rows)| (name.to_owned(), self.trend(&rows))).collect();
        let counts = columns(snapshots.iter().map(|snapshot| snapshot.counts.as_slice()));
        let added = |rows: Vec<&u64>| rows.into_iter().fold(0, |sum: u64, n| sum.saturating_add(*n));
        sum.counts = counts.into_iter().map(|(name, rows)| (name.to_owned(), added(rows))).collect();
        let gauges = columns(snapshots.iter().map(|snapshot| snapshot.gauges.as_slice()));
        let merged = |(name, rows): (&str, Vec<_>)| {
            Some((name.to_owned(), rows.into_iter().copied().reduce(GaugeDelta::merge)?))
        };
        sum.gauges = gauges.into_iter().filter_map(merged).collect();
        Some(sum)
    }

    fn step(&mut self, rows: &[&StepDelta<PackedDelta>]) -> StepDelta {
        StepDelta {
            service: self.joined(rows.iter().map(|row| &row.service)),
            response: self.joined(rows.iter().map(|row| &row.response)),
            failures: kinds(rows.iter().map(|row| row.failures.as_slice())),
        }
    }

    fn trend(&mut self, rows: &[&TrendDelta<PackedDelta>]) -> TrendDelta {
        let unit = rows.last().map(|row| row.unit).unwrap_or_default();
        TrendDelta { unit, values: self.joined(rows.iter().map(|row| &row.values)) }
    }

    fn joined<'a>(&mut self, deltas: impl Iterator<Item = &'a PackedDelta>) -> HistogramDelta {
        deltas.for_each(|delta| self.dense.add(delta));
        self.dense.take()
    }
}

/// What stands under each name, in the order in which the names come.
fn columns<'a, T>(snapshots: impl Iterator<Item = &'a [(String, T)]>) -> Vec<(&'a str, Vec<&'a T>)> {
    let mut columns: Vec<(&str, Vec<&T>)> = Vec::new();
    let mut places: FxHashMap<&str, usize> = FxHashMap::default();
    for rows in snapshots {
        for (nth, (name, row)) in rows.iter().enumerate() {
            // Shards of one run have their names in the same order, as a rule.
            let is_here = columns.get(nth).is_some_and(|(known, _)| known == name);
            let place = if is_here { nth } else { *places.entry(name).or_insert(columns.len()) };
            match columns.get_mut(place) {
                Some((_, column)) => column.push(row),
                None => columns.push((name, vec![row])),
            }
        }
    }
    columns
}

/// Counts by kind, sorted by kind. Whoever adds them up bounds them.
fn kinds<'a>(all: impl Iterator<Item = &'a [(String, u64)]>) -> Vec<(String, u64)> {
    let mut kinds = BTreeMap::<&str, u64>::new();
    for (kind, count) in all.flatten() {
        let known = kinds.entry(kind).or_default();
        *known = known.saturating_add(*count);
    }
    kinds.into_iter().map(|(kind, count)| (kind.to_owned(), count)).collect()
}

/// Of what every interval and every second is a multiple, µs.
fn grain_us(interval: Duration) -> u64 {
    let is_whole = interval.subsec_nanos().is_multiple_of(1_000);
    let interval_us = u64::try_from(interval.as_micros()).unwrap_or(1);
    if is_whole { common_divisor(interval_us, SECOND_US) } else { 1 }
}

/// The greatest common divisor, at least 1 (Euclid).
fn common_divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a.max(1) } else { common_divisor(b, a % b) }
}
