//! What is asked, and what is answered.

use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use loadkit_core::{Failure, Kind};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::client::HttpClient;
use crate::codec::malformed;

/// Of a body that could not be used so much is shown, in characters.
const SHOWN: usize = 200;

/// A request that is being put together, made by [`HttpClient::get`] and the like.
#[must_use = "nothing is asked before `send`"]
pub struct Asking<'a> {
    pub(super) client: &'a HttpClient,
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) within: Option<Duration>,
    pub(super) any_status: bool,
    /// What was wrong as it was put together; `send` says it.
    pub(super) wrong: Option<Failure>,
}

impl<'a> Asking<'a> {
    pub(super) fn new(client: &'a HttpClient, method: Method, path: &str) -> Asking<'a> {
        Asking {
            client,
            method,
            path: path.to_owned(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            within: None,
            any_status: false,
            wrong: None,
        }
    }

    /// With this header, instead of the service's of the same name.
    pub fn header(mut self, name: &str, value: impl AsRef<str>) -> Self {
        match header(name, value.as_ref()) {
            Ok((name, value)) => {
                self.headers.append(name, value);
            }
            Err(failure) => self.wrong = Some(failure),
        }
        self
    }

    /// With this body.
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// With this body as JSON.
    pub fn json(mut self, body: &impl Serialize) -> Self {
        self.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        match serde_json::to_vec(body) {
            Ok(bytes) => self.body = bytes.into(),
            Err(error) => {
                let what = format!("a request's body cannot be written as JSON: {error}");
                self.wrong = Some(Failure::new(Kind::MALFORMED, what));
            }
        }
        self
    }

    /// Gives up waiting for the whole reply after `time`, instead of after the service's own time-out.
    pub fn within(mut self, time: Duration) -> Self {
        self.within = Some(time);
        self
    }

    /// Takes a status of 400 or more for a reply like any other, instead of for a failure.
    pub fn any_status(mut self) -> Self {
        self.any_status = true;
        self
    }

    /// Sends it and waits for the whole reply. Dropping the future gives the reply up, and the connection with it.
    ///
    /// # Errors
    /// `http-404` and the like for a status of 400 or more; `TIMED_OUT`; `TOO_LARGE` for a body over the limit;
    /// `MALFORMED` for what is not HTTP; `CLOSED` when the server closed the connection before the reply was whole; and
    /// those of connecting, where a new connection was needed.
    pub async fn send(self) -> Result<Reply, Failure> {
        // What a request needs on its way is freed when it is done, instead of making every bot larger.
        Box::pin(self.client.ask(self)).await
    }
}

/// A header, if it can be one.
pub(super) fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), Failure> {
    match (HeaderName::try_from(name), HeaderValue::try_from(value)) {
        (Ok(name), Ok(value)) => Ok((name, value)),
        _ => Err(Failure::new(Kind::MALFORMED, format!("{name:?}: {value:?} is no header of HTTP"))),
    }
}

/// A whole reply.
#[derive(Clone, Debug)]
pub struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Reply {
    /// The status: 200, 404, …
    pub fn status(&self) -> u16 {
        self.status.as_u16()
    }

    /// The first header of this name, if there is one that is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The body as text.
    ///
    /// # Errors
    /// `MALFORMED` when it is not UTF-8.
    pub fn text(&self) -> Result<&str, Failure> {
        std::str::from_utf8(&self.body).map_err(|error| malformed("a reply's body", format!("as text: {error}")))
    }

    /// The body, read as JSON.
    ///
    /// # Errors
    /// `MALFORMED` when it is not what is asked for; the message shows its beginning.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_slice(&self.body)
            .map_err(|error| malformed("a reply's body", format!("as JSON: {error}, in {:?}", self.shown())))
    }

    /// The beginning of the body, for whoever reads of it.
    pub(super) fn shown(&self) -> String {
        String::from_utf8_lossy(&self.body).trim().chars().take(SHOWN).collect()
    }
}
