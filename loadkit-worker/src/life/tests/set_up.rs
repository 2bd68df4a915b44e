//! A scenario's set-up comes before the start, and takes as long as it takes.

use std::sync::Mutex;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::fleet::{Fleet, START, plan};
use crate::life::{Ending, Worker, lead};
use crate::{Command, Phase, StopWord};

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// A worker whose scenario's set-up is done when it is told so.
fn slow(fleet: &Fleet) -> (Worker, SyncSender<()>) {
    let (release, released) = sync_channel::<()>(1);
    let released = Mutex::new(released);
    let client = fleet.walk_with(move || {
        released.lock().unwrap().recv().unwrap();
        Ok(())
    });
    (fleet.worker_of(client), release)
}

#[tokio::test(start_paused = true)]
async fn a_long_set_up_is_waited_for_and_takes_nothing_of_the_plan() {
    let fleet = Fleet::new(&plan()).await;
    let (worker, release) = slow(&fleet);
    let began = Instant::now();
    let beside = async {
        sleep(START + secs(1)).await;
        let lease = fleet.lease(&worker.job).await;
        assert_eq!((lease.phase, lease.status.preparing), (Phase::Waiting, true));
        // The fleet puts the start off.
        fleet.command(Command::starting(fleet.start_ms() + 30_000)).await;
        sleep(secs(9)).await;
        release.send(()).unwrap();
        // It says at once that it is ready.
        sleep(secs(5)).await;
        let lease = fleet.lease(&worker.job).await;
        assert_eq!((lease.phase, lease.status.preparing), (Phase::Waiting, false));
    };
    let (outcome, ()) = tokio::join!(lead(&worker), beside);
    assert_eq!((outcome.outcome, outcome.closed), (Ending::Played, true));
    assert!(began.elapsed() > START + secs(30 + 59), "{:?}", began.elapsed());
    let lease = fleet.lease(&worker.job).await;
    assert_eq!(lease.status.late_ms, 0);
    let steps = fleet.figures().0.totals().count("steps walked");
    assert!((4 * 119..=4 * 121).contains(&steps), "{steps}");
}

#[tokio::test(start_paused = true)]
async fn who_is_set_up_after_the_start_begins_late() {
    let fleet = Fleet::new(&plan()).await;
    let (worker, release) = slow(&fleet);
    let beside = async {
        sleep(START + secs(20)).await;
        release.send(()).unwrap();
    };
    let (outcome, ()) = tokio::join!(lead(&worker), beside);
    assert_eq!(outcome.outcome, Ending::Played);
    let late_ms = fleet.lease(&worker.job).await.status.late_ms;
    // Virtual time runs on while the engine's thread goes on.
    assert!((20_000..21_000).contains(&late_ms), "{late_ms}");
    assert_eq!(fleet.figures().0.totals().started, 4);
    // And one that is never set up says so.
    let fleet = Fleet::new(&plan()).await;
    let (worker, _release) = slow(&fleet);
    let outcome = lead(&worker).await;
    assert_eq!((outcome.outcome, outcome.closed, outcome.stuck), (Ending::Failed, true, true));
    assert!(outcome.words.contains("it was not set up"), "{}", outcome.words);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_stopped_meanwhile_waits_for_no_set_up() {
    for is_done in [false, true] {
        let fleet = Fleet::new(&plan()).await;
        let (worker, release) = slow(&fleet);
        let stopped = Instant::now() + secs(5);
        let beside = async {
            sleep(secs(5)).await;
            fleet.stop(StopWord::Drain).await;
            if is_done {
                release.send(()).unwrap();
            }
        };
        let (outcome, ()) = tokio::join!(lead(&worker), beside);
        assert_eq!((outcome.outcome, outcome.closed, outcome.stuck), (Ending::Over, true, !is_done));
        assert!(stopped.elapsed() < secs(15), "{:?}", stopped.elapsed());
        assert_eq!(fleet.figures().1, 0);
    }
}
