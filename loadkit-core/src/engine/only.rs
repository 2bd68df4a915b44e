//! One player of a run alone, with its party: what a replay plays.

use std::time::Duration;

/// One player of a run alone, with its party, because members wait for each other. See [`Job::only`](super::Job::only).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Only {
    /// The seat.
    pub seat: u64,
    /// How often it had been filled before. The party's other members have the same life.
    pub life: u32,
    /// When all of them are asked to leave, if they are still there then.
    pub leaves: Duration,
}
