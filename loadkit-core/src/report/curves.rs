//! Charts of a step's distribution, of connections, and of the load generator's own health.

use super::charts::{BLUE, Chart, MAX_LINES, ORANGE, PALETTE, RED, draw, parts, per_second, rates, times};
use super::plot::{Across, Line, Plot, Scale};
use super::{Report, format};
use crate::metrics::{HistogramDelta, names};

/// Points of a curve over percentiles.
const CURVE_POINTS: u32 = 160;
/// The last percentile of a curve is 99.9999 %.
const MAX_NINES: f64 = 6.0;
/// Counts of connections that say that something was lost or done again, and how a legend names them.
const TROUBLE: [(&str, &str); 10] = [
    ("net.lost", "lost"),
    ("net.resends", "sent again"),
    ("net.sends_refused", "refused by the kernel"),
    ("net.receive_dropped", "dropped by the kernel"),
    ("net.inbox_dropped", "dropped before a bot"),
    ("net.malformed", "malformed"),
    ("net.late_replies", "late replies"),
    ("net.duplicates", "twice"),
    ("net.reordered", "out of order"),
    ("net.strays", "strays"),
];

/// The times of a step by percentile: each percentile is so far to the right as its nines, so that the tail is seen.
pub(super) fn distribution(report: &Report, step: &str) -> Option<Plot> {
    let intervals = report.intervals.steps.get(step)?;
    let (response, service) = (intervals.whole_response(), &intervals.service);
    let count = response.count().max(service.count());
    if count == 0 {
        return None;
    }
    // Beyond one in so many as there are, there is nothing but the largest.
    let end = (count as f64).log10().clamp(1.0, MAX_NINES);
    // The response is below and wider: where no bot had to wait, the two are the same.
    let lines = vec![
        Line { width: 4, ..Line::new("response time", RED, vec![curve(&response, end)]) },
        Line::new("service time", BLUE, vec![curve(service, end)]),
    ];
    Some(times(format!("{}: times by percentile", format::name(step, 50)), Across::Nines(end), lines))
}

fn curve(values: &HistogramDelta, end: f64) -> Vec<(f64, f64)> {
    if values.buckets.is_empty() {
        return Vec::new();
    }
    let at = |n: u32| end * f64::from(n) / f64::from(CURVE_POINTS);
    (0..=CURVE_POINTS).map(|n| (at(n), values.quantile(1.0 - 10_f64.powf(-at(n))) as f64)).collect()
}

/// How connections were doing over time.
pub(super) fn connections(report: &Report) -> Vec<Chart> {
    let mut charts = Vec::new();
    let has = |name: &str| report.series.points.iter().any(|point| point.counts.contains_key(name));
    let line = |name: &str, shown: &str, colour| {
        let counted = per_second(report, |point| point.counts.get(name).copied().unwrap_or(0));
        Line::new(shown, colour, vec![counted])
    };
    let packets = [("net.packets_sent", "sent", BLUE), ("net.packets_received", "received", ORANGE)];
    let packets: Vec<Line> = packets
        .into_iter()
        .filter(|(name, ..)| has(name))
        .map(|(name, shown, colour)| line(name, shown, colour))
        .collect();
    if !packets.is_empty() {
        let plot = rates(report, "Packets of all connections", packets);
        draw(&mut charts, "connection-packets.svg", "Packets sent and received a second, over time", &plot);
    }
    if let Some(plot) = trend(report, "net.rtt", "Round trips of all connections") {
        draw(&mut charts, "connection-rtt.svg", "Percentiles of the round-trip time, over time", &plot);
    }
    let trouble = TROUBLE.into_iter().filter(|(name, _)| has(name)).take(MAX_LINES);
    let trouble: Vec<Line> = trouble.zip(PALETTE).map(|((name, shown), colour)| line(name, shown, colour)).collect();
    if !trouble.is_empty() {
        let plot = rates(report, "Packets lost, refused, sent again", trouble);
        draw(&mut charts, "connection-trouble.svg", "Packets that were lost or had to be sent again, over time", &plot);
    }
    charts
}

/// How the load generator was doing over time.
pub(super) fn generator(report: &Report) -> Vec<Chart> {
    let mut charts = Vec::new();
    let lags = [
        (names::TICK_LAG, "ticks began late", BLUE),
        (names::WAKE_LAG, "replies waited", ORANGE),
        (names::START_LAG, "players started late", RED),
        (names::SEND_LAG, "datagrams left late", PALETTE[2]),
    ];
    let lines = lags.into_iter().map(|(name, shown, colour)| {
        Line::new(shown, colour, parts(report, |point| Some(point.trends.get(name)?.p99 as f64)))
    });
    let lines: Vec<Line> = lines.filter(|line| !line.parts.is_empty()).collect();
    if !lines.is_empty() {
        let plot = times("The kit's own lag, p99".into(), Across::Time(report.lasted_s), lines);
        draw(&mut charts, "generator-lag.svg", "The 99th percentile of the kit's own lag, over time", &plot);
    }
    let gauges = [
        (names::CPU, "CPU cores in use", "generator-cpu.svg", format::number as fn(f64) -> String),
        (names::MEMORY, "Memory", "generator-memory.svg", format::bytes),
    ];
    for (name, title, file, write) in gauges {
        let parts = parts(report, |point| point.gauges.get(name).copied());
        if !parts.is_empty() {
            let lines = vec![Line::new("the largest", BLUE, parts)];
            let (across, scale) = (Across::Time(report.lasted_s), Scale::Linear(write));
            let plot = Plot { title: title.into(), across, scale, lines };
            draw(&mut charts, file, format!("{title} of the load generator, over time"), &plot);
        }
    }
    charts
}

/// Percentiles of a trend of times; none if nothing was measured.
fn trend(report: &Report, name: &str, title: &str) -> Option<Plot> {
    let line = |shown: &str, colour, of: fn(&super::SeriesTrendFigures) -> u64| {
        Line::new(shown, colour, parts(report, |point| Some(of(point.trends.get(name)?) as f64)))
    };
    let lines = vec![line("p99", RED, |t| t.p99), line("p95", ORANGE, |t| t.p95), line("p50", BLUE, |t| t.p50)];
    let has_any = lines.iter().any(|line| !line.parts.is_empty());
    has_any.then(|| times(title.to_owned(), Across::Time(report.lasted_s), lines))
}
