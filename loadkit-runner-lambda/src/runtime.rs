//! Lambda's runtime API, version 2018-06-01: the next invocation, and its answer.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use http_body_util::Full;
use loadkit_worker::http::{Answer, exchange};
use serde_json::json;
use tokio::time::timeout;

use crate::serve::{Failure, Reply};

/// The API answers at once, but for the next invocation, for which the process is frozen as long as there is none.
const MAX_TIME: Duration = Duration::from_secs(10);
/// What the API says to an answer is short.
const MAX_ANSWER: usize = 16 << 10;

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
    authority: String,
    most_bytes: usize,
}

impl Runtime {
    /// At this `host:port`; events have at most so many bytes.
    pub(crate) fn new(authority: String, most_bytes: usize) -> Runtime {
        Runtime { authority, most_bytes }
    }

    /// Waits for the next invocation, as long as it takes.
    pub(crate) async fn next(&self) -> Result<Invocation, String> {
        let request = request(Method::GET, "next", None, Bytes::new())?;
        let answer = exchange(&self.authority, request, self.most_bytes).await.map_err(|error| error.to_string())?;
        let Answer { status, headers, body } = answer;
        if status != 200 {
            return Err(format!("it answered {status}"));
        }
        let id = header(&headers, "lambda-runtime-aws-request-id").ok_or("the invocation has no id")?;
        if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            return Err("the invocation's id is none".into());
        }
        let deadline_ms = header(&headers, "lambda-runtime-deadline-ms").and_then(|ms| ms.parse().ok());
        Ok(Invocation { id: id.to_owned(), deadline_ms, event: body })
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
        let request = request(Method::POST, &format!("{id}/{what}"), kind, body)?;
        let answer = timeout(MAX_TIME, exchange(&self.authority, request, MAX_ANSWER)).await;
        let answer =
            answer.map_err(|_| format!("no answer within {MAX_TIME:?}"))?.map_err(|error| error.to_string())?;
        if (200..300).contains(&answer.status) { Ok(()) } else { Err(format!("it answered {}", answer.status)) }
    }
}

fn request(method: Method, path: &str, error: Option<&str>, body: Bytes) -> Result<Request<Full<Bytes>>, String> {
    let mut request = Request::builder().method(method).uri(format!("/2018-06-01/runtime/invocation/{path}"));
    if let Some(error) = error {
        request = request.header("lambda-runtime-function-error-type", error);
    }
    request.body(Full::new(body)).map_err(|error| error.to_string())
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
