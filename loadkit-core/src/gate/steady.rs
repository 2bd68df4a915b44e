//! `tables of two sides -> how far a percentile has moved where nothing disturbed it`.
//!
//! A burst on the machine disturbs whole seconds: in one of ten the p95 may be ten times as long. The percentile of all
//! values then stands on the edge of the bursts, and says more of how many there were than of the server. But noise only ever
//! adds time. So there is a second estimate, that hardly sees it: the percentile of each second by itself, and of these the
//! **mean of the lowest tenth**. A build that is slower by 5 % is so in its quiet seconds too. (An L-estimator, as of P. J.
//! Huber, "Robust statistics", 1981, but with all of the trimming at the side where the noise is.) Of two sides that
//! played at the same time it is the mean of the middle three fifths of the seconds' differences: what disturbs both cancels.
//!
//! Its error comes from a bootstrap as that of the others does, in thirty blocks whatever the length: few long ones see more
//! of slow noise than many short ones, and more than thirty gain nothing (B. Schmeiser, "Batch size effects in the analysis of
//! simulation output", 1982). With ten, a draw of half a minute often had no quiet second, and the error was that of bursts.
//! The error is that of the middle four fifths of the draws: a draw without any quiet second is no measure of quiet ones.
//!
//! It finds, and never acquits: what happens in less than nine tenths of the seconds is not in it.

use super::blocks::{Block, draw};
use super::estimate::{DRAWS, Estimate, OfRun, combine, freedom};
use super::figure::Figure;
use super::table::Table;
use crate::seed::Rng;

/// The share of seconds that is called quiet.
const QUIET: f64 = 0.1;
/// The share of differences that is left out at either end.
const TRIMMED: f64 = 0.2;
/// A group of intervals holds so many values beyond the percentile, on average.
const BEYOND: f64 = 5.0;
/// With fewer groups there is no quiet tenth to speak of.
const FEW: usize = 20;
/// As many blocks.
const BLOCKS: f64 = 30.0;
/// The sides must have run equally often, but for this: the lowest of many percentiles is the lower the fewer values each is of.
const AS_OFTEN: f64 = 1.2;
/// From the first to the last tenth of a normal distribution, in standard deviations.
const TENTH_TO_TENTH: f64 = 2.563;

/// Such a figure on both sides, and how far it has moved.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Steady {
    /// Logarithms.
    pub(super) old: f64,
    pub(super) new: f64,
    pub(super) difference: Estimate,
}

/// How far a percentile has moved in quiet seconds. None if it is no percentile, there are too few seconds, or one side ran
/// more often than the other.
pub(super) fn difference(figure: Figure, base: &[Table], candidate: &[Table], rng: &mut Rng) -> Option<Steady> {
    let quantile = figure.quantile()?;
    let group = group(quantile, base, candidate)?;
    let mut side = |tables: &[Table]| -> Option<Vec<OfRun>> {
        tables.iter().map(|table| of_run(&levels(quantile, table, group), table.seconds(), rng)).collect()
    };
    let (base, candidate) = (side(base)?, side(candidate)?);
    let mean = |side: &[OfRun]| side.iter().map(|run| run.value).sum::<f64>() / side.len() as f64;
    Some(Steady { old: mean(&base), new: mean(&candidate), difference: combine(&base, &candidate) })
}

/// The same second by second, for two sides that played at the same time.
pub(super) fn paired(figure: Figure, base: &Table, candidate: &Table, rng: &mut Rng) -> Option<Steady> {
    let quantile = figure.quantile()?;
    let group = group(quantile, std::slice::from_ref(base), std::slice::from_ref(candidate))?;
    let pairs = levels(quantile, base, group).into_iter().zip(levels(quantile, candidate, group));
    let pairs: Vec<(f64, f64)> = pairs.filter_map(|(old, new)| old.zip(new)).collect();
    let middle = |n: usize| trimmed(n)..n - trimmed(n);
    let of = |values: Vec<f64>| {
        let sorted = Sorted::new(values);
        sorted.of_all(middle(sorted.len()))
    };
    let old = of(pairs.iter().map(|pair| pair.0).collect())?;
    let sorted = Sorted::new(pairs.iter().map(|(old, new)| new - old).collect());
    let run = sorted.measure(middle(sorted.len()), base.seconds(), rng)?;
    let OfRun { value, variance, freedom, length } = run;
    let difference = Estimate { value, within: variance, between: 0.0, freedom, length };
    Some(Steady { old, new: old + value, difference })
}

fn trimmed(n: usize) -> usize {
    (n as f64 * TRIMMED).round() as usize
}

fn of_run(levels: &[Option<f64>], seconds: f64, rng: &mut Rng) -> Option<OfRun> {
    let sorted = Sorted::new(levels.iter().flatten().copied().collect());
    let quiet = (sorted.len() as f64 * QUIET).round() as usize;
    sorted.measure(0..quiet, seconds, rng)
}

/// How many intervals it takes to have enough values beyond a quantile, in the run that has the fewest.
fn group(quantile: f64, base: &[Table], candidate: &[Table]) -> Option<usize> {
    let rate =
        |table: &Table| table.succeeded(&super::blocks::whole(table.intervals())) as f64 / table.intervals() as f64;
    let rates = || base.iter().chain(candidate).map(rate);
    let (least, most) = (rates().fold(f64::INFINITY, f64::min), rates().fold(0.0, f64::max));
    let group = (BEYOND / (1.0 - quantile) / least).ceil();
    (least > 0.0 && most <= least * AS_OFTEN && group < 1e6).then(|| (group as usize).max(1))
}

/// The quantile of each group of intervals, as a logarithm; none of a group in which nothing ended. What is left over at the
/// end is no group.
fn levels(quantile: f64, table: &Table, group: usize) -> Vec<Option<f64>> {
    let groups = (0..table.intervals() / group).map(|i| [Block { from: i * group, to: (i + 1) * group }]);
    groups.map(|one| table.quantile(quantile, &one).filter(|value| *value > 0.0).map(f64::ln)).collect()
}

/// A series, and the order of its values: so that a part of a draw's sorted values needs no sorting.
struct Sorted {
    values: Vec<f64>,
    order: Vec<usize>,
}

impl Sorted {
    fn new(values: Vec<f64>) -> Sorted {
        let mut order: Vec<usize> = (0..values.len()).collect();
        order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
        Sorted { values, order }
    }

    fn len(&self) -> usize {
        self.values.len()
    }

    /// The mean of these of all values, the lowest being the first.
    fn of_all(&self, ranks: std::ops::Range<usize>) -> Option<f64> {
        self.mean(ranks, |_| 1)
    }

    /// The mean of these values of a draw that has each so many times.
    fn mean(&self, ranks: std::ops::Range<usize>, times: impl Fn(usize) -> usize) -> Option<f64> {
        let (mut at, mut sum, wanted) = (0, 0.0, ranks.len());
        for &i in &self.order {
            let next = at + times(i);
            sum += self.values[i] * next.min(ranks.end).saturating_sub(at.max(ranks.start)) as f64;
            at = next;
            if at >= ranks.end {
                break;
            }
        }
        (wanted > 0).then(|| sum / wanted as f64)
    }

    /// That mean of the series, with its variance by draws of blocks.
    fn measure(&self, ranks: std::ops::Range<usize>, seconds: f64, rng: &mut Rng) -> Option<OfRun> {
        let n = self.len();
        if n < FEW {
            return None;
        }
        let value = self.of_all(ranks.clone())?;
        let length = (n as f64 / BLOCKS).round().max(1.0) as usize;
        let (mut blocks, mut times) = (Vec::new(), vec![0; n]);
        let mut means = Vec::with_capacity(DRAWS);
        for _ in 0..DRAWS {
            draw(rng, n, length, &mut blocks);
            times.fill(0);
            blocks.iter().for_each(|block| times[block.from..block.to].iter_mut().for_each(|times| *times += 1));
            means.push(self.mean(ranks.clone(), |i| times[i])?);
        }
        means.sort_by(f64::total_cmp);
        let error = (means[DRAWS * 9 / 10] - means[DRAWS / 10]) / TENTH_TO_TENTH;
        let drawn = n as f64 / length as f64;
        // So few blocks vary around their own mean, which is off itself.
        let variance = error * error * drawn / (drawn - 1.0);
        Some(OfRun { value, variance, freedom: freedom(drawn, seconds), length })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::seed::{Rng, Seed};

    fn rng() -> Rng {
        Seed(1).rng("steady", 0, 0)
    }

    proptest! {
        /// Sorting the draw itself is the judge.
        #[test]
        fn the_mean_of_ranks_is_that_of_the_sorted_draw(
            drawn in prop::collection::vec((-9.0_f64..9.0, 0_usize..4), 1..60), a in 0.0_f64..1.0, b in 0.0_f64..1.0,
        ) {
            let mut all: Vec<f64> = drawn.iter().flat_map(|&(value, times)| vec![value; times]).collect();
            all.sort_by(f64::total_cmp);
            let rank = |share: f64| (share * all.len() as f64) as usize;
            let ranks = rank(a.min(b))..rank(a.max(b));
            let sorted = Sorted::new(drawn.iter().map(|one| one.0).collect());
            let found = sorted.mean(ranks.clone(), |i| drawn[i].1);
            prop_assert_eq!(found.is_none(), ranks.is_empty());
            let truth = all[ranks.clone()].iter().sum::<f64>() / ranks.len() as f64;
            prop_assert!(found.is_none_or(|found| (found - truth).abs() < 1e-9), "{:?} for {}", found, truth);
        }

        /// Eight tenths of the seconds may be disturbed by as much as they like.
        #[test]
        fn bursts_do_not_move_it(by in prop::collection::vec(0.0_f64..5.0, 80), from in 0_usize..100) {
            let quiet: Vec<Option<f64>> = (0..100).map(|i| Some(7.0 + f64::from(i % 10) / 1_000.0)).collect();
            let mut burst = quiet.clone();
            for (i, by) in by.into_iter().enumerate() {
                burst[(from + i) % 100] = burst[(from + i) % 100].map(|level| level + by);
            }
            let [quiet, burst] = [quiet, burst].map(|levels| of_run(&levels, 100.0, &mut rng()).unwrap());
            prop_assert!((0.0..0.01).contains(&(burst.value - quiet.value)), "{:?} {:?}", quiet, burst);
        }
    }

    #[test]
    fn the_error_of_a_mean_is_that_of_theory() {
        // All of the values, independent: the error of their mean is their deviation by the root of how many there are.
        let values: Vec<f64> = (0..1_000).map(|_| rand::RngExt::random_range(&mut rng(), 0.0..1.0)).collect();
        assert!(values.iter().all(|value| *value == values[0]), "a fresh generator each time");
        let mut rng = rng();
        let values: Vec<f64> = (0..1_000).map(|_| rand::RngExt::random_range(&mut rng, 0.0..1.0)).collect();
        let run = Sorted::new(values).measure(0..1_000, 1_000.0, &mut rng).unwrap();
        let truth = (1.0_f64 / 12.0 / 1_000.0).sqrt();
        assert!((0.6..1.5).contains(&(run.variance.sqrt() / truth)), "{} for {truth}", run.variance.sqrt());
        assert_eq!(run.length, 33);
        assert!((run.freedom - (1_000.0 / 33.0 - 1.0)).abs() < 1e-9, "{}", run.freedom);
    }

    #[test]
    fn few_seconds_have_no_quiet_tenth() {
        assert!(of_run(&[Some(1.0); 19], 19.0, &mut rng()).is_none());
        assert!(of_run(&[None; 50], 50.0, &mut rng()).is_none());
        let short = of_run(&[Some(1.0); 30], 30.0, &mut rng()).unwrap();
        assert_eq!(
            (short.value, short.variance, short.freedom),
            (1.0, 0.0, 2.0),
            "its error is known from three stretches"
        );
    }
}
