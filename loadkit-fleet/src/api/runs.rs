//! Runs: launch, estimate, list, show, stop, dial, report.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequestParts, Path, Query, RawPathParams, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use loadkit_core::RunId;
use utoipa::IntoResponses;

use super::access::{Operator, Who};
use super::fault::{ErrorBody, Fault};
use super::service::{FileEntry, Filter, RunList};
use super::wire::{Dial, MarkerRequest, Stop};
use super::{Asked, Bytes, Front};
use crate::estimate::Estimate;
use crate::fleet::DIAL;
use crate::marker::Marker;
use crate::record::RunRecord;
use crate::request::RunRequest;

/// No name of a file is longer.
const MAX_FILE_NAME: usize = 200;
/// A report's pages may show their own pictures and styles, and nothing else.
const PAGE_POLICY: &str = "sandbox allow-same-origin; default-src 'none'; img-src 'self'; style-src 'self'";

/// The path of a report's files, for the router.
pub(super) const FILE: &str = "/v1/runs/{id}/report/{*file}";

/// How requests fail.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "it is only there for the OpenAPI document")]
pub(super) enum Faults {
    /// The request is wrong; a plan's faults are shown at their lines.
    #[response(status = 400)]
    Bad(ErrorBody),
    /// Nobody knows who asks.
    #[response(status = 401)]
    Unauthorized(ErrorBody),
    /// A rule refuses it, which `rule` names.
    #[response(status = 403)]
    Refused(ErrorBody),
    /// There is none.
    #[response(status = 404)]
    Missing(ErrorBody),
    /// It does not go together with what is.
    #[response(status = 409)]
    Conflict(ErrorBody),
    /// The body is too long.
    #[response(status = 413)]
    TooLarge(ErrorBody),
    /// A quota is too small, which `rule` names.
    #[response(status = 429)]
    OverQuota(ErrorBody),
    /// Something that the fleet needs does not answer.
    #[response(status = 503)]
    Away(ErrorBody),
}

/// The run that a path names.
#[derive(Debug)]
pub(super) struct OfRun(pub(super) RunId);

impl FromRequestParts<Front> for OfRun {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, front: &Front) -> Result<OfRun, Fault> {
        let params = RawPathParams::from_request_parts(parts, front).await;
        let params = params.map_err(|rejection| Fault::Bad(rejection.body_text()))?;
        let id = params.iter().find(|(name, _)| *name == "id").map_or("", |(_, id)| id);
        let is_hex = id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        let run = is_hex.then(|| u64::from_str_radix(id, 16).ok()).flatten();
        run.map(|run| OfRun(RunId(run))).ok_or_else(|| {
            let id: String = id.chars().take(40).collect();
            Fault::Missing(format!("there is no run {id:?}: a run's id has 16 hexadecimal digits"))
        })
    }
}

/// Launches a run. It is answered at once; the workers assemble by themselves.
#[utoipa::path(post, path = "/v1/runs", tag = "runs", request_body = RunRequest,
    responses((status = 202, description = "The run, as it begins", body = RunRecord, headers(("location",
    description = "The run"))), Faults), security(("bearer" = []), ("sigv4" = [])))]
pub(super) async fn launch(
    State(front): State<Front>,
    Operator(who): Operator,
    Asked(request): Asked<RunRequest>,
) -> Result<Response, Fault> {
    let record = front.service.launch(request, &who.caller).await?;
    let mut response = (StatusCode::ACCEPTED, Json(&record)).into_response();
    if let Ok(location) = HeaderValue::from_str(&format!("/v1/runs/{}", record.id)) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// What a run would take: workers, quotas, time to launch, dollars. Nothing is started.
#[utoipa::path(post, path = "/v1/estimate", tag = "runs", request_body = RunRequest,
    responses((status = 200, description = "What it would take, and what would refuse it", body = Estimate), Faults),
    security(("bearer" = []), ("sigv4" = [])))]
pub(super) async fn estimate(
    State(front): State<Front>,
    Who(who): Who,
    Asked(request): Asked<RunRequest>,
) -> Result<Json<Estimate>, Fault> {
    front.service.estimate(request, &who.caller).await.map(Json)
}

/// Runs, the latest first.
#[utoipa::path(get, path = "/v1/runs", tag = "runs", params(Filter),
    responses((status = 200, description = "The runs, and where the list goes on", body = RunList), Faults),
    security(("bearer" = []), ("sigv4" = [])))]
pub(super) async fn list(
    State(front): State<Front>,
    _: Who,
    filter: Result<Query<Filter>, QueryRejection>,
) -> Result<Json<RunList>, Fault> {
    let Query(filter) = filter.map_err(|rejection| Fault::Bad(rejection.body_text()))?;
    front.service.list(&filter).await.map(Json)
}

/// A run's record, with its verdict when it has ended.
#[utoipa::path(get, path = "/v1/runs/{id}", tag = "runs", params(("id" = String, Path, description = "The run")),
    responses((status = 200, description = "The record", body = RunRecord), Faults),
    security(("bearer" = []), ("sigv4" = [])))]
pub(super) async fn show(State(front): State<Front>, _: Who, OfRun(run): OfRun) -> Result<Json<RunRecord>, Fault> {
    front.service.show(run).await.map(Json)
}

/// Stops a run. Without a body, players have the plan's grace time.
#[utoipa::path(post, path = "/v1/runs/{id}/stop", tag = "runs",
    params(("id" = String, Path, description = "The run")), request_body = Option<Stop>,
    responses((status = 202, description = "The run, told to stop", body = RunRecord), Faults),
    security(("bearer" = []), ("sigv4" = [])))]
pub(super) async fn stop(
    State(front): State<Front>,
    Operator(who): Operator,
    OfRun(run): OfRun,
    body: Bytes,
) -> Result<(StatusCode, Json<RunRecord>), Fault> {
    let stop = if body.is_empty() { Ok(Stop::default()) } else { serde_json::from_slice::<Stop>(&body) };
    let stop = stop.map_err(|error| Fault::Bad(format!("the body says not how to stop: {error}")))?;
    let record = front.service.stop(run, &who.caller, stop.now).await?;
    Ok((StatusCode::ACCEPTED, Json(record)))
}

/// Turns a run's load up or down while it runs.
#[utoipa::path(post, path = "/v1/runs/{id}/dial", tag = "runs",
    params(("id" = String, Path, description = "The run")), request_body = Dial,
    responses((status = 202, description = "The run, with its load turned", body = RunRecord), Faults),
    security(("bearer" = []), ("sigv4" = [])))]
pub(super) async fn dial(
    State(front): State<Front>,
    Operator(who): Operator,
    OfRun(run): OfRun,
    Asked(Dial { dial }): Asked<Dial>,
) -> Result<(StatusCode, Json<RunRecord>), Fault> {
    if !DIAL.contains(&dial) {
        let (least, most) = (DIAL.start(), DIAL.end());
        return Err(Fault::Bad(format!("the dial goes from {least} to {most} of the plan's load")));
    }
    let record = front.service.dial(run, &who.caller, dial).await?;
    Ok((StatusCode::ACCEPTED, Json(record)))
}

/// Notes on a run's time axis what happened elsewhere: a deployment, a fail-over, somebody's remark.
#[utoipa::path(post, path = "/v1/runs/{id}/markers", tag = "runs",
    params(("id" = String, Path, description = "The run")), request_body = MarkerRequest,
    responses((status = 201, description = "The marker", body = Marker), Faults),
    security(("bearer" = []), ("sigv4" = [])))]
pub(super) async fn mark(
    State(front): State<Front>,
    Operator(who): Operator,
    OfRun(run): OfRun,
    Asked(MarkerRequest { text, at_ms }): Asked<MarkerRequest>,
) -> Result<(StatusCode, Json<Marker>), Fault> {
    let marker = front.service.mark(run, &who.caller, at_ms, &text).await?;
    Ok((StatusCode::CREATED, Json(marker)))
}

/// The markers of a run, in the order of their times.
#[utoipa::path(get, path = "/v1/runs/{id}/markers", tag = "runs",
    params(("id" = String, Path, description = "The run")),
    responses((status = 200, description = "The markers", body = Vec<Marker>), Faults),
    security(("bearer" = []), ("sigv4" = [])))]
pub(super) async fn markers(State(front): State<Front>, _: Who, OfRun(run): OfRun) -> Result<Json<Vec<Marker>>, Fault> {
    front.service.show(run).await?;
    Ok(Json(front.service.standing(run).await?.markers))
}

/// A run's report as JSON.
#[utoipa::path(get, path = "/v1/runs/{id}/report", tag = "runs", params(("id" = String, Path, description = "The run")),
    responses((status = 200, description = "The report", content_type = "application/json"), Faults),
    security(("bearer" = []), ("sigv4" = [])))]
pub(super) async fn report(State(front): State<Front>, _: Who, OfRun(run): OfRun) -> Result<Response, Fault> {
    send(&front, run, "report.json").await
}

/// The files of a run's report.
#[utoipa::path(get, path = "/v1/runs/{id}/files", tag = "runs",
    params(("id" = String, Path, description = "The run")), responses((status = 200, description = "The files",
    body = Vec<FileEntry>), Faults), security(("bearer" = []), ("sigv4" = [])))]
pub(super) async fn files(
    State(front): State<Front>,
    _: Who,
    OfRun(run): OfRun,
) -> Result<Json<Vec<FileEntry>>, Fault> {
    front.service.files(run).await.map(Json)
}

/// A file of a run's report: `report.html`, `junit.xml`, …
#[utoipa::path(get, path = "/v1/runs/{id}/report/{*file}", tag = "runs",
    params(("id" = String, Path, description = "The run"), ("file" = String, Path, description = "The file's name")),
    responses((status = 200, description = "The file", content_type = "application/octet-stream"), Faults),
    security(("bearer" = []), ("sigv4" = [])))]
pub(super) async fn file(
    State(front): State<Front>,
    _: Who,
    OfRun(run): OfRun,
    path: Path<(String, String)>,
) -> Result<Response, Fault> {
    let Path((_, name)) = path;
    send_file(&front, run, &name).await
}

/// A file of a run's report, by whatever name was asked for.
pub(super) async fn send_file(front: &Front, run: RunId, name: &str) -> Result<Response, Fault> {
    if !is_file_name(name) {
        let name: String = name.chars().take(80).collect();
        return Err(Fault::Missing(format!("{name:?} is no name of a report's file")));
    }
    send(front, run, name).await
}

/// Parts of letters, digits, `-`, `_` and dots, which no part begins with; so none leads out of the report.
fn is_file_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let part = |part: &str| !part.is_empty() && !part.starts_with('.') && part.bytes().all(plain);
    name.len() <= MAX_FILE_NAME && name.split('/').all(part)
}

async fn send(front: &Front, run: RunId, name: &str) -> Result<Response, Fault> {
    let bytes = front.service.file(run, name).await?;
    let kind = match name.rsplit_once('.').map_or("", |(_, end)| end) {
        "json" => "application/json",
        "html" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "csv" => "text/csv; charset=utf-8",
        "md" | "txt" | "log" | "hlog" | "jsonl" => "text/plain; charset=utf-8",
        "xml" => "application/xml",
        _ => "application/octet-stream",
    };
    let headers = [(header::CONTENT_TYPE, kind), (header::CONTENT_SECURITY_POLICY, PAGE_POLICY)];
    Ok((headers, bytes).into_response())
}
