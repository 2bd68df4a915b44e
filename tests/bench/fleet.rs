//! A million players on two thousand workers, in virtual time, through the real planner, leases, collector and collation: what
//! the store is asked for, and what that would cost. And how many snapshots a second the collector takes and collates.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use loadkit::core::{Plan, RunId, Verdict};
use loadkit_fleet::{Ending, Home, RunRequest, RunnerChoice, collect};
use loadkit_tests::bench::{Figure, Used};
use loadkit_tests::fleet::{Making, World, busy_snapshot, plan};
use loadkit_worker::{Parcel, Parcels, Store};
use serde_json::json;

const PLAYERS: u64 = 1_000_000;
const WORKERS: u32 = 2_000;
const LASTS: Duration = Duration::from_secs(60);
/// A partition of DynamoDB takes so many write units a second.
const PARTITION: f64 = 1_000.0;
/// What DynamoDB asks for a million units on demand, us-east-1, since November 2024, dollars.
const WRITE_DOLLARS: f64 = 0.625;
const READ_DOLLARS: f64 = 0.125;
/// What SQS asks for a million requests, dollars. A worker sends one at a time; the collector takes ten.
const REQUEST_DOLLARS: f64 = 0.40;

fn in_virtual_time<T>(work: impl Future<Output = T>) -> std::io::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?;
    Ok(runtime.block_on(work))
}

/// A million players.
pub(crate) fn million() -> Vec<Figure> {
    let played = in_virtual_time(async {
        let world = World::new(Making { home: Home::Lambda, ..Making::default() });
        let request = RunRequest { plan: plan(PLAYERS, LASTS), runner: RunnerChoice::Lambda, ..RunRequest::default() };
        let record = world.play(request).await;
        (record, world)
    });
    let Ok((record, world)) = played else { return Vec::new() };
    let is_complete = record.ending == Some(Ending::Complete) && record.workers == WORKERS;
    let verdict = record.judgement.as_ref().map(|judgement| judgement.verdict);
    let hottest = world.store.hottest();
    eprintln!("{:<10} {:>14}  the busiest partition", "items", "units a second");
    for (kind, (units, part)) in &hottest {
        eprintln!("{kind:<10} {units:>14.0}  {part}");
    }
    let writes: f64 = world.store.write_units().values().sum();
    let (reads, messages) = (world.store.read_units(), world.queue.sent.load(std::sync::atomic::Ordering::Relaxed));
    let requests = messages as f64 * 1.2;
    let dollars = (writes * WRITE_DOLLARS + reads * READ_DOLLARS + requests * REQUEST_DOLLARS) / 1e6;
    let hour = dollars * 3_600.0 / LASTS.as_secs_f64();
    eprintln!(
        "{PLAYERS} players on {WORKERS} workers for {LASTS:?}: {writes:.0} write units, {reads:.0} read units, {messages} messages: ${dollars:.2}, or ${hour:.2} an hour, beside the workers themselves"
    );
    let notes = json!({
        "players": PLAYERS, "workers": WORKERS, "seconds": LASTS.as_secs(), "ending": record.ending, "verdict": verdict,
        "write_units": writes, "read_units": reads, "messages": messages, "dollars_an_hour": hour,
        "by_kind": hottest.iter().map(|(kind, (units, _))| (kind.clone(), *units)).collect::<std::collections::BTreeMap<_, _>>(),
    });
    let most = hottest.values().map(|(units, _)| *units).fold(0.0, f64::max);
    let complete = f64::from(u8::from(is_complete && verdict == Some(Verdict::Pass)));
    vec![
        Figure::new("fleet_million_complete", complete).at_least(1.0).with(notes),
        Figure::new("fleet_hottest_partition_write_units_per_s", most).at_most(PARTITION),
    ]
}

/// Parcels as workers send them: two seconds of 20 metrics.
const METRICS: usize = 20;
const SNAPSHOTS: u64 = 40_000;

/// Collector and collation, of one core.
pub(crate) fn collector() -> Vec<Figure> {
    let Ok(dir) = tempfile::tempdir() else { return Vec::new() };
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return Vec::new() };
    let Ok(store) = runtime.block_on(loadkit_fleet::EmbeddedStore::open(dir.path())) else { return Vec::new() };
    let store: Arc<dyn Store> = Arc::new(store);
    let run = RunId(1);
    let texts: Vec<String> = (0..200_u32)
        .flat_map(|worker| {
            let mut parcels = Parcels::new(run, worker, 0);
            (0..SNAPSHOTS / 400).flat_map(move |nth| {
                let two = [nth * 2, nth * 2 + 1].map(|seq| busy_snapshot(run, worker, seq, METRICS));
                parcels.pack(&two).unwrap_or_default().iter().map(Parcel::to_text).collect::<Vec<_>>()
            })
        })
        .collect();
    let bytes: usize = texts.iter().map(String::len).sum();
    let plan = Plan::default();
    let began = Instant::now();
    let before = Used::now();
    let collated = runtime.block_on(async {
        for batch in texts.chunks(500) {
            let batch: Vec<&str> = batch.iter().map(String::as_str).collect();
            collect(&*store, &batch, 0).await.ok()?;
        }
        loadkit_fleet::collate_all(&*store, run, 200, &plan).await.ok()
    });
    let (wall, used) = (began.elapsed().as_secs_f64(), Used::each(before, 1).us() / 1e6);
    let Some(judge) = collated else { return Vec::new() };
    let collated: u64 = judge.collector().seen().map(|shard| shard.next).sum();
    let notes = json!({
        "snapshots": collated, "metrics": METRICS, "bytes_a_snapshot": bytes as f64 / SNAPSHOTS as f64,
        "cpu_s": used, "wall_s": wall, "store": "embedded",
    });
    vec![Figure::new("collector_snapshots_per_core_s", SNAPSHOTS as f64 / used.max(wall)).at_least(5_000.0).with(notes)]
}
