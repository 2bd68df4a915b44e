//! Wrong use, from the outside: each gets one clear message, the right exit code, and no figure is lost.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use loadkit_tests::{Child, Output, rudp_server};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(30);

/// A folder of its own, in which a client runs.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Place {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("tmp")).unwrap();
        Place(dir)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// The client, and its temporary files in a folder of the test's own.
    fn client(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_client"));
        command.current_dir(self.0.path()).env("TMPDIR", self.path("tmp")).args(args);
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        Child::run(&mut self.client(args), LIMIT)
    }

    /// Runs a plan with this text. Nothing listens at the target: nothing is to be sent there.
    fn plan(&self, text: &str) -> Output {
        self.write("plan.toml", text);
        self.run(&["run", "plan.toml", "--target", "127.0.0.1:9"])
    }
}

/// One message, on standard error, that says all this; and wrong use.
fn refused(output: &Output, says: &[&str]) {
    assert_eq!(output.code, Some(2), "{output:?}");
    assert_eq!(output.out, "", "nothing was played");
    for what in says {
        assert!(output.err.contains(what), "no `{what}` in:\n{}", output.err);
    }
    let messages = output.err.lines().filter(|line| line.starts_with("error:")).count();
    assert_eq!(messages, 1, "{}", output.err);
    assert!(!output.err.contains("panicked"), "{}", output.err);
}

/// The line with carets, and the column of the first.
fn caret(err: &str) -> (usize, usize) {
    let line = err.lines().find(|line| line.contains('^')).unwrap();
    let bar = line.find("| ").unwrap() + 2;
    (line.find('^').unwrap() - bar, line.matches('^').count())
}

fn json(path: &Path) -> Value {
    let report: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    assert_eq!(report["schema"], "loadkit.report/1");
    report
}

#[test]
fn a_plan_with_an_unknown_key() {
    let output = Place::new().plan("bots = 5\nboots = 3\n");
    refused(&output, &["unknown key `boots`", "plan.toml:2:1", "2 | boots = 3", "bots"]);
    assert_eq!(caret(&output.err), (0, 5));
}

#[test]
fn a_plan_with_a_negative_duration() {
    let output = Place::new().plan("bots = 5\nduration = \"-3s\"\n");
    refused(&output, &["`-3s` is negative", "plan.toml:2:12"]);
    assert_eq!(caret(&output.err), (11, 5));
    let flag = Place::new().run(&["run", "--target", "127.0.0.1:9", "--duration", "-3s"]);
    refused(&flag, &["--duration", "`-3s` is negative"]);
}

#[test]
fn a_plan_with_a_ramp_to_nothing() {
    let output = Place::new().plan("[[stages]]\nramp = 0\nover = \"5s\"\n");
    refused(&output, &["the ramp goes to nothing", "plan.toml:2:8", "give it the number of players"]);
    assert_eq!(caret(&output.err), (7, 1));
}

#[test]
fn a_plan_with_stages_that_overlap() {
    let output = Place::new().plan("[[stages]]\nramp = 10\nover = \"5s\"\n[[stages]]\nat = \"2s\"\nhold = \"5s\"\n");
    refused(&output, &["starts at 2s", "the one before it ends at 5s", "plan.toml:5:6", "stages cannot overlap"]);
    assert_eq!(caret(&output.err), (5, 4));
}

#[test]
fn a_plan_that_is_not_there_and_a_threshold_that_is_none() {
    refused(&Place::new().run(&["run", "nowhere.toml"]), &["nowhere.toml cannot be read", "check the path"]);
    let output = Place::new().plan("thresholds = [\"p99(ping) <\"]\n");
    refused(&output, &["the limit is missing", "plan.toml:1"]);
    assert!(output.err.contains('^'), "{}", output.err);
}

#[test]
fn no_target_and_targets_that_are_none() {
    let place = Place::new();
    refused(&place.run(&["run"]), &["no target", "--target HOST:PORT"]);
    let unknown = place.run(&["run", "--target", "no-such-host.invalid:4000"]);
    refused(&unknown, &["\"no-such-host.invalid:4000\"", "does not resolve"]);
    refused(&place.run(&["run", "--target", "127.0.0.1"]), &["\"127.0.0.1\"", "HOST:PORT"]);
    refused(&place.run(&["run", "--target", "gopher://localhost:1"]), &["\"gopher\"", "udp, tcp"]);
}

#[test]
fn more_players_than_descriptors() {
    let place = Place::new();
    let client = format!("ulimit -n 200; exec {} run --target 127.0.0.1:9 --bots 1000", env!("CARGO_BIN_EXE_client"));
    let output = Child::run(Command::new("sh").args(["-c", &client]).current_dir(place.path("tmp")), LIMIT);
    refused(&output, &["1,000 players do not fit", "ulimit -n 2000"]);
    let fit = output.err.split("enough for ").nth(1).and_then(|rest| rest.split('.').next()).unwrap();
    assert!((50..200).contains(&fit.parse::<u64>().unwrap()), "{}", output.err);
    assert!(output.err.contains(&format!("--bots {fit}")), "{}", output.err);

    // What is advised does fit, and plays.
    let (addr, seen) = rudp_server(|_| {});
    let client = env!("CARGO_BIN_EXE_client");
    let client = format!("ulimit -n 200; exec {client} run --target {addr} --bots {fit} --duration 1s");
    let output = Child::run(Command::new("sh").args(["-c", &client]).current_dir(place.path("tmp")), LIMIT);
    let report = json(&place.path("tmp/report/report.json"));
    assert_eq!(report["players"]["failed"], 0, "{output:?}");
    assert_eq!(seen.joined(), fit.parse::<u64>().unwrap());
}

#[test]
fn an_accounts_file_with_too_few_rows() {
    let place = Place::new();
    place.write("accounts.csv", "account\nanna\nberta\nclara\n");
    let output = place.plan("bots = 10\n[accounts]\nfile = \"accounts.csv\"\n");
    refused(&output, &["10 players", "accounts.csv has 3 rows of accounts", "add rows or lower `bots`"]);
    let checked = place.run(&["check", "plan.toml"]);
    refused(&checked, &["10 players", "accounts.csv has 3 rows of accounts"]);
    let none = place.plan("bots = 10\n[accounts]\nfile = \"nowhere.csv\"\n");
    refused(&none, &["nowhere.csv cannot be read"]);
}

#[test]
fn a_report_that_cannot_be_written_is_said_before_the_start() {
    let (addr, seen) = rudp_server(|_| {});
    let (place, addr) = (Place::new(), addr.to_string());
    place.write("taken", "mine");
    let output = place.run(&["run", "--target", &addr, "--report", "taken"]);
    refused(&output, &["taken cannot be written", "no directory", "write it elsewhere"]);
    assert_eq!(fs::read_to_string(place.path("taken")).unwrap(), "mine");
    let output = place.run(&["run", "--target", &addr, "--report", "taken/deeper"]);
    refused(&output, &["taken/deeper cannot be written"]);
    // A full disk, as far as the file is concerned with which the client tries.
    fs::create_dir(place.path("full")).unwrap();
    symlink("/dev/full", place.path("full/.report.probe")).unwrap();
    let output = place.run(&["run", "--target", &addr, "--report", "full"]);
    refused(&output, &["full cannot be written", "No space left", "free some space"]);
    assert_eq!(seen.joined(), 0, "nobody has played");
}

#[test]
fn a_baseline_that_cannot_be_read_is_said_before_the_start() {
    let place = Place::new();
    let run = || place.run(&["run", "--target", "127.0.0.1:9", "--baseline", "base"]);
    refused(&run(), &["base: there is no report", "--report"]);
    fs::create_dir(place.path("base")).unwrap();
    place.write("base/report.json", "{\"schema\": \"loadkit.report/2\"}");
    refused(&run(), &["report.json", "\"loadkit.report/2\"", "a newer one"]);
    place.write("base/report.json", "{\"schema\": \"loadkit.rep");
    refused(&run(), &["report.json", "cut short"]);
}

#[test]
fn a_disk_that_is_full_at_the_end_loses_no_figures() {
    let (addr, _) = rudp_server(|_| {});
    let (place, addr) = (Place::new(), addr.to_string());
    fs::create_dir(place.path("full")).unwrap();
    symlink("/dev/full", place.path("full/report.json.part")).unwrap();
    let args = ["run", "--target", &addr, "--bots", "3", "--duration", "1s", "--report", "full"];
    let output = place.run(&args);
    assert_eq!(output.code, Some(2), "{output:?}");
    for what in ["full/report.json cannot be written", "No space left", "free some space", "the figures are in "] {
        assert!(output.err.contains(what), "{}", output.err);
    }
    assert!(output.out.contains("ping") && output.out.contains("PASS"), "the summary: {}", output.out);
    assert!(!output.out.contains("report.html"), "there is none: {}", output.out);
    let rescued = output.err.split("the figures are in ").nth(1).unwrap().trim();
    assert!(json(Path::new(rescued))["steps"]["ping"]["succeeded"].as_u64().unwrap() > 30);

    // Nor is a missed threshold made into another matter.
    symlink("/dev/full", place.path("full/report.json.part")).unwrap();
    let output = place.run(&[&args[..], &["--threshold", "p50(ping) < 1us"]].concat());
    assert_eq!(output.code, Some(1), "{output:?}");
}

#[test]
fn a_report_folder_that_goes_in_mid_run_loses_no_figures() {
    let place = Place::new();
    let report = place.path("report");
    let (addr, _) = rudp_server(move |heard| {
        if heard == 20 {
            fs::remove_dir_all(&report).unwrap();
            fs::write(&report, "mine").unwrap();
        }
    });
    let output = place.run(&["run", "--target", &addr.to_string(), "--bots", "3", "--duration", "1500ms", "--quiet"]);
    assert_eq!((output.code, output.out.as_str()), (Some(2), ""), "{output:?}");
    let rescued = output.err.split("the figures are in ").nth(1).unwrap().trim();
    assert!(json(Path::new(rescued))["steps"]["ping"]["succeeded"].as_u64().unwrap() > 30);
}

#[test]
fn an_output_that_is_full_loses_no_figures() {
    let (addr, _) = rudp_server(|_| {});
    let (place, addr) = (Place::new(), addr.to_string());
    let full = || fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let args = ["run", "--target", &addr, "--bots", "3", "--duration", "1s"];
    let run = |command: &mut Command| Child::start(command.stdout(full())).wait(LIMIT);

    let output = run(&mut place.client(&args));
    assert_eq!(output.code, Some(2), "{output:?}");
    assert!(output.err.contains("the summary cannot be printed") && output.err.contains("No space left"));
    assert!(json(&place.path("report/report.json"))["steps"]["ping"]["succeeded"].as_u64().unwrap() > 30);

    let output = run(place.client(&args).args(["--json", "--no-report"]));
    assert_eq!(output.code, Some(2), "{output:?}");
    let rescued = output.err.split("the figures are in ").nth(1).unwrap().trim();
    assert!(json(Path::new(rescued))["steps"]["ping"]["succeeded"].as_u64().unwrap() > 30);
}

#[test]
fn passed_is_0_and_missed_is_1() {
    let (addr, _) = rudp_server(|_| {});
    let (place, addr) = (Place::new(), addr.to_string());
    // So few ticks that a busy machine, which is late for some, does not make the run invalid.
    let args = ["run", "--target", &addr, "--bots", "3", "--duration", "1s", "--threshold"];
    let passed = place.run(&[&args[..], &["p50(ping) < 1s", "--threshold", "errors < 1%"]].concat());
    assert_eq!(passed.code, Some(0), "{passed:?}");
    assert!(passed.out.contains("PASS") && passed.out.contains("report/report.html"), "{}", passed.out);
    assert_eq!(json(&place.path("report/report.json"))["judgement"]["verdict"], "pass");

    let missed = place.run(&[&args[..], &["rate(ping) > 9000/s"]].concat());
    assert_eq!(missed.code, Some(1), "{missed:?}");
    assert!(missed.out.contains("FAIL") && missed.out.contains("rate(ping) > 9000/s was missed"), "{}", missed.out);

    let printed = place.run(&[&args[..], &["p50(ping) < 1s", "--json", "--no-report"]].concat());
    let report: Value = serde_json::from_str(&printed.out).unwrap();
    assert_eq!((printed.code, &report["judgement"]["verdict"]), (Some(0), &Value::from("pass")));
}

#[test]
fn a_reader_who_goes_early_is_no_fault() {
    let (addr, _) = rudp_server(|_| {});
    let (place, addr) = (Place::new(), addr.to_string());
    let mut client = place.client(&["run", "--target", &addr, "--bots", "3", "--duration", "1s"]);
    let mut gone = client.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop((gone.stdout.take(), gone.stderr.take()));
    assert_eq!(gone.wait().unwrap().code(), Some(0));
    assert!(json(&place.path("report/report.json"))["steps"]["ping"]["succeeded"].as_u64().unwrap() > 30);
}
