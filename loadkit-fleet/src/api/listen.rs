//! Listening on this machine: where, to how many at once, and until when.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use axum::{Router, middleware};
use futures_util::StreamExt as _;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_io_timeout::TimeoutStream;

use super::access::Access;
use super::router;
use super::service::Service;

/// So many connections at once; the next waits for one to end.
const MAX_CONNECTIONS: usize = 4_096;
/// The head of a request comes within this time, and the next request on a connection too: a connection takes room. It is
/// longer than clients keep connections for.
const MAX_HEAD: Duration = Duration::from_secs(30);
/// Of an answer something is taken within this time.
const MAX_STALL: Duration = Duration::from_secs(30);
/// What is under way when the service is to end gets so long: requests take less, and live streams are ended.
const MAX_LEAVING: Duration = Duration::from_secs(30);
/// Where the system gives no connection, it is asked again after so long, and so often.
const PAUSE: Duration = Duration::from_secs(1);
const MAX_FAILED: u32 = 60;

/// Why the door does not open.
#[derive(Debug)]
pub enum DoorError {
    /// Others would come in, and nobody would know who they are.
    Open(SocketAddr),
    /// API Gateway's word counts only in its own events.
    Gateway,
    /// The system refuses.
    Io(SocketAddr, io::Error),
}

impl fmt::Display for DoorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DoorError::Open(addr) => write!(
                f,
                "the fleet does not listen on {addr} without tokens, because anybody could launch runs: listen on \
                 127.0.0.1, or make a token and ask for tokens"
            ),
            DoorError::Gateway => {
                f.write_str("callers that API Gateway vouches for come by its events, not by a socket")
            }
            DoorError::Io(addr, error) => write!(f, "the fleet cannot listen on {addr}: {error}"),
        }
    }
}

impl std::error::Error for DoorError {}

/// A socket that listens.
#[derive(Debug)]
pub struct Door {
    listener: TcpListener,
    access: Access,
    addr: SocketAddr,
}

impl Door {
    /// Listens on this address: without tokens only on loopback.
    ///
    /// # Errors
    /// See [`DoorError`].
    pub async fn open(addr: SocketAddr, access: Access) -> Result<Door, DoorError> {
        match access {
            Access::Open if !addr.ip().to_canonical().is_loopback() => return Err(DoorError::Open(addr)),
            Access::Gateway(..) => return Err(DoorError::Gateway),
            Access::Open | Access::Tokens(_) => {}
        }
        let io = |error| DoorError::Io(addr, error);
        let listener = TcpListener::bind(addr).await.map_err(io)?;
        let addr = listener.local_addr().map_err(io)?;
        Ok(Door { listener, access, addr })
    }

    /// Where it listens: the port that the system gave, if none was asked for.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Serves until `stopped` comes, and then until what is under way is answered, or for half a minute.
    ///
    /// # Errors
    /// If the system gives no connections for a minute.
    pub async fn serve(
        self,
        service: Arc<dyn Service>,
        stopped: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        let (stop, stopping) = watch::channel(false);
        let until = stopping.clone();
        let router = router(service, self.access)
            .layer(middleware::map_response(move |response| std::future::ready(live_until(response, until.clone()))));
        let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let (mut stopped, mut connections, mut failed) = (pin!(stopped), JoinSet::new(), 0);
        loop {
            let accepted = tokio::select! {
                biased;
                () = &mut stopped => break,
                Some(_) = connections.join_next() => continue,
                accepted = accept(&self.listener, &room) => accepted,
            };
            match accepted {
                Ok((stream, permit)) => {
                    failed = 0;
                    connections.spawn(attend(stream, permit, router.clone(), stopping.clone()));
                }
                // They were gone before they were taken.
                Err(error) if is_theirs(&error) => {}
                Err(error) if failed >= MAX_FAILED => return Err(error),
                Err(_) => {
                    failed += 1;
                    sleep(PAUSE).await;
                }
            }
        }
        drop(self.listener);
        stop.send_replace(true);
        let _ = timeout(MAX_LEAVING, async { while connections.join_next().await.is_some() {} }).await;
        Ok(())
    }
}

/// Ends a live stream when the service is to end: who listens comes back, and finds the next one. Workers would find nobody
/// as long as this one waited.
pub(super) fn live_until(response: Response, mut stopping: watch::Receiver<bool>) -> Response {
    if response.headers().get(CONTENT_TYPE).is_none_or(|kind| kind != "text/event-stream") {
        return response;
    }
    response.map(|body| {
        let stopped = async move { drop(stopping.wait_for(|stop| *stop).await) };
        Body::from_stream(body.into_data_stream().take_until(Box::pin(stopped)))
    })
}

/// A connection, when there is room for it.
async fn accept(listener: &TcpListener, room: &Arc<Semaphore>) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let permit = room.clone().acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, permit))
}

/// Whether it is the fault of who wanted to connect.
fn is_theirs(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Answers a connection's requests until it ends. Whoever is too slow with a request's head, or takes nothing of an answer, is cut
/// off.
async fn attend(stream: TcpStream, permit: OwnedSemaphorePermit, router: Router, mut stopping: watch::Receiver<bool>) {
    let _room = permit;
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(MAX_HEAD);
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(MAX_STALL));
    let mut connection = pin!(http.serve_connection(TokioIo::new(Box::pin(stream)), TowerToHyperService::new(router)));
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = stopping.wait_for(|stop| *stop) => {}
    }
    connection.as_mut().graceful_shutdown();
    // A broken connection is who broke its matter.
    let _ = connection.await;
}
