//! `(time, datagram) -> events, datagrams, deadline`: the client's end of a Teeworlds 0.7 connection, without I/O.
//!
//! **After every call: fetch datagrams with [`Teeworlds::poll_transmit`] until there is none, events with
//! [`Teeworlds::poll_event`] until there is none, and call [`Teeworlds::timeout`] at [`Teeworlds::deadline`].**
//!
//! ```text
//! -> token request, padded    <- token      who asks can be reached at its address
//! -> connect, padded          <- accept     the connection exists
//! -> <- chunks, keep-alives                 messages of the game
//! -> close   or   <- close                  the connection is over
//! ```
//!
//! The server answers nothing at once to a client in the game: it speaks with its snapshots, every 20 or 40 ms. So the
//! round trip of the network is measured as the game's own server browser does it, by a question about the server, which
//! it answers as soon as it reads it.

use crate::packer::Writer;
use crate::packet::{self, Chunks, Control, Header, Packet, Token};
use crate::vital::{Arrival, Full, Inbox, MAX_MESSAGE, Outbox};
use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;
use tokio::time::Instant;

/// Token requests and connects are repeated after this time without an answer.
const RETRY_AFTER: Duration = Duration::from_millis(500);
/// A server that has not accepted by then is given up.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// A sign of life is sent after this time without any other packet.
const KEEP_ALIVE_AFTER: Duration = Duration::from_millis(500);
/// A server is gone after this time without a packet or an acknowledgement.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The network's round trip is measured this often.
const PROBE_EVERY: Duration = Duration::from_secs(1);
/// A missing vital chunk is asked for no more often than this: each time, the server repeats all that came after it.
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(100);
/// Messages that wait for [`Teeworlds::poll_event`]. Vital ones beyond that are left to be sent again.
const MAX_EVENTS: usize = 512;
/// Packets that say goodbye: they are not acknowledged, and a server that misses it keeps the player for 10 s.
const GOODBYES: u8 = 3;
/// The question about the server, and its answer.
const WHO: &[u8; 8] = b"\xff\xff\xff\xffgie3";
const SELF: &[u8; 8] = b"\xff\xff\xff\xffinf3";

/// How a message travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// Arrives, once and in order.
    Vital,
    /// May get lost, or come late.
    Loose,
}

/// Why a message was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The connection does not exist yet, or no more.
    NotConnected,
    /// It is longer than [`MAX_MESSAGE`].
    TooLong,
    /// The channel's queue is full: the server does not acknowledge, or does not read.
    Full,
}

/// Why a connection is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// This end has closed it.
    Local,
    /// The server has closed it, and gave this as the reason ("This server is full", "Wrong password").
    Server(String),
    /// The server never answered the token request, or the connect.
    NoAnswer,
    /// The server fell silent, or stopped acknowledging, for 10 s.
    TimedOut,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local => f.write_str("closed by this end"),
            Self::Server(reason) if reason.is_empty() => {
                f.write_str("the server closed the connection")
            }
            Self::Server(reason) => write!(f, "the server closed the connection: {reason}"),
            Self::NoAnswer => write!(f, "the server did not answer within {HANDSHAKE_TIMEOUT:?}"),
            Self::TimedOut => write!(f, "the server was silent for {TIMEOUT:?}"),
        }
    }
}

/// What has happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Messages can be sent.
    Connected,
    /// A message has arrived.
    Message(Channel, Vec<u8>),
    /// The connection is over. Nothing comes behind it.
    Closed(Reason),
}

/// What a connection has counted and measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// The network's round trip, the server's wake-up included: smoothed, a new sample weighs 1/8 (RFC 6298).
    pub round_trip: Option<Duration>,
    /// Its newest sample.
    pub latest_round_trip: Option<Duration>,
    /// Its samples.
    pub round_trips: u64,
    /// Vital chunks that were sent again.
    pub resent: u64,
    /// Vital chunks that arrived again.
    pub duplicates: u64,
    /// Vital chunks that came before others that they have to come after.
    pub early: u64,
    /// Datagrams that were malformed, or not meant for this connection.
    pub garbage: u64,
    /// Messages that were dropped because nobody fetched those before.
    pub overrun: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Idle,
    /// The server's token is asked for.
    Token,
    /// The server is asked for a connection.
    Connect,
    Online,
    /// So many goodbyes are left to be sent.
    Closing(u8),
    Closed,
}

/// The client's end of a connection.
#[derive(Debug)]
pub struct Teeworlds {
    phase: Phase,
    own: Token,
    server: Token,
    outbox: Outbox,
    inbox: Inbox,
    events: VecDeque<Event>,
    stats: Stats,
    opened: Option<Instant>,
    heard: Option<Instant>,
    spoken: Option<Instant>,
    /// A handshake packet, a request to resend or a keep-alive is to be sent.
    handshake_due: bool,
    ask_due: bool,
    keep_alive_due: bool,
    asked: Option<Instant>,
    /// A question that is or will be under way: when it was or will be asked.
    probe: Option<Probe>,
    probes: i32,
    handshakes: u32,
}

#[derive(Clone, Copy, Debug)]
enum Probe {
    At(Instant),
    Due,
    Sent(Instant),
}

impl Teeworlds {
    /// A connection that is not open yet. `token` is what the server must show in each packet: take it at random.
    pub fn new(token: [u8; 4]) -> Self {
        let own = if Token(token) == Token::NONE {
            Token([0; 4])
        } else {
            Token(token)
        };
        Self {
            phase: Phase::Idle,
            own,
            server: Token::NONE,
            outbox: Outbox::default(),
            inbox: Inbox::default(),
            events: VecDeque::new(),
            stats: Stats::default(),
            opened: None,
            heard: None,
            spoken: None,
            handshake_due: false,
            ask_due: false,
            keep_alive_due: false,
            asked: None,
            probe: None,
            probes: 0,
            handshakes: 0,
        }
    }

    /// Begins the handshake.
    pub fn open(&mut self, now: Instant) {
        if self.phase == Phase::Idle {
            self.opened = Some(now);
            self.enter(Phase::Token);
        }
    }

    /// Queues a message.
    ///
    /// # Errors
    /// It is not taken; the connection stays as it is.
    pub fn send(&mut self, channel: Channel, message: &[u8]) -> Result<(), Refused> {
        if self.phase != Phase::Online {
            return Err(Refused::NotConnected);
        }
        if message.len() > MAX_MESSAGE {
            return Err(Refused::TooLong);
        }
        let queued = match channel {
            Channel::Vital => self.outbox.push_vital(message),
            Channel::Loose => self.outbox.push_loose(message),
        };
        queued.map_err(|Full| Refused::Full)
    }

    /// Says goodbye, behind what is queued.
    pub fn close(&mut self) {
        match self.phase {
            Phase::Online | Phase::Connect => self.phase = Phase::Closing(GOODBYES),
            Phase::Idle | Phase::Token => self.end(Reason::Local),
            Phase::Closing(_) | Phase::Closed => {}
        }
    }

    /// What has happened since.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// What was counted so far.
    pub fn stats(&self) -> Stats {
        Stats {
            resent: self.stats.resent + self.outbox.resent(),
            ..self.stats
        }
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.handshake_due = matches!(phase, Phase::Token | Phase::Connect);
        self.handshakes = 0;
    }

    fn end(&mut self, reason: Reason) {
        if self.phase != Phase::Closed {
            self.phase = Phase::Closed;
            self.stats.resent = self.outbox.resent();
            self.outbox = Outbox::default();
            self.events.push_back(Event::Closed(reason));
        }
    }
}

/// Bytes in.
impl Teeworlds {
    /// A datagram arrived at `now`.
    pub fn input(&mut self, now: Instant, datagram: &[u8]) {
        if matches!(self.phase, Phase::Idle | Phase::Closed) {
            return;
        }
        let mut scratch = Vec::new();
        match Packet::read(datagram, &mut scratch) {
            Ok(Packet::Connless { token, payload }) if token == self.own => {
                self.on_answer(now, payload)
            }
            Ok(Packet::Control(header, control)) if header.token == self.own => {
                self.heard = Some(now);
                self.on_control(now, control);
                self.on_header(header);
            }
            Ok(Packet::Chunks(header, chunks)) if header.token == self.own => {
                self.heard = Some(now);
                self.on_header(header);
                self.on_chunks(now, chunks);
            }
            _ => self.stats.garbage += 1,
        }
    }

    fn on_control(&mut self, now: Instant, control: Control<'_>) {
        match (self.phase, control) {
            (Phase::Token, Control::Token(server)) if server != Token::NONE => {
                self.server = server;
                self.sample_handshake(now);
                self.enter(Phase::Connect);
            }
            // The server makes new tokens from time to time: the newest counts.
            (Phase::Connect, Control::Token(server)) if server != Token::NONE => {
                self.server = server
            }
            (Phase::Connect, Control::Accept) => {
                self.sample_handshake(now);
                self.enter(Phase::Online);
                self.probe = Some(Probe::At(now + PROBE_EVERY));
                self.events.push_back(Event::Connected);
            }
            (_, Control::Close(reason)) => {
                self.end(Reason::Server(String::from_utf8_lossy(reason).into_owned()))
            }
            _ => {}
        }
    }

    fn on_header(&mut self, header: Header) {
        if self.phase != Phase::Online {
            return;
        }
        if !self.outbox.acked(header.ack) {
            self.stats.garbage += 1;
        }
        if header.resend {
            self.outbox.resend();
        }
    }

    fn on_chunks(&mut self, now: Instant, mut chunks: Chunks<'_>) {
        if self.phase != Phase::Online {
            return;
        }
        for chunk in chunks.by_ref() {
            let has_room = self.events.len() < MAX_EVENTS;
            let channel = match chunk.vital.map(|vital| self.inbox.sort(vital.sequence)) {
                None => Channel::Loose,
                Some(Arrival::Next) => Channel::Vital,
                Some(Arrival::Duplicate) => {
                    self.stats.duplicates += 1;
                    continue;
                }
                Some(Arrival::Early) => {
                    self.stats.early += 1;
                    self.ask_due |= self
                        .asked
                        .is_none_or(|asked| now >= asked + ASK_AGAIN_AFTER);
                    continue;
                }
            };
            if !has_room {
                self.stats.overrun += 1;
                continue;
            }
            if channel == Channel::Vital {
                self.inbox.advance();
            }
            self.events
                .push_back(Event::Message(channel, chunk.data.to_vec()));
        }
        if chunks.left() > 0 {
            self.stats.garbage += 1;
        }
    }

    fn on_answer(&mut self, now: Instant, payload: &[u8]) {
        let mut expected = SELF.to_vec();
        Writer::new(&mut expected).int(self.probes);
        match self.probe {
            Some(Probe::Sent(sent)) if payload.starts_with(&expected) => {
                self.sample(now.saturating_duration_since(sent));
                self.probe = Some(Probe::At((sent + PROBE_EVERY).max(now)));
            }
            // An answer that came twice, or too late.
            _ if payload.starts_with(SELF) => {}
            _ => self.stats.garbage += 1,
        }
    }

    /// An answer to a packet that was sent once only tells the round trip; to one that was repeated, it does not.
    fn sample_handshake(&mut self, now: Instant) {
        if let (1, Some(sent)) = (self.handshakes, self.spoken) {
            self.sample(now.saturating_duration_since(sent));
        }
    }

    fn sample(&mut self, round_trip: Duration) {
        let smoothed = self
            .stats
            .round_trip
            .map_or(round_trip, |old| (old * 7 + round_trip) / 8);
        self.stats.round_trip = Some(smoothed);
        self.stats.latest_round_trip = Some(round_trip);
        self.stats.round_trips += 1;
    }
}

/// Time.
impl Teeworlds {
    /// When [`Self::timeout`] is to be called next.
    pub fn deadline(&self) -> Option<Instant> {
        let spoken = |after| self.spoken.map(|spoken| spoken + after);
        match self.phase {
            Phase::Idle | Phase::Closed | Phase::Closing(_) => None,
            Phase::Token | Phase::Connect => {
                let retry = spoken(RETRY_AFTER).filter(|_| !self.handshake_due);
                earliest([retry, self.opened.map(|opened| opened + HANDSHAKE_TIMEOUT)])
            }
            Phase::Online => earliest([
                spoken(KEEP_ALIVE_AFTER).filter(|_| !self.keep_alive_due),
                self.silent_since().map(|since| since + TIMEOUT),
                self.outbox.resend_at(),
                self.probe_at(),
            ]),
        }
    }

    /// Does what is due by `now`. May be called too early, or too often.
    pub fn timeout(&mut self, now: Instant) {
        let reached = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        match self.phase {
            Phase::Idle | Phase::Closed | Phase::Closing(_) => {}
            Phase::Token | Phase::Connect => {
                if reached(self.opened.map(|opened| opened + HANDSHAKE_TIMEOUT)) {
                    self.end(Reason::NoAnswer);
                }
                self.handshake_due |= reached(self.spoken.map(|spoken| spoken + RETRY_AFTER));
            }
            Phase::Online => {
                if reached(self.silent_since().map(|since| since + TIMEOUT)) {
                    self.end(Reason::TimedOut);
                }
                if reached(self.outbox.resend_at()) {
                    self.outbox.resend();
                }
                if reached(self.probe_at()) {
                    self.probe = Some(Probe::Due);
                }
                self.keep_alive_due |= reached(self.spoken.map(|spoken| spoken + KEEP_ALIVE_AFTER));
            }
        }
    }

    /// When the server was last known to be there, and to be reading.
    fn silent_since(&self) -> Option<Instant> {
        earliest([self.heard, self.outbox.unacked_since()])
    }

    /// When to ask next; an unanswered question is lost after as long as questions are apart.
    fn probe_at(&self) -> Option<Instant> {
        match self.probe? {
            Probe::At(at) => Some(at),
            Probe::Due => None,
            Probe::Sent(sent) => Some(sent + PROBE_EVERY),
        }
    }
}

/// Bytes out.
impl Teeworlds {
    /// Appends the next datagram to `out`, which is empty; `false` if there is none.
    pub fn poll_transmit(&mut self, now: Instant, out: &mut Vec<u8>) -> bool {
        match self.phase {
            Phase::Idle | Phase::Closed => false,
            Phase::Token | Phase::Connect => self.write_handshake(now, out),
            Phase::Online => self.write_online(now, out),
            Phase::Closing(left) => self.write_goodbye(now, left, out),
        }
    }

    fn write_handshake(&mut self, now: Instant, out: &mut Vec<u8>) -> bool {
        if !std::mem::take(&mut self.handshake_due) {
            return false;
        }
        self.spoken = Some(now);
        self.handshakes += 1;
        let token = if self.phase == Phase::Token {
            Token::NONE
        } else {
            self.server
        };
        let header = Header {
            token,
            ack: 0,
            resend: false,
        };
        match self.phase {
            Phase::Token => Control::Token(self.own).write(header, out),
            _ => Control::Connect(self.own).write(header, out),
        }
        true
    }

    fn write_online(&mut self, now: Instant, out: &mut Vec<u8>) -> bool {
        if self.outbox.is_due() || self.ask_due {
            self.write_chunks(now, out);
        } else if matches!(self.probe, Some(Probe::Due)) {
            self.probes = self.probes.wrapping_add(1);
            self.probe = Some(Probe::Sent(now));
            let mut question = WHO.to_vec();
            Writer::new(&mut question).int(self.probes);
            // It is no part of the connection, so it is no sign of life either.
            packet::write_connless(self.server, self.own, &question, out);
        } else if self.keep_alive_due {
            Control::KeepAlive.write(self.header(), out);
            self.spoken = Some(now);
            self.keep_alive_due = false;
        } else {
            return false;
        }
        true
    }

    fn write_goodbye(&mut self, now: Instant, left: u8, out: &mut Vec<u8>) -> bool {
        if self.outbox.is_due() {
            self.write_chunks(now, out);
            return true;
        }
        Control::Close(b"").write(self.header(), out);
        match left {
            0 | 1 => self.end(Reason::Local),
            more => self.phase = Phase::Closing(more - 1),
        }
        true
    }

    fn write_chunks(&mut self, now: Instant, out: &mut Vec<u8>) {
        let mut payload = Vec::new();
        let chunks = self.outbox.fill(now, &mut payload);
        packet::write_chunks(self.header(), chunks, &payload, out);
        if std::mem::take(&mut self.ask_due) {
            self.asked = Some(now);
        }
        self.spoken = Some(now);
        self.keep_alive_due = false;
    }

    fn header(&self) -> Header {
        Header {
            token: self.server,
            ack: self.inbox.ack(),
            resend: self.ask_due,
        }
    }
}

fn earliest<const N: usize>(instants: [Option<Instant>; N]) -> Option<Instant> {
    instants.into_iter().flatten().min()
}

#[cfg(test)]
mod tests;
