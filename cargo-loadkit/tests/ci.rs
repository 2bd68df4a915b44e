//! `cargo loadkit ci` around servers and clients that behave, and that do not: what it says, and that nothing is left behind.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;
#[path = "common/itself.rs"]
mod itself;

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use common::{LIMIT, command, json, run};
use itself::arena;
use loadkit_core::gate::{Compared, Decision, Figure, Gate};
use loadkit_core::{Collector, Judgement, PlanSummary, Report, RunFacts, Verdict, write_json};
use loadkit_tests::{Child, hold};
use serde_json::Value;

/// Leaves its number and that of a child of its own, which does not go by itself.
const FAMILY: &str = "sleep 900 & echo $$ $! > family; echo 'the server is up'; wait";

/// A client of a few lines of shell.
fn client(folder: &Path, script: &str) -> String {
    let path = folder.join("client");
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path.display().to_string()
}

/// Whether the processes that a server has left its numbers of are gone; waits for it, as one that is killed is not gone at once.
fn is_gone(folder: &Path) -> bool {
    let family = fs::read_to_string(folder.join("family")).unwrap();
    let there = |pid: &str| {
        // One that nobody has waited for is there by name only.
        let state = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        state.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.trim_start().starts_with('Z'))
    };
    for _ in 0..200 {
        if !family.split_whitespace().any(there) {
            return true;
        }
        hold(Duration::from_millis(50));
    }
    false
}

#[test]
fn a_server_that_does_not_come_up_is_told_with_its_last_words() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    for (args, code, why) in [
        (&["--server", "no-such-server --port {port}"][..], 4, "with exit code 127: `no-such-server --port "),
        (
            &["--server", "no-such-server {port}"],
            4,
            "mend it: there is no such command in this folder: correct the setting server",
        ),
        (&["--server", "no-such-server {port}"], 4, "the end of report/server.log:\n  | sh: "),
        (
            &["--server", "echo booting {port}; echo 'no licence'; exit 3"],
            4,
            "ended before it was ready, with exit code 3",
        ),
        (&["--server", "echo booting {port}; echo 'no licence'; exit 3"], 4, "\n  | no licence"),
        (&["--server", "true {port}"], 4, "it has said nothing (report/server.log)"),
        (
            &["--server", FAMILY, "--target", "127.0.0.1:1", "--ready", "line is ready", "--set", "ready-within=300ms"],
            4,
            "the server was not ready within 300 ms: its output has no \"is ready\"",
        ),
        (
            &["--server", FAMILY, "--target", "127.0.0.1:1", "--set", "ready-within=300ms"],
            4,
            "nobody answers at 127.0.0.1:1\n  the end of report/server.log:\n  | the server is up\n  mend it: look into its log",
        ),
        (
            &["--server", FAMILY, "--target", "127.0.0.1:1", "--ready", "command false", "--set", "ready-within=300ms"],
            4,
            "`false` does not end well",
        ),
        (&["--server", "sleep 9", "--target", &taken], 4, "the port of the server is taken: 127.0.0.1:"),
        (
            &["--server", "sleep 9", "--target", &taken],
            4,
            "mend it: end what listens there; or let a free port be chosen",
        ),
        (&["--server", "sleep 9"], 2, "it is not said where the server listens\n  mend it: --target HOST:PORT"),
        (
            &["--target", "127.0.0.1:{port}"],
            2,
            "waits for a server to be started\n  mend it: give its command: --server",
        ),
        (&["--server", "sleep 9", "--target", "mem://game"], 2, "is memory, which no other process reaches"),
        (&["--server", "x {port}", "--target", "game.test:4000"], 2, "at a free port, and game.test:4000 is not here"),
        (
            &["--server", "a", "--base-server", "b", "--target", "127.0.0.1:1"],
            2,
            "both builds of the server would listen at 127.0.0.1:1\n  mend it: --set base-target=",
        ),
        (&["--server", "x {port}", "--ready", "soon"], 2, "ready: \"soon\" is none; write port, line TEXT or command"),
        (
            &["--server", "x {port}", "--set", "detect=5"],
            2,
            "--set detect: detect: \"5\" is none; write a part between",
        ),
    ] {
        let output = run(folder.path(), &[&["ci", "--client", "/bin/true"], args].concat());
        assert_eq!(output.code, Some(code), "{args:?}: {output:?}");
        assert!(output.err.contains(why), "{args:?}: {}", output.err);
    }
    assert!(is_gone(folder.path()));
    let (code, error) = json(folder.path(), &["ci", "--client", "/bin/true", "--server", "no-such-server {port}"]);
    assert_eq!((code, &error["schema"], &error["exit"]), (Some(4), &"loadkit.error/1".into(), &4.into()));
}

#[test]
fn a_client_that_does_not_play_is_told_with_its_words() {
    let folder = tempfile::tempdir().unwrap();
    let args = |client: &str| {
        let all = ["ci", "--server", FAMILY, "--ready", "line is up", "--target", "127.0.0.1:1", "--client", client];
        all.map(str::to_owned)
    };
    for (script, code, why) in [
        (
            "echo 'error: the plan is bad:' >&2; echo 'line 3' >&2; exit 2",
            2,
            "error: the load client refuses: the plan is bad:\n  line 3",
        ),
        ("echo hm >&2; exit 3", 3, "the load client could not play: hm"),
        ("exit 101", 4, "the load client ended with exit code 101 and no report"),
        ("kill -KILL $$", 4, "the load client was killed"),
    ] {
        let client = client(folder.path(), script);
        let output = run(folder.path(), &args(&client).each_ref().map(String::as_str));
        assert!(output.code == Some(code) && output.err.contains(why), "{script}: {output:?}");
        assert!(is_gone(folder.path()), "{script}");
    }
    let output = run(folder.path(), &args("./no-client").each_ref().map(String::as_str));
    assert!(output.code == Some(4) && output.err.contains("the client ./no-client cannot be started"), "{output:?}");
    assert!(is_gone(folder.path()));
}

/// The report of a minute whose gate needs so many more seconds to be sure, or none helps; without one, it is sure.
fn unsure(folder: &Path, name: &str, more_s: Option<Option<u64>>) {
    let plan = PlanSummary { duration_s: 60.0, peak: 2, party: 1, ..PlanSummary::default() };
    let facts = RunFacts {
        id: "1".into(),
        scenario: "game".into(),
        target: "127.0.0.1:1".into(),
        seed: "1".into(),
        plan,
        plan_toml: String::new(),
        started_at_unix_s: 0,
        shards: 1,
        version: "0.1.0".into(),
        client: String::new(),
        build: String::new(),
        stamp: None,
    };
    let verdict = if more_s.is_some() { Verdict::Invalid } else { Verdict::Pass };
    let reasons = Vec::from_iter(more_s.map(|_| "not enough data: p95(move)".to_owned()));
    let judgement = Judgement { verdict: Verdict::Pass, reasons: vec![], warnings: vec![], thresholds: vec![] };
    let mut report = Report::new(facts, &Collector::new(Duration::from_secs(1)), judgement);
    let decision = more_s.map_or(Decision::Same, |more_s| Decision::NotEnoughData { more_s });
    let figure = Compared {
        step: "move".into(),
        figure: Figure::P95,
        old: 1e3,
        new: 1e3,
        change: 0.0,
        low: -0.5,
        high: 0.5,
        p: 1.0,
        p_corrected: 1.0,
        steady: None,
        decision,
    };
    report.take_gate(Ok(Gate {
        verdict,
        reasons,
        notes: vec![],
        figures: vec![figure],
        too_rare: vec![],
        baselines: vec!["old".into()],
        candidates: vec!["new".into()],
        from_s: 0.0,
        compared_s: 60.0,
        paired: true,
    }));
    write_json(&folder.join(name), &report).unwrap();
}

#[test]
fn both_builds_are_played_longer_where_the_gate_has_too_little_data() {
    let folder = tempfile::tempdir().unwrap();
    let both = "echo up; exec sleep 900";
    // A client that has its reports ready, one a run, and says how it was called.
    let script = "echo \"$@\" >> called; n=$(wc -l < called); mkdir -p report; cp $n.json report/report.json";
    let client = client(folder.path(), script);
    let play = |more: &[&str]| {
        let _ = fs::remove_file(folder.path().join("called"));
        let mut args = vec!["ci", "--server", both, "--base-server", both, "--ready", "line up", "--client", &client];
        args.extend(["--target", "127.0.0.1:1", "--set", "base-target=127.0.0.1:2", "--set", "duration=1m"]);
        let (code, said) = json(folder.path(), &[&args, more].concat());
        let called = fs::read_to_string(folder.path().join("called")).unwrap();
        let lasts =
            |line: &str| line.split_once("--duration ").map(|(_, rest)| rest.split(' ').next().unwrap().to_owned());
        (code, said, called.lines().filter_map(lasts).collect::<Vec<_>>())
    };
    // A fifth more than is missing, and once only.
    unsure(folder.path(), "1.json", Some(Some(50)));
    unsure(folder.path(), "2.json", None);
    let (code, said, lasts) = play(&[]);
    assert_eq!(
        (code, &said["attempts"], lasts.as_slice()),
        (Some(0), &2.into(), &["1m".into(), "2m".into()][..]),
        "{said}"
    );
    assert!(said["notes"][0].as_str().unwrap().starts_with("attempt 1 said nothing: not enough data"), "{said}");
    unsure(folder.path(), "2.json", Some(Some(10)));
    let (code, said, lasts) = play(&[]);
    assert_eq!((code, lasts.len()), (Some(3), 2), "{said}");
    // Not where it is too much, where it is not wanted, where it does not help.
    let (code, said, lasts) = play(&["--set", "longer=40s"]);
    assert_eq!((code, lasts.len()), (Some(3), 1), "{said}");
    assert_eq!(said["notes"][0], "not played again: 50s longer are needed, and `longer` allows 40s", "{said}");
    let (code, said, lasts) = play(&["--set", "longer=0s"]);
    assert_eq!((code, lasts.len(), said["notes"].as_array().map(Vec::len)), (Some(3), 1, Some(1)), "{said}");
    let advice = said["notes"][0].as_str().unwrap();
    assert!(advice.starts_with("not enough data: play longer: --set duration=1m50s; or "), "{advice}");
    unsure(folder.path(), "1.json", Some(None));
    assert_eq!(play(&[]).2.len(), 1);
    // Nor of a load in stages, whose length means something.
    unsure(folder.path(), "1.json", Some(Some(50)));
    let plan = "scenario = \"game\"\nstages = [{ step = 2, over = \"1m\" }]\n";
    fs::write(folder.path().join("plan.toml"), plan).unwrap();
    let mut args = vec!["ci", "--server", both, "--base-server", both, "--ready", "line up", "--client", &client];
    args.extend(["--target", "127.0.0.1:1", "--set", "base-target=127.0.0.1:2", "--set", "plan=plan.toml"]);
    fs::remove_file(folder.path().join("called")).unwrap();
    let (code, said) = json(folder.path(), &args);
    assert_eq!((code, &said["attempts"]), (Some(3), &1.into()), "{said}");
}

/// Whoever ends it, and however: nobody is left behind.
#[test]
fn signals_end_the_client_and_the_servers() {
    let folder = tempfile::tempdir().unwrap();
    let client =
        client(folder.path(), "trap 'echo leaving >&2; exit 3' INT; echo playing >&2; while :; do sleep 0.1; done");
    let args = ["ci", "--server", FAMILY, "--ready", "line is up", "--target", "127.0.0.1:1", "--client", &client];
    for signal in ["INT", "TERM", "HUP"] {
        let child = Child::start(command(folder.path(), &args).stdout(Stdio::piped()));
        child.says("playing", LIMIT);
        child.signal(signal);
        let output = child.wait(LIMIT);
        assert_eq!(output.code, Some(3), "{signal}: {output:?}");
        assert!(
            output.err.contains("leaving") && output.err.contains("while the players played: nothing was judged"),
            "{output:?}"
        );
        assert!(is_gone(folder.path()), "{signal}");
    }
    // While it starts, and when it gets no chance to do anything itself.
    let args = ["ci", "--server", FAMILY, "--target", "127.0.0.1:1", "--client", &client];
    for (signal, code) in [("INT", Some(3)), ("KILL", None)] {
        drop(fs::remove_file(folder.path().join("family")));
        let child = Child::start(command(folder.path(), &args).stdout(Stdio::piped()));
        child.says("starting the server", LIMIT);
        while !fs::read_to_string(folder.path().join("family")).is_ok_and(|family| family.ends_with('\n')) {
            hold(Duration::from_millis(20));
        }
        child.signal(signal);
        assert_eq!(child.wait(LIMIT).code, code, "{signal}");
        assert!(is_gone(folder.path()), "{signal}");
    }
}

/// The arena's server on a free port, and 12 players.
const PLAY: [&str; 8] = ["ci", "--ready", "line listens on", "--set", "bots=12", "--set", "duration=3s", "--quiet"];

fn play(folder: &Path, args: &[&str]) -> (Option<i32>, Value) {
    json(folder, &[&PLAY[..], args].concat())
}

#[test]
fn the_first_run_becomes_the_baseline_of_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let arena = arena(folder.path());
    let toml = format!(
        "client = \"{0}\"\nserver = \"{0} server --listen 127.0.0.1:{{port}} --match-time 1s\"\nbuild = \"7\"\nattempts = 5\n",
        arena.display()
    );
    fs::write(folder.path().join("loadkit.toml"), toml).unwrap();
    let kept = || fs::read_dir(folder.path().join("loadkit-baseline")).map_or(0, Iterator::count);
    let (code, first) = play(folder.path(), &[]);
    assert_eq!(
        (&first["schema"], &first["compared"], &first["build"]),
        (&"loadkit.ci/1".into(), &"none".into(), &"7".into())
    );
    // A machine that is too busy for twelve players five times keeps nothing, and can say no more.
    if code == Some(3) {
        assert!(kept() == 0 && first["verdict"] == "invalid", "{first}");
        return;
    }
    assert_eq!((code, &first["verdict"], kept()), (Some(0), &"pass".into(), 1), "{first}");
    assert!(first["notes"][0].as_str().unwrap().starts_with("no baseline yet in loadkit-baseline: "), "{first}");
    for file in ["report.json", "report.html", "report.md", "junit.xml", "server.log"] {
        assert!(folder.path().join("report").join(file).is_file(), "{file}");
    }
    let log = fs::read_to_string(folder.path().join("report/server.log")).unwrap();
    assert!(log.contains("the arena listens on 127.0.0.1:"), "{log}");

    // Three seconds tell the gate nothing; that is neither passed nor failed.
    let (code, second) = play(folder.path(), &["--keep"]);
    assert!(matches!(code, Some(0 | 3)), "{second}");
    assert_eq!(
        (&second["compared"], second["baselines"].as_array().map(Vec::len)),
        (&"stored".into(), Some(1)),
        "{second}"
    );
    let gate = fs::read_to_string(folder.path().join("report/gate.txt")).unwrap();
    assert!(gate.contains("Old       loadkit-baseline/"), "{gate}");
    let report: Value = serde_json::from_slice(&fs::read(folder.path().join("report/report.json")).unwrap()).unwrap();
    assert!(report["gate"]["figures"].as_array().is_some() && !report["beside"].is_null(), "{}", report["gate"]);
    let words = run(folder.path(), &PLAY.map(|arg| if arg == "--quiet" { "--keep" } else { arg }));
    assert!(
        words.out.contains("\nThe build before\n") && words.out.contains("Log       report/server.log"),
        "{words:?}"
    );
    assert!(words.err.contains("starting the server: "), "{words:?}");

    let other = run(folder.path(), &[&PLAY[..], &["--set", "bots=9"]].concat());
    assert_eq!(other.code, Some(2), "{other:?}");
    assert!(other.err.contains("most players at once: 12 in loadkit-baseline/"), "{}", other.err);
    assert!(other.err.contains("mend it: "), "{}", other.err);
    assert!(!folder.path().join("report/report.json").exists(), "the report of an earlier run is not this one's");
}

#[test]
fn a_server_that_falls_over_fails_and_the_build_before_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let arena = arena(folder.path());
    let arena = arena.display();
    // It ends when its standard input does.
    let good = format!("exec {arena} server --listen 127.0.0.1:{{port}}");
    let falls = format!("sleep 2 | {arena} server --listen 127.0.0.1:{{port}} --until-eof; echo 'out of gold'; exit 9");
    let client = arena.to_string();
    for (server, base, code, name) in [(&falls, None, 1, "server"), (&good, Some(&falls), 3, "base server")] {
        let mut args =
            vec!["ci", "--ready", "line listens on", "--client", &client, "--set", "duration=60s", "--server", server];
        args.extend(base.iter().flat_map(|base| ["--base-server", base.as_str()]));
        let output = run(folder.path(), &args);
        assert_eq!(output.code, Some(code), "{output:?}");
        let why = format!("the {name} ended while the players played, with exit code 9");
        assert!(output.err.contains(&why) && output.err.contains("\n  | out of gold"), "{}", output.err);
    }
}

#[test]
fn a_client_is_built_and_packaged_unless_that_is_not_wanted() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("src")).unwrap();
    fs::write(
        folder.path().join("src/main.rs"),
        "fn main() { eprintln!(\"error: it plays not\"); std::process::exit(2) }\n",
    )
    .unwrap();
    let manifest = "[package]\nname = \"little\"\nedition = \"2024\"\n\n[features]\nlambda = []\nfargate = []\n";
    fs::write(folder.path().join("Cargo.toml"), manifest).unwrap();
    assert!(Command::new("cargo").arg("generate-lockfile").current_dir(folder.path()).status().unwrap().success());
    let server = ["ci", "--server", FAMILY, "--ready", "line is up", "--target", "127.0.0.1:1"];
    let output = run(folder.path(), &server);
    assert!(output.code == Some(2) && output.err.contains("the load client refuses: it plays not"), "{output:?}");
    // It is compiled once, and plays as it is packaged.
    assert!(!folder.path().join("target/release/little").exists(), "{output:?}");
    let packages = folder.path().join("target/loadkit");
    assert!(fs::read_dir(&packages).unwrap().count() >= 3, "{output:?}");
    fs::remove_dir_all(&packages).unwrap();
    let output = run(folder.path(), &[&server[..], &["--no-package", "--set", "cargo-profile=dev"]].concat());
    assert!(output.code == Some(2) && !packages.exists(), "{output:?}");
    let output = run(folder.path(), &[&server[..], &["--set", "triple=aarch64-unknown-linux-moon"]].concat());
    assert!(output.code == Some(2) && output.err.contains("the client cannot be packaged: "), "{output:?}");
    assert!(output.err.contains("or leave it out: --no-package"), "{output:?}");
    fs::write(folder.path().join("src/main.rs"), "fn main() { oh }\n").unwrap();
    let output = run(folder.path(), &server);
    assert!(output.code == Some(1) && output.err.contains("little does not build for "), "{output:?}");
}
