//! Workers as Fargate tasks: a job is a variable of a task's environment.

use async_trait::async_trait;
use futures_util::stream::{self, StreamExt};
use loadkit_fleet::{Home, Launcher, Quotas};
use loadkit_worker::Job;
use serde_json::json;

use crate::account::FARGATE_VCPUS;
use crate::client::Client;
use crate::error::AwsError;
use crate::service;
use crate::tasks::{STARTS_PER_S, Task, Tasks};

/// Calls under way.
const PARALLEL: usize = 10;
/// What a task may open.
const DESCRIPTORS: u64 = 65_535;
/// Starts workers as tasks.
#[derive(Clone, Debug)]
pub struct FargateLauncher {
    client: Client,
    tasks: Tasks,
}

impl FargateLauncher {
    /// Starts such tasks.
    pub fn new(client: Client, task: Task) -> FargateLauncher {
        FargateLauncher { tasks: Tasks::new(client.clone(), task), client }
    }

    async fn run(&self, job: &Job) -> Result<String, String> {
        self.tasks.run(job).await
    }
}

#[async_trait]
impl Launcher for FargateLauncher {
    fn home(&self) -> Home {
        Home::Fargate
    }

    async fn start(&self, jobs: &[Job]) -> Vec<Result<String, String>> {
        let starts: Vec<_> = jobs.iter().map(|job| self.run(job)).collect();
        stream::iter(starts).buffered(PARALLEL).collect().await
    }

    async fn quotas(&self) -> Result<Quotas, String> {
        let vcpus = match self.client.fargate_vcpus().await {
            Ok(vcpus) => vcpus,
            // Who may not ask goes without.
            Err(AwsError { code, .. }) if code == "AccessDeniedException" => None,
            Err(error) => return Err(error.to_string()),
        };
        let workers = vcpus.map(|vcpus| (vcpus / self.tasks.task().vcpus.max(0.25)).max(0.0) as u64);
        Ok(Quotas {
            workers,
            starts_per_s: Some(STARTS_PER_S),
            descriptors: Some(DESCRIPTORS),
            names: vec![format!("Fargate: On-Demand vCPU resource count ({FARGATE_VCPUS})")],
        })
    }

    async fn end(&self, name: &str) -> Result<(), String> {
        let body = json!({ "cluster": self.tasks.task().cluster, "task": name, "reason": "loadkit: the run is over" });
        match self.client.json(&service::ECS, "StopTask", &body).await {
            // It has ended, so long ago that nobody knows it any more.
            Err(error) if error.message.contains("task was not found") => Ok(()),
            Err(error) => Err(error.to_string()),
            Ok(_) => Ok(()),
        }
    }
}
