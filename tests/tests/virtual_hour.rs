//! An hour of load in virtual time, twice, with the same report.

use std::time::{Duration, Instant};

use loadkit::transport::Rudp;
use loadkit::{Bot, Cx, Hz, Plan, Result, Seat, Think};
use loadkit_tests::{Delayed, Echo, Ping, Simulation};

const HOUR: Duration = Duration::from_secs(3_600);

/// Plays for a few minutes once a second, thinks, and goes; another comes.
struct Guest(Seat);

impl Bot for Guest {
    async fn run(&mut self, cx: &Cx) -> Result {
        let game = cx.connect(Rudp::new(Echo)).await?;
        cx.step("login", game.call(Ping)).await?;
        let stay = Duration::from_secs(60 + 7 * self.0.index());
        let mut ticks = cx.ticks(Hz(1.0)).take_for(stay);
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

fn an_hour(seed: u64) -> String {
    let plan = Plan::builder()
        .bots(20)
        .ramp(Duration::from_secs(60))
        .duration(HOUR)
        .interval(Duration::from_secs(30))
        .build()
        .unwrap();
    let report = Simulation { plan, shards: 2, seed }.play(Delayed { bot: Guest, delay });
    assert!((3_600.0..3_615.0).contains(&report.lasted_s), "{} s", report.lasted_s);
    assert_eq!((report.players.failed, report.players.cut_off), (0, 0), "{:?}", report.failures);
    assert_eq!(report.players.started, report.players.finished);
    let answered: u64 = ["login", "tick", "buy"].iter().map(|step| report.steps[*step].succeeded).sum();
    // 20 players at 1 Hz, less the ramp and the moments between two lives.
    assert!((65_000..80_000).contains(&answered), "{answered} round trips");
    assert!(report.judgement.reasons.is_empty(), "{:?}", report.judgement.reasons);
    serde_json::to_string_pretty(&report).unwrap()
}

#[test]
fn an_hour_twice_is_the_same_report_and_another_seed_is_another() {
    let start = Instant::now();
    let (once, twice) = (an_hour(7), an_hour(7));
    for (number, (one, two)) in once.lines().zip(twice.lines()).enumerate() {
        assert_eq!(one, two, "line {number} of the report");
    }
    assert_eq!(once, twice);
    println!("two hours took {:.1} s; the report has {} bytes", start.elapsed().as_secs_f64(), once.len());
    let tail = |report: &str| report.split_once("\"judgement\"").map(|(_, tail)| tail.to_owned());
    assert_ne!(tail(&once), tail(&an_hour(8)), "thinking takes another time with another seed");
}
