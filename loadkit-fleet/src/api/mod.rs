//! `HTTP -> Service`: the fleet's front door, the same on this machine and behind API Gateway.
//!
//! **The door knows who asks and how much they may send; what is done is the [`Service`]'s.** Every failure is
//! `{error, rule?, help?}` with the status that fits. Bodies, requests' time, connections and live streams have bounds. The
//! OpenAPI document is made from the handlers themselves.
//!
//! Deliberately absent: TLS. On AWS it is API Gateway's; elsewhere a proxy's in front.

mod access;
mod administrators;
mod behind;
mod fault;
mod gateway;
mod listen;
mod live;
mod place;
mod runs;
mod service;
mod tokens;
#[cfg(feature = "web")]
mod web;
mod wire;
mod workers;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use tokio::sync::Semaphore;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::crew::Crew;
use crate::record::Note;
pub use access::Access;
pub use administrators::{Administrators, AdministratorsError};
pub use behind::FleetService;
pub use fault::{ErrorBody, Fault};
pub use gateway::{GatewayResponse, handle};
pub use listen::{Door, DoorError};
pub use service::{FileEntry, Filter, LiveEvent, LiveKind, LivePage, RunList, Service, Standing};
pub use wire::{Dial, Done, Health, LiveFigures, LivePlayers, LiveStep, MarkerRequest, Stop, TokenRequest};

/// No body is longer: a plan is at most 1 MiB, and several parcels of a worker fit.
pub const MAX_REQUEST_BYTES: usize = 3 << 19;
/// No request takes longer: API Gateway gives up after 29 s.
const MAX_REQUEST_TIME: Duration = Duration::from_secs(25);
/// So many live streams at once.
const MAX_LIVE: usize = 256;

/// What handlers share.
#[derive(Clone, Debug)]
struct Front {
    service: Arc<dyn Service>,
    access: Arc<Access>,
    live: Arc<Semaphore>,
    #[cfg(feature = "web")]
    web: Arc<web::Web>,
}

/// The API over this service, for callers who come in this way.
pub fn router(service: Arc<dyn Service>, access: Access) -> Router {
    let front = Front {
        service,
        access: Arc::new(access),
        live: Arc::new(Semaphore::new(MAX_LIVE)),
        #[cfg(feature = "web")]
        web: Arc::default(),
    };
    let (router, document) = parts();
    // It is made once: a text that is always JSON.
    let document: Arc<str> = document.to_json().unwrap_or_default().into();
    let openapi = move || {
        let document = document.clone();
        async move { ([(header::CONTENT_TYPE, "application/json")], document.to_string()) }
    };
    let router = router.route("/v1/openapi.json", get(openapi));
    #[cfg(feature = "web")]
    let router = router.merge(web::routes());
    router
        .layer(DefaultBodyLimit::max(MAX_REQUEST_BYTES))
        .layer(middleware::from_fn(in_time))
        .layer(middleware::map_response(finish))
        .with_state(front)
}

/// The OpenAPI document of the API, in JSON.
pub fn openapi_json() -> String {
    parts().1.to_pretty_json().unwrap_or_default()
}

#[derive(OpenApi)]
#[openapi(
    info(title = "loadkit fleet", description = "Launches fleets of load-test bots, and tells how they fare"),
    components(schemas(Crew, ErrorBody, LiveEvent, LiveFigures, Note)),
    modifiers(&Security)
)]
struct Document;

struct Security;

impl Modify for Security {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let components = openapi.components.get_or_insert_default();
        let bearer = |what: &str| {
            SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(what)).build())
        };
        components.add_security_scheme("bearer", bearer("A token of the fleet"));
        components.add_security_scheme("worker", bearer("The token of a run's workers"));
        let signed = "AWS Signature Version 4, behind API Gateway";
        let signed = SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description("Authorization", signed)));
        components.add_security_scheme("sigv4", signed);
    }
}

/// The routes, and the document of them.
fn parts() -> (Router<Front>, utoipa::openapi::OpenApi) {
    let (router, mut document) = described().split_for_parts();
    // The router's word for a path's whole rest is none of OpenAPI's.
    let paths = &mut document.paths.paths;
    if let Some(item) = paths.remove(runs::FILE) {
        paths.insert(runs::FILE.replace("{*", "{"), item);
    }
    (router, document)
}

fn described() -> OpenApiRouter<Front> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(health))
        .routes(routes!(runs::launch, runs::list))
        .routes(routes!(runs::estimate))
        .routes(routes!(runs::show))
        .routes(routes!(runs::stop))
        .routes(routes!(runs::dial))
        .routes(routes!(runs::mark, runs::markers))
        .routes(routes!(runs::report))
        .routes(routes!(runs::files))
        .routes(routes!(runs::file))
        .routes(routes!(live::events))
        .routes(routes!(tokens::create, tokens::list))
        .routes(routes!(tokens::revoke))
        .routes(routes!(workers::claim))
        .routes(routes!(workers::beat))
        .routes(routes!(workers::report))
        .routes(routes!(workers::close))
}

/// Whether the fleet is there; nobody needs a token for it.
#[utoipa::path(get, path = "/v1/health", tag = "fleet", responses((status = 200, description = "The fleet is there",
    body = Health)))]
async fn health() -> Json<Health> {
    Json(Health { ok: true, version: env!("CARGO_PKG_VERSION").to_owned() })
}

/// Gives up a request that takes too long: to be read, or to be answered.
async fn in_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(MAX_REQUEST_TIME, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Fault::Away(format!("the request took longer than {} s", MAX_REQUEST_TIME.as_secs())).into_response(),
    }
}

/// What holds for all answers: errors that were not ours get our shape, and nothing is guessed or kept by who reads it.
async fn finish(response: Response) -> Response {
    // Pages say what is wrong as pages do.
    let ours: [&[u8]; 2] = [b"application/json", b"text/html; charset=utf-8"];
    let is_ours = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| ours.contains(&kind.as_bytes()));
    let status = response.status();
    let mut response = if (status.is_client_error() || status.is_server_error()) && !is_ours {
        let said = axum::body::to_bytes(response.into_body(), 4_096).await.unwrap_or_default();
        let said = String::from_utf8_lossy(&said);
        let (error, help) = match (status, said.trim()) {
            (StatusCode::NOT_FOUND, "") => ("there is nothing at this path", "GET /v1/openapi.json lists the paths"),
            (StatusCode::METHOD_NOT_ALLOWED, "") => {
                ("the path does not take this method", "GET /v1/openapi.json lists what each path takes")
            }
            (_, "") => {
                (status.canonical_reason().unwrap_or("it failed"), "GET /v1/openapi.json lists what can be asked")
            }
            (_, said) => (said, "GET /v1/openapi.json says what each path takes"),
        };
        let (error, help) = (error.to_owned(), Some(help.to_owned()));
        (status, Json(ErrorBody { error, rule: None, help })).into_response()
    } else {
        response
    };
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// What a body is made of.
type Bytes = axum::body::Bytes;

/// A body in JSON; what is wrong with it is answered in our shape.
struct Asked<T>(T);

impl<T: serde::de::DeserializeOwned, S: Send + Sync> axum::extract::FromRequest<S> for Asked<T> {
    type Rejection = Fault;

    async fn from_request(request: axum::http::Request<Body>, state: &S) -> Result<Asked<T>, Fault> {
        match Json::<T>::from_request(request, state).await {
            Ok(Json(value)) => Ok(Asked(value)),
            Err(rejection) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => Err(too_large()),
            Err(rejection) => Err(Fault::Bad(rejection.body_text())),
        }
    }
}

fn too_large() -> Fault {
    Fault::TooLarge(format!("the body has more than {MAX_REQUEST_BYTES} bytes"))
}

#[cfg(test)]
mod tests;
