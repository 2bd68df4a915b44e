//! A connection after its handshake: the same at both ends.

use std::rc::Rc;

use loadkit_core::{Failure, Kind};
use tokio::time::Instant;

use super::arrivals::Arrivals;
use super::config::Config;
use super::congestion::Pace;
use super::incoming::Incoming;
use super::numbers::Numbers;
use super::outgoing::Outgoing;
use super::path::Path;
use super::rtt::RoundTrip;
use super::sealing::Sealing;
use super::taking::AckDue;
use super::unreliable::Unreliable;
use crate::events::Events;
#[cfg(test)]
use crate::protocol::Delivery;
use crate::protocol::{Channel, Event, Protocol, Stats};

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
    pub(super) unreliable: Unreliable,
    pub(super) next_sequenced: Numbers,
    /// The id of the next unreliable message in pieces.
    pub(super) next_in_pieces: u16,
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

    /// When silence of its own has lasted long enough. The end that was connected to waits a little longer, so that of
    /// two idle ends one pings and the other acks.
    pub(super) fn ping_at(&self) -> Instant {
        let keep_alive = self.config().keep_alive;
        self.last_sent + if self.accepted { keep_alive + keep_alive / 4 } else { keep_alive }
    }

    pub(super) fn end(&mut self, failure: Failure) {
        if self.state != State::Closed {
            (self.state, self.ending) = (State::Closed, None);
            self.events.push(Event::Closed(failure));
            // What it has counted is asked for after its end.
            let resends = self.outgoing.lanes.resends;
            self.outgoing = Outgoing::default();
            self.outgoing.lanes.resends = resends;
            self.incoming = Incoming::default();
            self.unreliable = Unreliable::default();
            self.ack_due = AckDue::default();
        }
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
            let rtt = &self.rtt;
            self.outgoing.detect(now, || rtt.loss_delay(config), |sent, fate| pace.fate(now, sent, fate));
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
        let mut soonest = self.ping_at().min(self.silent_until());
        let mut also = |at: Option<Instant>| {
            if let Some(at) = at
                && at < soonest
            {
                soonest = at;
            }
        };
        also(until);
        also(self.ack_due.at);
        also(self.pace.resume);
        also(self.outgoing.deadline(|| self.rtt.time_out(config)));
        also(self.incoming.deadline(config));
        Some(soonest)
    }

    fn send(&mut self, now: Instant, channel: Channel, message: &[u8]) -> Result<(), Failure> {
        if self.state != State::Open {
            return Err(Failure::new(Kind::CLOSED, "the connection is closed"));
        }
        self.queue(now, channel, message)
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
        if let State::Leaving { left } = self.state {
            self.write_goodbye(left.saturating_sub(1), packet);
        } else if !self.write_next(now, packet) {
            return false;
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
