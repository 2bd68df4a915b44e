//! Thresholds over time.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::metrics::{Recorder, RunId, SnapshotKey};

const SECOND: Duration = Duration::from_secs(1);

/// Snapshots of one shard, one a second: in the second `n` so many logins of so many milliseconds, and what `more` does.
fn seconds(count: u64, logins: impl Fn(u64) -> (u64, u64), more: impl Fn(u64, &mut Recorder)) -> Vec<Snapshot> {
    let mut recorder = Recorder::new();
    let snapshot = |n| {
        let id = recorder.step_id("login");
        let (often, ms) = logins(n);
        (0..often).for_each(|_| recorder.step_ok(id, SECOND, Duration::from_millis(ms)));
        more(n, &mut recorder);
        let key = SnapshotKey { run: RunId(1), worker: 0, shard: 0, attempt: 0, seq: n };
        let taken = recorder.take().snapshot(key, n * 1_000_000, (n + 1) * 1_000_000);
        Snapshot { active: 1, connected: 1, planned: 1, started: 1, finished: 1, ..taken }
    };
    (0..count).map(snapshot).collect()
}

fn judge_of(thresholds: &[&str], snapshots: &[Snapshot]) -> Judge {
    let thresholds: Vec<Threshold> = thresholds.iter().map(|text| Threshold::parse(text).unwrap()).collect();
    let mut judge = Judge::new(&thresholds, SECOND);
    snapshots.iter().for_each(|snapshot| assert_eq!(judge.apply(snapshot), Applied::New));
    judge
}

fn judged(thresholds: &[&str], snapshots: &[Snapshot]) -> Judgement {
    let planned = SECOND * snapshots.len() as u32;
    judge_of(thresholds, snapshots).judgement(&Conditions::new(planned, &Ended::default(), 2, true))
}

fn nothing(_: u64, _: &mut Recorder) {}

#[test]
fn the_worst_window_counts_and_says_when_it_was() {
    // Ten bad seconds of 600 are not in the 95th percentile of all, but in that of their window.
    let snapshots = seconds(600, |n| (10, if (300..310).contains(&n) { 900 } else { 10 }), nothing);
    let judgement = judged(
        &[
            "p95(login) < 20ms",
            "p95(login) over 30s < 20ms",
            "p95(login) over 30s after 5m20s < 20ms",
            "rate(login) over 1m >= 10/s",
        ],
        &snapshots,
    );
    let outcomes: Vec<Check> = judgement.thresholds.iter().map(|checked| checked.outcome).collect();
    assert_eq!(outcomes, [Check::Met, Check::Missed, Check::Met, Check::Met]);
    // Windows begin from 0:00 to 9:30; those that hold more than 5 % of the bad seconds miss it.
    let evidence = judgement.thresholds[1].evidence.as_deref().unwrap();
    assert_eq!(evidence, "the worst of 571 windows of 30s, from 4:32 on; 37 missed it");
    assert!(judgement.reasons[0].text.contains("900ms, which is 880ms"), "{}", judgement.reasons[0].text);
}

#[test]
fn what_did_not_happen_happened_no_times() {
    let snapshots = seconds(60, |n| (u64::from(n < 20), 10), nothing);
    let judgement =
        judged(&["rate(login) over 10s > 0.5/s", "p50(login) over 10s < 1s", "p99(login) over 10s < 1s"], &snapshots);
    assert_eq!(judgement.thresholds[0].value, Some(0.0));
    // Windows with too little in them say nothing, and are counted.
    let evidence = judgement.thresholds[1].evidence.as_deref().unwrap();
    assert!(evidence.contains("of 19 windows") && evidence.contains("32 had too few"), "{evidence}");
    assert!(
        judgement.reasons[0].text.contains("the 100 samples that p99 needs; the most were 10"),
        "{:?}",
        judgement.reasons
    );
}

#[test]
fn what_was_before_its_time_is_left_out() {
    let snapshots = seconds(60, |n| (10, if n < 30 { 500 } else { 10 }), nothing);
    let judgement = judged(
        &["max(login) after 30s < 20ms", "count(login) after 30s <= 300", "rate(login) after 30s >= 10/s"],
        &snapshots,
    );
    assert_eq!(judgement.verdict, Verdict::Pass, "{:?}", judgement.reasons);
    assert_eq!(judged(&["max(login) after 29s < 20ms"], &snapshots).verdict, Verdict::Fail);
}

#[test]
fn what_grows_drifts() {
    let grows = |n: u64, recorder: &mut Recorder| {
        recorder.gauge("memory", 1e6 * (1.0 + 0.02 * n as f64 / 3_600.0), SECOND);
        recorder.gauge("flat", 1e6 + (n % 7) as f64, SECOND);
    };
    // Two hours: longer than there are cells.
    let snapshots = seconds(7_200, |n| (1, 100 + n / 72), grows);
    let judgement = judged(
        &[
            "drift(memory) > 1.9%/h",
            "drift(memory) < 2%/h",
            "drift(flat) < 0.1%/h",
            "drift(p50(login)) > 30%/h",
            "drift(p50(login)) < 36%/h",
        ],
        &snapshots,
    );
    assert_eq!(judgement.verdict, Verdict::Pass, "{:?}", judgement.reasons);
    assert!(judge_of(&["drift(memory) < 2%/h"], &snapshots).rules[0].watch.as_ref().unwrap().len() <= 256);
}

#[test]
fn a_run_is_ended_when_it_has_been_bad_for_long_enough() {
    let bad = |n: u64| (10, if (20..25).contains(&n) || n >= 40 { 500 } else { 10 });
    let control = Control::new();
    let thresholds = [Threshold::parse("p90(login) over 5s < 100ms else abort after 10s").unwrap()];
    let mut judge = Judge::new(&thresholds, SECOND).with_control(&control);
    let ended = seconds(100, bad, nothing).iter().position(|snapshot| {
        judge.apply(snapshot);
        control.asked() == Stop::Drain
    });
    // The window is bad from its first bad second on; the first bad time is too short, and the second begins at 40 s.
    assert_eq!(ended, Some(51), "{:?}", judge.aborted());
    let judgement = judge.judgement(&Conditions::new(SECOND * 100, &Ended::default(), 2, true));
    assert_eq!(judgement.verdict, Verdict::Fail);
    let text = &judgement.reasons[0].text;
    assert!(text.starts_with("the run was ended at 0:51: p90(login) over 5s < 100ms else abort"), "{text}");
}

#[test]
fn memory_does_not_grow_with_the_run() {
    let judge =
        judge_of(&["p50(login) over 30s < 1s", "p50(login) after 1m < 1s"], &seconds(5_000, |_| (2, 10), nothing));
    let lengths: Vec<usize> = judge.rules.iter().map(|rule| rule.watch.as_ref().unwrap().len()).collect();
    assert_eq!(lengths, [90, 1]);
    let judgement = judge.judgement(&Conditions::new(SECOND * 5_000, &Ended::default(), 2, true));
    assert!(judgement.thresholds[0].evidence.as_ref().unwrap().contains("4,971 windows"), "{judgement:?}");
}

#[test]
fn a_time_that_no_run_has_is_counted_and_not_reckoned_with() {
    let mut snapshots = seconds(60, |_| (10, 10), nothing);
    let far = Snapshot { from_us: u64::MAX - 1_000_000, to_us: u64::MAX, ..snapshots[59].clone() };
    snapshots[59] = Snapshot { key: snapshots[59].key, ..far };
    let judge = judge_of(&["p50(login) over 10s < 1s"], &snapshots);
    let judgement = judge.judgement(&Conditions::new(SECOND * 60, &Ended::default(), 2, true));
    let evidence = judgement.thresholds[0].evidence.as_deref().unwrap();
    assert!(evidence.contains("50 windows") && evidence.contains("1 snapshot came too late"), "{evidence}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// As long as nothing comes later than by what is kept, the order does not matter.
    #[test]
    fn in_any_order(order in Just((0..120).collect::<Vec<usize>>()).prop_shuffle(), times in prop::collection::vec((0..5_u64, 1..1_000_u64), 120)) {
        let thresholds = ["p50(login) over 1m < 400ms", "mean(login) after 30s < 1s", "drift(p50(login)) < 1%/h", "max(login) over 30s after 1m < 1s"];
        let mut snapshots = seconds(120, |n| times[n as usize], nothing);
        let straight = judged(&thresholds, &snapshots);
        let whole = snapshots.clone();
        snapshots.clear();
        snapshots.extend(order.into_iter().map(|at| whole[at].clone()));
        let shuffled = judged(&thresholds, &snapshots);
        prop_assert_eq!(straight.thresholds, shuffled.thresholds);
    }
}
