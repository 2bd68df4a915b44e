//! What became of a worker.

use serde::{Deserialize, Serialize};

use crate::lease::WorkerEnd;

/// How a worker's life went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// It played its part, to the end or until it was told to stop.
    Played,
    /// Another process has its lease: it was started twice.
    Taken,
    /// The run had ended, or was stopped before its players began.
    Over,
    /// It handed its job on to a longer-lived home.
    HandedOn,
    /// The fleet gave its segment to another while it played, or while it waited.
    Lost,
    /// It could not claim its lease.
    Unclaimed,
    /// It had its lease and could not play.
    Failed,
}

/// What became of a worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// How its life went.
    pub outcome: Ending,
    /// More on that, in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub words: String,
    /// What it told the fleet at the end, if it had a lease.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<WorkerEnd>,
    /// The fleet has heard of the end.
    #[serde(default)]
    pub closed: bool,
    /// Its players did not end when they were told to: the process has to end, and they with it.
    #[serde(default)]
    pub stuck: bool,
}

impl Outcome {
    /// An outcome of a life without a lease.
    pub fn without_lease(outcome: Ending, words: impl Into<String>) -> Outcome {
        Outcome { outcome, words: words.into(), end: None, closed: false, stuck: false }
    }

    /// Whether the worker did what it should.
    pub fn is_well(&self) -> bool {
        matches!(self.outcome, Ending::Played | Ending::Taken | Ending::Over | Ending::HandedOn)
    }
}
