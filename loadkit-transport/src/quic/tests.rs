//! Both ends against each other, without sockets: time is ours, and so is the network.

use std::net::SocketAddr;
use std::time::Duration;

use loadkit_core::Kind;
use proptest::prelude::*;
use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};
use tokio::time::Instant;

use super::{Client, Config, Goodbye, Identity, Server};
use crate::peers::PeerId;
use crate::serve::Serve;
use crate::tls::Trust;
use crate::{Bytes, Channel, Delivery, Event, Framing, Protocol};

/// How long a packet is on its way.
const DELAY: Duration = Duration::from_millis(10);

struct End {
    addr: SocketAddr,
    client: Client,
    events: Vec<Event>,
}

/// A server, its clients, and the network between them.
struct World {
    now: Instant,
    server: Server,
    ends: Vec<End>,
    at_server: Vec<(PeerId, Event)>,
    /// When, to the client at this address or to the server from there, and what.
    under_way: Vec<(Instant, bool, SocketAddr, Vec<u8>)>,
    lost: f64,
    repeated: f64,
    rng: StdRng,
    packets: usize,
    trust: Trust,
}

impl World {
    fn new(config: &Config, max_peers: usize) -> World {
        let made = rcgen::generate_simple_self_signed(vec!["game.test".to_owned()]).unwrap();
        let identity = Identity::from_pem(made.cert.pem(), made.signing_key.serialize_pem()).unwrap();
        World {
            now: Instant::now(),
            server: Server::new(config, identity, max_peers, [1, 2]).unwrap(),
            ends: Vec::new(),
            at_server: Vec::new(),
            under_way: Vec::new(),
            lost: 0.0,
            repeated: 0.0,
            rng: StdRng::seed_from_u64(7),
            packets: 0,
            trust: Trust::roots(made.cert.pem()).unwrap(),
        }
    }

    fn join(&mut self, config: &Config) -> usize {
        let port = 1_000 + self.ends.len() as u16;
        let mut client = Client::new(config, &self.trust, "game.test", [port as u8; 32]);
        client.open(self.now);
        self.ends.push(End { addr: ([10, 0, 0, 1], port).into(), client, events: Vec::new() });
        self.ends.len() - 1
    }

    /// A client that is connected, and who it is to the server.
    fn joined(&mut self, config: &Config) -> (usize, PeerId) {
        let end = self.join(config);
        self.pass(Duration::from_secs(2));
        assert_eq!(self.ends[end].events.first(), Some(&Event::Connected), "{:?}", self.ends[end].events);
        let addr = self.ends[end].addr;
        let id = self.server.ids().find(|id| self.server.addr(*id) == Some(addr)).unwrap();
        self.forget();
        (end, id)
    }

    fn forget(&mut self) {
        self.at_server.clear();
        self.ends.iter_mut().for_each(|end| end.events.clear());
    }

    fn launch(&mut self, to_client: bool, addr: SocketAddr, packet: &[u8]) {
        self.packets += 1;
        let times = u32::from(!self.rng.random_bool(self.lost)) + u32::from(self.rng.random_bool(self.repeated));
        for _ in 0..times {
            let jitter = Duration::from_micros(if self.lost > 0.0 { self.rng.random_range(0..3_000) } else { 0 });
            self.under_way.push((self.now + DELAY + jitter, to_client, addr, packet.to_vec()));
        }
    }

    fn flush(&mut self) {
        let mut packet = Vec::new();
        for at in 0..self.ends.len() {
            while self.ends[at].client.poll_transmit(self.now, &mut packet) {
                let addr = self.ends[at].addr;
                assert!(packet.len() <= 1_200);
                self.launch(false, addr, &std::mem::take(&mut packet));
            }
            let end = &mut self.ends[at];
            while let Some(event) = end.client.poll_event() {
                end.events.push(event);
            }
        }
        while let Some(addr) = self.server.poll_transmit(self.now, &mut packet) {
            self.launch(true, addr, &std::mem::take(&mut packet));
        }
        self.at_server.extend(std::iter::from_fn(|| self.server.poll_event()));
    }

    /// Lets so much time pass.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            self.flush();
            let due = self.under_way.iter().map(|(at, ..)| *at);
            let due = due.chain(self.ends.iter().filter_map(|end| end.client.deadline())).chain(self.server.deadline());
            let Some(next) = due.min().filter(|next| *next <= end) else { break };
            self.now = self.now.max(next);
            let now = self.now;
            let (arrived, later) = std::mem::take(&mut self.under_way).into_iter().partition(|(at, ..)| *at <= now);
            self.under_way = later;
            let arrived: Vec<(Instant, bool, SocketAddr, Vec<u8>)> = arrived;
            for (_, to_client, addr, packet) in arrived {
                match self.ends.iter_mut().find(|end| end.addr == addr) {
                    Some(end) if to_client => end.client.input(now, &packet),
                    _ if to_client => {}
                    _ => self.server.input(now, addr, &packet),
                }
                self.flush();
            }
            self.ends.iter_mut().for_each(|end| end.client.timeout(now));
            self.server.timeout(now);
        }
        self.server.check_bounds();
        self.now = end;
    }

    fn came(&self, end: usize) -> Vec<(Channel, Bytes)> {
        let messages = self.ends[end].events.iter().filter_map(|event| match event {
            Event::Message { channel, payload } => Some((*channel, payload.clone())),
            _ => None,
        });
        messages.collect()
    }

    fn came_to_server(&self) -> Vec<(Channel, Bytes)> {
        let messages = self.at_server.iter().filter_map(|(_, event)| match event {
            Event::Message { channel, payload } => Some((*channel, payload.clone())),
            _ => None,
        });
        messages.collect()
    }
}

fn lane(lane: u8) -> Channel {
    Channel::new(Delivery::Ordered, lane)
}

fn closed(events: &[Event]) -> Option<(Kind, String)> {
    events.iter().find_map(|event| match event {
        Event::Closed(failure) => Some((failure.kind(), failure.message().to_owned())),
        _ => None,
    })
}

#[test]
fn channels_travel_as_they_promise_and_others_are_refused() {
    let config = Config::default();
    let mut world = World::new(&config, 10);
    let (end, peer) = world.joined(&config);
    let now = world.now;
    let long = vec![7; 300_000];
    let sent = [
        (lane(0), &b"first"[..]),
        (lane(0), &long),
        (lane(2), b"another lane"),
        (Channel::UNORDERED, b"any order"),
        (Channel::UNORDERED, &long),
        (Channel::UNORDERED, b""),
        (Channel::UNRELIABLE, b"perhaps"),
    ];
    for (channel, message) in sent {
        world.ends[end].client.send(now, channel, message).unwrap();
        world.server.send(now, peer, channel, message).unwrap();
    }
    world.pass(Duration::from_secs(2));
    for came in [world.came(end), world.came_to_server()] {
        let shown: Vec<_> = came.iter().map(|(channel, m)| (channel, m.len())).collect();
        assert_eq!(came.len(), sent.len(), "{shown:?}");
        for (channel, message) in sent {
            assert!(came.contains(&(channel, Bytes::copy_from_slice(message))), "{channel:?}");
        }
        let ordered: Vec<_> = came.iter().filter(|(channel, _)| *channel == lane(0)).map(|(_, m)| m.len()).collect();
        assert_eq!(ordered, [5, 300_000]);
    }
    let client = &mut world.ends[end].client;
    for (channel, message, kind) in [
        (Channel::SEQUENCED, &b"x"[..], Kind::TARGET),
        (Channel::new(Delivery::Unordered, 1), b"x", Kind::TARGET),
        (lane(4), b"x", Kind::TARGET),
        (Channel::UNRELIABLE, &[0; 1_200], Kind::TOO_LARGE),
        (Channel::ORDERED, &[0; (1 << 20) + 1], Kind::TOO_LARGE),
        (Channel::UNORDERED, &[0; (1 << 20) + 1], Kind::TOO_LARGE),
    ] {
        assert_eq!(client.send(now, channel, message).unwrap_err().kind(), kind, "{channel:?}");
    }
    let stats = client.stats();
    assert!(stats.srtt.unwrap() >= DELAY * 2 && stats.min_rtt.unwrap() < DELAY * 3, "{stats:?}");
    assert!(world.ends[end].events.iter().any(|event| matches!(event, Event::RoundTrip(_))));
}

#[test]
fn a_lane_is_answered_on_the_stream_of_whoever_opened_it() {
    let config = Config::default();
    let mut world = World::new(&config, 10);
    let (end, peer) = world.joined(&config);
    world.server.send(world.now, peer, lane(1), b"the server begins").unwrap();
    world.pass(Duration::from_secs(1));
    world.ends[end].client.send(world.now, lane(1), b"the client answers").unwrap();
    world.pass(Duration::from_secs(1));
    assert_eq!(world.came(end), [(lane(1), Bytes::from_static(b"the server begins"))]);
    assert_eq!(world.came_to_server(), [(lane(1), Bytes::from_static(b"the client answers"))]);
}

#[test]
fn all_that_was_sent_arrives_over_a_bad_network_before_the_goodbye() {
    let config = Config::default();
    let mut world = World::new(&config, 10);
    let (end, peer) = world.joined(&config);
    (world.lost, world.repeated) = (0.1, 0.05);
    for n in 0..500_u32 {
        let bytes = n.to_le_bytes();
        for channel in [lane(0), lane(1), Channel::UNORDERED] {
            world.ends[end].client.send(world.now, channel, &bytes).unwrap();
            world.server.send(world.now, peer, channel, &bytes).unwrap();
        }
        world.pass(Duration::from_millis(2));
    }
    // Who closes waits for what was sent, and not for what is still to come.
    world.pass(Duration::from_secs(60));
    world.ends[end].client.send(world.now, Channel::ORDERED, &500_u32.to_le_bytes()).unwrap();
    world.ends[end].client.close(world.now);
    let failure = world.ends[end].client.send(world.now, Channel::ORDERED, b"late").unwrap_err();
    assert_eq!(failure.kind(), Kind::CLOSED);
    world.pass(Duration::from_secs(60));
    let mut at_server = world.came_to_server();
    assert_eq!(at_server.pop(), Some((lane(0), Bytes::copy_from_slice(&500_u32.to_le_bytes()))));
    for came in [world.came(end), at_server] {
        for channel in [lane(0), lane(1), Channel::UNORDERED] {
            let mut numbers: Vec<u32> = came
                .iter()
                .filter(|(its, _)| *its == channel)
                .map(|(_, bytes)| u32::from_le_bytes(bytes[..].try_into().unwrap()))
                .collect();
            if channel == Channel::UNORDERED {
                numbers.sort_unstable();
            }
            assert!(numbers == (0..500).collect::<Vec<u32>>(), "{channel:?}: {} came", numbers.len());
        }
    }
    assert!(world.ends[end].client.stats().lost > 0);
    assert_eq!(closed(&world.ends[end].events).unwrap().0, Kind::CLOSED);
    assert_eq!(world.server.peers(), 0);
}

#[test]
fn a_goodbye_says_its_code_and_its_reason() {
    let config = Config::default();
    let mut world = World::new(&config, 10);
    let (end, peer) = world.joined(&config);
    world.server.send(world.now, peer, Channel::ORDERED, b"you cheat").unwrap();
    world.server.disconnect(world.now, peer, &Goodbye { code: 4_001, reason: "cheating".into() });
    world.pass(Duration::from_secs(1));
    assert_eq!(world.came(end).len(), 1);
    let why = closed(&world.ends[end].events).unwrap();
    assert_eq!(why, (Kind::CLOSED, "closed by the other side: 4001, \"cheating\"".to_owned()));
    assert_eq!(world.server.peers(), 0);
    assert!(world.at_server.iter().any(|(_, event)| matches!(event, Event::Closed(_))));
    world.forget();

    let (end, _) = world.joined(&config);
    world.ends[end].client.abort(world.now);
    world.pass(Duration::from_millis(100));
    let at_server: Vec<Event> = world.at_server.drain(..).map(|(_, event)| event).collect();
    assert_eq!(closed(&at_server).unwrap().1, "closed by the other side: 0");
}

#[test]
fn an_idle_connection_lives_by_its_keep_alive_and_a_silent_one_ends() {
    let config = Config::default();
    let mut world = World::new(&config, 10);
    let (end, peer) = world.joined(&config);
    world.packets = 0;
    world.pass(Duration::from_secs(3_600));
    assert!(closed(&world.ends[end].events).is_none());
    // A word and its answer every 10 s, from both sides at most.
    assert!((700..1_600).contains(&world.packets), "{}", world.packets);
    world.lost = 1.0;
    // From the last that came, and from the first that was sent after it.
    world.pass(Duration::from_secs(41));
    assert_eq!(closed(&world.ends[end].events).unwrap().0, Kind::TIMED_OUT);
    assert!(world.at_server.iter().any(|(id, event)| *id == peer && matches!(event, Event::Closed(_))));
    assert_eq!(world.server.peers(), 0);
}

#[test]
fn what_the_other_side_does_not_take_is_bounded_here() {
    let config = Config { send_buffer: 100_000, ..Config::default() };
    let mut world = World::new(&config, 10);
    let (end, _) = world.joined(&config);
    world.lost = 1.0;
    for channel in [Channel::ORDERED, Channel::UNORDERED, Channel::UNRELIABLE] {
        let mut taken = 0;
        let failure = loop {
            match world.ends[end].client.send(world.now, channel, &[1; 1_000]) {
                Ok(()) => taken += 1,
                Err(failure) => break failure,
            }
            assert!(taken < 1_000);
        };
        assert!(failure.kind() == Kind::BACKLOG && taken >= 50 || channel == Channel::UNORDERED, "{channel:?} {taken}");
        world.pass(Duration::from_millis(1));
    }
}

#[test]
fn messages_over_the_limit_end_the_connection() {
    let large = Config::default();
    let small = Config { framing: Framing { max: 1_000, ..Framing::default() }, ..Config::default() };
    for channel in [Channel::ORDERED, Channel::UNORDERED] {
        let mut world = World::new(&small, 10);
        let (end, _) = world.joined(&large);
        world.ends[end].client.send(world.now, channel, &[0; 1_001]).unwrap();
        world.pass(Duration::from_secs(1));
        let at_server: Vec<Event> = world.at_server.drain(..).map(|(_, event)| event).collect();
        assert_eq!(closed(&at_server).unwrap().0, Kind::TOO_LARGE);
        let (kind, why) = closed(&world.ends[end].events).unwrap();
        assert!(kind == Kind::CLOSED && why.contains("closed by the other side: 1, ") && why.contains("1001"), "{why}");
    }
}

#[test]
fn who_is_not_trusted_and_what_is_not_spoken_is_told() {
    let config = Config::default();
    let mut world = World::new(&config, 10);
    let why = |world: &mut World| {
        world.pass(Duration::from_secs(5));
        closed(&world.ends.last().unwrap().events)
    };
    let trust = std::mem::replace(&mut world.trust, Trust::web());
    world.join(&config);
    let (kind, message) = why(&mut world).unwrap();
    assert!(kind == crate::tls::CERTIFICATE && message.contains("--insecure"), "{message}");
    world.trust = Trust::anything();
    world.join(&config);
    assert_eq!(why(&mut world), None);
    world.trust = trust;
    world.join(&Config { alpn: vec!["other".into()], ..Config::default() });
    assert_eq!(why(&mut world).unwrap().0, crate::tls::TLS);
    let mut named = World::new(&Config { alpn: vec!["arena/1".into()], ..Config::default() }, 10);
    named.join(&Config { alpn: vec!["arena/2".into()], ..Config::default() });
    let (kind, message) = why(&mut named).unwrap();
    assert!(kind == crate::tls::TLS && message.contains("known protocol"), "{message}");

    let mut client = Client::new(&config, &Trust::web(), "no name at all", [0; 32]);
    client.open(world.now);
    assert!(matches!(client.poll_event(), Some(Event::Closed(failure)) if failure.kind() == Kind::TARGET));
    assert!(Identity::from_pem("", "").is_err());
}

#[test]
fn a_full_server_refuses_and_a_flood_of_newcomers_leaves_nothing_behind() {
    let config = Config::default();
    let mut world = World::new(&config, 2);
    world.joined(&config);
    world.joined(&config);
    let third = world.join(&config);
    world.pass(Duration::from_secs(1));
    assert_eq!(closed(&world.ends[third].events).unwrap().0, Kind::REFUSED);
    assert_eq!((world.server.peers(), world.server.stats().denied), (2, 1));

    // First packets of clients that are never heard of again, each from an address of its own.
    let mut world = World::new(&config, 10_000);
    let mut sent = 0;
    let mut received = 0;
    for n in 0..2_000_u16 {
        let mut client = Client::new(&config, &Trust::web(), "game.test", [n as u8; 32]);
        client.open(world.now);
        let mut packet = Vec::new();
        assert!(client.poll_transmit(world.now, &mut packet));
        sent += packet.len();
        world.server.input(world.now, ([10, 1, (n >> 8) as u8, n as u8], 9).into(), &packet);
        packet.clear();
        while world.server.poll_transmit(world.now, &mut packet).is_some() {
            received += packet.len();
            packet.clear();
        }
    }
    assert_eq!(world.server.peers(), super::server::MANY_HANDSHAKES);
    assert_eq!(world.server.stats().retried, 2_000 - super::server::MANY_HANDSHAKES as u64);
    assert!(received <= 3 * sent, "{received} for {sent}");
    // Who is there still gets in, by way of a retry.
    let (_, peer) = world.joined(&config);
    assert!(world.server.addr(peer).is_some());
    world.pass(Duration::from_secs(40));
    assert!(world.server.peers() <= 1, "{}", world.server.peers());
}

#[test]
fn a_client_goes_on_from_another_address() {
    let config = Config::default();
    let mut world = World::new(&config, 10);
    let (end, peer) = world.joined(&config);
    world.ends[end].addr = ([10, 9, 9, 9], 99).into();
    world.ends[end].client.send(world.now, Channel::ORDERED, b"from elsewhere").unwrap();
    world.pass(Duration::from_secs(2));
    assert_eq!(world.came_to_server().len(), 1);
    assert_eq!(world.server.addr(peer), Some(([10, 9, 9, 9], 99).into()));
    world.server.send(world.now, peer, Channel::ORDERED, b"welcome").unwrap();
    world.pass(Duration::from_secs(2));
    assert_eq!(world.came(end).len(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn neither_garbage_nor_what_resembles_packets_does_harm(seed in any::<u64>(), flips in 1_usize..20) {
        let config = Config::default();
        let mut world = World::new(&config, 10);
        let (end, peer) = world.joined(&config);
        let mut rng = StdRng::seed_from_u64(seed);
        world.ends[end].client.send(world.now, Channel::ORDERED, &[5; 3_000]).unwrap();
        world.server.send(world.now, peer, Channel::UNORDERED, &[5; 3_000]).unwrap();
        world.flush();
        for n in 0..100 {
            let mut packet: Vec<u8> = match world.under_way.get(n % 7) {
                Some((.., packet)) => packet.clone(),
                None => vec![0; rng.random_range(0..1_500)],
            };
            if n % 3 == 0 {
                rng.fill_bytes(&mut packet);
            }
            for _ in 0..flips {
                let at = rng.random_range(0..packet.len().max(1));
                if let Some(byte) = packet.get_mut(at) {
                    *byte ^= 1 << rng.random_range(0..8);
                }
            }
            packet.truncate(rng.random_range(0..=packet.len()));
            let now = world.now;
            world.ends[end].client.input(now, &packet);
            let from = if n % 2 == 0 { world.ends[end].addr } else { ([10, 7, 7, 7], n as u16 + 1).into() };
            world.server.input(now, from, &packet);
        }
        world.pass(Duration::from_secs(5));
        prop_assert_eq!(world.came(end).len(), 1);
        prop_assert_eq!(world.came_to_server().len(), 1);
    }
}
