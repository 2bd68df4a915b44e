//! A snapshot: what one shard gathered in one interval, with the key that makes applying it twice harmless.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::histogram::HistogramDelta;
use super::recorder::{GaugeReading, TrendUnit, count_kind, micros};
use super::wire::PackedDelta;
use crate::flight::Flight;

/// A run's name among all runs. Where people read, as in JSON, it is a text of 16 hexadecimal digits: numbers are not exact
/// enough there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "schema", schema(value_type = String, example = "00a1b2c3d4e5f607"))]
pub struct RunId(pub u64);

impl Serialize for RunId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { serializer.collect_str(self) } else { serializer.serialize_u64(self.0) }
    }
}

impl<'de> Deserialize<'de> for RunId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<RunId, D::Error> {
        if !deserializer.is_human_readable() {
            return u64::deserialize(deserializer).map(RunId);
        }
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|_| D::Error::custom(format_args!("{text:?} is no run's id: 16 hexadecimal digits")))
    }
}

impl FromStr for RunId {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<RunId, ParseIntError> {
        u64::from_str_radix(text, 16).map(RunId)
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Which snapshot this is: of which run, worker, shard of the worker, attempt at the worker's segment, and interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SnapshotKey {
    /// The run.
    pub run: RunId,
    /// The worker within the run.
    pub worker: u32,
    /// The shard within the worker.
    pub shard: u32,
    /// The attempt at the worker's segment, from 0.
    pub attempt: u32,
    /// The snapshot within the shard, from 0, without gaps.
    pub seq: u64,
}

/// What one shard gathered in one interval; with its distributions as buckets, or packed ([`PackedDelta`](super::PackedDelta)).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot<H = HistogramDelta> {
    /// Which one it is.
    pub key: SnapshotKey,
    /// When the interval began, µs since the start of the run.
    pub from_us: u64,
    /// When it ended, µs since the start of the run.
    pub to_us: u64,
    /// Players at work at the end of the interval.
    pub active: u64,
    /// Players with an open connection at the end of the interval.
    pub connected: u64,
    /// Players that the load shape asked for at the end of the interval.
    pub planned: u64,
    /// Players started in the interval.
    pub started: u64,
    /// Players that ended well in the interval.
    pub finished: u64,
    /// Players that failed in the interval, by kind.
    pub failed: Vec<(String, u64)>,
    /// Players cut off by the end of the grace time.
    pub cut_off: u64,
    /// Steps by name.
    pub steps: Vec<(String, StepDelta<H>)>,
    /// Trends by name.
    pub trends: Vec<(String, TrendDelta<H>)>,
    /// Counts by name.
    pub counts: Vec<(String, u64)>,
    /// Gauges by name.
    pub gauges: Vec<(String, GaugeDelta)>,
    /// Some messages of failures.
    pub samples: Vec<FailureSample>,
    /// What some players did last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flights: Vec<Flight>,
    /// Some names for which there was no room.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
}

impl Snapshot {
    /// One of this stretch of time in which nothing happened, µs since the start of the run.
    pub fn empty(key: SnapshotKey, from_us: u64, to_us: u64) -> Snapshot {
        Snapshot {
            key,
            from_us,
            to_us,
            active: 0,
            connected: 0,
            planned: 0,
            started: 0,
            finished: 0,
            failed: Vec::new(),
            cut_off: 0,
            steps: Vec::new(),
            trends: Vec::new(),
            counts: Vec::new(),
            gauges: Vec::new(),
            samples: Vec::new(),
            flights: Vec::new(),
            left_out: Vec::new(),
        }
    }

    /// The same with its distributions packed.
    pub fn packed(&self) -> Snapshot<PackedDelta> {
        let step = |step: &StepDelta| StepDelta {
            service: PackedDelta::new(&step.service),
            response: PackedDelta::new(&step.response),
            failures: step.failures.clone(),
        };
        let trend = |trend: &TrendDelta| TrendDelta { unit: trend.unit, values: PackedDelta::new(&trend.values) };
        Snapshot {
            key: self.key,
            from_us: self.from_us,
            to_us: self.to_us,
            active: self.active,
            connected: self.connected,
            planned: self.planned,
            started: self.started,
            finished: self.finished,
            failed: self.failed.clone(),
            cut_off: self.cut_off,
            steps: self.steps.iter().map(|(name, delta)| (name.clone(), step(delta))).collect(),
            trends: self.trends.iter().map(|(name, delta)| (name.clone(), trend(delta))).collect(),
            counts: self.counts.clone(),
            gauges: self.gauges.clone(),
            samples: self.samples.clone(),
            flights: self.flights.clone(),
            left_out: self.left_out.clone(),
        }
    }
}

/// What a step gained in an interval. See [`super::StepTotals`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StepDelta<H = HistogramDelta> {
    /// Service times, µs.
    pub service: H,
    /// Response times, µs.
    pub response: H,
    /// Failures by kind.
    pub failures: Vec<(String, u64)>,
}

impl StepDelta {
    /// Joins another to this one, as if both had been one interval.
    pub fn merge(&mut self, other: &StepDelta) {
        self.service.merge(&other.service);
        self.response.merge(&other.response);
        for (kind, count) in &other.failures {
            count_kind(&mut self.failures, kind, *count);
        }
    }
}

/// What a trend gained in an interval.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TrendDelta<H = HistogramDelta> {
    /// What the values are.
    pub unit: TrendUnit,
    /// The values.
    pub values: H,
}

/// A gauge's reading with the time of its last value, so that readings merge in any order.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct GaugeDelta {
    /// When the last value was set, µs since the start of the run.
    pub at_us: u64,
    /// The reading.
    pub reading: GaugeReading,
}

impl GaugeDelta {
    /// A gauge set once.
    pub fn new(value: f64, at: Duration) -> GaugeDelta {
        GaugeDelta { at_us: micros(at), reading: GaugeReading { last: value, min: value, max: value } }
    }

    /// Both readings as one, in whichever order they come: the later value is the last; of two set at the same
    /// time, the larger.
    pub fn merge(self, other: GaugeDelta) -> GaugeDelta {
        let order = self.at_us.cmp(&other.at_us).then(self.reading.last.total_cmp(&other.reading.last));
        let last = if order.is_lt() { other } else { self };
        let reading = GaugeReading {
            last: last.reading.last,
            min: self.reading.min.min(other.reading.min),
            max: self.reading.max.max(other.reading.max),
        };
        GaugeDelta { at_us: last.at_us, reading }
    }
}

/// The message of one failure.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FailureSample {
    /// When, µs since the start of the run.
    pub at_us: u64,
    /// Whose.
    pub seat: u64,
    /// In which step; empty outside of one.
    pub step: String,
    /// Of which kind.
    pub kind: String,
    /// What it said.
    pub message: String,
}
