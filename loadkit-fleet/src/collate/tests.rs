//! Collations that read parcels in every order, and are taken up again.

use loadkit_core::{GaugeDelta, HistogramDelta, SnapshotKey, StepDelta};
use loadkit_sinks::Interval;
use loadkit_worker::{MemoryStore, Parcels};

use super::*;
use crate::rollup::{self, CHANGING, WIDTHS};

const RUN: RunId = RunId(7);
const SECOND_US: u64 = 1_000_000;

/// A second of a worker.
fn snapshot(worker: u32, second: u64) -> Snapshot {
    let key = SnapshotKey { run: RUN, worker, shard: 0, attempt: 0, seq: second };
    // Below 2,048 each value has a bucket of its own.
    let times: BTreeSet<u64> = (0..20).map(|n| (n * n * 31 + second * 17 + u64::from(worker)) % 2_000).collect();
    let (sum, min, max) = (times.iter().map(|time| u128::from(*time)).sum(), times.first(), times.last());
    let (min, max) = (*min.unwrap(), *max.unwrap());
    let times = HistogramDelta { buckets: times.into_iter().map(|time| (time, 1)).collect(), sum, min, max };
    let step = StepDelta { response: times.clone(), service: times, failures: vec![("late".into(), second % 3)] };
    let at = Duration::from_secs(second);
    Snapshot {
        steps: vec![("login".into(), step)],
        counts: vec![("shots".into(), second + u64::from(worker))],
        gauges: vec![("level".into(), GaugeDelta::new(f64::from(worker), at))],
        active: second + u64::from(worker),
        started: 1,
        ..Snapshot::empty(key, second * SECOND_US, (second + 1) * SECOND_US)
    }
}

/// A worker's parcels, of two seconds each.
fn parcels(worker: u32, seconds: u64) -> Vec<Item> {
    let mut parcels = Parcels::new(RUN, worker, 0);
    let of_two = |n: u64| parcels.pack(&[snapshot(worker, n * 2), snapshot(worker, n * 2 + 1)]).unwrap();
    (0..seconds / 2).flat_map(of_two).map(|parcel| Item::new(keys::parcel(&parcel), parcel.bytes)).collect()
}

fn plan() -> Plan {
    Plan::default()
}

/// What the windows of a width come to, straight from the snapshots.
fn truth(workers: &[u32], seconds: u64, width: Duration) -> Vec<Interval> {
    let width_us = width.as_micros() as u64;
    let mut windows = vec![Interval::default(); (seconds * SECOND_US).div_ceil(width_us) as usize];
    for &worker in workers {
        for snapshot in (0..seconds).map(|second| snapshot(worker, second)) {
            windows[((snapshot.to_us - 1) / width_us) as usize].add(&snapshot);
        }
    }
    for (nth, window) in (0..).zip(&mut windows) {
        (window.from_us, window.to_us) = (nth * width_us, (nth + 1) * width_us);
        let last = (window.to_us / SECOND_US).min(seconds) - 1;
        window.players.active = workers.iter().map(|worker| snapshot(*worker, last).active).sum();
    }
    windows
}

async fn rollups_are_true(store: &MemoryStore, workers: &[u32], seconds: u64) {
    for (width, _) in &WIDTHS[..CHANGING] {
        let width = *width;
        let mut there = rollup::read(store, RUN, width, Duration::ZERO, 10_000).await.unwrap();
        there.iter_mut().for_each(|window| window.epoch_us = 0);
        assert_eq!(there, truth(workers, seconds, width), "{width:?}");
    }
}

fn totals(workers: &[u32], seconds: u64) -> Judge {
    let mut judge = Judge::new(plan().thresholds(), plan().interval());
    for &worker in workers {
        for second in 0..seconds {
            judge.apply(&snapshot(worker, second));
        }
    }
    judge
}

#[tokio::test]
async fn a_whole_run_at_once_is_what_it_was() {
    let (store, seconds) = (MemoryStore::new(), 250);
    // In two partitions.
    let workers = [0, 1, 65];
    for worker in workers {
        store.put_all(parcels(worker, seconds)).await.unwrap();
    }
    let mut collation = Collation::new(RUN, 66, &plan(), 0);
    collation.sweep(&store, 0).await.unwrap();
    assert_eq!(collation.judge().collector(), totals(&workers, seconds).collector());
    rollups_are_true(&store, &workers, seconds).await;
}

#[tokio::test]
async fn what_is_late_is_found_by_the_next_pass() {
    let (store, seconds) = (MemoryStore::new(), 60);
    let mut late = Vec::new();
    for (worker, at) in [(0, 18), (1, 3), (2, 0)] {
        let mut parcels = parcels(worker, seconds);
        late.push(parcels.remove(at));
        store.put_all(parcels.drain(..20).collect()).await.unwrap();
        late.append(&mut parcels);
    }
    let mut collation = Collation::new(RUN, 3, &plan(), 0);
    let added = collation.pass(&store, 41_000, 0).await.unwrap();
    assert_eq!((added, collation.pass(&store, 42_000, 0).await.unwrap()), (60, 0));
    // One after the other: first those in gaps, then what goes on.
    for item in late {
        store.put_all(vec![item]).await.unwrap();
        assert_eq!(collation.pass(&store, 43_000, 0).await.unwrap(), 1);
    }
    assert_eq!(collation.judge().collector(), totals(&[0, 1, 2], seconds).collector());
    rollups_are_true(&store, &[0, 1, 2], seconds).await;
}

#[tokio::test]
async fn passes_read_from_where_all_have_told() {
    let store = MemoryStore::new();
    for worker in 0..3 {
        store.put_all(parcels(worker, if worker == 2 { 34 } else { 50 })).await.unwrap();
    }
    let mut collation = Collation::new(RUN, 3, &plan(), 0);
    assert_eq!(collation.first_open(0, 4), 0, "nobody has come");
    collation.pass(&store, 49_000, 0).await.unwrap();
    assert_eq!(collation.first_open(0, 4), 3, "worker 2 has told of half a minute");
    assert_eq!(collation.first_open(0, 8), 4, "it was silent for as long as slots are open");
    let mut other = Collation::new(RUN, 4, &plan(), 0);
    other.pass(&store, 49_000, 0).await.unwrap();
    assert_eq!(other.first_open(0, 4), 0, "worker 3 may yet tell of anything");
}

#[tokio::test]
async fn taken_up_it_goes_on_as_if_nothing_had_been() {
    let (store, workers) = (MemoryStore::new(), 3);
    let all = (0..workers).map(|worker| parcels(worker, 140));
    let (before, after): (Vec<Vec<Item>>, Vec<_>) = all.map(|mut all| (all.drain(..60).collect(), all)).unzip();
    store.put_all(before.concat()).await.unwrap();
    let mut collation = Collation::new(RUN, workers, &plan(), 0);
    for second in [20, 60, 121] {
        collation.pass(&store, second * 1_000, 0).await.unwrap();
    }
    collation.put_aside(&store, 0).await.unwrap();
    let mut again = Collation::take_up(&store, RUN, workers, &plan(), 0).await.unwrap();
    store.put_all(after.concat()).await.unwrap();
    again.pass(&store, 141_000, 0).await.unwrap();
    assert!(again.take_faults().0.is_empty());
    assert_eq!(again.judge().collector(), totals(&[0, 1, 2], 140).collector());
    rollups_are_true(&store, &[0, 1, 2], 140).await;
}

/// The windows that are made of others, of those that end by then.
async fn wide_windows_are_true(store: &MemoryStore, workers: &[u32], seconds: u64, by_s: u64) {
    for (width, _) in &WIDTHS[CHANGING..] {
        let there = rollup::read(store, RUN, *width, Duration::ZERO, 10_000).await.unwrap();
        let mut truth = truth(workers, seconds, *width);
        truth.truncate((by_s / width.as_secs()) as usize);
        assert_eq!(there, truth, "{width:?}");
    }
}

#[tokio::test]
async fn wide_windows_are_written_once_they_are_whole_whoever_looks_after_the_run() {
    let (store, workers, seconds) = (MemoryStore::new(), [0, 1], 1_300_u64);
    let mut unsent: Vec<Item> = workers.into_iter().flat_map(|worker| parcels(worker, seconds)).collect();
    let mut collation = Collation::new(RUN, 2, &plan(), 0);
    for second in (20..=seconds).step_by(20) {
        let is_due =
            |item: &Item| Place::read(&item.key.sort).is_some() && item.key.sort < keys::slot(second as u32 / 10);
        let (due, later) = unsent.into_iter().partition(is_due);
        unsent = later;
        store.put_all(due).await.unwrap();
        collation.pass(&store, second * 1_000, 0).await.unwrap();
        // A keeper for each quarter of an hour or so, as on Lambda.
        if second.is_multiple_of(260) {
            collation.put_aside(&store, 0).await.unwrap();
            if second == 780 {
                // As a build leaves it that knew of no wide windows.
                for (width, _) in &WIDTHS[CHANGING..] {
                    let part = format!("rollup/{RUN}/{}", width.as_secs());
                    let written = store.list(&part, "", None, 10_000).await.unwrap().items;
                    store.delete_all(written.into_iter().map(|item| item.key).collect()).await.unwrap();
                }
            }
            collation = Collation::take_up(&store, RUN, 2, &plan(), 0).await.unwrap();
        }
    }
    assert!(unsent.is_empty());
    // A minute may still change for a minute.
    wide_windows_are_true(&store, &workers, seconds, seconds - 60).await;
    rollups_are_true(&store, &workers, seconds).await;
}
