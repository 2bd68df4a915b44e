//! What the front door asks of the fleet behind it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use loadkit_core::{RunId, Verdict};
use loadkit_sinks::Interval;
use loadkit_worker::{Lease, Line};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::fault::Fault;
use crate::crew::Crew;
use crate::estimate::{Dollars, Estimate};
use crate::failures::Failures;
use crate::fleet::RunLine;
use crate::marker::Marker;
use crate::plans::Plans;
use crate::record::{RunRecord, RunState};
use crate::request::{Caller, RunRequest};

/// Which runs are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Only those that have come so far.
    #[param(inline)]
    pub state: Option<RunState>,
    /// Only those that this caller launched.
    pub by: Option<String>,
    /// Only those of this scenario.
    pub scenario: Option<String>,
    /// Only those of this build of the server.
    pub build: Option<String>,
    /// Only those that came out so.
    #[param(inline)]
    pub verdict: Option<Verdict>,
    /// Only those that were asked for then or later, ms since 1970.
    pub since_ms: Option<u64>,
    /// Only those that were asked for before, ms since 1970.
    pub until_ms: Option<u64>,
    /// Only those behind this place: `next` of the page before.
    pub after: Option<String>,
    /// At most so many: 50 if nothing is said, and never more than 200.
    pub limit: Option<u32>,
}

impl Filter {
    /// How many are answered at most.
    pub fn limit(&self) -> usize {
        usize::try_from(self.limit.unwrap_or(50).clamp(1, 200)).unwrap_or(50)
    }
}

/// Some runs, the latest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RunList {
    /// The runs.
    pub runs: Vec<RunLine>,
    /// There may be more: ask again with this as `after`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Something that happened in a run, as it happens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LiveEvent {
    /// Grows from event to event, with gaps. Whoever comes back with it hears what is behind the event.
    pub id: u64,
    /// Of what kind.
    pub kind: LiveKind,
    /// What: a [`RunRecord`](crate::RunRecord) without its request and notes for `state` and `ended`, a [`Crew`](crate::Crew)
    /// for `workers`, a [`Note`](crate::Note) for `note`, [`LiveFigures`](super::LiveFigures) for `figures`.
    #[schema(value_type = Object)]
    pub data: serde_json::Value,
}

/// The kinds of live events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum LiveKind {
    /// The run has come further.
    State,
    /// Workers came, went or were lost.
    Workers,
    /// What the last interval gave.
    Figures,
    /// A note was made.
    Note,
    /// The run has ended; nothing comes behind it.
    Ended,
}

impl LiveKind {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            LiveKind::State => "state",
            LiveKind::Workers => "workers",
            LiveKind::Figures => "figures",
            LiveKind::Note => "note",
            LiveKind::Ended => "ended",
        }
    }
}

/// The next events of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LivePage {
    /// In order, at most some hundreds.
    pub events: Vec<LiveEvent>,
    /// Nothing comes behind them.
    pub over: bool,
}

/// A file of a report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FileEntry {
    /// Its name: `report.html`, `charts/login.svg`.
    pub name: String,
    /// Its length.
    pub bytes: u64,
}

/// How a run stands, but for its figures: what the dashboard shows beside them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Standing {
    /// How many workers are where.
    pub crew: Crew,
    /// What happened in the words of those who deploy, build or watch.
    pub markers: Vec<Marker>,
    /// The earliest failures, and what their players did last.
    pub failures: Failures,
}

/// The fleet, as the front door sees it. Who the caller is has been found out; whether it may is the service's to say.
#[async_trait]
pub trait Service: Send + Sync + fmt::Debug {
    /// Launches a run; its record as it begins.
    ///
    /// # Errors
    /// See [`Fault`].
    async fn launch(&self, request: RunRequest, caller: &Caller) -> Result<RunRecord, Fault>;

    /// What it would take. Nothing is started.
    ///
    /// # Errors
    /// See [`Fault`].
    async fn estimate(&self, request: RunRequest, caller: &Caller) -> Result<Estimate, Fault>;

    /// Runs, the latest first.
    ///
    /// # Errors
    /// See [`Fault`].
    async fn list(&self, filter: &Filter) -> Result<RunList, Fault>;

    /// A run's record.
    ///
    /// # Errors
    /// [`Fault::NoRun`], and see there.
    async fn show(&self, run: RunId) -> Result<RunRecord, Fault>;

    /// Stops a run: players have the plan's grace time, or leave at once if `now`.
    ///
    /// # Errors
    /// [`Fault::Conflict`] if it has ended, and see there.
    async fn stop(&self, run: RunId, caller: &Caller, now: bool) -> Result<RunRecord, Fault>;

    /// Turns a run's load to so much of its plan's, which is within [`DIAL`](crate::DIAL).
    ///
    /// # Errors
    /// [`Fault::Conflict`] if it has ended, [`Fault::Refused`] if a rule allows fewer players, and see there.
    async fn dial(&self, run: RunId, caller: &Caller, dial: f64) -> Result<RunRecord, Fault>;

    /// The files of a run's report.
    ///
    /// # Errors
    /// [`Fault::Missing`] if there is no report yet, and see there.
    async fn files(&self, run: RunId) -> Result<Vec<FileEntry>, Fault>;

    /// A file of it. The name has been checked: no part of it is empty or begins with a dot.
    ///
    /// # Errors
    /// [`Fault::Missing`] if there is none, and see there.
    async fn file(&self, run: RunId, name: &str) -> Result<Vec<u8>, Fault>;

    /// Events of a run behind this id, from 0; waits for the next at most so long if there are none.
    ///
    /// # Errors
    /// See [`Fault`].
    async fn events(&self, run: RunId, after: u64, wait: Duration) -> Result<LivePage, Fault>;

    /// The line of a run's workers, for who has the run's own token.
    ///
    /// # Errors
    /// [`Fault::Unauthorized`] if it is not the run's, and see there.
    async fn line(&self, run: RunId, token: &str) -> Result<Arc<dyn Line>, Fault>;

    /// Windows of a run's figures, of one of [`WIDTHS`](crate::rollup::WIDTHS), from the one that begins at `from` or after it, at
    /// most so many.
    ///
    /// # Errors
    /// See [`Fault`].
    async fn windows(&self, run: RunId, width: Duration, from: Duration, limit: usize) -> Result<Vec<Interval>, Fault>;

    /// The leases of a run's workers, by worker and attempt.
    ///
    /// # Errors
    /// See [`Fault`].
    async fn leases(&self, record: &RunRecord) -> Result<Vec<Lease>, Fault>;

    /// How a run stands, but for its figures.
    ///
    /// # Errors
    /// See [`Fault`].
    async fn standing(&self, run: RunId) -> Result<Standing, Fault>;

    /// Notes on a run's time axis what happened elsewhere; now, if no time is given.
    ///
    /// # Errors
    /// [`Fault::Bad`] if it is too long or there are too many, and see there.
    async fn mark(&self, run: RunId, caller: &Caller, at_ms: Option<u64>, text: &str) -> Result<Marker, Fault>;

    /// What the whole run costs, by its plan.
    ///
    /// # Errors
    /// See [`Fault`].
    async fn cost(&self, record: &RunRecord) -> Result<Dollars, Fault>;

    /// Plans that the service was given to launch, as they are now; none, if it was given none.
    ///
    /// # Errors
    /// See [`Fault`].
    async fn plans(&self) -> Result<Plans, Fault> {
        Ok(Plans::default())
    }

    /// The time by the fleet's clock, ms since 1970.
    fn now_ms(&self) -> u64;
}
