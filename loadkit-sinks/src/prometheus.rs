//! An endpoint for Prometheus to scrape: `GET /metrics`, in the text exposition format, version 0.0.4.

mod registry;

use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::sync::{Semaphore, watch};

use self::registry::Registry;
use crate::interval::Interval;
use crate::sink::{RunLabels, Sink, SinkError};

/// Scrapes at once; who comes beyond is turned away.
const MAX_CONNECTIONS: usize = 16;
/// A scrape gets so long, from its connection to its last byte.
const MAX_TIME: Duration = Duration::from_secs(10);
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Serves the sums of all intervals so far to whoever asks.
///
/// At the end of the run it stays for one more scrape, within the fan's flush time, if it has been scraped before: so the
/// last figures arrive where they are asked for often enough.
#[derive(Debug)]
pub struct Prometheus {
    addr: SocketAddr,
    listener: Option<TcpListener>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    registry: Mutex<Registry>,
    connections: Arc<Semaphore>,
    /// How many intervals the scrape showed that was answered last, to its last byte.
    shown: watch::Sender<Option<u64>>,
}

impl Prometheus {
    /// Listens at this address from now on; port 0 takes one that is free.
    ///
    /// # Errors
    /// When the address is in use, or not one of this machine.
    pub fn open(addr: SocketAddr, run: &RunLabels) -> Result<Prometheus, SinkError> {
        let listener = TcpListener::bind(addr).and_then(|listener| {
            listener.set_nonblocking(true)?;
            Ok((listener.local_addr()?, listener))
        });
        let (addr, listener) = listener.map_err(|error| {
            let advice = "name an address of this machine whose port is free, as 127.0.0.1:9464";
            SinkError::new(format!("Prometheus cannot be served at {addr}: {error}; {advice}"))
        })?;
        let shared = Shared {
            registry: Mutex::new(Registry::new(run)),
            connections: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
            shown: watch::Sender::new(None),
        };
        Ok(Prometheus { addr, listener: Some(listener), shared: Arc::new(shared) })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }
}

#[async_trait]
impl Sink for Prometheus {
    fn name(&self) -> &'static str {
        "prometheus"
    }

    fn place(&self) -> String {
        format!("http://{}/metrics", self.addr)
    }

    async fn begin(&mut self) -> Result<(), SinkError> {
        let Some(listener) = self.listener.take() else { return Ok(()) };
        let listener = tokio::net::TcpListener::from_std(listener)
            .map_err(|error| SinkError::new(format!("{} cannot be served: {error}", self.place())))?;
        tokio::spawn(accept(listener, self.shared.clone()));
        Ok(())
    }

    async fn take(&mut self, interval: &Interval) -> Result<u64, SinkError> {
        Ok(self.shared.registry.lock().unwrap_or_else(PoisonError::into_inner).add(interval))
    }

    async fn end(&mut self) {
        let all = self.shared.registry.lock().unwrap_or_else(PoisonError::into_inner).intervals();
        let mut shown = self.shared.shown.subscribe();
        if shown.borrow().is_some() {
            // The sender lives as long as this does.
            let _ = shown.wait_for(|shown| *shown == Some(all)).await;
        }
    }
}

/// Takes connections as long as the sinks' runtime lives.
async fn accept(listener: tokio::net::TcpListener, shared: Arc<Shared>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // No descriptor is left, for one. Others have to end first.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let Ok(permit) = shared.connections.clone().try_acquire_owned() else { continue };
        let shared = shared.clone();
        tokio::spawn(async move {
            let scraped = Mutex::new(None);
            let service = service_fn(|request: Request<Incoming>| {
                let (response, shows) = answer(&request, &shared);
                *scraped.lock().unwrap_or_else(PoisonError::into_inner) = shows;
                std::future::ready(Ok::<_, Infallible>(response))
            });
            let connection = http1::Builder::new().keep_alive(false).serve_connection(TokioIo::new(stream), service);
            let served = tokio::time::timeout(MAX_TIME, connection).await;
            let scraped = scraped.into_inner().unwrap_or_else(PoisonError::into_inner);
            if matches!(served, Ok(Ok(()))) && scraped.is_some() {
                // Of two that overlap, the one that knew more.
                shared.shown.send_modify(|shown| *shown = scraped.max(*shown));
            }
            drop(permit);
        });
    }
}

/// The answer, and how many intervals it shows if it is a scrape.
fn answer(request: &Request<Incoming>, shared: &Shared) -> (Response<Full<Bytes>>, Option<u64>) {
    let plain = "text/plain; charset=utf-8";
    let mut shows = None;
    let (status, kind, body) = match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/metrics") => {
            let registry = shared.registry.lock().unwrap_or_else(PoisonError::into_inner);
            shows = Some(registry.intervals());
            (StatusCode::OK, CONTENT_TYPE, registry.text())
        }
        (&Method::GET | &Method::HEAD, "/") => (StatusCode::OK, plain, "The figures are at /metrics.\n".into()),
        (&Method::GET | &Method::HEAD, _) => (StatusCode::NOT_FOUND, plain, "The figures are at /metrics.\n".into()),
        _ => (StatusCode::METHOD_NOT_ALLOWED, plain, "Ask with GET.\n".into()),
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    (response, shows)
}

#[cfg(test)]
mod tests;
