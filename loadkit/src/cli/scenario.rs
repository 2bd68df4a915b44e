//! Scenarios of different bots in one list.

use std::borrow::Cow;
use std::sync::Arc;

use loadkit_core::{Control, Ended, Host, Job, MetricSink, RunError, Scenario, Weights, WeightsError, Window};

/// A scenario, whatever its bots are.
pub(super) trait AnyScenario: Send + Sync {
    fn name(&self) -> Cow<'static, str>;
    fn about(&self) -> Cow<'static, str>;
    fn personas(&self) -> Result<Weights, WeightsError>;
    fn sockets_per_bot(&self) -> u32;
    fn run_when(
        &self,
        job: &Job,
        host: &Arc<dyn Host>,
        control: &Control,
        sink: &mut dyn MetricSink,
        start: &mut dyn FnMut() -> Option<Window>,
    ) -> Result<Ended, RunError>;

    /// As [`loadkit_core::run`].
    fn run(
        &self,
        job: &Job,
        host: &Arc<dyn Host>,
        control: &Control,
        sink: &mut dyn MetricSink,
    ) -> Result<Ended, RunError> {
        self.run_when(job, host, control, sink, &mut || Some(job.window))
    }
}

/// A scenario that can be run.
pub(super) struct Named<S>(Arc<S>);

impl<S: Scenario> Named<S> {
    pub(super) fn new(scenario: S) -> Named<S> {
        Named(Arc::new(scenario))
    }
}

impl<S: Scenario> AnyScenario for Named<S> {
    fn name(&self) -> Cow<'static, str> {
        self.0.name()
    }

    fn about(&self) -> Cow<'static, str> {
        self.0.about()
    }

    fn personas(&self) -> Result<Weights, WeightsError> {
        self.0.personas()
    }

    fn sockets_per_bot(&self) -> u32 {
        self.0.sockets_per_bot()
    }

    fn run_when(
        &self,
        job: &Job,
        host: &Arc<dyn Host>,
        control: &Control,
        sink: &mut dyn MetricSink,
        start: &mut dyn FnMut() -> Option<Window>,
    ) -> Result<Ended, RunError> {
        loadkit_core::run_when(&self.0, job, host, control, sink, start)
    }
}
