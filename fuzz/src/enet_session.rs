//! An ENet connection, both ends, after a true handshake.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use loadkit_transport::enet::{Client, Config, Server};
use loadkit_transport::{Channel, Protocol, Serve};
use tokio::time::Instant;

use crate::input::Input;
use crate::pair::{End, Pair};

pub(crate) fn target(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let odd = input.byte();
    let config = Config {
        mtu: if odd & 1 == 0 { 1_392 } else { 576 },
        checksum: odd & 2 != 0,
        outgoing_bandwidth: if odd & 4 == 0 { 0 } else { 10_000 },
        incoming_bandwidth: if odd & 8 == 0 { 0 } else { 10_000 },
        ..Config::DEFAULT
    };
    let now = Instant::now();
    let server = OnePeer(Server::new(config.clone(), 1, [1, 2], now));
    let mut pair = Pair::new(Client::new(&config, 7), server, now);
    pair.wait(Duration::from_millis(10));
    assert!(pair.client.session().is_some_and(|session| session.stats().packets_received > 0), "nobody answers");
    pair.play(&mut input);
    pair.finish(Duration::from_secs(100));
    assert_eq!((pair.server.0.peers(), pair.server.0.deadline(), Protocol::deadline(&pair.client)), (0, None, None));
}

/// A server with its only client.
struct OnePeer(Server);

const ADDR: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 1_000);

impl End for OnePeer {
    fn open(&mut self, _: Instant) {}

    fn input(&mut self, now: Instant, packet: &[u8]) {
        self.0.input(now, ADDR, packet);
    }

    fn timeout(&mut self, now: Instant) {
        self.0.timeout(now);
    }

    fn deadline(&self) -> Option<Instant> {
        self.0.deadline()
    }

    fn send(&mut self, now: Instant, channel: Channel, message: &[u8]) {
        let peer = self.0.ids().next();
        if let Some(id) = peer {
            let _ = self.0.send(now, id, channel, message);
        }
    }

    fn poll_transmit(&mut self, now: Instant, packet: &mut Vec<u8>) -> bool {
        self.0.poll_transmit(now, packet).is_some()
    }

    fn poll_event(&mut self) -> bool {
        self.0.poll_event().is_some()
    }

    fn close(&mut self, now: Instant, _: bool) {
        self.0.disconnect_all(now, &7);
    }
}
