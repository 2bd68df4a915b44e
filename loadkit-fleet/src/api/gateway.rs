//! `API Gateway's event -> the router -> API Gateway's response`: the front door behind an HTTP API (payload format 2.0).
//!
//! **Who asks is what API Gateway says in the event's `requestContext`, never what a header says.**

use std::collections::BTreeMap;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, header};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use tower::ServiceExt as _;

use super::access::Principal;
use super::fault::Fault;

/// A Lambda answers with 6 MB at most, in which base64 takes a third more.
const MAX_ANSWER: usize = 4 << 20;
/// No more of an answer is read.
const MAX_READ: usize = 64 << 20;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    version: String,
    raw_path: String,
    #[serde(default)]
    raw_query_string: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    request_context: Context,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    is_base64_encoded: bool,
}

#[derive(Debug, Deserialize)]
struct Context {
    http: Http,
    #[serde(default)]
    stage: Option<String>,
    #[serde(default)]
    authorizer: Option<Authorizer>,
}

#[derive(Debug, Deserialize)]
struct Http {
    method: String,
}

#[derive(Debug, Deserialize)]
struct Authorizer {
    #[serde(default)]
    iam: Option<Iam>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Iam {
    #[serde(default)]
    user_arn: Option<String>,
}

/// What API Gateway takes as an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayResponse {
    /// The status.
    pub status_code: u16,
    /// The headers; several of a name are joined by commas.
    pub headers: BTreeMap<String, String>,
    /// The body, as text or in base64.
    pub body: String,
    /// Which of the two.
    pub is_base64_encoded: bool,
}

/// Answers an event of API Gateway. Whatever is wrong with it is an answer too.
pub async fn handle(router: Router, event: serde_json::Value) -> GatewayResponse {
    let response = match request(event) {
        // The router's error is impossible by its type.
        Ok(request) => router.oneshot(request).await.unwrap_or_else(|never| match never {}),
        Err(fault) => fault.into_response(),
    };
    answer(response).await
}

fn request(event: serde_json::Value) -> Result<Request<Body>, Fault> {
    let bad = |why: String| Fault::Bad(format!("this is no event of an HTTP API, payload format 2.0: {why}"));
    let event: Event = serde_json::from_value(event).map_err(|error| bad(error.to_string()))?;
    if event.version != "2.0" {
        return Err(bad(format!("it has version {:?}", event.version.chars().take(20).collect::<String>())));
    }
    let method = Method::from_bytes(event.request_context.http.method.as_bytes());
    let method = method.map_err(|error| bad(error.to_string()))?;
    let path = match event.request_context.stage.as_deref() {
        // A named stage stands before the path.
        Some(stage) if stage != "$default" && !stage.is_empty() => {
            let rest = event.raw_path.strip_prefix('/').and_then(|path| path.strip_prefix(stage));
            rest.filter(|rest| rest.starts_with('/')).unwrap_or(&event.raw_path)
        }
        _ => &event.raw_path,
    };
    let mut uri = path.to_owned();
    if !event.raw_query_string.is_empty() {
        uri.push('?');
        uri.push_str(&event.raw_query_string);
    }
    let body = event.body.unwrap_or_default();
    let body = if event.is_base64_encoded {
        STANDARD.decode(body).map_err(|error| bad(format!("its body is not base64: {error}")))?
    } else {
        body.into_bytes()
    };
    let mut request =
        Request::builder().method(method).uri(uri).body(Body::from(body)).map_err(|error| bad(error.to_string()))?;
    *request.headers_mut() = headers(&event.headers);
    let principal = event.request_context.authorizer.and_then(|by| by.iam).and_then(|iam| iam.user_arn);
    request.extensions_mut().insert(Principal(principal.filter(|arn| !arn.is_empty())));
    Ok(request)
}

/// Headers that can be ones; the length is that of the body as it is decoded.
fn headers(from: &BTreeMap<String, String>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in from {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name.as_str()), HeaderValue::try_from(value.as_str()))
            && name != header::CONTENT_LENGTH
            && name != header::TRANSFER_ENCODING
        {
            headers.insert(name, value);
        }
    }
    headers
}

async fn answer(response: Response) -> GatewayResponse {
    let (parts, body) = response.into_parts();
    let body = match axum::body::to_bytes(body, MAX_READ).await {
        Ok(body) if body.len() <= MAX_ANSWER => body,
        _ => {
            let why = format!(
                "the answer is longer than the {MAX_ANSWER} bytes that pass API Gateway: read it from the store"
            );
            // An error is short.
            return Box::pin(answer(Fault::TooLarge(why).into_response())).await;
        }
    };
    let mut headers: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in &parts.headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        let joined = headers.entry(name.to_string()).or_default();
        if !joined.is_empty() {
            joined.push_str(", ");
        }
        joined.push_str(&value);
    }
    let status_code = parts.status.as_u16();
    match String::from_utf8(body.to_vec()) {
        Ok(body) => GatewayResponse { status_code, headers, body, is_base64_encoded: false },
        Err(_) => GatewayResponse { status_code, headers, body: STANDARD.encode(&body), is_base64_encoded: true },
    }
}
