use std::time::Duration;

use super::*;
use crate::metrics::{Recorder, RunId, Snapshot, SnapshotKey, names};

/// A run of ten seconds in which ten players finished, and what `record` does besides.
fn run(record: impl FnOnce(&mut Recorder)) -> Snapshot {
    run_of([10, 10, 0], record)
}

fn run_of([started, finished, failed]: [u64; 3], record: impl FnOnce(&mut Recorder)) -> Snapshot {
    let mut recorder = Recorder::new();
    record(&mut recorder);
    let taken = recorder.take();
    let key = SnapshotKey { run: RunId(1), worker: 0, shard: 0, attempt: 0, seq: 0 };
    Snapshot {
        started,
        finished,
        failed: if failed > 0 { vec![("refused".into(), failed)] } else { Vec::new() },
        ..taken.snapshot(key, 0, 12_000_000)
    }
}

fn ok(recorder: &mut Recorder, step: &str, n: u64, ms: u64) {
    let id = recorder.step_id(step);
    (0..n).for_each(|_| recorder.step_ok(id, Duration::from_millis(1), Duration::from_millis(ms)));
}

fn lag(recorder: &mut Recorder, name: &str, n: u64, ms: u64) {
    let id = recorder.trend_id(name);
    (0..n).for_each(|_| recorder.trend(id, Duration::from_millis(ms)));
}

fn fine() -> Conditions {
    Conditions {
        planned: Duration::from_secs(10),
        asked: Stop::No,
        snapshots_lost: 0,
        shards_lost: 0,
        teardown: None,
        cores: 2,
        sharp_timers: true,
    }
}

fn judged(thresholds: &[&str], run: &Snapshot, conditions: &Conditions) -> Judgement {
    let thresholds: Vec<Threshold> = thresholds.iter().map(|text| Threshold::parse(text).unwrap()).collect();
    let mut judge = Judge::new(&thresholds, Duration::from_secs(1));
    judge.apply(run);
    judge.judgement(conditions)
}

/// The verdict and all its reasons in one text.
fn words(judgement: &Judgement) -> String {
    let reasons: Vec<&str> = judgement.reasons.iter().map(|reason| reason.text.as_str()).collect();
    format!("{}: {}", judgement.verdict, reasons.join(" | "))
}

#[test]
fn thresholds_are_met_or_missed_by_the_figures_they_name() {
    let totals = run_of([10, 9, 1], |recorder| {
        ok(recorder, "login", 180, 100);
        let login = recorder.step_id("login");
        (0..20).for_each(|_| recorder.step_failed(login, "refused"));
        lag(recorder, "age", 10, 40);
        let size = recorder.trend_id("size");
        recorder.trend(size, 500_u64);
        recorder.trend(size, 500_u64);
        recorder.gauge("queue", 7.0, Duration::from_secs(1));
        recorder.gauge("queue", 3.0, Duration::from_secs(2));
        let gold = recorder.count_id("gold");
        recorder.count(gold, 250);
    });
    let met = [
        "p99(login) < 101ms",
        "p99(login, service) < 2ms",
        "max(login) <= 100ms",
        "mean(login) >= 100ms",
        "errors(login) <= 10%",
        "errors <= 10%",
        "rate(login) >= 18/s",
        "rate(login) <= 18/s",
        "count(login) >= 180",
        "p50(age) < 41ms",
        "p50(size) > 499",
        "count(gold) >= 250",
        "rate(gold) >= 25/s",
        "min(login) >= 100ms",
        "last(queue) <= 3",
        "max(queue) <= 7",
        "min(queue) >= 3",
    ];
    let judgement = judged(&met, &totals, &fine());
    assert_eq!(words(&judgement), "PASS: ");
    assert_eq!(judgement.headline(), "all 17 thresholds are met");
    let judgement = judged(&["p99(login) < 80ms", "errors < 5%", "rate(gold) > 100/s"], &totals, &fine());
    assert_eq!((judgement.verdict, judgement.verdict.exit_code(), judgement.reasons.len()), (Verdict::Fail, 1, 3));
    assert_eq!(judgement.reasons[0].text, "p99(login) < 80ms was missed: 100ms, which is 20ms (25 %) too much");
    assert_eq!(judgement.reasons[2].text, "rate(gold) > 100/s was missed: 25/s, which is 75/s (75 %) too little");
    assert_eq!(judgement.thresholds[1].value, Some(0.1));
}

#[test]
fn a_threshold_without_data_is_invalid_and_says_what_there_is() {
    let totals = run(|recorder| {
        ok(recorder, "login", 5, 10);
        let buy = recorder.step_id("buy");
        recorder.step_failed(buy, "no-gold");
        recorder.gauge("queue", 7.0, Duration::from_secs(1));
        let size = recorder.trend_id("size");
        recorder.trend(size, 500_u64);
    });
    for (threshold, part) in [
        ("p99(lgin) < 1s", "lgin never ran; did you mean login? (there are: buy, login, size)"),
        ("p99(buy) < 1s", "no buy succeeded (1 failed)"),
        ("p99(login) < 5", "login is a step: compare it with a time"),
        ("p99(size) < 5ms", "size is a plain number"),
        ("p50(login) after 5s < 1s", "nothing of it came so late"),
        (
            "p90(login) < 1s",
            "p90 needs 10 samples, and there are 5: let it run longer, or ask for a lower percentile, such as p50",
        ),
        ("last(quue) < 1", "no gauge quue was ever set; did you mean queue? (there are: queue)"),
        ("p50(queue) < 1", "queue is a gauge: write last(queue)"),
        ("drift(queue) < 1%/h", "a drift needs ten intervals"),
        ("drift(quue) < 1%/h", "did you mean queue?"),
        ("errors(size) < 1%", "size is a trend, which has no errors"),
    ] {
        let judgement = judged(&[threshold, "count(login) > 100"], &totals, &fine());
        assert_eq!((judgement.verdict, judgement.verdict.exit_code()), (Verdict::Invalid, 3));
        assert!(judgement.reasons[0].text.contains(part), "{}", words(&judgement));
        assert_eq!(judgement.reasons[1].verdict, Verdict::Fail, "all reasons are listed, the worst first");
        assert_eq!(judgement.thresholds[0].outcome, Check::NoData);
    }
}

#[test]
fn a_sick_generator_makes_the_run_invalid() {
    type Sickness = fn(&mut Recorder);
    let table: [(Sickness, &str); 9] = [
        (|r| lag(r, names::TICK_LAG, 100, 11), "1 % of ticks began 11 ms or more after their time"),
        (|r| lag(r, names::START_LAG, 1, 1_001), "players started"),
        (|r| lag(r, names::WAKE_LAG, 100, 51), "replies waited 51 ms"),
        (
            |r| {
                let (sent, refused) = (r.count_id("net.packets_sent"), r.count_id(names::SENDS_REFUSED));
                r.count(sent, 1_000);
                r.count(refused, 11);
            },
            "kernel refused to send 11 packets",
        ),
        (
            |r| {
                lag(r, names::TICK_LAG, 100, 11);
                r.gauge(names::CPU, 1.95, Duration::ZERO);
            },
            "no CPU left: at its highest it used 1.95 of 2 cores",
        ),
        (
            |r| {
                lag(r, names::TICK_LAG, 100, 11);
                r.gauge(names::CPU_OTHERS, 1.25, Duration::ZERO);
            },
            "other processes on this machine used up to 1.25 of 2 cores",
        ),
        (
            |r| {
                lag(r, names::TICK_LAG, 100, 11);
                r.gauge(names::CPU_STOLEN, 0.5, Duration::ZERO);
            },
            "the host of this machine kept up to 0.5 of 2 cores",
        ),
        (
            |r| {
                lag(r, names::TICK_LAG, 100, 11);
                lag(r, names::LONG_TURNS, 3, 250);
            },
            "bots held up their shard: 3 turns took longer than 10 ms, the longest 250 ms",
        ),
        (
            |r| {
                let (received, dropped) = (r.count_id(names::PACKETS_RECEIVED), r.count_id(names::KERNEL_DROPS));
                r.count(received, 1_000);
                r.count(dropped, 11);
            },
            "kernel threw away 11 datagrams",
        ),
    ];
    for (sicken, part) in table {
        let totals = run(|recorder| {
            ok(recorder, "login", 5, 10);
            sicken(recorder);
        });
        let judgement = judged(&["p99(login) < 1ms"], &totals, &fine());
        assert_eq!(judgement.verdict, Verdict::Invalid);
        assert!(words(&judgement).contains(part), "{}", words(&judgement));
    }
    let totals = run(|recorder| ok(recorder, "login", 5, 10));
    let lost = Conditions { shards_lost: 1, snapshots_lost: 2, ..fine() };
    assert_eq!(judged(&[], &totals, &lost).reasons.len(), 2);
}

#[test]
fn a_little_of_it_does_not() {
    let totals = run(|recorder| {
        ok(recorder, "login", 5, 10);
        lag(recorder, names::TICK_LAG, 99, 500);
        lag(recorder, names::WAKE_LAG, 100, 50);
        let (sent, refused) = (recorder.count_id("net.packets_sent"), recorder.count_id(names::SENDS_REFUSED));
        recorder.count(sent, 1_000);
        recorder.count(refused, 10);
        recorder.gauge(names::CPU, 2.0, Duration::ZERO);
        // A machine that others use too, without harm.
        recorder.gauge(names::CPU_OTHERS, 1.0, Duration::ZERO);
        recorder.gauge(names::CPU_STOLEN, 1.0, Duration::ZERO);
        lag(recorder, names::LONG_TURNS, 1, 50);
        let (received, dropped) = (recorder.count_id(names::PACKETS_RECEIVED), recorder.count_id(names::KERNEL_DROPS));
        recorder.count(received, 1_000);
        recorder.count(dropped, 10);
    });
    let stopped = Conditions { asked: Stop::Drain, teardown: Some("no".into()), ..fine() };
    let judgement = judged(&[], &totals, &stopped);
    assert_eq!((judgement.verdict, judgement.verdict.exit_code()), (Verdict::Pass, 0));
    for (warning, part) in
        judgement.warnings.iter().zip(["no CPU left", "stopped: it lasted 0:12 (0:10 planned)", "teardown failed: no"])
    {
        assert!(warning.contains(part), "{warning}");
    }
    assert_eq!(judgement.warnings.len(), 3);
}

#[test]
fn a_run_in_which_nothing_happened_is_invalid() {
    let nobody = run_of([0, 0, 0], |_| ());
    assert_eq!(words(&judged(&[], &nobody, &fine())), "INVALID: no player was started");
    let refused = run_of([100, 0, 100], |recorder| {
        let connect = recorder.step_id("connect");
        (0..97).for_each(|_| recorder.step_failed(connect, "timed-out"));
        (0..3).for_each(|_| recorder.step_failed(connect, "refused"));
        recorder.sample("connect", "refused", "go away", 1, Duration::ZERO);
        recorder.sample("connect", "timed-out", "no answer in 5s", 2, Duration::ZERO);
    });
    let text = words(&judged(&[], &refused, &fine()));
    assert!(text.contains("of 100 players that tried, none got a single step done"), "{text}");
    assert!(text.contains("connect failed with timed-out (97 times): \"no answer in 5s\""), "{text}");
    assert!(text.contains("Is the server running"), "{text}");
    let silent = run_of([10, 0, 0], |_| ());
    assert!(words(&judged(&[], &silent, &fine())).contains("none of them got a step done"));
    let without_steps = run_of([10, 0, 0], |recorder| lag(recorder, "age", 10, 40));
    assert_eq!(judged(&[], &without_steps, &fine()).verdict, Verdict::Pass);
}

#[test]
fn a_run_in_which_most_players_failed_does_not_pass_unsaid() {
    let steps = |recorder: &mut Recorder| ok(recorder, "login", 200, 1);
    let conditions = Conditions::new(Duration::from_secs(10), &Ended::default(), 2, true);
    let judgement = judged(&[], &run_of([10, 4, 6], steps), &conditions);
    assert_eq!(judgement.verdict, Verdict::Fail);
    assert!(judgement.reasons[0].text.starts_with("6 of 10 players failed, most of them by `refused`"));
    assert_eq!(judged(&[], &run_of([10, 5, 5], steps), &conditions).verdict, Verdict::Pass);
    assert_eq!(judged(&["errors < 90%"], &run_of([10, 4, 6], steps), &conditions).verdict, Verdict::Pass);
}
