//! `(facts, collector, judgement) -> Report`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{
    CountFigures, Distribution, Figures, GaugeFigures, Intervals, Players, Report, RunFacts, SCHEMA, Series,
    SeriesPoint, SeriesStepFigures, SeriesTrendFigures, StepFigures, Times,
};
use crate::flight::FlightEntry;
use crate::gate::{Gate, GateError, of_step};
use crate::metrics::names;
use crate::metrics::{Collector, Histogram, Point, SeriesStep, StepTotals, Totals};
use crate::verdict::{Judgement, Verdict};

/// At most so many steps are in the series, which has 300 points: the report stays below some ten megabytes.
const MAX_SERIES_STEPS: usize = 64;

impl Report {
    /// The report of a run, from all that was collected and what it was judged to be.
    pub fn new(run: RunFacts, collector: &Collector, judgement: Judgement) -> Report {
        let totals = collector.totals();
        let lasted_s = totals.to_us as f64 / 1e6;
        let rated_s = if run.plan.duration_s > 0.0 { lasted_s.min(run.plan.duration_s) } else { lasted_s };
        let by_count = most_frequent(totals);
        let shown = || by_count.iter().take(MAX_SERIES_STEPS).copied();
        let (intervals, histograms_left_out) = Intervals::new(collector, shown());
        let left_out = by_count.len().saturating_sub(MAX_SERIES_STEPS) as u64;
        let series = Series {
            steps_left_out: left_out,
            histograms_left_out: histograms_left_out.saturating_add(left_out),
            ..series(collector, &shown().collect())
        };
        Report {
            schema: SCHEMA.to_owned(),
            lasted_s,
            judgement,
            players: players(totals, &series.points),
            steps: totals.steps.iter().map(|(name, step)| (name.clone(), step_figures(step, rated_s))).collect(),
            game: figures(totals, rated_s, |name| !name.starts_with("net.") && !name.starts_with("loadkit.")),
            connections: figures(totals, rated_s, |name| name.starts_with("net.")),
            generator: figures(totals, rated_s, |name| {
                name.starts_with("loadkit.") && names::network_of(names::PLAYERS, name).is_none()
            }),
            series,
            failures: totals.samples.iter().cloned().collect(),
            beside: None,
            intervals,
            gate: None,
            flights: totals.flights.iter().map(FlightEntry::new).collect(),
            run,
        }
    }
}

impl Report {
    /// Takes what the gate says of the two servers of the run, or of this run and earlier ones. What it makes of the run is a
    /// reason for its verdict; what it makes of a step stands beside that, where an earlier run does.
    pub fn take_gate(&mut self, gate: Result<Gate, GateError>) {
        match gate {
            Ok(gate) => {
                for (name, step) in self.beside.iter_mut().flat_map(|beside| &mut beside.steps) {
                    step.decision = of_step(&gate, name);
                }
                match gate.verdict {
                    // That the gate is not sure acquits nobody of a threshold that was missed.
                    Verdict::Invalid if self.judgement.verdict == Verdict::Fail => {
                        self.judgement.warnings.extend(gate.reasons.iter().cloned());
                    }
                    verdict => gate.reasons.iter().for_each(|text| self.judgement.add(verdict, text.clone())),
                }
                self.gate = Some(gate);
            }
            Err(error) => self.judgement.add(Verdict::Invalid, error.to_string()),
        }
    }
}

fn players(totals: &Totals, points: &[SeriesPoint]) -> Players {
    let failed = totals.failed();
    let peak = |of: fn(&SeriesPoint) -> u64| points.iter().map(of).max().unwrap_or(0);
    Players {
        started: totals.started,
        by_network: totals
            .counts
            .iter()
            .filter_map(|(name, &count)| Some((names::network_of(names::PLAYERS, name)?.to_owned(), count)))
            .collect(),
        finished: totals.finished,
        failed,
        failed_by_kind: totals.failed.iter().cloned().collect(),
        error_share: share(failed, totals.finished.saturating_add(failed)),
        cut_off: totals.cut_off,
        peak_planned: peak(|point| point.planned),
        peak_active: peak(|point| point.active),
        peak_connected: peak(|point| point.connected),
    }
}

fn step_figures(step: &StepTotals, rated_s: f64) -> StepFigures {
    let (succeeded, failed) = (step.succeeded(), step.failed());
    let count = succeeded.saturating_add(failed);
    StepFigures {
        count,
        succeeded,
        failed,
        failed_by_kind: step.failures.iter().cloned().collect(),
        error_share: share(failed, count),
        rate_per_s: per_second(succeeded, rated_s),
        response: times(&step.response),
        service: times(&step.service),
    }
}

fn times(values: &Histogram) -> Option<Times> {
    (!values.is_empty()).then(|| Times {
        min_us: values.min(),
        mean_us: values.mean(),
        p50_us: values.quantile(0.5),
        p90_us: values.quantile(0.9),
        p95_us: values.quantile(0.95),
        p99_us: values.quantile(0.99),
        p99_9_us: values.quantile(0.999),
        max_us: values.max(),
    })
}

fn figures(totals: &Totals, rated_s: f64, belongs: impl Fn(&str) -> bool) -> Figures {
    let trends = totals.trends.iter().filter(|(name, _)| belongs(name)).map(|(name, trend)| {
        let values = &trend.values;
        let distribution = Distribution {
            unit: trend.unit,
            count: values.count(),
            min: values.min(),
            mean: values.mean(),
            p50: values.quantile(0.5),
            p90: values.quantile(0.9),
            p95: values.quantile(0.95),
            p99: values.quantile(0.99),
            p99_9: values.quantile(0.999),
            max: values.max(),
        };
        (name.clone(), distribution)
    });
    let counts = totals.counts.iter().filter(|(name, _)| belongs(name));
    let counts = counts.map(|(name, &total)| {
        let figures = CountFigures { total, rate_per_s: per_second(total, rated_s) };
        (name.clone(), figures)
    });
    let finite = |value: f64| value.is_finite().then_some(value);
    let gauges = totals.gauges.iter().filter(|(name, _)| belongs(name)).map(|(name, gauge)| {
        let reading = gauge.reading;
        let figures = GaugeFigures { last: finite(reading.last), min: finite(reading.min), max: finite(reading.max) };
        (name.clone(), figures)
    });
    Figures { trends: trends.collect(), counts: counts.collect(), gauges: gauges.collect() }
}

/// The steps, those first that ran most.
fn most_frequent(totals: &Totals) -> Vec<&str> {
    let count = |step: &StepTotals| step.succeeded().saturating_add(step.failed());
    let mut steps: Vec<(u64, &str)> = totals.steps.iter().map(|(name, step)| (count(step), name.as_str())).collect();
    steps.sort_by(|a, b| b.cmp(a));
    steps.into_iter().map(|(_, name)| name).collect()
}

fn series(collector: &Collector, shown: &BTreeSet<&str>) -> Series {
    let width_s = collector.width().as_secs_f64();
    let end = Duration::from_micros(collector.totals().to_us);
    let points = (0_u32..).zip(collector.points()).map(|(i, point)| {
        let from = collector.width().saturating_mul(i);
        let to = (from + collector.width()).min(end).max(from);
        series_point(point, from.as_secs_f64(), to.as_secs_f64(), shown)
    });
    Series { width_s, points: points.collect(), ..Series::default() }
}

fn series_point(point: Point<'_>, from_s: f64, to_s: f64, shown: &BTreeSet<&str>) -> SeriesPoint {
    let steps = point.steps().filter(|(name, _)| shown.contains(name));
    let steps: BTreeMap<_, _> =
        steps.map(|(name, step)| (name.to_owned(), series_step(&step, to_s - from_s))).collect();
    let trends = point.trends().map(|(name, values)| {
        let [p50, p95, p99] = [0.5, 0.95, 0.99].map(|q| values.quantile(q));
        (name.to_owned(), SeriesTrendFigures { count: values.count(), p50, p95, p99 })
    });
    let gauges = point.gauges().iter().map(|(name, gauge)| (name.clone(), gauge.reading.max));
    let gauges = gauges.filter(|(_, value)| value.is_finite());
    SeriesPoint {
        from_s,
        to_s,
        planned: point.planned(),
        active: point.active(),
        connected: point.connected(),
        started: point.started(),
        failed: point.failed(),
        steps,
        trends: trends.collect(),
        counts: point.counts().iter().filter(|(_, n)| **n > 0).map(|(name, n)| (name.clone(), *n)).collect(),
        gauges: gauges.collect(),
    }
}

fn series_step(step: &SeriesStep, covers_s: f64) -> SeriesStepFigures {
    let succeeded = step.response.count();
    let [p50_us, p95_us, p99_us] = [0.5, 0.95, 0.99].map(|q| (succeeded > 0).then(|| step.response.quantile(q)));
    let rate_per_s = per_second(succeeded, covers_s);
    SeriesStepFigures { succeeded, failed: step.failed, rate_per_s, p50_us, p95_us, p99_us }
}

fn share(part: u64, all: u64) -> f64 {
    if all == 0 { 0.0 } else { part as f64 / all as f64 }
}

fn per_second(n: u64, seconds: f64) -> f64 {
    if seconds > 0.0 { n as f64 / seconds } else { 0.0 }
}
