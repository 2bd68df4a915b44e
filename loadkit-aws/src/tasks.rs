//! `Job -> RunTask`: a worker as a Fargate task, with its job in a variable of the environment.
//!
//! The fleet starts tasks so, and so does a Lambda that hands its job on.

use std::sync::Arc;
use std::time::Duration;

use loadkit_worker::Job;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::client::Client;
use crate::pace::Pace;
use crate::service;

/// The variable in which a task finds its job.
const JOB: &str = "LOADKIT_JOB";
/// RunTask takes so many calls a second, and so many at once at first.
pub(crate) const STARTS_PER_S: f64 = 20.0;
const BURST: u32 = 20;
/// Room comes back slower than a throttle ends: pauses are so many times as long, 2 s at first and 30 s at last.
const SLOWER: u32 = 10;

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

impl Task {
    /// As these variables say: `LOADKIT_CLUSTER`, `LOADKIT_TASK`, `LOADKIT_CONTAINER`, `LOADKIT_TASK_VCPUS`, `LOADKIT_SUBNETS`,
    /// `LOADKIT_SECURITY_GROUPS`, `LOADKIT_PUBLIC_IP`, `LOADKIT_SPOT`. None without a cluster.
    ///
    /// # Errors
    /// Which of them is missing or makes no sense.
    pub fn read(variable: &dyn Fn(&str) -> Option<String>) -> Result<Option<Task>, String> {
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        let Some(cluster) = variable("LOADKIT_CLUSTER") else { return Ok(None) };
        let definition = variable("LOADKIT_TASK").ok_or("LOADKIT_CLUSTER is set, and LOADKIT_TASK is not")?;
        let container = variable("LOADKIT_CONTAINER").unwrap_or_else(|| "client".into());
        let vcpus = variable("LOADKIT_TASK_VCPUS").unwrap_or_else(|| "2".into());
        let vcpus = vcpus.parse::<f64>().ok().filter(|vcpus| (0.25..=16.0).contains(vcpus));
        let vcpus = vcpus.ok_or("LOADKIT_TASK_VCPUS is no number of vCPUs from 0.25 to 16")?;
        let list = |name: &str| -> Vec<String> {
            let text = variable(name).unwrap_or_default();
            text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
        };
        let is = |name: &str| variable(name).is_some_and(|value| value == "true");
        let network = Network {
            subnets: list("LOADKIT_SUBNETS"),
            security_groups: list("LOADKIT_SECURITY_GROUPS"),
            public: is("LOADKIT_PUBLIC_IP"),
        };
        Ok(Some(Task { cluster, definition, container, vcpus, network, spot: is("LOADKIT_SPOT") }))
    }
}

/// Starts tasks. Clones share the pace.
#[derive(Clone, Debug)]
pub struct Tasks {
    client: Client,
    task: Arc<Task>,
    pace: Arc<Pace>,
}

impl Tasks {
    /// Such tasks.
    pub fn new(client: Client, task: Task) -> Tasks {
        Tasks { client, task: Arc::new(task), pace: Arc::new(Pace::new(STARTS_PER_S, BURST)) }
    }

    /// What is started.
    pub fn task(&self) -> &Task {
        &self.task
    }

    /// Starts a task for a job; its ARN. Who asks twice starts nothing twice.
    ///
    /// # Errors
    /// What was answered, in words.
    pub async fn run(&self, job: &Job) -> Result<String, String> {
        self.once(job).await.map_err(|refused| refused.why)
    }

    /// The same, asked again for at most so long while there is no room for the task.
    ///
    /// # Errors
    /// What was answered, in words.
    pub async fn run_within(&self, job: &Job, patience: Duration) -> Result<String, String> {
        let until = Instant::now() + patience;
        for tried in 1_u32.. {
            let refused = match self.once(job).await {
                Ok(arn) => return Ok(arn),
                Err(refused) => refused,
            };
            let pause = self.client.pause(tried, true) * SLOWER;
            if !refused.no_room || Instant::now() + pause > until {
                let tries = if tried > 1 { format!(" (tried {tried} times)") } else { String::new() };
                return Err(refused.why + &tries);
            }
            sleep(pause).await;
        }
        Err("ECS RunTask: it was asked for more often than anybody counts".into())
    }

    async fn once(&self, job: &Job) -> Result<String, Refused> {
        self.pace.turn().await;
        let answer = self.client.json(&service::ECS, "RunTask", &request(&self.task, job)).await;
        let other = |why: String| Refused { why, no_room: false };
        let answer = answer.map_err(|error| other(error.to_string()))?;
        let first = |name: &str| answer.get(name).and_then(Value::as_array).and_then(|all| all.first());
        if let Some(failure) = first("failures") {
            let text = |name: &str| failure.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
            let words: Vec<&str> = ["reason", "detail", "arn"].iter().filter_map(|name| text(name)).collect();
            return Err(Refused { why: format!("ECS RunTask: {}", words.join(": ")), no_room: true });
        }
        let arn = first("tasks").and_then(|task| task.get("taskArn")).and_then(Value::as_str);
        arn.map(str::to_owned).ok_or_else(|| other("ECS RunTask: it names neither a task nor a failure".into()))
    }
}

/// Why there is no task.
struct Refused {
    why: String,
    /// The call was right, and there was no capacity for it: `failures` in place of tasks.
    no_room: bool,
}

/// A task for a job. Jobs differ, and all tasks of a call have one environment: so it is one.
fn request(task: &Task, job: &Job) -> Value {
    let variable = json!({ "name": JOB, "value": job.to_json() });
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

#[cfg(test)]
mod tests {
    use loadkit_core::RunId;
    use loadkit_worker::Address;

    use super::*;

    #[test]
    fn a_task_is_as_the_environment_says() {
        let read = |variables: &[(&str, &str)]| {
            let find = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
            Task::read(&find)
        };
        assert_eq!(read(&[("LOADKIT_TASK", "t"), ("LOADKIT_CLUSTER", "")]), Ok(None));
        assert!(read(&[("LOADKIT_CLUSTER", "c")]).unwrap_err().contains("LOADKIT_TASK is not"));
        let whole =
            [("LOADKIT_CLUSTER", "c"), ("LOADKIT_TASK", "t"), ("LOADKIT_SUBNETS", "a, b,"), ("LOADKIT_SPOT", "true")];
        let task = read(&whole).unwrap().unwrap();
        assert_eq!((task.container.as_str(), task.vcpus, task.spot), ("client", 2.0, true));
        assert_eq!((task.network.subnets, task.network.public), (vec!["a".to_owned(), "b".to_owned()], false));
        let wrong = [("LOADKIT_CLUSTER", "c"), ("LOADKIT_TASK", "t"), ("LOADKIT_TASK_VCPUS", "1000")];
        assert!(read(&wrong).unwrap_err().contains("LOADKIT_TASK_VCPUS"));
    }

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
