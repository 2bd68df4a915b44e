//! `Runtime API -> event -> Job -> life -> answer`: a worker of a fleet as a Lambda function.
//!
//! **An invocation is a life, and leaves nothing behind.** The event is the job. Its answer says how the life went; an event
//! that is no job is answered by an error in words. The function's time is the worker's: it leaves in time to have sent
//! everything before Lambda ends it.
//!
//! [`serve`] is the loop under it, for functions of any kind.

mod runtime;
mod serve;

use std::env;
use std::hash::{BuildHasher, RandomState};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use loadkit_aws::{Config, Task, Tasks};
use loadkit_worker::http::HttpLine;
use loadkit_worker::life::{Client, Ending, Home, Log, Notice, Outcome, Worker, decline, live};
use loadkit_worker::{Address, Job, Line, MAX_JOB_BYTES, SystemClock};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

pub use runtime::Invocation;
use serve::API;
pub use serve::{Failure, Reply, serve};

/// Whether this process was started as a Lambda function.
pub fn is_called() -> bool {
    env::var_os(API).is_some()
}

/// Starts what outlasts a Lambda with a job of its own.
#[async_trait]
pub trait HandOn: Send + Sync {
    /// Starts it; its name.
    ///
    /// # Errors
    /// What was answered, in words.
    async fn hand_on(&self, job: &Job) -> Result<String, String>;
}

/// Whoever hands a job on waits for so long that there is room for it. The fleet waits longer for the task.
const PATIENCE: Duration = Duration::from_secs(60);
/// What a Lambda keeps of its time to tell the fleet that its job could not be handed on.
const RESERVE: Duration = Duration::from_secs(10);

/// As Fargate tasks, where the environment says which.
#[derive(Debug)]
struct ToFargate(Tasks);

#[async_trait]
impl HandOn for ToFargate {
    async fn hand_on(&self, job: &Job) -> Result<String, String> {
        self.0.run_within(job, PATIENCE).await
    }
}

/// Serves invocations for as long as Lambda lets it. Where the environment names a cluster and a task
/// ([`Task::read`](loadkit_aws::Task::read)), jobs are handed on to Fargate that say so.
pub fn run(client: Arc<dyn Client>) -> ExitCode {
    run_with(client, next_home().map_err(|why| Log::stderr().say(None, "error", &why)).ok().flatten())
}

fn next_home() -> Result<Option<Arc<dyn HandOn>>, String> {
    let Some(task) = Task::read(&|name| env::var(name).ok())? else { return Ok(None) };
    let config = Config::from_env().map_err(|error| error.to_string())?;
    Ok(Some(Arc::new(ToFargate(Tasks::new(loadkit_aws::Client::new(config), task)))))
}

/// The same, handing jobs that say so on to this.
pub fn run_with(client: Arc<dyn Client>, next_home: Option<Arc<dyn HandOn>>) -> ExitCode {
    let function = Function { client, next_home };
    serve(MAX_JOB_BYTES, |executor, invocation| {
        // The life has a runtime of its own on this thread: this one rests meanwhile.
        let outcome = function.work(executor, invocation).map_err(|why| Failure { kind: "Job", why })?;
        Ok(Reply { last: outcome.stuck, body: json!(outcome) })
    })
}

/// What is the same for all invocations.
struct Function {
    client: Arc<dyn Client>,
    next_home: Option<Arc<dyn HandOn>>,
}

impl Function {
    /// Lives the life that an invocation asks for; in words, why its event is no job.
    fn work(&self, executor: &tokio::runtime::Runtime, invocation: &Invocation) -> Result<Outcome, String> {
        let Some(event) = &invocation.event else {
            return Err("the event is longer than any job".into());
        };
        let mut job = Job::parse(event).map_err(|error| error.to_string())?;
        let line = line(&job)?;
        let next = job.hand_over_to.take();
        let clock = Arc::new(SystemClock);
        let notice = Notice { gone_by: Some(Instant::now() + invocation.time_left()), leave: false };
        let (_told, notice) = watch::channel(notice);
        // Lambda may deliver an event twice, with one id: a name is of one process and one invocation.
        let nonce = RandomState::new().hash_one(&invocation.id) as u32;
        let home = Home::new("lambda", format!("{}/{nonce:08x}", invocation.id)).with_notice(notice);
        let worker = Worker { client: self.client.clone(), job, line, clock, home, log: Log::stderr() };
        Ok(match next {
            None => live(&worker),
            Some(next) => {
                executor.block_on(self.hand_on(&worker, &next, invocation.time_left().saturating_sub(RESERVE)))
            }
        })
    }

    /// Starts the job in its next home. If that fails, the fleet hears why.
    async fn hand_on(&self, worker: &Worker, next: &str, within: Duration) -> Outcome {
        let started = match &self.next_home {
            Some(home) if next == "fargate" => {
                let started = timeout(within, home.hand_on(&worker.job)).await;
                started.unwrap_or_else(|_| Err("the function's time was over before there was an answer".into()))
            }
            _ => Err(format!(
                "this worker starts nothing in a home of the kind {next:?}: its environment names no cluster"
            )),
        };
        match started {
            Ok(name) => Outcome::without_lease(Ending::HandedOn, name),
            Err(why) => decline(worker, format!("the job could not be handed on: {why}")).await,
        }
    }
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
