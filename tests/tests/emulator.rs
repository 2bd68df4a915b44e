//! The fleet on AWS, from the template to the verdict, on an emulator: one signed request, 50 Lambdas, 5,000 players; and the
//! same handed over to tasks.
//!
//! The tasks are processes of this machine, started through ECS's RunTask contract: no container engine runs here.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use loadkit::core::{Collector, Report, RunId, StepIntervals};
use loadkit_aws::{DynamoDb, Sqs};
use loadkit_fleet::{Ending, Inbox as _, RunRecord, RunState};
use loadkit_tests::cloud::{Cloud, Tasks, packages};
use loadkit_tests::{Child, hold};
use loadkit_worker::{Lease, Outbox as _, Phase, get_json, keys};
use serde_json::{Value, json};

const TEMPLATE: &str = include_str!("../../deploy/aws/template.yaml");
const CLIENT: &str = env!("CARGO_BIN_EXE_arena_worker");
const FLEET: &str = env!("CARGO_BIN_EXE_fleet_lambda");
/// A run ends within this time, or its keeper does not.
const LIMIT: Duration = Duration::from_secs(180);
/// Targets on this machine are allowed.
const POLICY: &str = "[[rules]]\nname = \"this machine\"\nnetworks = [\"loopback\"]\n";

/// Most lounge in the lobby, so that two cores hold them all.
fn plan(bots: u32, ramp: &str, duration: &str) -> String {
    format!(
        "scenario = \"arena\"\nbots = {bots}\nramp = \"{ramp}\"\nduration = \"{duration}\"\ngrace = \"5s\"\nsockets = 1\n\
         [personas]\nlounger = 99\ncasual = 1\ncompetitive = 0\n"
    )
}

fn arena() -> (Child, String) {
    let mut server = Command::new(CLIENT);
    server.env_remove("AWS_LAMBDA_RUNTIME_API").args(["--listen", "127.0.0.1:0"]);
    let server = Child::start(server.stdin(Stdio::null()).stdout(Stdio::piped()));
    let line = server.first_line(Duration::from_secs(20));
    (server, line.rsplit(' ').next().unwrap().to_owned())
}

/// Launches a run and asks for it until it has ended.
fn play(cloud: &Cloud, request: &Value) -> RunRecord {
    let answer = cloud.ask("POST", "/v1/runs", Some(request)).unwrap();
    assert_eq!(answer.status, 202);
    let launched: RunRecord = serde_json::from_slice(&answer.body).unwrap();
    let began = Instant::now();
    loop {
        // An emulator that shares two cores with all the players may be too busy to answer in time.
        let Ok(answer) = cloud.ask("GET", &format!("/v1/runs/{}", launched.id), None) else {
            assert!(began.elapsed() < LIMIT, "the fleet does not answer");
            continue;
        };
        let record: RunRecord = serde_json::from_slice(&answer.body).unwrap();
        if record.state == RunState::Ended {
            println!("run {}: {:?} after {:.1?}", record.id, record.ending, began.elapsed());
            println!(
                "  verdict {:?}",
                record.judgement.as_ref().map(|judgement| (judgement.verdict, &judgement.reasons))
            );
            record.notes.iter().for_each(|note| println!("  note: {}", note.text));
            return record;
        }
        assert!(began.elapsed() < LIMIT, "the run does not end: {record:#?}");
        hold(Duration::from_millis(500));
    }
}

fn buckets(steps: &BTreeMap<String, StepIntervals>) -> BTreeMap<String, BTreeMap<u64, u64>> {
    let of = |step: &StepIntervals| {
        let mut all = BTreeMap::new();
        let buckets = step.response.iter().flat_map(|delta| &delta.buckets);
        buckets.for_each(|&(value, count)| *all.entry(value).or_default() += count);
        all
    };
    steps.iter().map(|(name, step)| (name.clone(), of(step))).collect()
}

/// What the fleet has, by its report, is what the workers wrote down themselves: bucket for bucket.
fn has_what_was_recorded(cloud: &Cloud, record: &RunRecord, workers: usize) -> Collector {
    let dir = tempfile::tempdir().unwrap();
    for name in ["report.json", "histograms.hlog"] {
        let file = cloud.ask("GET", &format!("/v1/runs/{}/report/{name}", record.id), None).unwrap();
        std::fs::write(dir.path().join(name), &file.body).unwrap();
    }
    let report = Report::load(Path::new(dir.path())).unwrap();
    let (recorded, files) = cloud.recorded(&record.id.to_string());
    assert_eq!(files, workers, "each worker wrote down what it recorded");
    let truth = Report::new(report.run.clone(), &recorded, report.judgement.clone());
    let totals = recorded.totals();
    assert!(totals.steps.contains_key("login"), "players logged in");
    let buckets_of_fleet = buckets(&report.intervals.steps);
    assert_eq!(buckets_of_fleet, buckets(&truth.intervals.steps), "bucket for bucket");
    let written = |report: &Report| -> Value { serde_json::from_str(&json!(report.steps).to_string()).unwrap() };
    assert_eq!(written(&report), written(&truth));
    assert_eq!((report.players.started, report.players.finished), (totals.started, totals.finished));
    for (name, step) in &totals.steps {
        println!("  {name}: {} went well, {} failed", step.succeeded(), step.failed());
    }
    println!(
        "  {} players started, {} in buckets",
        totals.started,
        buckets_of_fleet.values().flat_map(BTreeMap::values).sum::<u64>()
    );
    recorded
}

/// How each worker lived, by its lease in the table: the kinds of their homes, their names there, and their parcels.
fn leases(cloud: &Cloud, run: RunId, workers: u32) -> (BTreeSet<String>, BTreeSet<String>, u32) {
    let table = DynamoDb::new(cloud.client().clone(), cloud.output("TableName"));
    let (mut homes, mut names, mut parcels) = (BTreeSet::new(), BTreeSet::new(), 0);
    for worker in 0..workers {
        let lease = cloud.wait(get_json::<Lease>(&table, &keys::lease(run, worker, 0)));
        let lease = lease.unwrap().unwrap().0;
        assert_eq!(lease.phase, Phase::Ended, "worker {worker}: {lease:?}");
        parcels += lease.end.unwrap().parcels;
        homes.insert(lease.status.home);
        names.insert(lease.status.name);
    }
    (homes, names, parcels)
}

/// Two emulators with their workers are more than two cores hold.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// A fleet whose worker Lambdas live so long.
fn deployed(packages: &Path, tasks: &Tasks, worker_seconds: &str) -> Cloud {
    let mut cloud = Cloud::start(packages, tasks);
    let (client, fleet) = (cloud.upload("worker.zip", CLIENT.as_ref()), cloud.upload("fleet.zip", FLEET.as_ref()));
    println!("zips: client {client} bytes, fleet {fleet} bytes");
    cloud.deploy(
        TEMPLATE,
        &[
            ("Policy", POLICY),
            ("WorkerSeconds", worker_seconds),
            // The emulator is one process, and shares two cores with 50 workers.
            ("BeatMs", "3000"),
            ("LeaseMs", "60000"),
            ("ReportMs", "4000"),
            ("CollectorSeconds", "10"),
            ("QueueVisibility", "6"),
            ("Image", "arena:test"),
            ("Subnets", "subnet-1"),
        ],
    );
    cloud
}

#[test]
fn one_signed_request_plays_on_fifty_lambdas() {
    let Some(packages) = packages() else { return };
    let _turn = ONE_AT_A_TIME.lock();
    let tasks = Tasks::of(CLIENT);
    let cloud = deployed(&packages, &tasks, "900");
    assert_eq!(cloud.status_unsigned("/v1/runs"), 403, "an unsigned request");
    let (_server, target) = arena();
    // A message that is none of a worker's.
    let queue = Sqs::new(cloud.client().clone(), cloud.output("QueueUrl"));
    cloud.wait(queue.send(&["poison".to_owned()])).unwrap();

    let request = json!({
        "plan": plan(5_000, "30s", "40s"), "target": target, "runner": "lambda", "workers": 50, "start_in_ms": 16_000,
    });
    let record = play(&cloud, &request);
    assert_eq!((record.ending, record.parcels_missing, record.attempts_lost), (Some(Ending::Complete), 0, 0));
    assert!(record.by.name.starts_with("arn:aws:iam::"), "{:?}", record.by);
    // A seat whose player failed is filled again: with a starved server there are more players than seats.
    assert!(has_what_was_recorded(&cloud, &record, 50).totals().started >= 5_000);
    let (homes, names, parcels) = leases(&cloud, record.id, 50);
    assert_eq!((homes, names.len(), tasks.count()), (BTreeSet::from(["lambda".to_owned()]), 50, 0));
    println!("  {parcels} parcels of 50 Lambdas");

    // What it would not allow is refused, and a run that is none is not found.
    let elsewhere = json!({ "plan": plan(1, "1s", "40s"), "target": "192.0.2.1:4000", "runner": "lambda" });
    let refused = cloud.ask("POST", "/v1/runs", Some(&elsewhere)).unwrap_err().to_string();
    assert!(refused.contains("403"), "{refused}");
    let none = cloud.ask("GET", "/v1/runs/0000000000000000", None).unwrap_err().to_string();
    assert!(none.contains("404"), "{none}");
    // The poison has come its three times, and lies where the alarm looks.
    let dead = Sqs::new(cloud.client().clone(), cloud.output("DeadLettersUrl"));
    let aside = cloud.wait(dead.receive(10, Duration::from_secs(5))).unwrap();
    assert_eq!(aside.iter().map(|one| one.body.as_str()).collect::<Vec<_>>(), ["poison"]);
}

#[test]
fn what_outlasts_a_lambda_is_handed_over_to_tasks() {
    let Some(packages) = packages() else { return };
    let _turn = ONE_AT_A_TIME.lock();
    let tasks = Tasks::of(CLIENT);
    // Of 80 s a Lambda keeps 75 for the start and the end.
    let cloud = deployed(&packages, &tasks, "80");
    let (_server, target) = arena();
    let request = json!({
        "plan": plan(250, "5s", "15s"), "target": target, "runner": "lambda", "long": "fargate", "workers": 5,
        "start_in_ms": 12_000,
    });
    let record = play(&cloud, &request);
    println!("  tasks: NO CONTAINERS, processes through the RunTask contract");
    assert_eq!((record.ending, record.parcels_missing), (Some(Ending::Complete), 0));
    assert_eq!(tasks.count(), 5);
    assert!(has_what_was_recorded(&cloud, &record, 5).totals().started >= 250);
    let (homes, names, _) = leases(&cloud, record.id, 5);
    assert_eq!((homes, names.len()), (BTreeSet::from(["fargate".to_owned()]), 5));
}

#[test]
fn the_template_is_one() {
    let Some(packages) = packages() else { return };
    let template = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/aws/template.yaml");
    let mut lint = Command::new("python3");
    lint.args(["-c", "from cfnlint.runner import main; main()", template]).env("PYTHONPATH", packages);
    let output = Child::run(&mut lint, Duration::from_secs(120));
    assert_eq!((output.code, output.out.trim()), (Some(0), ""), "{}", output.err);
}
