//! Many snapshots at once, held against each alone.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::metrics::{Recorder, RunId, SnapshotKey};

const SECOND: Duration = Duration::from_secs(1);

/// A snapshot whose figures follow from `chance`; some intervals were joined from several.
fn snapshot(worker: u32, seq: u64, chance: u64) -> Snapshot {
    let mut recorder = Recorder::new();
    let spread = |n: u64| Duration::from_micros((chance >> 8).wrapping_mul(n * n + 1) % 3_000_000);
    for name in ["login", "move", "leave"].into_iter().take(chance as usize % 4) {
        let step = recorder.step_id(name);
        (0..chance % 40).for_each(|n| recorder.step_ok(step, spread(n), spread(n) * 2));
        if chance.is_multiple_of(3) {
            recorder.step_failed(step, if chance.is_multiple_of(2) { "refused" } else { "closed" });
            recorder.sample(name, "refused", format!("{chance}"), chance % 7, spread(1));
        }
    }
    let lag = recorder.trend_id("loadkit.tick_lag");
    recorder.trend(lag, spread(3));
    let count = recorder.count_id(if chance.is_multiple_of(5) { "shots" } else { "net.packets_sent" });
    recorder.count(count, chance >> 32);
    recorder.gauge("level", (chance % 997) as f64 / 997.0, SECOND * seq as u32);
    let key = SnapshotKey { run: RunId(1), worker, shard: (chance % 2) as u32, attempt: 0, seq };
    let from_us = seq.saturating_sub(if chance.is_multiple_of(13) { 3 } else { 0 }) * 1_000_000;
    let taken = recorder.take().snapshot(key, from_us, (seq + 1) * 1_000_000);
    let failed = vec![(format!("kind {}", chance % 3), chance % 2)];
    Snapshot {
        active: chance % 9,
        connected: 2,
        planned: 3,
        started: chance % 5,
        finished: chance % 4,
        failed,
        ..taken
    }
}

fn judge(thresholds: &[&str]) -> Judge {
    let thresholds: Vec<Threshold> = thresholds.iter().map(|text| Threshold::parse(text).unwrap()).collect();
    Judge::new(&thresholds, SECOND)
}

fn judgement(judge: &Judge) -> Judgement {
    judge.judgement(&Conditions::new(SECOND * 30, &Ended::default(), 2, true))
}

fn snapshots(chances: &[u64]) -> Vec<Snapshot> {
    (0..).zip(chances).map(|(n, chance)| snapshot((n % 5) as u32, n / 5, *chance)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn in_any_order_and_repeated_they_come_to_what_each_alone_does(
        chances in prop::collection::vec(any::<u64>(), 1..150),
        order in prop::collection::vec(any::<prop::sample::Index>(), 0..400),
        batch in 1_usize..120,
    ) {
        let thresholds = [
            "p95(login) < 900ms",
            "p90(login) over 3s < 500ms",
            "rate(shots) over 5s >= 1/s",
            "p50(move) after 5s < 400ms",
            "drift(p50(login)) < 500%/h",
            "last(level) < 0.3",
        ];
        let all = snapshots(&chances);
        // Some several times, some never.
        let sent: Vec<&Snapshot> = order.iter().map(|at| at.get(&all)).collect();
        let (mut alone, mut together, mut stretches) = (judge(&thresholds), judge(&thresholds), Collector::new(SECOND));
        let new = sent.iter().filter(|snapshot| alone.apply(snapshot) == Applied::New).count();
        let (mut told, mut shards) = (0, 0);
        for batch in sent.chunks(batch) {
            let packed: Vec<_> = batch.iter().map(|snapshot| snapshot.packed()).collect();
            let mut before_us = 0;
            told += together.apply_all(&packed, |stretch| {
                assert!(stretch.figures().to_us >= before_us, "in the order of their ends");
                before_us = stretch.figures().to_us;
                shards += stretch.shards().len();
                stretches.add(stretch);
            });
        }
        prop_assert_eq!((told, shards), (new, new));
        prop_assert_eq!(together.collector(), alone.collector());
        prop_assert_eq!(judgement(&together), judgement(&alone));
        // Who is told of the stretches has all that there is in them.
        prop_assert_eq!(stretches.totals(), alone.collector().totals());
        prop_assert!(stretches.points().eq(alone.collector().points()));
    }

    #[test]
    fn in_the_order_of_time_they_end_a_run_when_each_alone_does(
        chances in prop::collection::vec(any::<u64>(), 1..200),
        batch in 1_usize..60,
    ) {
        let thresholds = [
            "last(level) < 0.3 else abort after 4s",
            "rate(shots) < 700000000/s else abort after 2s",
            "p90(login) over 3s < 800ms else abort after 6s",
        ];
        let (mut alone, mut together) = (judge(&thresholds), judge(&thresholds));
        for batch in snapshots(&chances).chunks(batch) {
            batch.iter().for_each(|snapshot| { alone.apply(snapshot); });
            let packed: Vec<_> = batch.iter().map(Snapshot::packed).collect();
            together.apply_all(&packed, |_| {});
            prop_assert_eq!(together.aborted(), alone.aborted());
        }
        prop_assert_eq!(judgement(&together), judgement(&alone));
    }
}

#[test]
fn snapshots_meet_in_whole_seconds_and_whole_intervals() {
    let of = |ms: [u64; 2]| {
        let key = SnapshotKey { run: RunId(1), worker: 0, shard: 0, attempt: 0, seq: 0 };
        Snapshot::empty(key, ms[0] * 1_000, ms[1] * 1_000).packed()
    };
    let lengths = |interval: u64, all: &[[u64; 2]]| {
        let all: Vec<_> = all.iter().map(|ms| of(*ms)).collect();
        let mut lengths = Vec::new();
        Stretch::each(&all, Duration::from_millis(interval), |stretch| lengths.push(stretch.shards().len()));
        lengths
    };
    // The last intervals of shards are cut short.
    assert_eq!(lengths(1_000, &[[0, 1_000], [1_000, 1_400], [0, 1_000], [1_000, 1_700], [0, 2_000]]), [2, 1, 2]);
    assert_eq!(lengths(10_000, &[[0, 10_000], [0, 9_500], [0, 8_500], [10_000, 20_000]]), [1, 2, 1]);
    // Intervals of 300 ms and seconds have 100 ms in common.
    assert_eq!(lengths(300, &[[900, 1_200], [900, 1_150], [900, 1_100], [900, 1_000]]), [1, 1, 2]);
}
