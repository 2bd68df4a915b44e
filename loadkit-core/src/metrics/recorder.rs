//! A shard's recorder: names interned once, every record an index into the shard's own memory.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::histogram::Histogram;
use super::interval::IntervalHistogram;
use super::snapshot::{FailureSample, GaugeDelta, Snapshot, SnapshotKey, StepDelta, TrendDelta};
use super::table::{LeftOut, MetricId, Table};
use crate::split::Label;

/// At most so many kinds of failure a step; what comes after counts under [`OTHER_KINDS`].
const MAX_KINDS: usize = 32;
/// Where failures of further kinds are counted.
const OTHER_KINDS: &str = "other-kinds";
/// At most so many messages of failures are kept an interval.
pub(crate) const MAX_SAMPLES: usize = 20;
/// Longer messages are cut.
const MAX_MESSAGE: usize = 300;

/// What a trend's values are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TrendUnit {
    /// Microseconds.
    #[default]
    Micros,
    /// A plain number.
    Number,
}

/// A value that a trend takes: a time, or a whole number that is not negative.
pub trait Sample {
    /// The unit of [`Sample::value`].
    const UNIT: TrendUnit;

    /// The value in that unit.
    fn value(self) -> u64;
}

impl Sample for Duration {
    const UNIT: TrendUnit = TrendUnit::Micros;

    #[inline]
    fn value(self) -> u64 {
        micros(self)
    }
}

macro_rules! number_sample {
    ($($number:ty),*) => {$(
        impl Sample for $number {
            const UNIT: TrendUnit = TrendUnit::Number;

            #[inline]
            fn value(self) -> u64 {
                u64::try_from(self).unwrap_or(u64::MAX)
            }
        }
    )*};
}
number_sample!(u8, u16, u32, u64, usize);

/// Whole microseconds, rounded to the nearest.
#[inline]
pub(crate) fn micros(time: Duration) -> u64 {
    // Bounded at 136 years, so that the rest needs no checks.
    time.as_secs().min(u64::from(u32::MAX)) * 1_000_000 + u64::from((time.subsec_nanos() + 500) / 1_000)
}

/// What a step gathered.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "keep", derive(serde::Serialize, serde::Deserialize))]
pub struct StepTotals {
    /// From the actual start to the end, µs, of those that succeeded.
    pub service: Histogram,
    /// From the intended start to the end, µs, of those that succeeded. The headline figure.
    pub response: Histogram,
    /// How many failed, by kind, sorted by kind.
    pub failures: Vec<(String, u64)>,
}

impl StepTotals {
    /// How many succeeded.
    pub fn succeeded(&self) -> u64 {
        self.response.count()
    }

    /// How many failed.
    pub fn failed(&self) -> u64 {
        self.failures.iter().map(|(_, count)| count).sum()
    }

    pub(crate) fn apply(&mut self, delta: &StepDelta) {
        self.service.apply(&delta.service);
        self.response.apply(&delta.response);
        for (kind, count) in &delta.failures {
            count_kind(&mut self.failures, kind, *count);
        }
    }
}

/// A step within the interval.
#[derive(Default)]
struct StepRow {
    service: IntervalHistogram,
    response: IntervalHistogram,
    failures: Vec<(String, u64)>,
}

impl StepRow {
    fn take(&mut self) -> Option<StepDelta> {
        if self.response.is_empty() && self.failures.is_empty() {
            return None;
        }
        Some(StepDelta {
            service: self.service.take(),
            response: self.response.take(),
            failures: std::mem::take(&mut self.failures),
        })
    }
}

/// A trend within the interval.
#[derive(Default)]
struct TrendRow {
    unit: TrendUnit,
    values: IntervalHistogram,
}

/// What a trend gathered.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "keep", derive(serde::Serialize, serde::Deserialize))]
pub struct TrendTotals {
    /// What the values are.
    pub unit: TrendUnit,
    /// Their distribution.
    pub values: Histogram,
}

/// A gauge's last value, and the range of all values set.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct GaugeReading {
    /// The value that was set last.
    pub last: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
}

/// Counts `count` under `kind` in a list sorted by kind and bounded in kinds.
pub(crate) fn count_kind(failures: &mut Vec<(String, u64)>, kind: &str, count: u64) {
    match failures.binary_search_by(|(known, _)| known.as_str().cmp(kind)) {
        Ok(at) => failures[at].1 = failures[at].1.saturating_add(count),
        Err(_) if failures.len() >= MAX_KINDS && kind != OTHER_KINDS => count_kind(failures, OTHER_KINDS, count),
        Err(at) => failures.insert(at, (kind.to_owned(), count)),
    }
}

/// All that a shard records in one interval. No locks; allocates only for new names and larger values.
pub struct Recorder {
    steps: Table<StepRow>,
    trends: Table<TrendRow>,
    counts: Table<u64>,
    gauges: Table<Option<GaugeDelta>>,
    samples: Vec<FailureSample>,
    left_out: LeftOut,
}

/// What a recorder gathered in an interval, by name.
#[derive(Default)]
pub(crate) struct Taken {
    pub(crate) steps: Vec<(String, StepDelta)>,
    pub(crate) trends: Vec<(String, TrendDelta)>,
    pub(crate) counts: Vec<(String, u64)>,
    pub(crate) gauges: Vec<(String, GaugeDelta)>,
    pub(crate) samples: Vec<FailureSample>,
    pub(crate) left_out: Vec<String>,
}

impl Taken {
    /// A snapshot of it; how the players did is still to be filled in.
    pub(crate) fn snapshot(self, key: SnapshotKey, from_us: u64, to_us: u64) -> Snapshot {
        let Taken { steps, trends, counts, gauges, samples, left_out } = self;
        Snapshot { steps, trends, counts, gauges, samples, left_out, ..Snapshot::empty(key, from_us, to_us) }
    }
}

impl Recorder {
    /// An empty recorder.
    pub fn new() -> Recorder {
        let mut recorder = Recorder {
            steps: Table::new(),
            trends: Table::new(),
            counts: Table::new(),
            gauges: Table::new(),
            samples: Vec::new(),
            left_out: LeftOut::default(),
        };
        for name in super::names::COUNTS {
            recorder.count_id(name);
        }
        for name in super::names::GAUGES {
            recorder.gauges.id(name, &mut recorder.left_out);
        }
        recorder
    }

    /// The id of a step by its name. A name beyond the bound is counted as left out.
    #[inline]
    pub fn step_id(&mut self, name: &str) -> MetricId {
        self.steps.id(name, &mut self.left_out)
    }

    /// The id of a trend by its name. A name beyond the bound is counted as left out.
    #[inline]
    pub fn trend_id(&mut self, name: &str) -> MetricId {
        self.trends.id(name, &mut self.left_out)
    }

    /// The id of a count by its name. A name beyond the bound is counted as left out.
    #[inline]
    pub fn count_id(&mut self, name: &str) -> MetricId {
        self.counts.id(name, &mut self.left_out)
    }

    /// The id of a step's part.
    pub(crate) fn step_part(&mut self, step: MetricId, label: &Label) -> MetricId {
        self.steps.part(step, label, &mut self.left_out)
    }

    /// The id of a trend's part.
    pub(crate) fn trend_part(&mut self, trend: MetricId, label: &Label) -> MetricId {
        self.trends.part(trend, label, &mut self.left_out)
    }

    /// The id of a count's part.
    pub(crate) fn count_part(&mut self, count: MetricId, label: &Label) -> MetricId {
        self.counts.part(count, label, &mut self.left_out)
    }

    /// Records a step that succeeded.
    #[inline]
    pub fn step_ok(&mut self, id: MetricId, service: Duration, response: Duration) {
        if let Some(step) = self.steps.get(id) {
            step.service.record(micros(service));
            step.response.record(micros(response));
        }
    }

    /// Records a step that failed.
    pub fn step_failed(&mut self, id: MetricId, kind: &str) {
        if let Some(step) = self.steps.get(id) {
            count_kind(&mut step.failures, kind, 1);
        }
    }

    /// Records a value of a trend.
    #[inline]
    pub fn trend(&mut self, id: MetricId, value: impl Sample) {
        self.trend_value(id, unit_of(&value), value.value());
    }

    #[inline]
    pub(crate) fn trend_value(&mut self, id: MetricId, unit: TrendUnit, value: u64) {
        if let Some(trend) = self.trends.get(id) {
            trend.unit = unit;
            trend.values.record(value);
        }
    }

    /// Adds to a count.
    #[inline]
    pub fn count(&mut self, id: MetricId, n: u64) {
        if let Some(count) = self.counts.get(id) {
            *count = count.saturating_add(n);
        }
    }

    /// Sets a gauge, `at` since the start of the run.
    pub fn gauge(&mut self, name: &str, value: f64, at: Duration) {
        let id = self.gauges.id(name, &mut self.left_out);
        if let Some(gauge) = self.gauges.get(id) {
            let set = GaugeDelta::new(value, at);
            *gauge = Some(gauge.map_or(set, |old| old.merge(set)));
        }
    }

    /// Keeps a failure's message, if there is room for one this interval.
    pub fn sample(&mut self, step: &str, kind: &str, message: impl Into<String>, seat: u64, at: Duration) {
        if self.samples.len() < MAX_SAMPLES {
            let mut message = message.into();
            if message.len() > MAX_MESSAGE {
                let cut = (0..=MAX_MESSAGE).rev().find(|&i| message.is_char_boundary(i)).unwrap_or(0);
                message.truncate(cut);
                message.push('…');
            }
            let at_us = micros(at);
            self.samples.push(FailureSample { at_us, seat, step: step.into(), kind: kind.into(), message });
        }
    }

    /// Takes all that was gathered, and leaves the recorder empty with its names and memory kept.
    pub(crate) fn take(&mut self) -> Taken {
        let left_out = std::mem::take(&mut self.left_out);
        if left_out.records > 0 {
            let id = self.count_id(super::names::NAMES_LEFT_OUT);
            self.count(id, left_out.records);
        }
        Taken {
            steps: self.steps.take(StepRow::take),
            trends: self.trends.take(|trend| {
                (!trend.values.is_empty()).then(|| TrendDelta { unit: trend.unit, values: trend.values.take() })
            }),
            counts: self.counts.take(|count| Some(std::mem::take(count)).filter(|&n| n > 0)),
            gauges: self.gauges.take(Option::take),
            samples: std::mem::take(&mut self.samples),
            left_out: left_out.names,
        }
    }
}

impl Default for Recorder {
    fn default() -> Recorder {
        Recorder::new()
    }
}

#[inline]
pub(crate) fn unit_of<S: Sample>(_: &S) -> TrendUnit {
    S::UNIT
}
