//! The worker's half: small requests over HTTP/1.1, a connection each, bounded in time and in bytes.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Uri, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{
    BeatRequest, Call, ClaimRequest, CloseRequest, ErrorAnswer, MAX_REQUEST, ReportAnswer, ReportRequest, Who, error_of,
};
use crate::job::Job;
use crate::lease::{Phase, WorkerEnd, WorkerStatus};
use crate::line::{Beat, Claim, Line, LineError};

/// A connection gets so long to be made.
const MAX_CONNECT: Duration = Duration::from_secs(3);
/// A request gets so long, from the connection to the last byte of the answer.
const MAX_TIME: Duration = Duration::from_secs(10);
/// An answer's body may have so many bytes: an order holds a whole plan.
const MAX_ANSWER: usize = 2 << 20;
/// So much of an answer is shown when it says why not.
const MAX_SHOWN: usize = 500;

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body; none if it is longer than was allowed.
    pub body: Option<Bytes>,
}

/// Why nothing came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExchangeError(String);

impl fmt::Display for ExchangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ExchangeError {}

/// Sends a request to `host:port` over a connection of its own, and reads at most so many bytes of the answer's body.
///
/// # Errors
/// If there is no connection, or no whole answer; in words. It does not end by itself when nothing comes: bound it in time.
pub async fn exchange(
    authority: &str,
    mut request: Request<Full<Bytes>>,
    max_body: usize,
) -> Result<Answer, ExchangeError> {
    let failed = |error: &dyn fmt::Display| ExchangeError(format!("{authority}: {error}"));
    let stream = timeout(MAX_CONNECT, TcpStream::connect(authority)).await;
    let stream = stream.map_err(|_| failed(&format_args!("no connection within {MAX_CONNECT:?}")))?;
    let stream = stream.map_err(|error| failed(&error))?;
    let handshake = http1::handshake::<_, Full<Bytes>>(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|error| failed(&error))?;
    let host = authority.parse().map_err(|error| failed(&error))?;
    request.headers_mut().insert(header::HOST, host);
    request.headers_mut().insert(header::CONNECTION, header::HeaderValue::from_static("close"));
    let exchange = async {
        let response = sender.send_request(request).await.map_err(|error| failed(&error))?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = match Limited::new(response.into_body(), max_body).collect().await {
            Ok(body) => Some(body.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => None,
            Err(error) => return Err(failed(&error)),
        };
        Ok(Answer { status, headers, body })
    };
    // The connection is driven here, so that nothing of it is left when the exchange is given up.
    tokio::pin!(exchange, connection);
    tokio::select! {
        biased;
        answered = &mut exchange => answered,
        closed = &mut connection => match closed {
            // What had come before is still there to be read.
            Ok(()) => exchange.await,
            Err(error) => Err(failed(&error)),
        },
    }
}

/// A line to a fleet that listens at a URL. It speaks plain HTTP: to a fleet on this machine or in the same network.
#[derive(Clone)]
pub struct HttpLine {
    authority: String,
    base: String,
    token: String,
}

impl fmt::Debug for HttpLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Tokens are nobody's to read.
        write!(f, "HttpLine({}{})", self.authority, self.base)
    }
}

impl HttpLine {
    /// To the fleet at this URL, `http://127.0.0.1:8080`, with the run's token for workers.
    ///
    /// # Errors
    /// When the URL is none, or not of `http`; in words.
    pub fn new(url: &str, token: &str) -> Result<HttpLine, String> {
        let wrong = |why: &str| format!("the fleet cannot be at {url:?}: {why}; write it as http://127.0.0.1:8080");
        let uri: Uri = url.parse().map_err(|error: http::uri::InvalidUri| wrong(&error.to_string()))?;
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
        let authority = format!("{}:{}", authority.host(), authority.port_u16().unwrap_or(80));
        Ok(HttpLine { authority, base: uri.path().trim_end_matches('/').to_owned(), token: token.to_owned() })
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
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| refused(&error))?;
        let answer = timeout(MAX_TIME, exchange(&self.authority, request, MAX_ANSWER)).await;
        let answer = answer.map_err(|_| LineError::Away(format!("no answer within {MAX_TIME:?}")))?;
        let answer = answer.map_err(|error| LineError::Away(error.to_string()))?;
        let Some(body) = answer.body else {
            return Err(LineError::Away(format!("its answer has more than {MAX_ANSWER} bytes")));
        };
        if answer.status != 200 {
            let words = serde_json::from_slice::<ErrorAnswer>(&body).map(|answer| answer.error);
            let words = words.unwrap_or_else(|_| String::from_utf8_lossy(&body).into_owned());
            let words = words.chars().filter(|c| !c.is_control()).take(MAX_SHOWN).collect();
            return Err(error_of(answer.status, words));
        }
        serde_json::from_slice(&body).map_err(|error| LineError::Away(format!("its answer makes no sense: {error}")))
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
