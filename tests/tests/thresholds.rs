//! Thresholds of whole runs in virtual time.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::Duration;

use loadkit::core::Verdict;
use loadkit::transport::Rudp;
use loadkit::{Bot, Cx, Hz, Plan, Result, Seat};
use loadkit_tests::{Delayed, Echo, Ping, Simulation};

struct Asker;

impl Bot for Asker {
    async fn run(&mut self, cx: &Cx) -> Result {
        let game = cx.connect(Rudp::new(Echo)).await?;
        let mut ticks = cx.ticks(Hz(10.0));
        while ticks.next().await.is_some() {
            cx.step("ask", game.call(Ping)).await?;
            cx.gauge("rooms", f64::from(u32::from(cx.elapsed().as_secs() > 40)) * 3.0 + 2.0);
        }
        cx.step("leave", game.close()).await
    }
}

fn play(thresholds: &[&str], delay: fn(u64) -> Duration) -> loadkit::core::Report {
    let plan = Plan::builder().bots(20).ramp(Duration::from_secs(10)).duration(Duration::from_secs(60));
    let plan = thresholds.iter().fold(plan, |plan, text| plan.threshold(text)).build().unwrap();
    Simulation { plan, shards: 2, seed: 3 }.play(Delayed { bot: |_: Seat| Asker, delay })
}

/// Each of the two servers gets 100 messages a second once all are there: its message 2,000 comes at about 25 s.
fn slow_for_a_while(nth: u64) -> Duration {
    Duration::from_millis(if (2_000..2_300).contains(&nth) { 400 } else { 20 })
}

#[test]
fn windows_find_what_the_whole_run_hides() {
    let report = play(
        &[
            "p90(ask, service) < 50ms",
            "p90(ask, service) over 10s < 50ms",
            "p90(ask, service) over 10s after 45s < 50ms",
            "rate(ask) over 10s after 10s > 40/s",
            "last(rooms) >= 5",
            "min(rooms) after 50s >= 5",
        ],
        slow_for_a_while,
    );
    let values: Vec<Option<f64>> = report.judgement.thresholds.iter().map(|checked| checked.value).collect();
    assert_eq!(report.judgement.verdict, Verdict::Fail, "{:#?}", report.judgement);
    assert_eq!(report.judgement.reasons.len(), 1, "only the windows miss it: {:#?}", report.judgement);
    assert!(report.judgement.reasons[0].text.starts_with("p90(ask, service) over 10s < 50ms was missed: 400"));
    assert!(values[0].unwrap() < 21_000.0 && values[1].unwrap() > 399_000.0, "{values:?}");
}

#[test]
fn a_run_that_is_lost_is_ended() {
    let bad = |nth| Duration::from_millis(if nth < 1_000 { 20 } else { 700 });
    let report = play(&["p50(ask) over 5s < 500ms else abort after 5s"], bad);
    assert_eq!(report.judgement.verdict, Verdict::Fail);
    let text = &report.judgement.reasons[0].text;
    assert!(text.contains("the run was ended at 0:") && text.contains("had been missed for 5s"), "{text}");
    // The 1,000th message comes at about 15 s; then it takes a window and the grace.
    assert!((20.0..35.0).contains(&report.lasted_s), "{} s", report.lasted_s);
    assert!(report.judgement.warnings.iter().any(|warning| warning.contains("the run was stopped")));
    assert_eq!(report.players.cut_off, 0, "they were asked to leave, and had the time for it");
}
