//! A player whose login the server drops: its flight is recorded, shows the messages, and is played again over sockets.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use loadkit::core::Report;
use loadkit::core::flight::{Artifact, FlightEvent, Way};
use loadkit_tests::{Child, Output};

const LIMIT: Duration = Duration::from_secs(60);

fn arena(folder: &Path, args: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_arena"));
    Child::start(command.args(args).current_dir(folder).stdout(Stdio::piped()))
}

fn server(folder: &Path, misbehaviour: &[&str]) -> (Child, String) {
    let server = arena(folder, &[&["server", "--listen", "127.0.0.1:0", "--match-time", "1s"], misbehaviour].concat());
    let addr = server.first_line(LIMIT).rsplit(' ').next().unwrap().to_owned();
    (server, addr)
}

fn replay(folder: &Path, args: &[&str]) -> Output {
    arena(folder, &[&["replay"], args].concat()).wait(LIMIT)
}

/// What the sick server does: `--drop-logins` decides by the account, so that a player alone is dropped as it was among others.
const SICK: [&str; 2] = ["--drop-logins", "30%"];

#[test]
fn a_dropped_login_is_recorded_shown_and_reproduced() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let (_sick, addr) = server(at, &SICK);
    let run = ["run", "--bots", "12", "--party", "3", "--duration", "6s", "--seed", "42", "--quiet", "--target", &addr];
    let output = arena(at, &run).wait(LIMIT);
    assert!(matches!(output.code, Some(0 | 3)), "{output:?}");
    let report: Report = serde_json::from_slice(&std::fs::read(at.join("report/report.json")).unwrap()).unwrap();
    let dropped = |kind: &str| kind == "timed-out";
    let entry =
        report.flights.iter().find(|entry| entry.failure.as_ref().is_some_and(|why| dropped(&why.kind))).unwrap();
    assert!(report.flights.iter().any(|entry| entry.failure.is_none()), "some that did well are there too");

    // The file has the messages, decoded: names and fields.
    let file = format!("report/{}", entry.file);
    let artifact = Artifact::load(at.join(&file)).unwrap();
    let account = format!("bot-{:06}", entry.seat);
    assert_eq!(
        (&artifact.run.scenario, &artifact.run.seed, &artifact.flight.account),
        (&"arena".into(), &"42".into(), &account)
    );
    let login = artifact.flight.events.iter().find_map(|event| match event {
        FlightEvent::Message(message) if message.way == Way::Sent => message.text.clone(),
        _ => None,
    });
    assert_eq!(login.unwrap(), format!("Login {{ account: {account:?} }} opcode 1, seq 1"));
    let shown = replay(at, &[&file, "--show"]);
    assert_eq!(shown.code, Some(0), "{shown:?}");
    let line = format!("-> Login {{ account: {account:?} }} opcode 1, seq 1 (18 B, ordered)");
    assert!(shown.out.contains(&line) && shown.out.contains("login FAILED after 5"), "{}", shown.out);

    // Against the server that drops it: the same again.
    let again = replay(at, &[&file]);
    assert_eq!(again.code, Some(0), "{again:?}");
    assert!(again.out.contains("REPRODUCED: it failed in the same step, in the same way."), "{}", again.out);
    assert!(again.out.contains("It went the same way, event by event."), "{}", again.out);

    // Against one that does not: where it goes another way, with both sides.
    let (_healthy, addr) = server(at, &[]);
    let healed = replay(at, &[&file, "--target", &addr]);
    assert_eq!(healed.code, Some(1), "{healed:?}");
    let first = healed.out.split("The first difference, after 5 events:\n").nth(1).unwrap();
    let mut sides = first.lines();
    assert!(sides.next().unwrap().contains("login FAILED after 5"), "{}", healed.out);
    assert!(sides.next().unwrap().contains("<- Welcome { player: "), "{}", healed.out);
    assert!(healed.out.contains("replayed  ended well") && healed.out.contains("\nNOT REPRODUCED: "), "{}", healed.out);
}
