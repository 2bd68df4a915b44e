//! `gate OLD NEW` from the outside: reports of whole runs in virtual time, the answer, and the exit code.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use loadkit::core::{Verdict, write_report};
use loadkit::transport::Rudp;
use loadkit::{Bot, Cx, Hz, Plan, Result, Seat};
use loadkit_tests::noise::{Tape, Trial, score};
use loadkit_tests::{Child, Delayed, Echo, Output, Ping, Simulation};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(60);

struct Asker;

impl Bot for Asker {
    async fn run(&mut self, cx: &Cx) -> Result {
        let game = cx.connect(Rudp::new(Echo)).await?;
        let mut ticks = cx.ticks(Hz(10.0));
        while ticks.next().await.is_some() {
            cx.step("ask", game.call(Ping)).await?;
        }
        Ok(())
    }
}

/// From 20 to 30 ms, in an order that repeats only in hours.
fn old(nth: u64) -> Duration {
    Duration::from_micros(20_000 + nth * 7_919 % 10_007)
}

/// A tenth slower.
fn slow(nth: u64) -> Duration {
    old(nth + 31) * 11 / 10
}

struct Reports(tempfile::TempDir);

impl Reports {
    fn new() -> Reports {
        Reports(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Plays, and leaves a report of this name.
    fn play(&self, name: &str, bots: u64, delay: fn(u64) -> Duration) {
        self.play_and(name, bots, delay, Verdict::Pass);
    }

    fn play_and(&self, name: &str, bots: u64, delay: fn(u64) -> Duration, verdict: Verdict) {
        let plan = Plan::builder().bots(bots).ramp(Duration::from_secs(5)).duration(Duration::from_secs(65));
        let seed = name.bytes().map(u64::from).sum();
        let simulation = Simulation { plan: plan.build().unwrap(), shards: 1, seed };
        let mut report = simulation.play(Delayed { bot: |_: Seat| Asker, delay });
        // Simulations have no name among all runs, and are always in health.
        report.run.id = name.to_owned();
        report.judgement.verdict = verdict;
        write_report(&self.path(name), &report).unwrap();
    }

    fn gate(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_client"));
        Child::run(command.current_dir(self.0.path()).arg("gate").args(args), LIMIT)
    }

    /// Wrong use, and what is said of it.
    fn refused(&self, args: &[&str], why: &[&str]) {
        let output = self.gate(args);
        assert_eq!((output.code, output.out.as_str()), (Some(2), ""), "{}", output.err);
        for words in why {
            assert!(output.err.contains(words), "{words}: {}", output.err);
        }
    }
}

#[test]
fn a_build_is_slower_or_it_is_not() {
    let reports = Reports::new();
    reports.play("old", 10, old);
    reports.play("new", 10, |nth| old(nth + 97));
    reports.play("slow", 10, slow);
    reports.play_and("sick", 10, slow, Verdict::Invalid);

    let same = reports.gate(&["old", "new"]);
    assert_eq!(same.code, Some(0), "{}{}", same.out, same.err);
    assert!(same.out.starts_with("PASS      no figure"), "{}", same.out);
    assert!(same.out.contains("from 0:05 on"), "the ramp is left out: {}", same.out);
    assert!(same.out.contains("connect") && same.out.lines().all(|line| line.chars().count() <= 80), "{}", same.out);

    let slower = reports.gate(&["--base", "old", "--base", "new", "slow", "--json"]);
    assert_eq!(slower.code, Some(1), "{}{}", slower.out, slower.err);
    let json: Value = serde_json::from_str(&slower.out).unwrap();
    assert_eq!((&json["verdict"], &json["baselines"]), (&"fail".into(), &serde_json::json!(["old", "new"])));
    let p95 =
        json["figures"].as_array().unwrap().iter().find(|one| one["step"] == "ask" && one["figure"] == "p95").unwrap();
    assert_eq!(p95["decision"]["is"], "worse");
    assert!((p95["change"].as_f64().unwrap() - 0.1).abs() < 0.01, "{p95}");

    assert_eq!(reports.gate(&["slow", "new"]).code, Some(0), "faster is no failure");
    let matters = reports.gate(&["old", "slow", "--min-effect", "15%", "--detect", "20%"]);
    assert_eq!(matters.code, Some(0), "{}", matters.out);
    let sick = reports.gate(&["old", "sick"]);
    assert_eq!(sick.code, Some(3));
    assert!(sick.out.starts_with("INVALID   the run sick is INVALID itself"), "{}", sick.out);
    let late = reports.gate(&["old", "new", "--after", "1m"]);
    assert_eq!(late.code, Some(3), "five seconds are too few: {}", late.out);
}

#[test]
fn what_cannot_be_compared_is_refused() {
    let reports = Reports::new();
    reports.play("old", 10, old);
    reports.play("more", 20, old);
    reports.refused(&["old", "more"], &["old and more cannot be compared", "players at once: 10 in old, 20 in more"]);
    reports.refused(&["old", "old"], &["are the same run"]);
    reports.refused(&["old"], &["there is no baseline", "gate OLD NEW"]);
    reports.refused(&["old", "gone"], &["gone", "there is no report"]);
    reports.refused(&["old", "old", "--min-effect", "3"], &["--min-effect", "0.03, 3%"]);
    reports.refused(&["old", "old", "--min-effect", "20%"], &["--detect"]);

    let change = |name: &str, file: &str, how: fn(String) -> String| {
        copy(&reports.path("old"), &reports.path(name));
        let path = reports.path(name).join(file);
        fs::write(&path, how(fs::read_to_string(&path).unwrap())).unwrap();
    };
    change("newer", "report.json", |text| text.replace("loadkit.report/1", "loadkit.report/9"));
    reports.refused(&["old", "newer"], &["newer/report.json", "loadkit.report/9"]);
    change("cut", "report.json", |text| text[..text.len() / 2].to_owned());
    reports.refused(&["old", "cut"], &["cut/report.json", "cut short"]);
    change("half", "histograms.hlog", |text| text[..text.len() / 2].to_owned());
    reports.refused(&["old", "half"], &["half/histograms.hlog", "cut short"]);
    change("other", "report.json", |_| "{}".to_owned());
    reports.refused(&["other", "old"], &["other/report.json", "not a report"]);
    copy(&reports.path("old"), &reports.path("bare"));
    let json = reports.path("bare").join("report.json");
    fs::write(&json, fs::read_to_string(&json).unwrap().replace("\"id\": \"old\"", "\"id\": \"bare\"")).unwrap();
    fs::remove_file(reports.path("bare").join("histograms.hlog")).unwrap();
    reports.refused(&["old", "bare"], &["bare has no histograms", "no histograms.hlog beside it"]);
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for file in ["report.json", "histograms.hlog"] {
        fs::copy(from.join(file), to.join(file)).unwrap();
    }
}

/// A few pairs of what `cargo xtask bench gate` does a thousand of.
#[test]
fn recorded_noise_fools_the_fixed_percentage_and_not_the_gate() {
    let of = |bytes: &[u8]| {
        let tape = Tape::read(bytes).unwrap();
        let tape = Tape { steps: tape.steps.into_iter().filter(|(step, _)| step == "tick").collect() };
        score(&tape, &tape, Trial { seconds: 30, stretch: 10, slower: 1.2, paired: false, told: false }, 20)
    };
    let busy = of(include_bytes!("../data/busy.noise"));
    assert!(busy.false_alarms <= 2 && busy.naive_5[0] >= 5, "{busy:?}");
    let far = of(include_bytes!("../data/far.noise"));
    assert!(far.false_alarms <= 2 && far.found >= 5, "{far:?}");
}

#[test]
fn a_tape_is_written_and_read() {
    let bytes = include_bytes!("../data/busy.noise");
    let tape = Tape::read(bytes).unwrap();
    assert_eq!(tape.seconds(), 300);
    let again = Tape::read(&tape.write().unwrap()).unwrap();
    let of = |tape: &Tape| -> Vec<u64> { tape.steps["tick"].iter().map(|second| second.response.count()).collect() };
    assert_eq!(of(&again), of(&tape));
    assert!(Tape::read(&bytes[..bytes.len() / 2]).is_none() && Tape::read(b"").is_none());
}
