//! CloudWatch's embedded metric format: lines of JSON that CloudWatch Logs makes metrics of.
//!
//! Format: the CloudWatch User Guide, "Specification: Embedded metric format". A document names at most 100 metrics, and a
//! metric has at most 100 values, each with its count.

use std::path::Path;

use async_trait::async_trait;
use loadkit_core::{HistogramDelta, TrendUnit};
use serde_json::{Map, Value, json};

use crate::exponential::Exponential;
use crate::file::Lines;
use crate::interval::Interval;
use crate::name::Name;
use crate::sink::{RunLabels, Sink, SinkError};

/// The namespace under which CloudWatch shows the metrics.
const NAMESPACE: &str = "loadkit";
/// Metrics in one document.
const MAX_METRICS: usize = 100;
/// Values of one metric.
const MAX_VALUES: usize = 100;

/// Writes each interval in CloudWatch's embedded metric format, to a file that an agent sends on, or to standard output.
///
/// Dimensions are the scenario, and the step or the labels of a part. Distributions keep their exact count, sum,
/// minimum and maximum; their values are exact to 0.1 % where they fit into 100 buckets, and else joined into 100.
#[derive(Debug)]
pub struct Emf {
    lines: Lines,
    run: RunLabels,
}

impl Emf {
    /// Begins the file anew; `-` is standard output.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(path: &Path, run: RunLabels) -> Result<Emf, SinkError> {
        Ok(Emf { lines: Lines::open(path)?, run })
    }
}

#[async_trait]
impl Sink for Emf {
    fn name(&self) -> &'static str {
        "emf"
    }

    fn place(&self) -> String {
        self.lines.place()
    }

    async fn take(&mut self, interval: &Interval) -> Result<u64, SinkError> {
        let mut lines = Vec::new();
        for document in documents(interval, &self.run) {
            lines.extend(document.to_string().into_bytes());
            lines.push(b'\n');
        }
        self.lines.write(lines).await?;
        Ok(0)
    }
}

/// A metric: its name, its unit, and its value or its distribution.
type Metric = (String, &'static str, Value);

/// Keys and values beside the scenario.
type Dimensions = Vec<(String, String)>;

/// Metrics by their dimensions, which they share with others.
#[derive(Default)]
struct Groups(Vec<(Dimensions, Vec<Metric>)>);

impl Groups {
    fn add(&mut self, labels: &[(String, &str)], name: impl Into<String>, unit: &'static str, value: Value) {
        let metric = (name.into(), unit, value);
        let is_these = |known: &[(String, String)]| {
            known.len() == labels.len() && known.iter().zip(labels).all(|(a, b)| a.0 == b.0 && a.1 == b.1)
        };
        // Figures of one step come one after the other, and those without labels between them.
        match self.0.iter_mut().rev().find(|(known, _)| is_these(known)) {
            Some((_, metrics)) => metrics.push(metric),
            None => {
                let labels = labels.iter().map(|(key, value)| (key.clone(), (*value).to_owned())).collect();
                self.0.push((labels, vec![metric]));
            }
        }
    }
}

fn documents(interval: &Interval, run: &RunLabels) -> Vec<Value> {
    let groups = groups(interval);
    let mut documents = Vec::new();
    for (labels, metrics) in &groups.0 {
        for metrics in metrics.chunks(MAX_METRICS) {
            documents.push(document(interval, run, labels, metrics));
        }
    }
    documents
}

fn groups(interval: &Interval) -> Groups {
    let mut groups = Groups::default();
    let players = &interval.players;
    let counts = [
        ("active", players.active),
        ("connected", players.connected),
        ("planned", players.planned),
        ("started", players.started),
        ("finished", players.finished),
        ("failed", players.failed.values().sum()),
        ("cut_off", players.cut_off),
    ];
    for (name, n) in counts {
        groups.add(&[], format!("loadkit.players.{name}"), "Count", json!(n));
    }
    for (text, n) in &interval.counts {
        let name = Name::parse(text);
        groups.add(&name.legal_labels(), name.dotted(), "Count", json!(n));
    }
    for (text, gauge) in &interval.gauges {
        let name = Name::parse(text);
        if gauge.reading.last.is_finite() {
            groups.add(&name.legal_labels(), name.dotted(), "None", json!(gauge.reading.last));
        }
    }
    for (text, trend) in &interval.trends {
        let name = Name::parse(text);
        let unit = if trend.unit == TrendUnit::Micros { "Microseconds" } else { "None" };
        groups.add(&name.legal_labels(), name.dotted(), unit, distribution(&trend.values));
    }
    for (text, step) in &interval.steps {
        let name = Name::parse(text);
        let mut labels = vec![("step".to_owned(), name.base)];
        labels.extend(name.legal_labels());
        for (figure, values) in [("response", &step.response), ("service", &step.service)] {
            if !values.buckets.is_empty() {
                groups.add(&labels, name.of_step(figure), "Microseconds", distribution(values));
            }
        }
        groups.add(&labels, name.of_step("succeeded"), "Count", json!(step.response.count()));
        groups.add(&labels, name.of_step("failed"), "Count", json!(step.failed()));
    }
    groups
}

fn document(interval: &Interval, run: &RunLabels, labels: &[(String, String)], metrics: &[Metric]) -> Value {
    let keys = ["scenario"].into_iter().chain(labels.iter().map(|(key, _)| key.as_str()));
    let named: Vec<Value> = metrics.iter().map(|(name, unit, _)| json!({ "Name": name, "Unit": unit })).collect();
    let mut document = Map::new();
    document.insert(
        "_aws".into(),
        json!({
            "Timestamp": interval.ended_us() / 1_000,
            "CloudWatchMetrics": [
                { "Namespace": NAMESPACE, "Dimensions": [keys.collect::<Vec<_>>()], "Metrics": named },
            ],
        }),
    );
    // Not a dimension: each run would make new metrics of everything.
    document.insert("run".into(), json!(run.run));
    document.insert("scenario".into(), json!(dimension(&run.scenario)));
    for (key, value) in labels {
        document.insert(key.clone(), json!(dimension(value)));
    }
    for (name, _, value) in metrics {
        document.insert(name.clone(), value.clone());
    }
    Value::Object(document)
}

/// A dimension's value has at least one character and at most 1,024.
fn dimension(text: &str) -> String {
    if text.trim().is_empty() { "-".into() } else { text.chars().take(1_024).collect() }
}

/// Values with their counts, and exact statistics beside them.
fn distribution(values: &HistogramDelta) -> Value {
    let exact = values.buckets.len() <= MAX_VALUES;
    let (mut at, mut counts) = (Vec::new(), Vec::new());
    if exact {
        for &(value, count) in &values.buckets {
            at.push(json!(value.clamp(values.min, values.max)));
            counts.push(count);
        }
    } else {
        // Zero has a place of its own.
        let joined = Exponential::new(values, 1.0, MAX_VALUES - 1);
        if joined.zeros > 0 {
            at.push(json!(0));
            counts.push(joined.zeros);
        }
        for (nth, &count) in joined.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            at.push(json!(joined.middle(nth).clamp(values.min as f64, values.max as f64)));
            counts.push(count);
        }
    }
    json!({
        "Values": at, "Counts": counts,
        "Min": values.min, "Max": values.max, "Sum": values.sum as f64, "Count": values.count(),
    })
}

#[cfg(test)]
mod tests;
