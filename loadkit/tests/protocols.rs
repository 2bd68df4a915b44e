//! A report says when the server tells another protocol than the client has.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::Duration;

use loadkit::core::Stamp;
use loadkit::sim::Simulation;
use loadkit::{Bot, Cx, Plan, Result, Scenario, Seat};

struct Greeted(&'static str);
struct Player(&'static str);

impl Scenario for Greeted {
    type Bot = Player;

    fn bot(&self, _: Seat) -> Player {
        Player(self.0)
    }
}

impl Bot for Player {
    async fn run(&mut self, cx: &Cx) -> Result {
        cx.protocols("1a2b3c4d5e6f7081", self.0);
        cx.sleep(Duration::from_secs(1)).await;
        Ok(())
    }
}

fn warned(theirs: &'static str) -> Vec<String> {
    let plan = Plan::builder().bots(3).duration(Duration::from_secs(5)).build().unwrap();
    let report = Simulation::new(Greeted(theirs)).plan(plan).run().unwrap().report;
    report.judgement.warnings.into_iter().filter(|warning| warning.contains("protocol")).collect()
}

#[test]
fn a_difference_is_said_with_both_fingerprints() {
    let warnings = warned("ffff000011112222}\n evil");
    let [warning] = &warnings[..] else { panic!("{warnings:?}") };
    assert!(
        warning.contains("the server's fingerprint is ffff000011112222???evil, the client's 1a2b3c4d5e6f7081"),
        "{warning}"
    );
}

#[test]
fn the_same_and_none_are_not_worth_a_word() {
    assert_eq!(warned("1a2b3c4d5e6f7081"), Vec::<String>::new());
    assert_eq!(warned(""), Vec::<String>::new());
    assert_eq!(Stamp::default().lines(), Vec::new());
}
