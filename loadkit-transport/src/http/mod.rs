//! HTTP/1.1 requests, for the lobby and the shop that stand beside a game server.
//!
//! ```no_run
//! # use loadkit_transport::Http;
//! # #[derive(serde::Serialize)] struct Login { account: u64 }
//! # #[derive(serde::Deserialize)] struct Session { token: String }
//! # async fn bot(cx: &loadkit_core::Cx) -> loadkit_core::Result {
//! let lobby = cx.connect(Http::to("http://127.0.0.1:8080")).await?;
//! let login = lobby.post("/login").json(&Login { account: cx.seat().index() });
//! let session: Session = cx.step("login", login.send()).await?.json()?;
//! lobby.set_header("authorization", format!("Bearer {}", session.token))?;
//! let shop = cx.step("shop", lobby.get("/shop?page=1").send()).await?;
//! # let _ = shop; Ok(()) }
//! ```
//!
//! Each bot has a connection of its own, kept alive from one request to the next, and does all of it on its own task.
//! Requests that overlap open a connection each, of which one is kept. An idle one holds no buffer. When the server has
//! closed it meanwhile, the next request opens another; if it closes only while the request is on its way, the
//! request is repeated once when it is one that may be (GET, HEAD, PUT, DELETE, OPTIONS; RFC 9110, section 9.2.2). Both
//! are counted as `net.http_reconnects`.
//!
//! **A status of 400 or more is a failure of its own kind**, `http-404`, unless the request says
//! [`any_status`](Asking::any_status). Redirections are not followed: they are replies like others. There are no
//! cookies, no compression, no proxies and no HTTP/2: what a player's client does of this, a bot does by its headers.
//!
//! Requests, replies and their bytes are counted as `net.packets_…` and `net.bytes_…`, and requests also as
//! `net.http_requests`. Times are measured by the steps around them.

mod client;
mod exchange;
mod request;
mod resolve;

use std::sync::Arc;
use std::time::Duration;

use loadkit_core::{Connect, Cx, Result, SourcePool};

pub use self::client::HttpClient;
pub use self::request::{Asking, Reply};
#[cfg(feature = "tls")]
use crate::tls::{Security, Trust};
pub use ::http::Method;

/// How a bot connects to a service: `Http::to("http://127.0.0.1:8080")`.
pub struct Http(Box<Service>);

/// In a box of its own, because it passes through futures on its way.
#[derive(Clone)]
struct Service {
    /// `None` for the run's target.
    url: Option<String>,
    headers: Vec<(String, String)>,
    time_out: Duration,
    call_time_out: Duration,
    max_body: usize,
    sources: Option<Arc<SourcePool>>,
    #[cfg(feature = "tls")]
    security: Security,
}

impl Http {
    /// To the service at this URL: `http://host:port`, with the feature `tls` also `https://`. A path in it goes before
    /// those of all requests. Names are resolved once a minute by each shard.
    pub fn to(url: impl Into<String>) -> Http {
        Http::with(Some(url.into()))
    }

    /// To the run's target.
    pub fn target() -> Http {
        Http::with(None)
    }

    fn with(url: Option<String>) -> Http {
        Http(Box::new(Service {
            url,
            headers: Vec::new(),
            time_out: Duration::from_secs(5),
            call_time_out: Duration::from_secs(5),
            max_body: 1 << 20,
            sources: None,
            #[cfg(feature = "tls")]
            security: Security::default(),
        }))
    }

    /// With this header in every request, unless the request has its own of that name.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Http {
        self.0.headers.push((name.into(), value.into()));
        self
    }

    /// Gives up connecting after so long; 5 s by default.
    pub fn time_out(mut self, time: Duration) -> Http {
        self.0.time_out = time;
        self
    }

    /// Gives up waiting for a whole reply after so long, unless the request says otherwise; 5 s by default.
    pub fn call_time_out(mut self, time: Duration) -> Http {
        self.0.call_time_out = time;
        self
    }

    /// Takes bodies of at most so many bytes; 1 MiB by default. A longer one is a failure, `TOO_LARGE`.
    pub fn max_body(mut self, bytes: usize) -> Http {
        self.0.max_body = bytes;
        self
    }

    /// From the seat's address of this pool.
    pub fn sources(mut self, pool: Arc<SourcePool>) -> Http {
        self.0.sources = Some(pool);
        self
    }

    /// Trusts these authorities; by default [`Trust::web`].
    #[cfg(feature = "tls")]
    pub fn trust(mut self, trust: Trust) -> Http {
        self.0.security.trust = trust;
        self
    }

    /// The name that the server's certificate must have; by default the URL's host.
    #[cfg(feature = "tls")]
    pub fn server_name(mut self, name: impl Into<String>) -> Http {
        self.0.security.server_name = Some(name.into());
        self
    }
}

impl Connect for Http {
    type Connection = HttpClient;

    /// The future is boxed: what it needs is freed when the bot plays, instead of making every bot larger.
    fn connect(self, cx: &Cx) -> impl Future<Output = Result<HttpClient>> {
        let cx = cx.clone();
        Box::pin(async move { Ok(HttpClient::connect(cx, *self.0).await?) })
    }
}
