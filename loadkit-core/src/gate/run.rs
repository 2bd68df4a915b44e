//! A run as the gate sees it: histograms of its steps, interval by interval, without the ramp and the end.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use super::table::Table;
use crate::metrics::{Collector, SeriesStep};
use crate::split::{Label, SIDES, is_whole};

/// One run of a build.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GateRun {
    /// What it is called in what the gate says: the directory of its report, say.
    pub name: String,
    /// The time that an interval covers.
    pub width: Duration,
    /// When the first interval begins that is compared, since the start of the run.
    pub from: Duration,
    /// By step: one interval after the other, those that are to be compared.
    pub steps: BTreeMap<String, Vec<SeriesStep>>,
    /// Steps that are not here because the report did not keep them.
    pub left_out: u64,
    /// Why the run itself is INVALID, if it is.
    pub invalid: Option<String>,
}

/// Why runs cannot be compared: what differs, or what is missing, a line each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GateError {
    /// What is the matter, in plain words.
    pub faults: Vec<String>,
}

impl fmt::Display for GateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.faults.as_slice() {
            [one] => f.write_str(one),
            all => {
                f.write_str("the runs cannot be compared:")?;
                all.iter().try_for_each(|fault| write!(f, "\n  {fault}"))
            }
        }
    }
}

impl std::error::Error for GateError {}

impl GateRun {
    /// A run of these intervals, of which those are kept that lie wholly within this time of the run.
    pub fn new(
        name: impl Into<String>,
        width: Duration,
        steps: impl IntoIterator<Item = (String, Vec<SeriesStep>)>,
        from: Duration,
        to: Duration,
    ) -> GateRun {
        let width = width.max(Duration::from_millis(1));
        let first = usize::try_from(from.as_nanos().div_ceil(width.as_nanos())).unwrap_or(usize::MAX);
        let end = usize::try_from(to.as_nanos() / width.as_nanos()).unwrap_or(usize::MAX);
        let steps: BTreeMap<String, Vec<SeriesStep>> = steps.into_iter().filter(|(step, _)| is_whole(step)).collect();
        // A step that was not there in the last intervals was not there in any less than in the others.
        let intervals = steps.values().map(Vec::len).max().unwrap_or(0).min(end).saturating_sub(first);
        let keep = |all: Vec<SeriesStep>| {
            let mut kept: Vec<SeriesStep> = all.into_iter().skip(first).take(intervals).collect();
            kept.resize_with(intervals, SeriesStep::default);
            kept
        };
        let steps = steps.into_iter().map(|(step, all)| (step, keep(all))).collect();
        let from = width.saturating_mul(u32::try_from(first).unwrap_or(u32::MAX));
        GateRun { name: name.into(), width, from, steps, left_out: 0, invalid: None }
    }

    /// What a collector has gathered between these times of the players with this label.
    fn part(name: &str, collector: &Collector, label: &Label, from: Duration, to: Duration) -> GateRun {
        let part = format!("{{{label}}}");
        let points = collector.points();
        let names: BTreeSet<&str> = points.clone().flat_map(|point| point.step_names()).collect();
        let of = |step: &str| points.clone().map(|point| point.step(step).unwrap_or_default()).collect();
        let steps = names.into_iter().filter_map(|step| Some((step.strip_suffix(&part)?.to_owned(), of(step))));
        GateRun::new(name, collector.width(), steps, from, to)
    }

    /// Both sides of a run whose players took turns at two servers, from the end of its ramp to this time: the baseline
    /// and the candidate.
    pub(super) fn sides(collector: &Collector, to: Duration) -> [GateRun; 2] {
        let mut points = collector.points();
        let peak = points.clone().map(|point| point.planned()).max().unwrap_or(0);
        let ramp = points.position(|point| point.planned() >= peak).map_or(0, |at| at + 1);
        let from = collector.width().saturating_mul(u32::try_from(ramp).unwrap_or(u32::MAX));
        let [candidate, baseline] = SIDES;
        [("baseline", baseline), ("candidate", candidate)]
            .map(|(name, label)| GateRun::part(name, collector, &label, from, to))
    }

    /// How much time is compared.
    pub fn seconds(&self) -> f64 {
        self.steps.values().next().map_or(0.0, |step| step.len() as f64 * self.width.as_secs_f64())
    }

    /// Whether these runs have the same steps, and something to compare.
    ///
    /// # Errors
    /// With the steps that are missing on one side, and the runs of which nothing is left.
    pub fn comparable(runs: &[&GateRun]) -> Result<(), GateError> {
        let mut faults = Vec::new();
        let all: BTreeSet<&String> = runs.iter().flat_map(|run| run.steps.keys()).collect();
        for run in runs {
            if run.steps.is_empty() {
                faults.push(format!("{} has no histograms of steps: it cannot be compared", run.name));
            } else if run.seconds() == 0.0 {
                faults.push(format!(
                    "nothing of {} is left to compare: it ended before its load was at its highest (by the ramp, or by a \
                     dial), or before --after",
                    run.name
                ));
            }
            // What a report had no room for is not missing from the run.
            if run.left_out == 0 && !run.steps.is_empty() {
                let missing: Vec<&str> =
                    all.iter().filter(|step| !run.steps.contains_key(**step)).map(|step| step.as_str()).collect();
                if !missing.is_empty() {
                    faults.push(format!("{} has no step {}, which another run has", run.name, missing.join(", ")));
                }
            }
        }
        if faults.is_empty() { Ok(()) } else { Err(GateError { faults }) }
    }

    /// A step of all these runs as one table, one after the other.
    pub(super) fn together(step: &str, baselines: &[GateRun], candidates: &[GateRun]) -> Table {
        let runs = || baselines.iter().chain(candidates);
        let all: Vec<SeriesStep> = runs().filter_map(|run| run.steps.get(step)).flatten().cloned().collect();
        let width = runs().next().map_or(1.0, |run| run.width.as_secs_f64());
        Table::new(&all, width)
    }

    /// A step as a table.
    pub(super) fn table(&self, step: &str) -> Option<Table> {
        self.steps.get(step).map(|intervals| Table::new(intervals, self.width.as_secs_f64()))
    }
}
