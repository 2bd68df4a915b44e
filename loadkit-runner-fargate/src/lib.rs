//! `LOADKIT_JOB -> life -> exit code`: a worker of a fleet as a Fargate task.
//!
//! SIGTERM, which is also the warning of Spot, makes the players leave within the task's stop time-out; then the last figures
//! are sent. An indexed container (a Kubernetes Indexed Job) takes its worker's number from its index.

use std::process::ExitCode;
use std::sync::Arc;

use loadkit_worker::http::HttpLine;
use loadkit_worker::life::Client;
use loadkit_worker::{Address, Job, Line, process};

/// Whether this process was started as a task with a job.
pub fn is_called() -> bool {
    process::is_called()
}

/// Lives the life of the task's worker. `signals` tells of the signals that ask the process to end.
pub fn run(client: Arc<dyn Client>, signals: process::Listen) -> ExitCode {
    process::run(client, "fargate", signals, line)
}

/// The way to the fleet.
fn line(job: &Job) -> Result<Arc<dyn Line>, String> {
    match &job.line {
        Address::Http { url, token } => Ok(Arc::new(HttpLine::new(url, token)?)),
        Address::Aws { table, queue } => {
            let line = loadkit_aws::line(table, queue).map_err(|error| error.to_string())?;
            Ok(Arc::new(line))
        }
    }
}
