//! Input that means harm: nothing panics, nothing grows.

use proptest::prelude::*;

use super::super::wire::{Body, Command, Fragment, Header, Terms, ThrottleRates};
use super::*;

/// A datagram of these commands to whoever gave the sender this number.
fn datagram(peer: u16, session: u8, commands: &[Command]) -> Vec<u8> {
    let mut bytes = Header { peer, session, sent_time: Some(1) }.bytes().0.to_vec();
    commands.iter().for_each(|command| command.write(&mut bytes));
    bytes
}

fn command(channel: u8, sequence: u16, body: Body) -> Command {
    let unsequenced = matches!(body, Body::Unsequenced { .. });
    let acknowledge = matches!(body, Body::Reliable(_) | Body::Fragment(_) | Body::Ping | Body::Disconnect { .. });
    Command { channel, sequence, acknowledge, unsequenced, body }
}

fn terms(connect_id: u32) -> Terms {
    Terms {
        peer: 0,
        sessions: [255; 2],
        mtu: 1_392,
        window: 65_536,
        channels: 3,
        bandwidth: [0; 2],
        throttle: ThrottleRates { interval_ms: 5_000, acceleration: 2, deceleration: 2 },
        connect_id,
    }
}

#[test]
fn a_flood_of_requests_fills_the_table_and_no_more() {
    let now = Instant::now();
    let mut server = Server::new(config(), 50, [1, 2], now);
    let (mut asked, mut answered, mut packet) = (0, 0, Vec::new());
    for n in 0..20_000_u32 {
        let from = SocketAddr::from((n.to_be_bytes(), 9));
        let connect = command(0xFF, 1, Body::Connect { terms: terms(n), data: 0 });
        let request = datagram(0xFFF, 0, &[connect]);
        asked += request.len();
        server.input(now, from, &request);
        while server.poll_transmit(now, &mut packet).is_some() {
            answered += packet.len();
            packet.clear();
        }
    }
    server.check_bounds();
    assert_eq!((server.peers(), server.stats().denied, server.poll_event()), (50, 19_950, None));
    assert!(answered < asked / 100, "{answered} {asked}");
    // They never finish, and are forgotten.
    let mut later = now;
    while let Some(at) = server.deadline() {
        later = later.max(at);
        server.timeout(later);
        while server.poll_transmit(later, &mut packet).is_some() {
            answered += packet.len();
            packet.clear();
        }
    }
    assert!(later < now + Duration::from_secs(40) && answered <= 50 * 7 * 48, "{answered}");
    server.check_bounds();
    assert_eq!((server.peers(), server.poll_event()), (0, None));
}

#[test]
fn fragments_that_never_complete_are_bounded() {
    let (mut world, id) = World::connected(CALM, 1);
    let session = world.server.session(id).unwrap().sessions()[0];
    let bytes = [7; 1_300];
    for round in 0..3_u32 {
        for n in 0..20_000_u32 {
            let (channel, start) = ((n % 3) as u8, (2 + n / 3) as u16);
            let piece = |total: u32| Fragment {
                start,
                count: total.div_ceil(1_300),
                number: 0,
                total,
                offset: 0,
                bytes: &bytes,
            };
            let body = match round {
                0 => Body::Fragment(piece(1 << 20)),
                1 => Body::UnreliableFragment(piece(100_000)),
                _ => Body::Reliable(&bytes),
            };
            world.server.input(world.now, world.addr, &datagram(0, session, &[command(channel, start, body)]));
        }
        world.drain();
        world.check_bounds();
    }
    assert!(world.server_messages().is_empty());
    let session = world.server.session(id).unwrap();
    assert!(session.heap() < 10_000, "{}", session.heap());
    // In spite of it all, what is due gets through.
    world.client.send(world.now, Channel::ORDERED, b"due").unwrap();
    world.run(ms(100));
    assert_eq!(world.server_messages().first(), Some(&(Channel::ORDERED, Bytes::from_static(b"due"))));
    // Pieces of unreliable messages are forgotten in time.
    world.run(ms(6_000));
    world.check_bounds();
}

#[test]
fn a_peer_that_acknowledges_what_was_never_sent_learns_nothing() {
    let (mut world, id) = World::connected(CALM, 2);
    world.run(ms(100));
    let sessions = world.server.session(id).unwrap().sessions();
    world.client.send(world.now, Channel::ORDERED, b"one").unwrap();
    world.cut[0] = true;
    world.drain();
    for channel in [0, 1, 2, 9, 254, 255] {
        for sequence in (2..60_000).step_by(7) {
            let lie = Body::Acknowledge { sequence, sent_time: sequence };
            world.client.input(world.now, &datagram(0, sessions[1], &[command(channel, sequence, lie)]));
        }
    }
    let stats = world.client.stats();
    assert_eq!(stats.srtt, Some(ms(20)), "{stats:?}");
    world.cut[0] = false;
    world.run(ms(1_000));
    assert_eq!(numbers_of(&world.server_messages()), ["one"]);
}

fn numbers_of(messages: &[(Channel, Bytes)]) -> Vec<&str> {
    messages.iter().map(|(_, bytes)| std::str::from_utf8(bytes).unwrap()).collect()
}

#[test]
fn forged_and_repeated_datagrams_change_nothing() {
    let (mut world, id) = World::connected(CALM, 3);
    for channel in [Channel::UNRELIABLE, Channel::SEQUENCED, Channel::ORDERED] {
        world.client.send(world.now, channel, b"once").unwrap();
    }
    let mut packet = Vec::new();
    assert!(world.client.poll_transmit(world.now, &mut packet));
    for _ in 0..10 {
        world.server.input(world.now, world.addr, &packet);
    }
    // Of another session, to another peer, from another address, compressed.
    for (at, bits) in [(0, 0x10), (1, 1), (0, 0x40)] {
        let mut forged = packet.clone();
        forged[at] ^= bits;
        world.server.input(world.now, world.addr, &forged);
    }
    world.server.input(world.now, SocketAddr::from(([10, 0, 0, 2], 1_000)), &packet);
    world.drain();
    assert_eq!(world.server_messages().len(), 3);
    assert_eq!((world.server.stats().discarded, world.server.peer_stats(id).unwrap().discarded), (2, 2));
    // A verification of a connection that is not there.
    let verify = command(0xFF, 1, Body::VerifyConnect(Terms { peer: 9, ..terms(1) }));
    let sessions = world.server.session(id).unwrap().sessions();
    world.client.input(world.now, &datagram(0, sessions[1], &[verify]));
    world.run(ms(100));
    assert!(world.session().is_connected());
}

#[test]
fn a_server_that_verifies_something_else_is_refused() {
    for terms in [
        Terms { connect_id: 8, ..terms(7) },
        Terms { channels: 0, ..terms(7) },
        Terms { peer: 0xFFF, ..terms(7) },
        Terms { throttle: ThrottleRates { interval_ms: 1, ..terms(7).throttle }, ..terms(7) },
    ] {
        let mut client = Client::new(&config(), 7);
        let now = Instant::now();
        client.open(now);
        client.input(now, &datagram(0, 0, &[command(0xFF, 1, Body::VerifyConnect(terms))]));
        assert_eq!(kind(client.poll_event().as_ref()), Some(Kind::MALFORMED), "{terms:?}");
    }
}

/// Kind, channel, sequence number, flags, numbers, length.
type Rough = (u8, u8, u16, [u8; 2], [u32; 4], usize);

/// Commands with small numbers, which meet each other.
fn commands() -> impl Strategy<Value = Vec<Rough>> {
    let number = prop_oneof![0..6_u32, any::<u32>()];
    let numbers = [number.clone(), number.clone(), number.clone(), number];
    let sequence = prop_oneof![0..12_u16, 0xFFF0..=0xFFFF_u16, any::<u16>()];
    prop::collection::vec((1..=12_u8, 0..5_u8, sequence, any::<[u8; 2]>(), numbers, 0..40_usize), 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn garbage_neither_panics_nor_grows(
        packets in prop::collection::vec((any::<bool>(), any::<bool>(), commands(), any::<Vec<u8>>(), 0_u64..700), 0..40),
    ) {
        let (mut world, id) = World::connected(CALM, 16);
        let sessions = world.server.session(id).unwrap().sessions();
        let bytes = [9; 40];
        for (to_server, is_sound, commands, garbage, wait) in packets {
            let commands: Vec<_> = commands.iter().map(|(kind, channel, sequence, flags, n, len)| {
                let bytes = &bytes[..*len];
                let fragment =
                    Fragment { start: *sequence, count: n[0], number: n[1], total: n[2], offset: n[3], bytes };
                let body = match kind {
                    1 => Body::Acknowledge { sequence: *sequence, sent_time: n[0] as u16 },
                    2 => Body::Connect { terms: terms(n[0]), data: n[1] },
                    3 => Body::VerifyConnect(terms(n[0])),
                    // Rarely, or all ends at once.
                    4 if n[0] == 0 => Body::Disconnect { data: n[1] },
                    6 => Body::Reliable(bytes),
                    7 => Body::Unreliable { number: n[0] as u16, bytes },
                    8 => Body::Fragment(fragment),
                    9 => Body::Unsequenced { group: n[0] as u16, bytes },
                    10 => Body::BandwidthLimit([n[0], n[1]]),
                    11 => Body::ThrottleConfigure(ThrottleRates {
                        interval_ms: n[0], acceleration: n[1], deceleration: n[2],
                    }),
                    12 => Body::UnreliableFragment(fragment),
                    _ => Body::Ping,
                };
                let channel = if *channel == 4 { 0xFF } else { *channel };
                Command {
                    channel, sequence: *sequence, acknowledge: flags[0] % 4 > 0, unsequenced: flags[1] % 4 == 0, body,
                }
            }).collect();
            let mut bytes = datagram(0, sessions[usize::from(!to_server)], &commands);
            if !is_sound {
                bytes.truncate(garbage.len() * 3);
                for (at, byte) in garbage.iter().enumerate() {
                    let place = at * 7 % (bytes.len().max(1));
                    if let Some(place) = bytes.get_mut(place + 2) {
                        *place ^= byte;
                    }
                }
            }
            if to_server {
                world.server.input(world.now, world.addr, &bytes);
            } else {
                world.client.input(world.now, &bytes);
            }
            let _ = world.client.send(world.now, Channel::ORDERED, b"more");
            world.run(ms(wait));
            world.check_bounds();
        }
        prop_assert!(world.server.peers() <= 1);
    }
}
