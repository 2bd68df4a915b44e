//! What is asked for, and by whom.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What starts a run: the body of `POST /v1/runs`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "api", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RunRequest {
    /// The plan in TOML.
    pub plan: String,
    /// The server under test, in place of the plan's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Where the workers run.
    #[serde(default)]
    pub runner: RunnerChoice,
    /// How many workers; none for as many as the players need.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workers: Option<u32>,
    /// At most so many players a worker, in place of what is usual for its home.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub players_per_worker: Option<u32>,
    /// What becomes of a run on Lambda that outlasts a Lambda.
    #[serde(default)]
    pub long: Long,
    /// The client that must play it (`name version`, or the build that it was stamped with); empty for any.
    #[serde(default)]
    pub client: String,
    /// Workers of several builds may play it. Otherwise it is played by the build of the first worker that claims, and workers
    /// of others are refused.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub mixed_builds: bool,
    /// The build of the server under test.
    #[serde(default)]
    pub build: String,
    /// The seed, in place of the plan's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// The share of the workers that may be lost before the run is INVALID: 0.05 if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_lost: Option<f64>,
    /// The run starts so long after it was asked for, ms; none for what is usual for its workers' home.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_in_ms: Option<u64>,
    /// A name that the caller gives to this launch. Asked for again by the same caller under the same name (because the answer
    /// to the first time was lost), nothing is launched, and the answer is the run that was.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub once: String,
    /// Whatever the caller wants to find it by.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// Where the workers are to run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "api", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum RunnerChoice {
    /// Wherever fits the run's length, sockets and cost; the record says why.
    #[default]
    Auto,
    /// Lambda functions.
    Lambda,
    /// Fargate tasks.
    Fargate,
    /// Processes on the fleet's own machine.
    Local,
}

/// What becomes of a run that outlasts a Lambda's 15 minutes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "api", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Long {
    /// Each segment goes on in the next Lambda, whose players connect before the old ones leave.
    #[default]
    Relay,
    /// Each Lambda starts a Fargate task with its own job, and ends.
    Fargate,
}

/// Who asks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "api", derive(utoipa::ToSchema))]
pub struct Caller {
    /// A name: of a token, or an IAM principal's ARN.
    pub name: String,
}
