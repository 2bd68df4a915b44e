//! Why the fleet did not do it.

use std::fmt;

use loadkit_core::{PlanError, RunId};
use loadkit_worker::StoreError;

use crate::guard::Refusal;

/// Why a run was not launched, or not changed.
#[derive(Debug)]
pub enum FleetError {
    /// The plan is wrong: every problem at its line.
    Plan(PlanError),
    /// The request is wrong otherwise.
    Request(String),
    /// A guard-rail refuses it.
    Refused(Refusal),
    /// There is no such run.
    UnknownRun(RunId),
    /// The run has ended: nothing about it can be changed.
    Ended(RunId),
    /// The store does not do it.
    Store(StoreError),
}

impl fmt::Display for FleetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FleetError::Plan(error) => error.fmt(f),
            FleetError::Request(why) => f.write_str(why),
            FleetError::Refused(Refusal { rule, why }) => write!(f, "the rule {rule:?} refuses it: {why}"),
            FleetError::UnknownRun(run) => write!(f, "there is no run {run}"),
            FleetError::Ended(run) => write!(f, "the run {run} has ended"),
            FleetError::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for FleetError {}

impl From<StoreError> for FleetError {
    fn from(error: StoreError) -> FleetError {
        FleetError::Store(error)
    }
}
