//! The fleet on AWS, from the template to the verdict, on an emulator: real processes, real zips, the real functions.
//!
//! What an emulator does not prove: IAM, quotas, the times that launches take, NAT, ARM. What this one does not do is said where it would
//! be needed.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod homes;
mod keepers;
mod pages;

use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::sync::RwLock;
use std::time::Duration;

use loadkit::core::{Judgement, Verdict};
use loadkit_aws::Sqs;
use loadkit_fleet::{Ending, Inbox as _};
use loadkit_tests::Child;
use loadkit_tests::cloud::{Cloud, TEMPLATE, Tasks, packages};
use loadkit_worker::Outbox as _;
use serde_json::json;

const CLIENT: &str = env!("CARGO_BIN_EXE_arena_worker");
const FLEET: &str = env!("CARGO_BIN_EXE_fleet_lambda");

/// Who needs the whole machine has it alone; all others share it.
static MACHINE: RwLock<()> = RwLock::new(());

/// The arena's server, as a process of its own, and its address.
fn arena(options: &[&str]) -> (Child, String) {
    let mut server = Command::new(CLIENT);
    server.env_remove("AWS_LAMBDA_RUNTIME_API").args(["--listen", "127.0.0.1:0"]).args(options);
    let server = Child::start(server.stdin(Stdio::null()).stdout(Stdio::piped()));
    let line = server.first_line(Duration::from_secs(20));
    (server, line.rsplit(' ').next().unwrap().to_owned())
}

/// Most wait in the lobby, where the server hears of each twice a second, and 150 play, so that two cores hold them all: they come one after the other, and so they leave.
const LOBBY: &str = "scenario = \"arena\"\ngrace = \"5s\"\nsockets = 1\ninterval = \"5s\"\nthresholds = [\"errors < 1%\"]\n\
    stages = [{ ramp = 5_000, over = \"40s\" }, { hold = \"10s\" }, { ramp = 0, over = \"30s\" }]\n\
    [personas]\nidler = 97\nlounger = 2\ncasual = 1\ncompetitive = 0\n";

/// A fleet whose worker Lambdas live so long.
fn deployed(packages: &std::path::Path, tasks: &Tasks, worker_seconds: &str) -> Cloud {
    Cloud::deployed(packages, tasks, (CLIENT, FLEET), TEMPLATE, &[("WorkerSeconds", worker_seconds)])
}

/// The verdict is PASS; or the machine had no CPU left for 50 workers, and then the verdict says that, whatever became of players who had
/// to wait for it. Whether it is PASS.
fn says_what_it_can(judgement: &Judgement) -> bool {
    println!("  {:?}: {:?}, {:?}", judgement.verdict, judgement.reasons, judgement.warnings);
    match judgement.verdict {
        Verdict::Pass => {}
        Verdict::Invalid => {
            // Sockets overflow where nobody has the time to read them.
            let busy = ["the load generator was late", "kernel threw away"];
            let is_busy = |text: &str| busy.iter().any(|words| text.contains(words));
            assert!(judgement.reasons.iter().any(|reason| is_busy(&reason.text)), "{:?}", judgement.reasons);
            println!("  THE MACHINE HAD NO CPU LEFT: how many players came in is not looked at");
        }
        Verdict::Fail => unreachable!("the server did nothing wrong: {judgement:?}"),
    }
    judgement.verdict == Verdict::Pass
}

#[test]
fn one_signed_request_plays_on_fifty_lambdas() {
    let Some(packages) = packages() else { return };
    let _machine = MACHINE.write();
    let tasks = Tasks::of(CLIENT);
    // Fifty workers ask for word and report at their leisure: the emulator answers one after the other, on what the players leave of two
    // cores.
    let leisure = [("BeatMs", "5000"), ("LeaseMs", "120000"), ("ReportMs", "8000")];
    let cloud = Cloud::deployed(&packages, &tasks, (CLIENT, FLEET), TEMPLATE, &leisure);
    assert_eq!(cloud.status_unsigned("/v1/runs"), 403, "an unsigned request");
    let (_server, target) = arena(&[]);
    // A message that is none of a worker's.
    let queue = Sqs::new(cloud.client().clone(), cloud.output("QueueUrl"));
    cloud.wait(queue.send(&["poison".to_owned()])).unwrap();

    let request = json!({
        "plan": LOBBY, "target": target, "runner": "lambda", "workers": 50, "start_in_ms": 24_000,
    });
    let record = cloud.play(&request);
    assert_eq!((record.ending, record.parcels_missing, record.attempts_lost), (Some(Ending::Complete), 0, 0));
    assert!(record.by.name.starts_with("arn:aws:iam::"), "{:?}", record.by);
    let recorded = cloud.has_what_was_recorded(&record, 50);
    let (totals, report) = (recorded.totals(), cloud.report(record.id).0);
    let login = &totals.steps["login"];
    // All of them came, were logged in at once, and took their leave. A seat whose player failed is filled again.
    assert!(totals.started >= 5_000, "{} players", totals.started);
    assert_eq!(report.players.peak_planned, 5_000);
    if says_what_it_can(record.judgement.as_ref().unwrap()) {
        assert!(login.succeeded() >= 4_950 && login.failed() <= 50, "{} logged in", login.succeeded());
        assert!(report.players.peak_connected >= 4_950, "{} at once", report.players.peak_connected);
    }
    let (homes, names, parcels) = cloud.leases(record.id, 50);
    assert_eq!((homes, names.len(), tasks.count()), (BTreeSet::from(["lambda".to_owned()]), 50, 0));
    println!("  {parcels} parcels of 50 Lambdas");

    // What it would not allow is refused, and a run that is none is not found.
    let elsewhere = json!({ "plan": "bots = 1", "target": "192.0.2.1:4000", "runner": "lambda" });
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
fn the_template_is_one() {
    let Some(packages) = packages() else { return };
    let template = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/aws/template.yaml");
    let mut lint = Command::new("python3");
    lint.args(["-c", "from cfnlint.runner import main; main()", template]).env("PYTHONPATH", packages);
    let output = Child::run(&mut lint, Duration::from_secs(120));
    assert_eq!((output.code, output.out.trim()), (Some(0), ""), "{}", output.err);
}
