//! A connection after its handshake: the same at both ends.

use std::rc::Rc;
use std::time::Duration;

use loadkit_core::{Failure, Kind};
use tokio::time::Instant;

use super::config::Config;

use super::incoming::Incoming;
use super::outgoing::Outgoing;
use super::rtt::RoundTrip;
use super::unreliable::Unreliable;
use super::wire::{
    DELAY_UNIT_US, Frame, Frames, Header, MAX_FRAME_HEADER, MAX_HEADER, NO_DELAY, Packet, write_goodbye,
};
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

/// A connection after its handshake: the same at both ends.
///
/// Idle it holds no buffers; its own size is in the tests.
#[derive(Debug)]
pub struct Session {
    /// `None`: the defaults.
    config: Option<Rc<Config>>,
    id: u32,
    /// This end was connected to.
    accepted: bool,
    state: State,
    outgoing: Outgoing,
    incoming: Incoming,
    rtt: RoundTrip,
    unreliable: Unreliable,
    next_sequenced: u16,
    events: Events,
    reason: Option<Box<str>>,
    last_sent: Instant,
    last_heard: Instant,
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
    pub(super) fn new(config: Option<Rc<Config>>, id: u32, accepted: bool, now: Instant) -> Session {
        let mut events = Events::default();
        events.push(Event::Connected);
        Session {
            config,
            id,
            accepted,
            state: State::Open,
            outgoing: Outgoing::default(),
            incoming: Incoming::default(),
            rtt: RoundTrip::default(),
            unreliable: Unreliable::default(),
            next_sequenced: 0,
            events,
            reason: None,
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

    /// The number in all of its packets.
    pub(super) fn id(&self) -> u32 {
        self.id
    }

    /// Says goodbye with a reason that the other side gets to read (at most 120 bytes of it).
    pub fn disconnect(&mut self, now: Instant, reason: &str) {
        self.reason = Some(reason.into());
        self.close(now);
    }

    /// Ends it without a word: another one has taken its address.
    pub(super) fn replaced(&mut self) {
        self.end(Failure::new(Kind::CLOSED, "a new connection came from the same address"));
    }

    /// Whether it has ended; it may still have an event to tell.
    pub fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    fn config(&self) -> &Config {
        self.config.as_deref().unwrap_or(&Config::DEFAULT)
    }

    /// The most bytes of a message that fit into one packet.
    fn piece(&self) -> usize {
        self.config().packet - MAX_HEADER - MAX_FRAME_HEADER
    }

    /// When silence of its own has lasted long enough. The end that was connected to waits a little longer, so that of
    /// two idle ends one pings and the other acks.
    fn ping_at(&self) -> Instant {
        let keep_alive = self.config().keep_alive;
        self.last_sent + if self.accepted { keep_alive + keep_alive / 4 } else { keep_alive }
    }

    fn end(&mut self, failure: Failure) {
        if self.state != State::Closed {
            self.state = State::Closed;
            self.events.push(Event::Closed(failure));
            self.outgoing = Outgoing::default();
            self.incoming = Incoming::default();
            self.unreliable = Unreliable::default();
            self.ack_at = None;
        }
    }

    fn take_data(&mut self, now: Instant, header: &Header, frames: Option<Frames>) {
        let fits = self.events.len() < MAX_EVENTS
            && self.outgoing.can_be_true(header)
            && self.incoming.is_new(header.sequence)
            && frames.is_none_or(|mut frames| {
                frames.all(|frame| frame.is_ok_and(|frame| self.incoming.is_in_window(&frame)))
            });
        if !fits {
            self.discarded += 1;
            return;
        }
        self.last_heard = self.last_heard.max(now);
        self.incoming.arrived(now, header.sequence);
        self.take_acks(now, header);
        let Some(frames) = frames else { return };
        let mut wants_ack = frames.is_empty();
        let max_message = self.config().message;
        for frame in frames.map_while(Result::ok) {
            wants_ack |= matches!(frame.delivery, Delivery::Ordered | Delivery::Unordered);
            let events = &mut self.events;
            let deliver = |channel, payload| events.push(Event::Message { channel, payload });
            if self.incoming.take(&frame, max_message, deliver).is_err() {
                let what = format!("the other side sent a message of more than {max_message} bytes");
                self.end(Failure::new(Kind::TOO_LARGE, what));
                return;
            }
        }
        self.schedule_ack(now, wants_ack);
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
    fn begin(&mut self, now: Instant, is_ack: bool, out: &mut Vec<u8>) {
        self.incoming.header(now, self.id, self.outgoing.next_sequence).write(is_ack, out);
        self.ack_at = None;
        (self.unacked, self.unacked_reliable) = (0, 0);
        self.last_sent = now;
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
        match Packet::read(datagram) {
            Some(Packet::Data { header, frames }) if header.session == self.id => {
                self.take_data(now, &header, Some(frames));
            }
            Some(Packet::Ack(header)) if header.session == self.id => self.take_data(now, &header, None),
            Some(Packet::Goodbye { session, reason }) if session == self.id => {
                let why = if reason.is_empty() { String::new() } else { format!(": {reason}") };
                self.end(Failure::new(Kind::CLOSED, format!("the other side closed the connection{why}")));
            }
            _ => self.discarded += 1,
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
        Some([until, resend, self.ack_at].into_iter().fold(fixed, sooner))
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
            write_goodbye(packet, self.id, self.reason.as_deref().unwrap_or_default());
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.end(Failure::new(Kind::CLOSED, "closed by this side"));
            }
        } else {
            let limit = start + self.config().packet;
            let is_ready = self.outgoing.is_ready();
            if is_ready || !self.unreliable.is_empty() || now >= self.ping_at() {
                self.begin(now, false, packet);
                let messages = if is_ready { self.outgoing.fill(packet, limit) } else { Vec::new() };
                self.unreliable.fill(packet, limit);
                self.outgoing.sent(now, messages);
            } else if self.ack_at.is_some_and(|at| now >= at) {
                self.begin(now, true, packet);
                self.outgoing.skip();
            } else {
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
