//! A capacity search in virtual time.

use std::error::Error;
use std::fmt;

use loadkit_core::capacity::{Capacity, Objective, Probed, Range, RangeError, Search};
use loadkit_core::{Collector, Control, Job, PlanError, RunError, Scenario};

use super::{Simulation, play};

/// Why a search could not be made.
#[derive(Debug)]
pub enum CapacityError {
    /// There is nothing to be searched in.
    Range(RangeError),
    /// A load is more than a plan can have.
    Plan(PlanError),
    /// A probe could not start.
    Run(RunError),
    /// Nothing could be said about the first probe, in words: what was to hold is not measured.
    Unmeasured(String),
}

impl fmt::Display for CapacityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CapacityError::Range(error) => error.fmt(f),
            CapacityError::Plan(error) => error.fmt(f),
            CapacityError::Run(error) => error.fmt(f),
            CapacityError::Unmeasured(why) => f.write_str(why),
        }
    }
}

impl Error for CapacityError {}

impl<S: Scenario> Simulation<S> {
    /// Looks for the most players, or arrivals a second, that hold an objective: the plan's load is replaced by that of
    /// each probe. See [`loadkit_core::capacity`].
    ///
    /// # Errors
    /// If the range makes no sense, a probe cannot start, or the first says nothing about the objective.
    pub fn capacity(self, range: Range, objective: &Objective) -> Result<Capacity, CapacityError> {
        let mut search = Search::new(range).map_err(CapacityError::Range)?;
        let (scenario, job) = self.prepare();
        let mut probes: Vec<Probed> = Vec::new();
        while let Some(probe) = search.next() {
            let plan = objective.plan(&job.plan, probe.load).map_err(CapacityError::Plan)?;
            let job = Job { plan, ..job.clone() };
            let mut sink = objective.sink(probe.load, Collector::new(job.plan.interval()));
            let conditions = play(&scenario, &job, &Control::new(), &mut sink).map_err(CapacityError::Run)?;
            let reading = objective.read(sink.judge(), sink.inner().totals(), &conditions, search.has_answered());
            let reading = reading.map_err(CapacityError::Unmeasured)?;
            search.observe(probe.load, reading.seen);
            probes.push(Probed::new(probe.load, objective, &reading));
        }
        let found = Capacity::new(&search, objective, probes);
        let (scenario, target) = (scenario.name().into_owned(), job.target.name().to_owned());
        Ok(Capacity { scenario, target, seed: job.seed.to_string(), ..found })
    }
}
