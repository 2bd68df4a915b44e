//! The client: sends a request over a connection that is there, or a new one.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderValue, Request, Response, Uri, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::client::conn::http1::SendRequest;
use tokio::time::{Instant, timeout};

use crate::connect::{Connector, Origin};
use crate::error::HttpError;

/// So many connections wait for their next request; of more, the oldest is closed.
const MAX_IDLE: usize = 64;
/// A connection that has waited longer is not used any more: servers close those that are idle, often after a minute.
const MAX_IDLE_TIME: Duration = Duration::from_secs(20);

/// The bounds of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For the connection, TLS included.
    pub connect: Duration,
    /// From there to the last byte of the answer.
    pub call: Duration,
    /// Bytes of the answer's body.
    pub body: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { connect: Duration::from_secs(3), call: Duration::from_secs(10), body: 8 << 20 }
    }
}

/// Sends requests, and keeps connections for the next ones. Each request under way has a connection of its own: how many
/// there are is up to the caller.
pub struct Http {
    limits: Limits,
    connector: Connector,
    idle: Mutex<Vec<Idle>>,
}

struct Idle {
    origin: Origin,
    since: Instant,
    sender: SendRequest<Full<Bytes>>,
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl Http {
    /// With these bounds. With TLS it trusts whom browsers trust.
    pub fn new(limits: Limits) -> Http {
        Http { limits, connector: Connector::new(), idle: Mutex::default() }
    }

    /// The same, but with TLS it trusts these certificates (DER) alone.
    #[cfg(feature = "tls")]
    pub fn trusting(limits: Limits, certificates: &[Vec<u8>]) -> Http {
        Http { limits, connector: Connector::trusting(certificates), idle: Mutex::default() }
    }

    /// Sends a request to its URL, which must be a whole one. Whatever status is answered is no error.
    ///
    /// # Errors
    /// See [`HttpError`].
    pub async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (origin, mut request) = prepare(request)?;
        let late = |limit| HttpError::TimedOut { to: origin.to_string(), limit };
        // Connections that the server has closed meanwhile give the request back unsent.
        while let Some(sender) = self.waiting(&origin) {
            match timeout(self.limits.call, self.exchange(&origin, sender, request)).await {
                Err(_) => return Err(late(self.limits.call)),
                Ok(Err(Unsent(back))) => request = back,
                Ok(Ok(answered)) => return answered,
            }
        }
        let sender = self.connect(&origin).await?;
        match timeout(self.limits.call, self.exchange(&origin, sender, request)).await {
            Err(_) => Err(late(self.limits.call)),
            Ok(Err(Unsent(_))) => {
                Err(HttpError::Connect { to: origin.to_string(), why: "it was closed at once".into() })
            }
            Ok(Ok(answered)) => answered,
        }
    }

    /// A new connection, in time.
    pub(crate) async fn connect(&self, origin: &Origin) -> Result<SendRequest<Full<Bytes>>, HttpError> {
        let connect = timeout(self.limits.connect, self.connector.connect(origin)).await;
        connect.map_err(|_| HttpError::Connect {
            to: origin.to_string(),
            why: format!("no connection within {:?}", self.limits.connect),
        })?
    }

    /// Its bounds.
    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    async fn exchange(
        &self,
        origin: &Origin,
        mut sender: SendRequest<Full<Bytes>>,
        request: Request<Full<Bytes>>,
    ) -> Result<Result<Response<Bytes>, HttpError>, Unsent> {
        let broken = |why: String| HttpError::Broken { to: origin.to_string(), why };
        if sender.ready().await.is_err() {
            return Err(Unsent(request));
        }
        let response = match sender.try_send_request(request).await {
            Ok(response) => response,
            Err(mut error) => {
                return match error.take_message() {
                    Some(request) => Err(Unsent(request)),
                    None => Ok(Err(broken(words(error.error())))),
                };
            }
        };
        let (parts, body) = response.into_parts();
        Ok(match Limited::new(body, self.limits.body).collect().await {
            Ok(body) => {
                self.keep(origin.clone(), sender);
                Ok(Response::from_parts(parts, body.to_bytes()))
            }
            Err(error) if error.is::<LengthLimitError>() => {
                Err(HttpError::TooLong { from: origin.to_string(), limit: self.limits.body })
            }
            Err(error) => Err(broken(words(&*error))),
        })
    }

    fn waiting(&self, origin: &Origin) -> Option<SendRequest<Full<Bytes>>> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|idle| !idle.sender.is_closed() && idle.since.elapsed() < MAX_IDLE_TIME);
        // The one that was used last: so those that are not needed grow old.
        let at = idle.iter().rposition(|idle| idle.origin == *origin)?;
        Some(idle.remove(at).sender)
    }

    fn keep(&self, origin: Origin, sender: SendRequest<Full<Bytes>>) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() >= MAX_IDLE {
            idle.remove(0);
        }
        idle.push(Idle { origin, since: Instant::now(), sender });
    }
}

/// The request, of which no byte was sent.
struct Unsent(Request<Full<Bytes>>);

/// As HTTP/1.1 has it on the wire: the path alone, and the host in a header.
pub(crate) fn prepare(request: Request<Bytes>) -> Result<(Origin, Request<Full<Bytes>>), HttpError> {
    let origin = Origin::of(request.uri())?;
    let mut request = request.map(Full::new);
    let authority = request.uri().authority().map(http::uri::Authority::as_str).unwrap_or_default();
    if !request.headers().contains_key(header::HOST) {
        let host = authority.rsplit('@').next().unwrap_or_default();
        let host = HeaderValue::from_str(host).map_err(|error| HttpError::Url(error.to_string()))?;
        request.headers_mut().insert(header::HOST, host);
    }
    let path = request.uri().path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
    *request.uri_mut() = Uri::from(path);
    Ok((origin, request))
}

/// An error with what caused it: hyper's own words alone are too few.
pub(crate) fn words(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words.push_str(": ");
        words.push_str(&error.to_string());
        cause = error.source();
    }
    words
}
