//! Judges put aside at any time.

use proptest::prelude::*;

use super::*;
use crate::engine::{Control, Ended, Stop};
use crate::metrics::{GaugeDelta, Recorder, RunId, Snapshot, SnapshotKey};
use crate::verdict::Conditions;

const SECOND: Duration = Duration::from_secs(1);

fn thresholds(texts: &[&str]) -> Vec<Threshold> {
    texts.iter().map(|text| Threshold::parse(text).unwrap()).collect()
}

fn of_all_kinds() -> Vec<Threshold> {
    thresholds(&[
        "p95(login) < 900ms",
        "errors < 50%",
        "p90(login) over 3s < 500ms",
        "rate(login) over 2m >= 1/s",
        "p50(login) after 5s < 400ms",
        "drift(p50(login)) < 500%/h",
        "last(level) < 0.3 else abort after 4s",
        "p90(login) over 3s < 800ms else abort after 6s",
    ])
}

/// A snapshot of one of three shards, whose figures follow from `chance`.
fn snapshot(worker: u32, seq: u64, chance: u64) -> Snapshot {
    let mut recorder = Recorder::new();
    let login = recorder.step_id("login");
    for i in 0..chance % 40 {
        let time = Duration::from_micros((chance >> 8).wrapping_mul(i + 1) % 1_000_000);
        recorder.step_ok(login, time, time * 2);
    }
    if chance.is_multiple_of(3) {
        recorder.step_failed(login, "refused");
        recorder.sample("login", "refused", format!("{chance}"), chance % 7, SECOND);
    }
    let count = recorder.count_id("net.packets_sent");
    recorder.count(count, chance);
    let lag = recorder.trend_id("loadkit.tick_lag");
    recorder.trend(lag, Duration::from_micros(chance % 5_000));
    let key = SnapshotKey { run: RunId(1), worker, shard: 0, attempt: 0, seq };
    let mut snapshot = recorder.take().snapshot(key, seq * 1_000_000, (seq + 1) * 1_000_000);
    let level = if chance.is_multiple_of(11) { f64::NAN } else { (chance % 997) as f64 / 997.0 };
    snapshot.gauges.push(("level".into(), GaugeDelta::new(level, SECOND * seq as u32)));
    Snapshot { active: 3, connected: 2, planned: 3, started: chance % 5, finished: chance % 4, ..snapshot }
}

fn conditions() -> Conditions {
    Conditions::new(30 * SECOND, &Ended::default(), 2, true)
}

/// All that can be seen of a judge, and all that it knows: as text and bytes, because a gauge that is no number equals
/// nothing.
fn seen(judge: &Judge) -> (String, Vec<u8>) {
    (format!("{:?} {:?}", judge.judgement(&conditions()), judge.aborted()), judge.save())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn put_aside_at_any_time_it_judges_as_if_it_had_not_been(
        chances in prop::collection::vec(any::<u64>(), 1..80),
        jumps in prop::collection::vec((0usize..6, 0u8..8), 1..80),
        at in 0usize..80,
    ) {
        let mut snapshots: Vec<Snapshot> =
            (0..).zip(&chances).map(|(n, chance)| snapshot((n % 3) as u32, n / 3, *chance)).collect();
        // Some come twice, some late, and some never.
        for (n, (jump, what)) in jumps.into_iter().enumerate() {
            let (here, there) = (n % snapshots.len(), (n + jump) % snapshots.len());
            match what {
                0 => drop(snapshots.remove(here)),
                1 => snapshots.push(snapshots[there].clone()),
                _ => snapshots.swap(here, there),
            }
            if snapshots.is_empty() {
                break;
            }
        }
        let thresholds = of_all_kinds();
        let mut whole = Judge::new(&thresholds, SECOND);
        let (before, after) = snapshots.split_at(at.min(snapshots.len()));
        before.iter().for_each(|snapshot| { whole.apply(snapshot); });
        let bytes = whole.save();
        let mut back = Judge::restore(&thresholds, SECOND, &bytes).unwrap();
        prop_assert_eq!(seen(&back), seen(&whole));
        let controls = [Control::new(), Control::new()];
        whole = whole.with_control(&controls[0]);
        back = back.with_control(&controls[1]);
        for snapshot in after {
            prop_assert_eq!(back.apply(snapshot), whole.apply(snapshot));
            prop_assert_eq!(back.aborted(), whole.aborted());
            prop_assert_eq!(controls[1].asked(), controls[0].asked());
        }
        prop_assert_eq!(seen(&back), seen(&whole));
        prop_assert_eq!(controls[0].asked() == Stop::Drain, whole.aborted().is_some());
    }

    #[test]
    fn damaged_bytes_are_refused(at in any::<prop::sample::Index>(), flip in 1u8.., cut in any::<prop::sample::Index>()) {
        let thresholds = of_all_kinds();
        let mut judge = Judge::new(&thresholds, SECOND);
        (0..20).for_each(|n| { judge.apply(&snapshot(0, n, n * 7_919 + 5)); });
        let bytes = judge.save();
        prop_assert!(Judge::restore(&thresholds, SECOND, &bytes[..cut.index(bytes.len())]).is_err());
        let mut other = bytes.clone();
        other[at.index(bytes.len())] ^= flip;
        // Some bits of gzip's head mean nothing.
        if let Ok(back) = Judge::restore(&thresholds, SECOND, &other) {
            prop_assert_eq!(seen(&back), seen(&judge));
        }
    }

    #[test]
    fn hostile_bytes_with_a_right_checksum_are_refused_or_harmless(
        noise in prop::collection::vec(any::<u8>(), 0..200), at in any::<prop::sample::Index>(),
    ) {
        let thresholds = of_all_kinds();
        let mut judge = Judge::new(&thresholds, SECOND);
        (0..9).for_each(|n| { judge.apply(&snapshot(0, n, n * 7_919 + 5)); });
        let mut plain = Vec::new();
        GzDecoder::new(&judge.save()[TAG.len()..]).read_to_end(&mut plain).unwrap();
        let at = at.index(plain.len());
        let end = (at + noise.len()).min(plain.len());
        plain[at..end].copy_from_slice(&noise[..end - at]);
        for plain in [&plain[..], &noise[..]] {
            let mut packed = GzEncoder::new(TAG.to_vec(), Compression::fast());
            packed.write_all(plain).unwrap();
            if let Ok(mut back) = Judge::restore(&thresholds, SECOND, &packed.finish().unwrap()) {
                back.judgement(&conditions());
                back.save();
                back.apply(&snapshot(0, 40, 3));
            }
        }
    }
}

#[test]
fn what_is_of_another_run_is_refused_by_name() {
    let judge = Judge::new(&thresholds(&["errors < 1%", "p99(login) < 1s"]), SECOND);
    let bytes = judge.save();
    let fault = |texts: &[&str], interval, bytes: &[u8]| {
        Judge::restore(&thresholds(texts), interval, bytes).unwrap_err().to_string()
    };
    let both = ["errors < 1%", "p99(login) < 1s"];
    assert_eq!(
        fault(&["errors < 1%", "p99(login) < 2s"], SECOND, &bytes),
        "the judge that was put aside has other thresholds: `p99(login) < 1s` where the plan has `p99(login) < 2s`"
    );
    assert!(fault(&["errors < 1%"], SECOND, &bytes).ends_with("`p99(login) < 1s` where the plan has `none`"));
    assert!(fault(&both, SECOND * 2, &bytes).ends_with("intervals of 1s, not 2s"));
    assert_eq!(Judge::restore(&[], SECOND, b"").unwrap_err(), RestoreError::Version);
    assert_eq!(Judge::restore(&[], SECOND, b"loadkit-judge/2\n").unwrap_err(), RestoreError::Version);
    assert!(matches!(Judge::restore(&[], SECOND, TAG).unwrap_err(), RestoreError::Damaged(_)));
}

#[test]
fn what_would_unpack_to_too_much_is_refused() {
    let mut packed = GzEncoder::new(TAG.to_vec(), Compression::fast());
    let zeros = vec![0; 1 << 20];
    (0..(MAX_BYTES >> 20) + 1).for_each(|_| packed.write_all(&zeros).unwrap());
    let bytes = packed.finish().unwrap();
    let error = Judge::restore(&[], SECOND, &bytes).unwrap_err();
    assert_eq!(error, RestoreError::Damaged("it is larger than any".to_owned()));
}

#[test]
fn a_typical_run_takes_less_than_a_mebibyte() {
    // 10 steps of 200 a second each, around 30 ms and with a long tail, for 300 points.
    let mut judge = Judge::new(&of_all_kinds(), SECOND);
    let mut recorder = Recorder::new();
    let mut state = 1_u64;
    let mut chance = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / 9_007_199_254_740_992.0
    };
    for n in 0..300 {
        for step in 0..10 {
            let id = recorder.step_id(&format!("step-{step}"));
            for _ in 0..200 {
                let time = Duration::from_secs_f64(0.01 + 0.02 / (1.001 - chance()).sqrt());
                recorder.step_ok(id, time, time);
            }
        }
        let key = SnapshotKey { run: RunId(1), worker: 0, shard: 0, attempt: 0, seq: n };
        judge.apply(&recorder.take().snapshot(key, n * 1_000_000, (n + 1) * 1_000_000));
    }
    let bytes = judge.save();
    assert!(bytes.len() < 1 << 20, "{}", bytes.len());
    assert_eq!(Judge::restore(&of_all_kinds(), SECOND, &bytes).unwrap().save(), bytes);
}
