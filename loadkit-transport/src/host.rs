//! A server with its endpoint: what an example game or a simulation is built on.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use loadkit_core::Failure;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::endpoint::Endpoint;
use crate::link::MAX_DATAGRAM;
use crate::protocol::{Channel, Event};
use crate::serve::Serve;

/// Datagrams taken before the game has its turn, at most.
const READS_PER_TURN: usize = 256;

/// A server without I/O with its [`Endpoint`]: the same game server over a UDP socket and in memory.
///
/// ```no_run
/// # use loadkit_transport::{Endpoint, Event, rudp};
/// # use tokio::time::Instant;
/// # async fn serve() -> std::io::Result<()> {
/// let server = rudp::Server::new(rudp::Config::DEFAULT, 1_000, [1, 2], Instant::now());
/// let mut host = rudp::Host::new(server, Endpoint::listen_mem("arena")?);
/// loop {
///     let (peer, event) = host.next().await?;
///     if let Event::Message { channel, payload } = event {
///         let _ = host.send(peer, channel, &payload);
///     }
/// }
/// # }
/// ```
#[derive(Debug)]
pub struct Host<S> {
    server: S,
    endpoint: Endpoint,
    timer: Option<Pin<Box<Sleep>>>,
    buf: Vec<u8>,
    packet: Vec<u8>,
    refused: u64,
}

impl<S: Serve> Host<S> {
    /// Joins the two.
    pub fn new(server: S, endpoint: Endpoint) -> Host<S> {
        Host { server, endpoint, timer: None, buf: vec![0; MAX_DATAGRAM], packet: Vec::new(), refused: 0 }
    }

    /// The next event, and whose it is. What was queued before is sent before it waits, and what has arrived is taken
    /// in first. Dropping the future loses nothing.
    ///
    /// # Errors
    /// Those of the endpoint's socket.
    pub async fn next(&mut self) -> io::Result<(S::Peer, Event)> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// As [`Host::next`], to be polled.
    ///
    /// # Errors
    /// Those of the endpoint's socket.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(S::Peer, Event)>> {
        loop {
            if let Some(event) = self.server.poll_event() {
                return Poll::Ready(Ok(event));
            }
            let mut reads = 0;
            while reads < READS_PER_TURN
                && let Poll::Ready(received) = self.endpoint.poll_recv_from(cx, &mut self.buf)
            {
                let (received, from) = received?;
                let at = received.at.unwrap_or_else(Instant::now);
                self.server.input(at, from, self.buf.get(..received.len).unwrap_or_default());
                reads += 1;
            }
            // A server knows its deadline only when all is sent.
            self.flush();
            let is_due = self.poll_timer(cx);
            if is_due {
                self.server.timeout(Instant::now());
            }
            if reads == 0 && !is_due {
                // A goodbye ends a peer when it has been sent.
                return self.server.poll_event().map_or(Poll::Pending, |event| Poll::Ready(Ok(event)));
            }
            if reads == READS_PER_TURN {
                // A flood: others on this thread have their turn before it goes on.
                cx.waker().wake_by_ref();
                return self.server.poll_event().map_or(Poll::Pending, |event| Poll::Ready(Ok(event)));
            }
        }
    }

    /// Whether the server's deadline has come.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(due) = self.server.deadline() else { return false };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if timer.deadline() != due {
            timer.as_mut().reset(due);
        }
        timer.as_mut().poll(cx).is_ready()
    }

    /// Sends what is queued. What the kernel has no room for is lost, and counted.
    pub fn flush(&mut self) {
        let now = Instant::now();
        while let Some(to) = self.server.poll_transmit(now, &mut self.packet) {
            self.endpoint.send_to(&self.packet, to);
            self.packet.clear();
        }
        self.refused += self.endpoint.flush();
    }

    /// Queues a message to a peer, for the next flush.
    ///
    /// # Errors
    /// As [`Serve::send`].
    pub fn send(&mut self, to: S::Peer, channel: Channel, message: &[u8]) -> Result<(), Failure> {
        self.server.send(Instant::now(), to, channel, message)
    }

    /// Sends a peer away.
    pub fn disconnect(&mut self, peer: S::Peer, reason: &S::Reason) {
        self.server.disconnect(Instant::now(), peer, reason);
    }

    /// Sends all peers away, at once.
    pub fn shut_down(&mut self, reason: &S::Reason) {
        self.server.disconnect_all(Instant::now(), reason);
        self.flush();
    }

    /// The server, to look at.
    pub fn server(&self) -> &S {
        &self.server
    }

    /// The server, to be changed: what follows from it is sent with the next [`Host::next`] or [`Host::flush`].
    pub fn server_mut(&mut self) -> &mut S {
        &mut self.server
    }

    /// The address at which it listens.
    ///
    /// # Errors
    /// As the system has them.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.endpoint.local_addr()
    }

    /// Datagrams that the kernel had no room for.
    pub fn refused(&self) -> u64 {
        self.refused
    }
}
