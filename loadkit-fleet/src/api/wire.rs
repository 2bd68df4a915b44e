//! The bodies of requests and answers that are not a run's own types.

use loadkit_core::RunId;
use loadkit_worker::{Address, Beat, Claim, Command, Job, Order, Phase, WorkerEnd, WorkerStatus};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How to stop a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Stop {
    /// At once, without the plan's grace time.
    #[serde(default)]
    pub now: bool,
}

/// How far to turn a run's load.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Dial {
    /// 1.0 is the plan's own load; 0.5 to 2.
    #[schema(minimum = 0.5, maximum = 2.0)]
    pub dial: f64,
}

/// A token to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenRequest {
    /// Its name: lower-case letters, digits, dots and dashes.
    pub name: String,
    /// Whether it may make, list and revoke tokens.
    #[serde(default)]
    pub admin: bool,
}

/// Which worker asks: its job, without the way to the fleet and its token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Who {
    /// The run.
    pub run: RunId,
    /// The worker.
    pub worker: u32,
    /// Its attempt.
    pub attempt: u32,
    /// The time of the run at which it begins, ms.
    #[serde(default)]
    pub from_ms: u64,
    /// The time of the run at which it hands over, ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<u64>,
}

impl Who {
    /// Its job, for the fleet's own line.
    pub fn job(&self) -> Job {
        let nowhere = Address::Http { url: String::new(), token: String::new() };
        let Who { run, worker, attempt, from_ms, until_ms } = *self;
        Job { attempt, from_ms, until_ms, ..Job::new(run, worker, nowhere) }
    }
}

/// That it was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Done {}

/// A worker claims its lease.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ClaimRequest {
    /// Who asks.
    pub who: Who,
    /// What it says of itself.
    pub status: WorkerStatus,
}

/// What becomes of a claim.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "claim", rename_all = "lowercase")]
pub enum ClaimReply {
    /// The lease is the worker's.
    Granted {
        /// What to play.
        order: Box<Order>,
        /// The latest word.
        command: Command,
        /// The fleet's time, ms since 1970.
        now_ms: u64,
    },
    /// Another process has it.
    Taken,
    /// There is nothing to do any more.
    Over,
}

impl From<Claim> for ClaimReply {
    fn from(claim: Claim) -> ClaimReply {
        match claim {
            Claim::Granted { order, command, now_ms } => ClaimReply::Granted { order, command, now_ms },
            Claim::Taken => ClaimReply::Taken,
            Claim::Over => ClaimReply::Over,
        }
    }
}

/// A worker renews its lease.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BeatRequest {
    /// Who asks.
    pub who: Who,
    /// How far it has come.
    pub phase: Phase,
    /// What it says of itself.
    pub status: WorkerStatus,
}

/// What a beat brings back.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "beat", rename_all = "lowercase")]
pub enum BeatReply {
    /// The lease holds.
    Held {
        /// The latest word.
        command: Command,
        /// The fleet's time, ms since 1970.
        now_ms: u64,
    },
    /// The segment is another's: stop at once.
    Lost,
}

impl From<Beat> for BeatReply {
    fn from(beat: Beat) -> BeatReply {
        match beat {
            Beat::Held { command, now_ms } => BeatReply::Held { command, now_ms },
            Beat::Lost => BeatReply::Lost,
        }
    }
}

/// A worker sends its figures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReportRequest {
    /// Who asks.
    pub who: Who,
    /// Parcels, as texts.
    pub texts: Vec<String>,
}

/// How much of a report was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReportReply {
    /// So many of the first texts: send the others again.
    pub taken: usize,
}

/// A worker gives its lease back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CloseRequest {
    /// Who asks.
    pub who: Who,
    /// What it says of itself.
    pub status: WorkerStatus,
    /// How it ended.
    pub end: WorkerEnd,
}
