//! What a scrape shows: the sums of all intervals so far, as counters, gauges and histograms with fixed bounds.

use std::collections::BTreeMap;
use std::fmt::Write;

use loadkit_core::{HistogramDelta, TrendUnit};

use crate::claims::Claims;
use crate::interval::Interval;
use crate::name::Name;
use crate::sink::RunLabels;

/// At most so many series in all; a histogram is one. A scrape of so many is some 6 MB.
const MAX_SERIES: usize = 2_048;

/// The upper bounds of a time's buckets, µs.
const TIMES: &[u64] = &[
    100, 250, 500, 1_000, 2_000, 3_000, 5_000, 7_500, 10_000, 15_000, 20_000, 30_000, 50_000, 75_000, 100_000, 150_000,
    200_000, 300_000, 500_000, 750_000, 1_000_000, 1_500_000, 2_000_000, 3_000_000, 5_000_000, 10_000_000, 30_000_000,
    60_000_000,
];
/// The upper bounds of a number's buckets.
const NUMBERS: &[u64] = &[
    0,
    1,
    2,
    5,
    10,
    20,
    50,
    100,
    200,
    500,
    1_000,
    2_000,
    5_000,
    10_000,
    20_000,
    50_000,
    100_000,
    200_000,
    500_000,
    1_000_000,
    10_000_000,
    100_000_000,
    1_000_000_000,
];

/// All series, by family and labels.
#[derive(Debug)]
pub(crate) struct Registry {
    info: String,
    families: BTreeMap<String, Family>,
    /// Who has which name, those with which the samples of a histogram end among them.
    claims: Claims,
    series: usize,
    left_out: u64,
    intervals: u64,
}

#[derive(Debug)]
struct Family {
    kind: &'static str,
    help: String,
    /// By the labels as they are shown: `step="login",persona="casual"`.
    series: BTreeMap<String, Series>,
}

#[derive(Debug)]
enum Series {
    Counter(u64),
    Gauge(f64),
    Histogram(Box<Buckets>),
}

#[derive(Debug)]
struct Buckets {
    bounds: &'static [u64],
    /// What one is worth in the unit that is shown.
    unit: f64,
    /// One more than there are bounds, for what is above them all.
    counts: Vec<u64>,
    sum: u128,
}

impl Buckets {
    fn new(unit: TrendUnit) -> Buckets {
        let (bounds, unit) = if unit == TrendUnit::Micros { (TIMES, 1e-6) } else { (NUMBERS, 1.0) };
        Buckets { bounds, unit, counts: vec![0; bounds.len() + 1], sum: 0 }
    }

    /// Values are known to 0.1 %, and so is to which side of a bound they belong.
    fn add(&mut self, values: &HistogramDelta) {
        for &(value, count) in &values.buckets {
            let value = value.min(values.max);
            let nth = self.bounds.partition_point(|&bound| bound < value);
            if let Some(bucket) = self.counts.get_mut(nth) {
                *bucket = bucket.saturating_add(count);
            }
        }
        self.sum = self.sum.saturating_add(values.sum);
    }
}

impl Registry {
    pub(crate) fn new(run: &RunLabels) -> Registry {
        let RunLabels { run, scenario, target, seed, version } = run;
        let labels = [("run", run), ("scenario", scenario), ("target", target), ("seed", seed), ("version", version)];
        let info =
            labels.iter().map(|(key, value)| format!("{key}=\"{}\"", escaped(value))).collect::<Vec<_>>().join(",");
        Registry {
            info,
            families: BTreeMap::new(),
            claims: Claims::new(2 * MAX_SERIES),
            series: 0,
            left_out: 0,
            intervals: 0,
        }
    }

    /// How many intervals are in it.
    pub(crate) fn intervals(&self) -> u64 {
        self.intervals
    }

    /// Adds an interval; how many of its figures had no place.
    pub(crate) fn add(&mut self, interval: &Interval) -> u64 {
        let before = self.left_out;
        self.intervals += 1;
        self.players(interval);
        for (text, step) in &interval.steps {
            let name = Name::parse(text);
            let mut labels = vec![("step", name.base)];
            let own = [("response", &step.response), ("service", &step.service)];
            let part = name.legal_labels();
            labels.extend(part.iter().map(|(key, value)| (key.as_str(), *value)));
            for (figure, values) in own {
                let help = format!("How long steps took that succeeded, from the {} start.", started(figure));
                self.histogram(&name.of_step(figure), figure, &help, &labels, TrendUnit::Micros, values);
            }
            // From the first interval on, at zero: a rate has to have seen where it begins.
            self.counter(&name.of_step("failed"), "failed", "Steps that failed.", &labels, step.failed());
            for (kind, n) in &step.failures {
                let mut labels = labels.clone();
                labels.push(("kind", kind));
                self.counter(&name.of_failures(), "failed", "Steps that failed, by kind.", &labels, *n);
            }
        }
        for (text, trend) in &interval.trends {
            let name = Name::parse(text);
            let part = name.legal_labels();
            let labels: Vec<_> = part.iter().map(|(key, value)| (key.as_str(), *value)).collect();
            let help = format!("The trend {}.", name.base);
            self.histogram(&name.dotted(), name.base, &help, &labels, trend.unit, &trend.values);
        }
        for (text, n) in &interval.counts {
            let name = Name::parse(text);
            let part = name.legal_labels();
            let labels: Vec<_> = part.iter().map(|(key, value)| (key.as_str(), *value)).collect();
            self.counter(&name.dotted(), name.base, &format!("The count {}.", name.base), &labels, *n);
        }
        for (text, gauge) in &interval.gauges {
            let name = Name::parse(text);
            let part = name.legal_labels();
            let labels: Vec<_> = part.iter().map(|(key, value)| (key.as_str(), *value)).collect();
            self.gauge(&name.dotted(), name.base, &format!("The gauge {}.", name.base), &labels, gauge.reading.last);
        }
        self.left_out - before
    }

    fn players(&mut self, interval: &Interval) {
        let players = &interval.players;
        let covered = interval.to_us as f64 / 1e6;
        let gauges = [
            ("run.covered_seconds", "How much of the run the figures cover.", covered),
            ("players.active", "Players at work.", players.active as f64),
            ("players.connected", "Players with an open connection.", players.connected as f64),
            ("players.planned", "Players that the load shape asks for.", players.planned as f64),
        ];
        for (name, help, value) in gauges {
            self.gauge(&format!("loadkit.{name}"), name, help, &[], value);
        }
        let counters = [
            ("players.started", "Players started.", players.started),
            ("players.finished", "Players that ended well.", players.finished),
            ("players.cut_off", "Players cut off by the end of the grace time.", players.cut_off),
            ("players.failed", "Players that failed.", players.failed.values().sum()),
        ];
        for (name, help, n) in counters {
            self.counter(&format!("loadkit.{name}"), name, help, &[], n);
        }
        for (kind, n) in &players.failed {
            let (name, help) = ("loadkit.players.failed.by_kind", "Players that failed, by kind.");
            self.counter(name, "players.failed", help, &[("kind", kind)], *n);
        }
    }

    fn counter(&mut self, name: &str, owner: &str, help: &str, labels: &[(&str, &str)], n: u64) {
        let name = format!("{}_total", legal(name));
        if let Some(Series::Counter(sum)) = self.series(&name, "counter", owner, help, labels, || Series::Counter(0)) {
            *sum = sum.saturating_add(n);
        }
    }

    fn gauge(&mut self, name: &str, owner: &str, help: &str, labels: &[(&str, &str)], value: f64) {
        let new = || Series::Gauge(0.0);
        if let Some(Series::Gauge(last)) = self.series(&legal(name), "gauge", owner, help, labels, new) {
            *last = value;
        }
    }

    fn histogram(
        &mut self,
        name: &str,
        owner: &str,
        help: &str,
        labels: &[(&str, &str)],
        unit: TrendUnit,
        values: &HistogramDelta,
    ) {
        let name = if unit == TrendUnit::Micros { format!("{}_seconds", legal(name)) } else { legal(name) };
        let new = || Series::Histogram(Box::new(Buckets::new(unit)));
        if let Some(Series::Histogram(buckets)) = self.series(&name, "histogram", owner, help, labels, new) {
            buckets.add(values);
        }
    }

    /// The series of this name and these labels, if there is a place for it.
    fn series(
        &mut self,
        name: &str,
        kind: &'static str,
        owner: &str,
        help: &str,
        labels: &[(&str, &str)],
        new: impl FnOnce() -> Series,
    ) -> Option<&mut Series> {
        let owner = format!("{kind} {owner}");
        // A histogram's samples have names of their own, which nobody else may have.
        let ends: &[&str] = if kind == "histogram" { &["", "_bucket", "_sum", "_count"] } else { &[""] };
        let is_ours = ends.iter().all(|end| self.claims.may(&format!("{name}{end}"), &owner));
        let labels =
            labels.iter().map(|(key, value)| format!("{key}=\"{}\"", escaped(value))).collect::<Vec<_>>().join(",");
        let is_known = self.families.get(name).is_some_and(|family| family.series.contains_key(&labels));
        if !is_ours || !is_known && self.series >= MAX_SERIES {
            self.left_out += 1;
            return None;
        }
        if !is_known {
            self.series += 1;
        }
        let family = self.families.entry(name.to_owned()).or_insert_with(|| {
            let help = help.replace('\\', "\\\\").replace('\n', " ");
            Family { kind, help, series: BTreeMap::new() }
        });
        Some(family.series.entry(labels).or_insert_with(new))
    }

    /// All of it in the text format, version 0.0.4.
    pub(crate) fn text(&self) -> String {
        let mut text = String::with_capacity(256 + 1_024 * self.series);
        let _ = writeln!(text, "# HELP loadkit_run_info What is being run.\n# TYPE loadkit_run_info gauge");
        let _ = writeln!(text, "loadkit_run_info{{{}}} 1", self.info);
        let _ = writeln!(
            text,
            "# HELP loadkit_prometheus_left_out_total Figures left out here: there are too many series, or two have one \
             name.\n# TYPE loadkit_prometheus_left_out_total counter\nloadkit_prometheus_left_out_total {}",
            self.left_out
        );
        for (name, family) in &self.families {
            let _ = writeln!(text, "# HELP {name} {}\n# TYPE {name} {}", family.help, family.kind);
            for (labels, series) in &family.series {
                show(&mut text, name, labels, series);
            }
        }
        text
    }
}

fn show(text: &mut String, name: &str, labels: &str, series: &Series) {
    let braced = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
    // Writing to a string cannot fail.
    let _ = match series {
        Series::Counter(n) => writeln!(text, "{name}{braced} {n}"),
        Series::Gauge(value) => writeln!(text, "{name}{braced} {}", number(*value)),
        Series::Histogram(buckets) => {
            let before = if labels.is_empty() { String::new() } else { format!("{labels},") };
            let mut below: u64 = 0;
            for (nth, count) in buckets.counts.iter().enumerate() {
                below = below.saturating_add(*count);
                let bound = buckets.bounds.get(nth).map_or("+Inf".into(), |bound| seconds(*bound, buckets.unit));
                let _ = writeln!(text, "{name}_bucket{{{before}le=\"{bound}\"}} {below}");
            }
            writeln!(
                text,
                "{name}_sum{braced} {}\n{name}_count{braced} {below}",
                number(buckets.sum as f64 * buckets.unit)
            )
        }
    };
}

/// A bound as people write it: 0.1, not 0.09999999999999999.
fn seconds(bound: u64, unit: f64) -> String {
    if unit == 1.0 { bound.to_string() } else { (bound as f64 / 1e6).to_string() }
}

fn number(value: f64) -> String {
    match value {
        value if value.is_nan() => "NaN".into(),
        f64::INFINITY => "+Inf".into(),
        f64::NEG_INFINITY => "-Inf".into(),
        value => value.to_string(),
    }
}

fn legal(dotted: &str) -> String {
    dotted.replace('.', "_")
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn started(figure: &str) -> &'static str {
    if figure == "response" { "intended" } else { "actual" }
}

#[cfg(test)]
mod tests;
