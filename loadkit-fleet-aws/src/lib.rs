//! `event -> api | collector | keeper -> answer`: the fleet's own Lambda functions, which are one binary.
//!
//! **A function keeps nothing between events but connections.** The state of all runs is in the table; a function that is ended
//! at any moment is taken up by its next invocation, or by the keeper's tick within a minute.
//!
//! | `LOADKIT_ROLE` | is invoked by | does |
//! |---|---|---|
//! | `api` | API Gateway, a schedule | answers requests; a launch wakes the keeper |
//! | `collector` | the queue | stores parcels; names those that are none, so that they are set aside |
//! | `keeper` | a launch, a tick each minute, itself | looks after runs until they have ended, or hands them to its next invocation |

mod api;
mod collector;
mod keeper;
mod office;
mod waking;

use std::process::ExitCode;
use std::time::Duration;

use loadkit_runner_lambda::{Failure, Invocation, Reply, serve};
use loadkit_worker::life::Log;
use serde_json::Value;

use office::{Office, Role, Setting};

/// Lambda's own bound of an event is 6 MB, which may be longer as text.
const MAX_EVENT: usize = 12 << 20;
/// The kind of a failure, as Lambda shows it.
const KIND: &str = "Fleet";

/// Serves the role that the environment says, for as long as Lambda lets it.
pub fn main() -> ExitCode {
    let setting = match Setting::read(&|name| std::env::var(name).ok()) {
        Ok(setting) => setting,
        Err(why) => {
            Log::stderr().say(None, "error", &why);
            return ExitCode::FAILURE;
        }
    };
    // It is opened by the first event, and by the next one if the table did not answer.
    let mut office = None;
    serve(MAX_EVENT, |executor, invocation| executor.block_on(answer(&setting, &mut office, invocation)))
}

async fn answer(setting: &Setting, office: &mut Option<Office>, invocation: &Invocation) -> Result<Reply, Failure> {
    let event = event(invocation).map_err(failure)?;
    let office = match office {
        Some(office) => office,
        None => office.insert(Office::open(setting).await.map_err(failure)?),
    };
    let left = invocation.time_left();
    match &office.role {
        Role::Api(router) => Ok(Reply::new(api::answer(&office.fleet, router.clone(), event).await.map_err(failure)?)),
        Role::Collector => Ok(Reply::new(collector::answer(&office.fleet, &event).await)),
        Role::Keeper { client, own_name } => {
            keeper::answer(&office.fleet, client, own_name, &event, left).await.map(Reply::new).map_err(failure)
        }
    }
}

fn event(invocation: &Invocation) -> Result<Value, String> {
    let bytes = invocation.event.as_ref().ok_or("the event is longer than any of Lambda's")?;
    serde_json::from_slice(bytes).map_err(|error| format!("the event is no JSON: {error}"))
}

fn failure(why: impl ToString) -> Failure {
    let why = why.to_string();
    Log::stderr().say(None, "error", &why);
    Failure { kind: KIND, why }
}

/// Before Lambda ends it, a keeper has put everything aside by this much.
pub(crate) const RESERVE: Duration = Duration::from_secs(30);
