//! When a session flushes: on its grid, and only when there is something to flush.

use std::time::Duration;

use tokio::time::Instant;

use super::config::Config;

/// `IKCP_PROBE_INIT` and `IKCP_PROBE_LIMIT`: while the other side has no room, its window is asked for after so long,
/// then after half as long again each time, up to so long.
const PROBE: [Duration; 2] = [Duration::from_secs(7), Duration::from_secs(120)];

/// The times of a session that do not belong to a segment.
#[derive(Debug)]
pub(super) struct Schedule {
    /// The beginning of the grid, and of the clock in its segments.
    began: Instant,
    /// When there is something to flush.
    flush_at: Option<Instant>,
    /// The first point of the grid that has not been flushed.
    next: Instant,
    /// When the other side's window is asked for, and how long that waits.
    probe: Option<(Instant, Duration)>,
}

impl Schedule {
    pub(super) fn new(now: Instant) -> Schedule {
        Schedule { began: now, flush_at: None, next: now, probe: None }
    }

    /// Milliseconds since the beginning, as segments carry them: they begin anew after 49 days.
    pub(super) fn millis(&self, at: Instant) -> u32 {
        at.saturating_duration_since(self.began).as_millis() as u32
    }

    /// The first point of the grid from `at` on that has not been flushed.
    fn on_grid(&self, at: Instant, interval: Duration) -> Instant {
        let interval = interval.as_nanos().max(1);
        let past = at.saturating_duration_since(self.began).as_nanos() % interval;
        let rest = if past == 0 { 0 } else { interval - past };
        (at + Duration::from_nanos(u64::try_from(rest).unwrap_or(0))).max(self.next)
    }

    /// Something came up at `now` that does not wait for a time of its own.
    pub(super) fn wants_flush(&mut self, now: Instant, config: &Config) {
        if self.flush_at.is_none() {
            self.flush_at = Some(if config.at_once { now } else { self.on_grid(now, config.interval) });
        }
    }

    /// Something came up, and nobody knows the time.
    pub(super) fn wants_next_flush(&mut self) {
        self.flush_at = self.flush_at.or(Some(self.next));
    }

    /// Sees to the probe while the other side has no room.
    pub(super) fn watch(&mut self, now: Instant, is_shut_out: bool) {
        if !is_shut_out {
            self.probe = None;
        } else if self.probe.is_none() {
            self.probe = Some((now + PROBE[0], PROBE[0]));
        }
    }

    /// When the next flush is due.
    pub(super) fn due(&self, resend_at: Option<Instant>, config: &Config) -> Option<Instant> {
        let probe = self.probe.map(|(at, _)| at);
        let timed = [resend_at, probe].into_iter().flatten().min();
        [self.flush_at, timed.map(|at| self.on_grid(at, config.interval))].into_iter().flatten().min()
    }

    /// A flush begins. Whether the other side's window is to be asked for.
    pub(super) fn begin(&mut self, now: Instant, config: &Config) -> bool {
        self.flush_at = None;
        self.next = self.on_grid(now + Duration::from_nanos(1), config.interval);
        let Some((_, wait)) = self.probe.filter(|(at, _)| now >= *at) else { return false };
        let wait = (wait + wait / 2).min(PROBE[1]);
        self.probe = Some((now + wait, wait));
        true
    }
}
