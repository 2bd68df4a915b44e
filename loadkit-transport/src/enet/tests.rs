//! Both ends over a bad network, in virtual time.

use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use loadkit_core::Kind;
use tokio::time::Instant;

use super::{Client, Config, PeerId, Server, Session};
use crate::protocol::{Channel, Delivery, Event, Protocol};
use crate::serve::Serve;

mod hostile;
mod transcript;

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// SplitMix64 (Steele et al., 2014).
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ z >> 31) % n
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

fn config() -> Config {
    Config { channels: 3, ..Config::DEFAULT }
}

/// For networks that are very bad: a throttle would drop most of what is unreliable, and let through one datagram at a
/// time of what is reliable; and of thousands of commands one is lost six times in a row, which ends a connection.
fn hardy() -> Config {
    Config { throttle_deceleration: 0, time_out_limit: 1 << 20, ..config() }
}

impl World {
    fn new(weather: Weather, seed: u64, config: &Config) -> World {
        let now = Instant::now();
        let mut client = Client::new(config, 0xABCD_0000 + seed as u32);
        client.open(now);
        World {
            now,
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
        World::connected_with(weather, seed, &config())
    }

    fn connected_with(weather: Weather, seed: u64, config: &Config) -> (World, PeerId) {
        let mut world = World::new(weather, seed, config);
        let id = world.connect();
        (world, id)
    }

    fn connect(&mut self) -> PeerId {
        for _ in 0..6_000 {
            self.run(ms(5));
            let id = self.to_server.iter().find(|(_, event)| *event == Event::Connected).map(|(id, _)| *id);
            if let Some(id) = id
                && self.client.session().is_some_and(Session::is_connected)
            {
                return id;
            }
        }
        panic!("no connection: {:?}", self.to_client);
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
            assert!(!packet.is_empty() && packet.len() <= 1_392, "{}", packet.len());
            self.throw(true, &packet);
            packet.clear();
        }
        while let Some(addr) = self.server.poll_transmit(self.now, &mut packet) {
            assert!(!packet.is_empty() && packet.len() <= 1_392, "{}", packet.len());
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

    fn session(&mut self) -> &mut Session {
        self.client.session_mut().unwrap()
    }

    fn client_messages(&mut self) -> Vec<(Channel, Bytes)> {
        messages(self.to_client.drain(..))
    }

    fn server_messages(&mut self) -> Vec<(Channel, Bytes)> {
        messages(self.to_server.drain(..).map(|(_, event)| event))
    }

    fn check_bounds(&self) {
        self.server.check_bounds();
        self.client.session().unwrap().check_bounds();
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

fn last(world: &World) -> [Option<Kind>; 2] {
    [kind(world.to_client.last()), kind(world.to_server.last().map(|(_, event)| event))]
}

const ORDERED_2: Channel = Channel::new(Delivery::Ordered, 2);
const SEQUENCED_1: Channel = Channel::new(Delivery::Sequenced, 1);

/// Sends `count` numbered messages on several channels in both directions, `each` per 10 ms, and checks the promises.
fn promises_hold(mut world: World, id: PeerId, count: u32, each: u32, lossless: bool) {
    let channels = [Channel::ORDERED, ORDERED_2, Channel::UNRELIABLE, Channel::SEQUENCED, SEQUENCED_1];
    let (mut at_client, mut at_server) = (Vec::new(), Vec::new());
    let mut sent = 0;
    while sent < count {
        for n in sent..(sent + each).min(count) {
            for channel in channels {
                let mut bytes = n.to_le_bytes().to_vec();
                let long = if n % 50 == 7 && channel != Channel::UNRELIABLE { 3_000 } else { 150 };
                bytes.resize(4 + (n % long) as usize * long as usize / 150, 0xAB);
                world.client.send(world.now, channel, &bytes).unwrap();
                world.server.send(world.now, id, channel, &bytes).unwrap();
            }
        }
        sent += each;
        world.run(ms(10));
        at_client.extend(world.client_messages());
        at_server.extend(world.server_messages());
    }
    world.check_bounds();
    world.run(ms(30_000));
    at_client.extend(world.client_messages());
    at_server.extend(world.server_messages());
    let all: Vec<u32> = (0..count).collect();
    for received in [at_client, at_server] {
        assert!(numbers(&received, Channel::ORDERED) == all);
        assert!(numbers(&received, ORDERED_2) == all);
        let unreliable = numbers(&received, Channel::UNRELIABLE);
        assert_eq!(unreliable.iter().collect::<HashSet<_>>().len(), unreliable.len(), "no duplicates");
        assert!(unreliable.len() > count as usize / 4, "{}", unreliable.len());
        for channel in [Channel::SEQUENCED, SEQUENCED_1] {
            let sequenced = numbers(&received, channel);
            assert!(sequenced.is_sorted_by(|a, b| a < b) && sequenced.len() > count as usize / 20);
            assert!(!lossless || sequenced == all, "{channel:?}");
        }
        assert!(!lossless || unreliable.len() == all.len());
    }
    let stats = world.client.stats();
    assert_eq!(stats.resends == 0 && stats.lost == 0, lossless, "{stats:?}");
}

#[test]
fn every_promise_holds_in_calm_and_in_storm() {
    let (world, id) = World::connected(CALM, 1);
    promises_hold(world, id, 3_000, 3, true);
    for seed in 0..4 {
        let (world, id) = World::connected_with(STORM, seed, &hardy());
        promises_hold(world, id, 600, 2, false);
    }
    let (world, id) = World::connected_with(STORM, 9, &Config { checksum: true, ..hardy() });
    promises_hold(world, id, 300, 2, false);
}

#[test]
fn sequence_numbers_wrap_around() {
    for weather in [CALM, Weather { jitter: ms(50), loss_percent: 10, ..CALM }] {
        let (mut world, id) = World::connected_with(CALM, 3, &hardy());
        // Both ends as if they had long been talking; nothing is under way.
        world.run(ms(700));
        world.session().start_at(65_300, 65_400);
        world.server.session_mut(id).unwrap().start_at(65_400, 65_300);
        // Those of pings first: 600 of them.
        world.run(ms(300_000));
        assert_eq!((last(&world), world.client.stats().lost), ([None; 2], 0));
        world.weather = weather;
        promises_hold(world, id, 1_000, 2, weather.loss_percent == 0);
    }
}

/// The long way round, without help.
#[test]
fn all_numbers_go_round() {
    let (mut world, _) = World::connected(CALM, 4);
    let mut got = 0;
    for _ in 0..340 {
        for n in 0..200_u32 {
            world.client.send(world.now, Channel::ORDERED, &n.to_le_bytes()).unwrap();
            world.client.send(world.now, Channel::UNRELIABLE, &n.to_le_bytes()).unwrap();
        }
        world.run(ms(100));
        got += world.server_messages().len();
    }
    world.run(ms(1_000));
    assert_eq!(got + world.server_messages().len(), 136_000);
}

/// Receivers do not let the numbers of unreliable messages wrap around.
#[test]
fn the_65_536th_unreliable_message_in_a_row_is_reliable() {
    let (mut world, _) = World::connected(CALM, 5);
    let mut received = Vec::new();
    for round in 0..1_400_u32 {
        for n in 0..50 {
            world.client.send(world.now, SEQUENCED_1, &(round * 50 + n).to_le_bytes()).unwrap();
        }
        world.run(ms(10));
        received.extend(world.server_messages());
    }
    world.run(ms(1_000));
    received.extend(world.server_messages());
    let reliable = numbers(&received, Channel::new(Delivery::Ordered, 1));
    assert_eq!(reliable, [65_535]);
    let all = received.iter().map(|(_, bytes)| u32::from_le_bytes(bytes[..4].try_into().unwrap()));
    assert!(all.eq(0..70_000));
}

#[test]
fn unreliable_messages_stand_behind_the_reliable_ones_before_them() {
    let (mut world, _) = World::connected(CALM, 6);
    world.cut[0] = true;
    world.client.send(world.now, Channel::ORDERED, b"first").unwrap();
    world.run(ms(5));
    world.cut[0] = false;
    world.client.send(world.now, Channel::SEQUENCED, b"second").unwrap();
    world.client.send(world.now, Channel::ORDERED, b"third").unwrap();
    world.client.send(world.now, Channel::SEQUENCED, &[4; 5_000]).unwrap();
    // Another lane does not wait.
    world.client.send(world.now, SEQUENCED_1, b"aside").unwrap();
    world.run(ms(15));
    assert_eq!(world.server_messages(), [(SEQUENCED_1, Bytes::from_static(b"aside"))]);
    world.run(ms(2_000));
    let expected = [
        (Channel::ORDERED, Bytes::from_static(b"first")),
        (Channel::SEQUENCED, Bytes::from_static(b"second")),
        (Channel::ORDERED, Bytes::from_static(b"third")),
        (Channel::SEQUENCED, Bytes::from(vec![4; 5_000])),
    ];
    assert!(world.server_messages() == expected);
}

#[test]
fn long_messages_travel_in_pieces() {
    let (mut world, id) = World::connected_with(STORM, 5, &hardy());
    let long: Vec<u8> = (0..1_u32 << 20).map(|i| (i * 7 % 251) as u8).collect();
    world.client.send(world.now, Channel::ORDERED, &long).unwrap();
    world.server.send(world.now, id, ORDERED_2, &long).unwrap();
    world.client.send(world.now, Channel::ORDERED, b"").unwrap();
    world.run(ms(60_000));
    // Not `assert_eq`, which would print it all.
    assert!(world.client_messages() == [(ORDERED_2, Bytes::from(long.clone()))]);
    let expected = [(Channel::ORDERED, Bytes::from(long.clone())), (Channel::ORDERED, Bytes::new())];
    assert!(world.server_messages() == expected);

    let refused = |world: &mut World, channel, len: usize| {
        world.client.send(world.now, channel, &vec![0; len]).unwrap_err().kind()
    };
    assert_eq!(refused(&mut world, Channel::ORDERED, (1 << 20) + 1), Kind::TOO_LARGE);
    assert_eq!(refused(&mut world, Channel::UNRELIABLE, 1_365), Kind::TOO_LARGE);
    world.client.send(world.now, Channel::UNRELIABLE, &long[..1_364]).unwrap();
    assert_eq!(refused(&mut world, Channel::new(Delivery::Ordered, 3), 1), Kind::TARGET);
    assert_eq!(refused(&mut world, Channel::UNORDERED, 1), Kind::TARGET);
}

#[test]
fn a_message_over_the_receivers_bound_ends_the_connection() {
    let (mut world, id) = World::connected(CALM, 6);
    let small = Config { message: 10_000, ..config() };
    world.server = Server::new(small, 10, [1, 2], world.now);
    let mut client = Client::new(&config(), 9);
    client.open(world.now);
    world.client = client;
    world.to_server.clear();
    assert_eq!(world.connect(), id);
    world.client.send(world.now, Channel::ORDERED, &[0; 10_001]).unwrap();
    world.run(ms(100));
    assert_eq!(last(&world)[1], Some(Kind::TOO_LARGE));
}

#[test]
fn a_full_send_buffer_is_an_error_and_drains() {
    let (mut world, _) = World::connected(CALM, 6);
    world.cut = [true; 2];
    let fill = |world: &mut World, channel| {
        let mut sent = 0;
        loop {
            match world.client.send(world.now, channel, &[0; 1_000]) {
                Ok(()) => sent += 1,
                Err(failure) => break (failure.kind(), sent),
            }
        }
    };
    assert_eq!(fill(&mut world, Channel::ORDERED), (Kind::BACKLOG, (2 << 20) / 1_128));
    let (kind, loose) = fill(&mut world, Channel::SEQUENCED);
    assert!(kind == Kind::BACKLOG && (250..=260).contains(&loose), "{loose}");
    world.cut = [false; 2];
    world.run(ms(5_000));
    let received = world.server_messages();
    assert_eq!(received.iter().filter(|(channel, _)| channel.is_reliable()).count(), (2 << 20) / 1_128);
    world.client.send(world.now, Channel::ORDERED, &[0; 1_000]).unwrap();
}

#[test]
fn an_idle_connection_lives_for_an_hour_cheaply() {
    let (mut world, id) = World::connected(CALM, 8);
    world.run(Duration::from_secs(3_600));
    assert!(world.session().is_connected());
    let (client, server) = (world.client.stats(), world.server.peer_stats(id).unwrap());
    // Each end pings twice a second, and acknowledges the other's.
    let pings = 3_600 * 2;
    assert!(client.packets_sent <= 2 * pings + 20 && server.packets_sent <= 2 * pings + 20, "{client:?} {server:?}");
    assert_eq!((client.lost, client.srtt), (0, Some(ms(20))));
}

#[test]
fn a_peer_that_falls_silent_is_given_up() {
    // Half-open: one way is cut, or both.
    for cut in [[true, false], [false, true], [true, true]] {
        let (mut world, _) = World::connected(CALM, 9);
        world.cut = cut;
        world.run(ms(4_900));
        assert_eq!((world.server.peers(), last(&world)[0]), (1, None));
        world.run(ms(6_000));
        assert_eq!(last(&world), [Some(Kind::TIMED_OUT); 2], "{cut:?}");
        assert_eq!(world.server.peers(), 0);
        world.check_bounds();
    }
}

#[test]
fn goodbyes_wait_for_what_was_sent_before_and_carry_a_word() {
    let (mut world, id) = World::connected(CALM, 10);
    world.client.send(world.now, Channel::ORDERED, b"leave").unwrap();
    let now = world.now;
    world.session().disconnect(now, 77);
    assert_eq!(world.client.send(world.now, Channel::ORDERED, b"x").unwrap_err().kind(), Kind::CLOSED);
    world.run(ms(200));
    assert_eq!(last(&world), [Some(Kind::CLOSED); 2]);
    let Some((_, Event::Closed(failure))) = world.to_server.last() else { panic!("still open") };
    assert!(failure.message().ends_with("the word 77"), "{failure}");
    assert_eq!(world.server_messages(), [(Channel::ORDERED, Bytes::from_static(b"leave"))]);
    assert_eq!(world.server.peers(), 0);
    assert_eq!(world.server.send(world.now, id, Channel::ORDERED, b"x").unwrap_err().kind(), Kind::CLOSED);

    let (mut world, id) = World::connected(CALM, 11);
    world.server.disconnect(world.now, id, &9);
    world.run(ms(100));
    assert_eq!((last(&world), world.session().goodbye()), ([Some(Kind::CLOSED); 2], 9));

    // Both at once.
    let (mut world, id) = World::connected(CALM, 12);
    world.server.disconnect(world.now, id, &1);
    world.client.close(world.now);
    world.run(ms(100));
    assert_eq!((last(&world), world.server.peers()), ([Some(Kind::CLOSED); 2], 0));

    // Without waiting: it is said once.
    let (mut world, _) = World::connected(CALM, 13);
    world.client.abort(world.now);
    world.run(ms(20));
    assert_eq!((last(&world), world.server.peers()), ([Some(Kind::CLOSED); 2], 0));

    // Nobody hears it: it ends all the same.
    let (mut world, _) = World::connected(CALM, 14);
    world.cut = [true; 2];
    world.client.send(world.now, Channel::ORDERED, b"leave").unwrap();
    world.client.close(world.now);
    world.run(ms(1_001));
    assert_eq!(last(&world)[0], Some(Kind::CLOSED));
}

#[test]
fn a_handshake_survives_a_storm_and_ends_without_a_server() {
    for seed in 0..50 {
        World::connected(Weather { loss_percent: 30, ..STORM }, seed);
    }
    let mut world = World::new(CALM, 0, &config());
    world.cut = [true; 2];
    world.run(ms(31_400));
    assert_eq!(last(&world)[0], None, "0.5 + 1 + 2 + 4 + 8 + 16 s");
    world.run(ms(200));
    assert_eq!(last(&world)[0], Some(Kind::TIMED_OUT));
    // Of one that the server has seen and that never finishes, its game hears nothing.
    let mut world = World::new(CALM, 0, &config());
    world.cut[1] = true;
    world.run(ms(60_000));
    assert_eq!((world.server.peers(), world.server.stats().accepted), (0, 1));
    assert!(world.to_server.is_empty());
    // Closed before it is open, or while it is opened.
    for open in [false, true] {
        let mut client = Client::new(&Config::DEFAULT, 1);
        if open {
            client.open(world.now);
        }
        client.close(world.now);
        assert_eq!(kind(client.poll_event().as_ref()), Some(Kind::CLOSED));
        client.open(world.now);
        assert_eq!((client.poll_event(), client.deadline()), (None, None));
    }
}

#[test]
fn a_full_server_stays_silent() {
    let mut world = World::new(CALM, 0, &config());
    world.server = Server::new(config(), 0, [1, 2], world.now);
    world.run(ms(40_000));
    let Some(Event::Closed(failure)) = world.to_client.last() else { panic!("still asking") };
    assert_eq!(failure.kind(), Kind::TIMED_OUT);
    assert!(failure.message().contains("full"), "{failure}");
    let stats = world.server.stats();
    assert_eq!((stats.accepted, stats.denied, world.client.stats().packets_received), (0, 6, 0));
}

#[test]
fn connections_from_one_address_are_apart_and_bounded() {
    let now = Instant::now();
    let mut server = Server::new(Config { peers_per_address: 2, ..config() }, 9, [1, 2], now);
    let mut packet = Vec::new();
    let mut connect = |server: &mut Server, ip, connect_id| {
        let mut client = Client::new(&config(), connect_id).with_peer_id(connect_id as u16);
        client.open(now);
        let from = SocketAddr::from(([10, 0, 0, ip], 1_000));
        for _ in 0..4 {
            while client.poll_transmit(now, &mut packet) {
                server.input(now, from, &packet);
                packet.clear();
            }
            while server.poll_transmit(now, &mut packet).is_some() {
                if super::peer_id_of(&packet) == Some(connect_id as u16) {
                    client.input(now, &packet);
                }
                packet.clear();
            }
        }
        client.session().is_some_and(Session::is_connected)
    };
    assert_eq!(
        [(1, 5), (1, 6), (1, 7), (2, 5)].map(|(ip, id)| connect(&mut server, ip, id)),
        [true, true, false, true]
    );
    assert_eq!((server.peers(), server.stats().denied), (3, 1));
    // When they have gone there is room again.
    server.disconnect_all(now, &0);
    while server.poll_transmit(now, &mut Vec::new()).is_some() {}
    server.timeout(now + ms(1_001));
    while server.poll_transmit(now + ms(1_001), &mut Vec::new()).is_some() {}
    server.check_bounds();
    assert_eq!(server.peers(), 0);
    assert!(connect(&mut server, 1, 8));
}

#[test]
fn bandwidths_are_told_and_kept() {
    // The server takes 64 KiB a second; the client would send ten times as much.
    let narrow = Config { incoming_bandwidth: 64 << 10, ..config() };
    let mut world = World::new(CALM, 1, &config());
    world.server = Server::new(narrow, 10, [1, 2], world.now);
    let id = world.connect();
    let mut received = 0;
    for second in 0..20 {
        for _ in 0..64 {
            for _ in 0..10 {
                world.client.send(world.now, Channel::UNRELIABLE, &[0; 1_000]).unwrap();
            }
            world.run(Duration::from_micros(15_625));
        }
        let messages = world.server_messages().len();
        received += if second >= 2 { messages } else { 0 };
    }
    let rate = received / 18;
    assert!((40..=90).contains(&rate), "{rate} KB a second");
    assert!(world.session().throttled() > 9_000);
    // And a reliable message does not wait for it.
    world.client.send(world.now, Channel::ORDERED, b"now").unwrap();
    world.run(ms(50));
    assert_eq!(world.server_messages().len(), 1);
    assert_eq!(world.server.session(id).unwrap().throttled(), 0);
}

#[test]
fn a_throttle_is_configured_from_afar() {
    let (mut world, id) = World::connected(CALM, 1);
    world.server.configure_throttle(id, ms(100), 4, 0);
    world.run(ms(50));
    // Round trips grow to ten times what they were: with no deceleration nothing is dropped.
    world.weather.delay = ms(200);
    for _ in 0..500 {
        world.client.send(world.now, Channel::UNRELIABLE, b"x").unwrap();
        world.client.send(world.now, Channel::ORDERED, b"x").unwrap();
        world.run(ms(10));
    }
    assert_eq!(world.session().throttled(), 0);
}

#[test]
fn an_idle_connection_is_small() {
    let (mut world, id) = World::connected_with(STORM, 1, &hardy());
    for channel in [Channel::ORDERED, ORDERED_2, SEQUENCED_1, Channel::UNRELIABLE] {
        for len in [10, 1_000] {
            world.client.send(world.now, channel, &vec![1; len]).unwrap();
            world.server.send(world.now, id, channel, &vec![1; len]).unwrap();
        }
    }
    world.client.send(world.now, Channel::ORDERED, &[1; 100_000]).unwrap();
    world.weather = CALM;
    world.run(ms(10_400));
    let client = size_of::<Client>() + size_of::<Session>() + world.session().heap();
    let server = size_of::<Session>() + world.server.session(id).unwrap().heap();
    println!("an idle client has {client} bytes, a server's peer {server}");
    assert!(client <= 1_400 && server <= 1_400, "{client} {server}: {} is the session's", size_of::<Session>());
}
