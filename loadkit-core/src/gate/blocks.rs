//! Blocks of intervals: how long they must be, and draws of them.
//!
//! What a server does in one second depends on the second before: a queue drains, a garbage collector runs, a neighbour on
//! the machine compiles. To draw single seconds would tear that apart and make the noise look smaller than it is. So whole
//! blocks are drawn (H. R. Künsch, "The jackknife and the bootstrap for general stationary observations", 1989), around a
//! circle, so that the first and the last interval count as often as the others (D. N. Politis and J. P. Romano, "A
//! circular block-resampling procedure for stationary data", 1992).

use rand::RngExt as _;

use crate::seed::Rng;

/// Neighbouring intervals, `from..to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) from: usize,
    pub(super) to: usize,
}

/// All of `n` intervals.
pub(super) fn whole(n: usize) -> [Block; 1] {
    [Block { from: 0, to: n }]
}

/// As many intervals as there are, drawn as blocks of this length. A block beyond the end goes on at the beginning, as a
/// second one.
pub(super) fn draw(rng: &mut Rng, n: usize, length: usize, into: &mut Vec<Block>) {
    into.clear();
    let mut left = n;
    while left > 0 {
        let take = length.clamp(1, left);
        let from = rng.random_range(0..n);
        let to = from + take;
        into.push(Block { from, to: to.min(n) });
        if to > n {
            into.push(Block { from: 0, to: to - n });
        }
        left -= take;
    }
}

/// How long blocks must be for the mean of this series, in intervals: the rule of D. N. Politis and H. White, "Automatic
/// block-length selection for the dependent bootstrap", 2004, as A. Patton, Politis and White corrected it in 2009, for
/// the circular bootstrap. At least the cube root of the series' length, the order at which the error is smallest (P. Hall,
/// J. Horowitz and B.-Y. Jing, "On blocking rules for the bootstrap with dependent data", 1995): a short series may look
/// independent by chance. At most a sixth of it, so that there are blocks enough to see how they differ.
pub(super) fn length(series: &[f64]) -> usize {
    let n = series.len();
    let least = (n as f64).cbrt();
    let most = (n as f64 / 6.0).max(1.0);
    automatic(series).unwrap_or(1.0).max(least).min(most).round() as usize
}

/// The rule itself, without bounds. None for a series that does not vary.
fn automatic(series: &[f64]) -> Option<f64> {
    let n = series.len() as f64;
    if n < 4.0 {
        return None;
    }
    let run = n.log10().sqrt().ceil().max(5.0) as usize;
    let most = (n.sqrt().ceil() as usize + run).min(series.len() - 1);
    let covariances = covariances(series, most);
    let variance = *covariances.first().filter(|variance| **variance > 0.0)?;
    // A correlation below this is none: the paper's constant for 95 %.
    let bound = 1.96 * (n.log10() / n).sqrt();
    let matters = |lag: usize| covariances.get(lag).is_some_and(|covariance| covariance.abs() > bound * variance);
    // The first lag after which a whole run of them does not matter; else the last that matters.
    let quiet = (0..=most).find(|&lag| (lag + 1..=lag + run).all(|next| !matters(next)));
    let lag = quiet.or_else(|| (1..=most).rev().find(|&lag| matters(lag))).unwrap_or(0).max(1);
    let band = (2 * lag).min(most);
    let (mut spectrum, mut curvature) = (variance, 0.0);
    for (k, covariance) in covariances.iter().enumerate().take(band + 1).skip(1) {
        let share = k as f64 / band as f64;
        let taper = if share <= 0.5 { 1.0 } else { 2.0 * (1.0 - share) };
        spectrum += 2.0 * taper * covariance;
        curvature += 2.0 * taper * k as f64 * covariance;
    }
    let spread = 4.0 / 3.0 * spectrum * spectrum;
    (spread > 0.0).then(|| (2.0 * curvature * curvature / spread).cbrt() * n.cbrt())
}

/// The autocovariances up to a lag.
fn covariances(series: &[f64], most: usize) -> Vec<f64> {
    let n = series.len() as f64;
    let mean = series.iter().sum::<f64>() / n;
    let of = |lag: usize| {
        let pairs = series.iter().zip(series.iter().skip(lag));
        pairs.map(|(a, b)| (a - mean) * (b - mean)).sum::<f64>() / n
    };
    (0..=most).map(of).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand_distr::{Distribution, StandardNormal};

    use super::*;
    use crate::seed::{Rng, Seed};

    /// A series in which each value is so much of the one before, and noise.
    fn autoregressive(n: usize, share: f64, seed: u32) -> Vec<f64> {
        let mut rng = Seed(u64::from(seed)).rng("series", 0, 0);
        let mut value = 0.0;
        let mut next = || {
            let noise: f64 = StandardNormal.sample(&mut rng);
            value = share * value + noise;
            value
        };
        (0..n + 100).map(|_| next()).skip(100).collect()
    }

    fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
        let n = values.len() as f64;
        values.sum::<f64>() / n
    }

    #[test]
    fn the_length_is_that_of_theory() {
        // For an autoregressive series of the first order the best length is known: the rule's formula with the true
        // covariances, (2 (2 r / (1 - r²))² · 3/4)^(1/3) · n^(1/3).
        for (r, within) in [(0.5_f64, 0.35), (0.7, 0.35)] {
            let n = 1_000_u32;
            let truth = (1.5 * (2.0 * r / (1.0 - r * r)).powi(2)).cbrt() * f64::from(n).cbrt();
            let found = mean((0..40).map(|seed| automatic(&autoregressive(n as usize, r, seed)).unwrap()));
            assert!((found / truth - 1.0).abs() < within, "{r}: {found} for {truth}");
        }
    }

    #[test]
    fn independent_intervals_need_the_least() {
        let lengths = (0..40).map(|seed| length(&autoregressive(300, 0.0, seed)) as f64);
        assert!(mean(lengths) < 10.0);
        assert_eq!(length(&[1.0; 300]), 7, "the cube root of 300");
        assert_eq!(length(&[]), 1);
        assert_eq!(length(&autoregressive(12, 0.9, 1)), 2, "never more than a sixth");
    }

    /// The whole point: the spread of a mean, of a series whose neighbours depend on each other.
    #[test]
    fn blocks_see_the_noise_that_single_intervals_miss() {
        let (n, r) = (300_u32, 0.6);
        // The variance of the mean of an autoregressive series: 1 / (n (1 - r)²).
        let truth = 1.0 / (f64::from(n) * (1.0 - r) * (1.0 - r));
        let mut rng = Seed(7).rng("draws", 0, 0);
        let spread = |series: &[f64], length: usize, rng: &mut Rng| {
            let mut blocks = Vec::new();
            let means: Vec<f64> = (0..200)
                .map(|_| {
                    draw(rng, series.len(), length, &mut blocks);
                    blocks.iter().flat_map(|block| &series[block.from..block.to]).sum::<f64>() / f64::from(n)
                })
                .collect();
            let centre = mean(means.iter().copied());
            mean(means.iter().map(|value| (value - centre).powi(2)))
        };
        let series: Vec<_> = (0..40).map(|seed| autoregressive(n as usize, r, seed)).collect();
        let with_blocks = mean(series.iter().map(|one| spread(one, length(one), &mut rng)));
        let singly = mean(series.iter().map(|one| spread(one, 1, &mut rng)));
        assert!((0.6..1.1).contains(&(with_blocks / truth)), "{with_blocks} of {truth}");
        assert!(singly / truth < 0.4, "{singly} of {truth}");
    }

    proptest! {
        #[test]
        fn draws_hold_as_many_intervals_as_there_are(n in 1_usize..400, length in 0_usize..50, seed in any::<u64>()) {
            let mut blocks = Vec::new();
            draw(&mut Seed(seed).rng("blocks", 0, 0), n, length, &mut blocks);
            prop_assert_eq!(blocks.iter().map(|block| block.to - block.from).sum::<usize>(), n);
            prop_assert!(blocks.iter().all(|block| block.from < block.to && block.to <= n));
        }
    }
}
