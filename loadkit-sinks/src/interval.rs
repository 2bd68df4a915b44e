//! What all shards together gathered in one interval: one figure of each name, whatever the number of threads.

use std::collections::BTreeMap;

use loadkit_core::{GaugeDelta, HistogramDelta, Snapshot, TrendDelta};

/// At most so many names of each kind in one interval, as in the report.
const MAX_NAMES: usize = 1_024;

/// The figures of one interval, of all shards together. Distributions are merged bucket for bucket.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Interval {
    /// When the run began, µs since 1970.
    pub epoch_us: u64,
    /// When the interval began, µs since the start of the run.
    pub from_us: u64,
    /// When it ended, µs since the start of the run.
    pub to_us: u64,
    /// The players.
    pub players: Players,
    /// Steps by name. Parts, as `login{persona=casual}`, stand beside their wholes.
    pub steps: BTreeMap<String, StepFigures>,
    /// Trends by name.
    pub trends: BTreeMap<String, TrendDelta>,
    /// Counts by name: what was added in the interval.
    pub counts: BTreeMap<String, u64>,
    /// Gauges by name, of those that were set in the interval.
    pub gauges: BTreeMap<String, GaugeDelta>,
    /// Figures left out because there were more names than the bound.
    pub names_left_out: u64,
}

/// Where the players are, and what became of them in the interval.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Players {
    /// At work at the end of the interval.
    pub active: u64,
    /// With an open connection at the end of the interval.
    pub connected: u64,
    /// That the load shape asked for at the end of the interval.
    pub planned: u64,
    /// Started in the interval.
    pub started: u64,
    /// Ended well in the interval.
    pub finished: u64,
    /// Cut off by the end of the grace time.
    pub cut_off: u64,
    /// Failed in the interval, by kind.
    pub failed: BTreeMap<String, u64>,
}

/// A step in one interval.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct StepFigures {
    /// From the actual start, µs, of those that succeeded.
    pub service: HistogramDelta,
    /// From the intended start, µs, of those that succeeded.
    pub response: HistogramDelta,
    /// How many failed, by kind.
    pub failures: BTreeMap<String, u64>,
}

impl StepFigures {
    /// How many failed, of all kinds.
    pub fn failed(&self) -> u64 {
        self.failures.values().sum()
    }
}

impl Interval {
    /// When it began, µs since 1970.
    pub fn began_us(&self) -> u64 {
        self.epoch_us.saturating_add(self.from_us)
    }

    /// When it ended, µs since 1970.
    pub fn ended_us(&self) -> u64 {
        self.epoch_us.saturating_add(self.to_us)
    }

    /// Adds what another has of the same stretch of time or of a part of it, but for its population: that is a state, not a sum.
    pub fn join(&mut self, other: &Interval) {
        self.to_us = self.to_us.max(other.to_us);
        self.players.started += other.players.started;
        self.players.finished += other.players.finished;
        self.players.cut_off += other.players.cut_off;
        other.players.failed.iter().for_each(|(kind, count)| add_to(&mut self.players.failed, kind, *count));
        self.names_left_out += other.names_left_out;
        let left_out = &mut self.names_left_out;
        for (name, theirs) in &other.steps {
            if let Some(step) = entry(&mut self.steps, name, left_out) {
                step.service.merge(&theirs.service);
                step.response.merge(&theirs.response);
                theirs.failures.iter().for_each(|(kind, count)| add_to(&mut step.failures, kind, *count));
            }
        }
        for (name, theirs) in &other.trends {
            if let Some(trend) = entry(&mut self.trends, name, left_out) {
                trend.unit = theirs.unit;
                trend.values.merge(&theirs.values);
            }
        }
        for (name, n) in &other.counts {
            if let Some(count) = entry(&mut self.counts, name, left_out) {
                *count = count.saturating_add(*n);
            }
        }
        other.gauges.iter().for_each(|(name, gauge)| add_gauge(&mut self.gauges, name, *gauge, left_out));
    }

    /// Adds the stretch of time behind this one; who is there is a state, so what that one says counts.
    pub fn go_on(&mut self, later: &Interval) {
        self.join(later);
        let there = &later.players;
        (self.players.active, self.players.connected, self.players.planned) =
            (there.active, there.connected, there.planned);
    }

    /// Adds what a shard gathered, but for its population: that is a state, not a sum.
    pub fn add(&mut self, snapshot: &Snapshot) {
        self.to_us = self.to_us.max(snapshot.to_us);
        self.players.started += snapshot.started;
        self.players.finished += snapshot.finished;
        self.players.cut_off += snapshot.cut_off;
        for (kind, count) in &snapshot.failed {
            add_to(&mut self.players.failed, kind, *count);
        }
        let left_out = &mut self.names_left_out;
        for (name, delta) in &snapshot.steps {
            if let Some(step) = entry(&mut self.steps, name, left_out) {
                step.service.merge(&delta.service);
                step.response.merge(&delta.response);
                for (kind, count) in &delta.failures {
                    add_to(&mut step.failures, kind, *count);
                }
            }
        }
        for (name, delta) in &snapshot.trends {
            if let Some(trend) = entry(&mut self.trends, name, left_out) {
                trend.unit = delta.unit;
                trend.values.merge(&delta.values);
            }
        }
        for (name, n) in &snapshot.counts {
            if let Some(count) = entry(&mut self.counts, name, left_out) {
                *count = count.saturating_add(*n);
            }
        }
        snapshot.gauges.iter().for_each(|(name, gauge)| add_gauge(&mut self.gauges, name, *gauge, left_out));
    }
}

fn add_gauge(gauges: &mut BTreeMap<String, GaugeDelta>, name: &str, gauge: GaugeDelta, left_out: &mut u64) {
    if let Some(known) = gauges.get_mut(name) {
        *known = known.merge(gauge);
    } else if gauges.len() < MAX_NAMES {
        gauges.insert(name.to_owned(), gauge);
    } else {
        *left_out += 1;
    }
}

/// Kinds are bounded by each shard's recorder, at 32 a step; of several shards' others there is no end but this.
fn add_to(kinds: &mut BTreeMap<String, u64>, kind: &str, count: u64) {
    let mut left_out = 0;
    match entry(kinds, kind, &mut left_out) {
        Some(known) => *known = known.saturating_add(count),
        None => *kinds.entry("other-kinds".to_owned()).or_default() += count,
    }
}

fn entry<'a, T: Default>(rows: &'a mut BTreeMap<String, T>, name: &str, left_out: &mut u64) -> Option<&'a mut T> {
    if !rows.contains_key(name) {
        if rows.len() >= MAX_NAMES {
            *left_out += 1;
            return None;
        }
        rows.insert(name.to_owned(), T::default());
    }
    rows.get_mut(name)
}
