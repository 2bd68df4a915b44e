//! The earliest failures of a run and what their players did last: written by the keeper while the run goes on, for who looks.

use loadkit_core::{FailureSample, flight};
use serde::{Deserialize, Serialize};

/// The item that a run's keeper writes when there are more.
pub(crate) const FAILURES: &str = "failures";
/// At most so many of a player's last events.
const MAX_EVENTS: usize = 12;

/// The earliest failures of a run, while it goes on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Failures {
    /// Their messages, a bounded number.
    pub samples: Vec<FailureSample>,
    /// What players did last: of those that failed.
    pub flights: Vec<Flown>,
}

/// What a player that failed did last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flown {
    /// Whose seat.
    pub seat: u64,
    /// When it ended, µs of the run.
    pub ended_us: u64,
    /// The step that failed, the kind, and the message.
    pub failure: String,
    /// Its last events, a line each.
    pub lines: Vec<String>,
}

impl Flown {
    /// Of a flight; none if it did well.
    pub fn of(flight: &flight::Flight) -> Option<Flown> {
        let failure = flight.failure.as_ref()?.text();
        let lines = flight::last_lines(flight, MAX_EVENTS);
        Some(Flown { seat: flight.seat, ended_us: flight.ended_us, failure, lines })
    }
}
