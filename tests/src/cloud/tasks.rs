//! `RunTask -> a container, or a process`: tasks of ECS.
//!
//! It keeps to the contract as far as the fleet uses it: the container's environment is that of the deployed task definition
//! with the overrides over it, a client's token starts nothing twice, and a task for which there is no room is among the
//! `failures` of an answer that is a success.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use loadkit_aws::ECS;
use serde_json::{Value, json};

use crate::Child;
use crate::answers::{Answer, Asked, serve_http};
use crate::container::{Container, Engine, FOLDER};

/// Why there is no room for a task, as ECS says it.
pub const NO_ROOM: &str = "RESOURCE:CPU";

/// Starts tasks in containers where this machine can run them, else as processes. They end with it.
#[derive(Clone)]
pub struct Tasks(Arc<Inner>);

struct Inner {
    binary: PathBuf,
    engine: Result<Engine, String>,
    url: Mutex<String>,
    /// Where the task's definition is described, and where workers write what they recorded.
    definitions: Mutex<Option<(String, PathBuf)>>,
    started: Mutex<BTreeMap<String, Started>>,
    /// So many calls more find no room, and so many have found none.
    full: Mutex<(u32, u32)>,
}

enum Started {
    Contained { _container: Container },
    Process { _process: Child },
}

impl Tasks {
    /// Whose container is this binary.
    pub fn of(binary: &str) -> Tasks {
        let tasks = Tasks(Arc::new(Inner {
            binary: binary.into(),
            engine: Engine::find(Path::new(binary)),
            url: Mutex::default(),
            definitions: Mutex::default(),
            started: Mutex::default(),
            full: Mutex::default(),
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

    /// The next so many calls find no room.
    pub fn are_full_for(&self, calls: u32) {
        self.0.full.lock().unwrap().0 = calls;
    }

    /// How many calls have found no room.
    pub fn refused(&self) -> u32 {
        self.0.full.lock().unwrap().1
    }

    /// Whether tasks are containers.
    pub fn are_contained(&self) -> bool {
        self.0.engine.is_ok()
    }

    /// What tasks are on this machine, in words.
    pub fn what_they_are(&self) -> String {
        match &self.0.engine {
            Ok(engine) => format!("CONTAINERS, by {}", engine.name()),
            Err(why) => format!("NO CONTAINERS, processes through the RunTask contract: {why}"),
        }
    }

    pub(super) fn describe_by(&self, url: String, kept: PathBuf) {
        *self.0.definitions.lock().unwrap() = Some((url, kept));
    }
}

impl Inner {
    fn answer(&self, asked: &Asked) -> Answer {
        let body: Value = serde_json::from_slice(&asked.body).unwrap_or_default();
        match asked.header("x-amz-target").and_then(|target| target.split('.').nth(1)) {
            Some("RunTask") if self.is_full() => {
                let failure = json!({ "reason": NO_ROOM, "detail": "not enough of it is left" });
                Answer::new(200, json!({ "tasks": [], "failures": [failure] }).to_string())
            }
            Some("RunTask") => {
                let arn = self.run(&body);
                Answer::new(200, json!({ "tasks": [{ "taskArn": arn }], "failures": [] }).to_string())
            }
            _ => Answer::new(200, "{}"),
        }
    }

    fn is_full(&self) -> bool {
        let mut full = self.full.lock().unwrap();
        let is_full = full.0 > 0;
        if is_full {
            *full = (full.0 - 1, full.1 + 1);
        }
        is_full
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
            let all = [container, overriding].into_iter().flat_map(|one| one["environment"].as_array().unwrap());
            let text = |variable: &Value, key: &str| variable[key].as_str().unwrap().to_owned();
            let mut variables: Vec<(String, String)> =
                all.map(|variable| (text(variable, "name"), text(variable, "value"))).collect();
            // What ECS's agent gives, and what the emulator needs.
            let more = [("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test"), ("AWS_ENDPOINT_URL", &url)];
            variables.extend(more.map(|(name, value)| (name.to_owned(), value.to_owned())));
            started.insert(token.clone(), self.start(&token, variables, &kept));
        }
        format!("arn:aws:ecs:us-east-1:000000000000:task/{token}")
    }

    fn start(&self, token: &str, mut variables: Vec<(String, String)>, kept: &Path) -> Started {
        let mut set = |name: &str, value: &str| variables.push((name.to_owned(), value.to_owned()));
        match &self.engine {
            Ok(engine) => {
                let name = format!("task-{token}");
                set("HOSTNAME", &name);
                set("LOADKIT_KEEP_SNAPSHOTS", FOLDER);
                Started::Contained { _container: engine.start(&name, &[], &variables, kept).unwrap() }
            }
            Err(_) => {
                set("LOADKIT_KEEP_SNAPSHOTS", &kept.to_string_lossy());
                let mut command = Command::new(&self.binary);
                command.envs(variables).env_remove("AWS_LAMBDA_RUNTIME_API");
                Started::Process { _process: Child::start(command.stdin(Stdio::null()).stdout(Stdio::null())) }
            }
        }
    }
}

fn describe(url: &str, definition: &Value) -> Value {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let client = super::client(url);
    runtime.block_on(client.json(&ECS, "DescribeTaskDefinition", &json!({ "taskDefinition": definition }))).unwrap()
}
