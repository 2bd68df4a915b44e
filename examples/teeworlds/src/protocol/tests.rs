use super::*;
use crate::packet::{Chunk, Vital};
use loadkit::Kind;
use proptest::prelude::*;

const CLIENT: Token = Token([1, 2, 3, 4]);
const SERVER: Token = Token([9, 8, 7, 6]);
/// A datagram takes this long from one end to the other.
const ONE_WAY: Duration = Duration::from_millis(7);

/// Enough of a server to talk to: it answers at once, and echoes each message on its channel.
#[derive(Default)]
struct Echo {
    outbox: Outbox,
    inbox: Inbox,
    ask: bool,
    answers: Vec<Vec<u8>>,
    accepted: u32,
    closed: u32,
    heard: Vec<(Channel, Vec<u8>)>,
}

impl Echo {
    fn answer(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut out = Vec::new();
        write(&mut out);
        self.answers.push(out);
    }

    fn input(&mut self, now: Instant, datagram: &[u8]) {
        let header = Header { token: CLIENT, ack: 0, resend: false };
        let mut scratch = Vec::new();
        match Packet::read(datagram, &mut scratch).expect("the client sends packets") {
            Packet::Control(asked, Control::Token(CLIENT)) => {
                assert_eq!((asked.token, datagram.len()), (Token::NONE, 519));
                self.answer(|out| Control::Token(SERVER).write(header, out));
            }
            Packet::Control(asked, Control::Connect(CLIENT)) => {
                assert_eq!((asked.token, datagram.len()), (SERVER, 519));
                self.accepted += 1;
                self.answer(|out| Control::Accept.write(header, out));
            }
            Packet::Control(_, Control::Close(_)) => self.closed += 1,
            Packet::Control(header, _) => assert!(self.outbox.acked(header.ack)),
            Packet::Chunks(header, chunks) => {
                assert_eq!(header.token, SERVER);
                assert!(self.outbox.acked(header.ack));
                if header.resend {
                    self.outbox.resend();
                }
                for chunk in chunks {
                    self.on_chunk(chunk);
                }
            }
            other => panic!("unexpected {other:?}"),
        }
        self.flush(now);
    }

    fn on_chunk(&mut self, chunk: Chunk<'_>) {
        match chunk.vital.map(|vital| self.inbox.sort(vital.sequence)) {
            None => {
                self.heard.push((Channel::UNRELIABLE, chunk.data.to_vec()));
                self.outbox.push_loose(chunk.data).expect("room");
            }
            Some(Arrival::Next) => {
                self.inbox.advance();
                self.heard.push((Channel::ORDERED, chunk.data.to_vec()));
                self.outbox.push_vital(chunk.data).expect("room");
            }
            Some(Arrival::Early) => self.ask = true,
            Some(Arrival::Duplicate) => {}
        }
    }

    fn flush(&mut self, now: Instant) {
        if self.outbox.resend_at().is_some_and(|at| at <= now) {
            self.outbox.resend();
        }
        while self.outbox.is_due() || self.ask {
            let mut payload = Vec::new();
            let chunks = self.outbox.fill(now, &mut payload);
            let resend = std::mem::take(&mut self.ask);
            let header = Header { token: CLIENT, ack: self.inbox.ack(), resend };
            self.answer(|out| packet::write_chunks(header, chunks, &payload, out));
        }
    }
}

/// Two ends and what is under way between them, in a time of their own.
struct World {
    now: Instant,
    client: Teeworlds,
    server: Echo,
    /// When, to the client, what.
    flying: Vec<(Instant, bool, Vec<u8>)>,
    events: Vec<Event>,
    /// What happens to each datagram in turn: 0 is lost, 1 arrives twice, 2 late, others as they should.
    fates: Box<dyn Iterator<Item = u8>>,
}

impl World {
    fn new(fates: &[u8]) -> Self {
        let fates = fates.to_vec();
        let mut world = Self {
            now: Instant::now(),
            client: Teeworlds::new(CLIENT.0),
            server: Echo::default(),
            flying: Vec::new(),
            events: Vec::new(),
            fates: Box::new(fates.into_iter().cycle()),
        };
        world.client.open(world.now);
        world
    }

    fn launch(&mut self, to_client: bool, datagram: Vec<u8>) {
        let arrival = self.now + ONE_WAY;
        match self.fates.next() {
            Some(0) => {}
            Some(1) => {
                self.flying.push((arrival, to_client, datagram.clone()));
                self.flying.push((arrival + ONE_WAY, to_client, datagram));
            }
            Some(2) => self.flying.push((arrival + 9 * ONE_WAY, to_client, datagram)),
            _ => self.flying.push((arrival, to_client, datagram)),
        }
    }

    fn drain(&mut self) {
        let mut out = Vec::new();
        while self.client.poll_transmit(self.now, &mut out) {
            self.launch(false, std::mem::take(&mut out));
        }
        for answer in std::mem::take(&mut self.server.answers) {
            self.launch(true, answer);
        }
        while let Some(event) = self.client.poll_event() {
            self.events.push(event);
        }
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            self.drain();
            let arrival = self.flying.iter().map(|&(at, ..)| at).min();
            let Some(next) = earliest([arrival, self.client.deadline(), self.server.outbox.resend_at()]) else {
                break;
            };
            if next > end {
                break;
            }
            self.now = next.max(self.now);
            self.client.timeout(self.now);
            self.server.flush(self.now);
            while let Some(at) = self.flying.iter().position(|&(at, ..)| at <= self.now) {
                let (_, to_client, datagram) = self.flying.remove(at);
                match to_client {
                    true => self.client.input(self.now, &datagram),
                    false => self.server.input(self.now, &datagram),
                }
            }
        }
        self.now = end;
        self.client.timeout(end);
        self.drain();
    }

    fn send(&mut self, channel: Channel, message: &[u8]) -> Result<(), Kind> {
        self.client.send(self.now, channel, message).map_err(|failure| failure.kind())
    }

    fn closed(&self) -> Option<Kind> {
        match self.events.last() {
            Some(Event::Closed(why)) => Some(why.kind()),
            _ => None,
        }
    }

    fn echoes(&self, wanted: Channel) -> Vec<u8> {
        let echo = |event: &Event| match event {
            Event::Message { channel, payload } if *channel == wanted => Some(payload[0]),
            _ => None,
        };
        self.events.iter().filter_map(echo).collect()
    }
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn header(token: Token) -> Header {
    Header { token, ack: 0, resend: false }
}

fn control(token: Token, control: Control<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    control.write(header(token), &mut out);
    out
}

#[test]
fn connects_talks_and_leaves() {
    let mut world = World::new(&[9]);
    assert_eq!(world.send(Channel::ORDERED, b"x"), Err(Kind::CLOSED));
    world.run(ONE_WAY * 4);
    let sample = Event::RoundTrip(ONE_WAY * 2);
    assert_eq!(world.events, [sample.clone(), sample, Event::Connected]);
    world.send(Channel::ORDERED, b"v").unwrap();
    world.send(Channel::UNRELIABLE, b"l").unwrap();
    world.run(ONE_WAY * 2);
    let heard = [(Channel::ORDERED, b"v".to_vec()), (Channel::UNRELIABLE, b"l".to_vec())];
    assert_eq!(world.server.heard, heard);
    assert_eq!((world.echoes(Channel::ORDERED), world.echoes(Channel::UNRELIABLE)), (b"v".into(), b"l".into()));
    world.client.close(world.now);
    world.run(GOODBYE_EVERY * 2 + ONE_WAY);
    assert_eq!(world.closed(), Some(Kind::CLOSED));
    assert_eq!(world.server.closed, u32::from(GOODBYES));
    let stats = world.client.stats();
    assert_eq!((world.client.deadline(), stats.discarded), (None, 0));
    assert_eq!((stats.rtt, stats.srtt, stats.min_rtt), (Some(ONE_WAY * 2), Some(ONE_WAY * 2), Some(ONE_WAY * 2)));
}

#[test]
fn a_repeated_packet_tells_no_round_trip() {
    let mut world = World::new(&[0, 9, 9, 9, 9, 9, 9, 9]);
    world.run(secs(1));
    assert_eq!(world.events, [Event::RoundTrip(ONE_WAY * 2), Event::Connected]);
}

#[test]
fn queued_messages_go_before_the_goodbye() {
    for (abort, heard) in [(false, 1), (true, 0)] {
        let mut world = World::new(&[9]);
        world.run(secs(1));
        world.send(Channel::ORDERED, b"v").unwrap();
        if abort {
            world.client.abort(world.now)
        } else {
            world.client.close(world.now)
        }
        world.run(GOODBYE_EVERY * 2 + ONE_WAY);
        assert_eq!((world.server.heard.len(), world.server.closed), (heard, u32::from(GOODBYES)));
    }
}

#[test]
fn stays_alive_without_messages() {
    let mut world = World::new(&[9]);
    world.run(secs(1));
    let spoken = world.client.spoken;
    world.run(SPEAK_EVERY);
    assert!(world.client.spoken > spoken);
    world.run(secs(8));
    assert_eq!(world.closed(), None);
    world.run(secs(1));
    assert_eq!(world.closed(), Some(Kind::TIMED_OUT), "the server has not said anything");
}

#[test]
fn gives_up_a_server_that_never_answers() {
    let mut world = World::new(&[0]);
    world.run(HANDSHAKE_TIMEOUT - Duration::from_millis(1));
    assert_eq!((world.events.len(), world.client.tries), (0, 10));
    world.run(Duration::from_millis(1));
    assert_eq!(world.closed(), Some(Kind::TIMED_OUT));
}

#[test]
fn a_server_that_stops_acknowledging_is_gone() {
    let mut world = World::new(&[9]);
    world.run(secs(1));
    world.send(Channel::ORDERED, b"v").unwrap();
    let start = world.now;
    let alive = control(CLIENT, Control::KeepAlive);
    let mut out = Vec::new();
    while world.client.phase == Phase::Online {
        while world.client.poll_transmit(world.now, &mut out) {
            out.clear();
        }
        world.now += Duration::from_millis(100);
        world.client.input(world.now, &alive);
        world.client.timeout(world.now);
    }
    assert_eq!(world.now - start, TIMEOUT);
    assert_eq!(world.client.stats().resends, 9);
}

#[test]
fn the_server_says_why_it_refuses() {
    let mut world = World::new(&[9]);
    world.run(ONE_WAY * 2);
    let full = control(CLIENT, Control::Close(b"This server is full"));
    world.client.input(world.now, &full);
    world.drain();
    let why = Failure::new(Kind::REFUSED, "the server closed the connection: This server is full");
    assert_eq!(world.events.last(), Some(&Event::Closed(why)));
    world.client.input(world.now, &full);
    assert_eq!((world.client.poll_event(), world.client.deadline()), (None, None));
}

#[test]
fn who_does_not_know_the_token_is_not_heard() {
    let mut world = World::new(&[9]);
    world.run(secs(1));
    world.client.input(world.now, &control(SERVER, Control::Close(b"")));
    world.drain();
    assert_eq!((world.closed(), world.client.stats().discarded), (None, 1));
}

#[test]
fn unread_events_are_bounded_and_vital_ones_come_later() {
    let mut world = World::new(&[9]);
    world.run(secs(1));
    let mut packets = Vec::new();
    for first in (1..=600).step_by(100) {
        let mut payload = Vec::new();
        for sequence in first..first + 100 {
            let vital = Some(Vital { sequence, resent: false });
            Chunk { vital, data: &[0; 10] }.write(&mut payload);
        }
        let mut out = Vec::new();
        packet::write_chunks(header(CLIENT), 100, &payload, &mut out);
        packets.push(out);
    }
    for packet in &packets {
        world.client.input(world.now, packet);
    }
    assert_eq!(usize::from(world.client.inbox.ack()), MAX_EVENTS);
    assert_eq!(world.client.events.len(), MAX_EVENTS);
    assert_eq!(world.client.stats().discarded, 600 - MAX_EVENTS as u64);
    world.drain();
    world.client.input(world.now, &packets[5]);
    assert_eq!(world.client.inbox.ack(), 600);
}

#[test]
fn what_cannot_be_sent_is_refused() {
    let mut world = World::new(&[9]);
    world.run(secs(1));
    assert_eq!(world.send(Channel::UNRELIABLE, &[0; MAX_MESSAGE + 1]), Err(Kind::TOO_LARGE));
    assert_eq!(world.send(Channel::UNRELIABLE, &[0; MAX_MESSAGE]), Ok(()));
    assert_eq!(world.send(Channel::UNORDERED, b""), Err(Kind::TARGET));
    for channel in [Channel::UNRELIABLE, Channel::ORDERED] {
        let refused = (0..10_000).find_map(|_| world.send(channel, &[0; 9]).err());
        assert_eq!(refused, Some(Kind::BACKLOG));
    }
    assert_eq!(world.client.outbox.resend_at(), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However datagrams are lost, doubled and swapped: vital messages arrive once, in order, both ways.
    #[test]
    fn vital_messages_survive_a_bad_network(
        fates in proptest::collection::vec(0u8..8, 20..80),
        pauses in proptest::collection::vec(0u64..400, 1..50),
    ) {
        let fates: Vec<u8> = fates.into_iter().chain([9; 20]).collect();
        let mut world = World::new(&fates);
        world.run(secs(5));
        prop_assume!(world.events.contains(&Event::Connected));
        let sent: Vec<u8> = (0..pauses.len() as u8).collect();
        for (message, pause) in sent.iter().zip(pauses) {
            world.send(Channel::ORDERED, &[*message]).unwrap();
            world.send(Channel::UNRELIABLE, &[*message]).unwrap();
            world.run(Duration::from_millis(pause));
        }
        world.fates = Box::new(std::iter::repeat(9));
        world.run(secs(4));
        prop_assert_eq!(world.echoes(Channel::ORDERED), sent);
        prop_assert_eq!(world.client.outbox.is_due(), false);
    }

    /// Garbage, with and without the right token, changes nothing but the count of it.
    #[test]
    fn any_bytes_are_taken(
        datagrams in proptest::collection::vec((any::<bool>(), proptest::collection::vec(any::<u8>(), 0..200)), 0..40),
    ) {
        let mut world = World::new(&[9]);
        world.run(secs(1));
        for (known, mut datagram) in datagrams {
            if known && datagram.len() > 7 {
                datagram[3..7].copy_from_slice(&CLIENT.0);
            }
            world.client.input(world.now, &datagram);
            world.client.timeout(world.now);
            world.run(Duration::from_millis(3));
        }
    }
}
