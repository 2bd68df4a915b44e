//! `(baseline runs, candidate runs) -> Gate`: whether a build is slower than the one before, by statistics.
//!
//! **A figure is worse only if the noise of the two sides does not explain it, and if it is worse by enough to matter.**
//! What is too noisy to tell is "not enough data", with how much would be enough, and is never called the same.
//!
//! For each figure of each step ([`Figure`]):
//!
//! 1. The figure is taken from merged histograms, of all seconds after the ramp. Percentiles are never averaged.
//! 2. Its standard error comes from a bootstrap over blocks of intervals, because neighbouring seconds depend on each
//!    other; from several runs of a side, also from what differs between them (`estimate`, `blocks`).
//! 3. The quotient of change and error is held against Student's t, which gives a p-value and an interval. What looks
//!    changed must also look so when the blocks of both sides are shuffled: a few stalls must not make a regression
//!    (`chance`).
//! 4. Of percentiles there is a second estimate, by the seconds that nothing disturbed (`steady`). It makes a figure worse
//!    where even its bound is a change that matters, and never the same.
//! 5. Many figures are looked at, so some will look changed by chance. S. Holm, "A simple sequentially rejective multiple
//!    test procedure", 1979, keeps the probability that *any* of them is called changed without cause below `alpha`,
//!    however they depend on each other. That is what a gate promises: it fails the build on any of them. (The procedure of
//!    Benjamini and Hochberg would bound the share of false alarms among the alarms, and so allow more of them.)
//! 6. A change that the noise does not explain, of at least `min_effect` and `min_time`, is [`Decision::Worse`] or [`Decision::Better`]. If
//!    there is none, but one of `detect` may hide within the interval, it is [`Decision::NotEnoughData`]. What remains is
//!    [`Decision::Same`].
//!
//! The same input gives the same answer: the draws come from a fixed seed.
//!
//! Deliberately absent: parts of figures (`login{persona=casual}`), which only repeat their whole in smaller numbers; and
//! trends and gauges, which a report keeps no intervals of.

mod blocks;
mod chance;
mod decide;
mod estimate;
mod figure;
mod limits;
mod run;
mod steady;
mod stored;
mod table;
mod text;

use serde::{Deserialize, Serialize};

use std::time::Duration;

use crate::metrics::Collector;
use crate::seed::Seed;
use crate::split::is_whole;
use crate::verdict::Verdict;

use chance::Deal;
use decide::Measured;
use table::Table;

pub use figure::Figure;
pub use limits::{GateLimits, parse_share};
pub use run::{GateError, GateRun};
pub use stored::{comparable, compare_stored, differences};
pub use text::gate_summary;
pub(crate) use text::{cells, of_step};

/// From where the draws come.
const SEED: Seed = Seed(0x6761_7465);

/// What the gate is to look for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GateOptions {
    /// A smaller change does not matter: 0.03 is 3 %, of times and rates.
    pub min_effect: f64,
    /// And neither does one of a time by less than this, however large a part of it that is. Below, the times are as much the
    /// generator's as the server's: deadlines within 200 µs may share a wake-up, which moves each by half of that on average.
    pub min_time: Duration,
    /// A change as large as this must not stay unseen, or there is not enough data.
    pub detect: f64,
    /// The same two for shares of failures, as differences: 0.001 is one in a thousand.
    pub min_errors: f64,
    /// See [`GateOptions::min_errors`].
    pub detect_errors: f64,
    /// The probability that anything at all is called changed where nothing has.
    pub alpha: f64,
}

impl Default for GateOptions {
    /// Changes of 3 % and 0.1 ms matter and of 10 % must not stay unseen; of shares of failures, 0.1 % and 1 %; `alpha` is 1 %.
    fn default() -> GateOptions {
        GateOptions {
            min_effect: 0.03,
            min_time: Duration::from_micros(100),
            detect: 0.1,
            min_errors: 0.001,
            detect_errors: 0.01,
            alpha: 0.01,
        }
    }
}

impl GateOptions {
    /// From which change on a figure that was so large matters, and which one must not stay unseen.
    fn limits(&self, figure: Figure, old: f64) -> (f64, f64) {
        if !figure.is_relative() {
            return (self.min_errors, self.detect_errors);
        }
        let least = match figure.quantile() {
            Some(_) if old > 0.0 => self.min_time.as_secs_f64() * 1e6 / old,
            _ => 0.0,
        };
        (self.min_effect.max(least), self.detect.max(least))
    }
}

/// What the gate says of a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum Decision {
    /// Not changed by as much as must not stay unseen.
    Same,
    /// Changed for the worse, by more than noise and by enough to matter: a regression.
    Worse,
    /// Changed for the better.
    Better,
    /// A change that must not stay unseen may hide in the noise.
    NotEnoughData {
        /// So many more seconds on both sides would show it. None if more seconds do not help, because runs differ by more
        /// than their seconds do: then it takes more baselines, or a quieter machine.
        more_s: Option<u64>,
    },
}

/// A figure of a step on both sides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Compared {
    /// The step.
    pub step: String,
    /// Which figure of it.
    pub figure: Figure,
    /// The baseline: microseconds, a number a second, or a share. Of several runs, the mean.
    pub old: f64,
    /// The candidate.
    pub new: f64,
    /// From the old to the new one: `new / old - 1`, or, of shares of failures, `new - old`.
    pub change: f64,
    /// The change is at least this; that holds for all figures together, with the probability `1 - alpha`.
    pub low: f64,
    /// And at most this.
    pub high: f64,
    /// How probable a change at least as large is where nothing has changed.
    pub p: f64,
    /// The same, corrected for how many figures were looked at.
    pub p_corrected: f64,
    /// The same in the seconds that nothing disturbed, for percentiles that have them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steady: Option<Steady>,
    /// What follows.
    pub decision: Decision,
}

/// A percentile without the bursts: of the quietest tenth of the seconds, or of the middle of their differences where both
/// sides played at the same time. It can make a figure [`Decision::Worse`], and nothing else: it is one more way to find.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Steady {
    /// The baseline, microseconds.
    pub old: f64,
    /// The candidate.
    pub new: f64,
    /// `new / old - 1`.
    pub change: f64,
    /// The change is at least this: a bound on one side, for all figures together.
    pub low: f64,
    /// And, as another such bound, at most this.
    pub high: f64,
    /// How probable a rise at least as large is where the true one is no more than matters: [`GateOptions::min_effect`], and
    /// [`GateOptions::min_time`] of the old value.
    pub p: f64,
    /// The same, corrected for how many figures were looked at.
    pub p_corrected: f64,
    /// It has surely become worse by as much as matters.
    pub worse: bool,
}

/// A figure that was not judged, because the step ran too rarely.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TooRare {
    /// The step.
    pub step: String,
    /// Which figure of it.
    pub figure: Figure,
    /// How often the step ran in the shortest of the runs.
    pub ran: u64,
    /// How often it must have.
    pub needed: u64,
    /// So many more seconds would be enough.
    pub more_s: Option<u64>,
}

/// What the gate says of a build.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gate {
    /// PASS, FAIL, or INVALID: there was not enough data, or a run was invalid itself.
    pub verdict: Verdict,
    /// Why it is not PASS, in plain words.
    pub reasons: Vec<String>,
    /// What the reader should know besides.
    pub notes: Vec<String>,
    /// The figures that were compared, by step.
    pub figures: Vec<Compared>,
    /// Those that were not.
    pub too_rare: Vec<TooRare>,
    /// The names of the baselines.
    pub baselines: Vec<String>,
    /// The names of the candidates.
    pub candidates: Vec<String>,
    /// From when on in each run, seconds since its start.
    pub from_s: f64,
    /// How much of each run was compared, seconds: of the shortest.
    pub compared_s: f64,
    /// Whether both sides played at the same time, interval by interval.
    pub paired: bool,
}

impl Gate {
    /// How much longer both sides should play for it to be sure of every figure; none if it is, if it has failed, or if no time
    /// would help.
    pub fn longer(&self) -> Option<Duration> {
        let unsure = self.figures.iter().any(|one| matches!(one.decision, Decision::NotEnoughData { .. }));
        if self.verdict != Verdict::Invalid || !unsure {
            return None;
        }
        decide::longest(self.figures.iter()).map(Duration::from_secs)
    }
}

/// Compares runs of a candidate with runs of a baseline, each side one or more. Their steps should be the same:
/// [`GateRun::comparable`] tells.
pub fn compare(baselines: &[GateRun], candidates: &[GateRun], options: &GateOptions) -> Gate {
    gate(baselines, candidates, false, options)
}

/// Compares two sides that played at the same time, whose intervals belong together one by one.
pub fn compare_paired(baseline: &GateRun, candidate: &GateRun, options: &GateOptions) -> Gate {
    gate(std::slice::from_ref(baseline), std::slice::from_ref(candidate), true, options)
}

/// Compares the two servers of a run whose players took turns at them ([`Target::against`](crate::Target::against)), from
/// the end of its ramp to this time since its start.
///
/// # Errors
/// If a step ran at one of them only, or nothing is left.
pub fn compare_sides(collector: &Collector, to: Duration, options: &GateOptions) -> Result<Gate, GateError> {
    let [baseline, candidate] = GateRun::sides(collector, to);
    GateRun::comparable(&[&baseline, &candidate])?;
    Ok(compare_paired(&baseline, &candidate, options))
}

fn gate(baselines: &[GateRun], candidates: &[GateRun], paired: bool, options: &GateOptions) -> Gate {
    let runs = || baselines.iter().chain(candidates);
    let everywhere = |step: &str| runs().all(|run| run.steps.contains_key(step));
    let names = baselines.first().into_iter().flat_map(|run| run.steps.keys());
    let (mut measured, mut too_rare) = (Vec::new(), Vec::new());
    let tests = names.clone().count() * Figure::ALL.len();
    let deals = chance::deals_for(options.alpha / tests.max(1) as f64);
    for step in names.filter(|step| is_whole(step) && everywhere(step)) {
        let tables = |side: &[GateRun]| side.iter().filter_map(|run| run.table(step)).collect::<Vec<Table>>();
        let sides = Sides { step, base: tables(baselines), candidate: tables(candidates), paired };
        let together = || GateRun::together(step, baselines, candidates);
        sides.measure(together, options.alpha, deals, &mut measured, &mut too_rare);
    }
    let compared_s = runs().map(GateRun::seconds).fold(f64::INFINITY, f64::min);
    let compared_s = if compared_s.is_finite() { compared_s } else { 0.0 };
    let figures = decide::decide(measured, compared_s, options);
    let (verdict, reasons) = decide::overall(runs(), &figures, &too_rare, options);
    Gate {
        verdict,
        reasons,
        notes: decide::notes(baselines, candidates, paired),
        figures,
        too_rare,
        baselines: baselines.iter().map(|run| run.name.clone()).collect(),
        candidates: candidates.iter().map(|run| run.name.clone()).collect(),
        from_s: runs().map(|run| run.from.as_secs_f64()).fold(0.0, f64::max),
        compared_s,
        paired,
    }
}

/// A step on both sides.
struct Sides<'a> {
    step: &'a str,
    base: Vec<Table>,
    candidate: Vec<Table>,
    paired: bool,
}

impl Sides<'_> {
    /// Takes all its figures. `together` makes a table of both sides' intervals, the baseline's first.
    fn measure(
        &self,
        together: impl Fn() -> Table,
        alpha: f64,
        deals: u32,
        measured: &mut Vec<Measured>,
        too_rare: &mut Vec<TooRare>,
    ) {
        let Sides { step, base, candidate, paired } = self;
        let all = || base.iter().chain(candidate);
        for (figure, number) in Figure::ALL.into_iter().zip(0..) {
            let mut rng = SEED.rng(step, number, 0);
            let rarest = all().min_by_key(|table| figure.ran(table));
            let enough = rarest.is_some_and(|table| figure.ran(table) >= figure.enough());
            let difference = match (base.as_slice(), candidate.as_slice()) {
                _ if !enough => None,
                ([base], [candidate]) if *paired => estimate::paired(figure, base, candidate, &mut rng),
                (base, candidate) => estimate::difference(figure, base, candidate, &mut rng),
            };
            if let Some(difference) = difference {
                let mut p = decide::p_value(difference.value / difference.error(), difference.freedom);
                let intervals = |side: &[Table]| side.iter().map(Table::intervals).sum::<usize>();
                // What bursts do to a percentile comes in stretches. (What both suffer at once cancels.)
                let stretch = all().map(chance::stretch).max().unwrap_or(1);
                let least = if *paired || figure.quantile().is_none() { 1 } else { stretch };
                let length = difference.length.max(least);
                let deal = Deal { base: intervals(base), length, paired: *paired, deals };
                let mut least_p = deal.least(intervals(base) + intervals(candidate));
                // A second opinion, on what would be called changed.
                if p < alpha {
                    p = p.max(chance::chance(figure, &together(), deal, difference.value, &mut rng)).max(least_p);
                }
                // Where nothing failed, nothing could be called a change.
                if figure == Figure::Errors && all().all(|one| one.failed(&blocks::whole(one.intervals())) == 0) {
                    least_p = 1.0;
                }
                let mean = |side: &[Table]| {
                    let values =
                        side.iter().filter_map(|table| figure.scaled(table, &blocks::whole(table.intervals())));
                    figure.unscaled(values.sum::<f64>() / side.len() as f64)
                };
                let (old, new) = (mean(base), mean(candidate));
                let steady = match (base.as_slice(), candidate.as_slice()) {
                    ([base], [candidate]) if *paired => steady::paired(figure, base, candidate, &mut rng),
                    (base, candidate) => steady::difference(figure, base, candidate, &mut rng),
                };
                measured.push(Measured { step: (*step).to_owned(), figure, old, new, difference, p, least_p, steady });
            } else if let Some(table) = rarest {
                let (ran, needed) = (figure.ran(table), figure.enough());
                let more = table.seconds() * (needed as f64 / ran as f64 - 1.0);
                let more_s = more.is_finite().then(|| decide::rounded_up(more.max(table.seconds() / 2.0)));
                too_rare.push(TooRare { step: (*step).to_owned(), figure, ran, needed, more_s });
            }
        }
    }
}

#[cfg(test)]
mod tests;
