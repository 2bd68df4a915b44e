//! What becomes of workers whose fleet is away, or has given them up.

use std::sync::atomic::Ordering;
use std::time::Duration;

use loadkit_core::{Ended, Failure, HistogramDelta, Snapshot, SnapshotKey, StepDelta};
use tokio::time::{Instant, sleep};

use super::fleet::{Fleet, START, plan};
use crate::life::{Ending, lead};

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

#[tokio::test(start_paused = true)]
async fn a_lost_lease_stops_everything_at_once() {
    let fleet = Fleet::new(&plan()).await;
    let worker = fleet.worker();
    let lost = Instant::now() + START + secs(15);
    let (outcome, ()) = tokio::join!(lead(&worker), async {
        sleep(START + secs(15)).await;
        fleet.give_up(&worker.job).await;
    });
    assert_eq!((outcome.outcome, outcome.is_well()), (Ending::Lost, false));
    assert!(lost.elapsed() < secs(4), "{:?}", lost.elapsed());
    assert!(outcome.words.contains("given the segment to another"), "{}", outcome.words);
}

#[tokio::test(start_paused = true)]
async fn a_fleet_that_is_away_for_a_while_misses_nothing() {
    let fleet = Fleet::new(&plan()).await;
    let worker = fleet.worker();
    let (outcome, ()) = tokio::join!(lead(&worker), async {
        for (pause, away) in [(0, true), (5, false), (15, true), (10, false)] {
            sleep(secs(pause)).await;
            fleet.wire.away.store(away, Ordering::SeqCst);
        }
        // The queue may be away for longer than a lease.
        fleet.wire.queue_away.store(true, Ordering::SeqCst);
        sleep(secs(35)).await;
        fleet.wire.queue_away.store(false, Ordering::SeqCst);
    });
    let end = outcome.end.unwrap();
    assert_eq!((outcome.outcome, outcome.closed), (Ending::Played, true));
    let (figures, parcels) = fleet.figures();
    assert_eq!((end.parcels, end.parcels_lost, end.snapshots_lost, end.cut_short), (parcels, 0, 0, None));
    let steps = figures.totals().count("steps walked");
    assert!((4 * 119..=4 * 121).contains(&steps), "{steps}");
}

#[tokio::test(start_paused = true)]
async fn a_fleet_that_is_away_for_ever_stops_the_players_within_a_lease() {
    let fleet = Fleet::new(&plan()).await;
    let worker = fleet.worker();
    let away = Instant::now() + START + secs(20);
    let (outcome, ()) = tokio::join!(lead(&worker), async {
        sleep(START + secs(20)).await;
        fleet.wire.away.store(true, Ordering::SeqCst);
    });
    let end = outcome.end.unwrap();
    assert_eq!((outcome.outcome, outcome.closed), (Ending::Played, false));
    assert!(end.cut_short.unwrap().contains("no word from the fleet for 15 s"));
    assert!(end.parcels_lost > 0 && end.parcels_lost < end.parcels, "{} of {}", end.parcels_lost, end.parcels);
    assert_eq!(fleet.figures().1 + end.parcels_lost, end.parcels);
    // The lease, the flush and the close.
    assert!(away.elapsed() < secs(15 + 15 + 16), "{:?}", away.elapsed());
}

#[tokio::test(start_paused = true)]
async fn who_never_reaches_the_fleet_ends_when_its_patience_does() {
    let fleet = Fleet::new(&plan()).await;
    fleet.wire.away.store(true, Ordering::SeqCst);
    let began = Instant::now();
    let outcome = lead(&fleet.worker()).await;
    assert_eq!(outcome.outcome, Ending::Unclaimed);
    assert!(began.elapsed() > secs(170) && began.elapsed() <= secs(180), "{:?}", began.elapsed());
    // Away from before the start on: it may have been put off.
    let fleet = Fleet::new(&plan()).await;
    fleet.change_order(|order| order.terms.patience_ms = 30_000).await;
    let worker = fleet.worker();
    let began = Instant::now();
    let (outcome, ()) = tokio::join!(lead(&worker), async {
        sleep(secs(2)).await;
        fleet.wire.away.store(true, Ordering::SeqCst);
        sleep(START + secs(35)).await;
        fleet.wire.away.store(false, Ordering::SeqCst);
    });
    assert!(outcome.words.contains("may have been put off"), "{}", outcome.words);
    assert!(began.elapsed() >= START + secs(30));
    assert_eq!(fleet.figures().1, 0);
}

#[tokio::test(start_paused = true)]
async fn a_claim_whose_answer_was_lost_is_no_other_workers() {
    let fleet = Fleet::new(&plan()).await;
    fleet.wire.mute.store(true, Ordering::SeqCst);
    let outcome = lead(&fleet.worker()).await;
    assert_eq!((outcome.outcome, outcome.closed), (Ending::Played, true));
    // When it has begun, the same name is too late.
    assert_eq!(lead(&fleet.worker()).await.outcome, Ending::Taken);
}

fn heavy(key: SnapshotKey, buckets: u64) -> Snapshot {
    let mut snapshot = Snapshot::empty(key, key.seq * 1_000_000, (key.seq + 1) * 1_000_000);
    let spread = |n: u64| n.wrapping_add(key.seq).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 4;
    let buckets = (0..buckets).map(|n| (spread(n), spread(n * 7))).collect();
    let response = HistogramDelta { buckets, ..HistogramDelta::default() };
    snapshot.steps.push(("step".into(), StepDelta { response, ..StepDelta::default() }));
    snapshot
}

#[tokio::test(start_paused = true)]
async fn parcels_that_are_too_large_are_sent_in_halves_and_the_rest_is_counted() {
    let fleet = Fleet::new(&plan()).await;
    let client = fleet.walk_instead(|job, _, sink| {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut snapshots_lost = 0;
        // Two of 1 MB make no parcel together, and one of more than 2 MB makes none at all.
        for (seq, buckets) in [(0, 60_000), (1, 60_000), (2, 10), (3, 140_000)] {
            let key = SnapshotKey { run: job.id, worker: job.worker, shard: 0, attempt: job.attempt, seq };
            let sent: Result<(), Failure> = runtime.block_on(sink.publish(&heavy(key, buckets)));
            snapshots_lost += u64::from(sent.is_err());
        }
        Ok(Ended { snapshots_lost, ..Ended::default() })
    });
    let outcome = lead(&fleet.worker_of(client)).await;
    let end = outcome.end.unwrap();
    assert_eq!((outcome.outcome, outcome.closed), (Ending::Played, true));
    assert_eq!((end.parcels_lost, end.snapshots_lost), (0, 1), "{end:?}");
    assert_eq!(fleet.figures().1, end.parcels);
}
