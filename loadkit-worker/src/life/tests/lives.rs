//! What becomes of workers whose fleet is there.

use std::time::Duration;

use loadkit_core::{Ended, Stamp};
use tokio::time::{Instant, sleep, sleep_until};

use super::fleet::{Fleet, RUN, START, no, noticed, plan};
use crate::life::{Ending, Notice, Outcome, Worker, lead};
use crate::{Command, Expect, Job, Phase, StopWord, keys, put_json};

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// Lives it beside what happens.
async fn lived(worker: &Worker, beside: impl Future<Output = ()>) -> Outcome {
    let (outcome, ()) = tokio::join!(lead(worker), beside);
    outcome
}

#[tokio::test(start_paused = true)]
async fn a_worker_plays_its_half_and_says_so() {
    let fleet = Fleet::new(&plan()).await;
    let worker = fleet.worker();
    let began = Instant::now();
    let outcome = lived(&worker, async {
        sleep(secs(5)).await;
        assert_eq!(fleet.lease(&worker.job).await.phase, Phase::Waiting);
        sleep(secs(30)).await;
        let lease = fleet.lease(&worker.job).await;
        assert_eq!((lease.phase, lease.status.active, lease.status.planned), (Phase::Playing, 4, 4));
        assert_eq!((lease.status.clock_ahead_ms, lease.status.home.as_str()), (3_000, "test"));
        assert!(lease.status.parcels >= 10, "{}", lease.status.parcels);
    })
    .await;
    assert_eq!((outcome.outcome, outcome.closed, outcome.stuck), (Ending::Played, true, false));
    // It began at the agreed time though its clock is three seconds fast, and ended with the plan.
    // Virtual time runs on while the fleet is set up and the engine's thread begins.
    let took = began.elapsed();
    assert!(took > START + secs(59) && took < START + secs(180), "{took:?}");
    let end = outcome.end.unwrap();
    let (figures, parcels) = fleet.figures();
    assert_eq!((end.parcels, end.parcels_lost, end.snapshots_lost), (parcels, 0, 0));
    assert_eq!((&end.error, &end.cut_short, end.handed_over), (&None, &None, false));
    assert_eq!(figures.totals().started, 4);
    let steps = figures.totals().count("steps walked");
    assert!((4 * 119..=4 * 121).contains(&steps), "{steps}");
    let lease = fleet.lease(&worker.job).await;
    assert_eq!((lease.phase, lease.end, lease.status.late_ms), (Phase::Ended, Some(end), 0));
}

#[tokio::test(start_paused = true)]
async fn one_started_twice_ends_well() {
    let fleet = Fleet::new(&plan()).await;
    let (first, second) = (fleet.worker(), fleet.worker());
    let outcome = lived(&first, async {
        sleep(secs(1)).await;
        let outcome = lead(&second).await;
        assert_eq!((outcome.outcome, outcome.is_well()), (Ending::Taken, true));
        fleet.stop(StopWord::Now).await;
    })
    .await;
    assert_eq!(outcome.outcome, Ending::Over);
}

#[tokio::test(start_paused = true)]
async fn one_of_another_build_ends_by_itself_and_says_so() {
    let fleet = Fleet::new(&plan()).await;
    let other = Stamp { client: "walk 1.2".into(), build: "of yesterday".into(), ..Stamp::default() };
    put_json(&*fleet.store, keys::stamp(RUN), &other, Expect::Absent).await.unwrap();
    let worker = fleet.worker();
    let outcome = lead(&worker).await;
    assert_eq!((outcome.outcome, outcome.is_well()), (Ending::Unclaimed, false));
    assert!(outcome.words.contains("played by \"walk 1.2, build of yesterday\""), "{}", outcome.words);
    let lease = fleet.lease(&worker.job).await;
    assert!(lease.phase == Phase::Ended && lease.end.as_ref().unwrap().refused, "{lease:?}");
    assert_eq!(fleet.figures().1, 0);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_over_has_nothing_to_do() {
    let fleet = Fleet::new(&plan()).await;
    fleet.command(Command { over: true, ..Command::starting(fleet.start_ms()) }).await;
    assert_eq!(lead(&fleet.worker()).await.outcome, Ending::Over);
    let stranger = Worker { job: Job { worker: 9, ..Fleet::job() }, ..fleet.worker() };
    let outcome = lead(&stranger).await;
    assert_eq!((outcome.outcome, outcome.is_well()), (Ending::Unclaimed, false));
    assert!(outcome.words.contains("worker 9 of a run that has 2"), "{}", outcome.words);
}

#[tokio::test(start_paused = true)]
async fn the_start_may_be_put_off_and_the_run_stopped_before_it() {
    let fleet = Fleet::new(&plan()).await;
    let worker = fleet.worker();
    let began = Instant::now();
    let outcome = lived(&worker, async {
        sleep(secs(7)).await;
        fleet.command(Command::starting(fleet.start_ms() + 20_000)).await;
        sleep(secs(20)).await;
        assert_eq!(fleet.lease(&worker.job).await.phase, Phase::Waiting);
        fleet.stop(StopWord::Drain).await;
    })
    .await;
    assert_eq!((outcome.outcome, outcome.closed), (Ending::Over, true));
    assert!(began.elapsed() < secs(30));
    assert_eq!(fleet.figures().1, 0);
}

#[tokio::test(start_paused = true)]
async fn told_to_stop_the_players_are_gone_within_ten_seconds() {
    for stop in [StopWord::Drain, StopWord::Now] {
        let fleet = Fleet::new(&plan()).await;
        let worker = fleet.worker();
        let stopped = Instant::now() + START + secs(20);
        let outcome = lived(&worker, async {
            sleep_until(stopped).await;
            fleet.stop(stop).await;
        })
        .await;
        assert_eq!((outcome.outcome, outcome.closed), (Ending::Played, true));
        assert!(stopped.elapsed() < secs(10), "{:?}", stopped.elapsed());
        let (figures, parcels) = fleet.figures();
        assert_eq!(outcome.end.map(|end| (end.parcels, end.snapshots_lost, end.cut_short)), Some((parcels, 0, None)));
        assert_eq!(figures.totals().started, 4);
    }
}

#[tokio::test(start_paused = true)]
async fn the_dial_turns_the_load() {
    let fleet = Fleet::new(&plan()).await;
    let worker = fleet.worker();
    let outcome = lived(&worker, async {
        sleep(START + secs(10)).await;
        fleet.command(Command { dial: 2.0, ..Command::starting(fleet.start_ms()) }).await;
        // Virtual time runs on while the engine's thread begins: it may be behind.
        let by = Instant::now() + secs(30);
        while fleet.lease(&worker.job).await.status.active < 8 && Instant::now() < by {
            sleep(secs(1)).await;
        }
        assert_eq!(fleet.lease(&worker.job).await.status.active, 8);
    })
    .await;
    assert_eq!(outcome.outcome, Ending::Played);
    assert_eq!(fleet.figures().0.totals().started, 8);
}

#[tokio::test(start_paused = true)]
async fn one_that_comes_late_joins_at_the_time_of_the_run() {
    let fleet = Fleet::new(&plan()).await;
    sleep(START + secs(20)).await;
    let began = Instant::now();
    let worker = fleet.worker();
    let outcome = lead(&worker).await;
    assert_eq!(outcome.outcome, Ending::Played);
    assert!(began.elapsed() < secs(42), "{:?}", began.elapsed());
    let lease = fleet.lease(&worker.job).await;
    // Virtual time runs on while the engine's thread begins.
    assert!((20_000..21_000).contains(&lease.status.late_ms), "{}", lease.status.late_ms);
    let figures = fleet.figures().0;
    assert_eq!(figures.totals().started, 4);
    // And one that comes when all is through says so.
    let late = Worker { job: Job { attempt: 1, ..Fleet::job() }, ..fleet.worker() };
    let outcome = lead(&late).await;
    assert_eq!((outcome.outcome, outcome.closed), (Ending::Failed, true));
    assert!(outcome.words.contains("its part ends at 60s"), "{}", outcome.words);
}

#[tokio::test(start_paused = true)]
async fn a_relay_hands_its_players_over() {
    let fleet = Fleet::new(&plan()).await;
    fleet.change_order(|order| (order.terms.over_ms, order.terms.overlap_ms) = (4_000, 1_000)).await;
    let first = Worker { job: Job { until_ms: Some(30_000), ..Fleet::job() }, ..fleet.worker() };
    let began = Instant::now();
    let outcome = lead(&first).await;
    let end = outcome.end.unwrap();
    assert!(end.handed_over && end.error.is_none(), "{end:?}");
    assert!(began.elapsed() < START + secs(37), "{:?}", began.elapsed());
    assert_eq!(fleet.figures().0.totals().count("loadkit.handed_over"), 4);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_played_is_said_to_the_fleet() {
    let fleet = Fleet::new(&plan()).await;
    let mut attempt = 0;
    let mut worker = |client| {
        attempt += 1;
        Worker { job: Job { attempt, ..Fleet::job() }, ..fleet.worker_of(client) }
    };
    let unfit = fleet.walk_unfit("4 players do not fit");
    let panicking = fleet.walk_instead(|_, _, _| panic!("no such map"));
    for (worker, why) in [
        (worker(unfit), "4 players do not fit"),
        (worker(fleet.walk_with(no)), "the scenario's setup failed"),
        (worker(panicking), "the client panicked: no such map"),
    ] {
        let outcome = lead(&worker).await;
        assert_eq!((outcome.outcome, outcome.closed, outcome.is_well()), (Ending::Failed, true, false));
        let error = fleet.lease(&worker.job).await.end.unwrap().error.unwrap();
        assert!(error.contains(why), "{error}");
    }
    for (client, plan, why) in [
        ("walk 9", "", "asks for the client \"walk 9\", and this is \"walk 1.2\", build \"abc123\": deploy"),
        ("abc123", "bots = \"many\"", "bots"),
    ] {
        fleet.change_order(|order| (order.client, order.plan) = (client.into(), plan.into())).await;
        let worker = worker(fleet.walk());
        let outcome = lead(&worker).await;
        let error = fleet.lease(&worker.job).await.end.unwrap().error.unwrap();
        assert!(error.contains(why) && outcome.words == error, "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_home_that_ends_its_worker_gets_all_its_figures_out_first() {
    let fleet = Fleet::new(&plan()).await;
    let (worker, notice) = noticed(fleet.worker());
    let gone_by = Instant::now() + START + secs(50);
    notice.send_replace(Notice { gone_by: Some(gone_by), leave: false });
    let outcome = lead(&worker).await;
    // Ten seconds before it, all is sent.
    assert!(Instant::now() <= gone_by - secs(10) && Instant::now() > gone_by - secs(20), "{:?}", gone_by.elapsed());
    let end = outcome.end.unwrap();
    assert_eq!((outcome.outcome, outcome.closed, end.snapshots_lost), (Ending::Played, true, 0));
    assert!(end.cut_short.unwrap().contains("time for it runs out"));
}

#[tokio::test(start_paused = true)]
async fn a_signal_makes_the_players_leave_at_once() {
    let fleet = Fleet::new(&plan()).await;
    let (worker, notice) = noticed(fleet.worker());
    let told = Instant::now() + START + secs(10);
    let outcome = lived(&worker, async {
        sleep_until(told).await;
        notice.send_replace(Notice { gone_by: Some(told + secs(30)), leave: true });
    })
    .await;
    assert!(told.elapsed() < secs(8), "{:?}", told.elapsed());
    let end = outcome.end.unwrap();
    assert_eq!((outcome.closed, end.parcels), (true, fleet.figures().1));
    assert!(end.cut_short.unwrap().contains("told it to leave"));
    // Before the start there is nobody to leave.
    let fleet = Fleet::new(&plan()).await;
    let (worker, notice) = noticed(fleet.worker());
    notice.send_replace(Notice { gone_by: None, leave: true });
    let outcome = lead(&worker).await;
    assert!(outcome.words.contains("before the run began"), "{}", outcome.words);
}

#[tokio::test(start_paused = true)]
async fn of_the_workers_of_one_machine_the_first_watches_it() {
    for (one_machine, number, watches) in [(false, 0, true), (false, 1, true), (true, 0, true), (true, 1, false)] {
        let fleet = Fleet::new(&plan()).await;
        fleet.change_order(|order| order.one_machine = one_machine).await;
        let client = fleet.walk_instead(move |job, _, _| {
            assert_eq!(job.watches_machine, watches);
            Ok(Ended::default())
        });
        let worker = Worker { job: Job { worker: number, ..Fleet::job() }, ..fleet.worker_of(client) };
        assert_eq!(lead(&worker).await.outcome, Ending::Played, "{one_machine}, {number}");
    }
}
