//! Our ENet against `rusty_enet`, a port of the C library: both ways over a bad network, in virtual time.
//!
//! `LOADKIT_INTEROP_MESSAGES=250000` sends so many reliable messages in each direction instead of a number that a CI can
//! afford, and as many unreliable ones beside them.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod messages;
mod networks;
mod world;

use std::time::Duration;

use loadkit_core::Kind;
use loadkit_transport::enet::Config;
use loadkit_transport::{Channel, Delivery, Event, Protocol};
use rusty_enet::HostSettings;

use messages::{Received, Sender};
use networks::{bad, calm};
use world::{Ours, Setting, World, ms};

/// Reliable messages in each direction, unless the environment says otherwise.
const MESSAGES: u32 = 5_000;

/// Reliable messages on each of two channels.
fn messages() -> u32 {
    std::env::var("LOADKIT_INTEROP_MESSAGES").map_or(MESSAGES, |n| n.parse().unwrap()).div_ceil(2)
}

/// As a connection must be to live through hundreds of thousands of messages on such a network: of so many one is lost six
/// or eight times in a row, which ends a connection by the number of tries or by the longest time; and the throttle would drop nearly all that is unreliable, and let through
/// one datagram at a time of what is reliable.
fn hardy(ours: Ours) -> Setting {
    let config = Config {
        throttle_deceleration: 0,
        time_out_limit: 1 << 20,
        time_out_max: Duration::from_secs(3_600),
        channels: 4,
        ..Config::DEFAULT
    };
    Setting { ours, config, is_hardy: true, ..Setting::default() }
}

/// Both sides send all kinds of messages until `count` reliable ones have arrived on each of two channels, in both
/// directions: all of them, once and in order, with the right bytes.
fn exchange(world: &mut World, count: u32) {
    let [mut from_us, mut from_them] = [Sender::new(1), Sender::new(2)];
    let [mut at_us, mut at_them] = [Received::new(2), Received::new(1)];
    let began = world.now;
    while at_us.reliable() < count || at_them.reliable() < count {
        // Not more than the windows can carry: neither side has a bound in common.
        while from_us.reliable() < count.min(at_them.reliable() + 200) && from_us.step(world.now) {
            from_us.send(|delivery, lane, bytes| world.send(Channel::new(delivery, lane), bytes));
        }
        while from_them.reliable() < count.min(at_us.reliable() + 200) && from_them.step(world.now) {
            from_them.send(|delivery, lane, bytes| world.send_theirs(delivery, lane, bytes));
        }
        world.run(ms(5));
        world.events.drain(..).for_each(|event| match event {
            Event::Message { channel, payload } => at_us.take(channel, &payload),
            Event::RoundTrip(time) => assert!(time >= 2 * world.network.latency, "{time:?}"),
            other => panic!("{other:?} at {} and {}", at_us.reliable(), at_them.reliable()),
        });
        for (lane, bytes) in world.received.drain(..) {
            at_them.take_any(lane, &bytes);
        }
        assert_eq!(world.ended, None);
        assert!(world.now < began + ms(20_000) + ms(200) * count, "it does not come to an end");
    }
    // What is still under way arrives, and nothing comes twice.
    world.run(ms(3_000));
    for event in world.events.drain(..) {
        if let Event::Message { channel, payload } = event {
            at_us.take(channel, &payload);
        }
    }
    for (lane, bytes) in world.received.drain(..) {
        at_them.take_any(lane, &bytes);
    }
    let sent = [from_us, from_them];
    for (received, sent) in [at_them, at_us].iter().zip(&sent) {
        received.check(sent, world.network.loss > 0.0, !world.is_hardy);
    }
}

#[test]
fn our_client_and_their_host_over_a_bad_network() {
    exchange(&mut World::connected(bad(), 1, hardy(Ours::Client)), messages());
}

#[test]
fn their_client_and_our_server_over_a_bad_network() {
    exchange(&mut World::connected(bad(), 2, hardy(Ours::Server)), messages());
}

#[test]
fn with_checksums_and_small_datagrams() {
    for ours in [Ours::Client, Ours::Server] {
        let mut setting = hardy(ours);
        setting.config = Config { checksum: true, mtu: 700, ..setting.config };
        let mut world = World::connected(bad(), 3, setting);
        exchange(&mut world, messages().min(300));
        assert_eq!(world.session().mtu(), 700);
        assert_eq!(world.peer().mtu(), 700);
    }
}

/// As it comes, without a loss: nothing is resent, and nothing dropped.
#[test]
fn with_all_defaults_over_a_calm_network() {
    for ours in [Ours::Client, Ours::Server] {
        let setting = Setting { ours, config: Config { channels: 4, ..Config::DEFAULT }, ..Setting::default() };
        let mut world = World::connected(calm(), 4, setting);
        exchange(&mut world, messages().min(1_000));
        let stats = world.stats();
        assert_eq!((stats.resends, stats.lost, world.peer().packets_lost()), (0, 0, 0));
        assert_eq!(world.session().throttled(), 0);
    }
}

/// As it comes, over a bad network: throttled, and reliable all the same.
#[test]
fn with_all_defaults_over_a_bad_network() {
    for ours in [Ours::Client, Ours::Server] {
        let setting = Setting { ours, config: Config { channels: 4, ..Config::DEFAULT }, ..Setting::default() };
        exchange(&mut World::connected(bad(), 6, setting), 60);
    }
}

/// The 16 bits of every number go round: of messages, of groups; and after 65,535 unreliable messages in a row one is
/// reliable.
#[test]
fn numbers_go_round() {
    for delivery in [Delivery::Ordered, Delivery::Unreliable, Delivery::Sequenced] {
        let mut world = World::connected(calm(), 5, hardy(Ours::Client));
        let channel = Channel::new(delivery, 1);
        let (mut sent, mut at_us, mut at_them) = (0_u32, 0_u32, 0_u32);
        while at_us < 66_000 || at_them < 66_000 {
            while sent < 66_000.min(at_us.min(at_them) + 1_000) {
                world.send(channel, &sent.to_le_bytes()).unwrap();
                world.send_theirs(delivery, 1, &sent.to_le_bytes()).unwrap();
                sent += 1;
            }
            world.run(ms(5));
            for event in world.events.drain(..) {
                if let Event::Message { payload, .. } = event {
                    assert_eq!(payload[..], at_us.to_le_bytes(), "{delivery:?}");
                    at_us += 1;
                }
            }
            for (_, bytes) in world.received.drain(..) {
                assert_eq!(bytes[..], at_them.to_le_bytes(), "{delivery:?}");
                at_them += 1;
            }
        }
        assert_eq!(world.ended, None);
    }
}

#[test]
fn words_channels_and_bandwidths_are_agreed_on() {
    // Theirs takes 3 channels at most, ours asks for 7; the other way round likewise.
    let config = Config { channels: 7, data: 0xFEED, incoming_bandwidth: 100_000, ..Config::DEFAULT };
    for (ours, told) in [(Ours::Client, 0xFEED), (Ours::Server, 0xBEEF)] {
        let setting = Setting {
            ours,
            config: config.clone(),
            theirs: HostSettings { channel_limit: 3, outgoing_bandwidth_limit: Some(200_000), ..world::settings() },
            data: 0xBEEF,
            ..Setting::default()
        };
        let mut world = World::connected(calm(), 7, setting);
        assert_eq!((world.session().channels(), world.peer().channel_count()), (3, 3));
        assert_eq!(world.session().data(), if told == 0xFEED { 0xFEED } else { 0xBEEF });
        assert_eq!(world.greeting, Some(if told == 0xFEED { 0xFEED } else { 0 }), "as their event has it");
        // Told in the handshake, and again after a second, divided among all peers.
        assert_eq!(world.peer().incoming_bandwidth(), 100_000);
        world.run(ms(3_000));
        assert_eq!(world.peer().incoming_bandwidth(), 100_000);
        assert_eq!(world.ended, None);
        world.peer_mut().set_throttle(1_000, 7, 9);
        world.run(ms(100));
        assert_eq!(world.stats().discarded, 0);
    }
}

#[test]
fn either_side_ends_it_with_a_word() {
    for ours in [Ours::Client, Ours::Server] {
        let connected = || World::connected(calm(), 8, Setting { ours, ..Setting::default() });
        // We, when what was sent before has arrived.
        let mut world = connected();
        world.send(Channel::ORDERED, &[1; 10_000]).unwrap();
        world.disconnect(7);
        world.run(ms(1_000));
        assert_eq!((world.ended, world.received.len(), world.is_closed()), (Some(7), 1, true));
        // We, at once.
        let mut world = connected();
        world.abort();
        world.run(ms(50));
        assert_eq!((world.ended, world.is_closed()), (Some(0), true));
        // They, when all has arrived; at once; without asking.
        for (how, word) in [(0, 5), (1, 6), (2, 9)] {
            let mut world = connected();
            world.send_theirs(Delivery::Ordered, 0, &[2; 10_000]).unwrap();
            match how {
                0 => world.peer_mut().disconnect_later(5),
                1 => world.peer_mut().disconnect(6),
                _ => world.peer_mut().disconnect_now(9),
            }
            world.run(ms(1_000));
            assert!(world.is_closed(), "{how}");
            let closed = world.events.iter().find_map(|event| match event {
                Event::Closed(failure) => Some(failure.message().to_owned()),
                _ => None,
            });
            assert!(closed.unwrap().ends_with(&format!("with the word {word}")));
            let messages = world.events.iter().filter(|event| matches!(event, Event::Message { .. })).count();
            assert_eq!(messages, usize::from(how == 0));
        }
        // Both at once.
        let mut world = connected();
        world.disconnect(1);
        world.peer_mut().disconnect(2);
        world.run(ms(1_000));
        assert!(world.is_closed() && world.ended.is_some());
    }
}

#[test]
fn an_idle_connection_lives_and_a_silent_one_ends() {
    for ours in [Ours::Client, Ours::Server] {
        let mut world = World::connected(calm(), 9, Setting { ours, ..Setting::default() });
        world.run(Duration::from_secs(300));
        assert_eq!((world.ended, world.is_closed()), (None, false));
        assert_eq!(world.peer().round_trip_time(), ms(20));
        world.is_cut = true;
        world.run(ms(15_000));
        assert!(world.is_closed() && world.ended.is_some());
    }
}

/// Ours tells why that may be; theirs never says a word.
#[test]
fn a_full_host_of_theirs_stays_silent() {
    let theirs = HostSettings { peer_limit: 1, ..world::settings() };
    let mut world = World::connected(calm(), 10, Setting { theirs, ..Setting::default() });
    let mut second = world.second_client();
    let mut heard = 0;
    for _ in 0..400 {
        heard += world.run_second(&mut second, ms(100));
    }
    let Some(Event::Closed(failure)) = second.poll_event() else { panic!("it is still asking") };
    assert_eq!((heard, failure.kind()), (0, Kind::TIMED_OUT));
    assert!(failure.message().contains("it is full and says nothing"), "{failure}");
}
