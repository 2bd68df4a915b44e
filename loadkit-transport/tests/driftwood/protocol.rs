//! Driftwood, a made-up game of rafts on a river: its packets, and the player's end of its connection.

use std::collections::VecDeque;
use std::time::Duration;

use loadkit_core::{Failure, Kind};
use loadkit_transport::{Bytes, Channel, Codec, Event, Protocol, Stats, malformed};
use tokio::time::Instant;

/// The first two bytes of every packet; the third says which of these it is.
const MAGIC: [u8; 2] = *b"DW";
const HELLO: u8 = 1;
const WELCOME: u8 = 2;
const DATA: u8 = 3;
const ACK: u8 = 4;
const LOOSE: u8 = 5;
const PING: u8 = 6;
const BYE: u8 = 7;

/// A hello is filled up with zeros to so many bytes, so that the answer is never longer than the question.
const HELLO_LEN: usize = 16;
/// A hello that nobody answers is said again after so long.
const HELLO_AGAIN: Duration = Duration::from_millis(250);
/// A message that nobody acks is sent again after so long.
const SEND_AGAIN: Duration = Duration::from_millis(200);
/// A ping goes out after so much silence of our own.
const PING_AFTER: Duration = Duration::from_secs(1);
/// The server is given up after so much silence of its own.
const GIVE_UP: Duration = Duration::from_secs(5);

/// The longest message, in bytes.
const MAX_MESSAGE: usize = 1_000;
/// Messages that wait to be sent, and events that wait to be fetched, at most.
const MAX_WAITING: usize = 64;

/// The player's end of a connection.
#[derive(Debug)]
pub(crate) struct Driftwood {
    /// Our hello's number; the welcome repeats it.
    nonce: u32,
    state: State,
    /// Messages that must arrive, the first of them under way, and that one's number.
    must_arrive: VecDeque<Vec<u8>>,
    number: u16,
    /// When the first of them was sent, the first time and the last.
    sent: Option<(Instant, Instant)>,
    /// Messages that may be lost.
    may_be_lost: VecDeque<Vec<u8>>,
    /// The number of the server's next message, and the one for which we owe an ack.
    expected: u16,
    ack: Option<u16>,
    events: VecDeque<Event>,
    stats: Stats,
}

#[derive(Debug)]
enum State {
    /// Nothing has happened yet.
    New,
    /// Has said hello, and does so again at `again`.
    Asking {
        again: Instant,
        give_up: Instant,
    },
    /// Connected: when the server was heard last, when we spoke last, and whether the goodbye is still to be said.
    Open {
        token: u32,
        heard: Instant,
        spoke: Instant,
        leaving: bool,
    },
    Over,
}

impl Driftwood {
    /// An end that will say hello with this number. Take a random one.
    pub(crate) fn new(nonce: u32) -> Driftwood {
        Driftwood {
            nonce,
            state: State::New,
            must_arrive: VecDeque::new(),
            number: 0,
            sent: None,
            may_be_lost: VecDeque::new(),
            expected: 0,
            ack: None,
            events: VecDeque::new(),
            stats: Stats::default(),
        }
    }

    /// Reads a packet. `None`: it makes no sense, or not now.
    fn read(&mut self, now: Instant, packet: &[u8]) -> Option<()> {
        let (&kind, rest) = packet.strip_prefix(&MAGIC)?.split_first()?;
        let (word, rest) = rest.split_first_chunk()?;
        let word = u32::from_le_bytes(*word);
        match &mut self.state {
            State::Asking { .. } if kind == WELCOME && word == self.nonce => {
                let token = u32::from_le_bytes(*rest.first_chunk()?);
                self.state = State::Open { token, heard: now, spoke: now, leaving: false };
                self.events.push_back(Event::Connected);
                Some(())
            }
            State::Open { token, heard, .. } if word == *token => {
                *heard = now.max(*heard);
                self.read_open(now, kind, rest)
            }
            _ => None,
        }
    }

    /// Reads the rest of a packet that has our token in it.
    fn read_open(&mut self, now: Instant, kind: u8, rest: &[u8]) -> Option<()> {
        match kind {
            DATA => {
                let (number, message) = rest.split_first_chunk()?;
                let number = u16::from_le_bytes(*number);
                if number == self.expected {
                    self.expected = self.expected.wrapping_add(1);
                    self.deliver(Channel::ORDERED, message);
                } else if number != self.expected.wrapping_sub(1) {
                    return None;
                }
                // Also for one that we have already: our ack was lost.
                self.ack = Some(number);
            }
            ACK => {
                let number = u16::from_le_bytes(*rest.first_chunk()?);
                let (first, last) = self.sent.filter(|_| number == self.number)?;
                self.must_arrive.pop_front();
                self.number = self.number.wrapping_add(1);
                self.sent = None;
                // Sent twice, nobody knows which of the two was acked (Karn's algorithm).
                if first == last {
                    let round_trip = now.saturating_duration_since(first);
                    self.stats.rtt = Some(round_trip);
                    self.events.push_back(Event::RoundTrip(round_trip));
                }
            }
            LOOSE => self.deliver(Channel::UNRELIABLE, rest),
            PING => {}
            BYE => self.end(Kind::CLOSED, "the server said goodbye"),
            _ => return None,
        }
        Some(())
    }

    fn deliver(&mut self, channel: Channel, message: &[u8]) {
        self.events.push_back(Event::Message { channel, payload: Bytes::copy_from_slice(message) });
    }

    fn end(&mut self, kind: Kind, why: &'static str) {
        self.state = State::Over;
        (self.must_arrive, self.may_be_lost) = (VecDeque::new(), VecDeque::new());
        self.events.push_back(Event::Closed(Failure::new(kind, why)));
    }
}

/// Writes the beginning of a packet: the magic, its kind, and the nonce or the token.
fn begin(packet: &mut Vec<u8>, kind: u8, word: u32) {
    packet.extend_from_slice(&MAGIC);
    packet.push(kind);
    packet.extend_from_slice(&word.to_le_bytes());
}

/// An idle connection holds no buffers: ten thousand of them do not.
fn give_back<T>(queue: &mut VecDeque<T>) {
    if queue.is_empty() {
        *queue = VecDeque::new();
    }
}

impl Protocol for Driftwood {
    fn open(&mut self, now: Instant) {
        self.state = State::Asking { again: now, give_up: now + GIVE_UP };
    }

    fn input(&mut self, now: Instant, datagram: &[u8]) {
        if self.events.len() >= MAX_WAITING || self.read(now, datagram).is_none() {
            self.stats.discarded += 1;
        }
    }

    fn timeout(&mut self, now: Instant) {
        match self.state {
            State::Asking { give_up, .. } if now >= give_up => self.end(Kind::TIMED_OUT, "the server did not answer"),
            State::Open { heard, .. } if now >= heard + GIVE_UP => self.end(Kind::TIMED_OUT, "the server fell silent"),
            _ => {}
        }
    }

    fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Asking { again, give_up } => Some(again.min(give_up)),
            State::Open { heard, spoke, .. } => {
                let again = self.sent.map_or(heard + GIVE_UP, |(_, last)| last + SEND_AGAIN);
                Some(again.min(heard + GIVE_UP).min(spoke + PING_AFTER))
            }
            State::New | State::Over => None,
        }
    }

    fn send(&mut self, _: Instant, channel: Channel, message: &[u8]) -> Result<(), Failure> {
        let State::Open { leaving: false, .. } = self.state else {
            return Err(Failure::new(Kind::CLOSED, "there is no connection"));
        };
        if message.len() > MAX_MESSAGE {
            return Err(Failure::new(Kind::TOO_LARGE, format!("a message has at most {MAX_MESSAGE} bytes")));
        }
        let queue = match channel {
            Channel::ORDERED => &mut self.must_arrive,
            Channel::UNRELIABLE => &mut self.may_be_lost,
            _ => return Err(Failure::new(Kind::TARGET, "Driftwood has two channels, ordered and unreliable")),
        };
        if queue.len() >= MAX_WAITING {
            return Err(Failure::new(Kind::BACKLOG, "too many messages wait to be sent"));
        }
        queue.push_back(message.to_vec());
        Ok(())
    }

    fn poll_transmit(&mut self, now: Instant, packet: &mut Vec<u8>) -> bool {
        let (token, spoke, leaving) = match &mut self.state {
            State::Asking { again, .. } if now >= *again => {
                *again = now + HELLO_AGAIN;
                begin(packet, HELLO, self.nonce);
                packet.resize(HELLO_LEN, 0);
                return true;
            }
            State::Open { token, spoke, leaving, .. } => (*token, spoke, *leaving),
            State::New | State::Asking { .. } | State::Over => return false,
        };
        if let Some(number) = self.ack.take() {
            begin(packet, ACK, token);
            packet.extend_from_slice(&number.to_le_bytes());
        } else if let Some(message) = self.must_arrive.front()
            && self.sent.is_none_or(|(_, last)| now >= last + SEND_AGAIN)
        {
            begin(packet, DATA, token);
            packet.extend_from_slice(&self.number.to_le_bytes());
            packet.extend_from_slice(message);
            self.stats.resends += u64::from(self.sent.is_some());
            self.sent = Some((self.sent.map_or(now, |(first, _)| first), now));
        } else if let Some(message) = self.may_be_lost.pop_front() {
            begin(packet, LOOSE, token);
            packet.extend_from_slice(&message);
        } else if leaving {
            begin(packet, BYE, token);
            self.end(Kind::CLOSED, "we said goodbye");
            return true;
        } else if now >= *spoke + PING_AFTER {
            begin(packet, PING, token);
        } else {
            give_back(&mut self.must_arrive);
            give_back(&mut self.may_be_lost);
            return false;
        }
        *spoke = now;
        true
    }

    fn poll_event(&mut self) -> Option<Event> {
        give_back(&mut self.events);
        self.events.pop_front()
    }

    fn close(&mut self, _: Instant) {
        match &mut self.state {
            State::Open { leaving, .. } => *leaving = true,
            State::New | State::Asking { .. } => self.end(Kind::CLOSED, "closed before it was open"),
            State::Over => {}
        }
    }

    fn stats(&self) -> Stats {
        self.stats
    }
}

/// What a player says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ToServer {
    /// To all on the river; at most 255 bytes.
    Shout(String),
    /// Where to, `-1` left to `1` right, and whether with the paddle.
    Steer { turn: i8, paddle: bool },
}

/// What a player hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FromServer {
    /// The raft is ours.
    Raft(u8),
    /// Where all are.
    River(Vec<Place>),
}

/// A raft on the river, which is 4,096 by 4,096.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) raft: u8,
    pub(crate) x: u16,
    pub(crate) y: u16,
}

/// Driftwood's messages.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Messages;

impl Codec for Messages {
    type Out = ToServer;
    type In = FromServer;

    fn encode(&mut self, message: &ToServer, out: &mut Vec<u8>) -> Result<(), Failure> {
        match message {
            ToServer::Shout(text) => {
                let len = u8::try_from(text.len()).map_err(|_| Failure::new(Kind::TOO_LARGE, "a shout is short"))?;
                out.extend_from_slice(&[1, len]);
                out.extend_from_slice(text.as_bytes());
            }
            // Bits 0 and 1: the turn and one. Bit 2: the paddle.
            ToServer::Steer { turn, paddle } => {
                let turn = (turn.clamp(&-1, &1) + 1).cast_unsigned();
                out.extend_from_slice(&[2, turn | u8::from(*paddle) << 2]);
            }
        }
        Ok(())
    }

    fn decode(&mut self, bytes: &[u8]) -> Result<FromServer, Failure> {
        match bytes {
            [1, raft] => Ok(FromServer::Raft(*raft)),
            [2, count, places @ ..] if places.len() == usize::from(*count) * 4 => {
                // 32 bits each: the raft in the lowest 8, then 12 for x and 12 for y.
                let (places, _) = places.as_chunks();
                let place =
                    |bits: u32| Place { raft: bits as u8, x: (bits >> 8 & 0xFFF) as u16, y: (bits >> 20) as u16 };
                Ok(FromServer::River(places.iter().map(|bits| place(u32::from_le_bytes(*bits))).collect()))
            }
            _ => Err(malformed("a message of the server", format!("{} bytes of no known form", bytes.len()))),
        }
    }

    fn channel(&self, message: &ToServer) -> Channel {
        match message {
            ToServer::Shout(_) => Channel::ORDERED,
            // The next one is as good.
            ToServer::Steer { .. } => Channel::UNRELIABLE,
        }
    }
}
