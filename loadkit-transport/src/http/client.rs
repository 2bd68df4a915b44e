//! A bot's client of a service.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::pin;

use bytes::Bytes;
use http::header::{HOST, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request};
use http_body_util::Full;
use loadkit_core::flight::{Describe, Way};
use loadkit_core::{Cx, Failure, Kind, Label, names};
use tokio::time::Instant;

use super::Service;
use super::exchange::{Broken, Io, exchange};
use super::request::{Asking, Reply, header};
use super::resolve::resolve;
use crate::address::Address;
use crate::call::FOR_EVER;
#[cfg(feature = "tls")]
use crate::tls;
use crate::wire::{self, Wire};
use crate::{failures, mem, status};

/// Who asks, unless a header says otherwise.
const AGENT: &str = concat!("loadkit/", env!("CARGO_PKG_VERSION"));

/// Where a service is.
enum To {
    Addr(SocketAddr),
    /// In memory, under this name.
    Mem(String),
}

/// A bot's client of a service, made by connecting [`Http`](super::Http). It lives on its bot's task.
pub struct HttpClient {
    cx: Cx,
    service: Service,
    /// As it stands in failures.
    url: String,
    to: To,
    headers: RefCell<HeaderMap>,
    idle: RefCell<Option<Box<Io>>>,
    /// Its number on the bot's flight recorder.
    number: u32,
    /// It has been connected once, and the run counts it as connected.
    is_open: bool,
}

impl HttpClient {
    pub(super) async fn connect(cx: Cx, mut service: Service) -> Result<HttpClient, Failure> {
        let url = service.url.clone().unwrap_or_else(|| cx.target().name().to_owned());
        let began = Instant::now();
        let until = began + service.time_out.min(FOR_EVER);
        let address = Address::parse(&url);
        let to = match (&service.url, mem::name_in(&url)) {
            (_, Some(name)) => To::Mem(name.to_owned()),
            (None, None) => {
                check(&address, &url)?;
                To::Addr(cx.target().addr(cx.seat().index())?)
            }
            (Some(_), None) => {
                let port = check(&address, &url)?;
                let silent = || Failure::new(Kind::TIMED_OUT, format!("the name in {url} was not resolved in time"));
                let addrs = within(&cx, until, resolve(address.host, port)).await.ok_or_else(silent)?;
                let addrs =
                    addrs.map_err(|error| Failure::new(Kind::TARGET, format!("{url} does not resolve: {error}")))?;
                let turn = cx.seat().index() % addrs.len().max(1) as u64;
                let found = usize::try_from(turn).ok().and_then(|turn| addrs.get(turn).copied());
                To::Addr(found.ok_or_else(|| Failure::new(Kind::TARGET, format!("{url} has no address")))?)
            }
        };
        let mut headers = HeaderMap::new();
        let host = HeaderValue::try_from(address.authority);
        headers.insert(HOST, host.map_err(|_| Failure::new(Kind::TARGET, format!("{url:?} has no host")))?);
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        for (name, value) in std::mem::take(&mut service.headers) {
            let (name, value) = header(&name, &value)?;
            headers.insert(name, value);
        }
        #[cfg(feature = "tls")]
        {
            service.security.server_name.get_or_insert_with(|| address.host.to_owned());
            service.security = service.security.of_run(&cx);
        }
        let headers = RefCell::new(headers);
        let mut client = HttpClient {
            cx: cx.clone(),
            service,
            url,
            to,
            headers,
            idle: RefCell::new(None),
            number: 0,
            is_open: false,
        };
        let io = within(&cx, until, client.open()).await.unwrap_or_else(|| Err(client.silent()))?;
        *client.idle.borrow_mut() = Some(io);
        client.is_open = true;
        client.number = cx.record(|tape| tape.dial()).unwrap_or(0);
        cx.record(|tape| tape.connected(Instant::now(), client.number, "http"));
        cx.connection_opened();
        cx.count_part("net.connects", &label(), 1);
        cx.trend_part("net.connect_time", &label(), Instant::now().saturating_duration_since(began));
        Ok(client)
    }

    /// A request with GET for this path, which begins with `/` and may have a query.
    pub fn get(&self, path: &str) -> Asking<'_> {
        self.request(Method::GET, path)
    }

    /// A request with POST.
    pub fn post(&self, path: &str) -> Asking<'_> {
        self.request(Method::POST, path)
    }

    /// A request with PUT.
    pub fn put(&self, path: &str) -> Asking<'_> {
        self.request(Method::PUT, path)
    }

    /// A request with PATCH.
    pub fn patch(&self, path: &str) -> Asking<'_> {
        self.request(Method::PATCH, path)
    }

    /// A request with DELETE.
    pub fn delete(&self, path: &str) -> Asking<'_> {
        self.request(Method::DELETE, path)
    }

    /// A request with any method.
    pub fn request(&self, method: Method, path: &str) -> Asking<'_> {
        Asking::new(self, method, path)
    }

    /// From now on with this header in every request: the token that a login has brought. It takes the place of one of
    /// the same name.
    ///
    /// # Errors
    /// `MALFORMED` when it can be no header.
    pub fn set_header(&self, name: &str, value: impl AsRef<str>) -> Result<(), Failure> {
        let (name, value) = header(name, value.as_ref())?;
        self.headers.borrow_mut().insert(name, value);
        Ok(())
    }

    /// Whether the idle connection's end has come.
    #[cfg(test)]
    pub(crate) fn was_closed(&self) -> bool {
        self.idle.borrow_mut().as_mut().is_some_and(|io| !io.is_fresh())
    }

    /// Makes a request, as [`Asking::send`] says.
    pub(super) async fn ask(&self, asking: Asking<'_>) -> Result<Reply, Failure> {
        if let Some(wrong) = asking.wrong {
            return Err(wrong);
        }
        let prefix = Address::parse(&self.url).path.trim_end_matches('/');
        let slash = if asking.path.starts_with('/') { "" } else { "/" };
        let path = format!("{prefix}{slash}{}", asking.path);
        let name = format!("{} {path}", asking.method);
        self.record(Way::Sent, &name, &asking.body);
        let mut request = Request::builder()
            .method(asking.method)
            .uri(&path)
            .body(asking.body)
            .map_err(|error| Failure::new(Kind::MALFORMED, format!("{name} is no request of HTTP: {error}")))?;
        let headers = request.headers_mut();
        headers.clone_from(&self.headers.borrow());
        for own in asking.headers.keys() {
            headers.remove(own);
        }
        headers.extend(asking.headers);

        let time = asking.within.unwrap_or(self.service.call_time_out);
        let reply = within(&self.cx, Instant::now() + time.min(FOR_EVER), self.exchange(request)).await;
        let reply = reply
            .unwrap_or_else(|| Err(Failure::new(Kind::TIMED_OUT, format!("no reply within {} s", time.as_secs_f64()))));
        let reply = reply.map_err(|failure| Failure::new(failure.kind(), format!("{name}: {failure}")))?;
        let status = reply.status;
        self.record(Way::Received, status.as_str(), &reply.body);
        if !asking.any_status && (status.is_client_error() || status.is_server_error()) {
            let shown = reply.shown();
            let body = if shown.is_empty() { String::new() } else { format!(": {shown:?}") };
            return Err(status::failure(status.as_u16(), format!("{name}: {status}{body}")));
        }
        Ok(reply)
    }

    /// Puts a request or a reply on the bot's flight recorder, without its headers: they hold what opens doors.
    fn record(&self, way: Way, head: &str, body: &[u8]) {
        let describe: Describe = |said| Some(String::from_utf8_lossy(said.bytes).into_owned());
        self.cx.record(|tape| {
            let said = [head.as_bytes(), b" ", body].concat();
            tape.message(Instant::now(), way, (self.number, [0; 2]), &said, describe);
        });
    }

    /// Over the idle connection if there is one, else over a new one.
    async fn exchange(&self, request: Request<Bytes>) -> Result<Reply, Failure> {
        self.cx.count("net.http_requests", 1);
        self.pass_network().await;
        let mut idle = self.idle.borrow_mut().take();
        if idle.as_mut().is_some_and(|io| !io.is_fresh()) {
            self.cx.count("net.http_reconnects", 1);
            idle = None;
        }
        if let Some(io) = idle {
            match self.try_over(io, request.clone()).await {
                Err(broken) if !broken.may_be_repeated(request.method()) => return Err(broken.failure),
                Err(_) => self.cx.count("net.http_reconnects", 1),
                Ok(reply) => return Ok(reply),
            }
        }
        let io = self.open().await?;
        self.try_over(io, request).await.map_err(|broken| broken.failure)
    }

    async fn try_over(&self, io: Box<Io>, request: Request<Bytes>) -> Result<Reply, Broken> {
        let exchanged = exchange(*io, request.map(Full::new), self.service.max_body).await;
        let (bytes, result) = match exchanged {
            Ok((reply, io, bytes)) => {
                if let Some(io) = io {
                    self.keep(io);
                }
                (bytes, Ok(reply))
            }
            Err(broken) => (broken.bytes, Err(broken)),
        };
        let received = u64::from(result.is_ok());
        let counted = ["net.packets_sent", names::PACKETS_RECEIVED, "net.bytes_sent", "net.bytes_received"];
        for (name, n) in counted.into_iter().zip([1, received, bytes[0], bytes[1]]).filter(|(_, n)| *n > 0) {
            self.cx.count_part(name, &label(), n);
        }
        result
    }

    fn keep(&self, io: Io) {
        let mut idle = self.idle.borrow_mut();
        if idle.is_none() {
            *idle = Some(Box::new(io));
        } else {
            io.close();
        }
    }

    /// A new connection.
    async fn open(&self) -> Result<Box<Io>, Failure> {
        self.pass_network().await;
        let pool = self.service.sources.as_ref().or_else(|| self.cx.run().plan().sources());
        let source = pool.map(|pool| pool.addr(self.cx.seat().index()));
        let opened = async {
            let addr = match &self.to {
                To::Addr(addr) => *addr,
                To::Mem(name) => return Ok(Wire::Mem(Box::new(mem::connect_stream(name)?))),
            };
            let stream = wire::connect(source, addr).await?;
            #[cfg(feature = "tls")]
            if self.url.starts_with("https://") {
                let stream = tls::connect(&self.cx, stream, &self.service.security, &[b"http/1.1"]).await?;
                return Ok(Wire::Tls(Box::new(stream)));
            }
            Ok(Wire::Tcp(stream))
        };
        let wire = opened.await.map_err(|error| failures::failure(&error, &self.url))?;
        Ok(Box::new(Io::new(wire)))
    }

    /// Waits for a round trip over the bot's network: what that is to a request, which is small and over a stream.
    async fn pass_network(&self) {
        if let Some(profile) = self.cx.network_profile().filter(|profile| !profile.is_perfect()) {
            self.cx.timers().sleep_until(Instant::now() + profile.mean_round_trip()).await;
        }
    }

    fn silent(&self) -> Failure {
        let time = self.service.time_out.as_secs_f64();
        let what = format!("{} did not answer within {time} s: is the server running?", self.url);
        Failure::new(Kind::TIMED_OUT, what)
    }
}

impl Drop for HttpClient {
    fn drop(&mut self) {
        if let Some(io) = self.idle.take() {
            io.close();
        }
        if self.is_open {
            self.cx.connection_closed();
        }
    }
}

/// What the figures of requests are called.
fn label() -> Label {
    Label::new("protocol", "http")
}

/// The port of a service at this URL.
fn check(address: &Address<'_>, url: &str) -> Result<u16, Failure> {
    let refused = |what: String| Err(Failure::new(Kind::TARGET, what));
    match address.scheme {
        Some("http") => {}
        Some("https") if cfg!(feature = "tls") => {}
        Some("https") => return refused(format!("{url} needs loadkit's feature `tls`, without which it was built")),
        _ => return refused(format!("{url:?} is no service: write it as http://HOST:PORT")),
    }
    match address.port() {
        Some(port) => Ok(port),
        None => refused(format!("the port in {url:?} is none")),
    }
}

/// What `work` comes to; `None` when it does not until then.
async fn within<T>(cx: &Cx, until: Instant, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    let mut time_out = pin!(cx.timers().sleep_until(until));
    poll_fn(|cx| match work.as_mut().poll(cx) {
        std::task::Poll::Ready(value) => std::task::Poll::Ready(Some(value)),
        std::task::Poll::Pending => time_out.as_mut().poll(cx).map(|()| None),
    })
    .await
}
