//! What workers say over HTTP: the calls of a [`Line`], with their run's own token.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use loadkit_worker::http::{BeatRequest, ClaimRequest, CloseRequest, MAX_TEXTS, ReportAnswer, ReportRequest, Who};
use loadkit_worker::{Beat, Claim, Line, MAX_TEXT};

use super::access::bearer;
use super::fault::Fault;
use super::runs::Faults;
use super::wire::Done;
use super::{Asked, Front};
use crate::auth::AuthError;

async fn line(front: &Front, headers: &HeaderMap, who: &Who) -> Result<Arc<dyn Line>, Fault> {
    let token = bearer(headers).ok_or(AuthError::Missing)?;
    front.service.line(who.run, token).await
}

/// Claims the lease of a job's attempt.
#[utoipa::path(post, operation_id = "claim_lease", path = "/v1/workers/claim", tag = "workers",
    request_body = ClaimRequest, responses((status = 200, description = "What becomes of the claim", body = Claim),
    Faults), security(("worker" = [])))]
pub(super) async fn claim(
    State(front): State<Front>,
    headers: HeaderMap,
    Asked(request): Asked<ClaimRequest>,
) -> Result<Json<Claim>, Fault> {
    let line = line(&front, &headers, &request.who).await?;
    Ok(Json(line.claim(&request.who.job(), &request.status).await?))
}

/// Renews a lease, and brings the fleet's latest word.
#[utoipa::path(post, operation_id = "renew_lease", path = "/v1/workers/beat", tag = "workers",
    request_body = BeatRequest, responses((status = 200, description = "What the beat brings back", body = Beat),
    Faults), security(("worker" = [])))]
pub(super) async fn beat(
    State(front): State<Front>,
    headers: HeaderMap,
    Asked(request): Asked<BeatRequest>,
) -> Result<Json<Beat>, Fault> {
    let line = line(&front, &headers, &request.who).await?;
    Ok(Json(line.beat(&request.who.job(), request.phase, &request.status).await?))
}

/// Takes parcels of figures.
#[utoipa::path(post, operation_id = "report_figures", path = "/v1/workers/report", tag = "workers",
    request_body = ReportRequest, responses((status = 200, description = "How much was taken", body = ReportAnswer),
    Faults), security(("worker" = [])))]
pub(super) async fn report(
    State(front): State<Front>,
    headers: HeaderMap,
    Asked(request): Asked<ReportRequest>,
) -> Result<Json<ReportAnswer>, Fault> {
    let line = line(&front, &headers, &request.who).await?;
    check_texts(&request)?;
    Ok(Json(ReportAnswer { taken: line.report(&request.who.job(), &request.texts).await? }))
}

/// Gives a lease back: everything has been sent.
#[utoipa::path(post, operation_id = "close_lease", path = "/v1/workers/close", tag = "workers",
    request_body = CloseRequest, responses((status = 200, description = "It was done", body = Done), Faults),
    security(("worker" = [])))]
pub(super) async fn close(
    State(front): State<Front>,
    headers: HeaderMap,
    Asked(request): Asked<CloseRequest>,
) -> Result<Json<Done>, Fault> {
    let line = line(&front, &headers, &request.who).await?;
    line.close(&request.who.job(), &request.status, &request.end).await?;
    Ok(Json(Done {}))
}

/// A worker's token is for its own run: so are its parcels, by what stands before their bytes.
fn check_texts(request: &ReportRequest) -> Result<(), Fault> {
    if request.texts.len() > MAX_TEXTS {
        let texts = request.texts.len();
        return Err(Fault::TooLarge(format!("{texts} parcels are more than the {MAX_TEXTS} of a request")));
    }
    let own = format!("lk1.{}.", request.who.run);
    match request.texts.iter().find(|text| text.len() > MAX_TEXT || !text.starts_with(&own)) {
        Some(_) => Err(Fault::Bad(format!(
            "a text is no parcel of run {}, or is longer than {MAX_TEXT} bytes",
            request.who.run
        ))),
        None => Ok(()),
    }
}
