//! A stored report, and what the gate makes of it: the text of a `report.json`, and behind a zero byte its histograms.

use std::collections::BTreeMap;
use std::time::Duration;

use loadkit_core::gate::{GateOptions, GateRun, compare, differences, gate_summary};
use loadkit_core::{HistogramDelta, Report, StepIntervals, summary};

use crate::input::Input;

/// Intervals of a step, so that an input is quickly done.
const MAX_INTERVALS: usize = 60;

pub(crate) fn target(bytes: &[u8]) {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let (json, rest) = bytes.split_at(end);
    let Ok(json) = std::str::from_utf8(json) else { return };
    let mut report = match Report::parse(json) {
        Ok(report) => report,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    let written = serde_json::to_string(&report).unwrap_or_default();
    assert!(Report::parse(&written).is_ok(), "what was read is written so that it is read again: {written}");

    let mut input = Input::new(rest.get(1..).unwrap_or_default());
    report.intervals.width = Duration::from_millis(1 + u64::from(input.byte()) * 17);
    report.intervals.steps = steps(&report, &mut input);
    report.series.points.truncate(MAX_INTERVALS);
    let mut other = report.clone();
    other.run.id.push('x');
    for step in other.intervals.steps.values_mut() {
        let cut = usize::from(input.byte()).min(step.response.len());
        step.response.rotate_left(cut);
    }
    gate(&report, &other);
    report.compare_with(&other);
    assert!(!summary(&report, Some("here")).is_empty());
}

fn steps(report: &Report, input: &mut Input<'_>) -> BTreeMap<String, StepIntervals> {
    let mut steps = BTreeMap::new();
    for name in report.steps.keys().take(3) {
        let response = (0..input.byte().min(MAX_INTERVALS as u8)).map(|_| interval(input)).collect();
        steps.insert(name.clone(), StepIntervals { response, service: HistogramDelta::default() });
    }
    steps
}

/// A few buckets, with counts of any size.
fn interval(input: &mut Input<'_>) -> HistogramDelta {
    let (mut delta, mut value) = (HistogramDelta::default(), 0_u64);
    for _ in 0..input.byte() % 8 {
        value += 1 + (u64::from(input.byte()) << (input.byte() % 24));
        let count = 1 + (u64::from(input.byte()) << (input.byte() % 56));
        delta.sum += u128::from(value) * u128::from(count);
        delta.min = if delta.buckets.is_empty() { value } else { delta.min };
        delta.max = value;
        delta.buckets.push((value, count));
    }
    delta
}

fn gate(report: &Report, other: &Report) {
    let _ = differences(("old", &report.run), ("new", &other.run));
    let runs = [("old", report), ("new", other)].map(|(name, report)| GateRun::stored(name, report, None));
    let [Ok(old), Ok(new)] = runs else { return };
    if GateRun::comparable(&[&old, &new]).is_ok() {
        let gate = compare(&[old], &[new], &GateOptions::default());
        assert!(!gate_summary(&gate).is_empty());
    }
}
