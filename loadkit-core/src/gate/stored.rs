//! From stored reports to runs, and whether these may be held against each other at all.

use std::time::Duration;

use super::run::{GateError, GateRun};
use super::{Gate, GateOptions, compare};
use crate::metrics::SeriesStep;
use crate::report::{PlanSummary, Report, RunFacts, format};
use crate::verdict::Verdict;

impl GateRun {
    /// A run from its report, from `after` on. Without `after`, from the end of the plan's ramp on: the first interval at
    /// whose end the load shape asked for as many players as ever.
    ///
    /// # Errors
    /// If the report has no histograms.
    pub fn stored(name: impl Into<String>, report: &Report, after: Option<Duration>) -> Result<GateRun, GateError> {
        let name = name.into();
        if report.intervals.steps.is_empty() {
            let why = if report.steps.is_empty() {
                "its players took no steps"
            } else {
                "there is no histograms.hlog beside it"
            };
            let advice = "copy the whole directory of the report, or run again with this version of loadkit";
            return Err(GateError { faults: vec![format!("{name} has no histograms, because {why}: {advice}")] });
        }
        let width = report.intervals.width;
        let failed = |step: &str, i: usize| {
            report.series.points.get(i).and_then(|point| point.steps.get(step)).map_or(0, |step| step.failed)
        };
        let steps = report.intervals.steps.iter().map(|(step, intervals)| {
            // An interval in which all failed has no histogram.
            let n = intervals.response.len().max(report.series.points.len());
            let of = |i| SeriesStep {
                response: intervals.response.get(i).cloned().unwrap_or_default(),
                failed: failed(step, i),
            };
            (step.clone(), (0..n).map(of).collect())
        });
        let end = seconds(report.run.plan.duration_s.min(report.lasted_s));
        let run = GateRun::new(name, width, steps, after.unwrap_or_else(|| ramp_end(report)), end);
        let invalid = report.judgement.verdict == Verdict::Invalid;
        Ok(GateRun {
            left_out: report.series.histograms_left_out,
            invalid: invalid.then(|| report.judgement.headline()),
            ..run
        })
    }
}

/// What the gate says of a report, held against reports of the build before, from `after` on (see [`GateRun::stored`]).
///
/// # Errors
/// If they are not of the same test, or one has no histograms: what differs, and what is missing.
pub fn compare_stored<'a>(
    bases: impl IntoIterator<Item = (&'a str, &'a Report)>,
    (name, candidate): (&str, &Report),
    after: Option<Duration>,
    options: &GateOptions,
) -> Result<Gate, GateError> {
    let mut runs = Vec::new();
    for (base_name, base) in bases {
        comparable((base_name, &base.run), (name, &candidate.run))?;
        runs.push(GateRun::stored(base_name, base, after)?);
    }
    let candidate = GateRun::stored(name, candidate, after)?;
    GateRun::comparable(&runs.iter().chain([&candidate]).collect::<Vec<_>>())?;
    Ok(compare(&runs, std::slice::from_ref(&candidate), options))
}

/// Whether these are two runs of the same test.
///
/// # Errors
/// What differs.
pub fn comparable(base: (&str, &RunFacts), candidate: (&str, &RunFacts)) -> Result<(), GateError> {
    let differ = differences(base, candidate);
    if differ.is_empty() {
        return Ok(());
    }
    let list: String = differ.iter().map(|line| format!("\n  {line}")).collect();
    let fault = format!("{} and {} cannot be compared; what differs:{list}", base.0, candidate.0);
    Err(GateError { faults: vec![fault] })
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

/// When the load shape first asked for as many players as ever. The interval in which that was is left out too.
fn ramp_end(report: &Report) -> Duration {
    let peak = report.players.peak_planned;
    let first = report.series.points.iter().find(|point| point.planned >= peak);
    first.map_or(Duration::ZERO, |point| seconds(point.to_s))
}

/// What makes these no two runs of the same test: a line for each difference. The facts of a run are known before it starts.
pub fn differences(base: (&str, &RunFacts), candidate: (&str, &RunFacts)) -> Vec<String> {
    let ((base_name, base), (name, candidate)) = (base, candidate);
    if base.id == candidate.id {
        return vec![format!("{base_name} and {name} are the same run ({}): give two runs", base.id)];
    }
    let (old, new) = (&base.plan, &candidate.plan);
    let number = |value: u64| format::count(value);
    let pairs = [
        ("scenario", base.scenario.clone(), candidate.scenario.clone()),
        ("stages", old.stages.join("; "), new.stages.join("; ")),
        ("duration", time(old.duration_s), time(new.duration_s)),
        ("most players at once", number(old.peak), number(new.peak)),
        ("players that arrive", number(old.arrivals), number(new.arrivals)),
        ("seats of a party", number(old.party), number(new.party)),
        ("personas", shares(&old.personas), shares(&new.personas)),
        ("networks", networks(old), networks(new)),
    ];
    let differ = pairs.into_iter().filter(|(_, old, new)| old != new);
    differ.map(|(what, old, new)| format!("the {what}: {old} in {base_name}, {new} in {name}")).collect()
}

fn time(seconds: f64) -> String {
    format::micros(seconds * 1e6)
}

fn shares(personas: &std::collections::BTreeMap<String, f64>) -> String {
    let all: Vec<String> = personas.iter().map(|(name, weight)| format!("{name}={weight}")).collect();
    if all.is_empty() { "those of the code".to_owned() } else { all.join(",") }
}

fn networks(plan: &PlanSummary) -> String {
    let all: Vec<String> =
        plan.networks.iter().map(|one| format!("{}={}", one.name, format::number(one.share))).collect();
    if all.is_empty() { "none".to_owned() } else { all.join(",") }
}
