//! `replay` from the outside: a flight that a run has left, and what becomes of files that are none, or not this client's.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use loadkit::core::flight::{Artifact, FlightEvent, Message};
use loadkit_tests::{Child, Output, rudp_server};

const LIMIT: Duration = Duration::from_secs(30);

fn client(folder: &Path, args: &[&str]) -> Output {
    Child::run(Command::new(env!("CARGO_BIN_EXE_client")).current_dir(folder).args(args), LIMIT)
}

/// A flight of a player who did well, and the folder in which it is.
fn recorded() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let (addr, _seen) = rudp_server(|_| {});
    let run = [
        "run",
        "--target",
        &addr.to_string(),
        "--bots",
        "2",
        "--duration",
        "1s",
        "--seed",
        "9",
        "--network",
        "lte",
        "-q",
    ];
    let output = client(folder.path(), &run);
    assert!(matches!(output.code, Some(0 | 3)), "{output:?}");
    let flights = folder.path().join("report/flights");
    let mut files: Vec<PathBuf> = fs::read_dir(flights).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    assert_eq!(files.len(), 2, "{files:?}");
    (folder, files.swap_remove(0))
}

#[test]
fn a_flight_is_shown_and_played_again_and_a_bad_file_is_refused() {
    let (folder, file) = recorded();
    let replay = |args: &[&str]| client(folder.path(), &[&["replay"], args].concat());
    let path = file.to_str().unwrap();
    let shown = replay(&[path, "--show"]);
    assert_eq!(shown.code, Some(0), "{shown:?}");
    assert!(shown.out.starts_with("Seat 0, life 0, of ") && shown.out.contains("network lte"), "{}", shown.out);
    let again = replay(&[path]);
    assert_eq!(again.code, Some(0), "{again:?}");
    assert!(again.out.ends_with("REPRODUCED: it ended well, as before.\n"), "{}", again.out);

    let text = fs::read_to_string(&file).unwrap();
    let refused = |text: &str, says: &str| {
        let bad = folder.path().join("bad.json");
        fs::write(&bad, text).unwrap();
        let output = replay(&["bad.json"]);
        assert_eq!((output.code, output.out.as_str()), (Some(2), ""), "{output:?}");
        assert!(output.err.starts_with("error: bad.json cannot be replayed: "), "{}", output.err);
        assert!(output.err.contains(says) && !output.err.contains("panicked"), "no `{says}` in:\n{}", output.err);
        assert!(!output.err.contains('\u{1b}'), "{}", output.err);
    };
    let with = |from: &str, to: &str, says: &str| {
        assert!(text.contains(from), "{text}");
        refused(&text.replacen(from, to, 1), says);
    };
    refused(&text[..text.len() / 2], "it is cut short");
    refused("", "it is cut short");
    refused("[]", "it is no flight (without a schema)");
    refused("{\"schema\": 1}", "it is no sound flight");
    with("loadkit.flight/1", "loadkit.flight/7", "of another version (loadkit.flight/7");
    with("loadkit.flight/1", "loadkit.report/1", "those are in the folder `flights`");
    with("\"scenario\": \"", "\"scenario\": \"other-", "no scenario is named \"other-");
    with("\"scenario\": \"", "\"scenario\": \"\\u001b[2J", "no scenario is named \"\\u{1b}[2J");
    with("\"seat\": 0", "\"seat\": 70", "the plan has no seat 70: its 2 are numbered from 0");
    with("\"seed\": \"9\"", "\"seed\": \"nine\"", "`nine` is no seed");
    with("bots = 2", "bots = 0", "`bots` is 0");
    with("\\\"lte\\\"", "\\\"wifi-busy\\\"", "its network was \"lte\", and by this client");
    with("\"account\"", "\"persona\": \"casual\", \"account\"", "its persona was \"casual\", and by this client");
    with("\"target\": \"", "\"target\": \"gopher://", "the scheme \"gopher\"");
    let none = replay(&["report/flights/3-0.json"]);
    assert!(none.code == Some(2) && none.err.contains("3-0.json cannot be replayed: it cannot be read"), "{none:?}");

    // What a server may have sent to whoever reads this on a terminal.
    let mut artifact = Artifact::parse(text.as_bytes()).unwrap();
    for event in &mut artifact.flight.events {
        if let FlightEvent::Message(Message { text, bytes, .. }) = event {
            *text = Some("Hello\u{1b}]0;owned\u{7}\u{202e}".into());
            *bytes = vec![0x1b, 0x5b];
        }
    }
    artifact.run.target = "127.0.0.1:9 \u{1b}[31m".into();
    fs::write(folder.path().join("hostile.json"), serde_json::to_vec(&artifact).unwrap()).unwrap();
    let shown = replay(&["hostile.json", "--show"]);
    assert_eq!(shown.code, Some(0), "{shown:?}");
    assert!(shown.out.contains("Hello\\u{1b}]0;owned\\u{7}\\u{202e}"), "{}", shown.out);
    assert!(!shown.out.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{:?}", shown.out);
}

#[test]
fn the_recorder_is_sized_and_switched_off() {
    let folder = tempfile::tempdir().unwrap();
    let run = |flight: &str| {
        let (addr, _seen) = rudp_server(|_| {});
        let target = addr.to_string();
        client(
            folder.path(),
            &["run", "--target", &target, "--bots", "1", "--duration", "500ms", "-q", "--flight", flight],
        )
    };
    assert!(matches!(run("5").code, Some(0 | 3)));
    let flight = Artifact::load(folder.path().join("report/flights/0-0.json")).unwrap().flight;
    assert!(flight.events.len() == 5 && flight.left_out > 0, "{} {}", flight.events.len(), flight.left_out);
    // The next report has no flights, and the old ones do not stay beside it.
    assert!(matches!(run("off").code, Some(0 | 3)));
    assert_eq!(fs::read_dir(folder.path().join("report/flights")).unwrap().count(), 0);
    for wrong in ["0", "-1", "many", "5000"] {
        let output = run(wrong);
        assert_eq!(output.code, Some(2), "{output:?}");
    }
    assert!(run("5000").err.contains("a number of events from 1 to 4096, or off"));
}
