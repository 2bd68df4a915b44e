//! Sealed packets and connect tokens.

use std::sync::Arc;

use rand_pcg::Pcg64Mcg;
use rand_pcg::rand_core::SeedableRng;

use super::*;
use crate::rudp::sealing::TAG_LEN;
use crate::rudp::{CODE_EXPIRED, CODE_TOKEN, Grant, Token, TokenKey};

const KEY: [u8; 32] = [3; 32];
/// The time at the beginning of each test.
const UNIX: u64 = 1_800_000_000;

fn grant() -> Grant {
    Grant { client: 77, expires: UNIX + 30, servers: Vec::new(), user_data: b"blue".to_vec() }
}

fn token(grant: &Grant, seed: u64) -> Token {
    TokenKey::new(KEY).mint(0, grant, &mut Pcg64Mcg::seed_from_u64(seed)).unwrap()
}

/// A world whose server wants tokens and whose client has this one.
fn world(weather: Weather, seed: u64, token: Option<Token>) -> World {
    let mut world = World::new(weather, seed, &Config::DEFAULT);
    world.server.require_tokens(world.now, UNIX, TokenKey::new(KEY), &["10.0.0.9:1".parse().unwrap()]);
    let config = Config { token: token.map(Arc::new), payload: Some(b"build 7".as_slice().into()), ..Config::DEFAULT };
    world.client = Client::new(&config, 7);
    world.client.open(world.now);
    world
}

fn connected(weather: Weather, seed: u64) -> (World, PeerId) {
    let mut world = world(weather, seed, Some(token(&grant(), 1)));
    let id = world.connect();
    (world, id)
}

#[test]
fn every_promise_holds_when_sealed() {
    let (mut world, id) = connected(CALM, 1);
    let hello = world.server.take_hello(id);
    assert_eq!((hello.client, &hello.payload[..], &hello.user_data[..]), (Some(77), &b"build 7"[..], &b"blue"[..]));
    promises_hold(world, id, 1_000, 5, true);
    for seed in 0..3 {
        let (world, id) = connected(STORM, seed);
        promises_hold(world, id, 1_000, 3, false);
    }
}

#[test]
fn sealed_numbers_wrap_around() {
    let (mut world, id) = connected(CALM, 3);
    world.run(ms(2_000));
    // Ends that have sent a few hundred thousand packets, shortly before both their 16 bits wrap.
    world.flying.clear();
    let high = 5 << 16;
    let client = world.client.session_mut().unwrap();
    client.start_at(65_500, 65_530, 65_400);
    client.sealing.0.as_mut().unwrap().start_at(high + 65_500, high + 65_530);
    let server = world.server.session_mut(id).unwrap();
    server.start_at(65_530, 65_500, 65_400);
    server.sealing.0.as_mut().unwrap().start_at(high + 65_530, high + 65_500);
    world.weather = Weather { jitter: ms(50), loss_percent: 10, ..CALM };
    promises_hold(world, id, 2_000, 3, false);
}

#[test]
fn nothing_is_readable_and_nothing_can_be_changed() {
    let (mut world, id) = connected(CALM, 5);
    world.run(ms(1_000));
    let now = world.now;
    world.client.send(now, Channel::ORDERED, b"a secret of some length").unwrap();
    let mut packet = Vec::new();
    assert!(world.client.poll_transmit(now, &mut packet));
    assert!(!packet.windows(6).any(|bytes| bytes == b"secret"));
    let before = world.server.peer_stats(id).unwrap();
    for at in 0..packet.len() {
        let mut forged = packet.clone();
        forged[at] ^= 0x10;
        world.server.input(now, world.addr, &forged);
        world.server.input(now, world.addr, &packet[..at]);
    }
    let mut longer = packet.clone();
    longer.push(0);
    world.server.input(now, world.addr, &longer);
    world.drain();
    assert_eq!(world.server_messages().len(), 0);
    // Taken once, and never again.
    for _ in 0..5 {
        world.server.input(now, world.addr, &packet);
    }
    world.drain();
    assert_eq!(world.server_messages().len(), 1);
    let after = world.server.peer_stats(id).unwrap();
    assert_eq!(after.duplicates - before.duplicates, 4);
    assert!(after.discarded - before.discarded > packet.len() as u64);

    // A packet in the clear, as one without the key makes it; a goodbye, too.
    let session = world.server.session_mut(id).unwrap().id();
    let plain = data(session, 500, |out| {
        Frame { channel: Channel::ORDERED, piece: None, id: 1, bytes: b"forged" }.write(out);
    });
    world.server.input(now, world.addr, &plain);
    let mut goodbye = Vec::new();
    Envelope::write(&mut goodbye, Magic::NONE, kinds::GOODBYE, session, 501);
    goodbye.extend_from_slice(&[0; 5]);
    world.server.input(now, world.addr, &goodbye);
    goodbye.extend_from_slice(&[0; TAG_LEN]);
    world.server.input(now, world.addr, &goodbye);
    world.drain();
    assert_eq!((world.server_messages().len(), world.server.peers()), (0, 1));
    world.client.send(now, Channel::ORDERED, b"still well").unwrap();
    world.run(ms(100));
    assert_eq!(world.server_messages().len(), 1);
    world.client.close(now);
    world.run(ms(100));
    assert_eq!(world.server.peers(), 0);
}

#[test]
fn late_packets_are_taken_within_the_window_and_not_beyond() {
    let (mut world, id) = connected(CALM, 6);
    world.run(ms(1_000));
    let now = world.now;
    let mut packets = Vec::new();
    for n in 0..300_u32 {
        world.client.send(now, Channel::UNRELIABLE, &n.to_le_bytes()).unwrap();
        let mut packet = Vec::new();
        assert!(world.client.poll_transmit(now, &mut packet));
        packets.push(packet);
    }
    world.server.input(now, world.addr, &packets[299]);
    for packet in &packets {
        world.server.input(now, world.addr, packet);
        world.server.input(now, world.addr, packet);
    }
    world.drain();
    let mut got = numbers(&world.server_messages(), Channel::UNRELIABLE);
    got.sort_unstable();
    assert_eq!(got, (44..300).collect::<Vec<_>>());
    assert!(world.server.peer_stats(id).unwrap().duplicates > 300);
}

#[test]
fn tokens_let_in_whom_they_name_only() {
    let refused = |token: Option<Token>| {
        let mut world = world(CALM, 7, token);
        world.run(ms(500));
        assert_eq!((world.server.peers(), kind(world.to_client.last())), (0, Some(Kind::REFUSED)));
        world.client.code().unwrap()
    };
    assert_eq!(refused(None), CODE_TOKEN);
    assert_eq!(refused(Some(token(&Grant { expires: UNIX, ..grant() }, 1))), CODE_EXPIRED);
    let elsewhere = Grant { servers: vec!["10.0.0.8:1".parse().unwrap()], ..grant() };
    assert_eq!(refused(Some(token(&elsewhere, 1))), CODE_TOKEN);
    let foreign = TokenKey::new([4; 32]).mint(0, &grant(), &mut Pcg64Mcg::seed_from_u64(1)).unwrap();
    assert_eq!(refused(Some(foreign)), CODE_TOKEN);
    let game = TokenKey::new(KEY).mint(1, &grant(), &mut Pcg64Mcg::seed_from_u64(1)).unwrap();
    assert_eq!(refused(Some(game)), CODE_TOKEN);

    let here = Grant { servers: vec!["10.0.0.8:1".parse().unwrap(), "10.0.0.9:1".parse().unwrap()], ..grant() };
    let mut fine = world(CALM, 8, Some(token(&here, 1)));
    fine.connect();
    // It expires while they play: they play on, and nobody else gets in with it.
    fine.run(ms(60_000));
    assert_eq!(fine.server.peers(), 1);
    let late = Config { token: Some(Arc::new(token(&here, 1))), ..Config::DEFAULT };
    fine.client = Client::new(&late, 9);
    fine.client.open(fine.now);
    fine.run(ms(500));
    assert_eq!(fine.client.code(), Some(CODE_EXPIRED));

    // A server that knows of no tokens says so.
    let mut open = World::new(CALM, 9, &Config::DEFAULT);
    open.client = Client::new(&late, 9);
    open.client.open(open.now);
    open.run(ms(500));
    assert_eq!(open.client.code(), Some(CODE_TOKEN));
}

#[test]
fn sessions_of_one_token_have_keys_of_their_own() {
    let token = token(&grant(), 1);
    assert_ne!(token.keys.of_session(1), token.keys.of_session(2));
    assert_ne!(token.keys.to_server, token.keys.of_session(1).to_server);
    // Whoever shows a token that it has only seen, without the keys in it, is not let in.
    let mut thief = token.clone();
    thief.keys = thief.keys.of_session(0);
    let mut world = world(CALM, 1, Some(thief));
    world.run(ms(2_000));
    assert_eq!((world.server.peers(), world.client.session().is_none()), (0, true));
    assert!(world.server.stats().discarded > 3);
}

#[test]
fn a_sealed_session_moves_with_a_genuine_packet_only() {
    let (mut world, id) = connected(CALM, 10);
    world.run(ms(1_000));
    let elsewhere = SocketAddr::from(([10, 0, 0, 2], 2_000));
    let session = world.server.session_mut(id).unwrap().id();
    let forged = data(session, 900, |_| ());
    world.server.input(world.now, elsewhere, &forged);
    let mut packet = Vec::new();
    assert_eq!(world.server.poll_transmit(world.now, &mut packet), None, "not even a challenge");

    world.addr = elsewhere;
    world.client.send(world.now, Channel::ORDERED, b"moved").unwrap();
    world.run(ms(1_000));
    assert_eq!((world.server.addr(id), world.server.stats().moved), (Some(elsewhere), 1));
    assert_eq!(world.server_messages(), [(Channel::ORDERED, Bytes::from_static(b"moved"))]);
    promises_hold(world, id, 300, 3, false);
}

#[test]
fn long_messages_travel_sealed() {
    let (mut world, id) = connected(STORM, 11);
    let long: Vec<u8> = (0..65_536_u32).map(|i| (i * 7 % 251) as u8).collect();
    for channel in [Channel::ORDERED, Channel::UNORDERED] {
        world.client.send(world.now, channel, &long).unwrap();
        world.server.send(world.now, id, channel, &long).unwrap();
    }
    world.run(ms(60_000));
    assert!(world.client_messages().iter().all(|(_, bytes)| *bytes == long));
    assert_eq!(world.server_messages().len(), 2);
}
