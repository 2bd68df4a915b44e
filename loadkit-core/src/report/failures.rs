//! Failures by step and kind, the most frequent first, each with a message.

use std::collections::BTreeMap;

use super::Report;
use crate::metrics::FailureSample;
use crate::split::is_whole;

/// Failures of one kind in one step.
pub(super) struct FailureRow<'a> {
    /// The step; empty for those outside of any.
    pub(super) step: &'a str,
    pub(super) kind: &'a str,
    pub(super) count: u64,
    /// The earliest that was kept, if one was.
    pub(super) sample: Option<&'a FailureSample>,
}

/// All failures of a report, the most frequent first.
pub(super) fn failure_rows(report: &Report) -> Vec<FailureRow<'_>> {
    let sample = |step: &str, kind: &str| report.failures.iter().find(|s| s.step == step && s.kind == kind);
    let mut in_steps: BTreeMap<&str, u64> = BTreeMap::new();
    let mut rows = Vec::new();
    for (name, step) in report.steps.iter().filter(|(name, _)| is_whole(name)) {
        for (kind, &count) in &step.failed_by_kind {
            *in_steps.entry(kind).or_default() += count;
            rows.push(FailureRow { step: name, kind, count, sample: sample(name, kind) });
        }
    }
    // A player fails by what its step failed by, unless the bot goes on: what is over happened outside of steps.
    for (kind, &count) in &report.players.failed_by_kind {
        let count = count.saturating_sub(in_steps.get(kind.as_str()).copied().unwrap_or(0));
        if count > 0 {
            rows.push(FailureRow { step: "", kind, count, sample: sample("", kind) });
        }
    }
    rows.sort_by(|a, b| b.count.cmp(&a.count).then(a.step.cmp(b.step)).then(a.kind.cmp(b.kind)));
    rows
}
