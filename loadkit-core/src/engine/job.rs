//! What a worker is to play.

use super::only::Only;
use super::window::Window;
use crate::metrics::RunId;
use crate::plan::Plan;
use crate::run::Target;
use crate::seed::Seed;
use crate::segment::Segment;

/// One worker's part of a run.
#[derive(Clone, Debug)]
pub struct Job {
    /// The run's name among all runs.
    pub id: RunId,
    /// The plan of the whole run.
    pub plan: Plan,
    /// The server under test.
    pub target: Target,
    /// The seed of the whole run.
    pub seed: Seed,
    /// This worker's share of the seats.
    pub segment: Segment,
    /// This worker's number.
    pub worker: u32,
    /// Which attempt at the segment this is, from 0.
    pub attempt: u32,
    /// How many shards: threads.
    pub shards: u32,
    /// Whom it plays, if not everyone of its share.
    pub only: Option<Only>,
    /// The part of the run's time that it plays.
    pub window: Window,
    /// Whether it counts what its whole machine does: the datagrams that the kernel threw away. One worker of each machine
    /// does, so that they add up.
    pub watches_machine: bool,
}

impl Job {
    /// A whole run on this process alone, one shard a core.
    pub fn whole(id: RunId, plan: Plan, target: Target, seed: Seed) -> Job {
        let shards = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u32);
        let (segment, window) = (Segment::WHOLE, Window::default());
        Job {
            id,
            plan,
            target,
            seed,
            segment,
            worker: 0,
            attempt: 0,
            shards,
            only: None,
            window,
            watches_machine: true,
        }
    }

    /// Of the whole run only this player with its party: from the start, once, as the same player that it was in the
    /// run. Its flight is recorded whole, as far as that goes, and is in the last snapshot.
    #[must_use]
    pub fn only(self, only: Only) -> Job {
        Job { segment: Segment::WHOLE, shards: 1, only: Some(only), window: Window::default(), ..self }
    }
}
