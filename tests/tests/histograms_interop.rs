//! `histograms.hlog`, read by other implementations of HdrHistogram, has the percentiles of `report.json`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::env;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use loadkit::core::{Report, Times, write_report};
use loadkit::transport::{Rudp, rudp};
use loadkit::{Bot, Cx, Hz, Plan, Result, Seat};
use loadkit_tests::{Child, Delayed, Echo, Ping, Simulation};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(60);
const PLAYERS: u64 = 10;
/// Python rounds the rank of a percentile, and all others take the next one: with a multiple of 1,000 values, both are the
/// same for percentiles of three digits.
const MOVES: u64 = 500;

/// Moves so often, and stays.
struct Mover;

impl Bot for Mover {
    async fn run(&mut self, cx: &Cx) -> Result {
        let config = rudp::Config { keep_alive: Duration::from_secs(5), ..rudp::Config::DEFAULT };
        let game = cx.connect(Rudp::new(Echo).config(config)).await?;
        cx.step("log in, then play", game.call(Ping)).await?;
        let mut ticks = cx.ticks(Hz(2.0));
        while let Some(tick) = ticks.next().await {
            if tick.index < MOVES {
                cx.step("move", game.call(Ping)).await?;
            }
        }
        Ok(())
    }
}

/// From 0.3 to 40 ms, and now and then for a second, so that the next tick waits.
fn delay(nth: u64) -> Duration {
    if nth % 47 == 46 { Duration::from_millis(1_200) } else { Duration::from_micros(300 + nth * nth * 7_919 % 40_000) }
}

/// Plays, leaves the report in a folder, and gives it back.
fn play(folder: &Path) -> Report {
    let plan = Plan::builder().bots(PLAYERS).duration(Duration::from_secs(280)).build().unwrap();
    let report = Simulation { plan, shards: 2, seed: 3 }.play(Delayed { bot: |_: Seat| Mover, delay });
    write_report(folder, &report).unwrap();
    report
}

/// Has another implementation read the log, and compares what it says with the report.
fn agrees(command: impl FnOnce(&Path) -> Command) {
    let folder = tempfile::tempdir().unwrap();
    let report = play(folder.path());
    let output = Child::run(&mut command(&folder.path().join("histograms.hlog")), LIMIT);
    assert_eq!(output.code, Some(0), "{}", output.err);
    let read: Value = serde_json::from_str(&output.out).unwrap();
    assert_eq!(read.as_object().unwrap().len(), 2 * report.steps.len(), "a tag each for both times: {read}");
    for (name, tag) in [("log in, then play", "log%20in%2C%20then%20play"), ("move", "move")] {
        let step = &report.steps[name];
        agree(&read[tag], step.succeeded, &step.response.unwrap());
        agree(&read[format!("{tag};service")], step.succeeded, &step.service.unwrap());
    }
    let moves = &report.steps["move"];
    assert_eq!(moves.succeeded, PLAYERS * MOVES);
    let [response, service] = [moves.response, moves.service].map(|times| times.unwrap().p95_us);
    assert!(response > 2 * service, "ticks waited: {moves:?}");
    assert_eq!(read["move;service"]["intervals"], 1);
    let with_moves = report.series.points.iter().filter(|point| point.steps.contains_key("move")).count();
    assert_eq!(read["move"]["intervals"], with_moves);
}

fn agree(read: &Value, count: u64, times: &Times) {
    assert_eq!(read["count"], count);
    let ours = [times.p50_us, times.p90_us, times.p95_us, times.p99_us, times.p99_9_us];
    let theirs = read["percentiles"].as_array().unwrap().iter().map(|value| value.as_u64().unwrap());
    // They say the upper bound of a bucket, and a report knows the largest value exactly.
    assert_eq!(theirs.map(|value| value.min(times.max_us)).collect::<Vec<_>>(), ours);
}

#[test]
fn python_reads_the_same_percentiles() {
    let Some(packages) = packages("LOADKIT_TEST_HDRHISTOGRAM_PYTHON", "the Python package hdrhistogram") else {
        return;
    };
    agrees(|log| {
        let mut python = Command::new("python3");
        python.arg(script("hdrhistogram.py")).arg(log).env("PYTHONPATH", packages);
        python
    });
}

#[test]
fn javascript_reads_the_same_percentiles() {
    let Some(packages) = packages("LOADKIT_TEST_HDRHISTOGRAM_NODE", "the Node package hdr-histogram-js") else {
        return;
    };
    agrees(|log| {
        let mut node = Command::new("node");
        node.arg(script("hdrhistogram.cjs")).arg(log).env("NODE_PACKAGES", packages);
        node
    });
}

fn script(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("interop").join(name)
}

/// Where the packages of another language are, or a word that they are missing.
fn packages(variable: &str, what: &str) -> Option<std::ffi::OsString> {
    let found = env::var_os(variable);
    if found.is_none() {
        println!("left out: {variable} does not say where {what} is");
    }
    found
}
