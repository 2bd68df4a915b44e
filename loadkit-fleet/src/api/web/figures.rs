//! `a window -> what a chart needs of it`: short, because it goes over the wire every second.
//!
//! A step is `[succeeded, failed, p50, p95, p99, p99.9, service p50, service p99]`, times in µs, `null` where there is none.

use loadkit_core::{SeriesPoint, names};
use loadkit_sinks::Interval;
use serde_json::{Map, Value, json};

/// Steps of a window: those after them in the alphabet are in the report.
const MAX_STEPS: usize = 48;
/// Kinds of failure of a window.
const MAX_KINDS: usize = 24;
/// No name is longer.
const MAX_NAME: usize = 60;

/// What is shown of the kit's own health: a short name, the figure's, and whether it is a trend, a gauge or a count.
const KIT: [(&str, &str, Kind); 13] = [
    ("tick_lag", names::TICK_LAG, Kind::Trend),
    ("wake_lag", names::WAKE_LAG, Kind::Trend),
    ("start_lag", names::START_LAG, Kind::Trend),
    ("send_lag", names::SEND_LAG, Kind::Trend),
    ("long_turns", names::LONG_TURNS, Kind::Trend),
    ("cpu", names::CPU, Kind::Gauge),
    ("cpu_others", names::CPU_OTHERS, Kind::Gauge),
    ("cpu_stolen", names::CPU_STOLEN, Kind::Gauge),
    ("memory", names::MEMORY, Kind::Gauge),
    ("descriptors", names::DESCRIPTORS, Kind::Gauge),
    ("ticks_behind", names::TICKS_BEHIND, Kind::Count),
    ("kernel_drops", names::KERNEL_DROPS, Kind::Count),
    ("sends_refused", names::SENDS_REFUSED, Kind::Count),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Its 99th percentile, µs.
    Trend,
    /// Its largest value, of the worker that has it.
    Gauge,
    Count,
}

fn is_whole(name: &str) -> bool {
    !name.contains('{')
}

/// A name that fits; those that are cut keep their end too, by which names mostly differ.
fn short(name: &str) -> String {
    let length = name.chars().count();
    if length <= MAX_NAME {
        return name.to_owned();
    }
    let head = name.chars().take(MAX_NAME / 2).collect::<String>();
    let tail = name.chars().skip(length - MAX_NAME / 2 + 1).collect::<String>();
    format!("{head}…{tail}")
}

/// A window of rollups.
pub(super) fn of_interval(interval: &Interval) -> Value {
    let players = &interval.players;
    let failed: u64 = players.failed.values().sum();
    let mut failures: Vec<Value> = players.failed.iter().map(|(kind, count)| json!(["", short(kind), count])).collect();
    let mut steps = Map::new();
    for (name, step) in interval.steps.iter().filter(|(name, _)| is_whole(name)).take(MAX_STEPS) {
        let (response, service) = (&step.response, &step.service);
        let of = |quantile| (response.count() > 0).then(|| response.quantile(quantile));
        let served = |quantile| (service.count() > 0).then(|| service.quantile(quantile));
        let figures =
            json!([response.count(), step.failed(), of(0.5), of(0.95), of(0.99), of(0.999), served(0.5), served(0.99)]);
        steps.insert(short(name), figures);
        failures.extend(step.failures.iter().map(|(kind, count)| json!([short(name), short(kind), count])));
    }
    failures.truncate(MAX_KINDS);
    let mut kit = Map::new();
    for (name, figure, kind) in KIT {
        let value = match kind {
            Kind::Trend => interval
                .trends
                .get(figure)
                .filter(|trend| trend.values.count() > 0)
                .map(|t| json!(t.values.quantile(0.99))),
            Kind::Gauge => interval.gauges.get(figure).map(|gauge| json!(gauge.reading.max)),
            Kind::Count => interval.counts.get(figure).map(|count| json!(count)),
        };
        kit.extend(value.map(|value| (name.to_owned(), value)));
    }
    json!({
        "from": seconds(interval.from_us), "to": seconds(interval.to_us),
        "players": [players.planned, players.active, players.connected, players.started, players.finished, failed],
        "steps": steps, "failures": failures, "kit": kit,
    })
}

/// A point of a report's series. It has no service times, and no kinds of failure.
pub(super) fn of_point(point: &SeriesPoint) -> Value {
    let whole = point.steps.iter().filter(|(name, _)| is_whole(name)).take(MAX_STEPS);
    let steps: Map<String, Value> = whole
        .map(|(name, step)| {
            let figures = json!([step.succeeded, step.failed, step.p50_us, step.p95_us, step.p99_us, null, null, null]);
            (short(name), figures)
        })
        .collect();
    let mut kit = Map::new();
    for (name, figure, kind) in KIT {
        let value = match kind {
            Kind::Trend => point.trends.get(figure).map(|trend| json!(trend.p99)),
            Kind::Gauge => point.gauges.get(figure).map(|gauge| json!(gauge)),
            Kind::Count => point.counts.get(figure).map(|count| json!(count)),
        };
        kit.extend(value.map(|value| (name.to_owned(), value)));
    }
    json!({
        "from": point.from_s, "to": point.to_s,
        "players": [point.planned, point.active, point.connected, point.started, null, point.failed],
        "steps": steps, "failures": [], "kit": kit,
    })
}

fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use loadkit_sinks::StepFigures;

    use super::*;

    #[test]
    fn a_second_of_the_largest_run_goes_over_a_narrow_wire() {
        let mut interval = Interval::default();
        for i in 0..200 {
            let mut step = StepFigures::default();
            for kind in 0..32 {
                step.failures.insert(format!("{kind:0>200}"), u64::from(u32::MAX));
            }
            interval.steps.insert(format!("{i:0>200}"), step);
        }
        let text = of_interval(&interval).to_string();
        // Half a megabyte a minute: the rest is for what else is told.
        assert!(text.len() < 9_000, "{}", text.len());
        let steps = of_interval(&interval)["steps"].as_object().map(Map::len);
        assert_eq!(steps, Some(MAX_STEPS), "names that are cut stay apart");
    }
}
