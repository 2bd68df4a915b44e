//! A bot's tick loop: every tick carries the time at which it should begin.

use std::time::Duration;

use tokio::time::Instant;

use crate::cx::Cx;
use crate::metrics::names;

/// A rate in ticks a second.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Hz(pub f64);

impl Hz {
    /// The time from one tick to the next, from 1 µs to one hour.
    pub fn period(self) -> Duration {
        const LONGEST: Duration = Duration::from_secs(3_600);
        Duration::try_from_secs_f64(1.0 / self.0).unwrap_or(LONGEST).clamp(Duration::from_micros(1), LONGEST)
    }
}

/// One tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tick {
    /// Its number, from 0.
    pub index: u64,
    /// When it should begin. The response time of the step that follows counts from here.
    pub intended: Instant,
}

/// A sequence of ticks at a fixed rate. Made by [`Cx::ticks`]. The first is due within a millisecond: tick loops begin at
/// whole milliseconds of their shard, so that one wake-up of the thread serves several.
///
/// A bot that comes late, because the server kept it waiting in the tick before, is given every tick that it missed
/// at once, each with its own intended time: so the wait is counted as often as players would have felt it. Use
/// [`Ticks::skip_missed`] for a client that leaves them out; they are then counted as skipped.
pub struct Ticks {
    cx: Cx,
    start: Instant,
    period: Duration,
    next: u64,
    end: Option<Instant>,
    skip_missed: bool,
}

impl Ticks {
    pub(crate) fn new(cx: Cx, rate: Hz) -> Ticks {
        let start = cx.timers().on_grid(Instant::now());
        Ticks { cx, start, period: rate.period(), next: 0, end: None, skip_missed: false }
    }

    /// Ends after `time`: the last tick should begin before it is over.
    #[must_use]
    pub fn take_for(mut self, time: Duration) -> Ticks {
        self.end = self.start.checked_add(time);
        self
    }

    /// Leaves out ticks that the bot was too late for, and counts them.
    #[must_use]
    pub fn skip_missed(mut self) -> Ticks {
        self.skip_missed = true;
        self
    }

    fn intended(&self, index: u64) -> Instant {
        let nanos = self.period.as_nanos().saturating_mul(u128::from(index));
        self.start + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX / 4))
    }

    /// Waits for the next tick; `None` at the end, and when the bot is asked to leave.
    pub async fn next(&mut self) -> Option<Tick> {
        if self.cx.stopping() {
            return None;
        }
        let now = Instant::now();
        if self.skip_missed {
            let latest = self.end.map_or(now, |end| end.min(now));
            let due = latest.saturating_duration_since(self.start).as_nanos() / self.period.as_nanos();
            let due = u64::try_from(due).unwrap_or(u64::MAX);
            if due > self.next {
                self.cx.count(names::TICKS_SKIPPED, due - self.next);
                self.next = due;
            }
        }
        let intended = self.intended(self.next);
        if self.end.is_some_and(|end| intended >= end) {
            return None;
        }
        if intended > now {
            self.cx.wait_until(intended).await;
        } else {
            // A bot that is behind lets others have their turn, and what it has sent leave.
            tokio::task::yield_now().await;
        }
        if self.cx.stopping() {
            return None;
        }
        self.cx.0.shard.tick_began(intended, now, self.next > 0);
        let tick = Tick { index: self.next, intended };
        self.next += 1;
        self.cx.intend(intended);
        Some(tick)
    }
}
