//! The keeper function alone: a run that a schedule launches is kept by keepers that hand it on to the next, and one that nobody
//! looks after is taken up by their tick.
//!
//! EventBridge Scheduler of the emulator looks every ten seconds for what is due, and takes times that have passed. It knows neither the role
//! that a schedule takes on nor what becomes of an event that was not delivered (`RetryPolicy`): both are only in the template.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use loadkit::core::RunId;
use loadkit_aws::{Call, DynamoDb, LambdaLauncher, Service};
use loadkit_fleet::{
    Caller, Ending, Fleet, Home, Launcher, RunLine, RunRequest, RunState, RunnerChoice, Settings, Silent, Unguarded,
    WorkerLine,
};
use loadkit_tests::cloud::{Cloud, TEMPLATE, Tasks, packages};
use loadkit_tests::hold;
use loadkit_worker::{SystemClock, Terms, get_json, keys};
use serde_json::{Value, json};

use super::{CLIENT, FLEET, MACHINE, arena};

const SCHEDULER: Service =
    Service { name: "Scheduler", host: "scheduler", variable: "SCHEDULER", target: "", json: "" };
const LIMIT: Duration = Duration::from_secs(150);
/// Thirty seconds of its life a keeper keeps to put everything aside: it looks after a run for the rest.
const KEEPER_SECONDS: &str = "40";

/// The template with keepers that live for so short a time, and whose tick is off.
fn template() -> String {
    let changed = |text: &str, from: &str, to: &str| {
        assert_eq!(text.matches(from).count(), 1, "the template has {from:?} once");
        text.replace(from, to)
    };
    let life = "Timeout: 900\n      LoggingConfig: { LogGroup: !Ref KeeperLog }";
    let text = changed(TEMPLATE, life, &life.replace("900", KEEPER_SECONDS));
    let tick = "      ScheduleExpression: rate(1 minute)\n";
    changed(&text, tick, &format!("{tick}      State: DISABLED\n"))
}

fn plan(seconds: u32) -> String {
    format!(
        "scenario = \"arena\"\nbots = 6\nduration = \"{seconds}s\"\ngrace = \"3s\"\n[personas]\ncasual = 1\ncompetitive = 0\n"
    )
}

/// So many seconds from now, as schedules are written.
fn at(seconds: u64) -> String {
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + seconds;
    // Days from the first of March of the year 0, in eras of 400 years (Hinnant, "chrono-compatible low-level date algorithms").
    let days = now_s / 86_400 + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let (day, month) =
        (day_of_year - (153 * shifted + 2) / 5 + 1, if shifted < 10 { shifted + 3 } else { shifted - 9 });
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (now_s / 3_600 % 24, now_s / 60 % 60, now_s % 60);
    format!("at({year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02})")
}

/// Asks the scheduler; a body makes it a change.
fn schedules(cloud: &Cloud, path: &str, body: Option<&Value>) -> Value {
    let method = if body.is_some() { "PUT" } else { "GET" };
    let body = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
    let headers = [("content-type", "application/json")];
    let call =
        Call { service: &SCHEDULER, action: path, method, path, query: &[], headers: &headers, body: body.into() };
    let answer = cloud.wait(cloud.client().call(&call)).unwrap();
    serde_json::from_slice(&answer.body).unwrap()
}

/// Turns the keeper's tick on.
fn turn_on_the_tick(cloud: &Cloud) {
    let all = schedules(cloud, "/schedules", None);
    let names = all["Schedules"].as_array().unwrap().iter().filter_map(|one| one["Name"].as_str());
    let name = names.into_iter().find(|name| name.contains("KeeperTick")).unwrap();
    let mut tick = schedules(cloud, &format!("/schedules/{name}"), None);
    assert_eq!(tick["State"], "DISABLED");
    tick["State"] = json!("ENABLED");
    schedules(cloud, &format!("/schedules/{name}"), Some(&tick));
}

/// A fleet that only launches, and wakes nobody: as the front door is when it dies at the right moment.
fn launches_only(cloud: &Cloud) -> Fleet {
    let (table, queue) = (cloud.output("TableName").to_owned(), cloud.output("QueueUrl").to_owned());
    let store = Arc::new(DynamoDb::new(cloud.client().clone(), &table));
    let lambda: Arc<dyn Launcher> = Arc::new(LambdaLauncher::new(cloud.client().clone(), "loadkit-worker"));
    assert_eq!(lambda.home(), Home::Lambda);
    let terms = Terms { beat_ms: 3_000, lease_ms: 60_000, report_ms: 4_000, ..Terms::default() };
    let settings = Settings { terms, ..Settings::new(WorkerLine::Aws { table, queue }) };
    Fleet::new(store, [lambda], Arc::new(Silent), Arc::new(Unguarded), Arc::new(SystemClock), settings)
}

/// The run that the schedule has launched.
fn launched(cloud: &Cloud) -> RunId {
    let began = Instant::now();
    loop {
        let answer = cloud.ask("GET", "/v1/runs", None);
        let runs: Value = answer.map(|answer| serde_json::from_slice(&answer.body).unwrap()).unwrap_or_default();
        let lines: Vec<RunLine> = serde_json::from_value(runs["runs"].clone()).unwrap_or_default();
        if let Some(line) = lines.iter().find(|line| line.by == "schedule/nightly") {
            return line.id;
        }
        assert!(began.elapsed() < LIMIT, "the schedule launches nothing: {runs}");
        hold(Duration::from_millis(500));
    }
}

#[test]
fn a_scheduled_run_is_handed_from_keeper_to_keeper_and_a_forgotten_one_is_found() {
    let Some(packages) = packages() else { return };
    let _machine = MACHINE.read();
    let tasks = Tasks::of(CLIENT);
    let (_server, target) = arena(&[]);
    let launch = json!({
        "plan": plan(22), "target": target, "runner": "lambda", "workers": 2, "start_in_ms": 6_000,
    });
    let (launch, when) = (launch.to_string(), at(3));
    let scheduled = [("ScheduleState", "ENABLED"), ("ScheduleExpression", &when), ("ScheduledLaunch", &launch)];
    let cloud = Cloud::deployed(&packages, &tasks, (CLIENT, FLEET), &template(), &scheduled);

    // A run that is written, and whose keeper was never woken.
    let fleet = launches_only(&cloud);
    let request = RunRequest {
        plan: plan(5),
        target: Some(target),
        runner: RunnerChoice::Lambda,
        workers: Some(2),
        start_in_ms: Some(1_000),
        ..RunRequest::default()
    };
    let forgotten = cloud.wait(fleet.launch(request, Caller { name: "a test".into() })).unwrap().id;

    // No tick is on: only a keeper can have woken the next one.
    let (nightly, mut owners, began) = (launched(&cloud), BTreeSet::new(), Instant::now());
    while cloud.record(nightly).is_none_or(|record| record.state != RunState::Ended) {
        let keeper = cloud.wait(get_json::<Value>(&**fleet.store(), &keys::of_run(nightly, "keeper"))).unwrap();
        owners.extend(keeper.and_then(|(keeper, _)| keeper["owner"].as_u64()));
        assert!(began.elapsed() < LIMIT, "the run does not end");
        hold(Duration::from_millis(200));
    }
    let record = cloud.until_ended(nightly);
    assert_eq!((record.ending, record.parcels_missing, record.workers_lost), (Some(Ending::Complete), 0, 0));
    assert_eq!(record.by.name, "schedule/nightly");
    println!("the nightly run had {} keepers, one after the other", owners.len());
    assert!(owners.len() >= 3, "keepers of 10 s look after a run of half a minute");
    cloud.has_what_was_recorded(&record, 2);

    let record = cloud.record(forgotten).unwrap();
    assert_eq!((record.state, record.ended_at_ms), (RunState::Assembling, None), "nobody knows of it");
    turn_on_the_tick(&cloud);
    let record = cloud.until_ended(forgotten);
    assert_eq!((record.ending, record.parcels_missing, record.workers_lost), (Some(Ending::Complete), 0, 0));
    assert!(record.notes.iter().any(|note| note.text.starts_with("the start is put off: ")), "{record:?}");
    cloud.has_what_was_recorded(&record, 2);
}
