//! What a worker asks of the client binary that it is part of.

use loadkit_core as core;
use loadkit_core::{Control, Ended, MetricSink, Plan, RunError, Segment, Stamp, Target, Window};

/// The client's half of a worker: the scenarios, the engine, and the machine under them.
pub trait Client: Send + Sync {
    /// `arena 0.1.0`.
    fn id(&self) -> String;

    /// The build that it was stamped with when it was compiled, if it was.
    fn build(&self) -> Option<String> {
        None
    }

    /// Which build it is, if it carries a stamp.
    fn stamp(&self) -> Option<Stamp> {
        None
    }

    /// The name of the scenario that it plays for this plan; empty if it has none of that name.
    fn scenario(&self, plan: &Plan) -> String {
        plan.scenario().unwrap_or_default().to_owned()
    }

    /// Descriptors that the players may open; 0 where that is not known.
    fn descriptors(&self) -> u64;

    /// Checks all that can be known to be impossible before the start, for this share of the plan; the target's addresses.
    ///
    /// # Errors
    /// In words: what is wrong, and what to do about it.
    fn prepare(&self, plan: &Plan, share: Segment) -> Result<Target, String>;

    /// Plays the job to its end, on threads of its own. What comes before the first player (the scenario's `setup`) is done at
    /// once; then `start` is called, which waits for the common start, as [`loadkit_core::run_when`] has it.
    ///
    /// # Errors
    /// As [`loadkit_core::run`].
    fn play(
        &self,
        job: &core::Job,
        control: &Control,
        sink: &mut dyn MetricSink,
        start: &mut dyn FnMut() -> Option<Window>,
    ) -> Result<Ended, RunError>;
}
