//! A whole fleet on this machine: the front door, the keeper, and workers that are real processes with real players.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::Arc;
use std::time::Duration;

use loadkit::Plan;
use loadkit::core::Verdict;
use loadkit_fleet::api::{Access, Door, FleetService};
use loadkit_fleet::{
    Caller, Ending, Fleet, Kept, LocalLauncher, Policy, RunRecord, RunRequest, RunnerChoice, Settings, Silent,
    Unguarded, WorkerLine, keep,
};
use loadkit_tests::{Seen, rudp_server};
use loadkit_worker::{MemoryStore, StopWord, SystemClock};

const LIMIT: Duration = Duration::from_secs(60);

/// A fleet whose workers are processes of the tests' client, behind its door.
async fn fleet() -> Fleet {
    let door = Door::open("127.0.0.1:0".parse().unwrap(), Access::Open).await.unwrap();
    let line = WorkerLine::Http { url: format!("http://{}", door.addr()) };
    let launcher = Arc::new(LocalLauncher::new(env!("CARGO_BIN_EXE_client"), 8));
    let (store, clock) = (Arc::new(MemoryStore::new()), Arc::new(SystemClock));
    let settings = Settings::near(line);
    let fleet = Fleet::new(store, [launcher as _], Arc::new(Silent), Arc::new(Unguarded), clock, settings);
    let service = Arc::new(FleetService::new(fleet.clone(), Policy::default()));
    tokio::spawn(door.serve(service, std::future::pending()));
    fleet
}

fn request(target: &str, seconds: u64, client: &str) -> RunRequest {
    let plan = Plan::builder().target(target).scenario("rudp").bots(9).grace(Duration::from_secs(2));
    let plan = plan.duration(Duration::from_secs(seconds)).threshold("errors < 1%").build().unwrap();
    RunRequest {
        plan: plan.to_toml(),
        runner: RunnerChoice::Local,
        workers: Some(3),
        client: client.into(),
        ..RunRequest::default()
    }
}

async fn launch(fleet: &Fleet, request: RunRequest) -> RunRecord {
    fleet.launch(request, Caller { name: "a test".into() }).await.unwrap()
}

async fn ended(fleet: &Fleet, launched: &RunRecord) -> RunRecord {
    match keep(fleet, launched.id, LIMIT).await.unwrap() {
        Kept::Ended(record) => *record,
        other => unreachable!("the run has not ended: {other:?}"),
    }
}

/// Waits until so many players have come.
async fn joined(seen: &Seen, players: u64) {
    while seen.joined() < players {
        // Time is real here, and the players' own.
        tokio::task::spawn_blocking(|| loadkit_tests::hold(Duration::from_millis(50))).await.unwrap();
    }
}

#[tokio::test]
async fn three_processes_play_a_run_to_its_end() {
    let (server, seen) = rudp_server(|_| ());
    let fleet = fleet().await;
    let client = concat!("client ", env!("CARGO_PKG_VERSION"));
    let launched = launch(&fleet, request(&server.to_string(), 4, client)).await;
    let record = ended(&fleet, &launched).await;
    assert_eq!((record.ending, record.workers, record.parcels_missing), (Some(Ending::Complete), 3, 0), "{record:?}");
    // A busy machine may make it INVALID, and never more than that.
    let judgement = record.judgement.unwrap();
    assert_ne!(judgement.verdict, Verdict::Fail, "{judgement:?}");
    assert!(judgement.verdict == Verdict::Pass || !judgement.reasons.is_empty(), "{judgement:?}");
    assert_eq!((seen.joined(), seen.left()), (9, 9));
}

#[tokio::test]
async fn told_to_stop_all_processes_leave() {
    let (server, seen) = rudp_server(|_| ());
    let fleet = fleet().await;
    let launched = launch(&fleet, request(&server.to_string(), 600, "")).await;
    let stop = async {
        joined(&seen, 9).await;
        fleet.stop(launched.id, StopWord::Drain, "a test").await.unwrap();
    };
    let (record, ()) = tokio::join!(ended(&fleet, &launched), stop);
    assert_eq!((record.parcels_missing, record.workers_lost), (0, 0), "{record:?}");
    assert_eq!((seen.joined(), seen.left()), (9, 9));
}

#[tokio::test]
async fn a_client_that_does_not_fit_is_in_the_record() {
    let fleet = fleet().await;
    let launched = launch(&fleet, request("127.0.0.1:9", 4, "another 9.9")).await;
    let record = ended(&fleet, &launched).await;
    assert!(record.notes.iter().any(|note| note.text.contains("asks for the client \"another 9.9\"")), "{record:?}");
}
