use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::testing::{gauge, snapshot, step};

const SECOND: Duration = Duration::from_secs(1);

fn all(merger: &mut Merger) -> Vec<Interval> {
    std::iter::from_fn(|| merger.next()).collect()
}

#[test]
fn shards_make_one_figure_and_percentiles_are_of_all_values() {
    let mut merger = Merger::new(SECOND, 2);
    let of = |shard, values: &[u64]| Snapshot {
        steps: vec![("login".into(), step(values))],
        counts: vec![("moves".into(), 3)],
        gauges: vec![("depth".into(), gauge(f64::from(shard)))],
        active: 5,
        connected: 4,
        planned: 6,
        started: 5,
        ..snapshot(shard, 0, 0, 1_000)
    };
    merger.add(&of(0, &[10; 99]));
    assert_eq!(all(&mut merger), [], "the other shard is waited for");
    merger.add(&of(1, &[1_000]));
    let [interval] = all(&mut merger).try_into().unwrap();
    let login = &interval.steps["login"];
    assert_eq!((login.response.count(), login.response.quantile(0.99), login.response.max), (100, 10, 1_000));
    assert_eq!((interval.counts["moves"], interval.gauges["depth"].reading.last), (6, 1.0));
    let players = &interval.players;
    assert_eq!((players.active, players.connected, players.planned, players.started), (10, 8, 12, 10));
    assert_eq!((interval.from_us, interval.to_us), (0, 1_000_000));
}

#[test]
fn a_shard_that_has_ended_is_not_waited_for() {
    let mut merger = Merger::new(SECOND, 2);
    let active = |shard, seq, to, active| Snapshot { active, ..snapshot(shard, seq, to - 1_000, to) };
    merger.add(&active(0, 0, 1_000, 5));
    merger.add(&active(1, 0, 1_000, 5));
    // The second ends in mid-interval, with nobody left.
    merger.add(&Snapshot { active: 0, ..snapshot(1, 1, 1_000, 1_300) });
    let mut given = Vec::new();
    for second in 2..8 {
        merger.add(&active(0, second - 1, second * 1_000, 5));
        given.extend(all(&mut merger).iter().map(|interval| (interval.to_us / 1_000, interval.players.active)));
    }
    assert_eq!(given, [(1_000, 10), (2_000, 5), (3_000, 5), (4_000, 5), (5_000, 5), (6_000, 5), (7_000, 5)]);
}

#[test]
fn what_comes_late_is_in_the_next_interval() {
    let mut merger = Merger::new(SECOND, 2);
    let moves =
        |shard, seq, from, to, n| Snapshot { counts: vec![("moves".into(), n)], ..snapshot(shard, seq, from, to) };
    merger.add(&moves(0, 0, 0, 1_000, 1));
    merger.add(&moves(0, 1, 1_000, 2_000, 2));
    merger.add(&moves(0, 2, 2_000, 3_000, 4));
    assert_eq!(all(&mut merger).len(), 1, "the second shard is two behind");
    merger.add(&moves(1, 0, 0, 1_000, 8));
    merger.end();
    let counts: Vec<u64> = all(&mut merger).iter().map(|interval| interval.counts["moves"]).collect();
    assert_eq!(counts, [8 + 2, 4]);
}

#[test]
fn names_are_bounded() {
    let mut merger = Merger::new(SECOND, 1);
    let counts = (0..2_000).map(|n| (format!("c{n}"), 1)).collect();
    merger.add(&Snapshot { counts, ..snapshot(0, 0, 0, 1_000) });
    let [interval] = all(&mut merger).try_into().unwrap();
    assert_eq!((interval.counts.len(), interval.names_left_out), (1_024, 976));
}

/// What a shard sends: after each interval so many values, or nothing because it joins it to the next.
fn shards() -> impl Strategy<Value = Vec<Vec<Option<u64>>>> {
    prop::collection::vec(prop::collection::vec(prop::option::weighted(0.8, 0_u64..2_000), 1..12), 1..5)
}

proptest! {
    #[test]
    fn all_comes_out_once_in_whatever_order_it_came(
        shards in shards(),
        order in prop::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 0..80),
    ) {
        let mut all_snapshots = Vec::new();
        let mut expected = (0, 0_u64, Interval::default());
        for (shard, values) in (0_u32..).zip(&shards) {
            let (mut from, mut seq) = (0, 0);
            for (nth, value) in (1_u64..).zip(values) {
                let Some(value) = value else { continue };
                let steps = vec![("s".to_owned(), step(&[*value]))];
                let counts = vec![("c".to_owned(), value + 1)];
                let snapshot = Snapshot { steps, counts, started: 1, ..snapshot(shard, seq, from, nth * 1_000) };
                expected.0 += value + 1;
                expected.1 += 1;
                expected.2.add(&snapshot);
                all_snapshots.push(snapshot);
                (from, seq) = (nth * 1_000, seq + 1);
            }
        }
        // In any order, and some of them twice.
        let mut merger = Merger::new(SECOND, shards.len());
        let mut left = all_snapshots;
        for (index, again) in order {
            if left.is_empty() { break }
            let snapshot = left.swap_remove(index.index(left.len()));
            merger.add(&snapshot);
            if again {
                merger.add(&snapshot);
            }
        }
        left.iter().for_each(|snapshot| merger.add(snapshot));
        merger.end();
        let given = super::tests::all(&mut merger);

        let mut sum = Interval::default();
        let mut covered = 0;
        for interval in &given {
            prop_assert_eq!(interval.from_us, covered);
            prop_assert!(interval.to_us >= covered);
            covered = interval.to_us;
            sum.players.started += interval.players.started;
            *sum.counts.entry("c".into()).or_default() += interval.counts.get("c").copied().unwrap_or(0);
            if let Some(step) = interval.steps.get("s") {
                sum.steps.entry("s".into()).or_default().response.merge(&step.response);
            }
        }
        prop_assert_eq!(sum.counts.get("c").copied().unwrap_or(0), expected.0);
        prop_assert_eq!(sum.players.started, expected.1);
        prop_assert_eq!(sum.steps.get("s").map(|s| &s.response), expected.2.steps.get("s").map(|s| &s.response));
    }
}
