//! One scenario, four homes: the same plan, target and seed on Lambdas, on tasks to which Lambdas hand over, in processes of this
//! machine, and in one process. The same players come, and the report has the same shape.
//!
//! The emulator's own RunTask starts containers by way of a daemon. Here the tests answer in its place: they start a container by
//! `runc` where the machine has it and can, else a process by the same contract, and say which it was.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use loadkit::core::{Report, Verdict};
use loadkit_fleet::api::{Access, Door, FleetService};
use loadkit_fleet::{
    Caller, Ending, Fleet, Kept, LocalLauncher, Policy, RunRequest, RunnerChoice, Settings, Silent, Unguarded,
    WorkerLine, keep, report_file,
};
use loadkit_tests::Child;
use loadkit_tests::cloud::{NO_ROOM, Tasks, packages};
use loadkit_worker::{MemoryStore, SystemClock};
use serde_json::{Value, json};

use super::{CLIENT, MACHINE, arena, deployed};

const LIMIT: Duration = Duration::from_secs(120);
const BOTS: u64 = 24;
const WORKERS: usize = 4;
const SEED: u64 = 7;
/// Calls of RunTask that find no room before there is some.
const REFUSALS: u32 = 2;

/// Matches so long that most go shopping once, and nobody has had enough before the end.
const SERVER: [&str; 2] = ["--match-time", "3500ms"];

fn plan() -> String {
    format!(
        "scenario = \"arena\"\nbots = {BOTS}\nparty = 2\nramp = \"2s\"\nduration = \"10s\"\ngrace = \"5s\"\n\
         split = [\"persona\"]\nthresholds = [\"errors < 5%\", \"p95(login) < 4s\"]\n\
         [personas]\ncasual = 2\ncompetitive = 1\n"
    )
}

/// What a home leaves.
struct Left {
    home: &'static str,
    report: Report,
    json: Value,
}

fn left(home: &'static str, dir: &Path) -> Left {
    let json = std::fs::read(dir.join("report.json")).unwrap();
    Left { home, report: Report::load(dir).unwrap(), json: serde_json::from_slice(&json).unwrap() }
}

/// In one process, by the client's own command line.
fn in_one_process() -> Left {
    let (_server, target) = arena(&SERVER);
    let dir = tempfile::tempdir().unwrap();
    let (plan_file, report) = (dir.path().join("plan.toml"), dir.path().join("report"));
    std::fs::write(&plan_file, plan()).unwrap();
    let mut client = Command::new(CLIENT);
    client.env_remove("AWS_LAMBDA_RUNTIME_API").arg("run").arg(&plan_file).args(["--target", &target]);
    client.args(["--seed", &SEED.to_string(), "--quiet", "--report"]).arg(&report);
    let output = Child::run(client.stdin(Stdio::null()), LIMIT);
    assert!(report.join("report.json").exists(), "{output:?}");
    left("one process", &report)
}

/// In processes of this machine, which a fleet on it has started.
fn in_local_processes() -> Left {
    let (_server, target) = arena(&SERVER);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let door = Door::open("127.0.0.1:0".parse().unwrap(), Access::Open).await.unwrap();
        let settings = Settings::near(WorkerLine::Http { url: format!("http://{}", door.addr()) });
        let launcher = Arc::new(LocalLauncher::new(CLIENT, 8));
        let (store, clock) = (Arc::new(MemoryStore::new()), Arc::new(SystemClock));
        let fleet = Fleet::new(store, [launcher as _], Arc::new(Silent), Arc::new(Unguarded), clock, settings);
        let service = Arc::new(FleetService::new(fleet.clone(), Policy::default()));
        tokio::spawn(door.serve(service, std::future::pending()));
        let request = RunRequest {
            plan: plan(),
            target: Some(target),
            seed: Some(SEED),
            runner: RunnerChoice::Local,
            workers: Some(WORKERS as u32),
            ..RunRequest::default()
        };
        let launched = fleet.launch(request, Caller { name: "a test".into() }).await.unwrap();
        let Kept::Ended(record) = keep(&fleet, launched.id, LIMIT).await.unwrap() else { unreachable!("not kept") };
        assert_eq!((record.ending, record.parcels_missing), (Some(Ending::Complete), 0), "{record:?}");
        let dir = tempfile::tempdir().unwrap();
        for name in ["report.json", "histograms.hlog"] {
            let file = report_file(&**fleet.store(), record.id, name).await.unwrap().unwrap();
            std::fs::write(dir.path().join(name), file).unwrap();
        }
        left("local processes", dir.path())
    })
}

/// On Lambdas that live so long, of an emulator of its own.
fn on_lambdas(home: &'static str, packages: &Path, tasks: &Tasks, worker_seconds: &str) -> Left {
    let (_server, target) = arena(&SERVER);
    let cloud = deployed(packages, tasks, worker_seconds);
    let request = json!({
        "plan": plan(), "target": target, "runner": "lambda", "long": "fargate", "workers": WORKERS, "seed": SEED,
        "start_in_ms": 8_000,
    });
    let record = cloud.play(&request);
    assert_eq!((record.ending, record.parcels_missing, record.workers_lost), (Some(Ending::Complete), 0, 0));
    cloud.has_what_was_recorded(&record, WORKERS);
    let (homes, names, _) = cloud.leases(record.id, WORKERS as u32);
    assert_eq!((homes, names.len()), (BTreeSet::from([home.to_owned()]), WORKERS));
    if tasks.count() > 0 && tasks.are_contained() {
        // Each has a host name of its own, and is the first process there.
        assert!(names.iter().all(|name| name.starts_with("task-") && name.contains("/1/")), "{names:?}");
    }
    let (report, json) = cloud.report(record.id);
    Left { home, report, json }
}

/// Lists of what happened, which are empty where nothing did.
const HAPPENINGS: [&str; 4] = ["reasons", "warnings", "failures", "flights"];
/// Figures of the kit's own, which are there where there was something to count: a late turn, a packet sent again.
const OWN: [&str; 2] = ["loadkit.", "net."];

/// The paths of all that is in a report. The elements of a list are one, and so are the kit's own figures of a kind.
fn paths(value: &Value, path: &str, all: &mut BTreeSet<String>) {
    all.insert(path.to_owned());
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, field)| {
            let name = OWN.iter().find(|own| name.starts_with(*own)).map_or(name.as_str(), |own| *own);
            paths(field, &format!("{path}/{name}"), all);
        }),
        Value::Array(_) if HAPPENINGS.iter().any(|list| path.ends_with(list)) => {}
        Value::Array(items) => items.iter().for_each(|item| paths(item, &format!("{path}[]"), all)),
        _ => {}
    }
}

fn shape(json: &Value) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    paths(json, "", &mut all);
    all
}

/// How often each step was taken that seats decide about, parts by persona too.
fn arrivals(report: &Report) -> BTreeMap<String, u64> {
    let of_seats = |name: &&String| name.starts_with("connect") || name.starts_with("login");
    let names = report.steps.keys().filter(of_seats);
    names.map(|name| (name.clone(), report.steps[name].count)).collect()
}

#[test]
fn one_scenario_in_four_homes_leaves_one_shape() {
    let Some(packages) = packages() else { return };
    let _machine = MACHINE.read();
    let (none, tasks) = (Tasks::of(CLIENT), Tasks::of(CLIENT));
    println!("homes: tasks are {}", tasks.what_they_are());
    // Of 80 s a Lambda keeps 75 for the start and the end.
    tasks.are_full_for(REFUSALS);
    let all = std::thread::scope(|scope| {
        let lambdas = scope.spawn(|| on_lambdas("lambda", &packages, &none, "900"));
        let handed_over = scope.spawn(|| on_lambdas("fargate", &packages, &tasks, "80"));
        let (local, one) = (in_local_processes(), in_one_process());
        [lambdas.join().unwrap(), handed_over.join().unwrap(), local, one]
    });
    assert_eq!((none.count(), tasks.count(), tasks.refused()), (0, WORKERS, REFUSALS), "{NO_ROOM}");
    for Left { home, report, json } in &all {
        println!(
            "homes: {home}: {:?}, {:?}, {} places in its report",
            report.judgement.verdict,
            arrivals(report),
            shape(json).len()
        );
    }
    let first = &all[0];
    for Left { home, report, json } in &all {
        assert_eq!(report.players.started, BOTS, "{home}");
        assert_eq!(report.players.peak_planned, BOTS, "{home}");
        assert_ne!(report.judgement.verdict, Verdict::Fail, "{home}: {:?}", report.judgement);
        assert_eq!(arrivals(report), arrivals(&first.report), "{home}");
        let differs: Vec<String> = shape(json).symmetric_difference(&shape(&first.json)).cloned().collect();
        assert!(differs.is_empty(), "{home} and {} differ in {differs:?}", first.home);
        assert!(report.steps.keys().eq(first.report.steps.keys()), "{home}: the same steps");
    }
}
