//! A connection: the same at both ends.

mod segments;

use std::rc::Rc;
use std::time::Duration;

use loadkit_core::{Failure, Kind};
use tokio::time::Instant;

use super::config::{Config, Mode};
use super::incoming::Incoming;
use super::outgoing::Outgoing;
use super::rtt::RoundTrip;
use super::schedule::Schedule;
use super::wire::Segments;
use crate::protocol::{Channel, Event, Protocol, Stats};

/// Fragments that every receiver has room for: fewer than the least window of the reference.
const MAX_FRAGMENTS: usize = super::config::MIN_RECEIVE_WINDOW as usize - 1;

thread_local! {
    static FRAME: std::cell::RefCell<Vec<u8>> = const { std::cell::RefCell::new(Vec::new()) };
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    Fresh,
    Open,
    /// Waits for acks of what was sent before the end.
    Closing {
        until: Instant,
    },
    /// A last flush is to be made.
    Leaving {
        flushed: bool,
    },
    Closed,
}

/// One end of a KCP connection.
///
/// KCP has no handshake, so it is connected as soon as it is opened, and no goodbye: closing it waits for the acks of
/// what was sent before, and the other side learns of it only by its own time-out. There is one channel, ordered.
///
/// Idle it holds no buffers and has no deadlines, unless [`Config::keep_alive`] or [`Config::time_out`] ask for some.
#[derive(Debug)]
pub struct Session {
    /// `None`: the defaults.
    config: Option<Rc<Config>>,
    conv: u32,
    state: State,
    schedule: Schedule,
    outgoing: Outgoing,
    incoming: Incoming,
    rtt: RoundTrip,
    /// In the middle of a flush.
    is_flushing: bool,
    /// Whether the other side's window is to be asked for, our own told.
    asks: bool,
    tells: bool,
    last_heard: Instant,
    /// What was asked to keep the connection alive is not answered yet.
    keep_alive_at: Option<Instant>,
    tell_open: bool,
    round_trip: Option<Duration>,
    ended: Option<Box<Failure>>,
    discarded: u64,
    packets: [u64; 2],
    bytes: [u64; 2],
}

impl Session {
    /// A connection to be opened. Both ends name the same conversation.
    pub fn new(config: &Config, conv: u32, now: Instant) -> Session {
        let is_default = Config { conv: None, ..config.clone() } == Config::FAST;
        Session::sharing((!is_default).then(|| Rc::new(config.clone().bounded())), conv, now)
    }

    pub(super) fn sharing(config: Option<Rc<Config>>, conv: u32, now: Instant) -> Session {
        let outgoing = Outgoing::new(config.as_deref().unwrap_or(&Config::FAST));
        Session {
            config,
            conv,
            state: State::Fresh,
            schedule: Schedule::new(now),
            outgoing,
            incoming: Incoming::default(),
            rtt: RoundTrip::default(),
            is_flushing: false,
            asks: false,
            tells: false,
            last_heard: now,
            keep_alive_at: None,
            tell_open: false,
            round_trip: None,
            ended: None,
            discarded: 0,
            packets: [0; 2],
            bytes: [0; 2],
        }
    }

    /// The conversation's number.
    pub fn conv(&self) -> u32 {
        self.conv
    }

    /// Whether it has ended; it may still have an event to tell.
    pub fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    pub(super) fn config(&self) -> &Config {
        self.config.as_deref().unwrap_or(&Config::FAST)
    }

    fn end(&mut self, failure: Failure) {
        if self.state != State::Closed {
            self.state = State::Closed;
            self.ended = Some(Box::new(failure));
            self.outgoing.end();
            (self.keep_alive_at, self.is_flushing) = (None, false);
            self.incoming.end();
        }
    }

    /// Whether something came up that does not wait for a time of its own.
    fn has_news(&self) -> bool {
        self.asks || self.tells || self.incoming.owes_acks() || self.outgoing.is_ready(self.config())
    }

    /// Sees to it that what has come up is flushed.
    fn look(&mut self, now: Instant) {
        let has_news = self.has_news();
        let config = self.config.as_deref().unwrap_or(&Config::FAST);
        if has_news {
            self.schedule.wants_flush(now, config);
        }
        self.schedule.watch(now, self.outgoing.is_shut_out());
    }

    /// When the next flush is due.
    fn due(&self) -> Option<Instant> {
        self.schedule.due(self.outgoing.resend_at(), self.config())
    }

    fn begin_flush(&mut self, now: Instant) {
        let config = self.config.as_deref().unwrap_or(&Config::FAST);
        self.asks |= self.schedule.begin(now, config);
        if self.outgoing.begin(now, &self.rtt, config).is_err() {
            let what = format!("a segment was sent {} times and never acked", config.dead_link);
            self.end(Failure::new(Kind::TIMED_OUT, what));
            return;
        }
        self.is_flushing = true;
    }

    fn queue(&mut self, message: &[u8]) -> Result<(), Failure> {
        let config = self.config.as_deref().unwrap_or(&Config::FAST);
        let is_stream = config.mode != Mode::Messages;
        let max = if is_stream { config.message } else { config.message.min(MAX_FRAGMENTS * config.segment()) };
        if message.len() > max {
            let what = format!("a message of {} bytes; this connection takes at most {max}", message.len());
            return Err(Failure::new(Kind::TOO_LARGE, what));
        }
        let mut push = |bytes: &[u8]| self.outgoing.push(bytes, config.segment(), is_stream, config.send_buffer);
        let is_queued = match config.mode {
            Mode::Messages | Mode::Stream => push(message),
            Mode::Frames(framing) => FRAME.with_borrow_mut(|frame| {
                frame.clear();
                framing.write(message, frame).map(|()| push(frame))
            })?,
        };
        if is_queued {
            return Ok(());
        }
        Err(Failure::new(Kind::BACKLOG, format!("{} bytes wait already for the other side", config.send_buffer)))
    }

    /// What silence asks for: when the other side is to be asked, and when it is given up.
    fn silence(&self) -> [Option<Instant>; 2] {
        let config = self.config();
        let keep_alive = config.keep_alive.map(|time| self.keep_alive_at.unwrap_or(self.last_heard + time));
        [keep_alive, config.time_out.map(|time| self.last_heard + time)]
    }

    #[cfg(test)]
    pub(super) fn check_bounds(&self) {
        self.outgoing.check_bounds(self.config());
        self.incoming.check_bounds(self.config());
    }

    /// The numbers that are due: theirs, and of ours the first that is not acked.
    #[cfg(test)]
    pub(super) fn numbers(&self) -> (u32, u32) {
        (self.incoming.next(), self.outgoing.first())
    }

    /// No buffer is held.
    #[cfg(test)]
    pub(super) fn is_idle(&self) -> bool {
        self.outgoing.is_idle() && self.incoming.is_idle()
    }

    #[cfg(test)]
    pub(super) fn start_at(&mut self, ours: u32, theirs: u32) {
        self.outgoing.start_at(ours);
        self.incoming.start_at(theirs);
    }

    #[cfg(test)]
    pub(super) fn windows(&self) -> (u32, u32, u16) {
        self.outgoing.windows()
    }
}

impl Protocol for Session {
    fn name(&self) -> &'static str {
        "kcp"
    }

    fn open(&mut self, now: Instant) {
        if self.state == State::Fresh {
            (self.state, self.tell_open) = (State::Open, true);
            (self.schedule, self.last_heard) = (Schedule::new(now), now);
        }
    }

    fn input(&mut self, now: Instant, datagram: &[u8]) {
        self.packets[1] += 1;
        self.bytes[1] += datagram.len() as u64;
        if matches!(self.state, State::Fresh | State::Closed) {
            return;
        }
        let segments = Segments::read(datagram).filter(|segments| self.is_credible(*segments));
        let Some(segments) = segments else {
            self.discarded += 1;
            return;
        };
        self.last_heard = self.last_heard.max(now);
        self.keep_alive_at = None;
        match self.take(now, segments) {
            Ok(()) => self.look(now),
            Err(failure) => self.end(failure),
        }
    }

    fn timeout(&mut self, now: Instant) {
        if matches!(self.state, State::Fresh | State::Closed) {
            return;
        }
        let [keep_alive, time_out] = self.silence();
        if time_out.is_some_and(|at| now >= at) {
            let silence = now.saturating_duration_since(self.last_heard).as_secs_f64();
            self.end(Failure::new(Kind::TIMED_OUT, format!("nothing came from the other side for {silence:.1} s")));
            return;
        }
        if let Some(time) = self.config().keep_alive
            && keep_alive.is_some_and(|at| now >= at)
        {
            self.asks = true;
            self.keep_alive_at = Some(now + time);
        }
        self.look(now);
    }

    fn deadline(&self) -> Option<Instant> {
        let until = match self.state {
            State::Fresh | State::Closed => return None,
            State::Open => None,
            State::Closing { until } => Some(until),
            State::Leaving { .. } => return Some(self.last_heard),
        };
        [self.due(), until].into_iter().chain(self.silence()).flatten().min()
    }

    fn send(&mut self, now: Instant, channel: Channel, message: &[u8]) -> Result<(), Failure> {
        if self.state != State::Open {
            return Err(Failure::new(Kind::CLOSED, "the connection is closed"));
        }
        if channel != Channel::ORDERED {
            return Err(Failure::new(Kind::TARGET, format!("KCP has one channel, ordered, and no {channel:?}")));
        }
        self.queue(message)?;
        self.look(now);
        Ok(())
    }

    fn poll_transmit(&mut self, now: Instant, packet: &mut Vec<u8>) -> bool {
        if !self.is_flushing {
            if let State::Closing { until } = self.state
                && (now >= until || self.outgoing.is_empty())
            {
                self.state = State::Leaving { flushed: false };
            }
            match &mut self.state {
                State::Fresh | State::Closed => return false,
                State::Leaving { flushed } => {
                    if std::mem::replace(flushed, true) {
                        self.end(Failure::new(Kind::CLOSED, "closed by this side"));
                        return false;
                    }
                }
                State::Open | State::Closing { .. } => {
                    if self.due().is_none_or(|at| now < at) {
                        return false;
                    }
                }
            }
            self.begin_flush(now);
        }
        let start = packet.len();
        if self.is_flushing {
            self.fill(now, packet);
        }
        if packet.len() == start {
            self.is_flushing = false;
            self.look(now);
            if let State::Leaving { flushed: true } = self.state {
                self.end(Failure::new(Kind::CLOSED, "closed by this side"));
            }
            return false;
        }
        self.packets[0] += 1;
        self.bytes[0] += (packet.len() - start) as u64;
        true
    }

    fn poll_event(&mut self) -> Option<Event> {
        if std::mem::take(&mut self.tell_open) {
            return Some(Event::Connected);
        }
        if let Some(time) = self.round_trip.take() {
            return Some(Event::RoundTrip(time));
        }
        let config = self.config.as_deref().unwrap_or(&Config::FAST);
        let was_shut = self.incoming.window(config) == 0;
        match self.incoming.fetch(config) {
            Ok(Some(payload)) => {
                if was_shut && self.incoming.window(config) > 0 && self.state != State::Closed {
                    // The other side waits to hear of it.
                    self.tells = true;
                    self.schedule.wants_next_flush();
                }
                return Some(Event::Message { channel: Channel::ORDERED, payload });
            }
            Ok(None) => {}
            Err(failure) => self.end(failure),
        }
        self.ended.take().map(|failure| Event::Closed(*failure))
    }

    fn close(&mut self, now: Instant) {
        match self.state {
            State::Fresh => self.end(Failure::new(Kind::CLOSED, "closed by this side")),
            State::Open => self.state = State::Closing { until: now + self.config().linger },
            _ => {}
        }
    }

    fn abort(&mut self, now: Instant) {
        match self.state {
            State::Open | State::Closing { .. } => self.state = State::Leaving { flushed: false },
            _ => self.close(now),
        }
    }

    fn stats(&self) -> Stats {
        Stats {
            rtt: self.rtt.latest(),
            srtt: self.rtt.smoothed(),
            min_rtt: self.rtt.least(),
            resends: self.outgoing.resends,
            lost: self.outgoing.lost,
            discarded: self.discarded,
            packets_sent: self.packets[0],
            packets_received: self.packets[1],
            bytes_sent: self.bytes[0],
            bytes_received: self.bytes[1],
            ..Stats::default()
        }
    }
}
