//! So many starts a second, and a few more at first: a token bucket.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Lets through what comes, so many a second.
#[derive(Debug)]
pub(crate) struct Pace {
    each: Duration,
    burst: u32,
    /// When the bucket was, or will be, empty.
    empty: Mutex<Option<Instant>>,
}

impl Pace {
    /// So many a second, and so many at once at first.
    pub(crate) fn new(a_second: f64, burst: u32) -> Pace {
        Pace { each: Duration::from_secs_f64(1.0 / a_second.max(0.001)), burst, empty: Mutex::new(None) }
    }

    /// Waits for its turn. Turns are given in order; one that is not waited for is lost.
    pub(crate) async fn turn(&self) {
        let now = Instant::now();
        let turn = {
            let mut empty = self.empty.lock().unwrap_or_else(PoisonError::into_inner);
            // A full bucket lasts so long.
            let full = self.each * self.burst.max(1);
            let from = empty.map_or(full, |empty| (now + full).saturating_duration_since(empty)).min(full);
            let next = now + full - from + self.each;
            *empty = Some(next);
            next.checked_sub(full).unwrap_or(now)
        };
        sleep_until(turn).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_goes_at_once_and_the_rest_by_the_rate() {
        let (pace, began) = (Pace::new(20.0, 10), Instant::now());
        for n in 0..50_u32 {
            pace.turn().await;
            let due = Duration::from_millis(50) * (n + 1).saturating_sub(10);
            let off = began.elapsed().abs_diff(due);
            assert!(off <= Duration::from_millis(1), "turn {n} after {:?} in place of {due:?}", began.elapsed());
        }
        tokio::time::advance(Duration::from_secs(60)).await;
        let later = Instant::now();
        for _ in 0..10 {
            pace.turn().await;
        }
        assert!(later.elapsed() <= Duration::from_millis(1), "the bucket is full again, and no fuller");
        pace.turn().await;
        assert!(later.elapsed() >= Duration::from_millis(50));
    }
}
