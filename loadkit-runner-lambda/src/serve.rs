//! `serve(most_bytes, |executor, invocation| -> reply)`: a function of any kind, one invocation after the other.

use std::env;
use std::process::ExitCode;
use std::time::Duration;

use loadkit_worker::life::Log;
use loadkit_worker::{Clock, SystemClock};
use serde_json::Value;
use tokio::runtime::Runtime as Executor;

use crate::runtime::{Invocation, Runtime};

/// The variable by which Lambda says where its runtime API is.
pub(crate) const API: &str = "AWS_LAMBDA_RUNTIME_API";
/// What Lambda's time-out is at the most: used where an invocation does not say.
const LONGEST: Duration = Duration::from_secs(900);
/// Failures of the runtime API in a row before the process gives up, as Lambda is about to end it.
const MAX_FAILURES: u32 = 3;

/// What a function answers.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// In JSON.
    pub body: Value,
    /// Something still runs that must not run into the next invocation: the process ends, and Lambda starts a new one.
    pub last: bool,
}

impl Reply {
    /// This, and the next invocation may come.
    pub fn new(body: Value) -> Reply {
        Reply { body, last: false }
    }
}

/// Why a function failed, as Lambda counts and shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// A word for its kind.
    pub kind: &'static str,
    /// In words.
    pub why: String,
}

impl Invocation {
    /// How long until Lambda ends the process.
    pub fn time_left(&self) -> Duration {
        let now_ms = SystemClock.now_ms();
        self.deadline_ms.map_or(LONGEST, |deadline| Duration::from_millis(deadline.saturating_sub(now_ms)).min(LONGEST))
    }
}

/// Serves invocations whose events have at most so many bytes, for as long as Lambda lets it. The executor rests between them,
/// as the process does.
pub fn serve(most_bytes: usize, mut work: impl FnMut(&Executor, &Invocation) -> Result<Reply, Failure>) -> ExitCode {
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
    let api = Runtime::new(authority, most_bytes);
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
        let worked = work(&executor, &invocation);
        let answered = executor.block_on(api.answer(&invocation.id, &worked));
        if let Err(why) = answered {
            log.say(None, "error", &format!("the answer to {} was not taken: {why}", invocation.id));
            failures += 1;
        } else {
            failures = 0;
        }
        if failures >= MAX_FAILURES || worked.is_ok_and(|reply| reply.last) {
            return ExitCode::FAILURE;
        }
    }
}
