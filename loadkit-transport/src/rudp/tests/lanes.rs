//! Lanes, pieces, pacing and figures.

use super::*;
use crate::Delivery;
use crate::rudp::frame::Piece;
use crate::rudp::{BackOff, Channels, Congestion};

/// A message that says what it is: channel, number, and bytes that follow from them.
fn message(channel: Channel, number: u32, len: usize) -> Vec<u8> {
    let mut bytes = number.to_le_bytes().to_vec();
    bytes.push(channel.lane);
    let seed = number as usize * 31 + usize::from(channel.lane) * 7;
    bytes.extend((0..len).map(|i| ((i * 7 + seed) % 251) as u8));
    bytes
}

/// Every lane of every promise, in both directions, with messages of one piece and of several.
fn all_lanes_hold(world: &mut World, id: PeerId, rounds: u32) {
    let lanes: Vec<Channel> = (0..8).flat_map(|lane| PROMISES.map(|channel| Channel { lane, ..channel })).collect();
    let (mut at_client, mut at_server) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        for &channel in &lanes {
            let len = if (round + u32::from(channel.lane)) % 4 == 0 { 3_000 } else { 20 };
            let bytes = message(channel, round, len);
            world.client.send(world.now, channel, &bytes).unwrap();
            world.server.send(world.now, id, channel, &bytes).unwrap();
        }
        world.run(ms(120));
        at_client.extend(world.client_messages());
        at_server.extend(world.server_messages());
        world.client.session_mut().unwrap().check_bounds();
        world.server.session_mut(id).unwrap().check_bounds();
    }
    world.run(ms(30_000));
    at_client.extend(world.client_messages());
    at_server.extend(world.server_messages());
    let all: Vec<u32> = (0..rounds).collect();
    for received in [at_client, at_server] {
        for (channel, bytes) in &received {
            let number = u32::from_le_bytes(bytes[..4].try_into().unwrap());
            assert_eq!(*bytes, message(*channel, number, bytes.len() - 5), "{channel:?}");
        }
        for &channel in &lanes {
            let mut numbers = numbers(&received, channel);
            let is_sequenced = channel.delivery == Delivery::Sequenced;
            assert!(channel.delivery != Delivery::Ordered || numbers == all, "{channel:?}");
            assert!(!is_sequenced || numbers.is_sorted_by(|a, b| a < b), "{channel:?}");
            numbers.sort_unstable();
            if channel.is_reliable() {
                assert_eq!(numbers, all, "{channel:?}");
            } else {
                let count = numbers.len();
                numbers.dedup();
                assert!(numbers.len() == count && count > rounds as usize / 8, "{channel:?}: {count}");
            }
        }
    }
}

#[test]
fn every_lane_holds_its_promise_with_pieces_in_a_storm() {
    for (seed, config) in [Config::DEFAULT, Config::DEFAULT.fast()].into_iter().enumerate() {
        let (mut world, id) = World::connected_with(STORM, seed as u64, &config);
        all_lanes_hold(&mut world, id, 60);
        let (client, server) = (world.client.stats(), world.server.peer_stats(id).unwrap());
        assert!(client.incomplete > 0 && server.incomplete > 0, "{client:?}");
        assert!(client.jitter.is_some_and(|jitter| jitter > ms(1)), "{client:?}");
    }
}

#[test]
fn the_ids_of_every_lane_wrap_around() {
    let (mut world, id) = World::connected(CALM, 3);
    world.run(ms(2_000));
    world.flying.clear();
    // Packets, messages and pieces, each short of their end; ends apart from each other.
    world.client.session_mut().unwrap().start_at(65_500, 65_530, 65_520);
    world.server.session_mut(id).unwrap().start_at(65_530, 65_500, 65_520);
    world.weather = STORM;
    all_lanes_hold(&mut world, id, 60);
}

#[test]
fn a_long_queue_on_one_lane_does_not_hold_up_another() {
    let (mut world, _) = World::connected(CALM, 1);
    world.client.send(world.now, Channel::ORDERED, &[1; 60_000]).unwrap();
    for n in 0..5 {
        world.client.send(world.now, Channel::ORDERED, &[n; 60_000]).unwrap();
    }
    world.client.send(world.now, Channel::new(Delivery::Ordered, 1), b"chat").unwrap();
    world.run(ms(15));
    assert_eq!(world.server_messages(), [(Channel::new(Delivery::Ordered, 1), Bytes::from_static(b"chat"))]);
}

#[test]
fn the_longest_message_has_256_pieces() {
    let config = Config { fragment: usize::MAX, message: usize::MAX, ..Config::DEFAULT };
    let (mut world, _) = World::connected_with(CALM, 1, &config);
    // A packet of 1,200 bytes less its header (15), a frame's (7) and a tag (16), 256 times.
    let longest: Vec<u8> = (0..1_162 * 256_u32).map(|i| (i * 7 % 251) as u8).collect();
    for channel in [Channel::ORDERED, Channel::UNORDERED] {
        world.client.send(world.now, channel, &longest).unwrap();
        world.run(ms(3_000));
        assert!(world.server_messages() == [(channel, Bytes::from(longest.clone()))]);
        let more = [&longest[..], b"x"].concat();
        assert_eq!(world.client.send(world.now, channel, &more).unwrap_err().kind(), Kind::TOO_LARGE);
    }
    // An unreliable one does not even fit into the flush's buffer.
    assert_eq!(world.client.send(world.now, Channel::UNRELIABLE, &longest).unwrap_err().kind(), Kind::BACKLOG);
}

#[test]
fn only_channels_of_the_set_exist() {
    let channels = Channels { unreliable: 1, sequenced: 0, ordered: 200, unordered: 2 };
    let config = Config { channels, ..Config::DEFAULT };
    let (mut world, id) = World::connected_with(CALM, 1, &config);
    let mut send = |delivery, lane| world.client.send(world.now, Channel::new(delivery, lane), b"x");
    for (delivery, lane) in [(Delivery::Sequenced, 0), (Delivery::Unreliable, 1), (Delivery::Unordered, 2)] {
        assert_eq!(send(delivery, lane).unwrap_err().kind(), Kind::TARGET);
    }
    assert_eq!(send(Delivery::Ordered, 16).unwrap_err().kind(), Kind::TARGET, "16 at most");
    send(Delivery::Ordered, 15).unwrap();
    send(Delivery::Unordered, 1).unwrap();
    world.run(ms(100));
    assert_eq!(world.server_messages().len(), 2);
    // A packet with a lane that is not there is refused whole.
    let session = world.server.session_mut(id).unwrap().id();
    let packet = data(session, 900, |out| {
        Frame { channel: Channel::ORDERED, piece: None, id: 0, bytes: b"good" }.write(out);
        Frame { channel: Channel::SEQUENCED, piece: None, id: 0, bytes: b"bad" }.write(out);
    });
    let before = world.server.peer_stats(id).unwrap().discarded;
    world.server.input(world.now, world.addr, &packet);
    world.drain();
    assert_eq!((world.server_messages().len(), world.server.peer_stats(id).unwrap().discarded), (0, before + 1));
}

#[test]
fn pieces_that_do_not_fit_together_end_the_connection() {
    let piece = |index, last| Some(Piece { index, last });
    let bad = [
        // The second piece first; a message within a message; pieces of another message; one before the first.
        vec![(Channel::ORDERED, piece(1, 2), 0)],
        vec![(Channel::ORDERED, piece(0, 2), 0), (Channel::ORDERED, None, 1)],
        vec![
            (Channel::UNORDERED, piece(0, 1), 0),
            (Channel::UNORDERED, piece(1, 2), 1),
            (Channel::UNORDERED, piece(2, 2), 2),
        ],
        vec![(Channel::UNORDERED, piece(3, 5), 0)],
    ];
    for frames in bad {
        let (mut world, id) = World::connected(CALM, 1);
        let session = world.server.session_mut(id).unwrap().id();
        let packet = data(session, 900, |out| {
            for (channel, piece, id) in &frames {
                Frame { channel: *channel, piece: *piece, id: *id, bytes: b"part" }.write(out);
            }
        });
        world.server.input(world.now, world.addr, &packet);
        world.drain();
        assert_eq!(kind(world.to_server.last().map(|(_, event)| event)), Some(Kind::MALFORMED), "{frames:?}");
    }
    // One that grows over the limit, on both reliable channels.
    for channel in [Channel::ORDERED, Channel::UNORDERED] {
        let config = Config { message: 5_000, ..Config::DEFAULT };
        let (mut world, id) = World::connected_with(CALM, 1, &config);
        let session = world.server.session_mut(id).unwrap().id();
        for index in 0..6 {
            let packet = data(session, 900 + index, |out| {
                Frame { channel, piece: piece(index as u8, 5), id: index, bytes: &[7; 1_000] }.write(out);
            });
            world.server.input(world.now, world.addr, &packet);
        }
        world.drain();
        assert_eq!(kind(world.to_server.last().map(|(_, event)| event)), Some(Kind::TOO_LARGE), "{channel:?}");
    }
}

#[test]
fn pieces_that_never_become_whole_cost_a_bounded_time_and_space() {
    let (mut world, id) = World::connected(CALM, 1);
    let session = world.server.session_mut(id).unwrap().id();
    for sequence in 0..2_000_u16 {
        let packet = data(session, 100 + sequence, |out| {
            let piece = Some(Piece { index: (sequence % 7) as u8, last: 250 });
            let channel = PROMISES[2 + usize::from(sequence % 2)];
            Frame { channel, piece, id: sequence / 3, bytes: &[7; 1_100] }.write(out);
        });
        world.server.input(world.now, world.addr, &packet);
        world.server.session_mut(id).unwrap().check_bounds();
    }
    world.run(ms(3_100));
    let stats = world.server.peer_stats(id).unwrap();
    assert!(stats.incomplete > 600, "{stats:?}");
    let session = world.server.session_mut(id).unwrap();
    assert!(session.incoming.deadline(&Config::DEFAULT).is_none(), "all are gone");
}

#[test]
fn a_packet_passed_over_is_sent_again_before_its_time_out() {
    // One of two packets is lost, and nothing follows that could pass it over twice more: 9/8 of the round trip.
    let (mut world, _) = World::connected(CALM, 1);
    for _ in 0..20 {
        world.client.send(world.now, Channel::ORDERED, b"to measure").unwrap();
        world.run(ms(100));
    }
    world.server_messages();
    world.cut[0] = true;
    world.client.send(world.now, Channel::ORDERED, b"lost").unwrap();
    world.drain();
    world.cut[0] = false;
    world.client.send(world.now, Channel::UNORDERED, b"passes").unwrap();
    world.drain();
    // 10 ms there, 20 ms until it is acked, 10 ms back: it is late already, and goes again with the next flush.
    world.run(ms(52));
    let messages = world.server_messages();
    assert_eq!(messages.len(), 2, "{messages:?}");
    let stats = world.client.stats();
    assert_eq!((stats.lost, stats.resends), (1, 1), "the time-out would have been 100 ms");
}

#[test]
fn a_byte_budget_spreads_a_flush() {
    let config = Config { bytes_per_flush: 10_000, bytes_per_second: 100_000, ..Config::DEFAULT };
    let (mut world, _) = World::connected_with(CALM, 1, &config);
    world.run(ms(1_000));
    let sent = |world: &World| world.client.stats().bytes_sent;
    let before = sent(&world);
    for _ in 0..60 {
        world.client.send(world.now, Channel::UNRELIABLE, &[0; 1_000]).unwrap();
    }
    world.drain();
    assert!((8_000..=10_000).contains(&(sent(&world) - before)), "{}", sent(&world) - before);
    world.run(ms(300));
    assert!((38_000..=41_000).contains(&(sent(&world) - before)), "{}", sent(&world) - before);
    world.run(ms(500));
    assert_eq!(world.server_messages().len(), 60);
    assert!(world.client.stats().held_back > 10);
}

#[test]
fn new_reno_yields_to_losses_and_still_delivers() {
    let narrow = Weather { loss_percent: 10, delay: ms(20), ..CALM };
    let bytes = |congestion, weather| {
        let config = Config { congestion, ..Config::DEFAULT };
        let (mut world, _) = World::connected_with(weather, 2, &config);
        for _ in 0..400 {
            world.client.send(world.now, Channel::ORDERED, &[0; 1_000]).unwrap();
        }
        world.run(ms(300));
        let (early, stats) = (world.server_messages().len(), world.client.stats());
        world.run(ms(60_000));
        assert_eq!(early + world.server_messages().len(), 400);
        (early, stats.held_back)
    };
    let (free, none) = bytes(Congestion::Off, narrow);
    let (yielding, held_back) = bytes(Congestion::NewReno, narrow);
    assert!(yielding * 2 < free && held_back > 0 && none == 0, "{yielding} {free} {held_back}");
    // Without losses the window opens as far as packets are remembered.
    let (calm, _) = bytes(Congestion::NewReno, CALM);
    assert!(calm > 200, "{calm}");
}

#[test]
fn figures_tell_what_the_network_did() {
    let weather = Weather { loss_percent: 10, twice_percent: 5, delay: ms(20), jitter: ms(30) };
    let (mut world, id) = World::connected(weather, 4);
    for n in 0..2_000_u32 {
        world.client.send(world.now, Channel::UNRELIABLE, &n.to_le_bytes()).unwrap();
        world.server.send(world.now, id, Channel::UNRELIABLE, &n.to_le_bytes()).unwrap();
        world.run(ms(10));
    }
    for stats in [world.client.stats(), world.server.peer_stats(id).unwrap()] {
        let share = |count: u64| count as f64 / 2_000.0;
        assert!((0.07..0.13).contains(&share(stats.lost_received)), "{stats:?}");
        // Those that are late beyond three others, or 9/8 of a round trip, count as lost too.
        assert!((0.07..0.5).contains(&share(stats.lost)), "{stats:?}");
        assert!((0.03..0.07).contains(&share(stats.duplicates)), "{stats:?}");
        assert!((0.1..0.7).contains(&share(stats.reordered)), "{stats:?}");
        assert!(stats.min_rtt < stats.srtt && stats.queue_age.is_none(), "{stats:?}");
    }
    // What waits has an age.
    world.cut = [true; 2];
    world.client.send(world.now, Channel::ORDERED, b"waits").unwrap();
    world.run(ms(4_000));
    let age = world.client.stats().queue_age.unwrap();
    assert!(age >= ms(2_500) && age <= ms(4_000), "{age:?}");
}

#[test]
fn a_back_off_by_half_is_one() {
    let config = Config { back_off: BackOff::ByHalf, rto_min: ms(100), ..Config::DEFAULT };
    let tries = |config: &Config| {
        let (mut world, _) = World::connected_with(CALM, 1, config);
        world.cut = [true; 2];
        let before = world.client.stats().resends;
        world.client.send(world.now, Channel::ORDERED, b"x").unwrap();
        world.run(ms(5_000));
        world.client.stats().resends - before
    };
    let (double, by_half) = (tries(&Config::DEFAULT), tries(&config));
    assert!(by_half > double && (3..=6).contains(&double), "{by_half} {double}");
}
