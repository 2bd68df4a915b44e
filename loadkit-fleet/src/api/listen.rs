//! Listening on this machine: where, to how many at once, and until when.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::access::Access;
use super::router;
use super::service::Service;

/// So many connections at once; the next waits for one to end.
const MAX_CONNECTIONS: usize = 4_096;

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
            Access::Gateway => return Err(DoorError::Gateway),
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

    /// Serves until `stopped` comes, and then until what is under way is answered.
    ///
    /// # Errors
    /// If the socket fails.
    pub async fn serve(
        self,
        service: Arc<dyn Service>,
        stopped: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        let bounded = Bounded { listener: self.listener, room: Arc::new(Semaphore::new(MAX_CONNECTIONS)) };
        axum::serve(bounded, router(service, self.access)).with_graceful_shutdown(stopped).await
    }
}

/// Takes a connection when there is room for it.
struct Bounded {
    listener: TcpListener,
    room: Arc<Semaphore>,
}

impl Listener for Bounded {
    type Io = Held;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Held, SocketAddr) {
        // It is never closed.
        let permit = self.room.clone().acquire_owned().await.ok();
        let (stream, addr) = Listener::accept(&mut self.listener).await;
        (Held { stream, _permit: permit }, addr)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection, and its room.
struct Held {
    stream: TcpStream,
    _permit: Option<OwnedSemaphorePermit>,
}

impl AsyncRead for Held {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Held {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
