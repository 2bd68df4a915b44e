//! The dollars of a run, line by line.

use loadkit_core::Plan;
use loadkit_worker::Terms;

use super::prices::{
    FARGATE_GB_H, FARGATE_VCPU_H, LAMBDA_GB_S, LAMBDA_REQUEST, PRICES, READ_UNIT, SQS_REQUEST, WRITE_UNIT,
};
use super::{CostLine, Dollars, FARGATE_GB, FARGATE_VCPUS, LAMBDA_MB};
use crate::launcher::Home;

/// KB of a parcel as it lies in the table, at least and at most: of what 20 metrics give in two seconds.
const PARCEL_KB: (f64, f64) = (2.0, 8.0);
/// Workers that share a partition of the table.
const WORKERS_A_PART: f64 = 64.0;
/// The collector's memory, GB, and how long it works at a batch of ten messages, s.
const COLLECTOR: (f64, f64) = (0.5, 0.1);

/// What is to be paid for.
pub(super) struct Run<'a> {
    pub(super) plan: &'a Plan,
    pub(super) home: Home,
    pub(super) workers: u32,
    pub(super) generations: u32,
    pub(super) launch_s: f64,
    pub(super) terms: &'a Terms,
}

/// Write units a second of all workers, at least and at most: a beat is one, a parcel one for each KB.
pub(super) fn write_units_per_s(workers: u64, terms: &Terms) -> (f64, f64) {
    let beats = 1e3 / terms.beat_ms.max(1) as f64;
    let reports = 1e3 / terms.report_ms.max(1) as f64;
    let of = |kb: f64| workers as f64 * (beats + kb * reports);
    (of(PARCEL_KB.0), of(PARCEL_KB.1))
}

/// What it costs.
pub(super) fn dollars(run: &Run<'_>) -> Dollars {
    let mut lines = Vec::new();
    match run.home {
        Home::Lambda => lines.push(lambda(run)),
        Home::Fargate => lines.push(fargate(run)),
        Home::Local => {}
    }
    if run.home != Home::Local {
        lines.extend([queue(run), table(run), collector(run)]);
    }
    let sum = |of: fn(&CostLine) -> f64| cents(lines.iter().map(of).fold(0.0, |sum, part| sum + part));
    let (low, high) = (sum(|line| line.low), sum(|line| line.high));
    let prices = if lines.is_empty() { "this machine's own: nothing".to_owned() } else { PRICES.to_owned() };
    Dollars { low, high, lines, prices }
}

/// Rounded to a hundredth of a cent.
fn cents(dollars: f64) -> f64 {
    (dollars * 1e4).round() / 1e4
}

fn line(what: &str, formula: String, low: f64, high: f64) -> CostLine {
    CostLine { what: what.to_owned(), formula, low: cents(low), high: cents(high) }
}

/// How long a worker is paid for, s: at least the load; at most with the wait for the others, and the grace time.
fn paid_s(run: &Run<'_>) -> (f64, f64) {
    let load = run.plan.duration().as_secs_f64();
    (load, load + run.launch_s + 15.0 + run.plan.grace().as_secs_f64())
}

fn lambda(run: &Run<'_>) -> CostLine {
    let (workers, generations) = (f64::from(run.workers), f64::from(run.generations));
    let gb = LAMBDA_MB as f64 / 1_024.0;
    let (low_s, mut high_s) = paid_s(run);
    // While one takes over from another, both are paid for.
    high_s += (generations - 1.0) * (run.terms.over_ms + run.terms.overlap_ms) as f64 / 1e3;
    let of = |s: f64| workers * (s * gb * LAMBDA_GB_S + generations * LAMBDA_REQUEST);
    let formula = format!(
        "{} workers x {low_s:.0} to {high_s:.0} s x {LAMBDA_MB} MB x ${LAMBDA_GB_S:.10} a GB-s, and {} requests",
        run.workers,
        u64::from(run.workers) * u64::from(run.generations)
    );
    line("Lambda", formula, of(low_s), of(high_s))
}

fn fargate(run: &Run<'_>) -> CostLine {
    let (low_s, high_s) = paid_s(run);
    // A task is paid for at least a minute.
    let (low_s, high_s) = (low_s.max(60.0), high_s.max(60.0));
    let hour = FARGATE_VCPUS as f64 * FARGATE_VCPU_H + FARGATE_GB as f64 * FARGATE_GB_H;
    let of = |s: f64| f64::from(run.workers) * s / 3_600.0 * hour;
    let formula = format!(
        "{} tasks x {low_s:.0} to {high_s:.0} s x ({FARGATE_VCPUS} vCPU x ${FARGATE_VCPU_H} + {FARGATE_GB} GB x \
         ${FARGATE_GB_H}) an hour",
        run.workers
    );
    line("Fargate", formula, of(low_s), of(high_s))
}

/// Parcels of the whole run.
fn parcels(run: &Run<'_>) -> f64 {
    let load_s = run.plan.duration().as_secs_f64() + run.plan.grace().as_secs_f64();
    f64::from(run.workers) * (load_s * 1e3 / run.terms.report_ms.max(1) as f64).ceil()
}

fn queue(run: &Run<'_>) -> CostLine {
    let parcels = parcels(run);
    // Each is sent by itself; it is received and deleted with nine others, or alone.
    let (low, high) = (parcels * 1.2, parcels * 3.0);
    let formula = format!("{parcels:.0} messages x 1.2 to 3 requests x $0.40 a million");
    line("SQS", formula, low * SQS_REQUEST, high * SQS_REQUEST)
}

fn table(run: &Run<'_>) -> CostLine {
    let (parcels, load_s) = (parcels(run), run.plan.duration().as_secs_f64() + run.plan.grace().as_secs_f64());
    let beats = f64::from(run.workers) * (load_s * 1e3 / run.terms.beat_ms.max(1) as f64).ceil();
    // A beat reads the lease and the command; the collator reads each parcel.
    let of = |kb: f64| {
        let (writes, reads) = (beats + parcels * kb, 2.0 * beats + parcels * (kb / 4.0).max(1.0));
        (writes, reads, writes * WRITE_UNIT + reads * READ_UNIT)
    };
    let ((low_writes, _, low), (high_writes, _, high)) = (of(PARCEL_KB.0), of(PARCEL_KB.1));
    let (low_part, high_part) = write_units_per_s(1, run.terms);
    let part = WORKERS_A_PART.min(f64::from(run.workers));
    let formula = format!(
        "{beats:.0} beats and {parcels:.0} parcels of {} to {} KB: {low_writes:.0} to {high_writes:.0} write units x $0.625 \
         a million, and their reads; a partition of {part:.0} workers takes {:.0} to {:.0} of its 1,000 a second",
        PARCEL_KB.0,
        PARCEL_KB.1,
        low_part * part,
        high_part * part
    );
    line("DynamoDB", formula, low, high)
}

fn collector(run: &Run<'_>) -> CostLine {
    let parcels = parcels(run);
    let (gb, s) = COLLECTOR;
    let each = LAMBDA_REQUEST + gb * s * LAMBDA_GB_S;
    let formula = format!("{parcels:.0} messages in batches of 10 to 1 x {s} s x {gb} GB, and the requests");
    line("collector Lambda", formula, parcels / 10.0 * each, parcels * each)
}
