//! An hour of load in virtual time, twice, with the same report.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::{Duration, Instant};

use loadkit::core::Report;
use loadkit::transport::{Rudp, rudp};
use loadkit::{Bot, Cx, Hz, Plan, Result, Seat, Think};
use loadkit_tests::{Delayed, Echo, Ping, Simulation};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);

/// Most packets of an hour would be keep-alives.
const QUIET: rudp::Config = rudp::Config { keep_alive: Duration::from_secs(5), ..rudp::Config::DEFAULT };

/// Plays for a few minutes, a move every four seconds, thinks, and goes; another comes.
struct Guest(Seat);

impl Bot for Guest {
    async fn run(&mut self, cx: &Cx) -> Result {
        let game = cx.connect(Rudp::new(Echo).config(QUIET)).await?;
        cx.step("login", game.call(Ping)).await?;
        let stay = Duration::from_secs(200 + 17 * self.0.index());
        let mut ticks = cx.ticks(Hz(0.25)).take_for(stay);
        while let Some(tick) = ticks.next().await {
            cx.step("tick", game.call(Ping)).await?;
            if tick.index % 10 == 9 {
                cx.think(Think::uniform(Duration::from_millis(100), Duration::from_millis(900))).await;
                cx.step("buy", game.call(Ping)).await?;
            }
        }
        cx.step("leave", game.close()).await
    }
}

/// From 5 to 45 ms, and once in a while a second.
fn delay(nth: u64) -> Duration {
    Duration::from_millis(if nth % 997 == 996 { 1_000 } else { 5 + nth * 7_919 % 41 })
}

/// The report as it is written.
fn play(time: Duration, seed: u64) -> (Report, String) {
    let plan = Plan::builder().bots(20).ramp(60 * SECOND).duration(time).interval(10 * SECOND).build().unwrap();
    let report = Simulation { plan, shards: 2, seed }.play(Delayed { bot: Guest, delay });
    let json = serde_json::to_string_pretty(&report).unwrap();
    (report, json)
}

#[test]
fn an_hour_twice_is_the_same_report() {
    let start = Instant::now();
    let ((report, once), (_, twice)) = (play(HOUR, 7), play(HOUR, 7));
    for (number, (one, two)) in once.lines().zip(twice.lines()).enumerate() {
        assert_eq!(one, two, "line {number} of the report");
    }
    assert_eq!(once, twice);
    assert!((3_600.0..3_615.0).contains(&report.lasted_s), "{} s", report.lasted_s);
    assert_eq!((report.players.failed, report.players.cut_off), (0, 0), "{:?}", report.failures);
    assert_eq!(report.players.started, report.players.finished);
    assert!(report.judgement.reasons.is_empty(), "{:?}", report.judgement.reasons);
    let answered: u64 = ["login", "tick", "buy"].iter().map(|step| report.steps[*step].succeeded).sum();
    // 20 players at 0.25 Hz, less the ramp and the moments between two lives, and a tenth for shopping.
    assert!((17_500..20_500).contains(&answered), "{answered} round trips");
    println!("two hours with {answered} round trips each took {:.1} s", start.elapsed().as_secs_f64());
}

#[test]
fn another_seed_is_another_report() {
    let figures = |seed| play(300 * SECOND, seed).0.steps;
    assert_eq!(figures(7), figures(7));
    assert_ne!(figures(7), figures(8), "thinking takes another time");
}
