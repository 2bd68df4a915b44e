//! The fleet's latest word to all workers of a run.

use serde::{Deserialize, Serialize};

/// How far a run is to stop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StopWord {
    /// Not at all.
    #[default]
    No,
    /// Players are asked to leave and have the plan's grace time.
    Drain,
    /// At once.
    Now,
}

/// The fleet's latest word: one item of the store, which workers read whenever they renew their lease.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Command {
    /// When the run starts or started, milliseconds since 1970. It may be put off as long as it has not come.
    pub start_at_ms: u64,
    /// Whether to stop.
    #[serde(default)]
    pub stop: StopWord,
    /// How far the load is turned up or down: 1.0 is the plan's.
    pub dial: f64,
    /// The run has ended: a worker that comes now has nothing to do.
    #[serde(default)]
    pub over: bool,
}

impl Command {
    /// Starts then, with the plan's own load.
    pub fn starting(start_at_ms: u64) -> Command {
        Command { start_at_ms, stop: StopWord::No, dial: 1.0, over: false }
    }
}
