//! What a run's page can do: stop it, turn its load, put a marker on its time axis. For those who may.

use axum::Form;
use axum::extract::State;
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;

use super::frame::{Actor, Named, Sorry};
use crate::api::Front;
use crate::api::fault::Fault;
use crate::fleet::DIAL;
use loadkit_core::RunId;

/// Back to the run's page, which shows what has become of it.
fn back(run: RunId) -> Response {
    Redirect::to(&format!("/runs/{run}")).into_response()
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Stop {
    now: String,
}

/// Stops the run.
pub(super) async fn stop(
    State(front): State<Front>,
    Actor(who): Actor,
    Named(run): Named,
    Form(Stop { now }): Form<Stop>,
) -> Result<Response, Sorry> {
    front.service.stop(run, &who.known.caller, now == "yes").await?;
    Ok(back(run))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Dial {
    dial: String,
}

/// Turns the run's load.
pub(super) async fn dial(
    State(front): State<Front>,
    Actor(who): Actor,
    Named(run): Named,
    Form(Dial { dial }): Form<Dial>,
) -> Result<Response, Sorry> {
    let (least, most) = (DIAL.start(), DIAL.end());
    let wrong = || Fault::Bad(format!("the dial goes from {least} to {most} of the plan's load"));
    let dial = dial.trim().parse::<f64>().ok().filter(|dial| DIAL.contains(dial)).ok_or_else(wrong)?;
    front.service.dial(run, &who.known.caller, dial).await?;
    Ok(back(run))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Mark {
    text: String,
}

/// Puts a marker at this moment.
pub(super) async fn mark(
    State(front): State<Front>,
    Actor(who): Actor,
    Named(run): Named,
    Form(Mark { text }): Form<Mark>,
) -> Result<Response, Sorry> {
    front.service.mark(run, &who.known.caller, None, &text).await?;
    Ok(back(run))
}
