//! How a run went over time, as data.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How a run went over time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// The time that a point covers, seconds. The last may cover less.
    pub width_s: f64,
    /// One after another from the start of the run.
    pub points: Vec<SeriesPoint>,
    /// Steps that are not in the points because there are too many: those that ran least.
    pub steps_left_out: u64,
    /// Steps whose histograms are not in `histograms.hlog` because there are too many: those that ran least.
    #[serde(default)]
    pub histograms_left_out: u64,
}

/// One point of a series.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SeriesPoint {
    /// Where it begins, seconds since the start of the run.
    pub from_s: f64,
    /// Where it ends.
    pub to_s: f64,
    /// Players that the load shape asked for at its end.
    pub planned: u64,
    /// Players at work at its end.
    pub active: u64,
    /// Players with an open connection at its end.
    pub connected: u64,
    /// Players started within it.
    pub started: u64,
    /// Players that failed within it.
    pub failed: u64,
    /// Steps within it, by name; only those that ended within it.
    pub steps: BTreeMap<String, SeriesStepFigures>,
    /// Trends of connections and of the load generator within it, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub trends: BTreeMap<String, SeriesTrendFigures>,
    /// Counts of the same; none that are 0.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub counts: BTreeMap<String, u64>,
    /// The largest values of gauges of the same.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub gauges: BTreeMap<String, f64>,
}

/// A trend within a point, in its unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SeriesTrendFigures {
    /// How many values.
    pub count: u64,
    /// The median.
    pub p50: u64,
    /// The 95th percentile.
    pub p95: u64,
    /// The 99th percentile.
    pub p99: u64,
}

/// A step within a point. Its percentiles are of response times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SeriesStepFigures {
    /// How often it succeeded.
    pub succeeded: u64,
    /// How often it failed.
    pub failed: u64,
    /// How often it succeeded a second.
    pub rate_per_s: f64,
    /// The median, if it succeeded at all.
    pub p50_us: Option<u64>,
    /// The 95th percentile.
    pub p95_us: Option<u64>,
    /// The 99th percentile.
    pub p99_us: Option<u64>,
}
