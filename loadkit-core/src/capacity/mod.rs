//! `(range, objective) -> probes -> Answer`: the most players that hold an objective, found by trying.
//!
//! A [`Search`] says which load to try next, an [`Objective`] makes a plan of that load and judges what came of it, and a
//! [`Capacity`] is what there is to show in the end. None of them runs anything: whoever has an engine does.

mod answer;
#[cfg(feature = "html")]
mod chart;
mod ladder;
mod objective;
mod search;
mod settled;
mod show;
mod text;

pub use answer::{Answer, Top};
pub use ladder::{Range, RangeError};
pub use objective::{Load, Objective, ObjectiveError, Reading};
pub use search::{Observation, Probe, Search, Trial, Why};
pub use settled::Settled;
pub use show::{Capacity, Measured, Probed, write_capacity};
