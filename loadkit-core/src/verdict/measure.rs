//! What a threshold's metric is in the totals of a run, or why it is nothing.

use crate::metrics::{Histogram, StepTotals, Totals, TrendUnit};
use crate::plan::suggest;
use crate::report::format;
use crate::threshold::{Clock, Metric, Stat, Unit};

/// At most so many names are listed where a name is not known.
const MAX_LISTED: usize = 12;

/// The metric's value in its own unit. Rates are over so many seconds.
pub(super) fn measure(metric: &Metric, totals: &Totals, seconds: f64) -> Option<f64> {
    match (metric.stat(), metric.name()) {
        (Stat::Errors, None) => share(totals.failed(), totals.finished),
        (Stat::Errors, Some(name)) => {
            let step = totals.steps.get(name)?;
            share(step.failed(), step.succeeded())
        }
        (Stat::Rate, name) => happened(name, totals).filter(|_| seconds > 0.0).map(|n| n as f64 / seconds),
        (Stat::Count, name) => happened(name, totals).map(|n| n as f64),
        (Stat::Last, Some(name)) => totals.gauge(name).map(|gauge| gauge.last),
        (stat, Some(name)) => {
            let Some(values) = distribution(metric, name, totals).filter(|values| !values.is_empty()) else {
                let gauge = totals.gauge(name).filter(|_| metric.unit() != Unit::Micros)?;
                return match stat {
                    Stat::Min => Some(gauge.min),
                    Stat::Max => Some(gauge.max),
                    _ => None,
                };
            };
            match stat {
                Stat::Percentile(percentile) => Some(values.quantile(percentile.quantile()) as f64),
                Stat::Mean => Some(values.mean()),
                Stat::Min => Some(values.min() as f64),
                Stat::Max => Some(values.max() as f64),
                Stat::Errors | Stat::Rate | Stat::Count | Stat::Last => None,
            }
        }
        (_, None) => None,
    }
}

/// How many samples the metric is of.
pub(super) fn samples(metric: &Metric, totals: &Totals) -> u64 {
    metric.name().and_then(|name| distribution(metric, name, totals)).map_or(0, Histogram::count)
}

/// How many samples it must be of: so many that at least one lies beyond a percentile. With fewer, it would be but the
/// largest value.
pub(super) fn samples_needed(metric: &Metric) -> u64 {
    match metric.stat() {
        // In thousandths of a percent, so that 99.9 of 100 needs 1,000 and not, by rounding, 1,001.
        Stat::Percentile(percentile) => {
            let beyond = 100_000_u64.saturating_sub((percentile.percent() * 1_000.0).round() as u64);
            100_000_u64.checked_div(beyond).unwrap_or(1)
        }
        _ => 0,
    }
}

/// Steps that succeeded under a name, or what was counted or observed under it.
fn happened(name: Option<&str>, totals: &Totals) -> Option<u64> {
    let name = name?;
    let step = totals.steps.get(name).map(StepTotals::succeeded);
    let count = || totals.counts.get(name).copied();
    let trend = || totals.trends.get(name).map(|trend| trend.values.count());
    step.or_else(count).or_else(trend)
}

fn distribution<'a>(metric: &Metric, name: &str, totals: &'a Totals) -> Option<&'a Histogram> {
    let step = totals.steps.get(name).map(|step| match metric.clock() {
        Clock::Response => &step.response,
        Clock::Service => &step.service,
    });
    let trend = |unit| totals.trends.get(name).filter(|trend| trend.unit == unit).map(|trend| &trend.values);
    match metric.unit() {
        Unit::Micros => step.or_else(|| trend(TrendUnit::Micros)),
        // Relative to itself, it does not matter what it is.
        Unit::PerHour => step.or_else(|| totals.trends.get(name).map(|trend| &trend.values)),
        _ => trend(TrendUnit::Number),
    }
}

fn share(part: u64, rest: u64) -> Option<f64> {
    let all = part.saturating_add(rest);
    (all > 0).then(|| part as f64 / all as f64)
}

/// Why there is nothing under the metric, and what to do.
pub(super) fn why_no_data(metric: &Metric, totals: &Totals) -> String {
    let Some(name) = metric.name() else { return "no player ended".to_owned() };
    if metric.stat() == Stat::Last && !totals.gauges.contains_key(name) {
        let known: Vec<&str> = totals.gauges.keys().map(String::as_str).collect();
        let meant =
            suggest(name, known.iter().copied()).map_or(String::new(), |meant| format!("; did you mean {meant}?"));
        return format!("no gauge {name} was ever set{meant} ({})", listed(&known));
    }
    if let Some(step) = totals.steps.get(name) {
        return match metric.unit() {
            Unit::Plain => format!("{name} is a step: compare it with a time such as 250ms"),
            _ => format!("no {name} succeeded ({} failed)", format::count(step.failed())),
        };
    }
    if let Some(trend) = totals.trends.get(name) {
        return match (metric.stat(), trend.unit) {
            (Stat::Errors, _) => format!("{name} is a trend, which has no errors"),
            (_, TrendUnit::Number) => format!("{name} is a plain number: compare it with one"),
            (_, TrendUnit::Micros) => format!("{name} is a time: compare it with one such as 250ms"),
        };
    }
    if totals.counts.contains_key(name) {
        return format!("{name} is a count: write count({name}) or rate({name})");
    }
    if totals.gauges.contains_key(name) {
        return format!("{name} is a gauge: write last({name}), min({name}) or max({name}), and a plain number");
    }
    let known = names(totals, metric.stat());
    let meant = suggest(name, known.iter().copied()).map_or(String::new(), |meant| format!("; did you mean {meant}?"));
    format!("{name} never ran{meant} ({})", listed(&known))
}

/// The names that would have had data for such a metric.
fn names(totals: &Totals, stat: Stat) -> Vec<&str> {
    let own = |name: &&str| !name.starts_with("loadkit.") && !name.starts_with("net.");
    let mut names: Vec<&str> = totals.steps.keys().map(String::as_str).collect();
    if !matches!(stat, Stat::Errors) {
        names.extend(totals.trends.keys().map(String::as_str).filter(own));
    }
    if matches!(stat, Stat::Rate | Stat::Count) {
        names.extend(totals.counts.keys().map(String::as_str).filter(own));
    }
    names
}

fn listed(names: &[&str]) -> String {
    let shown = names.iter().take(MAX_LISTED).map(|name| format::name(name, 40)).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(MAX_LISTED) {
        0 if names.is_empty() => "nothing was recorded".to_owned(),
        0 => format!("there are: {shown}"),
        more => format!("there are: {shown} and {more} more"),
    }
}
