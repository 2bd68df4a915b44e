//! How many of a run's workers are where: counted by the keeper, told to who listens.

use serde::{Deserialize, Serialize};

/// The item that a run's keeper writes whenever it changes.
pub(crate) const CREW: &str = "crew";

/// How many of a run's workers are where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "api", derive(utoipa::ToSchema))]
pub struct Crew {
    /// Workers that the run has.
    pub workers: u32,
    /// Of them, those that have claimed their lease and wait for the start.
    pub claimed: u32,
    /// Those whose players play, or are leaving.
    pub playing: u32,
    /// Those that have ended by themselves.
    pub ended: u32,
    /// Attempts that were given up so far: they never came, were silent, or were ended by their home. Others may have taken
    /// their place.
    pub lost: u32,
}
