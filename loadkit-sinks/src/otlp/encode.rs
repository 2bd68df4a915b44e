//! `Interval -> Request`: sums of the interval (delta temporality), gauges, and exponential histograms.

use std::collections::BTreeMap;

use loadkit_core::{HistogramDelta, TrendUnit};

use super::wire::{
    AnyValue, Buckets, Data, Distribution, Gauge, KeyValue, Metric, Number, Request, Resource, ResourceMetrics, Scope,
    ScopeMetrics, Sum, Temporality, Value,
};
use crate::claims::Claims;
use crate::exponential::Exponential;
use crate::interval::Interval;
use crate::name::Name;
use crate::sink::RunLabels;

/// As many buckets as the SDKs of OpenTelemetry have by default.
const MAX_BUCKETS: usize = 160;

/// The interval as a request, and how many of its figures had no name left.
pub(super) fn request(interval: &Interval, run: &RunLabels, claims: &mut Claims) -> (Request, u64) {
    let mut metrics = Metrics {
        start_ns: interval.began_us().saturating_mul(1_000),
        time_ns: interval.ended_us().saturating_mul(1_000),
        claims,
        by_name: BTreeMap::new(),
        left_out: 0,
    };
    metrics.players(interval);
    metrics.steps(interval);
    for (text, trend) in &interval.trends {
        let name = Name::parse(text);
        metrics.distribution(name.dotted(), name.base, labels(&name), trend.unit, &trend.values);
    }
    for (text, n) in &interval.counts {
        let name = Name::parse(text);
        metrics.count(name.dotted(), name.base, labels(&name), *n);
    }
    for (text, gauge) in &interval.gauges {
        let name = Name::parse(text);
        metrics.gauge(name.dotted(), name.base, labels(&name), gauge.reading.last);
    }
    let (scope, left_out) =
        (Scope { name: "loadkit".into(), version: env!("CARGO_PKG_VERSION").into() }, metrics.left_out);
    let scope_metrics = ScopeMetrics { scope: Some(scope), metrics: metrics.by_name.into_values().collect() };
    let resource = ResourceMetrics { resource: Some(resource(run)), scope_metrics: vec![scope_metrics] };
    (Request { resource_metrics: vec![resource] }, left_out)
}

fn resource(run: &RunLabels) -> Resource {
    let attributes = [
        ("service.name", "loadkit"),
        ("service.version", run.version.as_str()),
        ("service.instance.id", run.run.as_str()),
        ("loadkit.run", run.run.as_str()),
        ("loadkit.scenario", run.scenario.as_str()),
        ("loadkit.target", run.target.as_str()),
        ("loadkit.seed", run.seed.as_str()),
    ];
    Resource { attributes: attributes.into_iter().map(|(key, value)| attribute(key, value)).collect() }
}

/// The metrics of an interval, by name and kind.
struct Metrics<'a> {
    start_ns: u64,
    time_ns: u64,
    claims: &'a mut Claims,
    by_name: BTreeMap<(String, &'static str), Metric>,
    left_out: u64,
}

impl Metrics<'_> {
    fn players(&mut self, interval: &Interval) {
        let players = &interval.players;
        for (name, n) in [("active", players.active), ("connected", players.connected), ("planned", players.planned)] {
            self.gauge(format!("loadkit.players.{name}"), "", Vec::new(), n as f64);
        }
        for (name, n) in [("started", players.started), ("finished", players.finished), ("cut_off", players.cut_off)] {
            self.count(format!("loadkit.players.{name}"), "", Vec::new(), n);
        }
        self.count("loadkit.players.failed".into(), "", Vec::new(), players.failed.values().sum());
        for (kind, n) in &players.failed {
            self.count("loadkit.players.failed.by_kind".into(), "", vec![attribute("kind", kind)], *n);
        }
    }

    fn steps(&mut self, interval: &Interval) {
        for (text, step) in &interval.steps {
            let name = Name::parse(text);
            let mut of_step = vec![attribute("step", name.base)];
            of_step.extend(labels(&name));
            for (figure, values) in [("response", &step.response), ("service", &step.service)] {
                self.distribution(name.of_step(figure), "", of_step.clone(), TrendUnit::Micros, values);
            }
            self.count(name.of_step("failed"), "", of_step.clone(), step.failed());
            for (kind, n) in &step.failures {
                let mut of_kind = of_step.clone();
                of_kind.push(attribute("kind", kind));
                self.count(name.of_failures(), "", of_kind, *n);
            }
        }
    }

    fn count(&mut self, name: String, owner: &str, attributes: Vec<KeyValue>, n: u64) {
        let value = Some(Value::Int(i64::try_from(n).unwrap_or(i64::MAX)));
        let point = Number { attributes, start_ns: self.start_ns, time_ns: self.time_ns, value };
        let empty =
            || Data::Sum(Sum { points: Vec::new(), temporality: Temporality::Delta.into(), is_monotonic: true });
        if let Some(Data::Sum(sum)) = self.data(name, "sum", owner, "1", empty) {
            sum.points.push(point);
        }
    }

    fn gauge(&mut self, name: String, owner: &str, attributes: Vec<KeyValue>, value: f64) {
        let point = Number { attributes, start_ns: 0, time_ns: self.time_ns, value: Some(Value::Double(value)) };
        if let Some(Data::Gauge(gauge)) =
            self.data(name, "gauge", owner, "1", || Data::Gauge(Gauge { points: Vec::new() }))
        {
            gauge.points.push(point);
        }
    }

    fn distribution(
        &mut self,
        name: String,
        owner: &str,
        attributes: Vec<KeyValue>,
        unit: TrendUnit,
        values: &HistogramDelta,
    ) {
        let count = values.count();
        if count == 0 {
            return;
        }
        let (unit, scale) = if unit == TrendUnit::Micros { ("s", 1e-6) } else { ("1", 1.0) };
        let buckets = Exponential::new(values, scale, MAX_BUCKETS);
        let point = Distribution {
            attributes,
            start_ns: self.start_ns,
            time_ns: self.time_ns,
            count,
            sum: Some(values.sum as f64 * scale),
            scale: buckets.scale,
            zero_count: buckets.zeros,
            positive: Some(Buckets { offset: buckets.offset, counts: buckets.counts }),
            min: Some(values.min as f64 * scale),
            max: Some(values.max as f64 * scale),
        };
        let temporality = Temporality::Delta.into();
        let empty = || Data::Exponential(super::wire::Exponential { points: Vec::new(), temporality });
        if let Some(Data::Exponential(histogram)) = self.data(name, "histogram", owner, unit, empty) {
            histogram.points.push(point);
        }
    }

    /// The metric's points, if the name is its own. Of different kinds two may have one name: the data model tells them
    /// apart.
    fn data(
        &mut self,
        name: String,
        kind: &'static str,
        owner: &str,
        unit: &str,
        empty: impl FnOnce() -> Data,
    ) -> Option<&mut Data> {
        if !self.claims.may(&format!("{kind} {name}"), owner) {
            self.left_out += 1;
            return None;
        }
        let metric = self.by_name.entry((name.clone(), kind)).or_insert_with(|| Metric {
            name,
            unit: unit.to_owned(),
            data: Some(empty()),
        });
        metric.data.as_mut()
    }
}

fn labels(name: &Name<'_>) -> Vec<KeyValue> {
    name.legal_labels().into_iter().map(|(key, value)| attribute(&key, value)).collect()
}

fn attribute(key: &str, value: &str) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { string_value: Some(value.to_owned()) }) }
}
