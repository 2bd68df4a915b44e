//! Pauses between tries: they double, up to a bound, and each is drawn from its upper half, so that many workers whose
//! fleet comes back do not come all at once.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

const FIRST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(5);

/// The pauses of one thing that is tried.
#[derive(Clone, Debug, Default)]
pub(super) struct Backoff {
    tries: u32,
    random: RandomState,
}

impl Backoff {
    /// The pause before the next try.
    pub(super) fn next(&mut self) -> Duration {
        let whole = FIRST.saturating_mul(1 << self.tries.min(10)).min(LONGEST);
        self.tries = self.tries.saturating_add(1);
        let share = (self.random.hash_one(self.tries) >> 40) as f64 / (1 << 24) as f64;
        whole.mul_f64(0.5 + share / 2.0)
    }

    /// It worked: the next pause is short again.
    pub(super) fn reset(&mut self) {
        self.tries = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_stay_within_their_bounds() {
        let mut backoff = Backoff::default();
        for whole in [200, 400, 800, 1_600, 3_200, 5_000, 5_000] {
            let (pause, whole) = (backoff.next(), Duration::from_millis(whole));
            assert!(pause >= whole / 2 && pause <= whole, "{pause:?} of {whole:?}");
        }
        (0..100).for_each(|_| assert!(backoff.next() <= LONGEST));
        backoff.reset();
        assert!(backoff.next() <= FIRST);
    }
}
