//! `bytes <-> TCP`: a stream that never blocks, in the clear or under TLS; or one in memory.

use std::cell::RefCell;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};

#[cfg(feature = "tls")]
use crate::tls::TlsStream;

/// Bytes read from a stream at once.
const READ: usize = 64 * 1024;

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Lends what streams are read into, one for all connections of a thread: what is left of it stays with its connection.
pub(crate) fn with_scratch<T>(read: impl FnOnce(&mut [u8]) -> T) -> T {
    SCRATCH.with_borrow_mut(|scratch| {
        scratch.resize(READ, 0);
        read(scratch)
    })
}

/// A stream of bytes to the server.
#[derive(Debug)]
pub(crate) enum Wire {
    Tcp(TcpStream),
    #[cfg(feature = "tls")]
    Tls(Box<TlsStream>),
    Mem(Box<DuplexStream>),
}

/// Connects from `from` (any address if there is none) to `to`.
pub(crate) async fn connect(from: Option<IpAddr>, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(from) = from {
        socket.bind(SocketAddr::new(from, 0))?;
    }
    let stream = socket.connect(to).await?;
    // Games send small messages that must not wait for company.
    stream.set_nodelay(true)?;
    Ok(stream)
}

impl Wire {
    /// One of two names: of what goes over it in the clear, and under TLS.
    pub(crate) fn name(&self, clear: &'static str, secure: &'static str) -> &'static str {
        let _ = secure;
        match self {
            Wire::Tcp(_) => clear,
            #[cfg(feature = "tls")]
            Wire::Tls(_) => secure,
            Wire::Mem(_) => "mem",
        }
    }

    /// What has come, into `buf`, which is not empty; 0 at the stream's end. Registers the waker when there is nothing.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        match self {
            Wire::Tcp(stream) => poll_read(stream, cx, buf),
            #[cfg(feature = "tls")]
            Wire::Tls(stream) => stream.poll_read(cx, buf),
            Wire::Mem(stream) => {
                let mut buf = ReadBuf::new(buf);
                ready!(Pin::new(stream.as_mut()).poll_read(cx, &mut buf))?;
                Poll::Ready(Ok(buf.filled().len()))
            }
        }
    }

    /// Takes some of `bytes`; registers the waker when there is no room.
    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Wire::Tcp(stream) => poll_write(stream, cx, bytes),
            #[cfg(feature = "tls")]
            Wire::Tls(stream) => stream.poll_write(cx, bytes),
            Wire::Mem(stream) => Pin::new(stream.as_mut()).poll_write(cx, bytes),
        }
    }

    /// Moves on what was taken and is still here.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Wire::Tcp(_) | Wire::Mem(_) => {
                let _ = cx;
                Poll::Ready(Ok(()))
            }
            #[cfg(feature = "tls")]
            Wire::Tls(stream) => stream.poll_flush(cx),
        }
    }

    /// Bytes that were taken and are still here.
    pub(crate) fn queued(&self) -> usize {
        match self {
            Wire::Tcp(_) | Wire::Mem(_) => 0,
            #[cfg(feature = "tls")]
            Wire::Tls(stream) => stream.queued(),
        }
    }

    /// Queues the stream's own goodbye, where it has one.
    pub(crate) fn close(&mut self) {
        match self {
            Wire::Tcp(_) | Wire::Mem(_) => {}
            #[cfg(feature = "tls")]
            Wire::Tls(stream) => stream.close(),
        }
    }

    #[cfg(feature = "ws")]
    /// Writes all of `outgoing`, which has no buffer any more when that is done.
    pub(crate) fn poll_write_all(&mut self, cx: &mut Context<'_>, outgoing: &mut Vec<u8>) -> Poll<io::Result<()>> {
        let written = write_all(outgoing, |bytes| self.poll_write(cx, bytes));
        ready!(written)?;
        self.poll_flush(cx)
    }
}

#[cfg(any(feature = "tls", feature = "ws"))]
/// Has all of `outgoing` written, as far as that goes. It has no buffer any more when that is done.
pub(crate) fn write_all(
    outgoing: &mut Vec<u8>,
    mut write: impl FnMut(&[u8]) -> Poll<io::Result<usize>>,
) -> Poll<io::Result<()>> {
    let mut sent = 0;
    while let Some(rest) = outgoing.get(sent..).filter(|rest| !rest.is_empty()) {
        match write(rest) {
            Poll::Ready(Ok(len)) => sent += len,
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => {
                outgoing.drain(..sent);
                return Poll::Pending;
            }
        }
    }
    *outgoing = Vec::new();
    Poll::Ready(Ok(()))
}

/// As [`Wire::poll_read`]. It looks before it asks whether it may: that costs no system call when the runtime knows of
/// nothing.
pub(crate) fn poll_read(stream: &TcpStream, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
    loop {
        match stream.try_read(buf) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready!(stream.poll_read_ready(cx))?,
            result => return Poll::Ready(result),
        }
    }
}

/// As [`Wire::poll_write`].
pub(crate) fn poll_write(stream: &TcpStream, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
    loop {
        match stream.try_write(bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready!(stream.poll_write_ready(cx))?,
            result => return Poll::Ready(result),
        }
    }
}
