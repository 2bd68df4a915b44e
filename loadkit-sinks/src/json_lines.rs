//! A line of JSON for each interval: what `report.json` says of a run, of a second of it.

use std::collections::BTreeMap;
use std::path::Path;

use async_trait::async_trait;
use loadkit_core::{HistogramDelta, TrendUnit};
use serde::Serialize;

use crate::file::Lines;
use crate::interval::Interval;
use crate::sink::{RunLabels, Sink, SinkError};

const SCHEMA: &str = "loadkit.interval/1";

/// Writes a line of JSON for each interval into a file, or to standard output.
///
/// Names and units are those of `report.json`. Percentiles are of the interval's merged buckets, to 0.1 %.
#[derive(Debug)]
pub struct JsonLines {
    lines: Lines,
    run: RunLabels,
}

impl JsonLines {
    /// Begins the file anew; `-` is standard output.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(path: &Path, run: RunLabels) -> Result<JsonLines, SinkError> {
        Ok(JsonLines { lines: Lines::open(path)?, run })
    }
}

#[async_trait]
impl Sink for JsonLines {
    fn name(&self) -> &'static str {
        "json-lines"
    }

    fn place(&self) -> String {
        self.lines.place()
    }

    async fn take(&mut self, interval: &Interval) -> Result<u64, SinkError> {
        let line = Line::new(interval, &self.run);
        let mut line = serde_json::to_vec(&line).map_err(|error| SinkError::new(error.to_string()))?;
        line.push(b'\n');
        self.lines.write(line).await?;
        Ok(0)
    }
}

#[derive(Serialize)]
struct Line<'a> {
    schema: &'static str,
    run: &'a str,
    scenario: &'a str,
    /// The end of the interval, seconds since 1970.
    time_unix_s: f64,
    from_s: f64,
    to_s: f64,
    players: Players<'a>,
    steps: BTreeMap<&'a str, Step<'a>>,
    trends: BTreeMap<&'a str, Trend>,
    counts: &'a BTreeMap<String, u64>,
    gauges: BTreeMap<&'a str, Gauge>,
    names_left_out: u64,
}

#[derive(Serialize)]
struct Players<'a> {
    planned: u64,
    active: u64,
    connected: u64,
    started: u64,
    finished: u64,
    failed: u64,
    failed_by_kind: &'a BTreeMap<String, u64>,
    cut_off: u64,
}

#[derive(Serialize)]
struct Step<'a> {
    succeeded: u64,
    failed: u64,
    failed_by_kind: &'a BTreeMap<String, u64>,
    response: Option<Times>,
    service: Option<Times>,
}

#[derive(Serialize)]
struct Times {
    min_us: u64,
    mean_us: f64,
    p50_us: u64,
    p90_us: u64,
    p95_us: u64,
    p99_us: u64,
    p99_9_us: u64,
    max_us: u64,
}

#[derive(Serialize)]
struct Trend {
    unit: TrendUnit,
    count: u64,
    min: u64,
    mean: f64,
    p50: u64,
    p90: u64,
    p95: u64,
    p99: u64,
    p99_9: u64,
    max: u64,
}

#[derive(Serialize)]
struct Gauge {
    last: Option<f64>,
    min: Option<f64>,
    max: Option<f64>,
}

impl<'a> Line<'a> {
    fn new(interval: &'a Interval, run: &'a RunLabels) -> Line<'a> {
        let seconds = |us: u64| us as f64 / 1e6;
        let players = &interval.players;
        let finite = |value: f64| value.is_finite().then_some(value);
        Line {
            schema: SCHEMA,
            run: &run.run,
            scenario: &run.scenario,
            time_unix_s: seconds(interval.ended_us()),
            from_s: seconds(interval.from_us),
            to_s: seconds(interval.to_us),
            players: Players {
                planned: players.planned,
                active: players.active,
                connected: players.connected,
                started: players.started,
                finished: players.finished,
                failed: players.failed.values().sum(),
                failed_by_kind: &players.failed,
                cut_off: players.cut_off,
            },
            steps: interval.steps.iter().map(|(name, step)| (name.as_str(), Step::new(step))).collect(),
            trends: interval
                .trends
                .iter()
                .map(|(name, trend)| (name.as_str(), Trend::new(trend.unit, &trend.values)))
                .collect(),
            counts: &interval.counts,
            gauges: interval
                .gauges
                .iter()
                .map(|(name, gauge)| {
                    let reading = gauge.reading;
                    let gauge =
                        Gauge { last: finite(reading.last), min: finite(reading.min), max: finite(reading.max) };
                    (name.as_str(), gauge)
                })
                .collect(),
            names_left_out: interval.names_left_out,
        }
    }
}

impl<'a> Step<'a> {
    fn new(step: &'a crate::interval::StepFigures) -> Step<'a> {
        Step {
            succeeded: step.response.count(),
            failed: step.failed(),
            failed_by_kind: &step.failures,
            response: times(&step.response),
            service: times(&step.service),
        }
    }
}

fn times(values: &HistogramDelta) -> Option<Times> {
    let count = values.count();
    (count > 0).then(|| Times {
        min_us: values.min,
        mean_us: values.sum as f64 / count as f64,
        p50_us: values.quantile(0.5),
        p90_us: values.quantile(0.9),
        p95_us: values.quantile(0.95),
        p99_us: values.quantile(0.99),
        p99_9_us: values.quantile(0.999),
        max_us: values.max,
    })
}

impl Trend {
    fn new(unit: TrendUnit, values: &HistogramDelta) -> Trend {
        let count = values.count();
        Trend {
            unit,
            count,
            min: values.min,
            mean: if count == 0 { 0.0 } else { values.sum as f64 / count as f64 },
            p50: values.quantile(0.5),
            p90: values.quantile(0.9),
            p95: values.quantile(0.95),
            p99: values.quantile(0.99),
            p99_9: values.quantile(0.999),
            max: values.max,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::{labels, second};

    #[tokio::test]
    async fn a_line_an_interval_with_names_as_they_are() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("live.jsonl");
        let mut sink = JsonLines::open(&path, labels()).unwrap();
        for _ in 0..3 {
            sink.take(&second()).await.unwrap();
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 3);
        let line = &lines[2];
        assert_eq!(
            (&line["schema"], &line["run"], &line["scenario"]),
            (&json!(SCHEMA), &json!("00ff"), &json!("arena"))
        );
        assert_eq!(
            (&line["time_unix_s"], &line["from_s"], &line["to_s"]),
            (&json!(1_700_000_002.0), &json!(1.0), &json!(2.0))
        );
        assert_eq!(
            (&line["players"]["connected"], &line["players"]["failed_by_kind"]["timed-out"]),
            (&json!(9), &json!(1))
        );
        let login = &line["steps"]["login"];
        assert_eq!(
            (&login["succeeded"], &login["failed"], &login["response"]["p50_us"]),
            (&json!(4), &json!(2), &json!(2_000))
        );
        assert_eq!(login["response"]["mean_us"], json!(64_000.0));
        assert_eq!(line["steps"]["login{persona=casual}"]["succeeded"], 1);
        assert_eq!(
            (&line["trends"]["gold spent"]["max"], &line["counts"]["net.packets_sent"]),
            (&json!(2_000), &json!(500))
        );
        assert_eq!(line["gauges"]["depth"], json!({ "last": -1.5, "min": -1.5, "max": 2.0 }));
    }
}
