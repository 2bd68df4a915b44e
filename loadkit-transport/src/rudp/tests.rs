//! Both ends over a bad network, in virtual time.

use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use loadkit_core::Kind;
use proptest::prelude::*;
use tokio::time::Instant;

use super::frame::Frame;
use super::wire::{
    Envelope, Header, Packet, REQUEST_LEN, Response, begin_response, kind as kinds, pad_response, write_path_challenge,
    write_probe, write_request, write_reset,
};
use super::{CODE_FULL, Client, Config, MAX_ANSWER, Magic, PeerId, Server, Session};
use crate::protocol::{Channel, Event, Protocol};

mod fuzz;
mod lanes;
mod paths;
#[cfg(feature = "encryption")]
mod sealed;
mod vectors;

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// SplitMix64 (Steele et al., 2014).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }

    fn below(&mut self, n: u64) -> u64 {
        self.roll() % n
    }
}

#[derive(Clone, Copy)]
struct Weather {
    loss_percent: u64,
    twice_percent: u64,
    delay: Duration,
    jitter: Duration,
}

const CALM: Weather = Weather { loss_percent: 0, twice_percent: 0, delay: ms(10), jitter: ms(0) };
const STORM: Weather = Weather { loss_percent: 20, twice_percent: 5, delay: ms(20), jitter: ms(50) };

/// A client, a server and the network between them.
struct World {
    now: Instant,
    began: Instant,
    dice: Dice,
    weather: Weather,
    client: Client,
    server: Server,
    addr: SocketAddr,
    /// By time and a number: to the server?, bytes.
    flying: BTreeMap<(Instant, u64), (bool, Vec<u8>)>,
    thrown: u64,
    to_client: Vec<Event>,
    to_server: Vec<(PeerId, Event)>,
    /// No packet gets through to the server, to the client.
    cut: [bool; 2],
}

impl World {
    fn new(weather: Weather, seed: u64, config: &Config) -> World {
        let now = Instant::now();
        let mut client = Client::new(config, 7);
        client.open(now);
        World {
            now,
            began: now,
            dice: Dice(seed),
            weather,
            client,
            server: Server::new(config.clone(), 100, [1, 2], now),
            addr: SocketAddr::from(([10, 0, 0, 1], 1000)),
            flying: BTreeMap::new(),
            thrown: 0,
            to_client: Vec::new(),
            to_server: Vec::new(),
            cut: [false; 2],
        }
    }

    fn connected(weather: Weather, seed: u64) -> (World, PeerId) {
        World::connected_with(weather, seed, &Config::DEFAULT)
    }

    fn connected_with(weather: Weather, seed: u64, config: &Config) -> (World, PeerId) {
        let mut world = World::new(weather, seed, config);
        let id = world.connect();
        (world, id)
    }

    fn connect(&mut self) -> PeerId {
        for _ in 0..400 {
            self.run(ms(5));
            let id = self.to_server.iter().find(|(_, event)| *event == Event::Connected).map(|(id, _)| *id);
            if let Some(id) = id
                && self.client.session().is_some()
            {
                return id;
            }
        }
        panic!("no connection: {:?}", self.client);
    }

    fn throw(&mut self, to_server: bool, bytes: &[u8]) {
        if self.cut[usize::from(!to_server)] {
            return;
        }
        let copies = match self.dice.below(100) {
            roll if roll < self.weather.loss_percent => 0,
            roll if roll < self.weather.loss_percent + self.weather.twice_percent => 2,
            _ => 1,
        };
        for _ in 0..copies {
            let jitter = self.dice.below(self.weather.jitter.as_micros() as u64 + 1);
            let at = self.now + self.weather.delay + Duration::from_micros(jitter);
            self.thrown += 1;
            self.flying.insert((at, self.thrown), (to_server, bytes.to_vec()));
        }
    }

    fn drain(&mut self) {
        let mut packet = Vec::new();
        while self.client.poll_transmit(self.now, &mut packet) {
            assert!(!packet.is_empty() && packet.len() <= 1_200, "{}", packet.len());
            self.throw(true, &packet);
            packet.clear();
        }
        while let Some(addr) = self.server.poll_transmit(self.now, &mut packet) {
            assert!(!packet.is_empty() && packet.len() <= 1_200, "{}", packet.len());
            if addr == self.addr {
                self.throw(false, &packet);
            }
            packet.clear();
        }
        self.to_client.extend(std::iter::from_fn(|| self.client.poll_event()));
        self.to_server.extend(std::iter::from_fn(|| self.server.poll_event()));
    }

    /// Lets `time` pass.
    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            self.drain();
            let arrival = self.flying.keys().next().map(|key| key.0);
            let next = [arrival, self.client.deadline(), self.server.deadline()].into_iter().flatten().min();
            let Some(next) = next.filter(|&next| next <= end) else {
                break;
            };
            self.now = self.now.max(next);
            while let Some(entry) = self.flying.first_entry()
                && entry.key().0 <= self.now
            {
                let (to_server, bytes) = entry.remove();
                if to_server {
                    self.server.input(self.now, self.addr, &bytes);
                } else {
                    self.client.input(self.now, &bytes);
                }
            }
            self.client.timeout(self.now);
            self.server.timeout(self.now);
        }
        self.now = end;
    }

    fn client_messages(&mut self) -> Vec<(Channel, Bytes)> {
        messages(self.to_client.drain(..))
    }

    fn server_messages(&mut self) -> Vec<(Channel, Bytes)> {
        messages(self.to_server.drain(..).map(|(_, event)| event))
    }
}

fn messages(events: impl Iterator<Item = Event>) -> Vec<(Channel, Bytes)> {
    events
        .filter_map(|event| match event {
            Event::Message { channel, payload } => Some((channel, payload)),
            _ => None,
        })
        .collect()
}

fn numbers(messages: &[(Channel, Bytes)], channel: Channel) -> Vec<u32> {
    let of_channel = messages.iter().filter(|(on, _)| *on == channel);
    of_channel.map(|(_, bytes)| u32::from_le_bytes(bytes[..4].try_into().unwrap())).collect()
}

fn kind(event: Option<&Event>) -> Option<Kind> {
    match event {
        Some(Event::Closed(failure)) => Some(failure.kind()),
        _ => None,
    }
}

/// A packet of a session by hand: its header, and what `body` adds.
fn data(id: u32, sequence: u16, body: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let header = Header { ack: u16::MAX, delay: 0, acks: 0 };
    let mut packet = Vec::new();
    Envelope::write(&mut packet, Magic::NONE, kinds::DATA | header.flags(), id, sequence);
    header.write(&mut packet);
    body(&mut packet);
    packet
}

const PROMISES: [Channel; 4] = [Channel::ORDERED, Channel::UNORDERED, Channel::UNRELIABLE, Channel::SEQUENCED];

/// Sends `count` numbered messages on every channel in both directions, `each` per 10 ms, and checks the promises.
fn promises_hold(world: World, id: PeerId, count: u32, each: u32, lossless: bool) {
    promises_hold_on(0, world, id, count, each, lossless);
}

/// The same on one lane of each promise.
fn promises_hold_on(lane: u8, mut world: World, id: PeerId, count: u32, each: u32, lossless: bool) {
    let channels = PROMISES.map(|channel| Channel { lane, ..channel });
    let on = |channel: Channel| Channel { lane, ..channel };
    let (mut at_client, mut at_server) = (Vec::new(), Vec::new());
    let mut sent = 0;
    while sent < count {
        for n in sent..(sent + each).min(count) {
            for channel in channels {
                let mut bytes = n.to_le_bytes().to_vec();
                bytes.resize(4 + (n % 150) as usize, 0xAB);
                world.client.send(world.now, channel, &bytes).unwrap();
                world.server.send(world.now, id, channel, &bytes).unwrap();
            }
        }
        sent += each;
        world.run(ms(10));
        at_client.extend(world.client_messages());
        at_server.extend(world.server_messages());
    }
    world.run(ms(30_000));
    at_client.extend(world.client_messages());
    at_server.extend(world.server_messages());
    let all: Vec<u32> = (0..count).collect();
    for received in [at_client, at_server] {
        assert!(numbers(&received, on(Channel::ORDERED)) == all);
        let mut unordered = numbers(&received, on(Channel::UNORDERED));
        unordered.sort_unstable();
        assert!(unordered == all);
        let unreliable = numbers(&received, on(Channel::UNRELIABLE));
        assert_eq!(unreliable.iter().collect::<HashSet<_>>().len(), unreliable.len(), "no duplicates");
        assert!(unreliable.len() > count as usize / 2);
        let sequenced = numbers(&received, on(Channel::SEQUENCED));
        assert!(sequenced.is_sorted_by(|a, b| a < b) && sequenced.len() > count as usize / 20);
        if lossless {
            assert_eq!((unreliable.len(), sequenced.len()), (all.len(), all.len()));
        }
    }
    let stats = world.client.stats();
    assert_eq!(stats.resends == 0 && stats.lost == 0, lossless, "{stats:?}");
}

#[test]
fn every_promise_holds_in_calm_and_in_storm() {
    let (world, id) = World::connected(CALM, 1);
    promises_hold(world, id, 3_000, 5, true);
    for seed in 0..8 {
        let (world, id) = World::connected(STORM, seed);
        promises_hold(world, id, 1_000, 3, false);
    }
}

#[test]
fn sequence_numbers_wrap_around() {
    let (mut world, id) = World::connected(CALM, 3);
    // Both ends as if they had long been talking; nothing is under way.
    world.run(ms(2_000));
    world.flying.clear();
    let client = world.client.session_mut().unwrap();
    client.start_at(65_500, 65_530, 65_400);
    world.server.session_mut(id).unwrap().start_at(65_530, 65_500, 65_400);
    world.weather = Weather { jitter: ms(50), loss_percent: 10, ..CALM };
    promises_hold(world, id, 2_000, 3, false);
    // And the long way round, without help.
    let (mut world, _) = World::connected(CALM, 4);
    let mut got = 0;
    for _ in 0..700 {
        for n in 0..100_u32 {
            world.client.send(world.now, Channel::ORDERED, &n.to_le_bytes()).unwrap();
        }
        world.run(ms(100));
        got += world.server_messages().len();
    }
    world.run(ms(1_000));
    assert_eq!(got + world.server_messages().len(), 70_000);
}

#[test]
fn long_messages_travel_in_pieces() {
    let (mut world, id) = World::connected(STORM, 5);
    let long: Vec<u8> = (0..65_536_u32).map(|i| (i * 7 % 251) as u8).collect();
    world.client.send(world.now, Channel::ORDERED, &long).unwrap();
    world.server.send(world.now, id, Channel::ORDERED, &long).unwrap();
    world.client.send(world.now, Channel::ORDERED, b"").unwrap();
    world.run(ms(60_000));
    assert_eq!(world.client_messages(), [(Channel::ORDERED, Bytes::from(long.clone()))]);
    assert_eq!(
        world.server_messages(),
        [(Channel::ORDERED, Bytes::from(long.clone())), (Channel::ORDERED, Bytes::new())]
    );

    let too_long = vec![0; 65_537];
    let refused =
        |world: &mut World, channel, bytes: &[u8]| world.client.send(world.now, channel, bytes).unwrap_err().kind();
    for channel in PROMISES {
        assert_eq!(refused(&mut world, channel, &too_long), Kind::TOO_LARGE);
        assert_eq!(refused(&mut world, Channel::new(channel.delivery, 8), b"x"), Kind::TARGET);
    }
}

#[test]
fn a_full_send_buffer_is_an_error_and_drains() {
    let (mut world, _) = World::connected(CALM, 6);
    world.cut = [true; 2];
    let mut sent = 0;
    let failure = loop {
        match world.client.send(world.now, Channel::ORDERED, &[0; 1_000]) {
            Ok(()) => sent += 1,
            Err(failure) => break failure,
        }
    };
    assert_eq!((failure.kind(), sent), (Kind::BACKLOG, 512 * 1024 / 1_064));
    world.cut = [false; 2];
    world.run(ms(5_000));
    assert_eq!(world.server_messages().len(), sent);
    world.client.send(world.now, Channel::ORDERED, &[0; 1_000]).unwrap();
}

#[test]
fn round_trips_are_of_the_network_alone() {
    let (mut world, id) = World::connected(CALM, 7);
    for _ in 0..50 {
        // The server holds its acks back until its tick, 0 to 50 ms later: no part of the round trip.
        world.client.send(world.now, Channel::ORDERED, b"move").unwrap();
        world.run(ms(37));
        world.server.send(world.now, id, Channel::UNRELIABLE, b"snapshot").unwrap();
        world.run(ms(50));
    }
    let stats = world.client.stats();
    let near = |time: Option<Duration>| time.is_some_and(|time| time >= ms(19) && time <= ms(21));
    assert!(near(stats.srtt) && near(stats.min_rtt) && near(stats.rtt), "{stats:?}");
    let samples = world.to_client.iter().filter(|event| matches!(event, Event::RoundTrip(_))).count();
    assert!(samples >= 50, "{samples}");
}

#[test]
fn an_idle_connection_lives_for_an_hour_cheaply() {
    let (mut world, id) = World::connected(CALM, 8);
    world.run(Duration::from_secs(3_600));
    assert!(world.client.session().is_some_and(|session| !session.is_closed()));
    let (client, server) = (world.client.stats(), world.server.peer_stats(id).unwrap());
    let pings = 3_600 * 2;
    assert!(client.packets_sent <= pings + 20 && server.packets_sent <= pings + 20, "{client:?} {server:?}");
    assert_eq!(client.lost, 0);
}

#[test]
fn a_peer_that_falls_silent_is_given_up() {
    for (side, other) in [(0, 1), (1, 0)] {
        let (mut world, _) = World::connected(CALM, 9);
        world.cut[side] = true;
        world.cut[other] = true;
        world.run(ms(9_000));
        assert_eq!((world.server.peers(), kind(world.to_client.last())), (1, None));
        world.run(ms(1_600));
        assert_eq!(kind(world.to_client.last()), Some(Kind::TIMED_OUT));
        assert_eq!(kind(world.to_server.last().map(|(_, event)| event)), Some(Kind::TIMED_OUT));
        assert_eq!(world.server.peers(), 0);
    }
}

#[test]
fn goodbyes_wait_for_what_was_sent_before() {
    let (mut world, id) = World::connected(CALM, 10);
    world.client.send(world.now, Channel::ORDERED, b"leave").unwrap();
    world.client.close(world.now);
    assert_eq!(world.client.send(world.now, Channel::ORDERED, b"x").unwrap_err().kind(), Kind::CLOSED);
    world.run(ms(200));
    assert_eq!(kind(world.to_client.last()), Some(Kind::CLOSED));
    assert_eq!(kind(world.to_server.last().map(|(_, event)| event)), Some(Kind::CLOSED));
    assert_eq!(world.server_messages(), [(Channel::ORDERED, Bytes::from_static(b"leave"))]);
    assert_eq!(world.server.peers(), 0);
    assert_eq!(world.server.send(world.now, id, Channel::ORDERED, b"x").unwrap_err().kind(), Kind::CLOSED);

    // The reason comes across, also when both leave at once.
    let (mut world, id) = World::connected(CALM, 11);
    world.server.disconnect(world.now, id, "the match is over");
    world.run(ms(100));
    let Some(Event::Closed(failure)) = world.to_client.last() else { panic!("still open") };
    assert!(failure.message().ends_with("the match is over"), "{failure}");
    let (mut world, id) = World::connected(CALM, 12);
    world.server.disconnect(world.now, id, "");
    world.client.close(world.now);
    world.run(ms(100));
    assert_eq!(kind(world.to_client.last()), Some(Kind::CLOSED));
    assert_eq!(world.server.peers(), 0);

    // Nobody hears it: it ends all the same.
    let (mut world, _) = World::connected(CALM, 13);
    world.cut = [true; 2];
    world.client.send(world.now, Channel::ORDERED, b"leave").unwrap();
    world.client.close(world.now);
    world.run(ms(301));
    assert_eq!(kind(world.to_client.last()), Some(Kind::CLOSED));
}

#[test]
fn a_handshake_survives_a_storm_and_ends_without_a_server() {
    for seed in 0..50 {
        World::connected(Weather { loss_percent: 40, ..STORM }, seed);
    }
    let mut world = World::new(CALM, 0, &Config::DEFAULT);
    world.cut = [true; 2];
    world.run(ms(10_100));
    assert_eq!(kind(world.to_client.last()), Some(Kind::TIMED_OUT));
    // Another game's client gets no answer at all.
    let mut world = World::new(CALM, 0, &Config::DEFAULT);
    world.client = Client::new(&Config { protocol: 9, ..Config::DEFAULT }, 7);
    world.client.open(world.now);
    world.run(ms(1_000));
    assert_eq!((world.server.peers(), world.client.session().is_none()), (0, true));
}

#[test]
fn a_flood_of_handshakes_leaves_nothing_behind() {
    let now = Instant::now();
    let mut server = Server::new(Config::DEFAULT, 3, [1, 2], now);
    let mut packet = Vec::new();
    for n in 0..100_000_u32 {
        let from = SocketAddr::from((n.to_be_bytes(), 9));
        let mut request = Vec::new();
        write_request(&mut request, Magic::NONE, 0, u64::from(n));
        assert_eq!(request.len(), REQUEST_LEN);
        server.input(now, from, &request);
        let mut forged = Vec::new();
        let response = Response { protocol: 0, salt: n.into(), cookie: 0xDEAD, token: &[], payload: &[], before: &[] };
        begin_response(&mut forged, Magic::NONE, &response, 0);
        pad_response(&mut forged, 0);
        server.input(now, from, &forged);
        if n % 2 == 0 {
            while server.poll_transmit(now, &mut packet).is_some() {
                assert!(packet.len() < REQUEST_LEN);
                packet.clear();
            }
        }
    }
    assert_eq!((server.peers(), server.stats().accepted, server.poll_event()), (0, 0, None));
    assert_eq!((server.stats().requests, server.stats().discarded), (100_000, 100_000));

    // Honest clients fill it; the fourth is told so.
    let mut ends = Vec::new();
    for n in 0..4_u8 {
        let from = SocketAddr::from(([10, 0, 0, n], 9));
        let mut client = Client::new(&Config::DEFAULT, n.into());
        client.open(now);
        for _ in 0..4 {
            while client.poll_transmit(now, &mut packet) {
                server.input(now, from, &packet);
                packet.clear();
            }
            while server.poll_transmit(now, &mut packet).is_some() {
                client.input(now, &packet);
                packet.clear();
            }
        }
        ends.push(client.poll_event());
    }
    assert_eq!(ends[..3], [Some(Event::Connected), Some(Event::Connected), Some(Event::Connected)]);
    assert_eq!(kind(ends[3].as_ref()), Some(Kind::REFUSED));
    assert_eq!((server.peers(), server.stats().denied), (3, 1));
}

#[test]
fn forged_stale_and_repeated_packets_change_nothing() {
    let (mut world, _) = World::connected(CALM, 15);
    world.client.send(world.now, Channel::UNRELIABLE, b"once").unwrap();
    let mut packet = Vec::new();
    assert!(world.client.poll_transmit(world.now, &mut packet));
    for _ in 0..10 {
        world.server.input(world.now, world.addr, &packet);
    }
    let mut forged = packet.clone();
    forged[1] ^= 1;
    world.server.input(world.now, world.addr, &forged);
    world.drain();
    assert_eq!(world.server_messages().len(), 1);
    let id = PeerId::clone(&world.server.ids().next().unwrap());
    assert_eq!(world.server.peer_stats(id).unwrap().discarded, 9);
    assert_eq!(world.server.stats().discarded, 1, "of nobody's session");
    // An ack of what was never sent.
    let mut liar = packet.clone();
    liar[5..9].copy_from_slice(&[9, 0, 0, 80]);
    world.server.input(world.now, world.addr, &liar);
    assert_eq!(world.server.peer_stats(id).unwrap().discarded, 10);
}

#[test]
fn sizes() {
    // An idle connection has a session in a box, and 16 bytes for each lane that it has used; sealed 150 more.
    let sizes = [size_of::<Session>(), size_of::<Client>()];
    assert!(sizes[0] <= 640 && sizes[1] <= 48, "{sizes:?}");
}

proptest! {
    #[test]
    fn garbage_neither_panics_nor_grows(
        packets in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 0..1_300), 0_u64..50), 0..60),
        session in any::<bool>(),
    ) {
        let (mut world, id) = World::connected(CALM, 16);
        let number = world.server.session_mut(id).unwrap().id();
        for (to_server, mut bytes, wait) in packets {
            if session && bytes.len() > 20 {
                bytes[0] = bytes[0] & 0xF0 | (kinds::DATA + bytes[0] % 2);
                bytes[1..5].copy_from_slice(&number.to_le_bytes());
                bytes[7..9].copy_from_slice(&[0, 0]);
            }
            if to_server {
                world.server.input(world.now, world.addr, &bytes);
            } else {
                world.client.input(world.now, &bytes);
            }
            world.run(ms(wait));
        }
        prop_assert!(world.server.peers() <= 1);
        prop_assert!(world.now >= world.began);
    }
}
