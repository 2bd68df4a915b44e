//! The kit's health in words that need no knowledge of the kit: a row for each thing that could spoil the figures.

use std::time::Duration;

use super::{GaugeFigures, Report, format};
use crate::metrics::names;
use crate::verdict::health::{MAX_REFUSED_SHARE, MAX_START_LAG, MAX_TICK_LAG, MAX_WAKE_LAG};

/// How something of the load generator was.
pub(super) struct HealthRow {
    /// What it is.
    pub(super) what: &'static str,
    /// How it was.
    pub(super) measured: String,
    /// What it must be; empty where there is no limit.
    pub(super) limit: String,
    /// Whether it is as it must be.
    pub(super) is_well: bool,
}

/// All that was measured of the load generator's health.
pub(super) fn health(report: &Report) -> Vec<HealthRow> {
    let mut rows: Vec<HealthRow> = lags(report).collect();
    rows.extend(refused(report));
    let gauge = |name: &str| report.generator.gauges.get(name).and_then(|gauge: &GaugeFigures| gauge.max);
    let mut know = |what, measured: Option<String>| {
        let row = |measured| HealthRow { what, measured, limit: String::new(), is_well: true };
        rows.extend(measured.map(row));
    };
    know("CPU", gauge(names::CPU).map(|cores| format!("at most {} cores", format::number(cores))));
    know(
        "CPU of other processes",
        gauge(names::CPU_OTHERS).map(|cores| format!("at most {} cores", format::number(cores))),
    );
    let stolen = gauge(names::CPU_STOLEN).filter(|cores| *cores > 0.0);
    know("CPU that the host kept", stolen.map(|cores| format!("at most {} cores", format::number(cores))));
    know("Memory", gauge(names::MEMORY).map(|size| format!("at most {}", format::bytes(size))));
    know("Descriptors", gauge(names::DESCRIPTORS).map(|n| format!("at most {}", format::number(n))));
    let count = |name: &str| report.generator.counts.get(name).map(|count| count.total).filter(|n| *n > 0);
    know("Ticks begun while the bot was still busy", count(names::TICKS_BEHIND).map(format::count));
    know("Ticks left out", count(names::TICKS_SKIPPED).map(format::count));
    know("Intervals joined, because the collector was behind", count(names::SNAPSHOTS_DEFERRED).map(format::count));
    know("Records left out, because there were too many names", count(names::NAMES_LEFT_OUT).map(format::count));
    let long = report.generator.trends.get(names::LONG_TURNS);
    know(
        "Turns of a bot over 10 ms, in which its shard does nothing else",
        long.map(|turns| format!("{}, at most {}", format::count(turns.count), format::micros(turns.max as f64))),
    );
    know("Datagrams that this machine threw away", count(names::KERNEL_DROPS).map(format::count));
    let coarse = count(names::COARSE_TIMERS);
    know("Timers that are up to 1 ms late", coarse.map(|n| format!("of {}", format::counted(n, "shard", "shards"))));
    rows
}

fn lags(report: &Report) -> impl Iterator<Item = HealthRow> {
    let lags = [
        (names::TICK_LAG, "Ticks began late by", Some(MAX_TICK_LAG)),
        (names::WAKE_LAG, "Replies waited for their bot", Some(MAX_WAKE_LAG)),
        (names::START_LAG, "Players started late by", Some(MAX_START_LAG)),
        (names::SEND_LAG, "Datagrams left late by", None),
    ];
    lags.into_iter().filter_map(|(name, what, limit)| {
        let lag = report.generator.trends.get(name)?;
        let [p50, p99, max] = [lag.p50, lag.p99, lag.max].map(|us| format::micros(us as f64));
        Some(HealthRow {
            what,
            measured: format!("p50 {p50}, p99 {p99}, at most {max}"),
            limit: limit.map_or_else(String::new, |limit| format!("p99 at most {}", format::time(limit))),
            is_well: limit.is_none_or(|limit| Duration::from_micros(lag.p99) <= limit),
        })
    })
}

fn refused(report: &Report) -> Option<HealthRow> {
    let count = |name: &str| report.connections.counts.get(name).map_or(0, |count| count.total);
    let (refused, sent) = (count(names::SENDS_REFUSED), count("net.packets_sent"));
    let all = refused.saturating_add(sent);
    let share = refused as f64 / all.max(1) as f64;
    (all > 0).then(|| HealthRow {
        what: "Packets that the kernel refused",
        measured: format!("{} of {} ({})", format::count(refused), format::count(all), format::share(share)),
        limit: format!("at most {}", format::share(MAX_REFUSED_SHARE)),
        is_well: share <= MAX_REFUSED_SHARE,
    })
}
