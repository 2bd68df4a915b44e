//! One request and its reply over a connection, by hyper, on the bot's own task.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::Full;
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use hyper::rt::{Read, ReadBufCursor, Write};
use loadkit_core::{Failure, Kind};

use super::request::Reply;
use crate::wire::{self, Wire};

/// The longest head of a reply, in bytes; the least that hyper allows.
const MAX_HEAD: usize = 8_192;

/// A connection to a service, idle.
pub(super) struct Io {
    wire: Wire,
    /// Bytes since they were last asked for: sent, received.
    pub(super) bytes: [u64; 2],
}

/// Why there is no reply.
pub(super) struct Broken {
    pub(super) failure: Failure,
    /// The connection was closed, and nothing else was wrong.
    is_closed: bool,
    /// Bytes: sent, received.
    pub(super) bytes: [u64; 2],
}

impl Broken {
    /// Whether the connection may have been closed before the server saw the request, so that asking again does no harm.
    pub(super) fn may_be_repeated(&self, method: &Method) -> bool {
        let [sent, received] = self.bytes;
        self.is_closed && received == 0 && (sent == 0 || method.is_idempotent())
    }
}

impl Io {
    pub(super) fn new(wire: Wire) -> Io {
        Io { wire, bytes: [0; 2] }
    }

    /// Whether nothing has come since the last reply, not even the end.
    pub(super) fn is_fresh(&mut self) -> bool {
        wire::with_scratch(|scratch| self.wire.poll_read(&mut Context::from_waker(Waker::noop()), scratch)).is_pending()
    }

    /// Says goodbye, where the stream has one.
    pub(super) fn close(mut self) {
        self.wire.close();
        let _ = self.wire.poll_flush(&mut Context::from_waker(Waker::noop()));
    }
}

/// Sends a request and waits for its whole reply, with a body of at most `max` bytes. The connection comes back if it can be
/// used again, and the bytes that went over it in any case.
pub(super) async fn exchange(
    io: Io,
    request: Request<Full<Bytes>>,
    max: usize,
) -> Result<(Reply, Option<Io>, [u64; 2]), Broken> {
    let mut builder = Builder::new();
    let (mut sender, connection) = match builder.max_buf_size(MAX_HEAD).handshake(io).await {
        Ok(both) => both,
        Err(error) => return Err(Broken { failure: failure(&error), is_closed: false, bytes: [0; 2] }),
    };
    let mut driven = Driven { connection, is_over: false };
    match converse(&mut sender, &mut driven, request, max).await {
        Ok(reply) => {
            // Only now hyper can tell whether the connection is good for another request.
            let is_ready = poll_fn(|cx| {
                driven.poll(cx);
                Poll::Ready(matches!(sender.poll_ready(cx), Poll::Ready(Ok(()))))
            });
            let is_reusable = is_ready.await && !driven.is_over;
            let parts = driven.connection.into_parts();
            let bytes = parts.io.bytes;
            let kept = (is_reusable && parts.read_buf.is_empty()).then(|| Io { bytes: [0; 2], ..parts.io });
            Ok((reply, kept, bytes))
        }
        Err(failure) => {
            let is_closed = failure.kind() == Kind::CLOSED;
            Err(Broken { failure, is_closed, bytes: driven.connection.into_parts().io.bytes })
        }
    }
}

/// hyper's end of the connection, to be polled along with whatever waits for it.
struct Driven {
    connection: Connection<Io, Full<Bytes>>,
    is_over: bool,
}

impl Driven {
    fn poll(&mut self, cx: &mut Context<'_>) {
        // Why it ended is told to whoever waits for the reply.
        self.is_over = self.is_over || self.connection.poll_without_shutdown(cx).is_ready();
    }

    /// Waits for `poll` while the connection goes on. `None` when that has ended, and nothing can come any more.
    async fn until<T>(&mut self, mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> Option<T> {
        poll_fn(|cx| {
            self.poll(cx);
            match poll(cx) {
                Poll::Ready(value) => Poll::Ready(Some(value)),
                Poll::Pending if self.is_over => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }
}

async fn converse(
    sender: &mut SendRequest<Full<Bytes>>,
    driven: &mut Driven,
    request: Request<Full<Bytes>>,
    max: usize,
) -> Result<Reply, Failure> {
    let mut response = pin!(sender.send_request(request));
    let (head, body) = match driven.until(|cx| response.as_mut().poll(cx)).await {
        Some(Ok(response)) => response.into_parts(),
        Some(Err(error)) => return Err(failure(&error)),
        None => return Err(cut_off()),
    };
    read_body(driven, body, max, head.status, head.headers).await
}

async fn read_body(
    driven: &mut Driven,
    mut body: Incoming,
    max: usize,
    status: StatusCode,
    headers: HeaderMap,
) -> Result<Reply, Failure> {
    let too_large = || Failure::new(Kind::TOO_LARGE, format!("a body of more than {max} bytes"));
    if body.size_hint().lower() > max as u64 {
        return Err(too_large());
    }
    let mut whole = BytesMut::new();
    loop {
        let frame = driven.until(|cx| Pin::new(&mut body).poll_frame(cx)).await;
        match frame {
            Some(Some(Ok(frame))) => {
                let data = frame.into_data().unwrap_or_default();
                if whole.len() + data.len() > max {
                    return Err(too_large());
                }
                whole.extend_from_slice(&data);
            }
            Some(Some(Err(error))) => return Err(failure(&error)),
            Some(None) => return Ok(Reply { status, headers, body: whole.freeze() }),
            None => return Err(cut_off()),
        }
    }
}

fn cut_off() -> Failure {
    Failure::new(Kind::CLOSED, "the server closed the connection before the reply was whole")
}

fn source<E: std::error::Error + 'static>(error: &hyper::Error) -> Option<&E> {
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        source = error.source();
    }
    None
}

/// What hyper's error means.
fn failure(error: &hyper::Error) -> Failure {
    if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
        return cut_off();
    }
    if let Some(io) = source::<io::Error>(error) {
        // Links tell what they know themselves: a failure of TLS.
        if let Some(told) = io.get_ref().and_then(|inner| inner.downcast_ref::<Failure>()) {
            return told.clone();
        }
        // hyper says so of chunks that are none.
        if !matches!(io.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData) {
            return cut_off();
        }
    }
    Failure::new(Kind::MALFORMED, format!("the reply is not HTTP: {error}"))
}

impl Read for Io {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, mut buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        wire::with_scratch(|scratch| {
            let room = buf.remaining().min(scratch.len());
            let len = ready!(self.wire.poll_read(cx, &mut scratch[..room]))?;
            self.bytes[1] += len as u64;
            buf.put_slice(&scratch[..len]);
            Poll::Ready(Ok(()))
        })
    }
}

impl Write for Io {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let len = ready!(self.wire.poll_write(cx, buf))?;
        self.bytes[0] += len as u64;
        Poll::Ready(Ok(len))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.wire.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.wire.close();
        self.wire.poll_flush(cx)
    }
}
