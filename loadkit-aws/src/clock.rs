//! AWS's time of day, learned from the dates of its answers: the clock that all workers of a fleet have in common.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use loadkit_http::http::{HeaderMap, header};
use loadkit_worker::Clock;

use crate::calendar;

/// Dates are whole seconds: the answer was written within this time after what it says.
const GRAIN_MS: i64 = 1_000;
/// Two clocks drift apart by at most one part in so many; quartz is better than that.
const DRIFT: i64 = 5_000;

/// This machine's clock, put right by the dates of AWS's answers.
///
/// Each answer says that AWS's clock is ahead of this machine's by a time between two bounds, which are a second and the
/// answer's own time apart. What all answers agree on is much less than that after a few of them.
#[derive(Clone)]
pub struct AwsClock(Arc<Inner>);

struct Inner {
    own: Arc<dyn Clock>,
    ahead: Mutex<Option<Ahead>>,
}

/// AWS's clock is ahead by so much, ms, as far as was known then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ahead {
    least: i64,
    most: i64,
    at: i64,
}

impl Ahead {
    fn middle(self) -> i64 {
        self.least.midpoint(self.most)
    }

    /// What was asked at `asked` and answered at `answered`, by this machine's clock, was answered at the date.
    fn of(asked: i64, answered: i64, date: i64) -> Ahead {
        Ahead { least: date - answered, most: date + GRAIN_MS - asked, at: answered }
    }

    fn and(self, new: Ahead) -> Ahead {
        let drift = (new.at - self.at).abs() / DRIFT;
        let (least, most) = ((self.least - drift).max(new.least), (self.most + drift).min(new.most));
        // If they contradict each other, a clock was set.
        if least <= most { Ahead { least, most, at: new.at } } else { new }
    }
}

impl fmt::Debug for AwsClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AwsClock").field(&self.ahead()).finish()
    }
}

impl AwsClock {
    /// Over this machine's clock, of which nothing is known yet.
    pub(crate) fn over(own: Arc<dyn Clock>) -> AwsClock {
        AwsClock(Arc::new(Inner { own, ahead: Mutex::new(None) }))
    }

    /// This machine's time, ms.
    pub fn own_ms(&self) -> i64 {
        i64::try_from(self.0.own.now_ms()).unwrap_or(i64::MAX)
    }

    /// Learns from the date of AWS's answer to what was asked at `asked` ([`AwsClock::own_ms`]). The date, seconds since 1970, if the
    /// answer has one.
    pub fn learn(&self, asked: i64, headers: &HeaderMap) -> Option<u64> {
        let date = headers.get(header::DATE).and_then(|date| calendar::parse_http(date.to_str().ok()?));
        if let Some(ms) = date.and_then(|date| i64::try_from(date.checked_mul(1_000)?).ok()) {
            self.heard(asked, ms);
        }
        date
    }

    /// An answer to what was asked at `asked`, by this machine's clock, has this date, ms since 1970.
    fn heard(&self, asked: i64, date: i64) {
        let new = Ahead::of(asked, self.own_ms(), date);
        let mut ahead = self.0.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        *ahead = Some(ahead.map_or(new, |old| old.and(new)));
    }

    fn ahead(&self) -> Option<Ahead> {
        *self.0.ahead.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// By how much AWS's clock is ahead of this machine's, and how far that may be off, ms. None before the first answer.
    pub fn ahead_ms(&self) -> Option<(i64, u64)> {
        self.ahead().map(|ahead| (ahead.middle(), ahead.most.abs_diff(ahead.least).div_ceil(2)))
    }
}

impl Clock for AwsClock {
    fn now(&self) -> Duration {
        let ahead = self.ahead().map_or(0, Ahead::middle);
        let (own, by) = (self.0.own.now(), Duration::from_millis(ahead.unsigned_abs()));
        if ahead < 0 { own.saturating_sub(by) } else { own + by }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_narrow_it_down() {
        // AWS is 700 ms ahead; a request takes 20 ms each way.
        let mut ahead: Option<Ahead> = None;
        for asked in (0..20_000).step_by(1_137) {
            let date = (asked + 20 + 700) / 1_000 * 1_000;
            let new = Ahead::of(asked, asked + 40, date);
            ahead = Some(ahead.map_or(new, |old| old.and(new)));
        }
        let ahead = ahead.unwrap();
        assert!((ahead.middle() - 700).abs() < 100 && ahead.most - ahead.least < 200, "{ahead:?}");
    }

    #[test]
    fn a_clock_that_was_set_is_learned_anew() {
        let old = Ahead::of(0, 40, 1_000);
        let new = Ahead::of(10_000, 10_040, 5_000);
        assert_eq!(old.and(new), new);
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_is_aws_time() {
        let own = loadkit_worker::VirtualClock::new(Duration::from_secs(1_000));
        let clock = AwsClock::over(Arc::new(own));
        assert_eq!((clock.now_ms(), clock.ahead_ms()), (1_000_000, None));
        clock.heard(1_000_000, 400_000);
        assert_eq!((clock.now_ms(), clock.ahead_ms()), (400_500, Some((-599_500, 500))));
    }
}
