//! Our KCP against another implementation, the crate `kcp`, both ways over a bad network, in virtual time.
//!
//! `LOADKIT_INTEROP_MESSAGES=1000000` sends so many messages in all instead of a number that a CI can afford.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::cell::RefCell;
use std::env;
use std::io;
use std::mem;
use std::rc::Rc;
use std::time::Duration;

use kcp::Kcp;
use loadkit_core::network::{Direction, Jitter, Reorder, Spread};
use loadkit_transport::conditions::Path;
use loadkit_transport::kcp::{Config, Mode, NoDelay, Session};
use loadkit_transport::{Boundary, Channel, Event, Framing, Prefix, Protocol};
use tokio::time::Instant;

const CONV: u32 = 0x00C0_FFEE;
/// Messages in all, of all runs and directions.
const MESSAGES: u32 = 30_000;
/// Runs: the number of calls of [`play`].
const RUNS: u32 = 5;
/// The longest message: 4 fragments.
const LONGEST: u32 = 5_000;

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// One way of a bad network: 10 % loss, 5 % duplication, 50 ms of jitter, and every twentieth held back beside that.
fn path(seed: u64) -> Path {
    let direction = Direction {
        latency: ms(20),
        jitter: Some(Jitter { spread: Spread::Uniform(ms(50)), wanders: ms(0) }),
        loss: 0.1,
        duplicate: 0.05,
        reorder: Some(Reorder { share: 0.05, by: ms(60) }),
        ..Direction::default()
    };
    Path::new(&direction, seed)
}

/// What the other implementation writes its datagrams into.
#[derive(Clone, Default)]
struct Output(Rc<RefCell<Vec<Vec<u8>>>>);

impl io::Write for Output {
    fn write(&mut self, datagram: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().push(datagram.to_vec());
        Ok(datagram.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A message that can be told from all others, from 4 bytes to [`LONGEST`].
fn message(n: u32) -> Vec<u8> {
    let len = if n.is_multiple_of(9) { n.wrapping_mul(2_654_435_761) % LONGEST } else { n % 120 };
    let mut bytes = n.to_le_bytes().to_vec();
    bytes.extend((4..len).map(|i| (i ^ n) as u8));
    bytes
}

/// What one side has received: numbered messages, or the bytes of a stream of such.
#[derive(Default)]
struct Received {
    next: u32,
    stream: Vec<u8>,
}

impl Received {
    /// The next message, which must be the one that is due.
    fn message(&mut self, bytes: &[u8]) {
        assert!(bytes == message(self.next), "message {} is another, of {} bytes", self.next, bytes.len());
        self.next += 1;
    }

    fn stream(&mut self, bytes: &[u8]) {
        self.stream.extend_from_slice(bytes);
        let mut rest = &self.stream[..];
        let framing = framing();
        while let Some((frame, used)) = framing.read(rest).unwrap() {
            assert!(frame == message(self.next), "frame {} is another", self.next);
            self.next += 1;
            rest = &rest[used..];
        }
        self.stream = rest.to_vec();
    }
}

fn framing() -> Framing {
    Framing { boundary: Boundary::Length(Prefix::U16Le), ..Framing::default() }
}

fn framed(n: u32) -> Vec<u8> {
    let mut out = Vec::new();
    framing().write(&message(n), &mut out).unwrap();
    out
}

/// Our end, the other's, and the network between them.
struct World {
    began: Instant,
    now: Instant,
    ours: Session,
    theirs: Kcp<Output>,
    output: Output,
    to_ours: Path,
    to_theirs: Path,
    mode: Mode,
    /// What we, what they have received.
    received: [Received; 2],
    /// The longest that one of theirs needed.
    buf: Vec<u8>,
}

impl World {
    fn new(config: &Config, nodelay: bool, seed: u64) -> World {
        let now = Instant::now();
        let output = Output::default();
        let is_stream = config.mode != Mode::Messages;
        let mut theirs = if is_stream { Kcp::new_stream(CONV, output.clone()) } else { Kcp::new(CONV, output.clone()) };
        let interval = config.interval.as_millis() as i32;
        theirs.set_nodelay(nodelay, interval, config.fast_resend as i32, !config.congestion_window);
        theirs.set_wndsize(config.send_window, config.receive_window);
        theirs.set_mtu(config.mtu).unwrap();
        let mut ours = Session::new(config, CONV, now);
        ours.open(now);
        World {
            began: now,
            now,
            ours,
            theirs,
            output,
            to_ours: path(seed),
            to_theirs: path(seed + 1_000),
            mode: config.mode,
            received: [Received::default(), Received::default()],
            buf: vec![0; 1 << 16],
        }
    }

    /// Takes in what has arrived, hands out what has come, and sends what is due.
    fn turn(&mut self) {
        while let Some((at, datagram)) = self.to_ours.poll(self.now) {
            self.ours.input(at, &datagram);
        }
        self.ours.timeout(self.now);
        while let Some(event) = self.ours.poll_event() {
            match event {
                Event::Message { payload, .. } if self.mode == Mode::Stream => self.received[0].stream(&payload),
                Event::Message { payload, .. } => self.received[0].message(&payload),
                Event::Connected | Event::RoundTrip(_) => {}
                Event::Closed(failure) => assert_eq!(failure.message(), "", "it has ended"),
            }
        }
        let mut packet = Vec::new();
        while self.ours.poll_transmit(self.now, &mut packet) {
            self.to_theirs.send(self.now, &packet);
            packet.clear();
        }

        self.theirs.update((self.now - self.began).as_millis() as u32).unwrap();
        while let Some((_, datagram)) = self.to_theirs.poll(self.now) {
            assert_eq!(self.theirs.input(&datagram).unwrap(), datagram.len());
        }
        while let Ok(len) = self.theirs.recv(&mut self.buf) {
            let received = &mut self.received[1];
            if self.mode == Mode::Messages {
                received.message(&self.buf[..len]);
            } else {
                received.stream(&self.buf[..len]);
            }
        }
        for datagram in mem::take(&mut *self.output.0.borrow_mut()) {
            self.to_ours.send(self.now, &datagram);
        }
    }

    /// Sends message `n` from our side; false when that has to wait.
    fn send_ours(&mut self, n: u32) -> bool {
        let message = if self.mode == Mode::Stream { framed(n) } else { message(n) };
        match self.ours.send(self.now, Channel::ORDERED, &message) {
            Ok(()) => true,
            Err(failure) => {
                assert_eq!(failure.kind().name(), "backlog");
                false
            }
        }
    }

    /// Sends message `n` from their side; false when that has to wait.
    fn send_theirs(&mut self, n: u32) -> bool {
        let message = if self.mode == Mode::Messages { message(n) } else { framed(n) };
        self.theirs.wait_snd() < 500 && self.theirs.send(&message).unwrap() == message.len()
    }

    /// When something happens next.
    fn next(&self) -> Instant {
        let theirs = self.theirs.check((self.now - self.began).as_millis() as u32).max(1);
        let theirs = self.now + ms(theirs.into());
        [self.ours.deadline(), self.to_ours.deadline(), self.to_theirs.deadline()]
            .into_iter()
            .flatten()
            .fold(theirs, Instant::min)
    }
}

/// Sends numbered messages both ways at once: each must arrive once, whole and in order.
fn play(config: &Config, nodelay: bool, seed: u64) {
    let all = env::var("LOADKIT_INTEROP_MESSAGES").map_or(MESSAGES, |count| count.parse().unwrap());
    let count = all / RUNS / 2;
    let mut world = World::new(config, nodelay, seed);
    let mut sent = [0; 2];
    let mut turns = 0_u64;
    while world.received.iter().any(|received| received.next < count) {
        while sent[0] < count && world.send_ours(sent[0]) {
            sent[0] += 1;
        }
        while sent[1] < count && world.send_theirs(sent[1]) {
            sent[1] += 1;
        }
        world.turn();
        world.now = world.next();
        turns += 1;
        assert!(turns < 200 * u64::from(count) + 10_000, "stuck at {:?}", world.received.map(|received| received.next));
    }
    let stats = world.ours.stats();
    assert!(stats.resends > u64::from(count) / 50, "the network was bad: {stats:?}");
    let took = world.now - world.began;
    println!("{count} messages each way in {took:?} of virtual time: {stats:?}");
    // Nothing comes after the end, and our side finds its rest.
    for _ in 0..1_000 {
        world.turn();
        world.now = world.next();
    }
    assert_eq!(world.received.map(|received| (received.next, received.stream.len())), [(count, 0); 2]);
    assert_eq!(world.ours.deadline(), None);
}

#[test]
fn fast() {
    play(&Config::FAST, true, 1);
}

#[test]
fn normal() {
    play(&Config { send_window: 128, ..Config::NORMAL }, false, 2);
}

#[test]
fn fast_at_once_in_small_packets() {
    play(&Config { at_once: true, mtu: 500, nodelay: NoDelay::Flat, ..Config::FAST }, true, 3);
}

#[test]
fn stream() {
    play(&Config { mode: Mode::Stream, ..Config::FAST }, true, 4);
}

#[test]
fn frames_in_a_stream() {
    play(&Config { mode: Mode::Frames(framing()), ..Config::FAST }, true, 5);
}
