//! The arithmetic of stages: from an index to a time and from a time to a number, exactly.
//!
//! Population, for a change of `n` players over `d` nanoseconds. Joining, player `k` (from 0) comes at `floor(d k / n)`,
//! so the number that came up to and including time `x` is the number of `k >= 0` with `floor(d k / n) <= x`, that is
//! `d k < n (x + 1)`, which is `ceil(n (x + 1) / d)`. Leaving, player `k` counts from 1, so it is one fewer.
//!
//! Arrivals, with rate `r(x)` from `a` to `b` over `d`. The integral is `N(x) = (2 a d x + (b - a) x^2) / (2 d)`, and
//! arrival `k` (from 0) comes at the first microsecond `x` with `N(x) >= k`; so `floor(N(x)) + 1` came up to `x`, and
//! `floor(N(d))` in all. Times are in microseconds and rates in millionths per hour, so one arrival is `3.6e15` of the
//! product: with at most 1e8 arrivals in 30 days everything stays below 1e37 and `u128` holds it.

/// One arrival, in the unit of a rate (millionths per hour) times a microsecond.
const ARRIVAL: u128 = 3_600_000_000 * 1_000_000;

/// An even change of the population between two levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Change {
    /// The start, in nanoseconds from the start of the run.
    pub(super) at: u64,
    /// Its length in nanoseconds; 0 is a jump.
    pub(super) over: u64,
    pub(super) from: u64,
    pub(super) to: u64,
}

impl Change {
    /// When seat `seat`, one of those that change, does so: nanoseconds from the start of the run.
    pub(super) fn time_of(&self, seat: u64) -> u64 {
        let (k, n) = if self.to >= self.from {
            (seat.saturating_sub(self.from), self.to - self.from)
        } else {
            (self.from.saturating_sub(seat), self.from - self.to)
        };
        // At most `over`, because k <= n.
        self.at + (u128::from(self.over) * u128::from(k.min(n)) / u128::from(n.max(1))) as u64
    }

    /// How many seats have changed up to and including `at` nanoseconds of the run.
    pub(super) fn moved(&self, at: u64) -> u64 {
        let n = self.from.abs_diff(self.to);
        if at < self.at {
            return 0;
        }
        if at - self.at >= self.over {
            return n;
        }
        let came = (u128::from(n) * (u128::from(at - self.at) + 1)).div_ceil(u128::from(self.over));
        let moved = if self.to >= self.from { came } else { came.saturating_sub(1) };
        moved.min(u128::from(n)) as u64
    }
}

/// The cumulative rate of a stage of arrivals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Integral {
    /// Rates in millionths of a player per hour.
    pub(super) from: u64,
    pub(super) to: u64,
    /// Microseconds.
    pub(super) over: u64,
}

impl Integral {
    /// `2 d N(x)` in units of a rate times microseconds squared; `x` at most `over`.
    fn doubled(&self, x: u64) -> u128 {
        let (a, b) = (u128::from(self.from), u128::from(self.to));
        let (d, x) = (u128::from(self.over), u128::from(x));
        // 2 a d x + (b - a) x^2 = a x (2 d - x) + b x^2, and no term is negative.
        a * x * (2 * d - x) + b * x * x
    }

    /// What one arrival is worth in [`Integral::doubled`].
    fn one(&self) -> u128 {
        2 * u128::from(self.over) * ARRIVAL
    }

    /// `floor(N(d))`: the number of arrivals in all. Only this may be asked of a stage that is not yet validated.
    pub(super) fn arrivals(&self) -> u64 {
        // (a + b) d / 2: at most 7.2e15 * 2.6e12.
        let sum = u128::from(self.from) + u128::from(self.to);
        (sum * u128::from(self.over) / (2 * ARRIVAL)) as u64
    }

    /// How many arrivals came up to and including `x` microseconds of the stage, of `count`.
    pub(super) fn came(&self, x: u64, count: u64) -> u64 {
        let x = x.min(self.over);
        let whole = self.doubled(x) / self.one().max(1);
        (whole + 1).min(u128::from(count)) as u64
    }

    /// When arrival `k` (from 0, below [`Integral::arrivals`]) comes: microseconds of the stage.
    pub(super) fn time_of(&self, k: u64) -> u64 {
        let wanted = u128::from(k) * self.one();
        let (mut low, mut high) = (0, self.over);
        // The closed form in floating point is off by a few microseconds at most; it narrows what is searched exactly.
        let share = k as f64 / self.total().max(f64::MIN_POSITIVE);
        let guess = (self.share_time(share) * self.over as f64) as u64;
        let (below, above) = (guess.saturating_sub(4), guess.saturating_add(4).min(self.over));
        if below > 0 && self.doubled(below) < wanted {
            low = below;
        }
        if self.doubled(above) >= wanted {
            high = above;
        }
        while low < high {
            let middle = low + (high - low) / 2;
            if self.doubled(middle) >= wanted {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        low
    }

    /// `N(d)`, near enough.
    fn total(&self) -> f64 {
        (self.from as f64 + self.to as f64) * self.over as f64 / (2.0 * ARRIVAL as f64)
    }

    /// The part of the stage after which this part of the arrivals has come, both in `0..=1`.
    ///
    /// Solves `a w + (b - a) w^2 / 2 = u (a + b) / 2` in the form that does not cancel where `a` is near `b`. Only the
    /// basic operations and the square root are used: IEEE 754 fixes their results, so that machines agree.
    pub(super) fn share_time(&self, u: f64) -> f64 {
        let (a, b) = (self.from as f64, self.to as f64);
        let root = (a * a + (b - a) * (b + a) * u).max(0.0).sqrt();
        let below = a + root;
        if below > 0.0 { ((a + b) * u / below).clamp(0.0, 1.0) } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PER_S: u64 = 3_600_000_000;

    #[test]
    fn ramps_move_one_by_one() {
        let up = Change { at: 100, over: 10, from: 2, to: 6 };
        assert_eq!((2..6).map(|s| up.time_of(s)).collect::<Vec<_>>(), [100, 102, 105, 107]);
        assert_eq!([99, 100, 101, 102, 105, 106, 107, 200].map(|t| up.moved(t)), [0, 1, 1, 2, 3, 3, 4, 4]);
        let down = Change { at: 0, over: 10, from: 6, to: 2 };
        assert_eq!((2..6).rev().map(|s| down.time_of(s)).collect::<Vec<_>>(), [2, 5, 7, 10]);
        assert_eq!([0, 2, 4, 5, 9, 10].map(|t| down.moved(t)), [0, 1, 1, 2, 3, 4]);
    }

    #[test]
    fn a_constant_rate_comes_at_its_period() {
        let flat = Integral { from: 500 * PER_S, to: 500 * PER_S, over: 60_000_000 };
        assert_eq!(flat.arrivals(), 30_000);
        assert_eq!([0, 1, 2, 29_999].map(|k| flat.time_of(k)), [0, 2_000, 4_000, 59_998_000]);
        assert_eq!([0, 1_999, 2_000, 60_000_000].map(|x| flat.came(x, 30_000)), [1, 1, 2, 30_000]);
    }

    #[test]
    fn a_rising_rate_comes_by_the_root() {
        // N(x) = 50 x^2 over 10 s: arrival k at sqrt(k / 5) s with 10/s at the end.
        let rise = Integral { from: 0, to: 10 * PER_S, over: 10_000_000 };
        assert_eq!(rise.arrivals(), 50);
        assert_eq!([0, 2, 8, 18, 32].map(|k| rise.time_of(k)), [0, 2_000_000, 4_000_000, 6_000_000, 8_000_000]);
    }

    #[test]
    fn the_largest_stages_do_not_overflow() {
        let month = 30 * 86_400 * 1_000_000;
        let slow = Integral { from: 0, to: 77 * PER_S, over: month };
        assert!(slow.arrivals() > 99_000_000);
        assert!(slow.time_of(slow.arrivals() - 1) <= month);
        let fast = Integral { from: 1_000_000 * PER_S, to: 0, over: 200_000_000 };
        assert_eq!(fast.arrivals(), 100_000_000);
        assert!(fast.time_of(99_999_999) <= 200_000_000);
        let absurd = Integral { from: 1_000_000 * PER_S, to: 1_000_000 * PER_S, over: month };
        assert_eq!(absurd.arrivals(), 2_592_000_000_000);
    }

    proptest! {
        #[test]
        fn time_and_number_are_inverse(
            from in 0u64..200 * PER_S, to in 0u64..200 * PER_S, over in 1u64..100_000_000, pick in 0.0..1.0f64,
        ) {
            let integral = Integral { from, to, over };
            let count = integral.arrivals();
            prop_assume!(count > 0);
            let k = (pick * count as f64) as u64;
            let time = integral.time_of(k);
            prop_assert!(time <= over);
            prop_assert!(integral.came(time, count) > k, "arrival {k} has not come at its time");
            if k > 0 {
                prop_assert!(integral.came(time - 1, count) <= k, "arrival {k} came before its time");
                prop_assert!(time >= integral.time_of(k - 1));
            }
        }

        #[test]
        fn shares_rise(from in 0u64..200 * PER_S, to in 0u64..200 * PER_S, u in 0.0..1.0f64, v in 0.0..1.0f64) {
            let integral = Integral { from, to, over: 1_000_000 };
            let (low, high) = (u.min(v), u.max(v));
            prop_assert!(integral.share_time(low) <= integral.share_time(high) + 1e-12);
        }
    }
}
