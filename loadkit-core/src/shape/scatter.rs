//! `Scatter`: independent uniform points in `0..1`, in ascending order, lazily and without sorting.
//!
//! Given how many arrivals a Poisson process has in a stage, their times are independent draws from the rate (D. R. Cox
//! and V. Isham, "Point Processes", 1980, section 3.1). So the number can stay exact, and what is needed are uniform
//! points in order. Of `n` points, the number in the left half is binomial with probability one half: as many as the ones
//! among `n` random bits. Splitting each half again until one point is left draws the very same distribution from the
//! left to the right, with whole numbers only, so every shard and machine computes the same sequence. The stack holds at
//! most one entry a level.

use rand::Rng as _;

use crate::seed::Rng;

/// Ascending uniform points, as fractions of 2^64.
#[derive(Clone, Debug)]
pub(super) struct Scatter {
    rng: Rng,
    stack: Vec<Part>,
}

/// `points` points somewhere in `low..low + 2^bits`.
#[derive(Clone, Copy, Debug)]
struct Part {
    low: u64,
    bits: u32,
    points: u64,
}

impl Scatter {
    /// `points` points, drawn with `rng`. The first costs a draw for each 64 points.
    pub(super) fn new(rng: Rng, points: u64) -> Scatter {
        let mut stack = Vec::with_capacity(65);
        if points > 0 {
            stack.push(Part { low: 0, bits: 64, points });
        }
        Scatter { rng, stack }
    }
}

impl Iterator for Scatter {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        loop {
            let part = self.stack.pop()?;
            if part.bits == 0 {
                // Points that agree in all 64 bits.
                if part.points > 1 {
                    self.stack.push(Part { points: part.points - 1, ..part });
                }
                return Some(part.low);
            }
            if part.points == 1 {
                return Some(part.low | (self.rng.next_u64() >> (64 - part.bits)));
            }
            let bits = part.bits - 1;
            let left = coins(&mut self.rng, part.points);
            let right = part.points - left;
            if right > 0 {
                self.stack.push(Part { low: part.low | (1 << bits), bits, points: right });
            }
            if left > 0 {
                self.stack.push(Part { low: part.low, bits, points: left });
            }
        }
    }
}

/// How many of `n` fair coins show heads.
fn coins(rng: &mut Rng, n: u64) -> u64 {
    let words: u64 = (0..n / 64).map(|_| u64::from(rng.next_u64().count_ones())).sum();
    let rest = n % 64;
    if rest == 0 {
        return words;
    }
    words + u64::from((rng.next_u64() >> (64 - rest)).count_ones())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Seed;

    fn points(seed: u64, n: u64) -> Vec<f64> {
        Scatter::new(Seed(seed).rng("test", 0, 0), n).map(|p| p as f64 / 2f64.powi(64)).collect()
    }

    #[test]
    fn all_points_come_in_order() {
        for n in [0, 1, 2, 63, 64, 65, 1000, 54_321] {
            let points = points(n, n);
            assert_eq!(points.len() as u64, n);
            assert!(points.is_sorted());
        }
    }

    #[test]
    fn they_are_uniform() {
        // Kolmogorov and Smirnov: sqrt(n) D is above 1.95 in one of a thousand samples.
        for seed in 0..20 {
            let n = 10_000;
            let far = points(seed, n).into_iter().enumerate().map(|(i, p)| (p - i as f64 / n as f64).abs());
            let d = far.fold(0.0, f64::max);
            assert!(d * (n as f64).sqrt() < 1.95, "seed {seed}: {d}");
        }
    }

    #[test]
    fn the_gaps_are_those_of_a_poisson_process() {
        // Exponential gaps have a coefficient of variation of 1, and one in e of them is above the mean.
        let n = 100_000;
        let points = points(1, n);
        let gaps: Vec<f64> = points.windows(2).map(|w| (w[1] - w[0]) * n as f64).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|g| (g - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        assert!((mean - 1.0).abs() < 0.01, "{mean}");
        assert!((variance.sqrt() - 1.0).abs() < 0.02, "{variance}");
        let long = gaps.iter().filter(|g| **g > 1.0).count() as f64 / gaps.len() as f64;
        assert!((long - (-1.0f64).exp()).abs() < 0.01, "{long}");
    }
}
