//! A run at two servers: the gate says which is worse, from the same minutes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::Arc;
use std::time::Duration;

use loadkit::core::gate::{GateOptions, compare_sides, gate_summary};
use loadkit::core::{
    Conditions, Control, Host, Job, Judge, Report, RunFacts, RunId, Seed, Target, Verdict, Virtual, run,
};
use loadkit::transport::Rudp;
use loadkit::{Bot, Cx, Hz, Plan, Result, RunInfo, Scenario, Seat};
use loadkit_tests::{Delay, Echo, Ping, listen};

/// Players who ask, and both servers beside them.
struct Both {
    old: Delay,
    new: Delay,
}

struct Asker;

impl Scenario for Both {
    type Bot = Asker;

    fn bot(&self, _: Seat) -> Asker {
        Asker
    }

    fn shard(&self, _: &RunInfo) {
        listen("old", self.old);
        listen("new", self.new);
    }
}

impl Bot for Asker {
    async fn run(&mut self, cx: &Cx) -> Result {
        let name = if cx.seat().party() % 2 == 1 { "mem://old" } else { "mem://new" };
        assert_eq!(cx.target().name(), name, "parties take turns");
        let game = cx.connect(Rudp::new(Echo)).await?;
        let mut ticks = cx.ticks(Hz(10.0));
        while ticks.next().await.is_some() {
            cx.step("ask", game.call(Ping)).await?;
        }
        cx.step("leave", game.close()).await
    }
}

fn play(old: Delay, new: Delay) -> Report {
    let time = Duration::from_secs(70);
    let plan = Plan::builder().bots(40).ramp(Duration::from_secs(8)).duration(time).party(2).build().unwrap();
    let target = Target::new("mem://new", vec![]).against(Target::new("mem://old", vec![]));
    let job = Job { shards: 2, ..Job::whole(RunId(1), plan, target, Seed(3)) };
    let host: Arc<dyn Host> = Arc::new(Virtual);
    let mut judge = Judge::new(&[], job.plan.interval());
    let ended = run(&Arc::new(Both { old, new }), &job, &host, &Control::new(), &mut judge).unwrap();
    let judgement = judge.judgement(&Conditions::new(time, &ended, 0, true));
    let mut report = Report::new(RunFacts::new(&job, "both", 0), judge.collector(), judgement);
    report.take_gate(compare_sides(judge.collector(), time, &GateOptions::default()));
    report
}

/// From 20 to 27 ms, and some more.
fn usual(nth: u64) -> Duration {
    Duration::from_micros(20_000 + nth * 7_919 % 7_000)
}

#[test]
fn the_slower_build_fails_and_the_same_one_does_not() {
    let report = play(usual, |nth| usual(nth).mul_f64(1.1));
    assert_eq!(report.judgement.verdict, Verdict::Fail, "{:#?}", report.gate);
    let text = &report.judgement.reasons[0].text;
    assert!(text.contains("ask") && text.contains("slower"), "{text}");
    let gate = report.gate.as_ref().unwrap();
    println!("{}", gate_summary(gate));
    assert!(gate.paired && gate.compared_s > 55.0 && gate.from_s >= 8.0, "{gate:?}");
    // The report has both sides, and they are not counted twice.
    let [all, old, new] =
        ["ask", "ask{target=baseline}", "ask{target=candidate}"].map(|step| report.steps[step].succeeded);
    assert!(all == old + new && old.abs_diff(new) < all / 20, "{all} = {old} + {new}");
    let again: Report = serde_json::from_str(&serde_json::to_string(&report).unwrap()).unwrap();
    assert_eq!(again.gate.unwrap().verdict, Verdict::Fail);

    let same = play(usual, usual);
    assert_eq!(same.judgement.verdict, Verdict::Pass, "{:#?}", same.gate);
}
