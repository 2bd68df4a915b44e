//! What a server takes is what the report says.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::Duration;

use loadkit::transport::Rudp;
use loadkit::{Bot, Cx, Hz, Plan, Result};
use loadkit_tests::{Delayed, Echo, Ping, Simulation};

struct Asker;

impl Bot for Asker {
    async fn run(&mut self, cx: &Cx) -> Result {
        let game = cx.connect(Rudp::new(Echo)).await?;
        let mut ticks = cx.ticks(Hz(10.0));
        while ticks.next().await.is_some() {
            cx.step("ask", game.call(Ping)).await?;
        }
        cx.step("leave", game.close()).await
    }
}

/// The median and the 99th percentile of response and service times, in µs.
fn asked(delay: fn(u64) -> Duration) -> [u64; 4] {
    let plan = Plan::builder().bots(30).ramp(Duration::from_secs(7)).duration(Duration::from_secs(25)).build().unwrap();
    let report = Simulation { plan, shards: 2, seed: 3 }.play(Delayed { bot: |_| Asker, delay });
    assert_eq!(report.players.failed, 0, "{:?}", report.failures);
    let ask = &report.steps["ask"];
    assert!(ask.succeeded > 4_000, "{}", ask.succeeded);
    let (response, service) = (ask.response.unwrap(), ask.service.unwrap());
    [response.p50_us, response.p99_us, service.p50_us, service.p99_us]
}

fn within_a_hundredth(measured_us: u64, truth_us: u64) {
    let off = measured_us.abs_diff(truth_us) as f64 / truth_us as f64;
    assert!(off < 0.01, "{measured_us} µs measured, {truth_us} µs in truth");
}

#[test]
fn a_delay_of_the_server_is_the_delay_in_the_report() {
    asked(|_| Duration::from_millis(50)).into_iter().for_each(|us| within_a_hundredth(us, 50_000));
    // Not because 50 ms is what always comes out.
    asked(|_| Duration::from_millis(7)).into_iter().for_each(|us| within_a_hundredth(us, 7_000));
}

#[test]
fn a_delay_of_a_few_is_in_the_tail_and_nowhere_else() {
    let [p50, p99, service_p50, service_p99] = asked(|nth| Duration::from_millis(if nth % 50 == 0 { 80 } else { 20 }));
    within_a_hundredth(p50, 20_000);
    within_a_hundredth(p99, 80_000);
    within_a_hundredth(service_p50, 20_000);
    within_a_hundredth(service_p99, 80_000);
}
