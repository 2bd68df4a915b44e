//! By whom requests are signed: the environment's keys, or what a container's own endpoint hands out for an hour or so.

use std::fmt;
use std::sync::Arc;

use loadkit_http::http::{Request, header};
use loadkit_http::{Bytes, Http};
use loadkit_worker::Clock;
use serde_json::Value;
use tokio::sync::Mutex;

use crate::calendar;

/// They are renewed so long before they end.
const AHEAD_MS: u64 = 5 * 60_000;
/// If that fails while they are good, it is tried again after so long.
const AGAIN_MS: u64 = 30_000;
/// No token file is longer.
const MAX_TOKEN: u64 = 64 << 10;

/// A key with its secret. Its secrets are never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    id: String,
    secret: String,
    token: Option<String>,
    /// Milliseconds since 1970.
    ends_ms: Option<u64>,
}

impl Credentials {
    /// A key that does not end.
    pub fn new(id: &str, secret: &str, token: Option<&str>) -> Credentials {
        Credentials { id: id.into(), secret: secret.into(), token: token.map(str::to_owned), ends_ms: None }
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn secret(&self) -> &str {
        &self.secret
    }

    pub(crate) fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// Reads what a container's endpoint answers.
    fn parse(body: &[u8]) -> Result<Credentials, String> {
        let wrong = |what: &str| format!("its answer has no {what}");
        let value: Value = serde_json::from_slice(body).map_err(|_| "its answer is no JSON".to_owned())?;
        let text = |name: &str| value.get(name).and_then(Value::as_str);
        let ends = text("Expiration").map(|text| calendar::parse_iso(text).ok_or_else(|| wrong("Expiration")));
        Ok(Credentials {
            id: text("AccessKeyId").ok_or_else(|| wrong("AccessKeyId"))?.to_owned(),
            secret: text("SecretAccessKey").ok_or_else(|| wrong("SecretAccessKey"))?.to_owned(),
            token: text("Token").map(str::to_owned),
            ends_ms: ends.transpose()?.map(|s| s * 1_000),
        })
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Where credentials come from.
#[derive(Clone, PartialEq, Eq)]
pub enum Source {
    /// These.
    Fixed(Credentials),
    /// A container's own endpoint: ECS, EKS, Lambda with SnapStart.
    Container {
        /// Its URL.
        url: String,
        /// What is sent as `Authorization`.
        token: Option<String>,
        /// The file in which that is instead, read each time.
        token_file: Option<String>,
    },
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Fixed(credentials) => f.debug_tuple("Fixed").field(credentials).finish(),
            Source::Container { url, .. } => f.debug_struct("Container").field("url", url).finish_non_exhaustive(),
        }
    }
}

/// Hands credentials out, and renews them.
#[derive(Debug)]
pub(crate) struct Wallet {
    source: Source,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    credentials: Option<Arc<Credentials>>,
    /// Not before this time, ms since 1970.
    renew_from_ms: u64,
}

impl Wallet {
    pub(crate) fn new(source: Source) -> Wallet {
        Wallet { source, held: Mutex::default() }
    }

    /// Credentials that are good now. Whoever comes while they are fetched waits for the same ones.
    pub(crate) async fn open(&self, http: &Http, clock: &dyn Clock) -> Result<Arc<Credentials>, String> {
        let mut held = self.held.lock().await;
        let now_ms = clock.now_ms();
        let good = held.credentials.clone().filter(|held| held.ends_ms.is_none_or(|ends| ends > now_ms));
        if let Some(good) = &good
            && now_ms < held.renew_from_ms
        {
            return Ok(good.clone());
        }
        match (self.fetch(http).await, good) {
            (Ok(fetched), _) => {
                let fetched = Arc::new(fetched);
                held.renew_from_ms = fetched.ends_ms.map_or(u64::MAX, |ends| ends.saturating_sub(AHEAD_MS));
                // What lasts shorter than that is not asked for anew with each request.
                held.renew_from_ms = held.renew_from_ms.max(now_ms + 1_000);
                held.credentials = Some(fetched.clone());
                Ok(fetched)
            }
            (Err(_), Some(good)) => {
                held.renew_from_ms = now_ms + AGAIN_MS;
                Ok(good)
            }
            (Err(why), None) => Err(why),
        }
    }

    async fn fetch(&self, http: &Http) -> Result<Credentials, String> {
        let (url, token, token_file) = match &self.source {
            Source::Fixed(credentials) => return Ok(credentials.clone()),
            Source::Container { url, token, token_file } => (url, token, token_file),
        };
        let failed = |why: &dyn fmt::Display| format!("no credentials from {url}: {why}");
        let token = match token_file {
            Some(path) => Some(read(path).map_err(|error| failed(&format_args!("{path}: {error}")))?),
            None => token.clone(),
        };
        let mut request = Request::get(url.as_str());
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, token.trim());
        }
        // The error of a bad header does not show it.
        let request = request.body(Bytes::new()).map_err(|error| failed(&error))?;
        let answer = http.send(request).await.map_err(|error| failed(&error))?;
        if !answer.status().is_success() {
            return Err(failed(&format_args!("it answers {}", answer.status())));
        }
        Credentials::parse(answer.body()).map_err(|why| failed(&why))
    }
}

fn read(path: &str) -> std::io::Result<String> {
    use std::io::Read as _;
    let mut text = String::new();
    std::fs::File::open(path)?.take(MAX_TOKEN).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_is_shown() {
        let credentials = Credentials::new("AKID", "hidden", Some("hidden"));
        let container = Source::Container {
            url: "http://169.254.170.2/v2/x".into(),
            token: Some("hidden".into()),
            token_file: None,
        };
        let wallet = Wallet::new(Source::Fixed(credentials.clone()));
        let shown = format!("{credentials:?} {container:?} {wallet:?}");
        assert!(shown.contains("AKID") && shown.contains("/v2/x") && !shown.contains("hidden"), "{shown}");
    }

    #[test]
    fn what_an_endpoint_answers_is_read_or_named() {
        let parsed = Credentials::parse(
            br#"{"AccessKeyId":"a","SecretAccessKey":"b","Token":"c","Expiration":"2000-03-01T00:00:00Z"}"#,
        );
        let expected = Credentials { ends_ms: Some(951_868_800_000), ..Credentials::new("a", "b", Some("c")) };
        assert_eq!(parsed, Ok(expected));
        assert_eq!(Credentials::parse(b"<"), Err("its answer is no JSON".into()));
        let error = Credentials::parse(br#"{"AccessKeyId":"a"}"#);
        assert_eq!(error, Err("its answer has no SecretAccessKey".into()));
    }
}
