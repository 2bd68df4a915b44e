//! Both ends over a bad network, in virtual time.

use std::time::Duration;

use bytes::Bytes;
use loadkit_core::Kind;
use loadkit_core::network::{Direction, Jitter, Reorder, Spread};
use tokio::time::Instant;

use super::wire::{Command, OVERHEAD, Segment, Segments};
use super::{Config, Mode, NoDelay, Session};
use crate::conditions::Path;
use crate::framing::{Boundary, Framing};
use crate::protocol::{Channel, Event, Protocol};

mod fuzz;
mod server;
mod transcript;

const CONV: u32 = 0x0102_0304;

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const CALM: Direction = Direction { latency: ms(20), ..NOTHING };
const STORM: Direction = Direction {
    jitter: Some(Jitter { spread: Spread::Uniform(ms(50)), wanders: ms(0) }),
    loss: 0.2,
    duplicate: 0.05,
    reorder: Some(Reorder { share: 0.2, by: ms(50) }),
    ..CALM
};
const NOTHING: Direction = Direction {
    latency: ms(0),
    jitter: None,
    loss: 0.0,
    bursts: None,
    duplicate: 0.0,
    reorder: None,
    line: None,
    mtu: None,
};

/// Two ends and the network between them.
struct World {
    now: Instant,
    ends: [Session; 2],
    /// To each.
    paths: [Path; 2],
    /// Packets that each has sent.
    packets: [Vec<Vec<u8>>; 2],
    /// Nothing gets through to it.
    cut: [bool; 2],
    /// It fetches nothing.
    asleep: [bool; 2],
    events: [Vec<Event>; 2],
}

impl World {
    fn new(weather: Direction, seed: u64, configs: [&Config; 2]) -> World {
        let now = Instant::now();
        let mut ends = configs.map(|config| Session::new(config, CONV, now));
        for end in &mut ends {
            end.open(now);
            assert_eq!(end.poll_event(), Some(Event::Connected));
        }
        World {
            now,
            ends,
            paths: [seed, seed + 1_000].map(|seed| Path::new(&weather, seed)),
            packets: [Vec::new(), Vec::new()],
            cut: [false; 2],
            asleep: [false; 2],
            events: [Vec::new(), Vec::new()],
        }
    }

    fn drain(&mut self) {
        for from in 0..2 {
            let mut packet = Vec::new();
            while self.ends[from].poll_transmit(self.now, &mut packet) {
                assert!(!packet.is_empty() && packet.len() <= self.ends[from].config().mtu, "{}", packet.len());
                if !self.cut[1 - from] {
                    self.paths[1 - from].send(self.now, &packet);
                }
                self.packets[from].push(std::mem::take(&mut packet));
            }
            while !self.asleep[from]
                && let Some(event) = self.ends[from].poll_event()
            {
                self.events[from].push(event);
            }
            self.ends[from].check_bounds();
        }
    }

    /// Lets `time` pass.
    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        let mut stuck = 0;
        loop {
            self.drain();
            let deadlines = self.ends.iter().map(Session::deadline);
            let next = deadlines.chain(self.paths.iter().map(Path::deadline)).flatten().min();
            let Some(next) = next.filter(|&next| next <= end) else { break };
            stuck = if next > self.now { 0 } else { stuck + 1 };
            assert!(stuck < 5, "a deadline that has come stays: {:?}", self.ends);
            self.now = self.now.max(next);
            for (end, path) in self.ends.iter_mut().zip(&mut self.paths) {
                while let Some((at, packet)) = path.poll(self.now) {
                    end.input(at, &packet);
                }
            }
            for end in &mut self.ends {
                end.timeout(self.now);
            }
        }
        self.now = end;
    }

    fn send(&mut self, from: usize, message: &[u8]) -> Result<(), Kind> {
        self.ends[from].send(self.now, Channel::ORDERED, message).map_err(|failure| failure.kind())
    }

    fn messages(&mut self, at: usize) -> Vec<Bytes> {
        let events = self.events[at].drain(..).filter_map(|event| match event {
            Event::Message { channel: Channel::ORDERED, payload } => Some(payload),
            _ => None,
        });
        events.collect()
    }

    fn ended(&self, at: usize) -> Option<Kind> {
        self.events[at].iter().find_map(|event| match event {
            Event::Closed(failure) => Some(failure.kind()),
            _ => None,
        })
    }

    /// What each segment was that an end has sent, in order.
    fn commands(&self, from: usize) -> Vec<Command> {
        let segments = self.packets[from].iter().flat_map(|packet| Segments::read(packet).unwrap());
        segments.map(|segment| segment.command).collect()
    }

    /// Nothing is held any more.
    fn is_idle(&self) -> bool {
        self.ends.iter().all(|end| end.is_idle() && end.deadline().is_none())
    }
}

/// A message that can be told from others, from one segment to a few long.
fn message(n: u32) -> Vec<u8> {
    let len = if n.is_multiple_of(7) { n * 131 % 5_000 } else { n % 150 };
    let mut bytes = n.to_le_bytes().to_vec();
    bytes.extend((0..len).map(|i| (i ^ n) as u8));
    bytes
}

/// Sends numbered messages both ways, and checks that each arrives once and in order.
fn all_arrive(mut world: World, count: u32) -> World {
    let mut waits = 0;
    for n in 0..count {
        for end in 0..2 {
            while world.send(end, &message(n)) == Err(Kind::BACKLOG) {
                world.run(ms(10));
                waits += 1;
                assert!(waits < 100_000);
            }
        }
        if n % 4 == 0 {
            world.run(ms(5));
        }
    }
    for _ in 0..3_600 {
        if !world.is_idle() {
            world.run(ms(1_000));
        }
    }
    for end in 0..2 {
        let received = world.messages(end);
        assert_eq!(received.len(), count as usize, "to {end}");
        for (n, bytes) in (0..count).zip(&received) {
            assert!(*bytes == message(n), "message {n} to {end}");
        }
    }
    assert!(world.is_idle());
    world
}

#[test]
fn each_message_arrives_once_and_in_order_in_calm_and_in_storm() {
    let framing = Framing { boundary: Boundary::Varint, ..Framing::default() };
    let frames = Config { mode: Mode::Frames(framing), ..Config::FAST };
    let small = Config { mtu: 100, message: 5_100, ..Config::NORMAL };
    let flat = Config { nodelay: NoDelay::Flat, at_once: true, ..Config::FAST };
    for (seed, config) in [Config::FAST, Config::NORMAL, frames, small, flat].iter().enumerate() {
        let world = all_arrive(World::new(CALM, 1, [config, config]), 300);
        let stats = world.ends[0].stats();
        assert_eq!((stats.lost, stats.discarded), (0, 0), "{config:?}");
        let world = all_arrive(World::new(STORM, seed as u64, [config, config]), 300);
        assert!(world.ends[0].stats().resends > 0, "{config:?}");
    }
}

#[test]
fn a_stream_keeps_its_bytes_and_shares_its_segments() {
    let config = Config { mode: Mode::Stream, ..Config::FAST };
    let mut world = World::new(STORM, 5, [&config, &config]);
    let mut sent = Vec::new();
    for n in 0..400 {
        sent.extend(message(n));
        world.send(0, &message(n)).unwrap();
        world.send(0, b"").unwrap();
    }
    world.run(ms(20_000));
    let received = world.messages(1);
    assert_eq!(received.concat(), sent);
    assert_eq!(received.len(), sent.len().div_ceil(1_376), "every segment but the last is full");
}

#[test]
fn sequence_numbers_and_times_wrap_around() {
    let mut world = World::new(STORM, 3, [&Config::FAST, &Config::FAST]);
    world.ends[0].start_at(u32::MAX - 50, i32::MAX as u32 - 40);
    world.ends[1].start_at(i32::MAX as u32 - 40, u32::MAX - 50);
    // The clock in the segments begins anew 2^32 ms after the opening: nothing has a deadline until then.
    world.run(ms(u64::from(u32::MAX) - 300));
    assert_eq!((world.packets[0].len(), world.ends[0].deadline()), (0, None));
    let world = all_arrive(world, 300);
    let times: Vec<u32> =
        world.packets[0].iter().map(|packet| Segments::read(packet).unwrap().last().unwrap().ts).collect();
    assert!(times.iter().any(|ts| *ts > u32::MAX - 300) && times.iter().any(|ts| *ts < 1_000));
    let srtt = world.ends[0].stats().srtt.unwrap();
    assert!(srtt > ms(40) && srtt < ms(250), "{srtt:?}");
}

#[test]
fn an_idle_hour_costs_nothing_and_a_message_after_it_arrives() {
    let mut world = World::new(CALM, 1, [&Config::FAST, &Config::FAST]);
    world.send(0, b"hello").unwrap();
    world.run(ms(1_000));
    assert!(world.is_idle());
    let before = (world.packets[0].len(), world.packets[1].len());
    world.run(Duration::from_secs(3_600));
    assert_eq!((world.packets[0].len(), world.packets[1].len()), before);
    world.send(1, b"still there?").unwrap();
    world.run(ms(100));
    assert_eq!((world.messages(1), world.messages(0)), (vec![Bytes::from("hello")], vec![Bytes::from("still there?")]));
    assert!(size_of::<Session>() <= 488, "{}", size_of::<Session>());
}

#[test]
fn what_is_queued_waits_for_the_grid_unless_it_is_to_go_at_once() {
    let sent_at = |config: &Config| {
        let mut world = World::new(CALM, 1, [config, config]);
        world.run(ms(13));
        world.send(0, b"x").unwrap();
        world.send(0, b"y").unwrap();
        let began = world.now;
        while world.packets[0].is_empty() {
            let next = world.ends[0].deadline().unwrap();
            world.run(next - world.now);
        }
        assert_eq!(world.packets[0].len(), 1, "what comes up between two flushes shares a packet");
        let sent = world.now - began;
        world.run(ms(500));
        assert_eq!(world.messages(1).len(), 2);
        (sent, world.ends[0].stats().min_rtt.unwrap())
    };
    // 13 ms after the beginning: the grid's next points are 20 and 40 ms; the peer's acks wait for its own grid.
    assert_eq!(sent_at(&Config::FAST), (ms(7), ms(40)));
    assert_eq!(sent_at(&Config::NORMAL), (ms(27), ms(60)));
    assert_eq!(sent_at(&Config { at_once: true, ..Config::NORMAL }), (ms(0), ms(40)));
}

#[test]
fn a_dead_link_ends_after_so_many_resends() {
    let config = Config { dead_link: 5, ..Config::FAST };
    let mut world = World::new(CALM, 1, [&config, &config]);
    world.cut = [false, true];
    world.send(0, b"is anybody there").unwrap();
    world.run(ms(60_000));
    assert_eq!((world.ended(0), world.packets[0].len()), (Some(Kind::TIMED_OUT), 5));
    assert_eq!(world.ended(1), None, "who sends nothing does not find out: KCP has no goodbye");
    assert_eq!(world.send(0, b"x"), Err(Kind::CLOSED));
    assert!(world.is_idle());
    // 200 ms, and half as long again each time: sent at 0, 200, 500, 950 and 1,625 ms, given up at 2,637 ms.
    let stats = world.ends[0].stats();
    assert_eq!((stats.resends, stats.lost), (4, 4));
}

#[test]
fn keep_alive_asks_for_the_window_and_silence_ends_it() {
    let config = Config { keep_alive: Some(ms(1_000)), time_out: Some(ms(5_000)), ..Config::FAST };
    let mut world = World::new(CALM, 1, [&config, &Config::FAST]);
    world.run(ms(30_500));
    assert_eq!(world.commands(0), [Command::Ask; 29], "each answer comes 50 ms later and begins a new silence");
    assert_eq!(world.commands(1), [Command::Tell; 29]);
    assert_eq!(world.ended(0), None);
    world.cut = [true, false];
    world.run(ms(3_900));
    assert_eq!(world.ended(0), None);
    world.run(ms(1_200));
    assert_eq!((world.ended(0), world.ended(1)), (Some(Kind::TIMED_OUT), None));
    assert!(world.packets.iter().flatten().all(|packet| packet.len() == OVERHEAD));
}

#[test]
fn a_receiver_that_fetches_nothing_shuts_its_window_and_opens_it_again() {
    let mut world = World::new(CALM, 1, [&Config::FAST, &Config::FAST]);
    world.asleep = [false, true];
    let mut sent = 0;
    while world.send(0, &message(sent)).is_ok() {
        sent += 1;
    }
    world.run(ms(6_000));
    assert_eq!(world.ends[0].windows().2, 0);
    // 128 messages fill the window; 7 s later it is asked for, then 10.5 s after that, 15.75, 23.6, …
    let asks = |world: &World| world.commands(0).iter().filter(|command| **command == Command::Ask).count();
    let pushes = world.commands(0).len();
    world.run(ms(50_000));
    assert_eq!(asks(&world), 3);
    assert!(
        world.commands(0).len() - pushes < 20,
        "hardly anything else is sent: {}",
        world.commands(0).len() - pushes
    );
    world.asleep = [false; 2];
    world.run(ms(5_000));
    let received = world.messages(1);
    assert_eq!(received.len(), sent as usize);
    assert!(received.iter().zip(0..).all(|(bytes, n)| *bytes == message(n)));
    assert_eq!(asks(&world), 3, "it was told, and had not to ask");
    assert!(world.is_idle());
}

#[test]
fn the_congestion_window_grows_with_acks_and_closes_with_losses() {
    let mut world = World::new(CALM, 1, [&Config::NORMAL, &Config::NORMAL]);
    let mut windows = Vec::new();
    for _ in 0..12 {
        for _ in 0..8 {
            world.send(0, &[7; 1_376]).unwrap();
        }
        windows.push(world.ends[0].windows().0);
        world.run(ms(80));
    }
    assert_eq!(
        windows[..5],
        [1, 2, 2, 4, 4],
        "slow start up to the threshold of 2, and avoidance after it, rounded up"
    );
    assert!(windows.is_sorted() && windows[11] < 8, "{windows:?}");
    world.cut = [false, true];
    world.run(ms(2_000));
    assert_eq!(world.ends[0].windows().0, 1);
    world.cut = [false; 2];
    world.run(ms(30_000));
    assert_eq!((world.messages(1).len(), world.is_idle()), (96, true));
}

#[test]
fn what_was_skipped_is_sent_again_before_its_time_out() {
    // The least time-out is 100 ms, the round trip 40 ms.
    let config = Config { nodelay: NoDelay::Off, ..Config::FAST };
    let mut world = World::new(CALM, 1, [&config, &config]);
    for _ in 0..50 {
        world.send(0, b"steady").unwrap();
        world.run(ms(10));
    }
    world.run(ms(1_000));
    let before = world.ends[0].stats();
    world.cut = [false, true];
    world.send(0, b"lost").unwrap();
    world.run(ms(10));
    world.cut = [false; 2];
    for _ in 0..3 {
        world.send(0, b"later").unwrap();
        world.run(ms(10));
    }
    // The acks of later ones come after 50, 60 and 70 ms, and the resend, which leaves at 60 ms, arrives at 80 ms.
    world.run(ms(40));
    let stats = world.ends[0].stats();
    assert_eq!((stats.resends - before.resends, stats.lost - before.lost), (1, 0));
    assert_eq!(world.messages(1).len(), 54);
}

#[test]
fn bounds_are_errors_and_a_full_buffer_drains() {
    let mut world = World::new(CALM, 6, [&Config::FAST, &Config::FAST]);
    assert_eq!(world.send(0, &vec![0; 65_537]), Err(Kind::TOO_LARGE));
    for channel in
        [Channel::UNRELIABLE, Channel::SEQUENCED, Channel::UNORDERED, Channel::new(crate::Delivery::Ordered, 1)]
    {
        let failure = world.ends[0].send(world.now, channel, b"x").unwrap_err();
        assert_eq!(failure.kind(), Kind::TARGET);
    }
    world.cut = [true; 2];
    let mut sent = 0;
    while world.send(0, &[0; 1_000]) == Ok(()) {
        sent += 1;
    }
    assert_eq!((world.send(0, &[0; 1_000]), sent), (Err(Kind::BACKLOG), 512 * 1024 / 1_096));
    world.cut = [false; 2];
    world.run(ms(5_000));
    assert_eq!(world.messages(1).len(), sent);
    world.send(0, &[0; 1_000]).unwrap();
    let few = Config { mtu: 100, ..Config::FAST };
    let mut world = World::new(CALM, 6, [&few, &few]);
    assert_eq!(world.send(0, &[0; 127 * 76 + 1]), Err(Kind::TOO_LARGE), "more than 127 fragments");
    world.send(0, &[0; 127 * 76]).unwrap();
    world.run(ms(1_000));
    assert_eq!(world.messages(1).len(), 1);
}

#[test]
fn a_message_over_the_limit_ends_the_connection_before_it_is_held() {
    let small = Config { message: 10_000, ..Config::FAST };
    let mut world = World::new(CALM, 1, [&Config::FAST, &small]);
    world.send(0, &vec![1; 60_000]).unwrap();
    world.run(ms(1_000));
    assert_eq!(world.ended(1), Some(Kind::TOO_LARGE));
    let frames = |max| Config { mode: Mode::Frames(Framing { max, ..Framing::default() }), ..Config::FAST };
    let mut world = World::new(CALM, 1, [&frames(60_000), &frames(10_000)]);
    world.send(0, &vec![1; 60_000]).unwrap();
    world.run(ms(1_000));
    assert_eq!(world.ended(1), Some(Kind::TOO_LARGE));
}

#[test]
fn closing_waits_for_acks_and_aborting_for_nothing() {
    let mut world = World::new(CALM, 1, [&Config::FAST, &Config::FAST]);
    world.send(0, b"last words").unwrap();
    world.ends[0].close(world.now);
    assert_eq!(world.send(0, b"x"), Err(Kind::CLOSED));
    world.run(ms(39));
    assert_eq!(world.ended(0), None);
    world.run(ms(1));
    assert_eq!((world.ended(0), world.messages(1).len()), (Some(Kind::CLOSED), 1));
    // The other side closes too, and has nothing to wait for.
    world.ends[1].close(world.now);
    world.run(ms(0));
    assert_eq!(world.ended(1), Some(Kind::CLOSED));

    let mut world = World::new(CALM, 1, [&Config::FAST, &Config::FAST]);
    world.cut = [true; 2];
    world.send(0, b"nobody hears").unwrap();
    world.ends[0].close(world.now);
    world.run(ms(299));
    assert_eq!(world.ended(0), None);
    world.run(ms(1));
    assert_eq!(world.ended(0), Some(Kind::CLOSED), "lingers 300 ms at most");

    let mut world = World::new(CALM, 1, [&Config::FAST, &Config::FAST]);
    world.run(ms(13));
    world.send(0, b"on the way out").unwrap();
    world.ends[0].abort(world.now);
    world.run(ms(0));
    assert_eq!((world.ended(0), world.packets[0].len()), (Some(Kind::CLOSED), 1), "off the grid");
    world.run(ms(100));
    assert_eq!((world.messages(1).len(), world.is_idle()), (1, true));
    let mut fresh = Session::new(&Config::FAST, 1, Instant::now());
    fresh.close(Instant::now());
    assert!(
        matches!(fresh.poll_event(), Some(Event::Closed(_))) && !fresh.poll_transmit(Instant::now(), &mut Vec::new())
    );
}

#[test]
fn what_cannot_be_true_spoils_its_datagram() {
    let mut world = World::new(CALM, 1, [&Config::FAST, &Config::FAST]);
    world.cut = [true; 2];
    world.send(0, b"one").unwrap();
    world.run(ms(10));
    let true_ts = Segments::read(&world.packets[0][0]).unwrap().next().unwrap().ts;
    let good = Segment { conv: CONV, command: Command::Ack, frg: 0, wnd: 100, ts: true_ts, sn: 0, una: 0, data: &[] };
    let lies = [
        Segment { conv: CONV + 1, ..good },
        Segment { sn: 1, ..good },
        Segment { sn: u32::MAX / 2, ..good },
        Segment { una: 2, command: Command::Tell, ..good },
    ];
    let end = &mut world.ends[0];
    for (n, lie) in (1..).zip(lies) {
        let mut datagram = Vec::new();
        good.write(&mut datagram);
        lie.write(&mut datagram);
        end.input(world.now, &datagram);
        assert_eq!((end.stats().discarded, end.is_idle()), (n, false), "{lie:?}");
    }
    // A time that was never sent teaches nothing, but the ack is true.
    let mut datagram = Vec::new();
    Segment { ts: true_ts.wrapping_sub(1_000_000), ..good }.write(&mut datagram);
    end.input(world.now, &datagram);
    assert_eq!((end.stats().rtt, end.stats().discarded, end.is_idle()), (None, 4, true));
    // Again, late: nothing happens.
    end.input(world.now, &datagram);
    assert_eq!((end.stats().rtt, end.poll_event()), (None, None));
}

#[test]
fn a_resent_segment_measures_the_sending_that_was_acked() {
    // The first time-out, 200 ms, is far below the round trip of 600 ms.
    let mut world = World::new(Direction { latency: ms(300), ..CALM }, 1, [&Config::FAST, &Config::FAST]);
    for _ in 0..20 {
        world.send(0, b"x").unwrap();
        world.run(ms(700));
    }
    let stats = world.ends[0].stats();
    assert!(stats.min_rtt.unwrap() >= ms(600) && stats.srtt.unwrap() < ms(615), "{stats:?}");
    assert!(stats.resends < 6, "{stats:?}");
}
