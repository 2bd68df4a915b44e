//! Workers as Fargate tasks: a job is a variable of a task's environment.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::stream::{self, StreamExt};
use loadkit_fleet::{Home, JOB_VARIABLE, Launcher, Quotas};
use loadkit_worker::Job;
use serde_json::{Value, json};

use super::pace::Pace;
use crate::client::Client;
use crate::error::AwsError;
use crate::service;

/// Calls under way.
const PARALLEL: usize = 10;
/// RunTask takes so many calls a second, and so many at once at first.
const STARTS_PER_S: f64 = 20.0;
const BURST: u32 = 20;
/// What a task may open.
const DESCRIPTORS: u64 = 65_535;
/// Fargate's quota of vCPUs, as Service Quotas calls it.
const VCPU_QUOTA: &str = "L-3032A538";

/// The network of a task: none on a machine of one's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// Where it may be placed.
    pub subnets: Vec<String>,
    /// What it may reach; empty for the network's own.
    pub security_groups: Vec<String>,
    /// Whether it has an address of its own on the internet: without one, all go through one gateway.
    pub public: bool,
}

/// What is started for a job.
#[derive(Clone, Debug, PartialEq)]
pub struct Task {
    /// The cluster.
    pub cluster: String,
    /// The task definition, with or without its revision.
    pub definition: String,
    /// The container in it that is the client.
    pub container: String,
    /// The vCPUs of a task, as its definition says.
    pub vcpus: f64,
    /// Where it runs.
    pub network: Network,
    /// On spare machines: cheaper, and taken away with two minutes' notice.
    pub spot: bool,
}

/// Starts workers as tasks.
#[derive(Clone, Debug)]
pub struct FargateLauncher {
    client: Client,
    task: Arc<Task>,
    pace: Arc<Pace>,
}

impl FargateLauncher {
    /// Starts such tasks.
    pub fn new(client: Client, task: Task) -> FargateLauncher {
        FargateLauncher { client, task: Arc::new(task), pace: Arc::new(Pace::new(STARTS_PER_S, BURST)) }
    }

    async fn run(&self, job: &Job) -> Result<String, String> {
        self.pace.turn().await;
        let answer = self.client.json(&service::ECS, "RunTask", &request(&self.task, job)).await;
        let answer = answer.map_err(|error| error.to_string())?;
        let first = |name: &str| answer.get(name).and_then(Value::as_array).and_then(|all| all.first());
        if let Some(failure) = first("failures") {
            let text = |name: &str| failure.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
            let words: Vec<&str> = ["reason", "detail", "arn"].iter().filter_map(|name| text(name)).collect();
            return Err(format!("ECS RunTask: {}", words.join(": ")));
        }
        let arn = first("tasks").and_then(|task| task.get("taskArn")).and_then(Value::as_str);
        arn.map(str::to_owned).ok_or_else(|| "ECS RunTask: it names neither a task nor a failure".into())
    }
}

/// A task for a job. Jobs differ, and all tasks of a call have one environment: so it is one.
fn request(task: &Task, job: &Job) -> Value {
    let variable = json!({ "name": JOB_VARIABLE, "value": job.to_json() });
    let mut request = json!({
        "cluster": task.cluster,
        "taskDefinition": task.definition,
        "count": 1,
        // Who asks twice starts nothing twice.
        "clientToken": format!("{}-{}-{}", job.run, job.worker, job.attempt),
        "startedBy": format!("loadkit-{}", job.run),
        "overrides": { "containerOverrides": [{ "name": task.container, "environment": [variable] }] },
    });
    if let Some(fields) = request.as_object_mut() {
        if task.spot {
            let provider = json!([{ "capacityProvider": "FARGATE_SPOT", "weight": 1 }]);
            fields.insert("capacityProviderStrategy".into(), provider);
        } else {
            fields.insert("launchType".into(), "FARGATE".into());
        }
        let Network { subnets, security_groups, public } = &task.network;
        if !subnets.is_empty() {
            let public = if *public { "ENABLED" } else { "DISABLED" };
            let mut network = json!({ "subnets": subnets, "assignPublicIp": public });
            if let (false, Some(network)) = (security_groups.is_empty(), network.as_object_mut()) {
                network.insert("securityGroups".into(), json!(security_groups));
            }
            fields.insert("networkConfiguration".into(), json!({ "awsvpcConfiguration": network }));
        }
    }
    request
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
        let body = json!({ "ServiceCode": "fargate", "QuotaCode": VCPU_QUOTA });
        let vcpus = match self.client.json(&service::SERVICE_QUOTAS, "GetServiceQuota", &body).await {
            Ok(answer) => answer.get("Quota").and_then(|quota| quota.get("Value")).and_then(Value::as_f64),
            // Who may not ask goes without.
            Err(AwsError { code, .. }) if code == "AccessDeniedException" => None,
            Err(error) => return Err(error.to_string()),
        };
        let workers = vcpus.map(|vcpus| (vcpus / self.task.vcpus.max(0.25)).max(0.0) as u64);
        Ok(Quotas {
            workers,
            starts_per_s: Some(STARTS_PER_S),
            descriptors: Some(DESCRIPTORS),
            names: vec![format!("Fargate: On-Demand vCPU resource count ({VCPU_QUOTA})")],
        })
    }

    async fn end(&self, name: &str) -> Result<(), String> {
        let body = json!({ "cluster": self.task.cluster, "task": name, "reason": "loadkit: the run is over" });
        match self.client.json(&service::ECS, "StopTask", &body).await {
            // It has ended, so long ago that nobody knows it any more.
            Err(error) if error.message.contains("task was not found") => Ok(()),
            Err(error) => Err(error.to_string()),
            Ok(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use loadkit_core::RunId;
    use loadkit_worker::Address;

    use super::*;

    #[test]
    fn a_task_is_asked_for_with_its_job() {
        let job = Job::new(RunId(7), 3, Address::Aws { table: "t".into(), queue: "q".into() });
        let network = Network { subnets: vec!["subnet-1".into()], security_groups: vec!["sg-1".into()], public: true };
        let (cluster, definition, container) = ("c".to_owned(), "d".to_owned(), "client".to_owned());
        let task = Task { cluster, definition, container, vcpus: 2.0, network, spot: false };
        let asked = request(&task, &job);
        let token = asked["clientToken"].as_str().unwrap();
        assert!(token.ends_with("-3-0") && token.len() <= 64, "{token}");
        let variable = &asked["overrides"]["containerOverrides"][0]["environment"][0];
        assert_eq!(Job::parse(variable["value"].as_str().unwrap().as_bytes()), Ok(job.clone()));
        assert_eq!((&asked["launchType"], &asked["count"]), (&json!("FARGATE"), &json!(1)));
        let network = json!({ "subnets": ["subnet-1"], "assignPublicIp": "ENABLED", "securityGroups": ["sg-1"] });
        assert_eq!(asked["networkConfiguration"]["awsvpcConfiguration"], network);
        let spot = request(&Task { spot: true, network: Network::default(), ..task }, &job);
        assert_eq!((spot.get("launchType"), spot.get("networkConfiguration")), (None, None));
        assert_eq!(spot["capacityProviderStrategy"][0]["capacityProvider"], "FARGATE_SPOT");
    }
}
