//! Tells a web service: each happening is one POST of JSON.

use std::time::Duration;

use async_trait::async_trait;
use loadkit_http::http::{Request, Uri, header};
use loadkit_http::{Bytes, Http, Limits};

use crate::notify::{Happening, Notifier};

/// For the connection, and again for the answer.
const MAX_TIME: Duration = Duration::from_secs(5);
/// An answer's body may have so many bytes.
const MAX_REPLY: usize = 64 << 10;
/// So much of an answer is shown when it says why not.
const MAX_SHOWN: usize = 200;

/// Posts each happening as JSON to a URL, once. A URL may hold a secret: it is never shown, but for its host.
pub struct Webhook {
    uri: Uri,
    http: Http,
}

impl std::fmt::Debug for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Webhook").field("host", &self.uri.host()).finish_non_exhaustive()
    }
}

impl Webhook {
    /// To this URL, `https://` or `http://`.
    ///
    /// # Errors
    /// If it is none.
    pub fn new(url: &str) -> Result<Webhook, String> {
        let uri: Uri = url.parse().map_err(|error| format!("the webhook's URL is none: {error}"))?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none() {
            return Err("the webhook's URL must begin with https:// or http:// and a host".into());
        }
        let http = Http::new(Limits { connect: MAX_TIME, call: MAX_TIME, body: MAX_REPLY });
        Ok(Webhook { uri, http })
    }
}

#[async_trait]
impl Notifier for Webhook {
    async fn tell(&self, happening: &Happening) -> Result<(), String> {
        let host = self.uri.host().unwrap_or_default();
        let failed = |why: &dyn std::fmt::Display| format!("the webhook at {host}: {why}");
        let body = serde_json::to_vec(happening).map_err(|error| failed(&error))?;
        let request = Request::post(self.uri.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::USER_AGENT, concat!("loadkit/", env!("CARGO_PKG_VERSION")))
            .body(Bytes::from(body))
            .map_err(|error| failed(&error))?;
        let answer = self.http.send(request).await.map_err(|error| failed(&error))?;
        if answer.status().is_success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(answer.body());
        let said: String = said.chars().filter(|c| !c.is_control()).take(MAX_SHOWN).collect();
        Err(failed(&format_args!("it answers {}: {said}", answer.status())))
    }
}
