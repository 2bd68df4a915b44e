//! A worker's part of the run: the order, read and checked against the client that is to play it.

use std::time::Duration;

use loadkit_core as core;
use loadkit_core::{Plan, Seed, Segment, Target, Window};

use super::{Worker, cores};
use crate::order::Order;

/// Bytes of a plan's errors that are sent to the fleet.
const MAX_WORDS: usize = 4_000;

/// A worker's part of the run.
#[derive(Debug)]
pub(super) struct Part {
    plan: Plan,
    target: Target,
    seed: Seed,
    segment: Segment,
    shards: u32,
    order: Order,
}

impl Part {
    /// Checks all that can be checked before the start.
    pub(super) fn of(worker: &Worker, order: &Order) -> Result<Part, String> {
        check_client(worker, &order.client)?;
        let bounded = |words: String| super::log::cut(&words, MAX_WORDS).to_owned();
        let plan = Plan::parse(&order.plan, "the run's plan").map_err(|error| bounded(error.to_string()))?;
        let seed = Seed::parse(&order.seed).map_err(|error| error.to_string())?;
        let segment = Segment::new(u64::from(worker.job.worker), u64::from(order.workers));
        let segment = segment.map_err(|error| error.to_string())?;
        let target = worker.client.prepare(&plan, segment).map_err(bounded)?;
        let shards = order.shards.unwrap_or_else(cores).clamp(1, 1_024);
        Ok(Part { plan, target, seed, segment, shards, order: order.clone() })
    }

    /// The players' time to leave.
    pub(super) fn grace(&self) -> Duration {
        self.plan.grace()
    }

    /// The time of the run at which the worker's part of it ends.
    pub(super) fn until(&self, worker: &Worker) -> Duration {
        let end = self.plan.duration();
        worker.job.until_ms.map_or(end, |until| Duration::from_millis(until).min(end))
    }

    /// Whether another worker takes over its players then.
    pub(super) fn hands_over(&self, worker: &Worker) -> bool {
        self.until(worker) < self.plan.duration()
    }

    /// How much longer than that its players may take: those that are handed over leave one by one, and then there is the
    /// grace time.
    pub(super) fn leaving(&self, worker: &Worker) -> Duration {
        let terms = &self.order.terms;
        let handing_over = if self.hands_over(worker) { terms.over_ms.saturating_add(terms.overlap_ms) } else { 0 };
        self.grace() + Duration::from_millis(handing_over)
    }

    /// What the engine is told. At which time of the run it begins it will hear later.
    pub(super) fn job(&self, worker: &Worker) -> core::Job {
        let terms = &self.order.terms;
        let window = Window {
            from: worker.job.from(),
            until: worker.job.until_ms.map(Duration::from_millis),
            over: Duration::from_millis(terms.over_ms),
            overlap: Duration::from_millis(terms.overlap_ms),
        };
        core::Job {
            id: worker.job.run,
            plan: self.plan.clone(),
            target: self.target.clone(),
            seed: self.seed,
            segment: self.segment,
            worker: worker.job.worker,
            attempt: worker.job.attempt,
            shards: self.shards,
            only: None,
            window,
            watches_machine: !self.order.one_machine || worker.job.worker == 0,
        }
    }
}

/// The client must be the one that the run asks for.
fn check_client(worker: &Worker, wanted: &str) -> Result<(), String> {
    let (id, build) = (worker.client.id(), worker.client.build());
    let stamp = worker.client.stamp().map(|stamp| stamp.id());
    if wanted.is_empty() || wanted == id || [&build, &stamp].into_iter().any(|own| own.as_deref() == Some(wanted)) {
        return Ok(());
    }
    let build = build.map_or_else(String::new, |build| format!(", build {build:?}"));
    let id = stamp.unwrap_or(id);
    Err(format!(
        "the run asks for the client {wanted:?}, and this is {id:?}{build}: deploy the client that the run asks for, or \
         launch the run for this one"
    ))
}
