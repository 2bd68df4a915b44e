//! `(time, datagram) -> events, datagrams, deadline`: the client's end of a Teeworlds 0.7 connection, without I/O.
//!
//! ```text
//! -> token request, padded    <- token      who asks can be reached at its address
//! -> connect, padded          <- accept     the connection exists
//! -> <- chunks, keep-alives                 messages of the game
//! -> close   or   <- close                  the connection is over
//! ```
//!
//! Round trips are measured in the handshake, which the server answers at once. A client in the game is answered with
//! the next snapshot only, so what the protocol could measure then would be the server's tick; the messages of the
//! game tell the two apart (see [`crate::play`]).

mod why;

use crate::packet::{self, Chunks, Control, Header, MAX_CHUNK, Packet, Token};
use crate::vital::{Arrival, Full, Inbox, Outbox};
use loadkit::Failure;
use loadkit::transport::{Channel, Event, Protocol, Stats};
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// A server that has not accepted by then is given up.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// After this time without any other packet, the handshake's last one is repeated; later, a sign of life is sent.
const SPEAK_EVERY: Duration = Duration::from_millis(500);
/// A server is gone after this time without a packet or an acknowledgement.
const TIMEOUT: Duration = Duration::from_secs(10);
/// A missing vital chunk is asked for no more often than this: each time, the server repeats all that came after it.
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(100);
/// Messages that wait for [`Protocol::poll_event`]. Vital ones beyond that are left to be sent again.
const MAX_EVENTS: usize = 512;
/// Packets that say goodbye: they are not acknowledged, and a server that misses them keeps the player for 10 s.
const GOODBYES: u8 = 3;
/// From one goodbye to the next. When all bots leave at once, the server's socket overflows, but not for so long.
const GOODBYE_EVERY: Duration = Duration::from_millis(25);
/// The longest message that can be sent.
pub const MAX_MESSAGE: usize = MAX_CHUNK;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Idle,
    /// The server's token is asked for.
    Token,
    /// The server is asked for a connection.
    Connect,
    Online,
    /// So many goodbyes are left to be sent; it ends with the last one.
    Closing(u8),
    Closed,
}

/// The client's end of a connection.
///
/// It has two channels: [`Channel::ORDERED`], the protocol's vital chunks, and [`Channel::UNRELIABLE`].
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
    /// A packet of the handshake, a sign of life or a goodbye is to be sent.
    word_due: bool,
    /// A missing vital chunk is to be asked for.
    ask_due: bool,
    asked: Option<Instant>,
    /// Packets sent in this phase of the handshake.
    tries: u32,
}

impl Teeworlds {
    /// A connection that is not open yet. `token` is what the server must show in each packet: take it at random.
    pub fn new(token: [u8; 4]) -> Self {
        let own = if Token(token) == Token::NONE { Token([0; 4]) } else { Token(token) };
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
            word_due: false,
            ask_due: false,
            asked: None,
            tries: 0,
        }
    }
}

impl Protocol for Teeworlds {
    fn name(&self) -> &'static str {
        "teeworlds"
    }

    fn open(&mut self, now: Instant) {
        if self.phase == Phase::Idle {
            self.opened = Some(now);
            self.enter(Phase::Token);
        }
    }

    fn input(&mut self, now: Instant, datagram: &[u8]) {
        if matches!(self.phase, Phase::Idle | Phase::Closed) {
            return;
        }
        let mut scratch = Vec::new();
        match Packet::read(datagram, &mut scratch) {
            Ok(Packet::Control(header, control)) if header.token == self.own => {
                self.heard = Some(now);
                self.on_header(header);
                self.on_control(now, control);
            }
            Ok(Packet::Chunks(header, chunks)) if header.token == self.own => {
                self.heard = Some(now);
                self.on_header(header);
                self.on_chunks(now, chunks);
            }
            _ => self.stats.discarded += 1,
        }
    }

    fn timeout(&mut self, now: Instant) {
        let reached = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if reached(self.given_up_at()) {
            self.end(if self.phase == Phase::Online { why::silence() } else { why::no_answer() });
        }
        if reached(self.outbox.resend_at()) {
            self.outbox.resend();
        }
        self.word_due |= reached(self.word_at());
    }

    fn deadline(&self) -> Option<Instant> {
        earliest([self.given_up_at(), self.outbox.resend_at(), self.word_at()])
    }

    fn send(&mut self, _now: Instant, channel: Channel, message: &[u8]) -> Result<(), Failure> {
        if self.phase != Phase::Online {
            return Err(why::not_connected());
        }
        if message.len() > MAX_MESSAGE {
            return Err(why::too_long(message.len()));
        }
        let queued = match channel {
            Channel::ORDERED => self.outbox.push_vital(message),
            Channel::UNRELIABLE => self.outbox.push_loose(message),
            other => return Err(why::no_such_channel(other)),
        };
        queued.map_err(|Full| why::full())
    }

    fn poll_transmit(&mut self, now: Instant, packet: &mut Vec<u8>) -> bool {
        let written = match self.phase {
            Phase::Idle | Phase::Closed => false,
            Phase::Token | Phase::Connect => self.write_handshake(packet),
            Phase::Online => self.write_online(now, packet),
            Phase::Closing(left) => self.write_goodbye(now, left, packet),
        };
        if written {
            self.spoken = Some(now);
        }
        written
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn close(&mut self, _now: Instant) {
        match self.phase {
            Phase::Online | Phase::Connect => self.enter(Phase::Closing(GOODBYES)),
            Phase::Idle | Phase::Token => self.end(why::goodbye()),
            Phase::Closing(_) | Phase::Closed => {}
        }
    }

    fn abort(&mut self, now: Instant) {
        self.outbox.clear();
        self.close(now);
    }

    fn stats(&self) -> Stats {
        Stats { resends: self.outbox.resent(), ..self.stats }
    }
}

/// What arrives.
impl Teeworlds {
    fn on_control(&mut self, now: Instant, control: Control<'_>) {
        match (self.phase, control) {
            (Phase::Token, Control::Token(server)) if server != Token::NONE => {
                self.server = server;
                self.sample(now);
                self.enter(Phase::Connect);
            }
            // The server makes new tokens from time to time: the newest counts.
            (Phase::Connect, Control::Token(server)) if server != Token::NONE => self.server = server,
            (Phase::Connect, Control::Accept) => {
                self.sample(now);
                self.enter(Phase::Online);
                self.events.push_back(Event::Connected);
            }
            (phase, Control::Close(reason)) => self.end(why::closed_by_server(reason, phase == Phase::Online)),
            _ => {}
        }
    }

    fn on_header(&mut self, header: Header) {
        if self.phase != Phase::Online {
            return;
        }
        if !self.outbox.acked(header.ack) {
            self.stats.discarded += 1;
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
            let channel = match chunk.vital.map(|vital| self.inbox.sort(vital.sequence)) {
                None => Channel::UNRELIABLE,
                Some(Arrival::Next) => Channel::ORDERED,
                Some(Arrival::Duplicate) => {
                    self.stats.discarded += 1;
                    continue;
                }
                Some(Arrival::Early) => {
                    self.stats.discarded += 1;
                    self.ask_due |= self.asked.is_none_or(|asked| now >= asked + ASK_AGAIN_AFTER);
                    continue;
                }
            };
            if self.events.len() >= MAX_EVENTS {
                self.stats.discarded += 1;
                continue;
            }
            if channel == Channel::ORDERED {
                self.inbox.advance();
            }
            self.events.push_back(Event::Message { channel, payload: chunk.data.to_vec().into() });
        }
        if chunks.left() > 0 {
            self.stats.discarded += 1;
        }
    }

    /// An answer to a packet that was sent once only tells the round trip; to one that was repeated, it does not.
    fn sample(&mut self, now: Instant) {
        let (1, Some(sent)) = (self.tries, self.spoken) else {
            return;
        };
        let rtt = now.saturating_duration_since(sent);
        let stats = &mut self.stats;
        stats.rtt = Some(rtt);
        stats.srtt = Some(stats.srtt.map_or(rtt, |old| (old * 7 + rtt) / 8));
        stats.min_rtt = Some(stats.min_rtt.map_or(rtt, |old| old.min(rtt)));
        self.events.push_back(Event::RoundTrip(rtt));
    }

    /// When the handshake has taken too long, or the server is taken for gone: nothing heard, or nothing
    /// acknowledged.
    fn given_up_at(&self) -> Option<Instant> {
        match self.phase {
            Phase::Token | Phase::Connect => self.opened.map(|opened| opened + HANDSHAKE_TIMEOUT),
            Phase::Online => earliest([self.heard, self.outbox.unacked_since(), None]).map(|since| since + TIMEOUT),
            _ => None,
        }
    }

    /// When to say something, for lack of anything else.
    fn word_at(&self) -> Option<Instant> {
        let after = match self.phase {
            Phase::Token | Phase::Connect | Phase::Online => SPEAK_EVERY,
            Phase::Closing(_) => GOODBYE_EVERY,
            Phase::Idle | Phase::Closed => return None,
        };
        self.spoken.filter(|_| !self.word_due).map(|spoken| spoken + after)
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.word_due = phase != Phase::Online;
        self.tries = 0;
    }

    fn end(&mut self, why: Failure) {
        if self.phase != Phase::Closed {
            self.phase = Phase::Closed;
            self.outbox.clear();
            self.events.push_back(Event::Closed(why));
        }
    }
}

/// What is sent.
impl Teeworlds {
    fn write_handshake(&mut self, out: &mut Vec<u8>) -> bool {
        if !std::mem::take(&mut self.word_due) {
            return false;
        }
        self.tries += 1;
        let (token, control) = match self.phase {
            Phase::Token => (Token::NONE, Control::Token(self.own)),
            _ => (self.server, Control::Connect(self.own)),
        };
        control.write(Header { token, ack: 0, resend: false }, out);
        true
    }

    fn write_online(&mut self, now: Instant, out: &mut Vec<u8>) -> bool {
        if self.outbox.is_due() || self.ask_due {
            self.write_chunks(now, out);
            return true;
        }
        if self.word_due {
            Control::KeepAlive.write(self.header(), out);
        }
        std::mem::take(&mut self.word_due)
    }

    fn write_goodbye(&mut self, now: Instant, left: u8, out: &mut Vec<u8>) -> bool {
        if self.outbox.is_due() {
            self.write_chunks(now, out);
            self.word_due = true;
            return true;
        }
        if !std::mem::take(&mut self.word_due) {
            return false;
        }
        Control::Close(b"").write(self.header(), out);
        match left {
            0 | 1 => self.end(why::goodbye()),
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
        self.word_due = false;
    }

    fn header(&self) -> Header {
        Header { token: self.server, ack: self.inbox.ack(), resend: self.ask_due }
    }
}

fn earliest(instants: [Option<Instant>; 3]) -> Option<Instant> {
    instants.into_iter().flatten().min()
}

#[cfg(test)]
mod tests;
