//! A connection after its handshake: the same at both ends.

use std::rc::Rc;
use std::time::Duration;

use loadkit_core::{Failure, Kind};
use tokio::time::Instant;

use super::config::Config;
use super::frame::{Frame, Frames};
use super::incoming::Incoming;
use super::outgoing::Outgoing;
use super::path::Path;
use super::rtt::RoundTrip;
use super::unreliable::Unreliable;
use super::wire::{DELAY_UNIT_US, Envelope, Header, NO_DELAY, ending_of, kind, path_response_of, write_ending};
use crate::events::Events;
use crate::protocol::{Channel, Delivery, Event, Protocol, Stats};

/// After so many packets with reliable messages an ack goes at once.
const ACK_RELIABLE_AFTER: u8 = 8;
/// After so many packets of any kind an ack goes at once: an ack tells of 33.
const ACK_ANY_AFTER: u8 = 16;
/// Events that nobody has fetched, at most; until then packets are dropped as if they had been lost.
const MAX_EVENTS: usize = 4_096;

#[derive(Debug, PartialEq, Eq)]
enum State {
    Open,
    /// Waits for acks of what was sent before the end.
    Closing {
        until: Instant,
    },
    /// So many goodbyes are to be said.
    Leaving {
        left: u8,
    },
    Closed,
}

/// The numbers of a session: each end chose the one in the packets that come to it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ids {
    pub(super) own: u32,
    pub(super) other: u32,
}

/// Why a session ended, where there is a code to it.
#[derive(Debug, Default)]
struct Ending {
    code: u32,
    reason: Box<str>,
}

/// A connection after its handshake: the same at both ends.
///
/// Idle it holds no buffers; its own size is in the tests.
#[derive(Debug)]
pub struct Session {
    /// `None`: the defaults.
    config: Option<Rc<Config>>,
    pub(super) ids: Ids,
    /// This end was connected to.
    accepted: bool,
    state: State,
    pub(super) outgoing: Outgoing,
    incoming: Incoming,
    pub(super) rtt: RoundTrip,
    unreliable: Unreliable,
    next_sequenced: u16,
    events: Events,
    /// What this end says in its goodbyes; once it is closed, what the other side said.
    ending: Option<Box<Ending>>,
    /// Of the end that connected.
    pub(super) path: Option<Path>,
    last_sent: Instant,
    pub(super) last_heard: Instant,
    /// When an ack goes in a packet of its own.
    ack_at: Option<Instant>,
    unacked_reliable: u8,
    unacked: u8,
    lost: u64,
    discarded: u64,
    packets: [u64; 2],
    bytes: [u64; 2],
}

impl Session {
    /// A session whose handshake is done.
    pub(super) fn new(config: Option<Rc<Config>>, ids: Ids, accepted: bool, now: Instant) -> Session {
        let mut events = Events::default();
        events.push(Event::Connected);
        Session {
            config,
            ids,
            accepted,
            state: State::Open,
            outgoing: Outgoing::default(),
            incoming: Incoming::default(),
            rtt: RoundTrip::default(),
            unreliable: Unreliable::default(),
            next_sequenced: 0,
            events,
            ending: None,
            path: None,
            last_sent: now,
            last_heard: now,
            ack_at: None,
            unacked_reliable: 0,
            unacked: 0,
            lost: 0,
            discarded: 0,
            packets: [0; 2],
            bytes: [0; 2],
        }
    }

    /// The number in the packets that come to it.
    pub(super) fn id(&self) -> u32 {
        self.ids.own
    }

    /// Says goodbye with a code and a reason that the other side gets to read (at most 120 bytes of it).
    pub fn disconnect(&mut self, now: Instant, code: u32, reason: &str) {
        if self.state == State::Open {
            self.ending = Some(Box::new(Ending { code, reason: reason.into() }));
        }
        self.close(now);
    }

    /// The code with which the other side said goodbye. What it means is the game's affair; 0 is none.
    pub fn code(&self) -> Option<u32> {
        self.ending.as_ref().filter(|_| self.is_closed()).map(|ending| ending.code)
    }

    /// Ends it without a word: it was not let in.
    pub(super) fn denied(&mut self) {
        self.end(Failure::new(Kind::CLOSED, "turned away by this side"));
    }

    /// When nothing will have come for too long.
    pub(super) fn silent_until(&self) -> Instant {
        self.last_heard + self.config().time_out
    }

    /// Whether it has ended; it may still have an event to tell.
    pub fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    pub(super) fn config(&self) -> &Config {
        self.config.as_deref().unwrap_or(&Config::DEFAULT)
    }

    /// The most bytes of a message that fit into one packet.
    fn piece(&self) -> usize {
        self.config().whole()
    }

    /// When silence of its own has lasted long enough. The end that was connected to waits a little longer, so that of
    /// two idle ends one pings and the other acks.
    fn ping_at(&self) -> Instant {
        let keep_alive = self.config().keep_alive;
        self.last_sent + if self.accepted { keep_alive + keep_alive / 4 } else { keep_alive }
    }

    pub(super) fn end(&mut self, failure: Failure) {
        if self.state != State::Closed {
            (self.state, self.ending) = (State::Closed, None);
            self.events.push(Event::Closed(failure));
            self.outgoing = Outgoing::default();
            self.incoming = Incoming::default();
            self.unreliable = Unreliable::default();
            self.ack_at = None;
        }
    }

    /// Takes a packet of the session; false: it is none after all.
    fn take(&mut self, now: Instant, envelope: &Envelope) -> bool {
        let mut rest = envelope.body;
        match envelope.first & 0xF {
            kind::GOODBYE => {
                let Some((code, reason)) = ending_of(rest) else { return false };
                let what = match (code, reason) {
                    (0, "") => "the other side closed the connection".to_owned(),
                    (0, reason) => format!("the other side closed the connection: {reason}"),
                    (code, reason) => format!("the other side closed the connection (code {code}): {reason}"),
                };
                self.end(Failure::new(Kind::CLOSED, what));
                self.ending = Some(Box::new(Ending { code, reason: Box::default() }));
                true
            }
            // The peer has moved already.
            kind::PATH_RESPONSE => path_response_of(rest).is_some(),
            first => {
                let Some(header) = Header::read(envelope.first, &mut rest) else { return false };
                let frames = (first == kind::DATA).then_some(Frames(rest));
                (frames.is_some() || rest.is_empty()) && self.take_data(now, envelope.sequence, &header, frames)
            }
        }
    }

    fn take_data(&mut self, now: Instant, sequence: u16, header: &Header, frames: Option<Frames>) -> bool {
        let fits = self.events.len() < MAX_EVENTS
            && self.outgoing.can_be_true(header)
            && self.incoming.is_new(sequence)
            && frames.is_none_or(|mut frames| {
                frames.all(|frame| frame.is_ok_and(|frame| self.incoming.is_in_window(&frame)))
            });
        if !fits {
            return false;
        }
        self.last_heard = self.last_heard.max(now);
        self.incoming.arrived(now, sequence);
        self.take_acks(now, header);
        let Some(frames) = frames else { return true };
        let mut wants_ack = frames.is_empty();
        let max_message = self.config().message;
        for frame in frames.map_while(Result::ok) {
            wants_ack |= matches!(frame.delivery, Delivery::Ordered | Delivery::Unordered);
            let events = &mut self.events;
            let deliver = |channel, payload| events.push(Event::Message { channel, payload });
            if self.incoming.take(&frame, max_message, deliver).is_err() {
                let what = format!("the other side sent a message of more than {max_message} bytes");
                self.end(Failure::new(Kind::TOO_LARGE, what));
                return true;
            }
        }
        self.schedule_ack(now, wants_ack);
        true
    }

    fn take_acks(&mut self, now: Instant, header: &Header) {
        let news = self.outgoing.acked(now, header);
        self.lost += news.lost;
        if news.arrived > 0 {
            self.rtt.progress();
        }
        if let Some(elapsed) = news.elapsed
            && header.delay != NO_DELAY
        {
            // What the other side waited before it sent the ack is no part of the round trip (RFC 9002, section 5.3).
            let waited = Duration::from_micros(u64::from(header.delay) * DELAY_UNIT_US as u64);
            let rtt = elapsed.saturating_sub(waited);
            self.rtt.sample(rtt);
            self.events.push(Event::RoundTrip(rtt));
        }
    }

    fn schedule_ack(&mut self, now: Instant, wants_ack: bool) {
        self.unacked = self.unacked.saturating_add(1);
        self.unacked_reliable = self.unacked_reliable.saturating_add(wants_ack.into());
        let at = if self.unacked_reliable >= ACK_RELIABLE_AFTER || self.unacked >= ACK_ANY_AFTER {
            now
        } else if wants_ack {
            now + self.config().ack_delay
        } else {
            return;
        };
        self.ack_at = Some(self.ack_at.map_or(at, |known| known.min(at)));
    }

    /// Begins a packet; what it takes along of acks needs no packet of its own.
    fn begin(&mut self, now: Instant, kind: u8, packet: &mut Vec<u8>) -> usize {
        let header = self.incoming.header(now);
        let body = self.begin_sealed(kind | header.flags(), packet);
        header.write(packet);
        self.ack_at = None;
        (self.unacked, self.unacked_reliable) = (0, 0);
        self.last_sent = now;
        body
    }

    /// Begins a packet with its envelope. Where its body begins, for [`Session::seal`].
    pub(super) fn begin_sealed(&mut self, first: u8, packet: &mut Vec<u8>) -> usize {
        let sequence = self.outgoing.take_sequence();
        Envelope::write(packet, self.config().magic, first, self.ids.other, sequence);
        packet.len()
    }

    /// Ends a packet whose body begins at `body`.
    pub(super) fn seal(&mut self, packet: &mut Vec<u8>, body: usize) {
        let _ = (packet, body);
    }

    fn send_reliable(&mut self, delivery: Delivery, message: &[u8]) -> Result<(), Failure> {
        let piece = self.piece();
        let max = if delivery == Delivery::Ordered { self.config().message } else { piece };
        if message.len() > max {
            return Err(too_large(message.len(), max));
        }
        let limit = self.config().send_buffer;
        if self.outgoing.held + Outgoing::cost(message, piece) > limit {
            return Err(backlog("the other side", limit));
        }
        self.outgoing.push(delivery, message, piece);
        Ok(())
    }

    /// Everything that a peer could make grow is within its bound.
    #[cfg(test)]
    pub(super) fn check_bounds(&self, message: usize) {
        // A packet may bring many small messages, and be the one for which many have waited.
        assert!(self.events.len() <= MAX_EVENTS + self.config().packet + usize::from(super::outgoing::WINDOW));
        assert!(self.unreliable.len() <= self.config().flush_buffer);
        self.outgoing.check_bounds(self.config().send_buffer);
        self.incoming.check_bounds(message, self.config().packet);
    }

    #[cfg(test)]
    pub(super) fn start_at(&mut self, ours: u16, theirs: u16, id: u16) {
        self.outgoing.start_at(ours, id);
        self.incoming.start_at(theirs, id);
        self.next_sequenced = id;
    }
}

fn too_large(len: usize, max: usize) -> Failure {
    Failure::new(Kind::TOO_LARGE, format!("a message of {len} bytes; this channel takes at most {max}"))
}

fn backlog(what: &str, limit: usize) -> Failure {
    Failure::new(Kind::BACKLOG, format!("{limit} bytes wait already: {what} does not keep up"))
}

impl Protocol for Session {
    fn name(&self) -> &'static str {
        "rudp"
    }

    /// Does nothing: the handshake is done.
    fn open(&mut self, _: Instant) {}

    fn input(&mut self, now: Instant, datagram: &[u8]) {
        self.packets[1] += 1;
        self.bytes[1] += datagram.len() as u64;
        if self.state == State::Closed {
            return;
        }
        // What has come early is kept: were there no limit to it, the window would be none either.
        if datagram.len() > self.config().packet {
            self.discarded += 1;
            return;
        }
        let opened = Envelope::read(self.config().magic, datagram).filter(|envelope| envelope.id == self.ids.own);
        let Some(envelope) = opened else {
            self.discarded += u64::from(!self.take_path(datagram));
            return;
        };
        if !self.take(now, &envelope) {
            self.discarded += 1;
        }
    }

    fn timeout(&mut self, now: Instant) {
        if self.state == State::Closed {
            return;
        }
        let silence = self.config().time_out;
        if now >= self.last_heard + silence {
            let what = format!("nothing came from the other side for {} s", silence.as_secs_f64());
            self.end(Failure::new(Kind::TIMED_OUT, what));
            return;
        }
        let lost = self.outgoing.expire(now, self.rtt.time_out(self.config()));
        if lost > 0 {
            self.lost += lost;
            self.rtt.back_off();
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let config = self.config();
        let until = match self.state {
            State::Open => None,
            State::Closing { until } => Some(until),
            State::Leaving { .. } => return Some(self.last_sent),
            State::Closed => return None,
        };
        let fixed = self.ping_at().min(self.last_heard + config.time_out);
        let resend = self.outgoing.deadline(|| self.rtt.time_out(config));
        let sooner = |soonest: Instant, at: Option<Instant>| at.map_or(soonest, |at| soonest.min(at));
        Some([until, resend, self.ack_at, self.probe_at()].into_iter().fold(fixed, sooner))
    }

    fn send(&mut self, _: Instant, channel: Channel, message: &[u8]) -> Result<(), Failure> {
        if self.state != State::Open {
            return Err(Failure::new(Kind::CLOSED, "the connection is closed"));
        }
        if channel.lane != 0 {
            return Err(Failure::new(Kind::TARGET, format!("there is no lane {}; all have lane 0", channel.lane)));
        }
        let delivery = channel.delivery;
        if channel.is_reliable() {
            return self.send_reliable(delivery, message);
        }
        let piece = self.piece();
        if message.len() > piece {
            return Err(too_large(message.len(), piece));
        }
        let id = self.next_sequenced;
        let limit = self.config().flush_buffer;
        if !self.unreliable.push(&Frame { delivery, more: false, id, bytes: message }, limit) {
            return Err(backlog("the flush", limit));
        }
        if delivery == Delivery::Sequenced {
            self.next_sequenced = id.wrapping_add(1);
        }
        Ok(())
    }

    fn poll_transmit(&mut self, now: Instant, packet: &mut Vec<u8>) -> bool {
        match self.state {
            State::Closed => return false,
            State::Closing { until } if now >= until || !self.outgoing.is_waiting() && self.unreliable.is_empty() => {
                self.state = State::Leaving { left: self.config().goodbyes };
            }
            _ => {}
        }
        let start = packet.len();
        if let State::Leaving { left } = &mut self.state {
            *left = left.saturating_sub(1);
            let is_last = *left == 0;
            let body = self.begin_sealed(kind::GOODBYE, packet);
            let ending = self.ending.as_deref();
            write_ending(packet, ending.map_or(0, |ending| ending.code), ending.map_or("", |ending| &ending.reason));
            self.seal(packet, body);
            if is_last {
                self.end(Failure::new(Kind::CLOSED, "closed by this side"));
            }
        } else {
            let limit = start + self.config().packet;
            let is_ready = self.outgoing.is_ready();
            if is_ready || !self.unreliable.is_empty() || now >= self.ping_at() {
                let body = self.begin(now, kind::DATA, packet);
                let messages = if is_ready { self.outgoing.fill(packet, limit) } else { Vec::new() };
                self.unreliable.fill(packet, limit);
                self.outgoing.sent(now, messages);
                self.seal(packet, body);
            } else if self.ack_at.is_some_and(|at| now >= at) {
                let body = self.begin(now, kind::ACK, packet);
                self.seal(packet, body);
            } else if !self.write_path(now, packet) {
                return false;
            }
        }
        self.packets[0] += 1;
        self.bytes[0] += (packet.len() - start) as u64;
        true
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.events.pop()
    }

    fn close(&mut self, now: Instant) {
        if self.state == State::Open {
            self.state = State::Closing { until: now + self.config().linger };
        }
    }

    fn abort(&mut self, _: Instant) {
        if self.state != State::Closed {
            self.state = State::Leaving { left: self.config().goodbyes };
        }
    }

    fn stats(&self) -> Stats {
        Stats {
            rtt: self.rtt.latest(),
            srtt: self.rtt.smoothed(),
            min_rtt: self.rtt.least(),
            resends: self.outgoing.resends,
            lost: self.lost,
            discarded: self.discarded,
            packets_sent: self.packets[0],
            packets_received: self.packets[1],
            bytes_sent: self.bytes[0],
            bytes_received: self.bytes[1],
        }
    }
}
