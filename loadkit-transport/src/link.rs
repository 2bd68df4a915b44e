//! `message <-> the network`: what moves bytes, one message at a time.

use std::io;
use std::net::IpAddr;
use std::task::{Context, Poll};

use tokio::time::Instant;

/// A message that was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Its length; the bytes are at the start of the buffer.
    pub len: usize,
    /// When it arrived in the kernel, where that is known.
    pub at: Option<Instant>,
}

/// One end of a way to the server that keeps the bounds of messages: a datagram socket, or a stream with frames.
///
/// Links stack: one that delays, drops or reorders holds another inside. It **never blocks and never queues without
/// bound**, and while nothing is under way it holds no buffer: the caller lends one for receiving.
pub trait Link {
    /// What figures call it, where its protocol has no name of its own: `net.bytes_sent{protocol=tcp}`.
    fn name(&self) -> &'static str {
        "custom"
    }

    /// The next message, into `buf`; registers the waker when there is none.
    ///
    /// # Errors
    /// `ConnectionRefused` when the server's machine says that nobody listens, `UnexpectedEof` when the other side
    /// has closed, `InvalidData` when a frame is over the limit; others as the system has them.
    fn poll_recv(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<Received>>;

    /// Sends a message, or queues it to be flushed.
    ///
    /// # Errors
    /// `WouldBlock` when there is no room; the message is not sent.
    fn try_send(&mut self, message: &[u8]) -> io::Result<()>;

    /// Moves on what is queued; registers the waker when some is left. For datagrams there is nothing to do.
    ///
    /// # Errors
    /// As the system has them.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let _ = cx;
        Poll::Ready(Ok(()))
    }

    /// Bytes that wait to be flushed.
    fn queued(&self) -> usize {
        0
    }

    /// Queues the link's own goodbye, where it has one (WebSocket, TLS), after all that was sent. [`Link::queued`] is then
    /// 0 when it has been said, and answered where an answer belongs to it; [`Link::poll_flush`] sees to both.
    fn close(&mut self) {}

    /// When it has something to do although nothing arrives: then it wants to be polled. Whoever drives it wakes for that.
    fn deadline(&self) -> Option<Instant> {
        None
    }

    /// Goes on from another address, as a phone does that changes its cell: from `from` if there is one, else from another
    /// port. What is under way to the old address is lost.
    ///
    /// # Errors
    /// `Unsupported` when it cannot, as streams cannot; others as the system has them. It goes on as before.
    fn rebind(&mut self, from: Option<IpAddr>) -> io::Result<()> {
        let _ = from;
        Err(io::ErrorKind::Unsupported.into())
    }

    /// The longest message that it receives: the buffer lent to it is at least so long.
    fn max_message(&self) -> usize {
        MAX_DATAGRAM
    }

    /// Whether it is a stream: it loses nothing, so what cannot be sent now must not be dropped.
    fn is_stream(&self) -> bool {
        false
    }

    /// What was lost on this machine since the last call, without an error from the other methods.
    fn take_losses(&mut self) -> Losses {
        Losses::default()
    }
}

/// What was lost on this machine: the kit's or the kernel's doing, not the network's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// Datagrams taken by [`Link::try_send`] that the kernel refused later.
    pub refused: u64,
    /// Datagrams that had arrived and found no room.
    pub dropped: u64,
    /// Datagrams that had arrived and were for nobody.
    pub strays: u64,
}

/// A stream is offered messages only while fewer bytes wait for the kernel.
pub(crate) const STREAM_QUEUE: usize = 64 * 1024;

/// No UDP datagram is longer (its length field has 16 bits).
pub const MAX_DATAGRAM: usize = 65_535;

impl<L: Link + ?Sized> Link for Box<L> {
    fn name(&self) -> &'static str {
        (**self).name()
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<Received>> {
        (**self).poll_recv(cx, buf)
    }

    fn try_send(&mut self, message: &[u8]) -> io::Result<()> {
        (**self).try_send(message)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        (**self).poll_flush(cx)
    }

    fn queued(&self) -> usize {
        (**self).queued()
    }

    fn close(&mut self) {
        (**self).close();
    }

    fn deadline(&self) -> Option<Instant> {
        (**self).deadline()
    }

    fn rebind(&mut self, from: Option<IpAddr>) -> io::Result<()> {
        (**self).rebind(from)
    }

    fn max_message(&self) -> usize {
        (**self).max_message()
    }

    fn is_stream(&self) -> bool {
        (**self).is_stream()
    }

    fn take_losses(&mut self) -> Losses {
        (**self).take_losses()
    }
}
