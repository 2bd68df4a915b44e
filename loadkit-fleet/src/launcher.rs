//! What starts workers: Lambda, Fargate, or processes of this machine.

use std::fmt;

use async_trait::async_trait;
use loadkit_worker::Job;
use serde::{Deserialize, Serialize};

/// Where workers run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Home {
    /// Lambda functions.
    Lambda,
    /// Fargate tasks.
    Fargate,
    /// Processes on the fleet's own machine.
    Local,
}

impl fmt::Display for Home {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Home::Lambda => "lambda",
            Home::Fargate => "fargate",
            Home::Local => "local",
        })
    }
}

/// What an account, or a machine, has room for. None where that is not known.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Quotas {
    /// Workers at a time: Lambda's unreserved concurrency, or Fargate's vCPUs divided by a task's.
    pub workers: Option<u64>,
    /// Workers started a second.
    pub starts_per_s: Option<f64>,
    /// Descriptors of a worker.
    pub descriptors: Option<u64>,
    /// How these are called where they can be raised: `Lambda: Concurrent executions`.
    pub names: Vec<String>,
}

/// Starts workers. All that a cloud answers comes back in its own words.
#[async_trait]
pub trait Launcher: Send + Sync + fmt::Debug {
    /// Where they run.
    fn home(&self) -> Home;

    /// Starts a worker for each job; for each the name that it has there, or why it was not started. Who is started twice
    /// finds its lease taken.
    async fn start(&self, jobs: &[Job]) -> Vec<Result<String, String>>;

    /// What there is room for now.
    ///
    /// # Errors
    /// What was answered, in words.
    async fn quotas(&self) -> Result<Quotas, String>;

    /// Ends a worker that does not end by itself; one that has ended is fine.
    ///
    /// # Errors
    /// What was answered, in words.
    async fn end(&self, name: &str) -> Result<(), String>;
}
