//! The worker's half: small requests over HTTP/1.1, bounded in time and in bytes.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use loadkit_http::http::uri::InvalidUri;
use loadkit_http::http::{Method, Request, Uri, header};
use loadkit_http::{Bytes, Http, Limits};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{
    BeatRequest, Call, ClaimRequest, CloseRequest, ErrorAnswer, MAX_REQUEST, ReportAnswer, ReportRequest, Who, error_of,
};
use crate::job::Job;
use crate::lease::{Phase, WorkerEnd, WorkerStatus};
use crate::line::{Beat, Claim, Line, LineError};

/// The bounds of a request. An answer may be long: an order holds a whole plan.
const LIMITS: Limits = Limits { connect: Duration::from_secs(3), call: Duration::from_secs(10), body: 2 << 20 };
/// So much of an answer is shown when it says why not.
const MAX_SHOWN: usize = 500;

/// A line to a fleet that listens at a URL. It speaks plain HTTP: to a fleet on this machine or in the same network.
#[derive(Clone)]
pub struct HttpLine {
    http: Arc<Http>,
    base: String,
    token: String,
}

impl fmt::Debug for HttpLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Tokens are nobody's to read.
        write!(f, "HttpLine({})", self.base)
    }
}

impl HttpLine {
    /// To the fleet at this URL, `http://127.0.0.1:8080`, with the run's token for workers.
    ///
    /// # Errors
    /// When the URL is none, or not of `http`; in words.
    pub fn new(url: &str, token: &str) -> Result<HttpLine, String> {
        let wrong = |why: &str| format!("the fleet cannot be at {url:?}: {why}; write it as http://127.0.0.1:8080");
        let uri: Uri = url.parse().map_err(|error: InvalidUri| wrong(&error.to_string()))?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => return Err(wrong("workers reach a fleet by plain HTTP, in its own network")),
            _ => return Err(wrong("it begins with no http://")),
        }
        let authority = uri.authority().ok_or_else(|| wrong("there is no host in it"))?;
        if authority.as_str().contains('@') {
            return Err(wrong("names and passwords are not sent"));
        }
        if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("the run's token for workers has characters that no token has".into());
        }
        let base = format!("http://{authority}{}", uri.path().trim_end_matches('/'));
        Ok(HttpLine { http: Arc::new(Http::new(LIMITS)), base, token: token.to_owned() })
    }

    async fn ask<T: DeserializeOwned>(&self, call: Call, request: &impl Serialize) -> Result<T, LineError> {
        let refused = |error: &dyn fmt::Display| LineError::Refused(error.to_string());
        let body = serde_json::to_vec(request).map_err(|error| refused(&error))?;
        if body.len() > MAX_REQUEST {
            return Err(refused(&format_args!("{} bytes are more than a request holds", body.len())));
        }
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("{}/v1/workers/{}", self.base, call.name()))
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token))
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::USER_AGENT, concat!("loadkit/", env!("CARGO_PKG_VERSION")))
            .body(Bytes::from(body))
            .map_err(|error| refused(&error))?;
        let answer = self.http.send(request).await.map_err(|error| LineError::Away(error.to_string()))?;
        let (status, body) = (answer.status().as_u16(), answer.body());
        if status != 200 {
            let words = serde_json::from_slice::<ErrorAnswer>(body).map(|answer| answer.error);
            let words = words.unwrap_or_else(|_| String::from_utf8_lossy(body).into_owned());
            let words = words.chars().filter(|c| !c.is_control()).take(MAX_SHOWN).collect();
            return Err(error_of(status, words));
        }
        serde_json::from_slice(body).map_err(|error| LineError::Away(format!("its answer makes no sense: {error}")))
    }
}

#[async_trait]
impl Line for HttpLine {
    async fn claim(&self, job: &Job, status: &WorkerStatus) -> Result<Claim, LineError> {
        self.ask(Call::Claim, &ClaimRequest { who: Who::of(job), status: status.clone() }).await
    }

    async fn beat(&self, job: &Job, phase: Phase, status: &WorkerStatus) -> Result<Beat, LineError> {
        self.ask(Call::Beat, &BeatRequest { who: Who::of(job), phase, status: status.clone() }).await
    }

    async fn report(&self, job: &Job, texts: &[String]) -> Result<usize, LineError> {
        let request = ReportRequest { who: Who::of(job), texts: texts.to_vec() };
        self.ask::<ReportAnswer>(Call::Report, &request).await.map(|answer| answer.taken)
    }

    async fn close(&self, job: &Job, status: &WorkerStatus, end: &WorkerEnd) -> Result<(), LineError> {
        let request = CloseRequest { who: Who::of(job), status: status.clone(), end: end.clone() };
        self.ask::<serde_json::Value>(Call::Close, &request).await.map(drop)
    }
}
