//! `(facts, collector, judgement) -> Report -> report.json, report.html, the summary at the end`.
//!
//! A [`Report`] is data: everything that a page or a summary shows is in it, and `docs/report.md` documents it as JSON.
//! Its times are microseconds (`_us`) or seconds (`_s`), and shares are fractions of one.

#[cfg(feature = "html")]
mod axis;
mod build;
#[cfg(feature = "html")]
mod charts;
mod compare;
#[cfg(feature = "html")]
mod curves;
mod failures;
pub mod format;
#[cfg(feature = "html")]
mod health;
#[cfg(feature = "archive")]
pub mod hlog;
#[cfg(feature = "html")]
mod html;
mod intervals;
#[cfg(feature = "archive")]
mod junit;
mod load;
mod markdown;
#[cfg(feature = "html")]
mod plot;
mod series;
mod tables;
mod text;
mod write;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::engine::Job;
use crate::flight::{FlightEntry, FlightRun};
use crate::gate::Gate;
use crate::metrics::{FailureSample, TrendUnit};
use crate::network::{Networks, Profile};
use crate::plan::Plan;
use crate::stamp::Stamp;
use crate::verdict::Judgement;

pub use compare::{Beside, Change, StepBeside};
pub use intervals::{Intervals, StepIntervals};
pub use load::LoadError;
pub use series::{Series, SeriesPoint, SeriesStepFigures, SeriesTrendFigures};
pub use text::summary;
pub(crate) use write::write_with;
pub use write::{ReportError, check_writable, write_json, write_report};

/// The version of the report's JSON. A change that readers could stumble over changes the number.
pub(crate) const SCHEMA: &str = "loadkit.report/1";
/// The file of the figures, as JSON.
const REPORT_JSON: &str = "report.json";
/// The file of the histograms.
#[cfg(feature = "archive")]
const HISTOGRAMS_HLOG: &str = "histograms.hlog";

/// All that there is to say about a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// `loadkit.report/1`.
    pub schema: String,
    /// What was run.
    pub run: RunFacts,
    /// How long the run lasted in fact, its end included, seconds.
    pub lasted_s: f64,
    /// What it says about the server.
    pub judgement: Judgement,
    /// What became of the players.
    pub players: Players,
    /// Steps by name.
    pub steps: BTreeMap<String, StepFigures>,
    /// The trends, counts and gauges of the game.
    pub game: Figures,
    /// Those of its connections: their names start with `net.`.
    pub connections: Figures,
    /// Those of the load generator itself: their names start with `loadkit.`. They say nothing about the server.
    pub generator: Figures,
    /// How it went over time.
    pub series: Series,
    /// The earliest messages of failures, a bounded number.
    pub failures: Vec<FailureSample>,
    /// An earlier run beside this one, if one was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beside: Option<Beside>,
    /// The histograms of the steps, interval by interval. They are not in the JSON but beside it, in `histograms.hlog`.
    #[serde(skip)]
    pub intervals: Intervals,
    /// What the gate says, where players took turns at two builds of the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<Gate>,
    /// Players whose last steps and messages were recorded, above all such that failed: a bounded number.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flights: Vec<FlightEntry>,
}

/// What was run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunFacts {
    /// The run's name among all runs: 16 hexadecimal digits.
    pub id: String,
    /// The scenario.
    pub scenario: String,
    /// The server under test, as the user wrote it.
    pub target: String,
    /// The seed with which the run can be repeated, in decimal (a text, because JSON's numbers are not exact enough).
    pub seed: String,
    /// The load.
    pub plan: PlanSummary,
    /// The whole plan in TOML, with all that the command line has put into it.
    #[serde(default)]
    pub plan_toml: String,
    /// When it started, seconds since 1970.
    pub started_at_unix_s: u64,
    /// How many shards played it.
    pub shards: u32,
    /// The version of loadkit.
    pub version: String,
    /// The client that played, its name and version; empty if that is not known.
    #[serde(default)]
    pub client: String,
    /// The build of the server under test, as the user named it; empty if it was not named.
    #[serde(default)]
    pub build: String,
    /// Which build the client is, if it carries a stamp.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stamp: Option<Stamp>,
}

impl RunFacts {
    /// The facts of a job that started then, whose scenario has this name.
    pub fn new(job: &Job, scenario: impl Into<String>, started_at_unix_s: u64) -> RunFacts {
        RunFacts {
            id: job.id.to_string(),
            scenario: scenario.into(),
            target: job.target.name().to_owned(),
            seed: job.seed.to_string(),
            plan: PlanSummary::new(&job.plan),
            plan_toml: job.plan.to_toml(),
            started_at_unix_s,
            shards: job.shards,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            client: String::new(),
            build: String::new(),
            stamp: None,
        }
    }
}

impl From<&RunFacts> for FlightRun {
    fn from(facts: &RunFacts) -> FlightRun {
        FlightRun {
            id: facts.id.clone(),
            scenario: facts.scenario.clone(),
            target: facts.target.clone(),
            seed: facts.seed.clone(),
            version: facts.version.clone(),
            plan: facts.plan_toml.clone(),
        }
    }
}

/// The load of a plan.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PlanSummary {
    /// Its stages in words, in their order.
    pub stages: Vec<String>,
    /// From the start to the moment at which all are asked to leave, seconds.
    pub duration_s: f64,
    /// The most players that it connects at once, arrivals aside.
    pub peak: u64,
    /// How many players its arrivals bring in all.
    pub arrivals: u64,
    /// How many players play together: 1 if each plays alone.
    pub party: u64,
    /// Weights of personas that the plan sets in place of the code's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub personas: BTreeMap<String, f64>,
    /// The networks between the players and the server; none if nothing was put there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<NetworkSummary>,
}

/// A network of a plan.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NetworkSummary {
    /// The profile's name.
    pub name: String,
    /// The share of the players on it, 0 to 1.
    pub share: f64,
    /// What it adds to a round trip in the mean, µs, without queues and outages.
    pub round_trip_us: f64,
    /// The share of datagrams that it loses on the way up, without queues and outages.
    pub loss_up: f64,
    /// The same on the way down.
    pub loss_down: f64,
    /// The share of the time in which there is no network.
    pub outage_share: f64,
}

impl NetworkSummary {
    fn new(profile: &Profile, share: f64) -> NetworkSummary {
        NetworkSummary {
            name: profile.name().to_owned(),
            share,
            round_trip_us: profile.mean_round_trip().as_secs_f64() * 1e6,
            loss_up: profile.up().loss_rate(),
            loss_down: profile.down().loss_rate(),
            outage_share: profile.outages().map_or(0.0, |outages| outages.share()),
        }
    }
}

impl PlanSummary {
    /// The load of this plan.
    pub fn new(plan: &Plan) -> PlanSummary {
        let shape = plan.shape();
        PlanSummary {
            stages: shape.stages().map(|(_, stage)| stage.to_string()).collect(),
            duration_s: shape.duration().as_secs_f64(),
            peak: shape.peak(),
            arrivals: shape.arrivals(),
            party: plan.party(),
            personas: plan.personas().map(|(name, weight)| (name.to_owned(), weight)).collect(),
            networks: plan
                .networks()
                .into_iter()
                .flat_map(Networks::iter)
                .map(|(profile, share)| NetworkSummary::new(profile, share))
                .collect(),
        }
    }
}

/// What became of the players.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Players {
    /// Started in all, refills included.
    pub started: u64,
    /// Started, by network; empty if nothing was put between the players and the server.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub by_network: BTreeMap<String, u64>,
    /// Ended well.
    pub finished: u64,
    /// Failed.
    pub failed: u64,
    /// Failed, by kind.
    pub failed_by_kind: BTreeMap<String, u64>,
    /// Those that failed, of those that finished or failed; 0 if none did.
    pub error_share: f64,
    /// Still at work when the grace time was over.
    pub cut_off: u64,
    /// The most that the load shape asked for at once.
    pub peak_planned: u64,
    /// The most at work at once.
    pub peak_active: u64,
    /// The most with an open connection at once.
    pub peak_connected: u64,
}

/// What became of a step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StepFigures {
    /// How often it succeeded or failed.
    pub count: u64,
    /// How often it succeeded.
    pub succeeded: u64,
    /// How often it failed.
    pub failed: u64,
    /// How often it failed, by kind.
    pub failed_by_kind: BTreeMap<String, u64>,
    /// `failed / count`.
    pub error_share: f64,
    /// How often it succeeded a second, over the time of the plan's load.
    pub rate_per_s: f64,
    /// Times from the intended start to the end, of those that succeeded: what players feel. The headline figure.
    pub response: Option<Times>,
    /// Times from the actual start to the end, of those that succeeded: what the server took.
    pub service: Option<Times>,
}

/// A distribution of times, microseconds. Percentiles are exact to 0.1 %, the rest is exact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Times {
    /// The shortest.
    pub min_us: u64,
    /// The mean.
    pub mean_us: f64,
    /// The median.
    pub p50_us: u64,
    /// The 90th percentile.
    pub p90_us: u64,
    /// The 95th percentile.
    pub p95_us: u64,
    /// The 99th percentile.
    pub p99_us: u64,
    /// The 99.9th percentile.
    pub p99_9_us: u64,
    /// The longest.
    pub max_us: u64,
}

/// Trends, counts and gauges, by name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Trends.
    pub trends: BTreeMap<String, Distribution>,
    /// Counts.
    pub counts: BTreeMap<String, CountFigures>,
    /// Gauges.
    pub gauges: BTreeMap<String, GaugeFigures>,
}

/// A trend's values, in its unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Distribution {
    /// What the values are: `micros` or `number`.
    pub unit: TrendUnit,
    /// How many.
    pub count: u64,
    /// The smallest.
    pub min: u64,
    /// The mean.
    pub mean: f64,
    /// The median.
    pub p50: u64,
    /// The 90th percentile.
    pub p90: u64,
    /// The 95th percentile.
    pub p95: u64,
    /// The 99th percentile.
    pub p99: u64,
    /// The 99.9th percentile.
    pub p99_9: u64,
    /// The largest.
    pub max: u64,
}

/// A count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CountFigures {
    /// In all.
    pub total: u64,
    /// A second, over the time of the plan's load.
    pub rate_per_s: f64,
}

/// A gauge's values; nothing where a value was no finite number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GaugeFigures {
    /// The last.
    pub last: Option<f64>,
    /// The smallest.
    pub min: Option<f64>,
    /// The largest.
    pub max: Option<f64>,
}

#[cfg(test)]
mod tests;
