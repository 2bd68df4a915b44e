//! What a bot costs: to start, and to keep.

use std::alloc::System;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use loadkit::core::{Collector, Control, Job, RunId, Seed, Stage, Target, names, run};
use loadkit::{Bot, Cx, Hz, Os, Plan, Result, Scenario, Seat};
use serde_json::json;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

use crate::Figure;

/// Counts every allocation of this process.
#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Bytes of heap in use.
pub(crate) fn heap() -> i64 {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated as i64 - stats.bytes_deallocated as i64
}

/// Runs a scenario for real on one shard.
pub(crate) fn play<S: Scenario>(scenario: S, plan: Plan, target: Target) -> Collector {
    let mut collector = Collector::new(plan.interval());
    let job = Job { shards: 1, ..Job::whole(RunId(1), plan, target, Seed(1)) };
    if let Err(error) = run(&Arc::new(scenario), &job, &(Arc::new(Os) as _), &Control::new(), &mut collector) {
        eprintln!("error: the benchmark's run did not start: {error}");
        std::process::exit(2);
    }
    collector
}

pub(crate) fn plan(stages: impl IntoIterator<Item = Stage>) -> Plan {
    match Plan::builder().stages(stages).build() {
        Ok(plan) => plan,
        Err(error) => {
            eprintln!("error: the benchmark's plan: {error}");
            std::process::exit(2);
        }
    }
}

/// Half of the seats tick; the other half joins at once later on.
struct Crowd {
    tickers: u64,
}

struct Member {
    ticks: bool,
}

impl Scenario for Crowd {
    type Bot = Member;

    fn bot(&self, seat: Seat) -> Member {
        Member { ticks: seat.index() < self.tickers }
    }
}

impl Bot for Member {
    async fn run(&mut self, cx: &Cx) -> Result {
        if self.ticks {
            let mut ticks = cx.ticks(Hz(20.0));
            while ticks.next().await.is_some() {}
        } else {
            SPAWNED.store(now_us(), Ordering::Relaxed);
            cx.stopped().await;
        }
        Ok(())
    }
}

static SPAWNED: AtomicI64 = AtomicI64::new(0);

fn now_us() -> i64 {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_micros() as i64
}

/// How many bots start in a second on one core, and what that does to those that play.
pub(crate) fn spawn() -> Vec<Figure> {
    const TICKERS: u64 = 500;
    const JOINING: u64 = 200_000;
    now_us();
    let start = Instant::now();
    let calm = Duration::from_secs(1);
    let stages = [Stage::step(TICKERS, calm), Stage::step(TICKERS + JOINING, Duration::from_secs(3))];
    let before = now_us();
    let collector = play(Crowd { tickers: TICKERS }, plan(stages), Target::default());
    let took = (SPAWNED.load(Ordering::Relaxed) - before) as f64 / 1e6 - calm.as_secs_f64();
    let lag = collector.totals().trends.get(names::TICK_LAG).map_or(0, |lag| lag.values.quantile(0.99));
    let notes = json!({ "spawned": JOINING, "seconds": took, "whole_run_seconds": start.elapsed().as_secs_f64() });
    vec![
        Figure::new("spawn_per_s", JOINING as f64 / took).at_least(100_000.0).with(notes),
        Figure::new("tick_lag_p99_us_while_spawning", lag as f64).at_most(2_000.0),
    ]
}

/// A bot that does nothing, to see what the engine itself keeps of it.
struct Idle;

impl Scenario for Idle {
    type Bot = Idle;

    fn bot(&self, _: Seat) -> Idle {
        Idle
    }
}

static PEAK: AtomicI64 = AtomicI64::new(0);

impl Bot for Idle {
    async fn run(&mut self, cx: &Cx) -> Result {
        PEAK.fetch_max(heap(), Ordering::Relaxed);
        cx.stopped().await;
        Ok(())
    }
}

/// The engine's part of an idle bot's heap.
pub(crate) fn idle() -> Vec<Figure> {
    const BOTS: u64 = 20_000;
    let before = heap();
    play(
        Idle,
        plan([Stage::ramp(BOTS, Duration::from_secs(1)), Stage::hold(Duration::from_secs(1))]),
        Target::default(),
    );
    let each = (PEAK.load(Ordering::Relaxed) - before) as f64 / BOTS as f64;
    vec![Figure::new("heap_bytes_per_idle_bot_engine_only", each)]
}
