//! The sending half: segments until they are acked, when each is sent (again), and how many may be under way.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::config::Config;
use super::rtt::RoundTrip;
use super::wire::after;
use crate::pool::Pool;

/// What a queued segment costs beside its bytes.
const SEGMENT_COST: usize = 96;
/// `IKCP_FASTACK_LIMIT`: a segment sent so often waits for its time-out.
const FAST_LIMIT: u32 = 5;
/// `IKCP_THRESH_INIT` and `IKCP_THRESH_MIN`.
const LEAST_THRESHOLD: u32 = 2;
/// Larger queues are not kept.
const KEPT: usize = 64;

thread_local! {
    static QUEUES: Pool<VecDeque<Queued>> = const { Pool::new() };
}

/// A segment that is to be sent, or acked.
#[derive(Debug)]
pub(super) struct Queued {
    bytes: Vec<u8>,
    frg: u8,
    acked: bool,
    /// Goes out with this flush.
    goes: bool,
    /// So often it was sent.
    sent: u32,
    /// So many acks of later segments have come since it was sent.
    skipped: u32,
    /// In µs.
    time_out: u32,
    first_sent: Option<Instant>,
    last_sent: Option<Instant>,
    resend_at: Option<Instant>,
}

/// A segment as it goes out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Going<'a> {
    pub(super) sn: u32,
    pub(super) frg: u8,
    pub(super) data: &'a [u8],
}

/// One segment was sent as often as is allowed, and was never acked.
#[derive(Debug)]
pub(super) struct DeadLink;

/// The sending half of a session.
#[derive(Debug)]
pub(super) struct Outgoing {
    /// What is not acked: first what is under way, then what is not sent yet. Without room when empty.
    queue: VecDeque<Queued>,
    /// The number of the first in the queue (`snd_una`).
    una: u32,
    /// So many at the front are under way.
    under_way: u32,
    /// Before it, no segment goes with this flush.
    cursor: usize,
    /// What the queue costs in memory.
    held: usize,
    /// When the first of those under way is due to be sent again.
    resend_at: Option<Instant>,
    /// A segment was skipped often enough to be sent again now.
    is_fast: bool,
    /// What the other side can take (`rmt_wnd`), and the `una` of the segment that said so.
    window: u16,
    window_una: u32,
    /// The congestion window in segments and in bytes, and where slow start ends.
    congestion: u32,
    congestion_bytes: u32,
    threshold: u32,
    /// Segments sent again.
    pub(super) resends: u64,
    /// Segments sent again because nothing was heard of them.
    pub(super) lost: u64,
}

impl Outgoing {
    pub(super) fn new(config: &Config) -> Outgoing {
        Outgoing {
            queue: VecDeque::new(),
            una: 0,
            under_way: 0,
            cursor: 0,
            held: 0,
            resend_at: None,
            is_fast: false,
            // As the reference: until the other side says what it can take.
            window: super::config::MIN_RECEIVE_WINDOW,
            window_una: 0,
            congestion: 1,
            congestion_bytes: config.segment() as u32,
            threshold: LEAST_THRESHOLD,
            resends: 0,
            lost: 0,
        }
    }

    /// Queues a message of so many segments at most, if it costs no more than the rest of `limit`.
    pub(super) fn push(&mut self, message: &[u8], segment: usize, is_stream: bool, limit: usize) -> bool {
        let mut rest = message;
        let mut room = 0;
        if is_stream && self.under_way < self.len() {
            room = self.queue.back().map_or(0, |last| segment - last.bytes.len()).min(message.len());
        }
        let count = (message.len() - room).div_ceil(segment);
        let count = if count == 0 && !is_stream { 1 } else { count };
        let cost = message.len() + SEGMENT_COST * count;
        if self.held + cost > limit {
            return false;
        }
        self.held += cost;
        if let Some(last) = self.queue.back_mut().filter(|_| room > 0) {
            let (head, tail) = rest.split_at(room);
            last.bytes.extend_from_slice(head);
            rest = tail;
        }
        if self.queue.capacity() == 0 {
            self.queue = QUEUES.with(Pool::take);
        }
        for left in (0..count).rev() {
            let (head, tail) = rest.split_at(rest.len().min(segment));
            let frg = if is_stream { 0 } else { u8::try_from(left).unwrap_or(u8::MAX) };
            self.queue.push_back(Queued::new(head, frg));
            rest = tail;
        }
        true
    }

    fn len(&self) -> u32 {
        u32::try_from(self.queue.len()).unwrap_or(u32::MAX)
    }

    /// Whether nothing waits or is under way.
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// The number of the next segment that was never sent (`snd_nxt`).
    fn next(&self) -> u32 {
        self.una.wrapping_add(self.under_way)
    }

    /// Whether an `una` can be true: what was never sent cannot have arrived.
    pub(super) fn can_be_una(&self, una: u32) -> bool {
        after(una, self.next()) <= 0
    }

    /// Whether an ack can be true.
    pub(super) fn can_be_acked(&self, sn: u32) -> bool {
        after(sn, self.next()) < 0
    }

    /// The segments that may be under way now.
    fn allowed(&self, config: &Config) -> u32 {
        let window = config.send_window.min(self.window).into();
        if config.congestion_window { self.congestion.min(window) } else { window }
    }

    /// Whether something is to be sent with the next flush: new, or again because it was skipped.
    pub(super) fn is_ready(&self, config: &Config) -> bool {
        self.is_fast || self.under_way < self.len().min(self.allowed(config))
    }

    /// Whether the other side has no room for what waits.
    pub(super) fn is_shut_out(&self) -> bool {
        self.window == 0 && !self.queue.is_empty()
    }

    /// When a segment is due to be sent again.
    pub(super) fn resend_at(&self) -> Option<Instant> {
        self.resend_at
    }

    /// Takes what the other side says of its room. What is older than what is known already is not heard.
    pub(super) fn window(&mut self, window: u16, una: u32) {
        if after(una, self.window_una) >= 0 {
            (self.window, self.window_una) = (window, una);
        }
    }

    /// Takes the ack of one segment that was sent at `ts`, by the clock that `ms` reads. The round trip, if the ack is
    /// the first and its time can be true.
    pub(super) fn acked(&mut self, now: Instant, sn: u32, ts: u32, ms: impl Fn(Instant) -> u32) -> Option<Duration> {
        let at = usize::try_from(after(sn, self.una)).ok()?;
        let queued = self.queue.get_mut(at).filter(|queued| !queued.acked)?;
        let (first, last) = (queued.first_sent?, queued.last_sent?);
        (queued.acked, queued.goes) = (true, false);
        self.held = self.held.saturating_sub(queued.bytes.len());
        queued.bytes = Vec::new();
        if ts == ms(last) {
            return Some(now.saturating_duration_since(last));
        }
        // It may be one of the times before: the other side says which, to the millisecond.
        let is_true = after(ts, ms(first)) >= 0 && after(ts, ms(last)) < 0;
        is_true.then(|| Duration::from_millis(u64::try_from(after(ms(now), ts)).unwrap_or(0)))
    }

    /// Takes the number before which all have arrived; the congestion window grows when that is news.
    pub(super) fn una(&mut self, una: u32, config: &Config) {
        let before = self.una;
        for _ in 0..after(una, self.una) {
            self.pop();
        }
        while self.queue.front().is_some_and(|queued| queued.acked) {
            self.pop();
        }
        if self.una != before && config.congestion_window {
            self.grow(config.segment() as u32);
        }
        if self.under_way == 0 {
            self.resend_at = None;
        }
        if self.queue.is_empty() && self.queue.capacity() > 0 {
            let empty = std::mem::take(&mut self.queue);
            if empty.capacity() <= KEPT {
                QUEUES.with(|pool| pool.leave(empty));
            }
        }
    }

    fn pop(&mut self) {
        if let Some(queued) = self.queue.pop_front() {
            self.held = self.held.saturating_sub(queued.bytes.len() + SEGMENT_COST);
            self.una = self.una.wrapping_add(1);
            self.under_way = self.under_way.saturating_sub(1);
            self.cursor = self.cursor.saturating_sub(1);
        }
    }

    /// Slow start by a segment, avoidance by a segment for each window.
    fn grow(&mut self, segment: u32) {
        if self.congestion >= self.window.into() {
            return;
        }
        if self.congestion < self.threshold {
            self.congestion += 1;
            self.congestion_bytes += segment;
        } else {
            self.congestion_bytes = self.congestion_bytes.max(segment);
            self.congestion_bytes += segment * segment / self.congestion_bytes + segment / 16;
            if (self.congestion + 1) * segment <= self.congestion_bytes {
                self.congestion = self.congestion_bytes.div_ceil(segment);
            }
        }
        if self.congestion > self.window.into() {
            self.congestion = self.window.into();
            self.congestion_bytes = self.congestion * segment;
        }
    }

    /// A later segment than these has been acked: `newest` of one datagram.
    pub(super) fn skipped(&mut self, newest: u32, config: &Config) {
        if config.fast_resend == 0 {
            return;
        }
        let earlier = usize::try_from(after(newest, self.una)).unwrap_or(0);
        for queued in self.queue.iter_mut().take(earlier).filter(|queued| !queued.acked && queued.sent > 0) {
            queued.skipped = queued.skipped.saturating_add(1);
            self.is_fast |= queued.is_fast(config);
        }
    }

    /// Decides what goes out with the flush that begins now.
    pub(super) fn begin(&mut self, now: Instant, rtt: &RoundTrip, config: &Config) -> Result<(), DeadLink> {
        let allowed = self.allowed(config);
        self.under_way = self.under_way.max(self.len().min(allowed));
        (self.cursor, self.is_fast, self.resend_at) = (0, false, None);
        let (mut is_lost, mut is_skipped) = (false, false);
        for queued in self.queue.iter_mut().take(self.under_way as usize).filter(|queued| !queued.acked) {
            if queued.sent == 0 {
                // An eighth more for the first time, when there is no hurry.
                let grace = if config.nodelay == super::NoDelay::Off { rtt.time_out() / 8 } else { 0 };
                (queued.goes, queued.time_out, queued.first_sent) = (true, rtt.time_out(), Some(now));
                queued.resend_at = Some(now + micros(queued.time_out + grace));
            } else if queued.resend_at.is_some_and(|at| now >= at) {
                if queued.sent >= config.dead_link {
                    return Err(DeadLink);
                }
                (queued.goes, is_lost) = (true, true);
                self.lost += 1;
                queued.time_out = rtt.grown(queued.time_out, config.nodelay);
                queued.resend_at = Some(now + micros(queued.time_out));
            } else if queued.is_fast(config) {
                (queued.goes, is_skipped) = (true, true);
                queued.resend_at = Some(now + micros(queued.time_out));
            }
            if queued.goes {
                self.resends += u64::from(queued.sent > 0);
                queued.skipped = 0;
                queued.sent = queued.sent.saturating_add(1);
                queued.last_sent = Some(now);
            }
            self.resend_at = [self.resend_at, queued.resend_at].into_iter().flatten().min();
        }
        self.shrink(allowed, is_skipped, is_lost, config);
        Ok(())
    }

    /// What was skipped halves the congestion window, what was lost closes it but for one segment.
    fn shrink(&mut self, allowed: u32, is_skipped: bool, is_lost: bool, config: &Config) {
        let segment = config.segment() as u32;
        if is_skipped {
            self.threshold = (self.under_way / 2).max(LEAST_THRESHOLD);
            self.congestion = self.threshold.saturating_add(config.fast_resend).min(u16::MAX.into());
            self.congestion_bytes = self.congestion * segment;
        }
        if is_lost {
            self.threshold = (allowed / 2).max(LEAST_THRESHOLD);
            (self.congestion, self.congestion_bytes) = (1, segment);
        }
    }

    /// The next segment that goes out with this flush; [`Outgoing::gone`] when it has been written.
    pub(super) fn going(&mut self) -> Option<Going<'_>> {
        while self.queue.get(self.cursor).is_some_and(|queued| !queued.goes) {
            self.cursor += 1;
        }
        let sn = self.una.wrapping_add(u32::try_from(self.cursor).unwrap_or(u32::MAX));
        let queued = self.queue.get(self.cursor)?;
        Some(Going { sn, frg: queued.frg, data: &queued.bytes })
    }

    /// The segment that was going out is written.
    pub(super) fn gone(&mut self) {
        if let Some(queued) = self.queue.get_mut(self.cursor) {
            queued.goes = false;
        }
    }

    /// Drops what nobody will send any more.
    pub(super) fn end(&mut self) {
        self.queue = VecDeque::new();
        (self.under_way, self.held, self.resend_at, self.is_fast) = (0, 0, None, false);
    }

    #[cfg(test)]
    pub(super) fn check_bounds(&self, config: &Config) {
        let cost: usize = self.queue.iter().map(|queued| queued.bytes.len() + SEGMENT_COST).sum();
        assert!(cost == self.held && self.held <= config.send_buffer, "{cost} of {}", self.held);
        assert!(self.under_way <= config.send_window.into() && self.under_way <= self.len());
    }

    #[cfg(test)]
    pub(super) fn first(&self) -> u32 {
        self.una
    }

    #[cfg(test)]
    pub(super) fn is_idle(&self) -> bool {
        self.queue.capacity() == 0 && self.held == 0
    }

    #[cfg(test)]
    pub(super) fn start_at(&mut self, sn: u32) {
        assert!(self.queue.is_empty());
        (self.una, self.window_una) = (sn, sn);
    }

    /// The windows: of congestion, its threshold, of the other side.
    #[cfg(test)]
    pub(super) fn windows(&self) -> (u32, u32, u16) {
        (self.congestion, self.threshold, self.window)
    }
}

impl Queued {
    fn new(bytes: &[u8], frg: u8) -> Queued {
        Queued {
            bytes: bytes.to_vec(),
            frg,
            acked: false,
            goes: false,
            sent: 0,
            skipped: 0,
            time_out: 0,
            first_sent: None,
            last_sent: None,
            resend_at: None,
        }
    }

    /// Whether it was skipped often enough to be sent again at once.
    fn is_fast(&self, config: &Config) -> bool {
        config.fast_resend > 0 && self.skipped >= config.fast_resend && self.sent <= FAST_LIMIT
    }
}

fn micros(time: u32) -> Duration {
    Duration::from_micros(time.into())
}
