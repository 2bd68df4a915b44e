//! Reliable UDP against itself over a bad network, in virtual time: every channel, several lanes, messages in pieces,
//! both directions; plain and, with the feature `encryption`, sealed. Every reliable message comes exactly once, and
//! those of ordered lanes in order.
//!
//! `LOADKIT_INTEROP_MESSAGES=1000000` raises the number of messages of each run, which CI cannot afford.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::net::SocketAddr;
use std::time::Duration;

use loadkit_core::network::{Direction, Jitter, Reorder, Spread};
use loadkit_transport::conditions::Path;
use loadkit_transport::rudp::{Client, Config, PeerId, Server};
use loadkit_transport::{Bytes, Channel, Delivery, Event, Protocol, Stats};
use tokio::time::Instant;

const LANES: u8 = 3;
const PROMISES: [Delivery; 4] = [Delivery::Unreliable, Delivery::Sequenced, Delivery::Ordered, Delivery::Unordered];
const TICK: Duration = Duration::from_millis(10);
const ADDR: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 1_000);

/// 10 % loss, 5 % twice, 20 % overtaken, 20 to 70 ms.
const BAD: Direction = Direction {
    latency: Duration::from_millis(20),
    jitter: Some(Jitter { spread: Spread::Uniform(Duration::from_millis(50)), wanders: Duration::ZERO }),
    loss: 0.1,
    bursts: None,
    duplicate: 0.05,
    reorder: Some(Reorder { share: 0.2, by: Duration::from_millis(50) }),
    line: None,
    mtu: None,
};

fn messages() -> u32 {
    let wanted = std::env::var("LOADKIT_INTEROP_MESSAGES").ok().and_then(|count| count.parse().ok());
    wanted.unwrap_or(24_000)
}

/// What was sent on a channel in one direction, and what of it has come.
struct Traffic {
    channel: Channel,
    sent: u32,
    came: u32,
    next: u32,
    seen: Vec<bool>,
}

impl Traffic {
    /// One in 40 travels in pieces.
    fn message(&self, number: u32) -> Vec<u8> {
        let len = if number % 40 == 7 { 1_500 + number as usize * 37 % 9_000 } else { number as usize % 60 };
        let mut bytes = number.to_le_bytes().to_vec();
        let seed = number.wrapping_mul(2_654_435_761).wrapping_add(self.channel.lane.into());
        bytes.extend((0..len as u32).map(|i| (seed.wrapping_add(i * 7) >> 8) as u8));
        bytes
    }

    fn came(&mut self, bytes: &Bytes) {
        let number = u32::from_le_bytes(bytes[..4].try_into().unwrap());
        assert!(*bytes == self.message(number), "{:?}: number {number} has changed", self.channel);
        assert!(number < self.sent && !self.seen[number as usize], "{:?}: number {number} again", self.channel);
        self.seen[number as usize] = true;
        self.came += 1;
        match self.channel.delivery {
            Delivery::Ordered => assert_eq!(number, self.next, "{:?}", self.channel),
            Delivery::Sequenced => assert!(number >= self.next, "{:?}: {number} is old", self.channel),
            Delivery::Unreliable | Delivery::Unordered => {}
        }
        self.next = number + 1;
    }
}

struct World {
    now: Instant,
    client: Client,
    server: Server,
    peer: Option<PeerId>,
    /// To the server, to the client.
    paths: [Path; 2],
    traffic: [Vec<Traffic>; 2],
}

impl World {
    fn new(client: Client, server: Server, now: Instant) -> World {
        let traffic = || {
            let channels = (0..LANES).flat_map(|lane| PROMISES.map(|delivery| Channel::new(delivery, lane)));
            let of = |channel| Traffic { channel, sent: 0, came: 0, next: 0, seen: Vec::new() };
            channels.map(of).collect()
        };
        let paths = [Path::new(&BAD, 1), Path::new(&BAD, 2)];
        World { now, client, server, peer: None, paths, traffic: [traffic(), traffic()] }
    }

    fn drain(&mut self) {
        let mut packet = Vec::new();
        while self.client.poll_transmit(self.now, &mut packet) {
            self.paths[0].send(self.now, &packet);
            packet.clear();
        }
        while self.server.poll_transmit(self.now, &mut packet).is_some() {
            self.paths[1].send(self.now, &packet);
            packet.clear();
        }
        while let Some((peer, event)) = self.server.poll_event() {
            self.peer = Some(peer);
            came(&mut self.traffic[0], event);
        }
        while let Some(event) = self.client.poll_event() {
            came(&mut self.traffic[1], event);
        }
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            self.drain();
            let deadlines =
                [self.paths[0].deadline(), self.paths[1].deadline(), self.client.deadline(), self.server.deadline()];
            let Some(next) = deadlines.into_iter().flatten().min().filter(|next| *next <= end) else { break };
            self.now = self.now.max(next);
            while let Some((_, bytes)) = self.paths[0].poll(self.now) {
                self.server.input(self.now, ADDR, &bytes);
            }
            while let Some((_, bytes)) = self.paths[1].poll(self.now) {
                self.client.input(self.now, &bytes);
            }
            self.client.timeout(self.now);
            self.server.timeout(self.now);
        }
        self.now = end;
    }

    /// One message on every channel, both ways; those for which there is no room wait.
    fn send(&mut self, each: u32) {
        let peer = self.peer.unwrap();
        for (way, traffic) in self.traffic.iter_mut().enumerate() {
            for traffic in traffic.iter_mut().filter(|traffic| traffic.sent < each) {
                let bytes = traffic.message(traffic.sent);
                let sent = if way == 0 {
                    self.client.send(self.now, traffic.channel, &bytes)
                } else {
                    self.server.send(self.now, peer, traffic.channel, &bytes)
                };
                if sent.is_ok() {
                    traffic.sent += 1;
                    traffic.seen.push(false);
                }
            }
        }
    }

    /// Sends all of it, waits until all has come that must, and says what the ends measured.
    fn play(mut self) -> [Stats; 2] {
        (0..500).for_each(|_| self.run(TICK));
        let each = messages() / (u32::from(LANES) * 8);
        while self.traffic.iter().flatten().any(|traffic| traffic.sent < each) {
            self.send(each);
            self.run(TICK);
        }
        self.run(Duration::from_secs(60));
        for traffic in self.traffic.iter().flatten() {
            let (came, channel) = (traffic.came, traffic.channel);
            match channel.delivery {
                Delivery::Ordered | Delivery::Unordered => assert_eq!(came, each, "{channel:?}"),
                Delivery::Unreliable => assert!(came > each * 8 / 10 && came < each, "{channel:?}: {came} of {each}"),
                Delivery::Sequenced => assert!(came > each / 5 && came < each, "{channel:?}: {came} of {each}"),
            }
        }
        assert_eq!(self.server.peers(), 1);
        [self.client.stats(), self.server.peer_stats(self.peer.unwrap()).unwrap()]
    }
}

fn came(traffic: &mut [Traffic], event: Event) {
    match event {
        Event::Message { channel, payload } => {
            traffic.iter_mut().find(|traffic| traffic.channel == channel).unwrap().came(&payload);
        }
        Event::Closed(failure) => panic!("{failure}"),
        Event::Connected | Event::RoundTrip(_) => {}
    }
}

/// The figures say what the network did.
fn check(stats: [Stats; 2]) {
    for stats in stats {
        let share = |count: u64| count as f64 / stats.packets_received as f64;
        assert!((0.07..0.13).contains(&share(stats.lost_received)), "{stats:?}");
        assert!((0.03..0.07).contains(&share(stats.duplicates)), "{stats:?}");
        assert!(share(stats.reordered) > 0.05 && stats.resends > 0, "{stats:?}");
        assert!(stats.min_rtt >= Some(Duration::from_millis(40)), "{stats:?}");
    }
}

#[test]
fn all_channels_hold_over_a_bad_network() {
    for config in [Config::DEFAULT, Config::DEFAULT.fast()] {
        let now = Instant::now();
        let mut client = Client::new(&config, 7);
        client.open(now);
        check(World::new(client, Server::new(config, 1, [1, 2], now), now).play());
    }
}

#[cfg(feature = "encryption")]
#[test]
fn all_channels_hold_over_a_bad_network_when_sealed() {
    use loadkit_transport::rudp::{Grant, TokenKey};
    use rand_pcg::rand_core::SeedableRng;

    let now = Instant::now();
    let key = TokenKey::new([9; 32]);
    let grant = Grant { client: 1, expires: 100, ..Grant::default() };
    let token = key.mint(0, &grant, &mut rand_pcg::Pcg64Mcg::seed_from_u64(1)).unwrap();
    let mut client = Client::new(&Config { token: Some(token.into()), ..Config::DEFAULT }, 7);
    client.open(now);
    let mut server = Server::new(Config::DEFAULT, 1, [1, 2], now);
    server.require_tokens(now, 0, key, &[]);
    check(World::new(client, server, now).play());
}
