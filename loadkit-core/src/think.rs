//! `Think`: the pauses that people make.

use std::time::Duration;

use rand_distr::{Distribution, Exp1, StandardNormal};

/// No pause is longer than this: a longer draw is cut off, so that no bot is lost to the tail of a distribution.
const LONGEST: Duration = Duration::from_secs(3600);

/// The widest log-normal distribution: at a sigma of 4 the mean is already 3,000 times the median.
const WIDEST_SIGMA: f64 = 4.0;

/// How long a player pauses: a duration, or a distribution to draw it from.
///
/// Every pause is from 0 to 1 hour; longer draws are cut off at 1 hour, which lowers the mean of a distribution that
/// reaches there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Think(Kind);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Constant(Duration),
    Uniform(Duration, Duration),
    Exponential(Duration),
    LogNormal(Duration, f64),
}

impl Think {
    /// Always the same pause.
    pub fn constant(pause: Duration) -> Think {
        Think(Kind::Constant(pause.min(LONGEST)))
    }

    /// Any pause between two, all equally likely. The bounds may come in either order.
    pub fn uniform(low: Duration, high: Duration) -> Think {
        let (low, high) = (low.min(high), low.max(high));
        Think(Kind::Uniform(low.min(LONGEST), high.min(LONGEST)))
    }

    /// Pauses between events that come independently of one another, at this distance on average.
    pub fn exponential(mean: Duration) -> Think {
        Think(Kind::Exponential(mean.min(LONGEST)))
    }

    /// Pauses as people make them when they read or choose: half of them below the median, and a long tail.
    ///
    /// `sigma` is the standard deviation of the pause's logarithm: 0.5 is usual, 0 is constant. It is held in 0 to 4, and
    /// what is no number counts as 0.
    pub fn log_normal(median: Duration, sigma: f64) -> Think {
        let sigma = if sigma.is_nan() { 0.0 } else { sigma.clamp(0.0, WIDEST_SIGMA) };
        Think(Kind::LogNormal(median.min(LONGEST), sigma))
    }

    /// Draws a pause.
    pub fn sample(&self, rng: &mut impl rand::Rng) -> Duration {
        let seconds = match self.0 {
            Kind::Constant(pause) => return pause,
            Kind::Uniform(low, high) => return between(low, high, rng.next_u64()),
            Kind::Exponential(mean) => {
                let draw: f64 = Exp1.sample(rng);
                mean.as_secs_f64() * draw
            }
            Kind::LogNormal(median, sigma) => {
                let draw: f64 = StandardNormal.sample(rng);
                median.as_secs_f64() * (sigma * draw).exp()
            }
        };
        Duration::try_from_secs_f64(seconds).map_or(LONGEST, |pause| pause.min(LONGEST))
    }
}

/// The pause at `point / 2^64` of the way from `low` to `high`.
fn between(low: Duration, high: Duration, point: u64) -> Duration {
    // At most an hour, 3.6e12 nanoseconds.
    let width = high.saturating_sub(low).as_nanos();
    low + Duration::from_nanos(((width * u128::from(point)) >> 64) as u64)
}

impl From<Duration> for Think {
    fn from(pause: Duration) -> Think {
        Think::constant(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Seed;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn sorted(think: Think) -> Vec<f64> {
        let mut rng = Seed(7).rng("think", 0, 0);
        let mut draws: Vec<f64> = (0..100_000).map(|_| think.sample(&mut rng).as_secs_f64()).collect();
        draws.sort_by(f64::total_cmp);
        draws
    }

    fn mean(draws: &[f64]) -> f64 {
        draws.iter().sum::<f64>() / draws.len() as f64
    }

    #[track_caller]
    fn near(actual: f64, expected: f64) {
        assert!((actual / expected - 1.0).abs() < 0.015, "{actual} is not near {expected}");
    }

    #[test]
    fn means_and_medians_are_those_asked_for() {
        let uniform = sorted(Think::uniform(3 * SECOND, SECOND));
        near(mean(&uniform), 2.0);
        near(uniform[25_000], 1.5);
        assert!(uniform[0] >= 1.0 && uniform[99_999] <= 3.0);
        let exponential = sorted(Think::exponential(SECOND));
        near(mean(&exponential), 1.0);
        near(exponential[50_000], 2f64.ln());
        near(exponential[99_000], 100f64.ln());
        let log_normal = sorted(Think::log_normal(SECOND, 0.5));
        near(log_normal[50_000], 1.0);
        near(log_normal[84_134], 0.5f64.exp());
        near(mean(&log_normal), 0.125f64.exp());
    }

    #[test]
    fn no_pause_is_longer_than_an_hour() {
        let long = sorted(Think::exponential(Duration::MAX));
        assert_eq!(long[99_999], 3600.0);
        let wide = sorted(Think::log_normal(Duration::MAX, f64::INFINITY));
        assert_eq!(wide[99_999], 3600.0);
        assert_eq!(Think::from(Duration::MAX), Think::constant(LONGEST));
    }

    #[test]
    fn odd_parameters_are_held_in_bounds() {
        let mut rng = Seed(1).rng("think", 0, 0);
        assert_eq!(Think::log_normal(SECOND, f64::NAN).sample(&mut rng), SECOND);
        assert_eq!(Think::log_normal(SECOND, -3.0).sample(&mut rng), SECOND);
        assert_eq!(Think::exponential(Duration::ZERO).sample(&mut rng), Duration::ZERO);
        assert_eq!(Think::uniform(SECOND, SECOND).sample(&mut rng), SECOND);
    }

    #[test]
    fn the_same_stream_gives_the_same_pauses() {
        let think = Think::log_normal(SECOND, 1.0);
        let draw = |life| think.sample(&mut Seed(7).rng("bot", 3, life));
        assert_eq!(draw(0), draw(0));
        assert_ne!(draw(0), draw(1));
    }

    proptest! {
        #[test]
        fn every_draw_is_in_bounds(a in any::<u64>(), b in any::<u64>(), sigma in any::<f64>(), seed in any::<u64>()) {
            let mut rng = Seed(seed).rng("think", 0, 0);
            let (a, b) = (Duration::from_nanos(a), Duration::from_nanos(b));
            for think in [Think::uniform(a, b), Think::exponential(a), Think::log_normal(a, sigma), a.into()] {
                prop_assert!(think.sample(&mut rng) <= LONGEST);
            }
        }
    }
}
