//! `API Gateway's event -> the router -> API Gateway's response`: the front door behind an HTTP API (payload format 2.0).
//!
//! **Who asks is what API Gateway says in the event's `requestContext`, never what a header says.** Only a token that proves
//! itself is taken from a cookie, and only for the dashboard's pages.

use std::collections::BTreeMap;
use std::io::Write as _;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, header};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};
use tower::ServiceExt as _;

use super::Bytes;
use super::access::Principal;
use super::fault::Fault;

/// A Lambda answers with 6 MB at most, in which base64 takes a third more.
const MAX_ANSWER: usize = 4 << 20;
/// No more of an answer is read.
const MAX_READ: usize = 64 << 20;
/// Longer answers are packed for who can unpack them: what leaves AWS is paid for, and more of it passes at once.
const WORTH: usize = 2_000;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    version: String,
    raw_path: String,
    #[serde(default)]
    raw_query_string: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// They are not among the headers.
    #[serde(default)]
    cookies: Vec<String>,
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
    /// What a browser is to keep: each becomes a header `Set-Cookie`, which cannot be joined by commas.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cookies: Vec<String>,
    /// The body, as text or in base64.
    pub body: String,
    /// Which of the two.
    pub is_base64_encoded: bool,
}

/// Answers an event of API Gateway. Whatever is wrong with it is an answer too.
pub async fn handle(router: Router, event: serde_json::Value) -> GatewayResponse {
    let (response, packs) = match request(event) {
        Ok(request) => {
            let packs = takes_gzip(request.headers());
            // The router's error is impossible by its type.
            (router.oneshot(request).await.unwrap_or_else(|never| match never {}), packs)
        }
        Err(fault) => (fault.into_response(), false),
    };
    answer(response, packs).await
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
    if !path.starts_with('/') {
        return Err(bad("its path does not begin with a slash".into()));
    }
    let mut uri = in_uri(path);
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
    let headers = request.headers_mut();
    if let Ok(cookies) = HeaderValue::try_from(event.cookies.join("; "))
        && !cookies.is_empty()
    {
        headers.insert(header::COOKIE, cookies);
    }
    // API Gateway speaks nothing else, whatever a caller says.
    headers.insert("x-forwarded-proto", HeaderValue::from_static("https"));
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

/// A path as it stands in a URI. API Gateway decodes it, all but `%25`.
fn in_uri(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/%".contains(&byte);
    path.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// Whether who asks can unpack.
pub(super) fn takes_gzip(headers: &HeaderMap) -> bool {
    let accepted = headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok());
    accepted.is_some_and(|accepted| accepted.contains("gzip"))
}

async fn answer(response: Response, packs: bool) -> GatewayResponse {
    let (mut parts, body) = response.into_parts();
    let read = axum::body::to_bytes(body, MAX_READ).await;
    let body = read.ok().map(|body| if packs { packed(&mut parts.headers, body) } else { body });
    let Some(body) = body.filter(|body| body.len() <= MAX_ANSWER) else {
        let why =
            format!("the answer is longer than the {MAX_ANSWER} bytes that pass API Gateway: read it from the store");
        // An error is short.
        return Box::pin(answer(Fault::TooLarge(why).into_response(), false)).await;
    };
    let (mut headers, mut cookies) = (BTreeMap::<String, String>::new(), Vec::new());
    for (name, value) in &parts.headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        if name == header::SET_COOKIE {
            cookies.push(value.into_owned());
            continue;
        }
        let joined = headers.entry(name.to_string()).or_default();
        if !joined.is_empty() {
            joined.push_str(", ");
        }
        joined.push_str(&value);
    }
    let status_code = parts.status.as_u16();
    let text = std::str::from_utf8(&body).ok().filter(|text| is_short_in_json(text));
    let (body, is_base64_encoded) =
        text.map_or_else(|| (STANDARD.encode(&body), true), |text| (text.to_owned(), false));
    GatewayResponse { status_code, headers, cookies, body, is_base64_encoded }
}

/// The body as it goes out: packed, if it is worth it and nobody has packed it yet.
fn packed(headers: &mut HeaderMap, body: Bytes) -> Bytes {
    if body.len() < WORTH || headers.contains_key(header::CONTENT_ENCODING) {
        return body;
    }
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    let Ok(packed) = packer.write_all(&body).and_then(|()| packer.finish()) else { return body };
    headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    headers.remove(header::CONTENT_LENGTH);
    packed.into()
}

/// Whether a text is no longer as it stands in JSON than it would be in base64.
fn is_short_in_json(text: &str) -> bool {
    let more = |byte: u8| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' => 1,
        0..0x20 => 5,
        _ => 0,
    };
    text.bytes().map(more).sum::<usize>() <= text.len() / 3
}
