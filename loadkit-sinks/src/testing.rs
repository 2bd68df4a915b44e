//! Snapshots and intervals for tests.

use std::collections::BTreeMap;
use std::time::Duration;

use loadkit_core::{GaugeDelta, HistogramDelta, RunId, Snapshot, SnapshotKey, StepDelta};

#[cfg(any(feature = "emf", feature = "json-lines", feature = "otlp", feature = "prometheus", feature = "statsd"))]
pub(crate) use figures::second;
#[cfg(any(feature = "emf", feature = "json-lines", feature = "otlp", feature = "prometheus"))]
pub(crate) use run::labels;

/// A snapshot without figures, from and to these milliseconds.
pub(crate) fn snapshot(shard: u32, seq: u64, from_ms: u64, to_ms: u64) -> Snapshot {
    let key = SnapshotKey { run: RunId(1), worker: 0, shard, attempt: 0, seq };
    Snapshot::empty(key, from_ms * 1_000, to_ms * 1_000)
}

/// These values, of which each below 2,048 has a bucket of its own.
pub(crate) fn delta(values: &[u64]) -> HistogramDelta {
    let mut buckets = BTreeMap::new();
    for value in values {
        *buckets.entry(*value).or_insert(0) += 1;
    }
    HistogramDelta {
        buckets: buckets.into_iter().collect(),
        sum: values.iter().map(|&value| u128::from(value)).sum(),
        min: values.iter().min().copied().unwrap_or(0),
        max: values.iter().max().copied().unwrap_or(0),
    }
}

pub(crate) fn step(response: &[u64]) -> StepDelta {
    StepDelta { service: delta(response), response: delta(response), failures: Vec::new() }
}

pub(crate) fn gauge(value: f64) -> GaugeDelta {
    GaugeDelta::new(value, Duration::ZERO)
}

/// What every sink is fed with.
#[cfg(any(feature = "emf", feature = "json-lines", feature = "otlp", feature = "prometheus", feature = "statsd"))]
mod figures {
    use loadkit_core::{GaugeDelta, GaugeReading, TrendDelta, TrendUnit};

    use super::delta;
    use crate::interval::{Interval, Players, StepFigures};

    /// A second of a game: something of each kind.
    pub(crate) fn second() -> Interval {
        let times = [1_000, 2_000, 3_000, 250_000];
        let login = StepFigures {
            service: delta(&times),
            response: delta(&times),
            failures: [("refused".to_owned(), 2)].into(),
        };
        let part = StepFigures { response: delta(&times[..1]), service: delta(&times[..1]), ..StepFigures::default() };
        let reading = GaugeReading { last: -1.5, min: -1.5, max: 2.0 };
        Interval {
            epoch_us: 1_700_000_000_000_000,
            from_us: 1_000_000,
            to_us: 2_000_000,
            players: Players {
                active: 10,
                connected: 9,
                planned: 12,
                started: 3,
                finished: 2,
                cut_off: 0,
                failed: [("timed-out".to_owned(), 1)].into(),
            },
            steps: [("login".to_owned(), login), ("login{persona=casual}".to_owned(), part)].into(),
            trends: [
                ("net.rtt".to_owned(), TrendDelta { unit: TrendUnit::Micros, values: delta(&[0, 900, 1_100]) }),
                ("gold spent".to_owned(), TrendDelta { unit: TrendUnit::Number, values: delta(&[0, 7, 2_000]) }),
            ]
            .into(),
            counts: [("net.packets_sent".to_owned(), 500), ("net.packets_sent{protocol=rudp}".to_owned(), 400)].into(),
            gauges: [("depth".to_owned(), GaugeDelta { at_us: 1, reading })].into(),
            names_left_out: 0,
        }
    }
}

/// What those say of the run that have a word for it.
#[cfg(any(feature = "emf", feature = "json-lines", feature = "otlp", feature = "prometheus"))]
mod run {
    use crate::sink::RunLabels;

    pub(crate) fn labels() -> RunLabels {
        RunLabels {
            run: "00ff".into(),
            scenario: "arena".into(),
            target: "127.0.0.1:4000".into(),
            seed: "7".into(),
            version: "0.1.0".into(),
        }
    }
}
