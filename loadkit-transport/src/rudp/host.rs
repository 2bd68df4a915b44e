//! A server with its endpoint: what an example game or a simulation is built on.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use loadkit_core::Failure;
use tokio::time::{Instant, Sleep, sleep_until};

use super::peers::PeerId;
use super::server::Server;
use crate::endpoint::Endpoint;
use crate::link::MAX_DATAGRAM;
use crate::protocol::{Channel, Event};

/// Datagrams taken before the game has its turn, at most.
const READS_PER_TURN: usize = 256;

/// A [`Server`] with its [`Endpoint`]: the same game server over a UDP socket and in memory.
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
pub struct Host {
    server: Server,
    endpoint: Endpoint,
    timer: Option<Pin<Box<Sleep>>>,
    buf: Vec<u8>,
    packet: Vec<u8>,
    refused: u64,
}

impl Host {
    /// Joins the two.
    pub fn new(server: Server, endpoint: Endpoint) -> Host {
        Host { server, endpoint, timer: None, buf: vec![0; MAX_DATAGRAM], packet: Vec::new(), refused: 0 }
    }

    /// The next event, and whose it is. What was queued before is sent before it waits, and what has arrived is taken
    /// in first. Dropping the future loses nothing.
    ///
    /// # Errors
    /// Those of the endpoint's socket.
    pub async fn next(&mut self) -> io::Result<(PeerId, Event)> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// As [`Host::next`], to be polled.
    ///
    /// # Errors
    /// Those of the endpoint's socket.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(PeerId, Event)>> {
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
            let is_due = self.poll_timer(cx);
            if is_due {
                self.server.timeout(Instant::now());
            }
            self.flush();
            if reads == 0 && !is_due {
                return Poll::Pending;
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
            self.refused += u64::from(self.endpoint.try_send_to(&self.packet, to).is_err());
            self.packet.clear();
        }
    }

    /// Queues a message to a peer, for the next flush.
    ///
    /// # Errors
    /// As [`Server::send`].
    pub fn send(&mut self, to: PeerId, channel: Channel, message: &[u8]) -> Result<(), Failure> {
        self.server.send(Instant::now(), to, channel, message)
    }

    /// Sends a peer away.
    pub fn disconnect(&mut self, peer: PeerId, reason: &str) {
        self.server.disconnect(Instant::now(), peer, reason);
    }

    /// Sends all peers away, at once.
    pub fn shut_down(&mut self, reason: &str) {
        self.server.disconnect_all(Instant::now(), reason);
        self.flush();
    }

    /// The server, to look at.
    pub fn server(&self) -> &Server {
        &self.server
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

#[cfg(test)]
mod tests {
    use super::super::{Client, Config};
    use super::*;
    use crate::link::Link;
    use crate::mem::Mem;
    use crate::protocol::Protocol;
    use crate::udp::{SocketBuffers, Udp};

    /// A client by hand, over any link: connects, sends, and hands back the echo.
    async fn echo(mut link: impl Link) -> Vec<u8> {
        let mut client = Client::new(&Config::DEFAULT, 5);
        let (mut packet, mut buf) = (Vec::new(), [0; 2_048]);
        client.open(Instant::now());
        loop {
            while client.poll_transmit(Instant::now(), &mut packet) {
                link.try_send(&packet).unwrap();
                packet.clear();
            }
            match client.poll_event() {
                Some(Event::Connected) => client.send(Instant::now(), Channel::ORDERED, b"echo").unwrap(),
                Some(Event::Message { payload, .. }) => return payload.to_vec(),
                Some(other) => assert!(matches!(other, Event::RoundTrip(_))),
                None => {
                    let received = poll_fn(|cx| link.poll_recv(cx, &mut buf)).await.unwrap();
                    client.input(received.at.unwrap_or_else(Instant::now), &buf[..received.len]);
                }
            }
        }
    }

    async fn serve(mut host: Host) {
        while let Ok((peer, event)) = host.next().await {
            if let Event::Message { channel, payload } = event {
                host.send(peer, channel, &payload).unwrap();
            }
        }
    }

    fn server() -> Server {
        Server::new(Config::DEFAULT, 10, [1, 2], Instant::now())
    }

    #[tokio::test]
    async fn it_serves_over_udp() {
        let host = Host::new(server(), Endpoint::bind_udp("127.0.0.1:0".parse().unwrap()).unwrap());
        let link = Udp::connect(None, host.local_addr().unwrap(), SocketBuffers::default()).unwrap();
        tokio::select! {
            () = serve(host) => panic!("the server ended"),
            echo = echo(link) => assert_eq!(echo, b"echo"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_serves_in_memory() {
        let host = Host::new(server(), Endpoint::listen_mem("host").unwrap());
        let link = Mem::connect("host").unwrap();
        tokio::select! {
            () = serve(host) => panic!("the server ended"),
            echo = echo(link) => assert_eq!(echo, b"echo"),
        }
    }
}
