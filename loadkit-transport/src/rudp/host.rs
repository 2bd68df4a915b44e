//! The server with its endpoint.

use std::net::SocketAddr;

use loadkit_core::Failure;
use tokio::time::Instant;

use super::peers::PeerId;
use super::server::Server;
use crate::protocol::{Channel, Event};
use crate::serve::Serve;

/// A [`Server`] with its endpoint.
pub type Host = crate::host::Host<Server>;

impl Serve for Server {
    type Peer = PeerId;
    type Reason = str;

    fn input(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) {
        Server::input(self, now, from, datagram);
    }

    fn timeout(&mut self, now: Instant) {
        Server::timeout(self, now);
    }

    fn deadline(&self) -> Option<Instant> {
        Server::deadline(self)
    }

    fn send(&mut self, now: Instant, to: PeerId, channel: Channel, message: &[u8]) -> Result<(), Failure> {
        Server::send(self, now, to, channel, message)
    }

    fn poll_transmit(&mut self, now: Instant, packet: &mut Vec<u8>) -> Option<SocketAddr> {
        Server::poll_transmit(self, now, packet)
    }

    fn poll_event(&mut self) -> Option<(PeerId, Event)> {
        Server::poll_event(self)
    }

    fn disconnect(&mut self, now: Instant, peer: PeerId, reason: &str) {
        Server::disconnect(self, now, peer, reason);
    }

    fn disconnect_all(&mut self, now: Instant, reason: &str) {
        Server::disconnect_all(self, now, reason);
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::super::{Client, Config};
    use super::*;
    use crate::endpoint::Endpoint;
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

    #[tokio::test(start_paused = true)]
    async fn newcomers_are_asked_for() {
        let config = Config { ask: true, ..Config::DEFAULT };
        let server = Server::new(config, 10, [1, 2], Instant::now());
        let mut host = Host::new(server, Endpoint::listen_mem("asks").unwrap());
        let asks = async {
            let (peer, event) = host.next().await.unwrap();
            assert_eq!((event, host.server_mut().take_hello(peer).client), (Event::Connected, None));
            host.server_mut().admit(peer, b"welcome").unwrap();
            serve(host).await;
        };
        tokio::select! {
            () = asks => panic!("the server ended"),
            echo = echo(Mem::connect("asks").unwrap()) => assert_eq!(echo, b"echo"),
        }
    }
}
