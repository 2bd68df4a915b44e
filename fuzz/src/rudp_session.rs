//! A reliable UDP connection, both ends, after a true handshake.

use std::net::SocketAddr;
use std::time::Duration;

use loadkit_transport::rudp::{Client, Config, Congestion, Grant, MIN_PACKET, Magic, Server, TokenKey};
use loadkit_transport::{Channel, Protocol};
use tokio::time::Instant;

use crate::input::Input;
use crate::pair::{End, Pair};

/// The time when tokens are shown, and made good for a while.
const UNIX: u64 = 1_000;

pub(crate) fn target(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let knobs = input.byte();
    let is_sealed = knobs & 2 != 0;
    // A small packet has no room for a token.
    let packet = if knobs & 1 == 0 || is_sealed { Config::DEFAULT.packet } else { MIN_PACKET };
    let mut config = Config { packet, ..Config::DEFAULT };
    if knobs & 4 != 0 {
        config = Config { congestion: Congestion::NewReno, bytes_per_flush: 4_000, ..config };
    }
    if knobs & 8 != 0 {
        config = Config { magic: Magic::new(b"fuzz"), fragment: 100, message: 20_000, ..config }.fast();
    }
    let now = Instant::now();
    let mut server = Server::new(config.clone(), 1, [1, 2], now);
    if is_sealed {
        let key = TokenKey::new([7; 32]);
        let grant = Grant { client: 1, expires: UNIX + 60, ..Grant::default() };
        config.token = key.mint(config.protocol, &grant, &mut Counting(0)).ok().map(Into::into);
        server.require_tokens(now, UNIX, key, &[]);
    }
    let mut pair = Pair::new(Client::new(&config, 7), OnePeer(server), now);
    pair.wait(Duration::from_millis(10));
    assert!(pair.client.session().is_some(), "an undisturbed handshake succeeds");
    pair.play(&mut input);
    pair.finish(Duration::from_secs(100));
    assert_eq!((pair.server.0.peers(), pair.server.0.deadline(), Protocol::deadline(&pair.client)), (0, None, None));
}

/// A server with its only client.
struct OnePeer(Server);

const ADDR: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 1_000);

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
        self.0.disconnect_all(now, "");
    }
}

/// Numbers that are no secret, and the same each time.
struct Counting(u64);

impl rand::TryRng for Counting {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        self.try_next_u64().map(|number| number as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        self.0 += 1;
        Ok(self.0)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
        self.0 += 1;
        bytes.fill(self.0 as u8);
        Ok(())
    }
}
