//! What is compared of a step: percentiles of its response times, how often it failed, and how often it succeeded.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::blocks::{Block, whole};
use super::table::Table;

/// So many values must lie beyond a percentile, on each side, or it is but one of the largest values.
const BEYOND: f64 = 100.0;
/// A step that ran less often on either side is too rare for a rate or a share of failures.
const FEW: u64 = 100;

/// A figure of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Figure {
    /// The median of the response times.
    P50,
    /// Their 95th percentile.
    P95,
    /// Their 99th percentile.
    P99,
    /// The share of failures.
    Errors,
    /// How often it succeeded a second.
    Rate,
}

impl Figure {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Figure; 5] = [Figure::P50, Figure::P95, Figure::P99, Figure::Errors, Figure::Rate];

    /// `p95`, `errors`, `rate`.
    pub fn name(self) -> &'static str {
        match self {
            Figure::P50 => "p50",
            Figure::P95 => "p95",
            Figure::P99 => "p99",
            Figure::Errors => "errors",
            Figure::Rate => "rate",
        }
    }

    /// Which quantile of the response times it is, if it is one.
    pub(super) fn quantile(self) -> Option<f64> {
        match self {
            Figure::P50 => Some(0.5),
            Figure::P95 => Some(0.95),
            Figure::P99 => Some(0.99),
            Figure::Errors | Figure::Rate => None,
        }
    }

    /// Whether changes are relative, as of times and rates. Shares of failures are compared by their difference: twice as
    /// many of next to none are next to none.
    pub fn is_relative(self) -> bool {
        self != Figure::Errors
    }

    /// Whether more is better.
    pub fn more_is_better(self) -> bool {
        self == Figure::Rate
    }

    /// How often a step must have run for this figure of it to be judged.
    pub(super) fn enough(self) -> u64 {
        // Of the smaller side: as many values are above the median as below it.
        self.quantile().map_or(FEW, |quantile| (BEYOND / (1.0 - quantile)).round() as u64)
    }

    /// How often the step ran, as far as the figure sees it: failures have no time.
    pub(super) fn ran(self, table: &Table) -> u64 {
        let all = whole(table.intervals());
        let failed = if self == Figure::Errors { table.failed(&all) } else { 0 };
        table.succeeded(&all) + failed
    }

    /// The figure of these blocks, on the scale on which it is compared: logarithms where changes are relative, so that a
    /// difference is a ratio. None where there is nothing to take it from.
    pub(super) fn scaled(self, table: &Table, blocks: &[Block]) -> Option<f64> {
        match self.quantile() {
            Some(quantile) => table.quantile(quantile, blocks).filter(|value| *value > 0.0).map(f64::ln),
            None if self == Figure::Errors => table.error_share(blocks),
            None => table.rate(blocks).map(f64::ln),
        }
    }

    /// A value of that scale as it is shown: microseconds, a share, a number a second.
    pub(super) fn unscaled(self, value: f64) -> f64 {
        if self.is_relative() { value.exp() } else { value }
    }

    /// A difference on that scale as a change: a part of the old value, or a difference of shares.
    pub(super) fn change(self, difference: f64) -> f64 {
        if self.is_relative() { difference.exp_m1() } else { difference }
    }

    /// A variance that this figure of a run has at the least. Draws from no failures at all hold none, and yet the next run
    /// may have some: a share is known as if there had been one more failure and one more success (A. Agresti and B. Caffo,
    /// "Simple and effective confidence intervals for proportions", 2000).
    pub(super) fn least_variance(self, table: &Table) -> f64 {
        if self != Figure::Errors {
            return 0.0;
        }
        let all = whole(table.intervals());
        let (failed, succeeded) = (table.failed(&all) as f64 + 1.0, table.succeeded(&all) as f64 + 1.0);
        let n = failed + succeeded;
        failed / n * (succeeded / n) / n
    }

    /// A series whose mean moves as the figure does: by it the length of blocks is chosen.
    pub(super) fn influence(self, table: &Table) -> Vec<f64> {
        if let Some(quantile) = self.quantile() {
            return table.influence(quantile);
        }
        let each = (0..table.intervals()).map(|i| [Block { from: i, to: i + 1 }]);
        if self == Figure::Rate {
            return each.map(|one| table.succeeded(&one) as f64).collect();
        }
        let share = table.error_share(&whole(table.intervals())).unwrap_or(0.0);
        let of = |one: [Block; 1]| {
            let (failed, succeeded) = (table.failed(&one) as f64, table.succeeded(&one) as f64);
            failed - share * (failed + succeeded)
        };
        each.map(of).collect()
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
