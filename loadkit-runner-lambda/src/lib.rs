//! `Runtime API -> event -> Job -> life -> answer`: a worker of a fleet as a Lambda function.
//!
//! **An invocation is a life, and leaves nothing behind.** The event is the job. Its answer says how the life went; an event
//! that is no job is answered by an error in words. The function's time is the worker's: it leaves in time to have sent
//! everything before Lambda ends it.

mod runtime;

use std::env;
use std::hash::{BuildHasher, RandomState};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use loadkit_worker::http::HttpLine;
use loadkit_worker::life::{Client, Ending, Home, Log, Notice, Outcome, Worker, decline, live};
use loadkit_worker::{Address, Clock, Job, Line, SystemClock};
use tokio::sync::watch;
use tokio::time::Instant;

use runtime::{Invocation, Runtime};

/// The variable by which Lambda says where its runtime API is.
const API: &str = "AWS_LAMBDA_RUNTIME_API";
/// What Lambda's time-out is at the most: used where an invocation does not say.
const LONGEST: Duration = Duration::from_secs(900);
/// Failures of the runtime API in a row before the process gives up, as Lambda is about to end it.
const MAX_FAILURES: u32 = 3;

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

/// Serves invocations for as long as Lambda lets it.
pub fn run(client: Arc<dyn Client>) -> ExitCode {
    run_with(client, None)
}

/// The same, handing jobs that say so on to this.
pub fn run_with(client: Arc<dyn Client>, next_home: Option<Arc<dyn HandOn>>) -> ExitCode {
    let log = Log::stderr();
    let failed = |why: &str| {
        log.say(None, "error", why);
        ExitCode::FAILURE
    };
    let Ok(authority) = env::var(API) else { return failed(&format!("{API} is not set")) };
    let executor = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(executor) => executor,
        Err(error) => return failed(&format!("the system gives no runtime: {error}")),
    };
    let function = Function { client, next_home };
    let api = Runtime::new(authority);
    let mut failures = 0;
    loop {
        let invocation = match executor.block_on(api.next()) {
            Ok(invocation) => invocation,
            Err(why) => {
                failures += 1;
                if failures >= MAX_FAILURES {
                    return failed(&format!("Lambda's runtime API gives no invocation: {why}"));
                }
                continue;
            }
        };
        // The life has a runtime of its own on this thread: this one rests meanwhile.
        let lived = function.work(&executor, &invocation);
        let answered = executor.block_on(api.answer(&invocation.id, &lived));
        if let Err(why) = answered {
            log.say(None, "error", &format!("the answer to {} was not taken: {why}", invocation.id));
            failures += 1;
        } else {
            failures = 0;
        }
        if failures >= MAX_FAILURES || lived.is_ok_and(|outcome| outcome.stuck) {
            // Whatever still runs must not run into the next invocation: Lambda starts a new process.
            return ExitCode::FAILURE;
        }
    }
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
        let left = invocation
            .deadline_ms
            .map_or(LONGEST, |deadline| Duration::from_millis(deadline.saturating_sub(clock.now_ms())).min(LONGEST));
        let notice = Notice { gone_by: Some(Instant::now() + left), leave: false };
        let (_told, notice) = watch::channel(notice);
        // Lambda may deliver an event twice, with one id: a name is of one process and one invocation.
        let nonce = RandomState::new().hash_one(&invocation.id) as u32;
        let home = Home::new("lambda", format!("{}/{nonce:08x}", invocation.id)).with_notice(notice);
        let worker = Worker { client: self.client.clone(), job, line, clock, home, log: Log::stderr() };
        Ok(match next {
            None => live(&worker),
            Some(next) => executor.block_on(self.hand_on(&worker, &next)),
        })
    }

    /// Starts the job in its next home. If that fails, the fleet hears why.
    async fn hand_on(&self, worker: &Worker, next: &str) -> Outcome {
        let started = match &self.next_home {
            Some(home) if next == "fargate" => home.hand_on(&worker.job).await,
            _ => Err(format!("this client was built to start nothing in a home of the kind {next:?}")),
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
