//! The bodies of requests and answers that are not a run's own types. Those of workers are
//! in [`loadkit_worker::http`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::auth::Role;

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
    /// What its holder may do; `launch`, if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// The same as the role `admin`.
    #[serde(default)]
    pub admin: bool,
}

/// That it was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Done {}

/// That the fleet is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// It is.
    pub ok: bool,
    /// The version of loadkit that it is made of.
    pub version: String,
}

/// What a second of a run gave, all workers together: the data of an event `figures`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LiveFigures {
    /// From this time of the run, µs.
    pub from_us: u64,
    /// To this one.
    pub to_us: u64,
    /// How many players there are.
    pub players: LivePlayers,
    /// Steps by name.
    pub steps: BTreeMap<String, LiveStep>,
}

/// How many players there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LivePlayers {
    /// That play.
    pub active: u64,
    /// Of them, with a connection.
    pub connected: u64,
    /// That the plan has there.
    pub planned: u64,
}

/// What became of a step within the second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LiveStep {
    /// How often it was done.
    pub count: u64,
    /// How often it failed.
    pub failed: u64,
    /// The time that half of them took at most, from the intended start, µs.
    pub p50_us: u64,
    /// The time that 99 of 100 took at most, µs.
    pub p99_us: u64,
}
