//! Joins a protocol, a codec and a link on the bot's own task: reads before its turn, sends after it.

mod deliver;
mod inbox;

use std::cell::RefCell;
use std::io;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use loadkit_core::flight::Way;
use loadkit_core::{Alarm, Cx, Drive, Failure, Kind, Label};
use tokio::time::Instant;

use self::inbox::Inbox;
use crate::any_link::AnyLink;
use crate::codec::Codec;
use crate::failures;
use crate::link::{Link, MAX_DATAGRAM, STREAM_QUEUE};
use crate::protocol::{Channel, Event, Protocol, Stats};
use crate::traffic::Traffic;

/// Messages read from a link in one turn, at most; then others have theirs.
const READS_PER_TURN: usize = 64;
/// Counts go to the recorder so often at most: a look-up by name is dear beside a packet.
const REPORT_EVERY_MS: u32 = 250;
/// Tasks other than the bot's own that wait for messages, at most; further ones must poll anew.
const MAX_WAITING: usize = 64;

thread_local! {
    /// What links receive into, one for all connections of a shard.
    static RECEIVE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    /// What protocols and codecs write into.
    static WRITE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    /// From when [`coarse`] counts.
    static BEGAN: Instant = Instant::now();
}

/// A connection's state. Idle it holds no buffers.
pub(crate) struct Core<P, C: Codec> {
    pub(crate) cx: Cx,
    link: AnyLink,
    protocol: P,
    pub(crate) codec: C,
    /// What waits for the bot; `None` while nothing does.
    inbox: Option<Box<Inbox<C>>>,
    inbox_bound: u16,
    /// The number of the last call.
    calls: u32,
    /// In ms.
    call_time_out: u32,
    alarm: Option<Box<(Instant, Alarm)>>,
    /// The bot's task, once it has had a turn.
    waker: Option<Waker>,
    /// Other tasks that wait for messages.
    #[expect(clippy::box_collection, reason = "8 bytes instead of 24 in every idle connection")]
    waiting: Option<Box<Vec<Waker>>>,
    pub(crate) ended: Option<Box<Failure>>,
    /// When the message handed out last had arrived.
    pub(crate) last_arrival: Option<Instant>,
    traffic: Traffic,
    /// In ms of [`coarse`].
    report_at: u32,
    in_turn: bool,
    pub(crate) is_connected: bool,
    /// Its number on the bot's flight recorder, the lowest byte.
    number: u8,
}

/// What the core drives around the bot's turns.
pub(crate) struct Driver<P, C: Codec>(pub(crate) RefCell<Core<P, C>>);

impl<P: Protocol, C: Codec> Drive for Driver<P, C> {
    fn before_turn(&self, cx: &mut Context<'_>) {
        let mut core = self.0.borrow_mut();
        core.in_turn = true;
        match &mut core.waker {
            Some(known) => known.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        core.read(cx);
    }

    fn after_turn(&self, cx: &mut Context<'_>) {
        let mut core = self.0.borrow_mut();
        core.in_turn = false;
        if let Some(inbox) = &mut core.inbox {
            inbox.turn_over();
        }
        // What comes up only now (the end, with the last goodbye) was not there for the bot in its turn.
        if core.flush(cx) {
            cx.waker().wake_by_ref();
        }
    }
}

impl<P: Protocol, C: Codec> Core<P, C> {
    pub(crate) fn new(cx: Cx, link: AnyLink, protocol: P, codec: C, inbox_bound: u32, call_time_out: Duration) -> Self {
        Core {
            cx,
            link,
            protocol,
            codec,
            inbox: None,
            inbox_bound: u16::try_from(inbox_bound).unwrap_or(u16::MAX),
            calls: 0,
            call_time_out: u32::try_from(call_time_out.as_millis()).unwrap_or(u32::MAX),
            alarm: None,
            waker: None,
            waiting: None,
            ended: None,
            last_arrival: None,
            traffic: Traffic::default(),
            report_at: coarse(Instant::now()),
            in_turn: false,
            is_connected: false,
            number: 0,
        }
    }

    /// Starts the handshake.
    pub(crate) fn open(&mut self) {
        self.number = self.cx.record(|tape| tape.dial() as u8).unwrap_or(0);
        self.protocol.open(Instant::now());
        self.take_events(Instant::now());
    }

    /// Reads and sends outside of the bot's turns: before its first one with the connection, or for another task.
    pub(crate) fn catch_up(&mut self, cx: &mut Context<'_>) {
        if !self.in_turn {
            let waker = self.waker.get_or_insert_with(|| cx.waker().clone()).clone();
            let mut cx = Context::from_waker(&waker);
            // What another task has read may be what the bot waits for.
            if self.read(&mut cx) | self.flush(&mut cx) {
                waker.wake();
            }
        }
    }

    /// Has the task woken when a message comes. The bot's own task needs nothing: what arrives gives it a turn.
    pub(crate) fn wait(&mut self, cx: &mut Context<'_>) {
        if self.waker.as_ref().is_some_and(|bot| bot.will_wake(cx.waker())) {
            return;
        }
        let waiting = self.waiting.get_or_insert_default();
        if !waiting.iter().any(|known| known.will_wake(cx.waker())) {
            if waiting.len() >= MAX_WAITING {
                waiting.remove(0).wake();
            }
            waiting.push(cx.waker().clone());
        }
    }

    fn wake(&mut self) {
        for waker in self.waiting.take().into_iter().flat_map(|waiting| *waiting) {
            waker.wake();
        }
    }

    /// Takes in what has arrived and what is due. Whether something came up that the bot may wait for.
    fn read(&mut self, cx: &mut Context<'_>) -> bool {
        if self.ended.is_some() {
            self.flush_link(cx);
            return false;
        }
        let mut is_news = false;
        let read = RECEIVE.with_borrow_mut(|buf| {
            let max = self.link.max_message();
            if buf.len() < max {
                buf.resize(max.max(MAX_DATAGRAM), 0);
            }
            for _ in 0..READS_PER_TURN {
                match self.link.poll_recv(cx, buf) {
                    Poll::Ready(Ok(received)) => {
                        let at = received.at.unwrap_or_else(Instant::now);
                        self.traffic.received(received.len);
                        self.protocol.input(at, buf.get(..received.len).unwrap_or_default());
                        is_news |= self.take_events(at);
                    }
                    Poll::Ready(Err(error)) => return Err(error),
                    Poll::Pending => return Ok(()),
                }
            }
            cx.waker().wake_by_ref();
            Ok(())
        });
        if let Err(error) = read {
            self.fail(&error);
        }
        let now = match self.protocol.deadline() {
            Some(due) => Some(Instant::now()).filter(|now| *now >= due),
            None => None,
        };
        if let Some(now) = now {
            self.protocol.timeout(now);
            is_news |= self.take_events(now);
        }
        is_news || self.ended.is_some()
    }

    /// Hands the protocol's events on. `at` is when what caused them arrived. Whether the bot may wait for one of them.
    fn take_events(&mut self, at: Instant) -> bool {
        let mut is_news = false;
        while let Some(event) = self.protocol.poll_event() {
            match event {
                Event::Message { channel, payload } => {
                    self.record(at, Way::Received, channel, &payload);
                    let message = self.codec.decode_bytes(payload);
                    let remark = match &message {
                        Ok(message) => self.codec.remark(message),
                        Err(_) => Some("net.malformed"),
                    };
                    if let Some(name) = remark {
                        self.cx.count(name, 1);
                    }
                    is_news |= self.deliver(at, message);
                }
                Event::RoundTrip(time) => self.cx.trend_part("net.rtt", &self.label(), time),
                Event::Connected => {
                    is_news = true;
                    self.is_connected = true;
                    self.cx.connection_opened();
                    self.cx.record(|tape| tape.connected(at, self.number.into(), self.name()));
                    self.wake();
                }
                Event::Closed(failure) => self.end(failure),
            }
        }
        is_news || self.ended.is_some()
    }

    fn fail(&mut self, error: &io::Error) {
        let failure = failures::failure(error, self.cx.target().name());
        self.end(failure);
    }

    /// Nothing goes either way from now on.
    pub(crate) fn end(&mut self, failure: Failure) {
        if self.ended.is_none() {
            self.cx.record(|tape| tape.closed(Instant::now(), self.number.into(), &failure));
            self.ended = Some(Box::new(failure));
            let failure = self.ended.as_ref().map_or("", |failure| failure.kind().name());
            self.cx.count_part("net.ends", &Label::new("reason", failure), 1);
            if self.is_connected {
                self.cx.connection_closed();
            }
            self.alarm = None;
            self.link.close();
            self.report();
            self.wake();
        }
    }

    /// Why nothing more can be sent or received, if that is so.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        self.ended.as_ref().map_or(Ok(()), |failure| Err((**failure).clone()))
    }

    /// Queues a message, to be sent after the bot's turn; at once when it is not its turn.
    pub(crate) fn send(&mut self, message: &C::Out, channel: Option<Channel>) -> Result<(), Failure> {
        self.check()?;
        let channel = channel.unwrap_or_else(|| self.codec.channel(message));
        WRITE.with_borrow_mut(|buf| {
            buf.clear();
            self.codec.encode(message, buf)?;
            let now = Instant::now();
            self.protocol.send(now, channel, buf)?;
            self.record(now, Way::Sent, channel, buf);
            Ok::<(), Failure>(())
        })?;
        if !self.in_turn
            && let Some(waker) = self.waker.clone()
            && self.flush(&mut Context::from_waker(&waker))
        {
            waker.wake();
        }
        Ok(())
    }

    /// Says goodbye.
    pub(crate) fn close(&mut self, abort: bool) {
        let now = Instant::now();
        if abort {
            self.protocol.abort(now);
        } else {
            self.protocol.close(now);
        }
        let waker = self.waker.clone();
        self.flush(&mut Context::from_waker(waker.as_ref().unwrap_or(Waker::noop())));
    }

    /// Bytes that the link has still to send.
    pub(crate) fn queued(&self) -> usize {
        self.link.queued()
    }

    /// Moves on what the link has still to send, also after the protocol has ended.
    pub(crate) fn flush_link(&mut self, cx: &mut Context<'_>) {
        if self.link.queued() == 0 {
            return;
        }
        if let Poll::Ready(Err(error)) = self.link.poll_flush(cx) {
            self.fail(&error);
        } else if self.ended.is_some() {
            self.set_alarm(Instant::now(), cx);
        }
    }

    /// Sends what the protocol has to send, and sees to its next deadline. Whether something came up that the bot may
    /// wait for.
    fn flush(&mut self, cx: &mut Context<'_>) -> bool {
        if self.ended.is_some() {
            self.flush_link(cx);
            return false;
        }
        let now = Instant::now();
        let sent = WRITE.with_borrow_mut(|packet| {
            loop {
                packet.clear();
                let has_room = !self.link.is_stream() || self.link.queued() < STREAM_QUEUE;
                if !has_room || !self.protocol.poll_transmit(now, packet) {
                    return Ok(());
                }
                match self.link.try_send(packet) {
                    Ok(()) => self.traffic.sent(packet.len()),
                    Err(error) if failures::is_no_room(&error) => self.traffic.refused(),
                    Err(error) => return Err(error),
                }
            }
        });
        let is_news = self.take_events(now);
        self.flush_link(cx);
        match sent {
            Err(error) => self.fail(&error),
            Ok(()) => self.set_alarm(now, cx),
        }
        let now = coarse(now);
        if now >= self.report_at {
            self.report();
            self.report_at = now.saturating_add(REPORT_EVERY_MS);
        }
        is_news || self.ended.is_some()
    }

    /// Sets the alarm for the next deadline of the protocol and the link. One that is set for earlier stays: waking once in vain costs less
    /// than moving it with every packet.
    fn set_alarm(&mut self, now: Instant, cx: &mut Context<'_>) {
        let protocol = self.protocol.deadline().filter(|_| self.ended.is_none());
        let Some(due) = protocol.into_iter().chain(self.link.deadline()).min() else {
            self.alarm = None;
            return;
        };
        let is_new = self.alarm.is_none();
        let alarm = self.alarm.get_or_insert_with(|| Box::new((due, self.cx.timers().alarm())));
        if is_new || alarm.0 <= now || due < alarm.0 {
            alarm.0 = due;
            alarm.1.set(due, cx.waker());
        }
    }

    fn report(&mut self) {
        let (label, losses) = (self.label(), self.link.take_losses());
        self.traffic.report(&self.cx, &label, &self.protocol.stats(), losses);
    }

    /// What the connection's figures are called.
    pub(crate) fn label(&self) -> Label {
        Label::new("protocol", self.name())
    }

    /// What the protocol measured, and what went over the link.
    pub(crate) fn stats(&self) -> Stats {
        self.traffic.complete(self.protocol.stats())
    }

    /// The protocol, to look at.
    pub(crate) fn protocol(&self) -> &P {
        &self.protocol
    }

    /// Ends without waiting: the goodbye is said once, as far as the link takes it.
    pub(crate) fn abandon(&mut self) {
        if self.ended.is_none() {
            self.close(true);
            self.end(Failure::new(Kind::CLOSED, "closed by this side"));
            self.flush_link(&mut Context::from_waker(Waker::noop()));
        }
    }
}

/// Milliseconds (49 days of them) since this thread's first connection: a quarter of an `Instant`'s size.
fn coarse(now: Instant) -> u32 {
    let since = BEGAN.with(|began| now.saturating_duration_since(*began));
    u32::try_from(since.as_millis()).unwrap_or(u32::MAX)
}
