//! The bodies of requests and answers that are not a run's own types. Those of workers are
//! in [`loadkit_worker::http`].

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

/// Something that happened elsewhere, for a run's time axis.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MarkerRequest {
    /// What, in a few words: `matchmaker 2.31.1 deployed`.
    pub text: String,
    /// When, ms since 1970; now, if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_ms: Option<u64>,
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

/// That it was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Done {}
