//! A day of load in virtual time: memory stays what it is, and the kit's own threshold on it says so.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::alloc::System;
use std::sync::Arc;
use std::time::Duration;

use loadkit::core::{
    Conditions, Control, Failure, Host, Job, Judge, Kind, RunId, Seed, Target, Usage, Virtual, WakeTimer, run,
};
use loadkit::transport::{Rudp, rudp};
use loadkit::{Bot, Cx, Hz, Plan, Result, Seat};
use loadkit_tests::{Delayed, Echo, Ping};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static HEAP: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const HOUR: Duration = Duration::from_secs(3_600);

/// Virtual time, and the heap of this process as its memory.
struct Measured;

impl Host for Measured {
    fn timer(&self) -> Box<dyn WakeTimer> {
        Virtual.timer()
    }

    fn usage(&self) -> Option<Usage> {
        let heap = HEAP.stats();
        let memory = heap.bytes_allocated.saturating_sub(heap.bytes_deallocated) as u64;
        Some(Usage { memory, ..Usage::default() })
    }

    fn is_virtual(&self) -> bool {
        true
    }
}

/// Stays for some twenty minutes, fails now and then, and comes again. One that leaks keeps what it should not.
struct Guest {
    seat: Seat,
    leaks: bool,
}

impl Bot for Guest {
    async fn run(&mut self, cx: &Cx) -> Result {
        let config = rudp::Config { keep_alive: Duration::from_secs(8), ..rudp::Config::DEFAULT };
        let game = cx.connect(Rudp::new(Echo).config(config)).await?;
        let mut ticks = cx.ticks(Hz(0.05)).take_for(Duration::from_secs(1_200 + self.seat.index() % 7 * 31));
        while ticks.next().await.is_some() {
            cx.step("tick", game.call(Ping)).await?;
            cx.gauge("players", 1.0);
            if self.leaks {
                std::mem::forget(vec![0_u8; 1_024]);
            }
        }
        if cx.elapsed().as_secs().is_multiple_of(5) {
            return Err(Failure::new(Kind::UNEXPECTED, "lost interest").into());
        }
        cx.step("leave", game.close()).await
    }
}

/// The run's judge, after so long with these thresholds.
fn soak(time: Duration, thresholds: &[&str], bot: fn(Seat) -> Guest) -> loadkit::core::Judgement {
    let plan = Plan::builder().bots(3).ramp(Duration::from_secs(60)).duration(time).interval(Duration::from_secs(30));
    let plan = thresholds.iter().fold(plan, |plan, text| plan.threshold(text)).build().unwrap();
    let mut judge = Judge::new(plan.thresholds(), plan.interval());
    let job = Job { shards: 1, ..Job::whole(RunId(1), plan, Target::new("mem://echo", vec![]), Seed(3)) };
    let host: Arc<dyn Host> = Arc::new(Measured);
    // Few different times: the points of the series are full after an hour, and do not grow any more.
    let game = Delayed { bot, delay: |nth| Duration::from_millis(5 + nth % 4) };
    let ended = run(&Arc::new(game), &job, &host, &Control::new(), &mut judge).unwrap();
    judge.judgement(&Conditions::new(time, &ended, 0, true))
}

#[test]
fn a_day_leaves_memory_flat_and_a_leak_shows() {
    let thresholds = ["drift(loadkit.memory) after 1h < 1%/h", "p95(tick) over 1h < 50ms", "drift(p50(tick)) < 1%/h"];
    let day = soak(24 * HOUR, &thresholds, |seat| Guest { seat, leaks: false });
    assert!(day.reasons.is_empty(), "{:?}", day.reasons);
    println!("{:?}", day.thresholds);
    let leaky = soak(3 * HOUR, &["drift(loadkit.memory) after 1h < 1%/h"], |seat| Guest { seat, leaks: true });
    assert!(leaky.reasons.iter().any(|reason| reason.text.contains("drift(loadkit.memory)")), "{leaky:?}");
    println!("{:?}", leaky.thresholds);
}
