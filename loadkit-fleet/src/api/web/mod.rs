//! `a browser -> pages over the Service`: the dashboard. Pages are made here; scripts only keep them up to date, and draw.
//!
//! **Every text from bots, servers and callers is hostile.** Pages are made with maud, which escapes; scripts set text and
//! never markup; and the policy that goes with each page forbids inline scripts, inline styles and all that is elsewhere.
//!
//! Whoever changes something does so from one of these pages: requests from another origin are refused.
//!
//! Behind API Gateway they are the same, without the signature that the API wants there: browsers cannot sign, so they show a token in
//! a cookie. What is live there is looked at again and again, because answers go out when they are whole.

mod act;
mod assets;
mod change;
mod compare;
mod figures;
mod frame;
mod glance;
mod launch;
mod list;
mod live;
mod packed;
mod run;
mod screen;
mod series;
mod session;
mod trend;

use axum::Router;
use axum::routing::{get, post};

use super::Front;

pub(super) use session::{same_origin, token_of_cookie};

/// What the pages keep between requests.
#[derive(Debug, Default)]
pub(super) struct Web {
    screens: screen::Screens,
    glances: glance::Glances,
    trend: trend::Known,
}

/// The pages.
pub(super) fn routes() -> Router<Front> {
    Router::new()
        .route("/", get(list::page))
        .route("/login", get(session::page).post(session::login))
        .route("/logout", post(session::logout))
        .route("/assets/{name}", get(assets::asset))
        .route("/compare", get(compare::page))
        .route("/launch", get(launch::form).post(launch::act))
        .route("/runs/{id}", get(run::page))
        .route("/runs/{id}/report/{*file}", get(run::file))
        .route("/runs/{id}/stop", post(act::stop))
        .route("/runs/{id}/dial", post(act::dial))
        .route("/runs/{id}/marker", post(act::mark))
        .route("/data/trend", get(trend::data))
        .route("/data/runs/{id}/series", get(series::data))
        .route("/data/runs/{id}/live", get(live::stream))
        .route("/data/compare", get(compare::data))
        .layer(axum::middleware::map_response(frame::guarded))
}
