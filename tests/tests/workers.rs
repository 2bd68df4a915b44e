//! Workers as real processes: Lambda's bootstrap against the runtime API, and processes with a job in their environment.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use loadkit::Plan;
use loadkit_tests::{Army, Child, RuntimeApi, hold, rudp_server};
use loadkit_worker::{Job, Phase, StopWord};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(30);
/// What a Lambda of the longest time-out has.
const LONG: Duration = Duration::from_secs(900);

fn client() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_client"));
    command.env_remove("AWS_LAMBDA_RUNTIME_API").stdout(Stdio::piped());
    command
}

fn plan(target: &str, bots: u64, seconds: u64) -> Plan {
    let plan = Plan::builder().target(target).scenario("rudp").bots(bots).grace(Duration::from_secs(2));
    plan.duration(Duration::from_secs(seconds)).build().unwrap()
}

/// Waits until something is so.
fn until(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < LIMIT, "{what}");
        hold(Duration::from_millis(20));
    }
}

#[test]
fn a_bootstrap_plays_one_job_after_another_and_answers_each() {
    let (server, seen) = rudp_server(|_| ());
    let army = Army::new(&plan(&server.to_string(), 4, 2), 2, concat!("client ", env!("CARGO_PKG_VERSION")));
    let api = RuntimeApi::new();
    let bootstrap = api.start(&mut client());
    for worker in [0, 1] {
        let id = api.invoke(army.job(worker).to_json(), LONG);
        let answered = api.answered(LIMIT);
        assert_eq!((&answered.id, answered.is_error), (&id, false), "{answered:?}");
        let outcome = &answered.body;
        assert_eq!((&outcome["outcome"], &outcome["closed"]), (&"played".into(), &true.into()), "{outcome}");
        let lease = army.lease(worker, 0).unwrap();
        assert_eq!((lease.phase, lease.status.home.as_str()), (Phase::Ended, "lambda"));
        assert!(lease.status.name.starts_with(&id), "{}", lease.status.name);
        // The second begins as the first did: with nothing of its own.
        let started = army.figures().totals().started;
        assert_eq!(started, 2 * u64::from(worker + 1));
        army.command(loadkit_worker::Command::starting(now_ms()));
    }
    assert!(seen.messages() > 20, "{}", seen.messages());
    assert_eq!(army.figures().totals().failed(), 0);
    bootstrap.says("\"loadkit\":\"end\"", LIMIT);
    // The same once more was started twice.
    api.invoke(army.job(0).to_json(), LONG);
    assert_eq!(api.answered(LIMIT).body["outcome"], "taken");
}

#[test]
fn events_that_are_no_jobs_are_answered_in_words() {
    let api = RuntimeApi::new();
    let _bootstrap = api.start(&mut client());
    let words = |event: Vec<u8>| {
        api.invoke(event, LONG);
        let answered = api.answered(LIMIT);
        assert!(answered.is_error && answered.body["errorType"] == "Job", "{answered:?}");
        answered.body["errorMessage"].as_str().unwrap().to_owned()
    };
    assert!(words(b"{}".to_vec()).contains("no schema"));
    assert!(words(vec![0xff; 100]).contains("no job"));
    assert!(words(vec![b' '; 1 << 20]).contains("longer than any job"));
    assert!(words(br#"{"schema":"loadkit.job/9"}"#.to_vec()).contains("version"));
}

#[test]
fn a_job_that_cannot_be_handed_on_is_said_to_the_fleet() {
    let army = Army::new(&plan("127.0.0.1:9", 1, 1), 1, "");
    let api = RuntimeApi::new();
    let _bootstrap = api.start(&mut client());
    api.invoke(Job { hand_over_to: Some("fargate".into()), ..army.job(0) }.to_json(), LONG);
    let answered = api.answered(LIMIT);
    assert_eq!((&answered.body["outcome"], answered.is_error), (&"failed".into(), false), "{answered:?}");
    let error = army.lease(0, 0).unwrap().end.unwrap().error.unwrap();
    assert!(error.contains("could not be handed on"), "{error}");
}

#[test]
fn a_lambda_whose_time_runs_out_has_sent_everything_before() {
    let (server, _) = rudp_server(|_| ());
    let army = Army::new(&plan(&server.to_string(), 2, 60), 1, "");
    let api = RuntimeApi::new();
    let _bootstrap = api.start(&mut client());
    // Ten seconds are kept in reserve, and two are the plan's grace.
    let invoked = Instant::now();
    api.invoke(army.job(0).to_json(), Duration::from_secs(15));
    let answered = api.answered(LIMIT);
    assert!(invoked.elapsed() < Duration::from_secs(15));
    assert_eq!((&answered.body["outcome"], &answered.body["closed"]), (&"played".into(), &true.into()), "{answered:?}");
    assert!(answered.body["end"]["cut_short"].as_str().unwrap().contains("runs out"));
    assert_eq!(army.figures().totals().started, 2);
}

#[test]
fn a_process_with_a_job_is_a_worker_and_leaves_at_a_signal() {
    let (server, seen) = rudp_server(|_| ());
    let army = Army::new(&plan(&server.to_string(), 6, 60), 3, "");
    let job = army.job(0).to_json();
    let children: Vec<Child> = (0..3)
        .map(|number: u32| {
            let index = number.to_string();
            Child::start(client().env("LOADKIT_JOB", &job).env("JOB_COMPLETION_INDEX", index))
        })
        .collect();
    until("six players play", || seen.joined() >= 6);
    until("figures arrive", || army.figures().totals().count("loadkit.ticks") > 20);
    // One is told by its home, the others by the fleet.
    children[0].signal("TERM");
    until("the first says that it ended", || army.lease(0, 0).is_some_and(|lease| lease.phase == Phase::Ended));
    let end = army.lease(0, 0).unwrap().end.unwrap();
    assert!(end.cut_short.unwrap().contains("told it to leave") && end.error.is_none());
    let stopped = Instant::now();
    army.command(loadkit_worker::Command { stop: StopWord::Drain, ..army.commanded() });
    for child in children {
        let output = child.wait(LIMIT);
        assert_eq!(output.code, Some(0), "{}", output.err);
        let last: Value = serde_json::from_str(output.err.lines().last().unwrap()).unwrap();
        assert_eq!(last["loadkit"], "end");
    }
    assert!(stopped.elapsed() < Duration::from_secs(10), "{:?}", stopped.elapsed());
    assert_eq!((seen.joined(), seen.left()), (6, 6));
    for worker in 1..3 {
        let lease = army.lease(worker, 0).unwrap();
        assert_eq!((lease.phase, lease.end.and_then(|end| end.cut_short)), (Phase::Ended, None));
    }
}

/// The value of a line of this name in CodeBuild's file.
fn said_by_buildspec(name: &str) -> &'static str {
    let lines = include_str!("../../deploy/codebuild/buildspec.yml").lines();
    lines.map(str::trim).find_map(|line| line.strip_prefix(name)).unwrap().trim()
}

#[test]
fn a_build_of_a_batch_is_a_worker() {
    let (server, seen) = rudp_server(|_| ());
    let numbers: Vec<String> = serde_json::from_str(said_by_buildspec("LOADKIT_WORKER:")).unwrap();
    let workers = u32::try_from(numbers.len()).unwrap();
    let army = Army::new(&plan(&server.to_string(), 2 * u64::from(workers), 60), workers, "");
    let job = army.job(0).to_json();
    // Where the build begins, its source is: the client.
    let source = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_client"), source.path().join("client")).unwrap();
    let build = |number: &String| {
        let mut shell = Command::new("sh");
        shell.args(["-c", said_by_buildspec("- ")]).current_dir(source.path()).env("LOADKIT_WORKER", number);
        Child::start(shell.env_remove("AWS_LAMBDA_RUNTIME_API").env("LOADKIT_JOB", &job).stdout(Stdio::piped()))
    };
    let builds: Vec<Child> = numbers.iter().map(build).collect();
    until("all play", || seen.joined() >= 2 * u64::from(workers));
    army.command(loadkit_worker::Command { stop: StopWord::Drain, ..army.commanded() });
    for build in builds {
        let output = build.wait(LIMIT);
        assert_eq!(output.code, Some(0), "{}", output.err);
    }
    for worker in 0..workers {
        assert_eq!(army.lease(worker, 0).unwrap().phase, Phase::Ended);
    }
    assert_eq!(army.figures().totals().started, 2 * u64::from(workers));
}

#[test]
fn a_job_that_makes_no_sense_is_wrong_use() {
    let output = Child::run(client().env("LOADKIT_JOB", "{}"), LIMIT);
    assert_eq!(output.code, Some(2));
    assert!(output.err.contains("no schema"), "{}", output.err);
}

fn now_ms() -> u64 {
    use loadkit_worker::Clock;
    loadkit_worker::SystemClock.now_ms()
}
