//! `tables of two sides -> how far a figure has moved, and how sure that is`.
//!
//! A figure of one run has the noise of its own seconds: that is measured by drawing blocks of them ([`super::blocks`]).
//! Between runs there is more: another day, another neighbour, another layout in memory. From several runs of one side that
//! is measured as a random effect, and both together make the standard error of the difference:
//!
//! ```text
//! V = τ² (1/B + 1/C)  +  Σ w²/B² + Σ w²/C²        τ² = max(0, s² - w̄²)
//! ```
//!
//! with `w²` the variance of a run's figure by its blocks, `s²` that of the runs of a side around their mean (the method of
//! moments: R. DerSimonian and N. Laird, "Meta-analysis in clinical trials", 1986), and `B` and `C` how many runs the sides
//! have. Neither is known from many pieces, so the quotient is held against Student's t, with the degrees of freedom of F. E.
//! Satterthwaite, "An approximate distribution of estimates of variance components", 1946.

use super::blocks::{Block, draw, length, whole};
use super::figure::Figure;
use super::table::Table;
use crate::seed::Rng;

/// So many draws: the standard error is then known to 2 %.
pub(super) const DRAWS: usize = 1_000;
/// What disturbs a machine goes on for so many seconds, we suppose: a run of half a minute has seen three such stretches,
/// however many blocks it is cut into, and its error is known from no more. In the tapes that we recorded (`tests/data`),
/// seconds that are ten apart still have a correlation of 0.4.
pub(super) const STRETCH_S: f64 = 10.0;

/// A figure of a side, or a difference of two, with its variance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Estimate {
    pub(super) value: f64,
    /// That part of the variance which more seconds make smaller.
    pub(super) within: f64,
    /// That part which only more runs make smaller.
    pub(super) between: f64,
    /// The degrees of freedom of the variance.
    pub(super) freedom: f64,
    /// The longest of the blocks, in intervals.
    pub(super) length: usize,
}

impl Estimate {
    pub(super) fn error(&self) -> f64 {
        (self.within + self.between).sqrt()
    }
}

/// A figure of one run: logarithms where changes are relative.
#[derive(Clone, Copy, Debug)]
pub(super) struct OfRun {
    pub(super) value: f64,
    pub(super) variance: f64,
    pub(super) freedom: f64,
    pub(super) length: usize,
}

/// How far a figure is from the baseline to the candidate, in the figure's own scale (see [`Figure::scaled`]). None if a
/// run has nothing to take it from.
pub(super) fn difference(figure: Figure, base: &[Table], candidate: &[Table], rng: &mut Rng) -> Option<Estimate> {
    let mut side = |tables: &[Table]| tables.iter().map(|table| of_run(figure, table, rng)).collect::<Option<Vec<_>>>();
    let (base, candidate) = (side(base)?, side(candidate)?);
    Some(combine(&base, &candidate))
}

/// The same for two sides that played at the same time: each draw takes the same blocks from both, so that what both have
/// suffered cancels.
pub(super) fn paired(figure: Figure, base: &Table, candidate: &Table, rng: &mut Rng) -> Option<Estimate> {
    let n = base.intervals().min(candidate.intervals());
    let apart = |blocks: &[Block]| Some(figure.scaled(candidate, blocks)? - figure.scaled(base, blocks)?);
    let value = apart(&whole(n))?;
    let series = [base, candidate].map(|table| figure.influence(table));
    let size = |series: &[f64]| series.iter().map(|value| value.abs()).sum::<f64>().max(f64::MIN_POSITIVE);
    let sizes = [size(&series[0]), size(&series[1])];
    let gap: Vec<f64> = series[0].iter().zip(&series[1]).map(|(a, b)| b / sizes[1] - a / sizes[0]).collect();
    let length = length(&gap);
    let (variance, freedom) = spread((n, base.seconds()), length, rng, apart)?;
    let least = figure.least_variance(base) + figure.least_variance(candidate);
    Some(Estimate { value, within: variance.max(least), between: 0.0, freedom, length })
}

fn of_run(figure: Figure, table: &Table, rng: &mut Rng) -> Option<OfRun> {
    let n = table.intervals();
    let value = figure.scaled(table, &whole(n))?;
    let length = length(&figure.influence(table));
    let (variance, freedom) = spread((n, table.seconds()), length, rng, |blocks| figure.scaled(table, blocks))?;
    Some(OfRun { value, variance: variance.max(figure.least_variance(table)), freedom, length })
}

/// The degrees of freedom of a variance from so many blocks of so many seconds in all: one less than there are blocks, or
/// stretches of noise, whichever are fewer.
pub(super) fn freedom(blocks: f64, seconds: f64) -> f64 {
    (blocks.min(seconds / STRETCH_S) - 1.0).max(1.0)
}

/// The variance of a statistic over draws of blocks of so many intervals, that took so many seconds, and its degrees of freedom.
fn spread(
    (n, seconds): (usize, f64),
    length: usize,
    rng: &mut Rng,
    statistic: impl Fn(&[Block]) -> Option<f64>,
) -> Option<(f64, f64)> {
    let blocks_drawn = n as f64 / length as f64;
    if blocks_drawn < 2.0 {
        return None;
    }
    let mut blocks = Vec::new();
    let (mut seen, mut mean, mut squares) = (0.0, 0.0, 0.0);
    for _ in 0..DRAWS {
        draw(rng, n, length, &mut blocks);
        // B. P. Welford, "Note on a method for calculating corrected sums of squares and products", 1962.
        if let Some(value) = statistic(&blocks) {
            seen += 1.0;
            let off = value - mean;
            mean += off / seen;
            squares += off * (value - mean);
        }
    }
    // So few blocks vary around their own mean, which is off itself: as with any sample.
    let correction = blocks_drawn / (blocks_drawn - 1.0);
    (seen >= DRAWS as f64 / 2.0).then(|| (squares / (seen - 1.0) * correction, freedom(blocks_drawn, seconds)))
}

/// The difference of two sides of runs.
pub(super) fn combine(base: &[OfRun], candidate: &[OfRun]) -> Estimate {
    let sides = [base, candidate];
    let count = |side: &[OfRun]| side.len() as f64;
    let mean = |side: &[OfRun]| side.iter().map(|run| run.value).sum::<f64>() / count(side);
    let parts: Vec<(f64, f64)> = sides
        .iter()
        .flat_map(|side| side.iter().map(|run| (run.variance / count(side).powi(2), run.freedom)))
        .collect();
    let within = parts.iter().map(|(variance, _)| variance).sum::<f64>();
    let own = sides.iter().flat_map(|side| side.iter()).map(|run| run.variance).sum::<f64>()
        / (count(base) + count(candidate));
    let spare = count(base) + count(candidate) - 2.0;
    let around = |side: &&[OfRun]| side.iter().map(|run| (run.value - mean(side)).powi(2)).sum::<f64>();
    let scatter = if spare > 0.0 { sides.iter().map(around).sum::<f64>() / spare } else { 0.0 };
    let between = (scatter - own).max(0.0) * (1.0 / count(base) + 1.0 / count(candidate));
    let mut doubt: f64 = parts.iter().map(|(variance, freedom)| variance * variance / freedom).sum();
    if between > 0.0 {
        doubt += between * between / spare;
    }
    let variance = within + between;
    let freedom = if doubt > 0.0 { variance * variance / doubt } else { f64::INFINITY };
    let length = sides.iter().flat_map(|side| side.iter()).map(|run| run.length).max().unwrap_or(1);
    Estimate { value: mean(candidate) - mean(base), within, between, freedom, length }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(value: f64, variance: f64) -> OfRun {
        OfRun { value, variance, freedom: 40.0, length: 7 }
    }

    #[test]
    fn one_run_a_side_knows_its_own_noise_only() {
        let estimate = combine(&[run(1.0, 0.04)], &[run(1.5, 0.05)]);
        assert_eq!(estimate.value, 0.5);
        assert!((estimate.within - 0.09).abs() < 1e-12 && estimate.between == 0.0);
        // Satterthwaite: 0.09² / ((0.04² + 0.05²) / 40).
        assert!((estimate.freedom - 79.02).abs() < 0.01, "{}", estimate.freedom);
    }

    #[test]
    fn runs_that_differ_by_more_than_their_noise_widen_the_doubt() {
        let base = [run(0.0, 0.01), run(1.0, 0.01), run(2.0, 0.01)];
        let estimate = combine(&base, &[run(1.0, 0.01)]);
        // The scatter is 1, of which 0.01 is each run's own.
        assert!((estimate.between - 0.99 * (1.0 / 3.0 + 1.0)).abs() < 1e-12, "{}", estimate.between);
        assert!((estimate.within - 0.01 * (1.0 / 3.0 + 1.0)).abs() < 1e-12);
        // And it is known from three runs only.
        assert!((1.9..2.3).contains(&estimate.freedom), "{}", estimate.freedom);
    }

    #[test]
    fn runs_that_agree_lend_each_other_their_seconds() {
        let base = [run(0.999, 0.01), run(1.0, 0.01), run(1.001, 0.01)];
        let estimate = combine(&base, &[run(1.0, 0.01)]);
        assert_eq!(estimate.between, 0.0);
        assert!((estimate.within - 0.01 * (1.0 / 3.0 + 1.0)).abs() < 1e-12);
    }
}
