//! What a datagram takes beyond the latency: a distribution, and how fast it wanders.

use std::time::Duration;

use super::{MAX_DELAY, NetworkError, delay};

/// The widest log-normal distribution: at a sigma of 3 the mean is already 90 times the median.
const WIDEST_SIGMA: f64 = 3.0;

/// What a datagram takes beyond the latency: never less than nothing.
///
/// As nothing overtakes, a datagram behind a late one waits for it: where jitter falls faster than time goes by, delays are
/// longer than the distribution alone would have them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Jitter {
    /// Its distribution.
    pub spread: Spread,
    /// Over which time it wanders: of two datagrams at this distance, the second one's jitter still goes with the first
    /// one's by 1/e. Zero makes each jitter its own; 10 s at most. What is sent together so arrives together.
    pub wanders: Duration,
}

/// A distribution of times.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Spread {
    /// From nothing to this, all equally likely.
    Uniform(Duration),
    /// Often little and seldom much, with this mean: waiting for a slot of the radio.
    Exponential(Duration),
    /// Half below the median, and a long tail, with `sigma` the standard deviation of the logarithm (0 to 3): resends
    /// within a radio link.
    LogNormal {
        /// The median.
        median: Duration,
        /// The standard deviation of the logarithm.
        sigma: f64,
    },
}

impl Spread {
    /// The time to which a standard normal value leads: so a wandering normal value makes a wandering time that has
    /// exactly this distribution (a Gaussian copula: R. Nelsen, "An Introduction to Copulas", 2006, chapter 2.3). At
    /// most 10 s, where the tail is cut off.
    pub fn at(&self, normal: f64) -> Duration {
        let seconds = match *self {
            Spread::Uniform(width) => width.as_secs_f64() * probability_below(normal),
            // The quantile of the exponential distribution is the negative logarithm of what lies above.
            Spread::Exponential(mean) => -mean.as_secs_f64() * probability_below(-normal).ln(),
            Spread::LogNormal { median, sigma } => median.as_secs_f64() * (sigma * normal).exp(),
        };
        Duration::try_from_secs_f64(seconds).map_or(MAX_DELAY, |time| time.min(MAX_DELAY))
    }

    /// The log-normal distribution of this mean.
    pub fn log_normal_of_mean(mean: Duration, sigma: f64) -> Spread {
        let median = mean.as_secs_f64() / (sigma * sigma / 2.0).exp();
        Spread::LogNormal { median: Duration::try_from_secs_f64(median).unwrap_or_default(), sigma }
    }

    /// Its mean.
    pub fn mean(&self) -> Duration {
        match *self {
            Spread::Uniform(width) => width / 2,
            Spread::Exponential(mean) => mean,
            Spread::LogNormal { median, sigma } => {
                let factor = (sigma * sigma / 2.0).exp();
                Duration::try_from_secs_f64(median.as_secs_f64() * factor).unwrap_or(MAX_DELAY)
            }
        }
    }
}

impl Jitter {
    pub(super) fn check(&self) -> Result<(), NetworkError> {
        if let Spread::LogNormal { sigma, .. } = self.spread
            && !(0.0..=WIDEST_SIGMA).contains(&sigma)
        {
            return Err(NetworkError::Sigma { sigma });
        }
        delay("jitter-wanders", self.wanders)?;
        match self.spread {
            Spread::Uniform(time) | Spread::Exponential(time) | Spread::LogNormal { median: time, .. } => {
                delay("jitter", time)
            }
        }
    }
}

/// The standard normal distribution function, to 8 digits: formula 26.2.17 of M. Abramowitz and I. Stegun, "Handbook of
/// Mathematical Functions", 1964. Never 0.
fn probability_below(x: f64) -> f64 {
    const COEFFICIENTS: [f64; 5] = [0.319_381_530, -0.356_563_782, 1.781_477_937, -1.821_255_978, 1.330_274_429];
    // Beyond 8 the formula's error is larger than the tail; nobody draws that.
    let distance = x.abs().min(8.0);
    let t = 1.0 / (1.0 + 0.231_641_9 * distance);
    let polynomial = COEFFICIENTS.iter().rev().fold(0.0, |sum, coefficient| (sum + coefficient) * t);
    let density = (-distance * distance / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
    let tail = (density * polynomial).clamp(f64::MIN_POSITIVE, 0.5);
    if x < 0.0 { tail } else { 1.0 - tail }
}

#[cfg(test)]
mod tests {
    use rand_distr::{Distribution, StandardNormal};

    use super::*;
    use crate::seed::Seed;

    #[test]
    fn the_normal_distribution_is_that_of_the_tables() {
        for (x, p) in [(0.0, 0.5), (1.0, 0.841_344_746), (-1.96, 0.024_997_895), (3.0, 0.998_650_102)] {
            assert!((probability_below(x) - p).abs() < 1e-7, "{x}");
        }
        assert!(probability_below(-100.0) > 0.0);
    }

    #[test]
    fn means_are_those_told() {
        let ms = Duration::from_millis;
        let mut rng = Seed(5).rng("test", 0, 0);
        let spreads = [
            Spread::Uniform(ms(10)),
            Spread::Exponential(ms(8)),
            Spread::LogNormal { median: ms(5), sigma: 1.0 },
            Spread::LogNormal { median: ms(5), sigma: 0.0 },
            Spread::log_normal_of_mean(ms(7), 1.2),
        ];
        for spread in spreads {
            let draws = (0..400_000).map(|_| spread.at(StandardNormal.sample(&mut rng)));
            let mean = draws.sum::<Duration>().as_secs_f64() / 400_000.0;
            let off = mean / spread.mean().as_secs_f64() - 1.0;
            assert!(off.abs() < 0.01, "{spread:?}: off by {off}");
        }
        assert_eq!(Spread::LogNormal { median: ms(1_000), sigma: 3.0 }.at(9.0), MAX_DELAY);
    }
}
