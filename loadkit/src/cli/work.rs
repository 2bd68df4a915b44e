//! The client as a worker of a fleet, when its environment says that it is one.

use std::process::ExitCode;
use std::sync::Arc;

use loadkit_core::{Control, Ended, Host, Job, MetricSink, Plan, RunError, Segment, Stamp, Target, Window};
use loadkit_worker::life;

#[cfg(any(feature = "worker", feature = "fargate"))]
use super::signals;
use super::{Client, room, run};
use crate::host::{Os, free_descriptors};

/// Whether the environment says so: a Lambda's runtime API, or a job.
pub(super) fn is_called() -> bool {
    #[cfg(feature = "lambda")]
    if loadkit_runner_lambda::is_called() {
        return true;
    }
    #[cfg(feature = "fargate")]
    if loadkit_runner_fargate::is_called() {
        return true;
    }
    #[cfg(feature = "worker")]
    if loadkit_worker::process::is_called() {
        return true;
    }
    false
}

/// Works where the environment says.
pub(super) fn work(client: Client) -> ExitCode {
    let client: Arc<dyn life::Client> = Arc::new(client);
    #[cfg(feature = "lambda")]
    if loadkit_runner_lambda::is_called() {
        return loadkit_runner_lambda::run(client);
    }
    at_home(client)
}

/// As a task.
#[cfg(feature = "fargate")]
fn at_home(client: Arc<dyn life::Client>) -> ExitCode {
    loadkit_runner_fargate::run(client, signals::listen)
}

/// As a process of this machine.
#[cfg(all(feature = "worker", not(feature = "fargate")))]
fn at_home(client: Arc<dyn life::Client>) -> ExitCode {
    use loadkit_worker::http::HttpLine;
    use loadkit_worker::{Address, Line, process};

    process::run(client, "process", signals::listen, |job| match &job.line {
        Address::Http { url, token } => Ok(Arc::new(HttpLine::new(url, token)?) as Arc<dyn Line>),
        Address::Aws { .. } => Err("this client was built without the feature `fargate`, which knows AWS".into()),
    })
}

#[cfg(not(any(feature = "worker", feature = "fargate")))]
fn at_home(_: Arc<dyn life::Client>) -> ExitCode {
    ExitCode::from(super::outcome::WRONG_USE)
}

impl life::Client for Client {
    fn id(&self) -> String {
        format!("{} {}", self.name, self.version)
    }

    fn build(&self) -> Option<String> {
        self.build.map(str::to_owned)
    }

    fn stamp(&self) -> Option<Stamp> {
        Some(self.stamped())
    }

    fn scenario(&self, plan: &Plan) -> String {
        self.find(plan.scenario()).map(|scenario| scenario.name().into_owned()).unwrap_or_default()
    }

    fn descriptors(&self) -> u64 {
        free_descriptors().unwrap_or(0)
    }

    fn prepare(&self, plan: &Plan, share: Segment) -> Result<Target, String> {
        let scenario = self.find(plan.scenario()).map_err(|error| error.to_string())?;
        let own = scenario.personas().map_err(|error| error.to_string())?;
        own.with(plan.personas().collect()).map_err(|error| error.to_string())?;
        let target = run::target_of(plan).map_err(|error| error.to_string())?;
        room::check(scenario, plan, &target, share).map_err(|error| error.to_string())?;
        Ok(target)
    }

    fn play(
        &self,
        job: &Job,
        control: &Control,
        sink: &mut dyn MetricSink,
        start: &mut dyn FnMut() -> Option<Window>,
    ) -> Result<Ended, RunError> {
        let host: Arc<dyn Host> = Arc::new(Os);
        match self.find(job.plan.scenario()) {
            Ok(scenario) => scenario.run_when(job, &host, control, sink, start),
            // Looked for and found before.
            Err(error) => Err(RunError::System(std::io::Error::other(error.to_string()))),
        }
    }
}
