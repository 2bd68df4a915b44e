//! `{run} | a tick -> keep, for as long as there is time -> the next invocation`.

use std::time::Duration;

use futures_util::future::join_all;
use loadkit_aws::Client;
use loadkit_core::RunId;
use loadkit_fleet::{Fleet, Kept, keep};
use loadkit_worker::life::Log;
use serde_json::{Value, json};

use crate::RESERVE;
use crate::waking::wake;

/// A tick looks at so many of the latest runs: those before them have long ended, by their deadlines.
const LATEST: usize = 500;

/// Looks after the run that the event names, or else after all that nobody looks after.
///
/// # Errors
/// If a run could not be looked after, in words; the others are. The next tick tries again.
pub(crate) async fn answer(
    fleet: &Fleet,
    client: &Client,
    own_name: &str,
    event: &Value,
    left: Duration,
) -> Result<Value, String> {
    let runs = match event.get("run") {
        Some(run) => vec![run_of(run)?],
        None => fleet.unended(LATEST).await.map_err(|error| error.to_string())?,
    };
    let most = left.saturating_sub(RESERVE);
    let kept = join_all(runs.iter().map(|run| keep(fleet, *run, most))).await;
    let (mut ended, mut handed_on, mut failed) = (Vec::new(), Vec::new(), Vec::new());
    for (run, kept) in runs.iter().zip(kept) {
        match kept {
            Ok(Kept::Ended(_)) => ended.push(run.to_string()),
            Ok(Kept::NotMine) => {}
            Ok(Kept::OutOfTime) => match wake(client, own_name, *run).await {
                Ok(()) => handed_on.push(run.to_string()),
                // The tick takes it up.
                Err(why) => Log::stderr().say(None, "error", &format!("run {run} waits for the next tick: {why}")),
            },
            Err(error) => failed.push(format!("run {run}: {error}")),
        }
    }
    if failed.is_empty() { Ok(json!({ "ended": ended, "handed_on": handed_on })) } else { Err(failed.join("; ")) }
}

fn run_of(value: &Value) -> Result<RunId, String> {
    let text = value.as_str().filter(|text| text.len() == 16);
    let run = text.and_then(|text| u64::from_str_radix(text, 16).ok());
    run.map(RunId).ok_or_else(|| "`run` is no run: its id has 16 hexadecimal digits".into())
}
