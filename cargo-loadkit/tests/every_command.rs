//! Every command of the program's own tree: its help has examples that parse and its exit codes, its result is words and, with
//! `--json`, an object of its schema. A command that is added without these fails here.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::sync::OnceLock;
use std::time::Duration;

use cargo_loadkit::Cli;
use clap::{CommandFactory, Parser};
use common::{LIMIT, command, run};
use loadkit::core::{Report, RunId, write_report};
use loadkit::transport::Rudp;
use loadkit::{Bot, Cx, Hz, Plan, Result};
use loadkit_tests::{Answer, Asked, Child, Delayed, Echo, Ping, Simulation, serve_http};
use serde_json::{Value, json};

fn names() -> Vec<String> {
    let tree = Cli::command();
    let names = tree.get_subcommands().map(|command| command.get_name().to_owned());
    names.filter(|name| name != "help").collect()
}

/// A line of a shell as its words: quotes are kept together, and variables before the command are left out.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted) = (Vec::new(), String::new(), false);
    for c in line.chars().chain([' ']) {
        match c {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.extend(Some(std::mem::take(&mut word)).filter(|word| !word.is_empty())),
            c => word.push(c),
        }
    }
    assert!(!quoted, "a quote is open: {line}");
    words.into_iter().skip_while(|word| word.contains('=')).collect()
}

/// The lines below a heading of a help, to the next empty one.
fn below<'a>(help: &'a str, heading: &str) -> Vec<&'a str> {
    let lines = help.lines().skip_while(|line| *line != heading).skip(1);
    lines.take_while(|line| !line.is_empty()).map(str::trim).collect()
}

#[test]
fn every_command_has_help_with_examples_that_parse_and_its_exit_codes() {
    let folder = tempfile::tempdir().unwrap();
    let (all, tree) = (run(folder.path(), &["--help"]), Cli::command());
    for command in tree.get_subcommands().filter(|command| command.get_name() != "help") {
        let name = command.get_name();
        assert!(all.out.contains(&format!("  {name} ")) && command.get_about().is_some(), "{name}: {}", all.out);
        let help = command.get_after_help().unwrap_or_else(|| panic!("{name} has no examples")).to_string();
        let own = format!("cargo loadkit {name}");
        let examples: Vec<&str> = below(&help, "Examples:").into_iter().filter(|line| line.contains(&own)).collect();
        assert!(!examples.is_empty(), "{name} has no example: {help}");
        for example in examples {
            // What stands behind a gap is a word on it.
            let line = example.split("  ").next().unwrap_or_default();
            let parsed = Cli::try_parse_from(words(line).iter().skip(1));
            assert!(parsed.is_ok(), "{line}: {}", parsed.unwrap_err());
        }
        let codes: Vec<u8> =
            below(&help, "Exit codes:").into_iter().filter_map(|line| line.split_once("  ")?.0.parse().ok()).collect();
        let known = codes.first() == Some(&0) && codes.contains(&2) && codes.iter().all(|code| *code <= 4);
        assert!(known && codes.is_sorted(), "{name}: {codes:?}");
        let shown = run(folder.path(), &[name, "--help"]);
        assert_eq!(shown.code, Some(0), "{shown:?}");
        for part in ["Examples:\n  cargo loadkit ", "Exit codes:\n  0  ", "--json", "--quiet"] {
            assert!(shown.out.contains(part) || shown.out.contains("LOADKIT_TARGET"), "{name}: {}", shown.out);
        }
    }
}

#[test]
fn what_no_command_understands_is_wrong_use_in_words_and_in_json() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(run(folder.path(), &[]).code, Some(2));
    assert_eq!(run(folder.path(), &["dance"]).code, Some(2));
    for name in names() {
        let args = [name.as_str(), "--no-such-flag"];
        let words = run(folder.path(), &args);
        assert!(words.code == Some(2) && words.out.is_empty(), "{name}: {words:?}");
        assert!(words.err.starts_with("error: unexpected argument '--no-such-flag'"), "{name}: {words:?}");
        let (code, error) = common::json(folder.path(), &args);
        assert_eq!(
            (code, &error["schema"], &error["exit"]),
            (Some(2), &"loadkit.error/1".into(), &2.into()),
            "{error}"
        );
        let (what, remedy) = (error["error"].as_str().unwrap(), error["remedy"].as_str().unwrap());
        assert!(what.starts_with("unexpected argument '--no-such-flag' found"), "{error}");
        assert_eq!(remedy, format!("cargo loadkit {name} --help"));
    }
}

/// A player of a server that has no fault.
struct Asker;

impl Bot for Asker {
    async fn run(&mut self, cx: &Cx) -> Result {
        let game = cx.connect(Rudp::new(Echo)).await?;
        let mut ticks = cx.ticks(Hz(10.0));
        while ticks.next().await.is_some() {
            cx.step("ask", game.call(Ping)).await?;
        }
        cx.step("leave", game.close()).await
    }
}

/// The report of a run in virtual time.
fn report(id: u64) -> Report {
    let plan = Plan::builder().bots(5).duration(Duration::from_secs(60)).build().unwrap();
    let delay = |_| Duration::from_millis(5);
    let mut report = Simulation { plan, shards: 1, seed: id }.play(Delayed { bot: |_| Asker, delay });
    report.run.id = RunId(id).to_string();
    report
}

/// A folder with a crate, a plan, two reports (`old`, `new`), a package and a client that only reports.
fn place() -> tempfile::TempDir {
    static REPORTS: OnceLock<[Report; 2]> = OnceLock::new();
    let folder = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    };
    for (name, report) in ["old", "new"].iter().zip(REPORTS.get_or_init(|| [report(1), report(2)])) {
        write_report(&folder.path().join(name), report).unwrap();
    }
    write("src/main.rs", "fn main() {}\n");
    write("Cargo.toml", "[package]\nname = \"small\"\nedition = \"2024\"\n\n[features]\nlambda = []\nfargate = []\n");
    write("plan.toml", "target = \"10.1.2.3:4000\"\nbots = 5\nduration = \"1m\"\n");
    write("dist/small-lambda-x86_64.zip", "a zip");
    write("client", "#!/bin/sh\nmkdir -p report && cp -r new/. report/\n");
    folder
}

/// A fleet with one run, which has ended with the report `new`; and a Lambda function that has the package.
fn service(folder: &Path) -> String {
    let file = |name: &str| fs::read(folder.join("new").join(name)).ok();
    let judged: Value = serde_json::from_slice(&file("report.json").unwrap()).unwrap();
    let judgement = judged["judgement"].clone();
    let folder = folder.to_owned();
    let record = json!({
        "schema": "loadkit.run/1", "id": "00000000000000aa", "request": { "plan": "" }, "by": { "name": "ci" },
        "scenario": "arena", "target": "game:4000", "seed": "1", "home": "lambda", "why": "it was asked for", "workers": 12,
        "state": "ended", "ending": "complete", "judgement": judgement, "created_at_ms": 1_764_000_000_000_u64,
        "start_at_ms": 1_764_000_015_000_u64, "ends_at_ms": 1_764_000_195_000_u64, "deadline_ms": 1_764_000_400_000_u64,
    });
    let line = json!({
        "id": "00000000000000aa", "created_at_ms": 1_764_000_000_000_u64, "scenario": "arena", "target": "game:4000",
        "build": "2.31.0", "by": "ci", "state": "ended", "verdict": judgement["verdict"],
    });
    let sha256 = loadkit_aws::FunctionCode::sha256_of(b"a zip");
    let at = serve_http(move |Asked { method, path, .. }| {
        let name = path.strip_prefix("/v1/runs/00000000000000aa/report/").unwrap_or_default();
        let path = path.split('?').next().unwrap_or_default();
        let value = match path {
            "/v1/health" => json!({ "ok": true, "version": env!("CARGO_PKG_VERSION") }),
            "/v1/runs/00000000000000aa/events" => return Answer::new(204, ""),
            path if path.starts_with("/2015-03-31/functions/") => {
                json!({ "Architectures": ["x86_64"], "CodeSha256": sha256, "PackageType": "Zip" })
            }
            _ if !name.is_empty() => {
                let bytes = fs::read(folder.join("new").join(name));
                return bytes.map_or(Answer::new(404, r#"{"error":"no such file"}"#), |bytes| Answer::new(200, bytes));
            }
            "/v1/runs" if method == "GET" => json!({ "runs": [line] }),
            _ => record.clone(),
        };
        Answer::new(200, value.to_string())
    });
    format!("http://{at}")
}

/// A command as it is called, and what it must say.
struct Case {
    args: Vec<&'static str>,
    /// Asked of the fleet.
    of_fleet: bool,
    codes: &'static [i32],
    schema: &'static str,
    keys: &'static [&'static str],
    words: &'static [&'static str],
}

fn case(name: &str) -> Case {
    let case = |args: &[&'static str], schema, keys, words| Case {
        args: args.to_vec(),
        of_fleet: false,
        codes: &[0],
        schema,
        keys,
        words,
    };
    let of_fleet =
        |args: &[&'static str], schema, keys, words| Case { of_fleet: true, ..case(args, schema, keys, words) };
    let ended = &["run", "fleet", "state", "judgement", "exit"][..];
    match name {
        "new" => case(
            &["new", "some-bots"],
            "loadkit.new/1",
            &["name", "folder", "transport", "codec", "files"],
            &["some-bots: a load client over reliable UDP", "cargo test"],
        ),
        "package" => case(
            &["package", "--cargo-profile", "dev"],
            "loadkit.package/1",
            &["client", "triple", "written", "image", "parts", "crates"],
            &["Lambda zip", "image digest", "bill of materials", "The binary has "],
        ),
        "ci" => case(
            &["ci", "--client", "./client", "--target", "127.0.0.1:1"],
            "loadkit.ci/1",
            &["verdict", "reasons", "regressions", "compared", "servers", "kept", "attempts", "files", "notes"],
            &["PASS", "Kept      as a baseline: loadkit-baseline/", "Note      no baseline yet"],
        ),
        "publish" => case(
            &["publish", "--function", "bots", "--from", "dist"],
            "loadkit.publish/1",
            &["function"],
            &["bots has this code already (5 B)\n"],
        ),
        "launch" => of_fleet(
            &["launch", "--wait", "--plan", "plan.toml"],
            "loadkit.launch/1",
            ended,
            &["PASS", "report/report.html"],
        ),
        "watch" => of_fleet(&["watch", "--report", "seen"], "loadkit.watch/1", ended, &["PASS", "seen/report.html"]),
        "stop" => of_fleet(
            &["stop", "--now"],
            "loadkit.stop/1",
            ended,
            &["00000000000000aa is told to stop: its players are gone at once\n"],
        ),
        "dial" => of_fleet(
            &["dial", "latest", "1.5"],
            "loadkit.dial/1",
            ended,
            &["00000000000000aa is turned to 1.5 of its plan's load\n"],
        ),
        "runs" => of_fleet(&["runs"], "loadkit.runs/1", &["runs"], &["run  ", "00000000000000aa", "ended", "2.31.0"]),
        "report" => of_fleet(
            &["report", "--out", "brought"],
            "loadkit.report-saved/1",
            &["run", "report", "verdict"],
            &["PASS", "brought/report.html"],
        ),
        "gate" => Case {
            codes: &[0, 3],
            ..case(
                &["gate", "old", "new", "--min-effect", "20%", "--detect", "50%", "--min-time", "5ms"],
                "loadkit.gate/1",
                &["verdict", "reasons", "notes", "figures"],
                &["Old       old", "ask"],
            )
        },
        "estimate" => case(
            &["estimate", "--plan", "plan.toml"],
            "loadkit.estimate/1",
            &["players", "workers", "quotas", "dollars", "refusals"],
            &["5 players by 1 worker on local", "Quotas\n", "Cost: $0.00"],
        ),
        "serve" => case(
            &["serve", "--listen", "127.0.0.1:0", "--set", "client=client"],
            "loadkit.serve/1",
            &["url", "data"],
            &["the fleet listens on http://127.0.0.1:"],
        ),
        "config" => case(
            &["config", "--profile", "smoke"],
            "loadkit.config/1",
            &["file", "profile", "settings"],
            &["profile", "bots", "20s", "profile smoke"],
        ),
        "doctor" => Case {
            codes: &[0, 1],
            ..case(
                &["doctor", "--bots", "10"],
                "loadkit.doctor/1",
                &["bots", "worst", "checks"],
                &["This machine, for 10 players:\n", "descriptors", "faults, "],
            )
        },
        other => panic!("{other} is new: say here how it is called, and what it must say"),
    }
}

/// Runs a case to its end; one that serves is told to end when it has said where.
fn called(name: &str, case: &Case, json: bool) -> loadkit_tests::Output {
    let place = place();
    let at = service(place.path());
    let mut args = case.args.clone();
    if case.of_fleet {
        args.extend(["--fleet", &at]);
    }
    if json {
        args.push("--json");
    }
    let mut command = command(place.path(), &args);
    command.env("AWS_ENDPOINT_URL", &at).env("AWS_REGION", "eu-west-1");
    command.env("AWS_ACCESS_KEY_ID", "AKID").env("AWS_SECRET_ACCESS_KEY", "hush");
    let child = Child::start(command.stdout(Stdio::piped()));
    if name == "serve" {
        let first = child.first_line(LIMIT);
        child.signal("TERM");
        let output = child.wait(LIMIT);
        assert!(output.out.starts_with(&first), "{output:?}");
        return output;
    }
    child.wait(LIMIT)
}

#[test]
fn every_command_says_its_result_in_words_and_as_an_object_of_its_schema() {
    for name in names() {
        let case = case(&name);
        let said = called(&name, &case, true);
        assert!(said.code.is_some_and(|code| case.codes.contains(&code)), "{name}: {said:?}");
        let value: Value = serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{name}: {error}: {said:?}"));
        assert_eq!(value["schema"], case.schema, "{name}");
        for key in case.keys {
            assert!(value.get(key).is_some(), "{name} has no {key}: {value}");
        }
        let said = called(&name, &case, false);
        assert!(said.code.is_some_and(|code| case.codes.contains(&code)), "{name}: {said:?}");
        for part in case.words {
            assert!(said.out.contains(part), "{name} does not say {part:?}: {said:?}");
        }
    }
}
