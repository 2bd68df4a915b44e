//! How fast bots start, and what that does to those that play.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use loadkit::core::{Stage, Target, names};
use loadkit::{Bot, Cx, Hz, Result, Scenario, Seat};
use loadkit_tests::bench::{Figure, plan, play};
use serde_json::json;

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
    static START: OnceLock<Instant> = OnceLock::new();
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
