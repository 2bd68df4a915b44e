//! `cargo loadkit launch` and what goes with it, with real workers: here, and through a service that is lost and comes back.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod interrupted;

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use loadkit_tests::{Child, Output, hold, rudp_server};
use serde_json::Value;

/// Nothing here takes longer on a busy machine.
const LIMIT: Duration = Duration::from_secs(240);
/// The network is cut for so long.
const CUT: Duration = Duration::from_secs(20);

/// The command, in a folder, with the tests' client and without the settings of whoever runs the tests.
fn command(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadkit_cli"));
    command.arg("loadkit").args(args).current_dir(folder);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("LOADKIT_") || name.starts_with("AWS_")) {
        command.env_remove(name);
    }
    command.env("LOADKIT_CLIENT", env!("CARGO_BIN_EXE_client")).stdout(Stdio::piped());
    command
}

fn run(folder: &Path, args: &[&str]) -> Output {
    Child::run(&mut command(folder, args), LIMIT)
}

/// Its code, and the object that it prints.
fn json(folder: &Path, args: &[&str]) -> (Option<i32>, Value) {
    read(&run(folder, &[args, &["--json"]].concat()))
}

fn read(output: &Output) -> (Option<i32>, Value) {
    let value = serde_json::from_str(&output.out).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    (output.code, value)
}

/// A plan of nine players, with a threshold.
fn plan(folder: &Path, server: SocketAddr, seconds: u64, threshold: &str) {
    let text = format!(
        "scenario = \"rudp\"\ntarget = \"{server}\"\nbots = 9\nduration = \"{seconds}s\"\ngrace = \"2s\"\nthresholds = [\"{threshold}\"]\n"
    );
    fs::write(folder.join("plan.toml"), text).unwrap();
}

/// The code that this verdict has.
fn code_of(outcome: &Value) -> Option<i32> {
    Some(match outcome["judgement"]["verdict"].as_str().unwrap() {
        "pass" => 0,
        "fail" => 1,
        _ => 3,
    })
}

#[test]
fn without_a_fleet_it_plays_here_and_ends_as_its_verdict_says() {
    let (server, seen) = rudp_server(|_| ());
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let none = run(folder, &["runs"]);
    assert!(none.code == Some(4) && none.err.contains("none of this machine has played"), "{none:?}");
    plan(folder, server, 4, "errors < 1%");
    let launch = ["launch", "--plan", "plan.toml", "--wait", "--set", "workers=2", "--set", "build=2.31"];
    let output = Child::run(&mut command(folder, &[&launch[..], &["--json"]].concat()), LIMIT);
    let (code, outcome) = read(&output);
    // A busy machine may make it INVALID, and never more than that.
    assert!(code == code_of(&outcome) && code != Some(1), "{outcome}");
    assert_eq!((&outcome["schema"], &outcome["ending"]), (&"loadkit.launch/1".into(), &"complete".into()));
    assert_eq!((seen.joined(), seen.left()), (9, 9));
    for part in ["2 workers, local", "workers  ", "9 connected, 9 playing of 9 planned"] {
        assert!(output.err.contains(part), "{part}: {}", output.err);
    }
    for (file, part) in [
        ("junit.xml", "<testsuite"),
        ("report.html", "<html"),
        ("report.json", "loadkit.report/1"),
        ("report.md", "errors &lt; 1%"),
    ] {
        let text =
            fs::read_to_string(folder.join("report").join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(text.contains(part) || text.contains("errors < 1%"), "{file}");
    }

    let id = outcome["run"].as_str().unwrap();
    let (code, runs) = json(folder, &["runs", "--state", "ended", "--of-build", "2.31"]);
    assert_eq!((code, runs["runs"].as_array().unwrap().len(), &runs["runs"][0]["id"]), (Some(0), 1, &id.into()));
    let words = run(folder, &["runs"]);
    assert!(words.out.contains(id) && words.out.contains("ended") && words.out.contains("2.31"), "{words:?}");
    let (code, watched) = json(folder, &["watch", id]);
    assert_eq!((code, code_of(&watched)), (code_of(&outcome), code), "{watched}");
    let (code, saved) = json(folder, &["report", "--out", "again"]);
    assert_eq!((code, &saved["run"]), (Some(0), &id.into()), "{saved}");
    assert!(folder.join("again/report.html").is_file() && folder.join("again/histograms.hlog").is_file());
    let stopped = run(folder, &["stop", id]);
    assert!(stopped.code == Some(1) && stopped.err.contains("has ended"), "{stopped:?}");
    let unknown = run(folder, &["dial", "00000000000000ff", "1.5"]);
    assert!(unknown.code == Some(2) && unknown.err.contains("there is no run 00000000000000ff"), "{unknown:?}");
    let same = run(folder, &["gate", id, "again"]);
    assert!(same.code == Some(2) && same.err.contains("are the same run"), "{same:?}");

    let (code, second) = json(folder, &launch);
    assert!(code == code_of(&second) && code != Some(1), "{second}");
    let (code, gate) = json(folder, &["gate", "again", second["run"].as_str().unwrap()]);
    // Four seconds say little, and two runs of one build differ by less than the noise of these.
    assert!(matches!(code, Some(0 | 3)) && gate["schema"] == "loadkit.gate/1", "{code:?} {gate}");
}

#[test]
fn a_signal_stops_a_run_that_plays_here() {
    let (server, seen) = rudp_server(|_| ());
    let folder = tempfile::tempdir().unwrap();
    plan(folder.path(), server, 600, "errors < 1%");
    let child = Child::start(&mut command(folder.path(), &["launch", "--plan", "plan.toml", "--json"]));
    child.says("9 playing of 9 planned", LIMIT);
    let (code, turned) = json(folder.path(), &["dial", "latest", "0.5"]);
    assert_eq!((code, &turned["schema"]), (Some(0), &"loadkit.dial/1".into()), "{turned}");
    child.says("note: load turned to 0.5", LIMIT);
    let second = run(folder.path(), &["launch", "--plan", "plan.toml"]);
    assert!(second.code == Some(1) && second.err.contains("a run is under way in this folder"), "{second:?}");
    child.signal("INT");
    let output = child.wait(LIMIT);
    let (code, outcome) = read(&output);
    assert!(code == code_of(&outcome) && output.err.contains("stopping: the players are asked to leave"), "{output:?}");
    assert_eq!((seen.joined(), seen.left()), (9, 9), "{output:?}");
}

/// A way to a server that can be cut: who is connected is cut off, and nobody else comes through.
struct Way {
    at: SocketAddr,
    is_cut: Arc<AtomicBool>,
}

impl Way {
    fn to(server: SocketAddr) -> Way {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (at, is_cut) = (listener.local_addr().unwrap(), Arc::new(AtomicBool::new(false)));
        let cut = is_cut.clone();
        std::thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let cut = cut.clone();
                std::thread::spawn(move || {
                    let far = (!cut.load(Ordering::SeqCst)).then(|| TcpStream::connect(server).ok()).flatten();
                    let Some(far) = far else { return };
                    let back = (far.try_clone().unwrap(), near.try_clone().unwrap(), cut.clone());
                    std::thread::spawn(move || pass(back.0, back.1, &back.2));
                    pass(near, far, &cut);
                });
            }
        });
        Way { at, is_cut }
    }
}

/// Hands on what comes, until it ends or is cut.
fn pass(mut from: TcpStream, mut to: TcpStream, cut: &AtomicBool) {
    from.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let mut bytes = [0; 16 << 10];
    while !cut.load(Ordering::SeqCst) {
        match from.read(&mut bytes) {
            Ok(0) => break,
            Ok(read) if to.write_all(&bytes[..read]).is_ok() => {}
            Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {}
            _ => break,
        }
    }
    for stream in [from, to] {
        let _ = stream.shutdown(Shutdown::Both);
    }
}

/// A service over the data of this folder, when it answers.
fn serve(folder: &Path, listen: &str) -> (Child, SocketAddr) {
    let child = Child::start(&mut command(folder, &["serve", "--listen", listen, "--set", "data=kept"]));
    let line = child.first_line(LIMIT);
    let at = line.rsplit_once("http://").unwrap_or_else(|| panic!("{line}")).1.parse().unwrap();
    (child, at)
}

#[test]
fn a_launch_outlasts_a_restart_of_its_service_and_a_network_that_is_cut() {
    let (server, _seen) = rudp_server(|_| ());
    let (served, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (service, at) = serve(served.path(), "127.0.0.1:0");
    let way = Way::to(at);
    // No server on loopback answers as fast as that: it fails.
    plan(folder.path(), server, 60, "p50(ping) < 1us");
    let fleet = format!("http://{}", way.at);
    let args = ["launch", "--wait", "--plan", "plan.toml", "--fleet", &fleet, "--set", "workers=2", "--json"];
    let child = Child::start(&mut command(folder.path(), &args));
    child.says("9 playing of 9 planned", LIMIT);

    // Its process is gone from one moment to the next, and another takes up what lies there.
    service.signal("KILL");
    child.says("no news for", LIMIT);
    assert_eq!(service.wait(LIMIT).code, None);
    let (_service, _) = serve(served.path(), &at.to_string());
    child.says("news again", LIMIT);

    way.is_cut.store(true, Ordering::SeqCst);
    let began = Instant::now();
    while began.elapsed() < CUT {
        hold(Duration::from_millis(100));
    }
    way.is_cut.store(false, Ordering::SeqCst);
    let output = child.wait(LIMIT);
    let (code, outcome) = read(&output);
    // A busy machine may make it INVALID; it is in no case taken for well.
    assert!(code == code_of(&outcome) && matches!(code, Some(1 | 3)), "{output:?}");
    assert_eq!(outcome["state"], "ended");
    let news: Vec<&str> = output.err.lines().filter(|line| line.contains("news")).collect();
    println!("{} {news:#?}", outcome["judgement"]);
    assert!(news.iter().filter(|line| line.contains("news again")).count() >= 2, "{news:?}");

    // The verdict is the one that the fleet has, and the report is whole.
    let (_, kept) =
        json(folder.path(), &["watch", outcome["run"].as_str().unwrap(), "--fleet", &format!("http://{at}")]);
    assert_eq!(kept["judgement"]["verdict"], outcome["judgement"]["verdict"]);
    let report: Value = serde_json::from_slice(&fs::read(folder.path().join("report/report.json")).unwrap()).unwrap();
    assert_eq!(report["judgement"]["verdict"], outcome["judgement"]["verdict"]);
    assert!(fs::read_to_string(folder.path().join("report/junit.xml")).unwrap().contains("p50(ping)"));
}
