//! The fleet in virtual time, and everything that can go wrong in it: every run ends with a verdict, and nothing is counted
//! twice or lost but what a killed worker had not sent.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::future::Future;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use loadkit::core::{Plan, Report, RunId, Verdict};
use loadkit_fleet::{
    Ending, FleetError, Home, Long, RunRecord, RunRequest, RunState, RunnerChoice, Settings, report_file, rollup,
};
use loadkit_sinks::Interval;
use loadkit_tests::fleet::{Fault, Making, Script, Style, Trouble, Weather, World, plan};
use loadkit_worker::{Claim, Expect, Job, Line, StopWord, StoreLine, WorkerStatus, keys};

const WORKERS: u32 = 20;
const PLAYERS: u64 = 400;

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn in_virtual_time<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(test)
}

fn request() -> RunRequest {
    RunRequest { plan: plan(PLAYERS, secs(60)), workers: Some(WORKERS), ..RunRequest::default() }
}

/// The report that the fleet has kept.
async fn report(world: &World, run: RunId) -> Report {
    let dir = tempfile::tempdir().unwrap();
    for name in ["report.json", "histograms.hlog"] {
        let bytes = report_file(&**world.fleet.store(), run, name).await.unwrap().unwrap();
        std::fs::write(dir.path().join(name), bytes).unwrap();
    }
    Report::load(Path::new(dir.path())).unwrap()
}

/// What was sent is in the report, bucket for bucket, and nothing else.
async fn holds_what_was_sent(world: &World, record: &RunRecord) -> Report {
    let report = report(world, record.id).await;
    let sent = world.ledger.collected(secs(1));
    let totals = sent.totals();
    assert!(!totals.steps.is_empty(), "nothing was sent at all");
    let truth = Report::new(report.run.clone(), &sent, report.judgement.clone());
    // Numbers as they are after a way through JSON.
    let written = |report: &Report| -> serde_json::Value {
        serde_json::from_str(&serde_json::to_string(&report.steps).unwrap()).unwrap()
    };
    assert_eq!(written(&report), written(&truth));
    assert_eq!((report.players.started, report.players.finished), (totals.started, totals.finished));
    let joined = |report: &Report| -> BTreeMap<String, BTreeMap<u64, u64>> {
        let of = |step: &loadkit::core::StepIntervals| {
            let mut all = BTreeMap::new();
            let buckets = step.response.iter().flat_map(|delta| &delta.buckets);
            buckets.for_each(|&(value, count)| *all.entry(value).or_default() += count);
            all
        };
        report.intervals.steps.iter().map(|(name, step)| (name.clone(), of(step))).collect()
    };
    assert_eq!(joined(&report), joined(&truth), "bucket for bucket");
    assert!(record.ended_at_ms.unwrap() <= record.deadline_ms + 5_000, "within its deadline");
    report
}

fn is_complete(record: &RunRecord) {
    assert_eq!(record.state, RunState::Ended);
    let notes: Vec<&str> = record.notes.iter().map(|note| note.text.as_str()).collect();
    assert_eq!(record.ending, Some(Ending::Complete), "{notes:?}");
    let judgement = record.judgement.as_ref().unwrap();
    assert_eq!(judgement.verdict, Verdict::Pass, "{judgement:?}");
}

fn noted(record: &RunRecord, what: &str) {
    let notes: Vec<&str> = record.notes.iter().map(|note| note.text.as_str()).collect();
    assert!(notes.iter().any(|note| note.contains(what)), "{what:?} is not in {notes:#?}");
}

#[test]
fn a_run_without_trouble_is_complete() {
    in_virtual_time(async {
        let world = World::new(Making::default());
        let record = world.play(request()).await;
        is_complete(&record);
        let report = holds_what_was_sent(&world, &record).await;
        assert_eq!(report.players.peak_planned, PLAYERS);
        noted(&record, "started with 20 of 20 workers");
        let list = world.fleet.list(None, 10).await.unwrap();
        assert_eq!((list.len(), list[0].verdict), (1, Some(Verdict::Pass)));
    });
}

#[test]
fn what_is_delivered_twice_and_shuffled_counts_once() {
    in_virtual_time(async {
        let trouble = Trouble { repeats: 2, shuffles: true, late: secs(8), ..Trouble::default() };
        let world = World::new(Making { trouble, ..Making::default() });
        let record = world.play(request()).await;
        is_complete(&record);
        holds_what_was_sent(&world, &record).await;
    });
}

#[test]
fn a_collector_that_dies_in_mid_batch_loses_nothing() {
    in_virtual_time(async {
        let trouble = Trouble { dies_every: 3, shuffles: true, ..Trouble::default() };
        let world = World::new(Making { trouble, ..Making::default() });
        let record = world.play(request()).await;
        is_complete(&record);
        holds_what_was_sent(&world, &record).await;
    });
}

#[test]
fn a_store_that_throttles_loses_nothing() {
    in_virtual_time(async {
        let weather = Weather { throttles_every: 7 };
        let world = World::new(Making { weather, ..Making::default() });
        let run = world.launch(request()).await;
        let record = world.keep(run).await;
        assert_eq!(record.state, RunState::Ended);
        assert_eq!(record.ending, Some(Ending::Complete), "{:?}", record.notes);
        let part = report_file(&**world.fleet.store(), run, "report.json").await.unwrap().unwrap();
        let report: serde_json::Value = serde_json::from_slice(&part).unwrap();
        let sent = world.ledger.collected(secs(1));
        let counted = report["steps"]["step-0"]["count"].as_u64().unwrap();
        assert_eq!(counted, sent.totals().steps["step-0"].succeeded());
    });
}

#[test]
fn killed_workers_are_replaced_and_only_what_they_had_not_sent_is_missing() {
    in_virtual_time(async {
        let killed = [(3, 17_300), (11, 31_900)];
        let script: Script =
            killed.map(|(worker, at)| ((worker, 0), Fault::Killed(Duration::from_millis(at)))).into_iter().collect();
        let world = World::new(Making { script, ..Making::default() });
        let record = world.play(request()).await;
        assert_eq!(record.ending, Some(Ending::Partial));
        assert_eq!((record.attempts_lost, record.workers_lost), (2, 0));
        let report = holds_what_was_sent(&world, &record).await;
        assert_eq!(report.judgement.verdict, Verdict::Pass, "{:?}", report.judgement);
        noted(&record, "worker 3 (attempt 0) was given up");
        noted(&record, "what it gathered after that is missing");
        noted(&record, "worker 11 goes on at");
        assert!(!world.ledger.of(3, 1).is_empty() && !world.ledger.of(11, 1).is_empty());
    });
}

#[test]
fn more_workers_lost_than_allowed_make_a_run_invalid() {
    in_virtual_time(async {
        // Three attempts each, and all die.
        let script = (0..3).flat_map(|worker| (0..3).map(move |n| ((worker, n), Fault::Killed(secs(10))))).collect();
        let world = World::new(Making { script, ..Making::default() });
        let record = world.play(request()).await;
        assert_eq!((record.ending, record.workers_lost), (Some(Ending::Partial), 3));
        let judgement = record.judgement.clone().unwrap();
        assert_eq!(judgement.verdict, Verdict::Invalid);
        assert!(judgement.headline().contains("3 of 20 workers did not play to the end"), "{}", judgement.headline());
        holds_what_was_sent(&world, &record).await;
    });
}

/// These workers' first attempts are of another build.
fn of_another_build(workers: impl IntoIterator<Item = u32>) -> Script {
    workers.into_iter().map(|worker| ((worker, 0), Fault::Build("8"))).collect()
}

#[test]
fn a_worker_of_another_build_is_refused_and_the_others_play() {
    in_virtual_time(async {
        // The last of 20 is within what a run may lose.
        let world = World::new(Making { script: of_another_build([19]), ..Making::default() });
        let record = world.play(request()).await;
        assert_eq!((record.workers_refused, record.workers_lost, record.attempts_lost), (1, 1, 0));
        assert_eq!(record.stamp.as_ref().unwrap().id(), "made up 1.0.0, build 7");
        noted(&record, "worker 19 was refused: its client is \"made up 1.0.0, build 8\"");
        assert!(world.ledger.of(19, 0).is_empty() && world.ledger.of(19, 1).is_empty());
        let report = holds_what_was_sent(&world, &record).await;
        assert_eq!((report.run.stamp, report.judgement.verdict), (record.stamp.clone(), Verdict::Pass));
        let warnings = report.judgement.warnings.join("; ");
        assert!(warnings.contains("1 worker was refused; of one its client is"), "{warnings}");
        assert!(record.notes.iter().all(|note| !note.text.contains("of several builds")), "{:?}", record.notes);
    });
}

#[test]
fn a_run_does_not_begin_with_more_workers_refused_than_it_may_lose() {
    in_virtual_time(async {
        let world = World::new(Making { script: of_another_build(10..20), ..Making::default() });
        let record = world.play(request()).await;
        assert_eq!((record.ending, record.workers_refused), (Some(Ending::Failed), 10));
        let judgement = record.judgement.clone().unwrap();
        assert_eq!(judgement.verdict, Verdict::Invalid);
        let headline = judgement.headline();
        assert!(headline.contains("10 of 20 workers were refused") && headline.contains("mixed_builds"), "{headline}");
        assert!(record.ended_at_ms.unwrap() < record.start_at_ms + 1_000, "nobody waits for them");
        assert!(world.ledger.collected(secs(1)).totals().steps.is_empty(), "nobody has played");
    });
}

#[test]
fn several_builds_play_where_the_request_allows_it() {
    in_virtual_time(async {
        let world = World::new(Making { script: of_another_build(10..20), ..Making::default() });
        let record = world.play(RunRequest { mixed_builds: true, ..request() }).await;
        is_complete(&record);
        assert_eq!((record.workers_refused, &record.stamp), (0, &None));
        noted(&record, "workers of several builds have played: made up 1.0.0, build 7, made up 1.0.0, build 8");
        holds_what_was_sent(&world, &record).await;
    });
}

#[test]
fn a_deployment_in_the_middle_of_a_run_does_not_take_its_place() {
    in_virtual_time(async {
        let killed = ((3, 0), Fault::Killed(secs(17)));
        let world = World::new(Making { script: [killed, ((3, 1), Fault::Build("8"))].into(), ..Making::default() });
        let record = world.play(request()).await;
        assert_eq!((record.attempts_lost, record.workers_refused, record.workers_lost), (1, 1, 1));
        noted(&record, "worker 3 goes on at");
        noted(&record, "worker 3 was refused");
        assert!(!world.ledger.of(3, 0).is_empty() && world.ledger.of(3, 1).is_empty());
        holds_what_was_sent(&world, &record).await;
    });
}

#[test]
fn records_of_before_are_read() {
    in_virtual_time(async {
        let world = World::new(Making::default());
        let record = world.play(request()).await;
        let mut before = serde_json::to_value(&record).unwrap();
        for field in ["stamp", "workers_refused"] {
            assert!(before.as_object_mut().unwrap().remove(field).is_some(), "{field}");
        }
        let read: RunRecord = serde_json::from_value(before).unwrap();
        assert_eq!(read, RunRecord { stamp: None, ..record });
    });
}

#[test]
fn a_worker_that_never_starts_is_started_again() {
    in_virtual_time(async {
        let script = [((5, 0), Fault::NeverStarts)].into();
        let world = World::new(Making { script, ..Making::default() });
        let record = world.play(request()).await;
        noted(&record, "worker 5 (attempt 0) was started and never came");
        noted(&record, "the start is put off");
        noted(&record, "started with 20 of 20 workers");
        assert_eq!(record.judgement.as_ref().unwrap().verdict, Verdict::Pass);
        holds_what_was_sent(&world, &record).await;
    });
}

#[test]
fn a_launch_that_succeeds_in_part_is_made_whole() {
    in_virtual_time(async {
        // As RunTask answers when a zone is full: tasks for some, `failures` for others, and a little later for fewer.
        let why = "ECS RunTask: RESOURCE:CPU";
        let refused = (8..12).map(|worker| ((worker, 0), Fault::RefusedAtFirst(worker - 7, why)));
        let world = World::new(Making { script: refused.collect(), ..Making::default() });
        let record = world.play(request()).await;
        is_complete(&record);
        noted(&record, &format!("local does not start a worker: {why}"));
        noted(&record, "the start is put off");
        noted(&record, "started with 20 of 20 workers");
        // The refused were not started, and nobody was started twice.
        assert_eq!((world.started.load(Ordering::Relaxed), record.attempts_lost), (WORKERS, 0));
        let report = holds_what_was_sent(&world, &record).await;
        assert_eq!(report.players.started, PLAYERS);
    });
}

#[test]
fn who_could_be_started_only_after_the_start_joins() {
    in_virtual_time(async {
        // Worker 7 is refused for longer than a start is put off: the other 19 are enough to begin with.
        let script = [((7, 0), Fault::RefusedAtFirst(7, "RESOURCE:CPU"))].into();
        let world = World::new(Making { script, ..Making::default() });
        let record = world.play(request()).await;
        assert_eq!((record.ending, record.workers_lost), (Some(Ending::Complete), 0), "{:#?}", record.notes);
        noted(&record, "started with 19 of 20 workers");
        let report = holds_what_was_sent(&world, &record).await;
        assert_eq!(report.players.started, PLAYERS);
        assert!(world.ledger.of(7, 0)[0].from_us > 1_000_000, "it joined late");
    });
}

#[test]
fn who_its_home_ends_is_followed_by_the_next_attempt() {
    in_virtual_time(async {
        let script = [((3, 0), Fault::CutShort(Duration::from_millis(20_500)))].into();
        let world = World::new(Making { script, ..Making::default() });
        let record = world.play(request()).await;
        // It had sent everything and said so: nothing is lost, and its segment is played to the end.
        is_complete(&record);
        assert_eq!((record.attempts_lost, record.workers_lost), (0, 0));
        noted(&record, "worker 3 ended before its time: its home told it to leave");
        noted(&record, "worker 3 goes on at");
        holds_what_was_sent(&world, &record).await;
        let (first, second) = (world.ledger.of(3, 0), world.ledger.of(3, 1));
        let (left, came) = (first.last().unwrap().to_us, second.first().unwrap().from_us);
        assert!(left < 25_000_000 && came >= left && came < left + 10_000_000, "left at {left}, came at {came}");
        assert!(second.last().unwrap().to_us >= 60_000_000, "to the end of the plan");
    });
}

#[test]
fn who_its_home_ends_in_the_last_moments_is_not_followed_but_counted() {
    in_virtual_time(async {
        let of = |workers: u32| (0..workers).map(|worker| ((worker, 0), Fault::CutShort(secs(57)))).collect();
        // One of twenty is what a run allows, two are not.
        for (workers, verdict) in [(1, Verdict::Pass), (2, Verdict::Invalid)] {
            let world = World::new(Making { script: of(workers), ..Making::default() });
            let record = world.play(request()).await;
            assert_eq!((record.ending, record.workers_lost), (Some(Ending::Partial), workers), "{:#?}", record.notes);
            assert_eq!((record.attempts_lost, record.parcels_missing), (0, 0));
            let judgement = record.judgement.as_ref().unwrap();
            assert_eq!(judgement.verdict, verdict, "{judgement:?}");
            let said = format!("{judgement:?}");
            assert!(said.contains("did not play to the end"), "{said}");
            assert!(world.ledger.of(0, 1).is_empty(), "nobody comes for three seconds");
            holds_what_was_sent(&world, &record).await;
        }
    });
}

#[test]
fn a_home_that_ends_every_attempt_ends_in_a_verdict() {
    in_virtual_time(async {
        let cut = |n: u32| ((4, n), Fault::CutShort(secs(u64::from(n + 1) * 8)));
        let world = World::new(Making { script: (0..3).map(cut).collect(), ..Making::default() });
        let record = world.play(request()).await;
        assert_eq!((record.ending, record.workers_lost), (Some(Ending::Partial), 1), "{:#?}", record.notes);
        assert!(world.ledger.of(4, 3).is_empty(), "three attempts, and no more");
        holds_what_was_sent(&world, &record).await;
    });
}

#[test]
fn what_the_cloud_refuses_is_in_the_record_in_its_words() {
    in_virtual_time(async {
        let why = "RESOURCE:CPU: the capacity is not available";
        let script = (0..WORKERS).map(|worker| ((worker, 0), Fault::Refused(why))).collect();
        let world = World::new(Making { script, ..Making::default() });
        let record = world.play(request()).await;
        assert_eq!(record.ending, Some(Ending::Failed));
        noted(&record, why);
        let judgement = record.judgement.unwrap();
        assert_eq!(judgement.verdict, Verdict::Invalid);
        assert!(judgement.headline().contains("only 0 of 20 workers came"), "{}", judgement.headline());
    });
}

#[test]
fn who_is_started_twice_plays_once() {
    in_virtual_time(async {
        let script = (0..WORKERS).map(|worker| ((worker, 0), Fault::Twice)).collect();
        let world = World::new(Making { script, ..Making::default() });
        let record = world.play(request()).await;
        is_complete(&record);
        let report = holds_what_was_sent(&world, &record).await;
        assert_eq!(report.players.started, PLAYERS);
    });
}

#[test]
fn a_clock_that_is_wrong_is_not_taken_for_dead() {
    in_virtual_time(async {
        let script = [((2, 0), Fault::ClockAhead(secs(3))), ((4, 0), Fault::ClockAhead(secs(300)))].into();
        let world = World::new(Making { script, ..Making::default() });
        let record = world.play(request()).await;
        is_complete(&record);
        holds_what_was_sent(&world, &record).await;
    });
}

#[test]
fn a_launcher_killed_half_way_is_taken_up_by_another_keeper() {
    in_virtual_time(async {
        let world = World::new(Making::default());
        let run = world.launch(request()).await;
        world.keep_until_launcher_dies(run, WORKERS / 2).await;
        let record = world.keep(run).await;
        assert_eq!(record.judgement.as_ref().unwrap().verdict, Verdict::Pass, "{:#?}", record.notes);
        assert_eq!(record.ending, Some(Ending::Complete));
        holds_what_was_sent(&world, &record).await;
    });
}

#[test]
fn a_run_whose_keeper_comes_after_its_start_begins_late_and_is_whole() {
    in_virtual_time(async {
        let world = World::new(Making::default());
        let run = world.launch(request()).await;
        // Nobody was woken: a tick finds it when it should have begun long ago.
        tokio::time::sleep(secs(40)).await;
        let record = world.keep(run).await;
        is_complete(&record);
        noted(&record, "the start is put off: workers are missing");
        noted(&record, "started with 20 of 20 workers");
        let report = holds_what_was_sent(&world, &record).await;
        assert_eq!((report.players.started, record.workers_lost), (PLAYERS, 0));
    });
}

#[test]
fn a_keeper_killed_in_mid_run_is_replaced_and_the_figures_are_the_same() {
    in_virtual_time(async {
        let world = World::new(Making::default());
        let run = world.launch(request()).await;
        for _ in 0..3 {
            let fleet = world.fleet.clone();
            let task = tokio::spawn(async move { loadkit_fleet::keep(&fleet, run, secs(10_000)).await.is_ok() });
            tokio::time::sleep(secs(12)).await;
            task.abort();
        }
        let record = world.keep(run).await;
        is_complete(&record);
        holds_what_was_sent(&world, &record).await;
    });
}

#[test]
fn a_long_run_is_relayed_over_generations() {
    in_virtual_time(async {
        let making = Making { home: Home::Lambda, ..Making::default() };
        let world = World::new(making);
        let minutes = 40;
        let request = RunRequest {
            plan: plan(PLAYERS, secs(minutes * 60)),
            workers: Some(4),
            runner: RunnerChoice::Lambda,
            long: Long::Relay,
            ..RunRequest::default()
        };
        let record = world.play(request).await;
        is_complete(&record);
        holds_what_was_sent(&world, &record).await;
        for worker in 0..4 {
            let generations: Vec<usize> = (0..4).map(|attempt| world.ledger.of(worker, attempt).len()).collect();
            assert!(generations[..3].iter().all(|seconds| *seconds > 700), "{generations:?}");
            assert_eq!(generations[3], 0);
        }
    });
}

#[test]
fn a_stop_reaches_all_and_the_dial_turns_all() {
    in_virtual_time(async {
        let world = World::new(Making::default());
        let run = world.launch(request()).await;
        let fleet = world.fleet.clone();
        let keeper = tokio::spawn(async move { loadkit_fleet::keep(&fleet, run, secs(10_000)).await });
        tokio::time::sleep(secs(20)).await;
        world.fleet.dial(run, 0.5, "a test").await.unwrap();
        tokio::time::sleep(secs(10)).await;
        let active = |second: u64| {
            let all = (0..WORKERS).flat_map(|worker| world.ledger.of(worker, 0));
            all.filter(|snapshot| snapshot.to_us == second * 1_000_000).map(|snapshot| snapshot.active).sum::<u64>()
        };
        world.fleet.stop(run, StopWord::Drain, "a test").await.unwrap();
        let loadkit_fleet::Kept::Ended(record) = keeper.await.unwrap().unwrap() else { panic!("not kept") };
        assert_eq!((active(14), active(24)), (PLAYERS, PLAYERS / 2));
        assert_eq!(record.ending, Some(Ending::Complete), "{:#?}", record.notes);
        assert!(record.ended_at_ms.unwrap() < record.ends_at_ms);
        noted(&record, "told to stop by a test");
        noted(&record, "load turned to 0.5 by a test");
        let late = world.fleet.stop(run, StopWord::Now, "a test").await;
        assert!(matches!(late, Err(FleetError::Ended(_))), "{late:?}");
        let wild = world.fleet.dial(run, 20.0, "a test").await;
        assert!(matches!(wild, Err(FleetError::Request(_))), "{wild:?}");
    });
}

#[test]
fn a_threshold_ends_a_run_of_the_whole_fleet() {
    in_virtual_time(async {
        let world = World::new(Making::default());
        let threshold = "p95(step-0) < 1ms else abort";
        let plan = Plan::builder().bots(PLAYERS).duration(secs(600)).target("127.0.0.1:4000").threshold(threshold);
        let plan = plan.build().unwrap().to_toml();
        let record = world.play(RunRequest { plan, workers: Some(WORKERS), ..RunRequest::default() }).await;
        let judgement = record.judgement.unwrap();
        assert_eq!(judgement.verdict, Verdict::Fail, "{judgement:?}");
        assert!(judgement.headline().contains("the run was ended at"), "{}", judgement.headline());
        assert!(record.ended_at_ms.unwrap() < record.ends_at_ms);
    });
}

#[test]
fn poison_is_noted_where_it_belongs_and_harms_nobody() {
    in_virtual_time(async {
        let world = World::new(Making::default());
        let run = world.launch(request()).await;
        world.queue.put(&format!("lk1.{run}.0.0.0.0.0.1.!!!"));
        world.queue.put("hello");
        // A parcel of somebody else's, with a name of ours.
        world.queue.put(&format!("lk1.{run}.0.9.0.0.0.1.AAAA"));
        let record = world.keep(run).await;
        noted(&record, "was no parcel");
        noted(&record, "parcel 0 of worker 0, attempt 9");
        holds_what_was_sent(&world, &record).await;
    });
}

#[test]
fn bad_requests_say_what_is_wrong() {
    in_virtual_time(async {
        let world = World::new(Making::default());
        let launch = |request: RunRequest| world.fleet.launch(request, loadkit_fleet::Caller::default());
        let error = launch(RunRequest { plan: "bots = \"many\"".into(), ..request() }).await.unwrap_err();
        assert!(matches!(&error, FleetError::Plan(_)), "{error}");
        let error = launch(RunRequest { plan: "bots = 10".into(), ..request() }).await.unwrap_err();
        assert!(error.to_string().contains("no target"), "{error}");
        let error = launch(RunRequest { runner: RunnerChoice::Fargate, ..request() }).await.unwrap_err();
        assert!(error.to_string().contains("no workers on fargate; it has: local"), "{error}");
        let error = launch(RunRequest { allow_lost: Some(7.0), ..request() }).await.unwrap_err();
        assert!(error.to_string().contains("from 0 to 1"), "{error}");
        assert!(matches!(world.fleet.show(RunId(1)).await, Err(FleetError::UnknownRun(_))));
        assert!(matches!(world.fleet.stop(RunId(1), StopWord::Now, "").await, Err(FleetError::UnknownRun(_))));
    });
}

#[test]
fn who_has_lost_its_lease_hears_of_it() {
    in_virtual_time(async {
        let world = World::new(Making::default());
        let run = world.launch(request()).await;
        let address = loadkit_worker::Address::Aws { table: "t".into(), queue: "q".into() };
        let job = Job::new(run, 0, address.clone());
        let line = StoreLine::new(world.fleet.store().clone(), world.queue.clone(), world.fleet.clock().clone());
        let status = WorkerStatus::default();
        assert!(matches!(line.claim(&job, &status).await, Ok(Claim::Granted { .. })));
        assert!(matches!(line.claim(&job, &status).await, Ok(Claim::Taken)));
        let strange = Job::new(run, 99, address);
        assert!(line.claim(&strange, &status).await.unwrap_err().to_string().contains("99 of a run that has 20"));
        let lost = loadkit_worker::Lease::new(&job, loadkit_worker::Phase::Lost, status.clone(), 0);
        let key = keys::lease(run, 0, 0);
        loadkit_worker::put_json(&**world.fleet.store(), key, &lost, Expect::Any).await.unwrap();
        let beat = line.beat(&job, loadkit_worker::Phase::Playing, &status).await.unwrap();
        assert_eq!(beat, loadkit_worker::Beat::Lost);
    });
}

#[test]
fn a_long_run_lies_in_windows_of_every_width() {
    in_virtual_time(async {
        let minute = secs(60);
        let style = Style { coarse: Some((minute, secs(4 * 3_600))), game: None };
        let script = Script::from([((3, 0), Fault::Killed(secs(5_000)))]);
        let settings = |settings: &mut Settings| {
            settings.pass = secs(60);
            settings.terms.lease_ms = 200_000;
        };
        let world = World::new(Making { style, script, settings, home: Home::Fargate, ..Making::default() });
        let plan = plan(PLAYERS, secs(4 * 3_600 + 180));
        let record = world.play(RunRequest { plan, workers: Some(4), ..RunRequest::default() }).await;
        assert_eq!((record.attempts_lost, record.workers_lost), (1, 0), "{record:?}");
        let store = &**world.fleet.store();
        let mut whole = Vec::new();
        for (width, _) in &rollup::WIDTHS[2..] {
            let windows = rollup::read(store, record.id, *width, Duration::ZERO, 1_000).await.unwrap();
            let windows: Vec<_> = windows.into_iter().filter(|window| window.to_us <= 4 * 3_600_000_000).collect();
            let steps = |window: &Interval| window.steps.values().map(|step| step.response.count()).sum::<u64>();
            let last = windows.last().unwrap().players.clone();
            whole.push((windows.iter().map(steps).sum::<u64>(), last.active, last.planned));
            assert_eq!(windows.len() as u64, 4 * 3_600 / width.as_secs(), "{width:?}");
        }
        assert!(whole[0].0 > 0 && whole.iter().all(|one| *one == whole[0]), "{whole:?}");
    });
}
