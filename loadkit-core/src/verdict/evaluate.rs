//! `(threshold, figures) -> what was measured, or why nothing could be`.

use std::time::Duration;

use super::measure::{measure, samples, samples_needed, why_no_data};
use super::watch::{Watch, Windows};
use crate::metrics::Totals;
use crate::plan::format_duration;
use crate::report::format;
use crate::threshold::{Metric, Stat, Threshold};

/// What a threshold came to.
pub(super) struct Evaluated {
    /// The value in the metric's unit, or why there is none.
    pub(super) value: Result<f64, String>,
    /// Of what it is, where that is not plain.
    pub(super) evidence: Option<String>,
}

/// Looks at a threshold. `rated_s` is how long the load lasted, over which rates are.
pub(super) fn evaluate(threshold: &Threshold, watch: Option<&Watch>, totals: &Totals, rated_s: f64) -> Evaluated {
    let metric = threshold.metric();
    let plain = |value| Evaluated { value, evidence: None };
    if !metric.is_drift() && measure(metric, totals, rated_s).is_none() {
        return plain(Err(why_no_data(metric, totals)));
    }
    let Some(watch) = watch else { return plain(enough(metric, totals, rated_s)) };
    let ends_us = (rated_s * 1e6) as u64;
    let mut evaluated = if metric.is_drift() {
        plain(watch.drift(ends_us).ok_or_else(|| match measure(metric, totals, rated_s) {
            None => why_no_data(metric, totals),
            Some(_) => {
                "there is too little of it: a drift needs ten intervals with a figure, and one that is not 0".into()
            }
        }))
    } else if let Some(over) = threshold.over() {
        of_windows(threshold, over, &watch.windows(ends_us))
    } else {
        let (figures, seconds) = watch.whole(ends_us);
        match measure(metric, &figures, seconds) {
            None => plain(Err("nothing of it came so late in the run".to_owned())),
            Some(_) => plain(enough(metric, &figures, seconds)),
        }
    };
    if watch.too_late > 0 {
        let late = format::counted(watch.too_late, "snapshot", "snapshots");
        let known = evaluated.evidence.map_or(String::new(), |evidence| format!("{evidence}; "));
        evaluated.evidence = Some(format!("{known}{late} came too late to be in it"));
    }
    evaluated
}

/// The metric's value, if there are samples enough for it.
fn enough(metric: &Metric, figures: &Totals, seconds: f64) -> Result<f64, String> {
    let (has, needs) = (samples(metric, figures), samples_needed(metric));
    match measure(metric, figures, seconds) {
        Some(value) if has >= needs => Ok(value),
        _ => Err(format!(
            "{} needs {} samples, and there are {}: let it run longer, or ask for a lower percentile{}",
            metric.stat(),
            format::count(needs),
            format::count(has),
            affordable(has)
        )),
    }
}

/// The percentile that so many samples are enough for.
fn affordable(samples: u64) -> &'static str {
    match samples {
        1_000.. => ", such as p99.9",
        100.. => ", such as p99",
        20.. => ", such as p95",
        10.. => ", such as p90",
        2.. => ", such as p50",
        _ => "",
    }
}

fn of_windows(threshold: &Threshold, over: Duration, windows: &Windows) -> Evaluated {
    let (metric, over) = (threshold.metric(), format_duration(over));
    let Some(worst) = windows.worst else {
        let needs = samples_needed(metric);
        let why = if windows.thin == 0 {
            format!("the run had no whole window of {over}")
        } else if matches!(metric.stat(), Stat::Percentile(_)) {
            format!(
                "no window of {over} had the {} samples that {} needs; the most were {}: take longer windows or a lower \
                 percentile{}",
                format::count(needs),
                metric.stat(),
                format::count(windows.thin_samples),
                affordable(windows.thin_samples)
            )
        } else {
            format!("no window of {over} had a figure")
        };
        return Evaluated { value: Err(why), evidence: None };
    };
    let all = format::counted(windows.judged, "window", "windows");
    let at = format::clock(Duration::from_micros(worst.from_us));
    let mut evidence = format!("the worst of {all} of {over}, from {at} on");
    if windows.missed > 0 {
        evidence.push_str(&format!("; {} missed it", format::count(windows.missed)));
    }
    if windows.thin > 0 {
        evidence.push_str(&format!("; {} had too few samples to judge", format::count(windows.thin)));
    }
    Evaluated { value: Ok(worst.value), evidence: Some(evidence) }
}
