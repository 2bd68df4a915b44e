//! `RunTask -> a process`: tasks of ECS where no container engine runs.
//!
//! It keeps to the contract as far as the fleet uses it: the container's environment is that of the deployed task definition
//! with the overrides over it, and a client's token starts nothing twice.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use loadkit_aws::ECS;
use serde_json::{Value, json};

use crate::Child;
use crate::answers::{Answer, Asked, serve_http};

/// Starts tasks as processes of this machine. They end with it.
#[derive(Clone)]
pub struct Tasks(Arc<Inner>);

struct Inner {
    binary: PathBuf,
    url: Mutex<String>,
    /// Where the task's definition is described, and where workers write what they recorded.
    definitions: Mutex<Option<(String, PathBuf)>>,
    started: Mutex<BTreeMap<String, Child>>,
}

impl Tasks {
    /// Whose container is this binary.
    pub fn of(binary: &str) -> Tasks {
        let tasks = Tasks(Arc::new(Inner {
            binary: binary.into(),
            url: Mutex::default(),
            definitions: Mutex::default(),
            started: Mutex::default(),
        }));
        // Held weakly, so that the processes end with whoever made this.
        let inner = Arc::downgrade(&tasks.0);
        let at = serve_http(move |asked| match inner.upgrade() {
            Some(inner) => inner.answer(&asked),
            None => Answer::new(503, "{}"),
        });
        *tasks.0.url.lock().unwrap() = format!("http://{at}");
        tasks
    }

    /// Where it answers in place of ECS.
    pub fn url(&self) -> String {
        self.0.url.lock().unwrap().clone()
    }

    /// How many tasks were started.
    pub fn count(&self) -> usize {
        self.0.started.lock().unwrap().len()
    }

    pub(super) fn describe_by(&self, url: String, kept: PathBuf) {
        *self.0.definitions.lock().unwrap() = Some((url, kept));
    }
}

impl Inner {
    fn answer(&self, asked: &Asked) -> Answer {
        let body: Value = serde_json::from_slice(&asked.body).unwrap_or_default();
        match asked.header("x-amz-target").and_then(|target| target.split('.').nth(1)) {
            Some("RunTask") => {
                let arn = self.run(&body);
                Answer::new(200, json!({ "tasks": [{ "taskArn": arn }], "failures": [] }).to_string())
            }
            _ => Answer::new(200, "{}"),
        }
    }

    fn run(&self, body: &Value) -> String {
        let token = body["clientToken"].as_str().unwrap().to_owned();
        let mut started = self.started.lock().unwrap();
        if !started.contains_key(&token) {
            let (url, kept) = self.definitions.lock().unwrap().clone().unwrap();
            let definition = describe(&url, &body["taskDefinition"]);
            let container = &definition["taskDefinition"]["containerDefinitions"][0];
            let overriding = &body["overrides"]["containerOverrides"][0];
            assert_eq!(container["name"], overriding["name"]);
            let mut command = Command::new(&self.binary);
            for variable in [container, overriding].iter().flat_map(|one| one["environment"].as_array().unwrap()) {
                command.env(variable["name"].as_str().unwrap(), variable["value"].as_str().unwrap());
            }
            // What ECS's agent gives, and what the emulator needs.
            command.envs([("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")]);
            command.env("AWS_ENDPOINT_URL", url).env("LOADKIT_KEEP_SNAPSHOTS", kept);
            command.env_remove("AWS_LAMBDA_RUNTIME_API").stdin(Stdio::null()).stdout(Stdio::null());
            started.insert(token.clone(), Child::start(&mut command));
        }
        format!("arn:aws:ecs:us-east-1:000000000000:task/{token}")
    }
}

fn describe(url: &str, definition: &Value) -> Value {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let client = super::client(url);
    runtime.block_on(client.json(&ECS, "DescribeTaskDefinition", &json!({ "taskDefinition": definition }))).unwrap()
}
