//! A connection after its handshake: the same at both ends.

use std::rc::Rc;

use loadkit_core::{Failure, Kind};
use tokio::time::Instant;

use super::arrivals::Arrivals;
use super::config::Config;
use super::congestion::Pace;
use super::frame::Frame;
use super::incoming::Incoming;
use super::lanes::{Lanes, pieces};
use super::numbers::Numbers;
use super::outgoing::Outgoing;
use super::path::Path;
use super::rtt::RoundTrip;
use super::sealing::Sealing;
use super::taking::AckDue;
use super::unreliable::Unreliable;
use super::wire::{Envelope, kind, write_ending};
use crate::events::Events;
use crate::protocol::{Channel, Delivery, Event, Protocol, Stats};

#[derive(Debug, PartialEq, Eq)]
pub(super) enum State {
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
pub(super) struct Ending {
    pub(super) code: u32,
    pub(super) reason: Box<str>,
}

/// A packet that is being written: where it begins, where its body begins, and its number.
#[derive(Debug)]
pub(super) struct Begun {
    start: usize,
    body: usize,
    sequence: u16,
}

/// A connection after its handshake: the same at both ends.
///
/// Idle it holds no buffers; its own size is in the tests.
#[derive(Debug)]
pub struct Session {
    /// `None`: the defaults.
    pub(super) config: Option<Rc<Config>>,
    pub(super) ids: Ids,
    /// This end was connected to.
    accepted: bool,
    pub(super) state: State,
    pub(super) outgoing: Outgoing,
    pub(super) arrivals: Arrivals,
    pub(super) incoming: Incoming,
    pub(super) rtt: RoundTrip,
    pub(super) pace: Pace,
    unreliable: Unreliable,
    next_sequenced: Numbers,
    /// The id of the next unreliable message in pieces.
    next_in_pieces: u16,
    pub(super) events: Events,
    /// What this end says in its goodbyes; once it is closed, what the other side said.
    pub(super) ending: Option<Box<Ending>>,
    /// Of the end that connected.
    pub(super) path: Option<Path>,
    pub(super) sealing: Sealing,
    pub(super) last_sent: Instant,
    pub(super) last_heard: Instant,
    pub(super) ack_due: AckDue,
    pub(super) discarded: u32,
    packets_sent: u32,
    pub(super) packets_received: u32,
    bytes_sent: u64,
    pub(super) bytes_received: u64,
}

impl Session {
    /// A session whose handshake is done.
    pub(super) fn new(config: Option<Rc<Config>>, ids: Ids, accepted: bool, now: Instant) -> Session {
        let mut events = Events::default();
        events.push(Event::Connected);
        let pace = Pace::new(now, config.as_deref().unwrap_or(&Config::DEFAULT));
        Session {
            config,
            ids,
            accepted,
            state: State::Open,
            outgoing: Outgoing::default(),
            arrivals: Arrivals::default(),
            incoming: Incoming::default(),
            rtt: RoundTrip::default(),
            pace,
            unreliable: Unreliable::default(),
            next_sequenced: Numbers::default(),
            next_in_pieces: 0,
            events,
            ending: None,
            path: None,
            sealing: Sealing::default(),
            last_sent: now,
            last_heard: now,
            ack_due: AckDue::default(),
            discarded: 0,
            packets_sent: 0,
            packets_received: 0,
            bytes_sent: 0,
            bytes_received: 0,
        }
    }

    /// With its packets sealed so.
    pub(super) fn sealed(self, sealing: Sealing) -> Session {
        Session { sealing, ..self }
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

    /// The knobs, to be looked at while something else changes.
    pub(super) fn knobs(config: &Option<Rc<Config>>) -> &Config {
        config.as_deref().unwrap_or(&Config::DEFAULT)
    }

    /// The longest message that travels whole, and the length of the pieces of longer ones.
    fn lengths(&self) -> (usize, usize) {
        let whole = self.config().whole() - self.sealing.overhead();
        (whole, self.config().fragment.min(whole - 2))
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
            self.ack_due = AckDue::default();
        }
    }

    /// Begins a packet; what it takes along of acks needs no packet of its own.
    fn begin(&mut self, now: Instant, kind: u8, packet: &mut Vec<u8>) -> Begun {
        let header = self.arrivals.header(now);
        let begun = self.begin_sealed(kind | header.flags(), packet);
        header.write(packet);
        self.ack_due = AckDue::default();
        self.last_sent = now;
        begun
    }

    /// Begins a packet with its envelope; [`Session::seal`] ends it.
    pub(super) fn begin_sealed(&mut self, first: u8, packet: &mut Vec<u8>) -> Begun {
        let (start, sequence) = (packet.len(), self.outgoing.take_sequence());
        Envelope::write(packet, self.config().magic, first, self.ids.other, sequence);
        Begun { start, body: packet.len(), sequence }
    }

    /// Ends a packet.
    pub(super) fn seal(&mut self, packet: &mut Vec<u8>, begun: &Begun) {
        self.sealing.seal(begun.sequence, packet, begun.start, begun.body);
    }

    fn send_reliable(&mut self, now: Instant, channel: Channel, message: &[u8]) -> Result<(), Failure> {
        let (whole, piece) = self.lengths();
        let limit = self.config().send_buffer;
        if self.outgoing.lanes.held + Lanes::cost(message, whole, piece) > limit {
            return Err(backlog("the other side", limit));
        }
        self.outgoing.lanes.push(now, channel, message, whole, piece);
        Ok(())
    }

    fn send_unreliable(&mut self, channel: Channel, message: &[u8]) -> Result<(), Failure> {
        let ((whole, piece), limit) = (self.lengths(), self.config().flush_buffer);
        let is_whole = message.len() <= whole;
        let is_sequenced = channel.delivery == Delivery::Sequenced;
        let id = match (is_sequenced, is_whole) {
            (true, _) => self.next_sequenced.get(channel.lane),
            (false, true) => 0,
            (false, false) => self.next_in_pieces,
        };
        let is_queued = if is_whole {
            self.unreliable.push(std::iter::once(Frame { channel, piece: None, id, bytes: message }), limit)
        } else {
            let frames = pieces(message, piece).map(|(bytes, piece)| Frame { channel, piece: Some(piece), id, bytes });
            self.unreliable.push(frames, limit)
        };
        if !is_queued {
            return Err(backlog("the flush", limit));
        }
        if is_sequenced {
            self.next_sequenced.set(channel.lane, id.wrapping_add(1));
        } else if !is_whole {
            self.next_in_pieces = id.wrapping_add(1);
        }
        Ok(())
    }

    /// Writes a packet with messages, or a ping.
    fn write_data(&mut self, now: Instant, packet: &mut Vec<u8>, is_ready: bool) {
        let start = packet.len();
        let limit = start + self.config().packet - self.sealing.overhead();
        let begun = self.begin(now, kind::DATA, packet);
        self.outgoing.fill(now, packet, is_ready.then_some(limit));
        self.unreliable.fill(packet, limit);
        self.seal(packet, &begun);
        let (pace, len) = (&mut self.pace, packet.len() - start);
        pace.sent(len);
        self.outgoing.sent(len, |sent, fate| pace.fate(now, sent, fate));
    }

    /// Everything that a peer could make grow is within its bound.
    #[cfg(test)]
    pub(super) fn check_bounds(&self) {
        // A packet may bring many small messages, and be the one for which many have waited.
        assert!(self.events.len() <= super::taking::MAX_EVENTS + self.config().packet + 512);
        assert!(self.unreliable.len() <= self.config().flush_buffer);
        self.outgoing.check_bounds(self.config().send_buffer);
        self.incoming.check_bounds(self.config());
    }

    #[cfg(test)]
    pub(super) fn start_at(&mut self, ours: u16, theirs: u16, id: u16) {
        let reliable = || {
            let of = |delivery| (0..16).map(move |lane| Channel::new(delivery, lane));
            of(Delivery::Ordered).chain(of(Delivery::Unordered))
        };
        self.outgoing = Outgoing::default();
        self.outgoing.next_sequence = ours;
        self.outgoing.lanes.start_at(reliable(), id);
        self.arrivals.start_at(theirs);
        self.incoming.start_at(reliable(), id);
        (0..16).for_each(|lane| self.next_sequenced.set(lane, id));
        self.next_in_pieces = id;
    }
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
        self.take_datagram(now, datagram);
    }

    fn timeout(&mut self, now: Instant) {
        if self.state == State::Closed {
            return;
        }
        if now >= self.silent_until() {
            let what = format!("nothing came from the other side for {} s", self.config().time_out.as_secs_f64());
            self.end(Failure::new(Kind::TIMED_OUT, what));
            return;
        }
        let config = Session::knobs(&self.config);
        self.incoming.expire(now, config);
        let pace = &mut self.pace;
        if self.outgoing.is_loss_due(now) {
            self.outgoing.detect(now, self.rtt.loss_delay(config), |sent, fate| pace.fate(now, sent, fate));
        }
        if self.outgoing.expire(now, self.rtt.time_out(config), |sent, fate| pace.fate(now, sent, fate)) {
            self.rtt.back_off();
            pace.timed_out();
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
        let fixed = self.ping_at().min(self.silent_until());
        let resend = self.outgoing.deadline(|| self.rtt.time_out(config));
        let partial = self.incoming.deadline(config);
        let sooner = |soonest: Instant, at: Option<Instant>| at.map_or(soonest, |at| soonest.min(at));
        let all = [until, resend, self.ack_due.at, self.probe_at(), partial, self.pace.resume];
        Some(all.into_iter().fold(fixed, sooner))
    }

    fn send(&mut self, now: Instant, channel: Channel, message: &[u8]) -> Result<(), Failure> {
        if self.state != State::Open {
            return Err(Failure::new(Kind::CLOSED, "the connection is closed"));
        }
        let lanes = self.config().channels.lanes(channel.delivery);
        if channel.lane >= lanes {
            let what = format!("there is no lane {} for {:?}: it has {lanes}", channel.lane, channel.delivery);
            return Err(Failure::new(Kind::TARGET, what));
        }
        let max = self.config().message;
        if message.len() > max {
            let what = format!("a message of {} bytes; at most {max} are taken", message.len());
            return Err(Failure::new(Kind::TOO_LARGE, what));
        }
        if channel.is_reliable() {
            self.send_reliable(now, channel, message)
        } else {
            self.send_unreliable(channel, message)
        }
    }

    fn poll_transmit(&mut self, now: Instant, packet: &mut Vec<u8>) -> bool {
        match self.state {
            State::Closed => return false,
            State::Closing { until }
                if now >= until || !self.outgoing.lanes.is_waiting() && self.unreliable.is_empty() =>
            {
                self.state = State::Leaving { left: self.config().goodbyes };
            }
            _ => {}
        }
        let start = packet.len();
        if let State::Leaving { left } = &mut self.state {
            *left = left.saturating_sub(1);
            let is_last = *left == 0;
            let begun = self.begin_sealed(kind::GOODBYE, packet);
            let ending = self.ending.as_deref();
            write_ending(packet, ending.map_or(0, |ending| ending.code), ending.map_or("", |ending| &ending.reason));
            self.seal(packet, &begun);
            if is_last {
                self.end(Failure::new(Kind::CLOSED, "closed by this side"));
            }
        } else {
            let mut is_ready = self.outgoing.is_ready();
            let mut is_data = is_ready || !self.unreliable.is_empty();
            if !is_data {
                self.pace.resume = None;
            } else if !self.pace.may_send(now, Session::knobs(&self.config)) {
                (is_ready, is_data) = (false, false);
            }
            if is_data {
                self.write_data(now, packet, is_ready);
            } else if now >= self.ping_at() {
                let begun = self.begin(now, kind::DATA, packet);
                self.seal(packet, &begun);
                self.outgoing.fill(now, packet, None);
                let (pace, len) = (&mut self.pace, packet.len() - start);
                self.outgoing.sent(len, |sent, fate| pace.fate(now, sent, fate));
            } else if self.ack_due.at.is_some_and(|at| now >= at) {
                let begun = self.begin(now, kind::ACK, packet);
                self.seal(packet, &begun);
            } else if !self.write_path(now, packet) {
                return false;
            }
        }
        self.packets_sent = self.packets_sent.wrapping_add(1);
        self.bytes_sent += (packet.len() - start) as u64;
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
        let looked = self.last_sent.max(self.last_heard);
        Stats {
            rtt: self.rtt.latest(),
            srtt: self.rtt.smoothed(),
            min_rtt: self.rtt.least(),
            jitter: self.rtt.jitter(),
            resends: self.outgoing.lanes.resends.into(),
            lost: self.outgoing.lost.into(),
            lost_received: self.arrivals.missing.into(),
            duplicates: self.arrivals.duplicates.into(),
            reordered: self.arrivals.reordered.into(),
            discarded: self.discarded.into(),
            incomplete: self.incoming.incomplete.into(),
            held_back: self.pace.held_back.into(),
            queue_age: self.outgoing.lanes.oldest().map(|since| looked.saturating_duration_since(since)),
            packets_sent: self.packets_sent.into(),
            packets_received: self.packets_received.into(),
            bytes_sent: self.bytes_sent,
            bytes_received: self.bytes_received,
        }
    }
}
