//! `budget / work per player = the players that it holds`: a server with a known limit, for those who look for it.

use std::time::Duration;

use tokio::time::Instant;

use crate::game::TICK;

/// No server is later than this: its players have long gone.
const MAX_LATE: Duration = Duration::from_secs(10);
/// Missed ticks that are reckoned at once: more than the latest server can be late.
const MAX_TICKS: u32 = 1_000_000;

/// What players cost, and how much of it can be done in a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Work {
    /// What each player who is logged in costs, of every tick.
    pub per_player: Duration,
    /// How much can be done in a tick: the whole of it, or less.
    pub budget: Duration,
}

impl Default for Work {
    /// Players cost nothing.
    fn default() -> Work {
        Work { per_player: Duration::ZERO, budget: TICK }
    }
}

impl Work {
    /// How many players it is enough for; none if for any number.
    pub fn capacity(&self) -> Option<u64> {
        self.budget.as_nanos().checked_div(self.per_player.as_nanos()).and_then(|players| u64::try_from(players).ok())
    }
}

/// How late the server is for all its work.
///
/// It is reckoned, and not done: a tick's work beyond the budget stays to be done in the next ones, and all that the server
/// sends comes so much later as there is work that stayed. So the limit is where it should be on a machine that is busy with
/// something else, and in virtual time.
#[derive(Debug)]
pub(crate) struct Backlog {
    work: Work,
    late: Duration,
    /// When the tick ends that is under way.
    next: Instant,
}

impl Backlog {
    /// Nothing to be done yet, at `now`.
    pub(crate) fn new(work: Work, now: Instant) -> Backlog {
        Backlog { work, late: Duration::ZERO, next: now + TICK }
    }

    /// How much later everything is sent.
    pub(crate) fn late(&self) -> Duration {
        self.late
    }

    /// When the next tick is to be reckoned; none if players cost nothing.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        (!self.work.per_player.is_zero()).then_some(self.next)
    }

    /// Reckons the ticks that have passed with so many players.
    pub(crate) fn timeout(&mut self, now: Instant, players: usize) {
        if self.deadline().is_none_or(|next| now < next) {
            return;
        }
        let missed = now.duration_since(self.next).as_nanos() / TICK.as_nanos();
        let ticks = u32::try_from(missed).unwrap_or(MAX_TICKS).min(MAX_TICKS) + 1;
        self.next += TICK * ticks;
        self.next = self.next.max(now);
        let work = self.work.per_player.saturating_mul(u32::try_from(players).unwrap_or(u32::MAX));
        let (to_do, done) = (work.saturating_mul(ticks), self.work.budget.saturating_mul(ticks));
        self.late = self.late.saturating_add(to_do).saturating_sub(done).min(MAX_LATE);
        if players == 0 {
            // Nobody is left for whom it would be done. Otherwise a server whose players have all gone would be late for
            // the next ones, for longer than it takes them to come.
            self.late = Duration::ZERO;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn within_the_budget_nothing_is_late_and_beyond_it_ever_more() {
        let now = Instant::now();
        let work = Work { per_player: MS / 10, budget: 20 * MS };
        assert_eq!((work.capacity(), Work::default().capacity()), (Some(200), None));
        let mut backlog = Backlog::new(work, now);
        let mut at = now;
        let mut pass = |players, ticks| {
            for _ in 0..ticks {
                at += TICK;
                backlog.timeout(at, players);
            }
            backlog.late()
        };
        assert_eq!(pass(200, 100), Duration::ZERO);
        assert_eq!(pass(210, 20), 20 * MS, "5 % of 20 ms more, 20 times");
        assert_eq!(pass(200, 100), 20 * MS);
        assert_eq!(pass(100, 1), 10 * MS);
        assert_eq!(pass(1_000_000, 100), MAX_LATE);
        assert_eq!(pass(0, 1), Duration::ZERO, "nobody is left to wait");
    }

    #[test]
    fn ticks_that_were_slept_through_are_made_up_for() {
        let now = Instant::now();
        let mut backlog = Backlog::new(Work { per_player: MS, budget: 10 * MS }, now);
        backlog.timeout(now + TICK - MS, 20);
        assert_eq!(backlog.late(), Duration::ZERO);
        backlog.timeout(now + 10 * TICK + MS, 20);
        assert_eq!(backlog.late(), 100 * MS);
        assert_eq!(backlog.deadline(), Some(now + 11 * TICK));
        assert_eq!(Backlog::new(Work::default(), now).deadline(), None);
    }
}
