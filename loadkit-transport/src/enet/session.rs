//! A connection from its first command to its last: the same at both ends.

mod input;
mod output;

pub(super) use output::BANDWIDTH_INTERVAL_US;

use std::rc::Rc;
use std::time::Duration;

use loadkit_core::{Failure, Kind};
use tokio::time::Instant;

use super::acks::Acks;
use super::agreed::{Agreed, Unacceptable};
use super::config::Config;
use super::held::Limits;
use super::incoming::Incoming;
use super::outgoing::Outgoing;
use super::pace::Pace;
use super::reliable::{Control, Patience};
use super::wire::{Terms, ThrottleRates};
use crate::events::Events;
use crate::protocol::{Channel, Event, Protocol, Stats};

/// Events that nobody has fetched, at most; until then datagrams are dropped as if they had been lost.
const MAX_EVENTS: usize = 4_096;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// A client, until the server has verified it.
    Connecting,
    /// A server, until the client has acknowledged that.
    Accepting,
    Open,
    /// Waits for acknowledgements of what was sent before the end.
    Closing {
        until_us: u64,
    },
    /// Waits for the acknowledgement of the end.
    Disconnecting {
        until_us: u64,
    },
    /// The other side has ended it, and is to be told that this was heard.
    Leaving,
    /// The end is to be told once, and no answer awaited.
    Parting,
    Closed,
}

/// A connection from its first command to its last: the same at both ends.
///
/// Idle it holds no buffers beside some 40 bytes for each channel used; its own size is in the tests.
#[derive(Debug)]
pub struct Session {
    agreed: Agreed,
    began: Instant,
    state: State,
    outgoing: Outgoing,
    incoming: Incoming,
    pace: Pace,
    acks: Acks,
    events: Events,
    /// When something was acknowledged last.
    heard_us: u64,
    /// Since then bytes of messages were counted against the bandwidth.
    bandwidth_since_us: u64,
    bandwidth_bytes: u64,
    /// A server divides its bandwidth among all of its connections.
    is_shared: bool,
    discarded: u64,
    packets: [u64; 2],
    bytes: [u64; 2],
}

impl Session {
    /// A client's, that asks for a connection. `own_id` is its number of the server, to be found in every datagram to
    /// it; `connect_id` is random.
    pub(super) fn ask(config: Option<Rc<Config>>, own_id: u16, connect_id: u32, now: Instant) -> Session {
        Session::new(Agreed::asked(config, own_id, connect_id), now, State::Connecting, Control::Connect)
    }

    /// A server's, for a client that asks for `terms`. `sessions` are those of the last connection with this number.
    pub(super) fn accept(
        config: Rc<Config>,
        own_id: u16,
        sessions: [u8; 2],
        (terms, data): (&Terms, u32),
        now: Instant,
    ) -> Result<Session, Unacceptable> {
        let agreed = Agreed::granted(config, own_id, sessions, terms, data)?;
        let mut session = Session::new(agreed, now, State::Accepting, Control::VerifyConnect);
        session.pace.rates = terms.throttle;
        session.is_shared = session.config().outgoing_bandwidth > 0;
        Ok(session)
    }

    fn new(agreed: Agreed, began: Instant, state: State, first: Control) -> Session {
        let pace = Pace::new(agreed.config().throttle());
        let mut outgoing = Outgoing::default();
        outgoing.push_control(first);
        Session {
            agreed,
            began,
            state,
            outgoing,
            incoming: Incoming::default(),
            pace,
            acks: Acks::default(),
            events: Events::default(),
            heard_us: 0,
            bandwidth_since_us: 0,
            bandwidth_bytes: 0,
            is_shared: false,
            discarded: 0,
            packets: [0; 2],
            bytes: [0; 2],
        }
    }

    /// The word that the client sent with its request to connect: [`Config::data`].
    pub fn data(&self) -> u32 {
        self.agreed.data
    }

    /// The word with which the other side has ended the connection; 0 until then.
    pub fn goodbye(&self) -> u32 {
        if self.state == State::Closed { self.agreed.goodbye } else { 0 }
    }

    /// Channels that both ends know.
    pub fn channels(&self) -> u8 {
        self.agreed.channels
    }

    /// The largest datagram that both ends send.
    pub fn mtu(&self) -> u16 {
        self.agreed.mtu
    }

    /// Unreliable messages that the throttle has dropped, because round trips had grown or a bandwidth was told.
    pub fn throttled(&self) -> u64 {
        self.outgoing.throttled
    }

    /// Whether it has ended; it may still have an event to tell.
    pub fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    /// Says goodbye with a word that the other side gets to read, when what was sent before has arrived.
    pub fn disconnect(&mut self, now: Instant, data: u32) {
        match self.state {
            State::Open => {
                self.agreed.goodbye = data;
                let until_us = self.us(now) + micros(self.config().linger);
                self.state = State::Closing { until_us };
            }
            State::Connecting | State::Accepting => self.abort_with(data),
            _ => {}
        }
    }

    /// Tells the other side how it is to throttle what it sends; see the knobs of the same names in [`Config`].
    pub fn configure_throttle(&mut self, interval: Duration, acceleration: u32, deceleration: u32) {
        if self.is_connected() {
            let interval_ms = u32::try_from(interval.as_millis()).unwrap_or(u32::MAX);
            self.pace.rates = ThrottleRates { interval_ms, acceleration, deceleration };
            self.outgoing.push_control(Control::ThrottleConfigure);
        }
    }

    /// The sessions of datagrams inwards and outwards.
    pub(super) fn sessions(&self) -> [u8; 2] {
        self.agreed.sessions
    }

    fn config(&self) -> &Config {
        self.agreed.config()
    }

    fn limits(&self) -> Limits {
        let Config { message, waiting, .. } = *self.config();
        Limits { message, waiting }
    }

    /// Messages go both ways.
    pub(super) fn is_connected(&self) -> bool {
        matches!(self.state, State::Open | State::Closing { .. })
    }

    /// Time since its beginning, in µs.
    fn us(&self, now: Instant) -> u64 {
        micros(now.saturating_duration_since(self.began))
    }

    fn end(&mut self, failure: Failure) {
        if self.state != State::Closed {
            self.state = State::Closed;
            self.events.push(Event::Closed(failure));
            self.outgoing.reset();
            self.incoming = Incoming::default();
            self.acks = Acks::default();
        }
    }

    /// The end as this side wants it.
    fn end_by_us(&mut self) {
        self.fail(Kind::CLOSED, "closed by this side");
    }

    /// An end of which the other side has not said anything.
    fn fail(&mut self, kind: Kind, what: impl Into<std::borrow::Cow<'static, str>>) {
        self.agreed.goodbye = 0;
        self.end(Failure::new(kind, what));
    }

    /// The end is told once, and no answer awaited. A server that has not answered yet cannot be told.
    fn abort_with(&mut self, data: u32) {
        if self.state == State::Closed {
            return;
        }
        self.agreed.goodbye = data;
        self.outgoing.clear();
        self.state = State::Parting;
        if !self.agreed.is_known() {
            self.end_by_us();
        }
    }

    /// Moves the end on: from waiting for what was sent before to saying so, and to saying so for the last time.
    fn move_on(&mut self, now_us: u64) {
        match self.state {
            State::Closing { until_us } | State::Disconnecting { until_us } if now_us >= until_us => {
                self.abort_with(self.agreed.goodbye);
            }
            State::Closing { until_us } if self.outgoing.is_empty() => {
                self.outgoing.push_control(Control::Disconnect);
                self.state = State::Disconnecting { until_us };
            }
            _ => {}
        }
    }

    /// Everything that a peer could make grow is within its bound.
    #[cfg(test)]
    pub(super) fn check_bounds(&self) {
        // A datagram may bring many small messages, and be the one for which many have waited.
        assert!(self.events.len() <= MAX_EVENTS + 4_096 + usize::from(super::incoming::WINDOW));
        assert!(self.outgoing.loose_with(0, 1) <= self.config().flush_buffer + 100);
        self.outgoing.reliable.check_bounds(self.config().send_buffer);
        self.incoming.check_bounds(self.limits());
        self.acks.check_bounds();
    }

    #[cfg(test)]
    pub(super) fn start_at(&mut self, ours: u16, theirs: u16) {
        self.outgoing.start_at(self.agreed.channels, ours);
        self.incoming.start_at(self.agreed.channels, theirs);
    }

    /// What it has on the heap.
    #[cfg(test)]
    pub(super) fn heap(&self) -> usize {
        self.outgoing.reliable.heap() + self.incoming.heap()
    }
}

impl Protocol for Session {
    fn name(&self) -> &'static str {
        "enet"
    }

    /// Does nothing: whoever made it has begun the handshake.
    fn open(&mut self, _: Instant) {}

    fn input(&mut self, now: Instant, datagram: &[u8]) {
        self.packets[1] += 1;
        self.bytes[1] += datagram.len() as u64;
        if self.state != State::Closed && !self.take(now, datagram) {
            self.discarded += 1;
        }
    }

    fn timeout(&mut self, now: Instant) {
        if self.state == State::Closed {
            return;
        }
        let now_us = self.us(now);
        let Config { time_out_limit, time_out_min, time_out_max, ping, .. } = *self.config();
        let (min_us, max_us) = (micros(time_out_min), micros(time_out_max));
        if !self.outgoing.expire(now_us, Patience { limit: time_out_limit, min_us, max_us }) {
            self.fail(Kind::TIMED_OUT, self.silence());
            return;
        }
        self.move_on(now_us);
        self.incoming.forget(now_us);
        let is_idle = self.is_connected() && !self.outgoing.reliable.is_waiting();
        if is_idle && now_us >= self.heard_us + micros(ping) {
            self.outgoing.push_control(Control::Ping);
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let until_us = match self.state {
            State::Closing { until_us } | State::Disconnecting { until_us } => Some(until_us),
            State::Connecting | State::Accepting | State::Open => None,
            State::Leaving | State::Parting => return Some(self.began),
            State::Closed => return None,
        };
        let is_idle = self.is_connected() && !self.outgoing.reliable.is_waiting();
        let ping_us = is_idle.then(|| self.heard_us + micros(self.config().ping));
        let resend_us = self.outgoing.reliable.next_time_out_us();
        let soonest = [until_us, ping_us, resend_us].into_iter().flatten().min()?;
        Some(self.began + Duration::from_micros(soonest))
    }

    fn send(&mut self, _: Instant, channel: Channel, message: &[u8]) -> Result<(), Failure> {
        self.queue(channel, message)
    }

    fn poll_transmit(&mut self, now: Instant, packet: &mut Vec<u8>) -> bool {
        let now_us = self.us(now);
        self.move_on(now_us);
        self.keep_to_bandwidth(now_us);
        self.write(now_us, packet)
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.events.pop()
    }

    fn close(&mut self, now: Instant) {
        self.disconnect(now, 0);
    }

    fn abort(&mut self, _: Instant) {
        self.abort_with(0);
    }

    fn stats(&self) -> Stats {
        Stats {
            rtt: self.pace.latest(),
            srtt: self.pace.smoothed(),
            min_rtt: self.pace.least(),
            resends: self.outgoing.reliable.resends,
            lost: self.outgoing.reliable.lost,
            discarded: self.discarded,
            packets_sent: self.packets[0],
            packets_received: self.packets[1],
            bytes_sent: self.bytes[0],
            bytes_received: self.bytes[1],
            ..Stats::default()
        }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
