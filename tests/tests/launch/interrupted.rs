//! Ctrl-C and signals, `stop` and `dial`, of runs that a service plays: who leaves changes nothing, who stops is told how it ended.

use std::net::SocketAddr;
use std::path::Path;

use loadkit_tests::{CTRL_C, Child, Terminal, rudp_server};
use tempfile::TempDir;

use super::{LIMIT, code_of, command, json, plan, read, run, serve};

/// What a terminal asks.
const ASKS: &str = "The run is on. [s]top it, [l]eave it playing, or [g]o on watching? ";

/// A folder with a plan of ten minutes, and a fleet's service beside it.
struct Place {
    folder: TempDir,
    /// Its URL.
    fleet: String,
    _service: Child,
    _served: TempDir,
}

impl Place {
    fn new(server: SocketAddr) -> Place {
        let (folder, served) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (service, at) = serve(served.path(), "127.0.0.1:0");
        plan(folder.path(), server, 600, "errors < 1%");
        Place { folder, fleet: format!("http://{at}"), _service: service, _served: served }
    }
}

/// A launch on a fleet, followed.
fn launch(fleet: &str) -> Vec<&str> {
    vec!["launch", "--wait", "--plan", "plan.toml", "--fleet", fleet, "--set", "workers=2"]
}

/// How far the latest run has come, and which it is.
fn latest(folder: &Path, fleet: &str) -> (String, String) {
    let (code, runs) = json(folder, &["runs", "--limit", "1", "--fleet", fleet]);
    assert_eq!(code, Some(0), "{runs}");
    let text = |name: &str| runs["runs"][0][name].as_str().unwrap().to_owned();
    (text("id"), text("state"))
}

#[test]
fn whoever_leaves_a_run_of_a_service_leaves_it_playing() {
    let (server, seen) = rudp_server(|_| ());
    let place = Place::new(server);
    let (folder, fleet) = (place.folder.path(), place.fleet.clone());

    // On a terminal one is asked, each time; who goes on sees the run again.
    let mut terminal = Terminal::start(&command(folder, &launch(&fleet)));
    terminal.shows("9 playing of 9 planned", LIMIT);
    terminal.types(CTRL_C);
    terminal.shows(ASKS, LIMIT);
    terminal.types("g\n");
    terminal.shows("9 playing of 9 planned", LIMIT);
    terminal.types(CTRL_C);
    terminal.shows(ASKS, LIMIT);
    terminal.types("leave it\n");
    let (run_id, _) = latest(folder, &fleet);
    terminal.shows(&format!("left; it plays on: cargo loadkit watch {run_id}, cargo loadkit stop {run_id}"), LIMIT);
    let (code, shown) = terminal.wait(LIMIT);
    assert_eq!(code, Some(4), "{shown}");
    assert_eq!(latest(folder, &fleet), (run_id.clone(), "running".to_owned()));

    // A second Ctrl-C is an answer too.
    let mut terminal = Terminal::start(&command(folder, &["watch", "--fleet", &fleet]));
    terminal.shows("9 playing of 9 planned", LIMIT);
    terminal.types(CTRL_C);
    terminal.shows("left; it plays on", LIMIT);
    assert_eq!(terminal.wait(LIMIT).0, Some(4), "who only watches is not asked");

    // Where nobody can be asked: `watch` leaves in any case.
    for signal in ["INT", "TERM"] {
        let watching = Child::start(&mut command(folder, &["watch", &run_id, "--fleet", &fleet, "--json"]));
        watching.says("9 playing of 9 planned", LIMIT);
        watching.signal(signal);
        let (code, left) = read(&watching.wait(LIMIT));
        assert_eq!((code, &left["schema"], &left["exit"]), (Some(4), &"loadkit.watch/1".into(), &4.into()), "{left}");
        assert_eq!(latest(folder, &fleet), (run_id.clone(), "running".to_owned()));
    }

    // What is told is said, and reaches those who watch, who hear how it ended.
    let watching = Child::start(&mut command(folder, &["watch", "--fleet", &fleet, "--json"]));
    watching.says("9 playing of 9 planned", LIMIT);
    let dialled = run(folder, &["dial", "latest", "0.5", "--fleet", &fleet]);
    assert_eq!((dialled.code, dialled.out), (Some(0), format!("{run_id} is turned to 0.5 of its plan's load\n")));
    watching.says("note: load turned to 0.5", LIMIT);
    let stopped = run(folder, &["stop", "--fleet", &fleet]);
    let words = format!("{run_id} is told to stop: its players are asked to leave\n");
    assert_eq!((stopped.code, stopped.out), (Some(0), words), "{}", stopped.err);
    let (code, ended) = read(&watching.wait(LIMIT));
    assert!(code == code_of(&ended) && ended["state"] == "ended", "{ended}");
    assert_eq!((seen.joined(), seen.left()), (9, 9));
    let again = run(folder, &["stop", &run_id, "--fleet", &fleet]);
    assert!(again.code == Some(1) && again.err.contains("has ended"), "{again:?}");
}

#[test]
fn whoever_stops_a_run_of_a_service_hears_how_it_ended() {
    let (server, seen) = rudp_server(|_| ());
    let place = Place::new(server);
    let (folder, fleet) = (place.folder.path(), place.fleet.clone());

    let mut terminal = Terminal::start(&command(folder, &launch(&fleet)));
    terminal.shows("9 playing of 9 planned", LIMIT);
    terminal.types(CTRL_C);
    terminal.shows(ASKS, LIMIT);
    terminal.types("s\n");
    terminal.shows("stopping: the players are asked to leave; once more leaves them to it", LIMIT);
    let (code, shown) = terminal.wait(LIMIT);
    // A busy machine may make it INVALID. Nothing is missed, so it is no FAIL.
    assert!(matches!(code, Some(0 | 3)) && shown.contains("report/report.html"), "{code:?} {shown}");
    assert!(folder.join("report/junit.xml").is_file());
    assert_eq!((seen.joined(), seen.left()), (9, 9), "{shown}");

    // A pipeline that is ended leaves its run, if it said so; what it left is ended at once.
    let leaving = [&launch(&fleet)[..], &["--leave", "--json"]].concat();
    let child = Child::start(&mut command(folder, &leaving));
    child.says("9 playing of 9 planned", LIMIT);
    child.signal("INT");
    let output = child.wait(LIMIT);
    assert!(output.err.contains("left; it plays on: "), "{output:?}");
    let (code, left) = read(&output);
    assert_eq!((code, &left["schema"]), (Some(4), &"loadkit.launch/1".into()), "{left}");
    let run_id = left["run"].as_str().unwrap();
    assert_eq!(latest(folder, &fleet), (run_id.to_owned(), "running".to_owned()));
    let (code, stopped) = json(folder, &["stop", run_id, "--now", "--fleet", &fleet]);
    assert_eq!((code, &stopped["schema"], &stopped["run"]), (Some(0), &"loadkit.stop/1".into(), &run_id.into()));
    let (code, ended) = json(folder, &["watch", run_id, "--fleet", &fleet]);
    assert!(code == code_of(&ended) && ended["state"] == "ended", "{ended}");

    // Without that, the first signal stops it, and the verdict is waited for.
    let child = Child::start(&mut command(folder, &[&launch(&fleet)[..], &["--json"]].concat()));
    child.says("9 playing of 9 planned", LIMIT);
    child.signal("TERM");
    let output = child.wait(LIMIT);
    let (code, ended) = read(&output);
    assert!(code == code_of(&ended) && output.err.contains("stopping: the players are asked to leave"), "{output:?}");
}
