//! The arena's commands as processes over real sockets: what they say, leave behind and count.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use arena::{Comparison, Counts};
use loadkit::core::Report;
use loadkit_tests::{Child, Output};

const LIMIT: Duration = Duration::from_secs(60);

fn arena(folder: &Path, args: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_arena"));
    Child::start(command.args(args).current_dir(folder).stdout(Stdio::piped()))
}

/// A server, and where it listens.
fn server(folder: &Path, misbehaviour: &[&str]) -> (Child, String) {
    let server = arena(folder, &[&["server", "--listen", "127.0.0.1:0", "--match-time", "2s"], misbehaviour].concat());
    let line = server.first_line(LIMIT);
    let addr = line.rsplit(' ').next().unwrap().to_owned();
    (server, addr)
}

/// Stops the server; what it has counted.
fn counts(server: Child) -> Counts {
    server.signal("INT");
    let output = server.wait(LIMIT);
    assert_eq!(output.code, Some(0), "{output:?}");
    output.out.split_once('\n').unwrap().1.parse().unwrap()
}

fn report(folder: &Path) -> Report {
    let report: Report = serde_json::from_slice(&std::fs::read(folder.join("report/report.json")).unwrap()).unwrap();
    assert_eq!(report.schema, "loadkit.report/1");
    let page = std::fs::read_to_string(folder.join("report/report.html")).unwrap();
    assert!(page.contains("matchmake") && folder.join("report/report.css").is_file());
    report
}

fn compare(counts: &Counts, report: &Report) -> Comparison {
    let step = |name: &str| report.steps.get(name).map_or((0, 0), |step| (step.succeeded, step.failed));
    Comparison::new(counts, step, report.players.cut_off)
}

/// 60 players, in parties of three.
const RUN: [&str; 7] = ["run", "--bots", "60", "--party", "3", "--ramp", "1s"];

/// Passed; or the machine was too busy to be believed, which is no fault of the arena.
fn went_well(output: &Output, report: &Report) {
    let verdict = report.judgement.verdict;
    assert_eq!(output.code, Some(verdict.exit_code().into()), "{output:?}");
    assert_ne!(output.code, Some(1), "{output:?}");
    assert_eq!((report.players.failed, report.players.cut_off), (0, 0), "{:?}", report.failures);
    assert!(output.out.contains(verdict.name()) && output.out.contains("matchmake"), "{}", output.out);
}

#[test]
fn sixty_bots_and_the_server_count_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let (server, addr) = server(folder.path(), &[]);
    let client = arena(folder.path(), &[&RUN[..], &["--duration", "4s", "--target", &addr]].concat());
    let output = client.wait(LIMIT);
    let (counts, report) = (counts(server), report(folder.path()));
    went_well(&output, &report);
    let comparison = compare(&counts, &report);
    assert!(comparison.agrees(), "{comparison}");
    assert_eq!((counts.logins, counts.leaves), (report.players.started, report.players.started), "{counts}");
    assert!(counts.logins >= 60 && counts.matches >= 6 && counts.moves > 1_000, "{counts}");
    let stamp = report.run.stamp.unwrap();
    assert_eq!((stamp.protocol.as_str(), stamp.client.starts_with("arena ")), (arena::wire::PROTOCOL, true));
    let differs = report.judgement.warnings.iter().find(|warning| warning.contains("protocol"));
    assert_eq!(differs, None, "the server tells the same");
}

#[test]
fn the_client_says_which_build_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let words = arena(folder.path(), &["info"]).wait(LIMIT);
    assert!(words.out.contains(&format!("protocol   {}\n", arena::wire::PROTOCOL)), "{words:?}");
    let output = arena(folder.path(), &["info", "--json"]).wait(LIMIT);
    let info: serde_json::Value = serde_json::from_str(&output.out).unwrap();
    assert_eq!((&info["schema"], &info["scenarios"][0]), (&"loadkit.info/1".into(), &"arena".into()), "{info}");
    assert_eq!(info["stamp"]["loadkit"], env!("CARGO_PKG_VERSION"));
    assert!(info["stamp"]["target"].as_str().unwrap().contains('-'), "{info}");
}

#[test]
fn ctrl_c_lets_them_leave_and_reports() {
    let folder = tempfile::tempdir().unwrap();
    let (server, addr) = server(folder.path(), &[]);
    let client = arena(folder.path(), &[&RUN[..], &["--duration", "10m", "--target", &addr]].concat());
    client.says(" of 10:00", LIMIT);
    client.signal("INT");
    let output = client.wait(LIMIT);
    let (counts, report) = (counts(server), report(folder.path()));
    assert!(report.lasted_s < 60.0, "{} s", report.lasted_s);
    went_well(&output, &report);
    assert!(output.out.contains("the run was stopped"), "{}", output.out);
    let comparison = compare(&counts, &report);
    assert!(comparison.agrees(), "{comparison}");
    assert_eq!((counts.leaves, counts.disconnects), (report.players.started, 0), "{counts}");
}

#[test]
fn dropped_logins_miss_a_threshold() {
    let folder = tempfile::tempdir().unwrap();
    let (server, addr) = server(folder.path(), &["--drop-logins", "100%"]);
    let args = ["--bots", "5", "--duration", "6s", "--threshold", "errors(login) < 1%", "--target", &addr];
    let output = arena(folder.path(), &[&["run"], &args[..]].concat()).wait(LIMIT);
    let counts = counts(server);
    assert!(counts.logins == 0 && counts.logins_dropped >= 5, "{counts}");
    assert_eq!(output.code, Some(1), "{output:?}");
    assert!(output.out.contains("errors(login) < 1% was missed"), "{}", output.out);
    assert!(output.out.contains("timed-out"), "{}", output.out);
}

#[test]
fn the_demonstration_ends_early_if_asked_and_still_agrees() {
    let folder = tempfile::tempdir().unwrap();
    let demo = arena(folder.path(), &[]);
    demo.says(" of 0:20", LIMIT);
    demo.signal("INT");
    let output = demo.wait(LIMIT);
    let report = report(folder.path());
    assert!(output.out.contains("The bots and the server agree."), "{}", output.out);
    assert!(report.steps["login"].succeeded >= 500, "{}", output.out);
    // In a debug build a thousand bots may be more than the machine has time for.
    assert!(matches!(output.code, Some(0 | 3)), "{output:?}");
}

#[test]
fn wrong_use_of_the_server_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let output = arena(folder.path(), &["server", "--golf"]).wait(LIMIT);
    assert_eq!(output.code, Some(2));
    assert!(output.err.contains("error: ") && output.err.contains("--golf"), "{}", output.err);
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let output = arena(folder.path(), &["server", "--listen", &addr]).wait(LIMIT);
    assert_eq!(output.code, Some(2));
    assert!(output.err.contains("cannot listen on") && output.err.contains(&addr), "{}", output.err);
}
