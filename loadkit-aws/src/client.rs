//! `Call -> Answer`: signed, sent, and tried again where that may help.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use loadkit_http::http::{HeaderValue, Request, header};
use loadkit_http::{Bytes, Http};
use loadkit_worker::{Clock, SystemClock};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::clock::AwsClock;
use crate::config::Config;
use crate::credentials::Wallet;
use crate::error::AwsError;
use crate::random;
use crate::service::Service;
use crate::sign::{Scope, Signable, encode, query, sign};

/// After a throttle a pause is so many times as long.
const THROTTLED: u32 = 4;

/// What is asked.
#[derive(Clone, Debug)]
pub struct Call<'a> {
    /// Of which service.
    pub service: &'a Service,
    /// As AWS calls it: `PutItem`.
    pub action: &'a str,
    /// `GET`, `POST`.
    pub method: &'a str,
    /// From the root, not encoded.
    pub path: &'a str,
    /// Names and values, not encoded.
    pub query: &'a [(&'a str, &'a str)],
    /// Headers beside those that each request has, by names in small letters.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body.
    pub body: Bytes,
}

/// What is answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status, which is one of success.
    pub status: u16,
    /// The body.
    pub body: Bytes,
    /// When it was answered by AWS's clock, seconds since 1970, if it says so.
    pub date_s: Option<u64>,
    /// How AWS calls the request; empty if it does not say.
    pub request_id: String,
}

/// Calls AWS. Clones share connections and credentials.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    config: Config,
    http: Http,
    wallet: Wallet,
    clock: AwsClock,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Client").field(&self.0.config).finish()
    }
}

impl Client {
    /// A client with this machine's clock.
    pub fn new(config: Config) -> Client {
        Client::with_clock(config, Arc::new(SystemClock))
    }

    /// A client with another clock.
    pub fn with_clock(config: Config, clock: Arc<dyn Clock>) -> Client {
        let (http, wallet) = (Http::new(config.limits), Wallet::new(config.source.clone()));
        Client(Arc::new(Inner { http, wallet, clock: AwsClock::over(clock), config }))
    }

    /// AWS's time of day, as far as its answers have told it.
    pub fn clock(&self) -> AwsClock {
        self.0.clock.clone()
    }

    /// The region.
    pub fn region(&self) -> &str {
        &self.0.config.region
    }

    /// Asks a service that speaks JSON to do an action.
    ///
    /// # Errors
    /// See [`AwsError`].
    pub async fn json(&self, service: &Service, action: &str, body: &Value) -> Result<Value, AwsError> {
        let (content, target) =
            (format!("application/x-amz-json-{}", service.json), format!("{}.{action}", service.target));
        let call = Call {
            service,
            action,
            method: "POST",
            path: "/",
            query: &[],
            headers: &[("content-type", &content), ("x-amz-target", &target)],
            body: body.to_string().into(),
        };
        let answer = self.call(&call).await?;
        if answer.body.is_empty() {
            return Ok(Value::Null);
        }
        let unreadable = |error| AwsError::unreadable(&named(&call), error);
        serde_json::from_slice(&answer.body).map_err(unreadable)
    }

    /// Asks, and asks again where that may help: after throttles, errors of the service and broken connections. So it may be
    /// done more than once.
    ///
    /// # Errors
    /// See [`AwsError`].
    pub async fn call(&self, call: &Call<'_>) -> Result<Answer, AwsError> {
        let began = Instant::now();
        let (mut tried, mut may_be_done, mut put_right) = (0, false, false);
        loop {
            tried += 1;
            let mut error = match self.once(call).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            may_be_done |= error.may_be_done;
            (error.tries, error.may_be_done) = (tried, may_be_done);
            // The answer told the time: what was signed with a wrong one is signed again, once.
            let again = error.may_pass || (error.skewed() && !put_right);
            put_right |= error.skewed();
            let pause = self.pause(tried, error.throttled);
            if !again || !self.may_try_again(tried, began.elapsed() + pause) {
                return Err(error);
            }
            sleep(pause).await;
        }
    }

    /// The request of a call, signed for now, for who sends it in a way of their own: and who tells [`Client::clock`] what the answer
    /// said of the time ([`AwsClock::learn`]), or what a machine with a wrong clock signs is not taken.
    ///
    /// # Errors
    /// If there are no credentials, or it cannot be written as a request.
    pub async fn signed(&self, call: &Call<'_>) -> Result<Request<Bytes>, AwsError> {
        let Inner { http, wallet, clock, config } = &*self.0;
        let action = named(call);
        let credentials = wallet.open(http, clock).await.map_err(|why| AwsError::credentials(&action, &why))?;
        let unsendable = |why: &dyn fmt::Display| AwsError::unsendable(&action, why);

        let endpoint = config.endpoint(call.service);
        let path = encode(call.path, true);
        let query = query(call.query);
        let mark = if query.is_empty() { "" } else { "?" };
        let mut request = Request::builder()
            .method(call.method)
            .uri(format!("{endpoint}{path}{mark}{query}"))
            .body(call.body.clone())
            .map_err(|error| unsendable(&error))?;
        // What the endpoint has before our path is part of it.
        let path = request.uri().path().to_owned();
        let host = request.uri().authority().map(|host| host.as_str().to_owned()).unwrap_or_default();

        let mut headers = call.headers.to_vec();
        headers.push(("host", &host));
        let signable = Signable { method: call.method, path: &path, query: &query, headers, body: &call.body };
        let scope = Scope { region: &config.region, service: call.service.host, at_s: clock.now().as_secs() };
        let added = sign(signable, &credentials, scope);
        let added = added.iter().map(|(name, value)| (*name, value.as_str()));
        for (name, value) in call.headers.iter().copied().chain(added) {
            let mut value = HeaderValue::from_str(value).map_err(|_| unsendable(&format_args!("header {name}")))?;
            value.set_sensitive(true);
            let name = header::HeaderName::from_bytes(name.as_bytes()).map_err(|error| unsendable(&error))?;
            request.headers_mut().insert(name, value);
        }
        let host = HeaderValue::from_str(&host).map_err(|error| unsendable(&error))?;
        request.headers_mut().insert(header::HOST, host);
        let agent = HeaderValue::from_static(concat!("loadkit/", env!("CARGO_PKG_VERSION")));
        request.headers_mut().insert(header::USER_AGENT, agent);
        Ok(request)
    }

    async fn once(&self, call: &Call<'_>) -> Result<Answer, AwsError> {
        let Inner { http, clock, .. } = &*self.0;
        let action = named(call);
        let request = self.signed(call).await?;
        let asked = clock.own_ms();
        let answer = http.send(request).await.map_err(|error| AwsError::http(&action, &error))?;
        let date = clock.learn(asked, answer.headers());
        if !answer.status().is_success() {
            return Err(AwsError::refused(&action, answer.status(), answer.headers(), answer.body()));
        }
        let id = answer.headers().get("x-amzn-requestid").and_then(|id| id.to_str().ok());
        let (request_id, status) = (id.unwrap_or_default().to_owned(), answer.status().as_u16());
        Ok(Answer { status, date_s: date, request_id, body: answer.into_body() })
    }

    /// Before the next try: any time up to twice as long as before ("full jitter"), so that those who were throttled
    /// together do not come back together.
    pub(crate) fn pause(&self, tried: u32, throttled: bool) -> Duration {
        let tries = self.0.config.tries;
        let first = tries.pause * if throttled { THROTTLED } else { 1 };
        let longest = first.saturating_mul(1 << tried.saturating_sub(1).min(16)).min(tries.longest_pause);
        let us = u64::try_from(longest.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(random::number() % us.saturating_add(1).max(1))
    }

    /// Whether one may try again after so many times and so long.
    pub(crate) fn may_try_again(&self, tried: u32, after: Duration) -> bool {
        let tries = self.0.config.tries;
        tried < tries.most && after <= tries.give_up
    }
}

fn named(call: &Call<'_>) -> String {
    format!("{} {}", call.service.name, call.action)
}
