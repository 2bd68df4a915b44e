//! `(thresholds, snapshots, conditions) -> Judgement`: whether a run passed, failed, or says nothing about the server.
//!
//! **What the kit did badly is never blamed on the server.** INVALID beats FAIL beats PASS; all reasons are listed.

mod cell;
mod drift;
mod evaluate;
pub(crate) mod health;
#[cfg(feature = "keep")]
mod keep;
mod measure;
mod watch;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use self::evaluate::{Evaluated, evaluate};
#[cfg(feature = "keep")]
pub use self::keep::RestoreError;
use self::watch::Watch;
use crate::engine::{Control, Ended, Stop};
use crate::failure::Failure;
use crate::metrics::{Applied, Collector, MetricSink, PackedDelta, Snapshot, Stretch, Totals};
use crate::plan::format_duration;
use crate::report::format;
use crate::threshold::{Comparison, Stat, Threshold};

/// What a run says about the server. The worse, the larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
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
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Reason {
    /// What it makes of the run.
    pub verdict: Verdict,
    /// In plain words, a sentence or a few.
    pub text: String,
}

/// How a threshold came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
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
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Checked {
    /// The threshold as it is written: `p99(login) < 250ms`.
    pub threshold: String,
    /// How it came out.
    pub outcome: Check,
    /// What was measured, with its unit: `212.5ms`.
    pub measured: Option<String>,
    /// The same as a number: microseconds, a fraction of one, a number a second, or a number.
    pub value: Option<f64>,
    /// Of what that is, where it is not plain: `the worst of 271 windows of 30s, from 1:20 on`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<String>,
}

/// A verdict with all that led to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
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
    /// Adds a reason; the verdict is the worst of them all.
    pub fn add(&mut self, verdict: Verdict, text: String) {
        let place = self.reasons.iter().position(|reason| reason.verdict < verdict).unwrap_or(self.reasons.len());
        self.reasons.insert(place, Reason { verdict, text });
        self.verdict = self.verdict.max(verdict);
    }

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

/// Collects a run's snapshots, and judges the run by its thresholds: while it goes on, for those that end it, and at the
/// end.
#[derive(Debug)]
pub struct Judge {
    interval: Duration,
    collector: Collector,
    rules: Vec<Rule>,
    control: Option<Control>,
    aborted: Option<String>,
}

/// A threshold, and what is known about it.
#[derive(Debug)]
struct Rule {
    threshold: Threshold,
    watch: Option<Watch>,
    /// Since when it has been missed without a pause, µs since the start of the run.
    missed_since_us: Option<u64>,
}

impl Judge {
    /// One for a run with these thresholds and intervals of this length.
    pub fn new(thresholds: &[Threshold], interval: Duration) -> Judge {
        let rule = |threshold: &Threshold| Rule {
            watch: Watch::new(threshold, interval),
            threshold: threshold.clone(),
            missed_since_us: None,
        };
        Judge {
            interval,
            collector: Collector::new(interval),
            rules: thresholds.iter().map(rule).collect(),
            control: None,
            aborted: None,
        }
    }

    /// The same, which asks the players to leave when a threshold with `else abort` says so, or has said so.
    pub fn with_control(self, control: &Control) -> Judge {
        if self.aborted.is_some() {
            control.stop(Stop::Drain);
        }
        Judge { control: Some(control.clone()), ..self }
    }

    /// For tests: one of figures that are there already; thresholds over time have seen none of them.
    #[cfg(test)]
    pub(crate) fn of(collector: &Collector, thresholds: &[Threshold]) -> Judge {
        Judge { collector: collector.clone(), ..Judge::new(thresholds, collector.width()) }
    }

    /// What was collected so far.
    pub fn collector(&self) -> &Collector {
        &self.collector
    }

    /// Why the run has to end before its time, once a threshold says so.
    pub fn aborted(&self) -> Option<&str> {
        self.aborted.as_deref()
    }

    /// Adds a snapshot, unless it has been added before.
    pub fn apply(&mut self, snapshot: &Snapshot) -> Applied {
        let applied = self.collector.admit(snapshot.key);
        if applied == Applied::New {
            self.add(&Stretch::one(snapshot));
        }
        applied
    }

    /// Adds many snapshots in the order of their time, each unless it has been added before, and gives out those that were new
    /// by their stretches of time; how many were new. Afterwards the figures are what they would be had each been added
    /// alone: to join first those of many shards, and only then to add them, costs a fraction of it.
    pub fn apply_all(&mut self, snapshots: &[Snapshot<PackedDelta>], mut each: impl FnMut(&Stretch<'_>)) -> usize {
        let is_new = |snapshot: &&Snapshot<_>| self.collector.admit(snapshot.key) == Applied::New;
        let new: Vec<&Snapshot<PackedDelta>> = snapshots.iter().filter(is_new).collect();
        let count = new.len();
        Stretch::each(new, self.interval, |stretch| {
            self.add(stretch);
            each(stretch);
        });
        count
    }

    fn add(&mut self, stretch: &Stretch<'_>) {
        let before_us = self.collector.totals().to_us;
        // Once an interval, when the first is there of the next: the shards' figures of the one before are all there, or nearly.
        if self.aborted.is_none() && stretch.figures().to_us > before_us {
            self.look_for_abort(before_us);
        }
        self.collector.add(stretch);
        self.rules.iter_mut().filter_map(|rule| rule.watch.as_mut()).for_each(|watch| watch.add(stretch));
    }

    fn look_for_abort(&mut self, now_us: u64) {
        let totals = self.collector.totals();
        for rule in &mut self.rules {
            let Some(grace) = rule.threshold.abort() else { continue };
            let now = match &rule.watch {
                Some(watch) => watch.now(now_us),
                None => evaluate(&rule.threshold, None, totals, now_us as f64 / 1e6).value.ok(),
            };
            let Some(missed) = now.filter(|value| !rule.threshold.holds(*value)) else {
                rule.missed_since_us = None;
                continue;
            };
            let since = *rule.missed_since_us.get_or_insert(now_us);
            if Duration::from_micros(now_us - since) >= grace {
                self.aborted = Some(format!(
                    "the run was ended at {}: {} had been missed for {}, last with {}",
                    format::clock(Duration::from_micros(now_us)),
                    rule.threshold,
                    format_duration(grace),
                    rule.threshold.metric().unit().format(missed)
                ));
                if let Some(control) = &self.control {
                    control.stop(Stop::Drain);
                }
                return;
            }
        }
    }

    /// Judges the run by its figures.
    pub fn judgement(&self, conditions: &Conditions) -> Judgement {
        let totals = self.collector.totals();
        let mut reasons = Vec::new();
        let mut warnings = Vec::new();
        health::examine(totals, conditions, &mut reasons, &mut warnings);
        let worthless = health::worthless(totals);
        reasons.extend(worthless.clone());
        let seconds = conditions.rated_time(totals).as_secs_f64();
        let mut missed: Vec<String> = self.aborted.iter().cloned().collect();
        let mut checked = Vec::new();
        for Rule { threshold, watch, .. } in &self.rules {
            let Evaluated { value, evidence } = evaluate(threshold, watch.as_ref(), totals, seconds);
            let outcome = match &value {
                Ok(actual) if threshold.holds(*actual) => Check::Met,
                Ok(actual) => {
                    missed.push(how_far_off(threshold, *actual, evidence.as_deref()));
                    Check::Missed
                }
                Err(why) => {
                    reasons.push(format!("{threshold} cannot be judged: {why}"));
                    Check::NoData
                }
            };
            let value = value.ok();
            let measured = value.map(|value| threshold.metric().unit().format(value));
            checked.push(Checked { threshold: threshold.to_string(), outcome, measured, value, evidence });
        }
        // Who could not play at all has been said already.
        let has_word_on_errors = self.rules.iter().any(|rule| matches!(rule.threshold.metric().stat(), Stat::Errors));
        if worthless.is_none() && !has_word_on_errors {
            missed.extend(most_failed(totals));
        }
        let of = |verdict| move |text| Reason { verdict, text };
        let mut reasons: Vec<Reason> = reasons.into_iter().map(of(Verdict::Invalid)).collect();
        reasons.extend(missed.into_iter().map(of(Verdict::Fail)));
        let verdict = reasons.first().map_or(Verdict::Pass, |reason| reason.verdict);
        Judgement { verdict, reasons, warnings, thresholds: checked }
    }
}

#[async_trait]
impl MetricSink for Judge {
    async fn publish(&mut self, snapshot: &Snapshot) -> Result<(), Failure> {
        self.apply(snapshot);
        Ok(())
    }
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
fn how_far_off(threshold: &Threshold, actual: f64, evidence: Option<&str>) -> String {
    let (limit, unit) = (threshold.limit().value(), threshold.metric().unit());
    let off = (actual - limit).abs();
    let direction = match threshold.comparison() {
        Comparison::Less | Comparison::AtMost => "too much",
        Comparison::More | Comparison::AtLeast => "too little",
    };
    let share = if limit > 0.0 { format!(" ({})", format::share(off / limit)) } else { String::new() };
    let evidence = evidence.map_or(String::new(), |evidence| format!(": {evidence}"));
    format!(
        "{threshold} was missed: {}, which is {}{share} {direction}{evidence}",
        unit.format(actual),
        unit.format(off)
    )
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod time_tests;
#[cfg(test)]
mod together_tests;
