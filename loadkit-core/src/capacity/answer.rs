//! What a search found, and how sure that is.

use serde::{Deserialize, Serialize};

use crate::verdict::Verdict;

/// What a [`Search`](super::Search) knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The greatest load that held: the capacity. None if none did.
    pub held: Option<u64>,
    /// The least load that did not.
    pub missed: Option<u64>,
    /// The least load at which the load generator gave out, if that ended the way up.
    pub ceiling: Option<u64>,
    /// What ended the way up.
    pub top: Top,
    /// The greatest load at or below [`Answer::held`] at which no probe said otherwise. Where it is lower, probes
    /// contradicted each other between the two.
    pub surely_held: Option<u64>,
    /// The least load at or above [`Answer::missed`] at which no probe said otherwise.
    pub surely_missed: Option<u64>,
    /// Whether the search came to its end: otherwise it was stopped, or contradictions used up its probes.
    pub settled: bool,
}

/// What ended the way up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Top {
    /// The server did not hold the objective.
    Server,
    /// The load generator gave out before the server: the server may be able to do more.
    Generator,
    /// The safety limit was reached, and the server held the objective.
    SafetyLimit,
    /// Nothing yet: the search was stopped before.
    Unknown,
}

impl Answer {
    /// PASS if the capacity is known or is at least the safety limit, FAIL if not even the least load held, and INVALID if
    /// the load generator gave out before the server or the search did not come to its end.
    pub fn verdict(&self) -> Verdict {
        match (self.top, self.held) {
            _ if !self.settled => Verdict::Invalid,
            (Top::Generator | Top::Unknown, _) => Verdict::Invalid,
            (Top::Server, None) => Verdict::Fail,
            (Top::Server | Top::SafetyLimit, _) => Verdict::Pass,
        }
    }
}
