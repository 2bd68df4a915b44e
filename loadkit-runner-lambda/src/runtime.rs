//! Lambda's runtime API, version 2018-06-01: the next invocation, and its answer.

use std::time::Duration;

use loadkit_http::http::{HeaderMap, Method, Request};
use loadkit_http::{Bytes, Http, Limits};
use serde_json::json;
use tokio::time::timeout;

use crate::serve::{Failure, Reply};

/// The API answers at once, but for the next invocation, for which the process is frozen as long as there is none.
const MAX_TIME: Duration = Duration::from_secs(10);
/// No event of Lambda's is longer: its own bound is 6 MB, which may be longer as text.
const MAX_EVENT: usize = 12 << 20;

/// What a function is invoked with.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// The request's id.
    pub id: String,
    /// When Lambda ends the process, ms since 1970.
    pub deadline_ms: Option<u64>,
    /// The event; none if it is longer than the function takes.
    pub event: Option<Bytes>,
}

#[derive(Debug)]
pub(crate) struct Runtime {
    http: Http,
    authority: String,
    most_bytes: usize,
}

impl Runtime {
    /// At this `host:port`; events have at most so many bytes.
    pub(crate) fn new(authority: String, most_bytes: usize) -> Runtime {
        let limits = Limits { call: Duration::MAX, body: most_bytes.max(MAX_EVENT), ..Limits::default() };
        Runtime { http: Http::new(limits), authority, most_bytes }
    }

    /// Waits for the next invocation, as long as it takes.
    pub(crate) async fn next(&self) -> Result<Invocation, String> {
        let request = self.request(Method::GET, "next", None, Bytes::new())?;
        let (parts, event) = self.http.send(request).await.map_err(|error| error.to_string())?.into_parts();
        let (status, headers) = (parts.status.as_u16(), parts.headers);
        if status != 200 {
            return Err(format!("it answered {status}"));
        }
        let id = header(&headers, "lambda-runtime-aws-request-id").ok_or("the invocation has no id")?;
        if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            return Err("the invocation's id is none".into());
        }
        let deadline_ms = header(&headers, "lambda-runtime-deadline-ms").and_then(|ms| ms.parse().ok());
        let event = Some(event).filter(|event| event.len() <= self.most_bytes);
        Ok(Invocation { id: id.to_owned(), deadline_ms, event })
    }

    /// Answers it.
    pub(crate) async fn answer(&self, id: &str, worked: &Result<Reply, Failure>) -> Result<(), String> {
        let (what, kind, body) = match worked {
            Ok(reply) => ("response", None, reply.body.to_string()),
            Err(Failure { kind, why }) => {
                ("error", Some(*kind), json!({ "errorType": kind, "errorMessage": why }).to_string())
            }
        };
        let body = Bytes::from(body);
        let request = self.request(Method::POST, &format!("{id}/{what}"), kind, body)?;
        let answer = timeout(MAX_TIME, self.http.send(request)).await;
        let answer =
            answer.map_err(|_| format!("no answer within {MAX_TIME:?}"))?.map_err(|error| error.to_string())?;
        if answer.status().is_success() { Ok(()) } else { Err(format!("it answered {}", answer.status().as_u16())) }
    }

    fn request(&self, method: Method, path: &str, error: Option<&str>, body: Bytes) -> Result<Request<Bytes>, String> {
        let url = format!("http://{}/2018-06-01/runtime/invocation/{path}", self.authority);
        let mut request = Request::builder().method(method).uri(url);
        if let Some(error) = error {
            request = request.header("lambda-runtime-function-error-type", error);
        }
        request.body(body).map_err(|error| error.to_string())
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
