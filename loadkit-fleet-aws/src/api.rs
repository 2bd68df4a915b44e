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
    /// The time for which it was due, as EventBridge Scheduler fills it in. A schedule that is delivered twice launches once.
    #[serde(default)]
    at: String,
}

impl Scheduled {
    /// The launch, under the name of its time where it has none of its own.
    fn request(self) -> RunRequest {
        let Scheduled { mut launch, at, .. } = self;
        // What nobody filled in is the same each time.
        let is_a_time = !at.starts_with('<');
        if launch.once.is_empty() && is_a_time {
            launch.once = at;
        }
        launch
    }
}

/// Answers an event. A launch by a schedule that is refused is an error, so that somebody hears of it.
pub(crate) async fn answer(fleet: &Fleet, router: Router, event: Value) -> Result<Value, String> {
    if event.get("launch").is_none() {
        return Ok(json!(handle(router, event).await));
    }
    let scheduled: Scheduled =
        serde_json::from_value(event).map_err(|error| format!("the schedule's launch makes no sense: {error}"))?;
    let by = Caller { name: format!("schedule/{}", scheduled.schedule) };
    let record = fleet.launch(scheduled.request(), by).await.map_err(|error| error.to_string())?;
    Ok(json!({ "run": record.id.to_string() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_that_is_delivered_twice_launches_once() {
        let name = |launch: Value, at: &str| {
            let event = json!({ "schedule": "nightly", "at": at, "launch": launch });
            serde_json::from_value::<Scheduled>(event).unwrap().request().once
        };
        let plan = json!({ "plan": "bots = 1" });
        assert_eq!(name(plan.clone(), "2026-11-23T03:00:00Z"), "2026-11-23T03:00:00Z");
        assert_eq!(name(plan, "<aws.scheduler.scheduled-time>"), "");
        assert_eq!(name(json!({ "plan": "bots = 1", "once": "the only one" }), "2026-11-23T03:00:00Z"), "the only one");
    }
}
