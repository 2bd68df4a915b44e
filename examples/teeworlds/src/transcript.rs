//! A real session, replayed: a Teeworlds 0.7.5 server's own datagrams go in, and the same datagrams of ours come out.
//!
//! `transcript.txt` holds a client's first half second in the game, one event a line: microseconds since the start,
//! then `<` and a datagram that arrived, `>` and one that was sent, `!` for a tick of the client, or `.` for a
//! time-out. Datagrams are hexadecimal; `+507` stands for so many zeros.

use crate::codec::Messages;
use crate::messages::{ClientMessage, PlayerInput};
use crate::play::{News, Player};
use crate::protocol::Teeworlds;
use crate::snapshot::Kind;
use loadkit::transport::{Codec, Event, Protocol};
use std::time::Duration;
use tokio::time::Instant;

const TRANSCRIPT: &str = include_str!("transcript.txt");
/// Ticks before the goodbye.
const TICKS: u32 = 24;

fn bytes(text: &str) -> Vec<u8> {
    let (digits, zeros) = text.split_once('+').unwrap_or((text, "0"));
    let mut out: Vec<u8> =
        (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect();
    out.resize(out.len() + zeros.parse::<usize>().unwrap(), 0);
    out
}

/// What the recorded client's hands did.
fn hands(tick: u32) -> PlayerInput {
    PlayerInput {
        direction: 1 - (tick / 8 % 3) as i32,
        target: (100, tick as i32 * 7 - 100),
        jump: tick.is_multiple_of(5),
        fire: tick as i32 / 3,
        hook: tick % 11 > 6,
        wanted_weapon: 0,
    }
}

struct Client {
    net: Teeworlds,
    codec: Messages,
    player: Player,
    ticks: u32,
    connected: bool,
    closed: bool,
    taken: u32,
    places: Vec<(i32, i32)>,
}

impl Client {
    fn send(&mut self, now: Instant, message: &ClientMessage) {
        let mut out = Vec::new();
        self.codec.encode(message, &mut out).unwrap();
        let channel = self.codec.channel(message);
        self.net.send(now, channel, &out).unwrap();
    }

    fn tick(&mut self, now: Instant) {
        if self.ticks == TICKS {
            self.net.close(now);
        } else if let Some(message) = self.player.act(now, hands(self.ticks)) {
            self.send(now, &message);
        }
        self.ticks += 1;
    }

    fn events(&mut self, now: Instant) {
        while let Some(event) = self.net.poll_event() {
            match event {
                Event::RoundTrip(_) => {}
                Event::Connected => {
                    self.connected = true;
                    self.send(now, &ClientMessage::Info { password: String::new() });
                }
                Event::Closed(_) => self.closed = true,
                Event::Message { payload, .. } => {
                    let message = self.codec.decode(&payload).unwrap();
                    if let Some(answer) = self.player.answer(&message) {
                        self.send(now, &answer);
                    }
                    match self.player.learn(now, message) {
                        None => {}
                        Some(News::Taken(_)) => self.taken += 1,
                        Some(News::Snapshot(_)) => self.places.extend(self.player.place()),
                        Some(News::Broken(why)) => panic!("a snapshot of the real server: {why}"),
                    }
                }
            }
        }
    }
}

#[test]
fn a_real_session_is_replayed_to_the_byte() {
    let start = Instant::now();
    let mut client = Client {
        net: Teeworlds::new([1, 2, 3, 4]),
        codec: Messages,
        player: Player::new("tee".into()),
        ticks: 0,
        connected: false,
        closed: false,
        taken: 0,
        places: Vec::new(),
    };
    client.net.open(start);
    for line in TRANSCRIPT.lines() {
        let (time, what) = line.split_once(' ').unwrap();
        let now = start + Duration::from_micros(time.parse().unwrap());
        let mut out = Vec::new();
        match what.split_once(' ').unwrap_or((what, "")) {
            ("<", datagram) => client.net.input(now, &bytes(datagram)),
            ("!", _) => client.tick(now),
            (".", _) => client.net.timeout(now),
            (">", datagram) => {
                assert!(client.net.poll_transmit(now, &mut out), "nothing is sent at {time}");
                assert_eq!(out, bytes(datagram), "sent at {time}");
            }
            other => panic!("{other:?}"),
        }
        client.events(now);
    }
    assert!(client.connected && client.closed);
    assert!(!client.net.poll_transmit(start + Duration::from_secs(1), &mut Vec::new()));
    assert_eq!((client.net.stats().discarded, client.net.stats().resends), (0, 0));
    let world = client.player.world().unwrap();
    assert_eq!((client.ticks, client.taken, client.places.len()), (25, 23, 13));
    assert_eq!((world.len(), world.of_kind(Kind::CHARACTER).count()), (19, 1));
    assert_ne!(client.places.first(), client.places.last(), "the tee has walked");
}
