//! Whose fault it is: a load generator that is sick makes the run invalid and says why, a server that is sick fails it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use loadkit_tests::{Child, hold, rudp_server};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(60);
const CLIENT: &str = env!("CARGO_BIN_EXE_client");

/// The exit code of a run, and its report. `prefix` starts the client.
fn play(prefix: &[&str], scenario: &str, target: SocketAddr, more: &[&str]) -> (Option<i32>, Value) {
    let dir = tempfile::tempdir().unwrap();
    let words: Vec<&str> = prefix.iter().copied().chain([CLIENT]).collect();
    let mut client = Command::new(words[0]);
    client.args(&words[1..]).current_dir(dir.path());
    client.args(["run", "--scenario", scenario, "--target", &target.to_string()]).args(more);
    let output = Child::run(&mut client, LIMIT);
    assert!(!output.err.contains("panicked"), "{output:?}");
    let json = std::fs::read(dir.path().join("report/report.json"));
    let json = json.unwrap_or_else(|error| panic!("no report, {error}: {output:?}"));
    (output.code, serde_json::from_slice(&json).unwrap())
}

/// The verdicts of all reasons, and whether one of them says this.
fn says(report: &Value, verdict: &str, what: &str) {
    let reasons = report["judgement"]["reasons"].as_array().unwrap();
    let is_said = |reason: &Value| reason["verdict"] == verdict && reason["text"].as_str().unwrap().contains(what);
    assert!(reasons.iter().any(is_said), "no {verdict} says {what:?}: {reasons:#?}");
}

/// An echo server that takes so long for each message.
fn server(takes: Duration) -> SocketAddr {
    rudp_server(move |_| hold(takes)).0
}

#[test]
fn a_bot_that_blocks_its_thread_is_named() {
    // Sixteen players of 20 Hz would take 9.6 s of each second.
    let (code, report) =
        play(&[], "blocking", server(Duration::ZERO), &["--bots", "16", "--duration", "3s", "--shards", "1"]);
    assert_eq!(code, Some(3));
    says(&report, "invalid", "the load generator was late");
    says(&report, "invalid", "bots held up their shard");
}

#[test]
fn another_process_on_its_core_is_named() {
    let mut hog = Command::new("taskset");
    let _hog = Child::start(hog.args(["-c", "0", "sh", "-c", "while :; do :; done"]));
    // A lower priority, so that it does not depend on how kind the scheduler is to those who sleep a lot.
    let prefix = ["taskset", "-c", "0", "nice", "-n", "19"];
    let more = ["--bots", "40", "--duration", "4s", "--shards", "1"];
    let (code, report) = play(&prefix, "rudp", server(Duration::ZERO), &more);
    assert_eq!(code, Some(3));
    says(&report, "invalid", "the load generator was late");
    says(&report, "invalid", "other processes on this machine used up to");
}

#[test]
fn descriptors_that_are_used_up_are_named() {
    let limited = format!("ulimit -n 110; exec {CLIENT} \"$@\"");
    let dir = tempfile::tempdir().unwrap();
    let target = server(Duration::ZERO).to_string();
    let mut client = Command::new("sh");
    client.current_dir(dir.path()).args([
        "-c",
        &limited,
        "client",
        "run",
        "--scenario",
        "hoarding",
        "--target",
        &target,
    ]);
    let output = Child::run(client.args(["--bots", "20", "--duration", "2s"]), LIMIT);
    assert_eq!(output.code, Some(3), "{output:?}");
    let report = serde_json::from_slice(&std::fs::read(dir.path().join("report/report.json")).unwrap()).unwrap();
    says(&report, "invalid", "this machine had no descriptors left");
}

#[test]
fn a_sick_server_fails_and_is_not_excused_by_a_sick_generator() {
    let slow = server(Duration::from_millis(4));
    let rule = ["--threshold", "p50(ping) < 2ms", "--duration", "3s", "--shards", "1"];
    // Few ticks, so that a machine that is busy with other things is not too late for more than one in a hundred.
    let (code, report) = play(&[], "rudp", slow, &[&rule[..], &["--bots", "2"]].concat());
    if code == Some(1) {
        says(&report, "fail", "p50(ping) < 2ms was missed: ");
    }
    // The machine was sick by itself: then it says so, and not that the server was the cause alone.
    assert!(code == Some(1) || report["judgement"]["verdict"] == "invalid", "{code:?}");
    let (code, report) = play(&[], "blocking", slow, &[&rule[..], &["--bots", "16"]].concat());
    assert_eq!((code, &report["judgement"]["verdict"]), (Some(3), &Value::from("invalid")));
    says(&report, "invalid", "bots held up their shard");
    says(&report, "fail", "p50(ping) < 2ms was missed: ");
    assert!(report["steps"]["ping"]["response"]["p50_us"].as_u64().unwrap() > 2_000, "its figures are there");
}
