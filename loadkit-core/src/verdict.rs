//! `(thresholds, totals, conditions) -> Judgement`: whether a run passed, failed, or says nothing about the server.
//!
//! **What the kit did badly is never blamed on the server.** INVALID beats FAIL beats PASS; all reasons are listed.

mod health;
mod measure;

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::engine::{Ended, Stop};
use crate::metrics::Totals;
use crate::report::format;
use crate::threshold::{Comparison, Outcome, Stat, Threshold};

/// What a run says about the server. The worse, the larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// All thresholds were met.
    Pass,
    /// A threshold was missed.
    Fail,
    /// Nothing: the load generator was sick, or there is too little to go by.
    Invalid,
}

impl Verdict {
    /// The exit code of a program whose run came out so: 0, 1 or 3. (2 is wrong use: there was no run.)
    pub fn exit_code(self) -> u8 {
        match self {
            Verdict::Pass => 0,
            Verdict::Fail => 1,
            Verdict::Invalid => 3,
        }
    }

    /// `PASS`, `FAIL` or `INVALID`.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Pass => "PASS",
            Verdict::Fail => "FAIL",
            Verdict::Invalid => "INVALID",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One reason for a verdict other than PASS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// What it makes of the run.
    pub verdict: Verdict,
    /// In plain words, a sentence or a few.
    pub text: String,
}

/// How a threshold came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// The result is as it must be.
    Met,
    /// It is not.
    Missed,
    /// Nothing was measured.
    NoData,
}

/// A threshold and what was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Checked {
    /// The threshold as it is written: `p99(login) < 250ms`.
    pub threshold: String,
    /// How it came out.
    pub outcome: Check,
    /// What was measured, with its unit: `212.5ms`.
    pub measured: Option<String>,
    /// The same as a number: microseconds, a fraction of one, a number a second, or a number.
    pub value: Option<f64>,
}

/// A verdict with all that led to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// The verdict: the worst of the reasons.
    pub verdict: Verdict,
    /// Why it is not PASS, the worst first. Empty if it is.
    pub reasons: Vec<Reason>,
    /// What the reader should know, though it does not change the verdict.
    pub warnings: Vec<String>,
    /// All thresholds, as the plan lists them.
    pub thresholds: Vec<Checked>,
}

impl Judgement {
    /// The verdict's first reason, or what a PASS stands for.
    pub fn headline(&self) -> String {
        match (self.reasons.first(), self.thresholds.len()) {
            (Some(reason), _) => reason.text.clone(),
            (None, 0) => "the load generator was healthy; the plan sets no thresholds".to_owned(),
            (None, 1) => "the threshold is met".to_owned(),
            (None, n) => format!("all {n} thresholds are met"),
        }
    }
}

/// What the engine and the machine say about a run, beside its figures.
#[derive(Clone, Debug, PartialEq)]
pub struct Conditions {
    /// How long the plan's load lasts. Rates are over this time, or over the run's if it ended before.
    pub planned: Duration,
    /// How far the run was asked to stop.
    pub asked: Stop,
    /// Snapshots that did not arrive.
    pub snapshots_lost: u64,
    /// Shards that died.
    pub shards_lost: u32,
    /// What went wrong in the scenario's `teardown`.
    pub teardown: Option<String>,
    /// CPU cores that a process of the run may use; 0 if that is not known.
    pub cores: u32,
    /// Whether ticks were driven by a high-resolution timer.
    pub sharp_timers: bool,
}

impl Conditions {
    /// Of a run on this process that ended so.
    pub fn new(planned: Duration, ended: &Ended, cores: u32, sharp_timers: bool) -> Conditions {
        Conditions {
            planned,
            asked: ended.asked,
            snapshots_lost: ended.snapshots_lost,
            shards_lost: ended.shards_lost,
            teardown: ended.teardown.as_ref().map(ToString::to_string),
            cores,
            sharp_timers,
        }
    }

    /// The time that rates are over.
    pub(crate) fn rated_time(&self, totals: &Totals) -> Duration {
        let lasted = Duration::from_micros(totals.to_us);
        if self.planned.is_zero() { lasted } else { lasted.min(self.planned) }
    }
}

/// Judges a run by its figures.
pub fn judge(thresholds: &[Threshold], totals: &Totals, conditions: &Conditions) -> Judgement {
    let mut reasons = Vec::new();
    let mut warnings = Vec::new();
    health::examine(totals, conditions, &mut reasons, &mut warnings);
    let worthless = health::worthless(totals);
    reasons.extend(worthless.clone());
    let seconds = conditions.rated_time(totals).as_secs_f64();
    let mut missed = Vec::new();
    let mut checked = Vec::new();
    for threshold in thresholds {
        let outcome = threshold.evaluate(|metric| measure::measure(metric, totals, seconds));
        let (outcome, value) = match outcome {
            Outcome::Met { actual } => (Check::Met, Some(actual)),
            Outcome::Missed { actual } => {
                missed.push(how_far_off(threshold, actual));
                (Check::Missed, Some(actual))
            }
            Outcome::NoData => {
                reasons.push(format!(
                    "{threshold} cannot be judged: {}",
                    measure::why_no_data(threshold.metric(), totals)
                ));
                (Check::NoData, None)
            }
        };
        let measured = value.map(|value| threshold.metric().unit().format(value));
        checked.push(Checked { threshold: threshold.to_string(), outcome, measured, value });
    }
    // Who could not play at all has been said already.
    if worthless.is_none() && !thresholds.iter().any(|threshold| matches!(threshold.metric().stat(), Stat::Errors)) {
        missed.extend(most_failed(totals));
    }
    let of = |verdict| move |text| Reason { verdict, text };
    let mut reasons: Vec<Reason> = reasons.into_iter().map(of(Verdict::Invalid)).collect();
    reasons.extend(missed.into_iter().map(of(Verdict::Fail)));
    let verdict = reasons.first().map_or(Verdict::Pass, |reason| reason.verdict);
    Judgement { verdict, reasons, warnings, thresholds: checked }
}

/// What is wrong with the load generator alone, in plain words. Empty if it was healthy.
pub(crate) fn generator_faults(totals: &Totals, conditions: &Conditions) -> Vec<String> {
    let mut reasons = Vec::new();
    health::examine(totals, conditions, &mut reasons, &mut Vec::new());
    reasons
}

/// A run without a word on errors passes with some, but not when more than half of its players failed.
fn most_failed(totals: &Totals) -> Option<String> {
    let (failed, ended) = (totals.failed(), totals.failed() + totals.finished);
    let (kind, _) = totals.failed.iter().max_by_key(|(_, count)| *count)?;
    let of = format!("{} of {}", format::count(failed), format::counted(ended, "player", "players"));
    (failed * 2 > ended)
        .then(|| format!("{of} failed, most of them by `{kind}`; a threshold such as `errors < 90%` would allow it"))
}

/// `p99(login) < 250ms was missed: 312ms, which is 62ms (25 %) too much`.
fn how_far_off(threshold: &Threshold, actual: f64) -> String {
    let (limit, unit) = (threshold.limit().value(), threshold.metric().unit());
    let off = (actual - limit).abs();
    let direction = match threshold.comparison() {
        Comparison::Less | Comparison::AtMost => "too much",
        Comparison::More | Comparison::AtLeast => "too little",
    };
    let share = if limit > 0.0 { format!(" ({})", format::share(off / limit)) } else { String::new() };
    format!("{threshold} was missed: {}, which is {}{share} {direction}", unit.format(actual), unit.format(off))
}

#[cfg(test)]
mod tests;
