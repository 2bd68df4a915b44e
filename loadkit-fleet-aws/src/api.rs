//! `API Gateway's event | {"launch": …} -> the front door -> an answer`.

use axum::Router;
use loadkit_fleet::api::handle;
use loadkit_fleet::{Caller, Fleet, RunRequest};
use serde::Deserialize;
use serde_json::{Value, json};

/// What a schedule invokes the function with. Who may invoke it so is IAM's to say.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Scheduled {
    /// The body of `POST /v1/runs`.
    launch: RunRequest,
    /// The schedule's name, by which the policy knows it: as the caller `schedule/<name>`.
    schedule: String,
}

/// Answers an event. A launch by a schedule that is refused is an error, so that somebody hears of it.
pub(crate) async fn answer(fleet: &Fleet, router: Router, event: Value) -> Result<Value, String> {
    if event.get("launch").is_none() {
        return Ok(json!(handle(router, event).await));
    }
    let Scheduled { launch, schedule } =
        serde_json::from_value(event).map_err(|error| format!("the schedule's launch makes no sense: {error}"))?;
    let by = Caller { name: format!("schedule/{schedule}") };
    let record = fleet.launch(launch, by).await.map_err(|error| error.to_string())?;
    Ok(json!({ "run": record.id.to_string() }))
}
