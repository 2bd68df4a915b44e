//! A made-up run, and what must hold of every report.

use std::time::Duration;

use super::*;
use crate::engine::Stop;
use crate::metrics::{Collector, Recorder, RunId, Snapshot, SnapshotKey, names};
use crate::seed::Seed;
use crate::threshold::Threshold;
use crate::verdict::{Conditions, Judge, Verdict};
use rand::RngExt as _;

const SHARDS: u32 = 2;

/// A run of so many seconds that ramps up to 1,000 players; its server stalls for a second every 20 seconds.
pub(super) fn collected(seconds: u64, steps: &[(&str, u64, f64)]) -> Collector {
    let mut collector = Collector::new(Duration::from_secs(1));
    for shard in 0..SHARDS {
        let mut recorder = Recorder::new();
        let mut rng = Seed(7).rng("made-up", u64::from(shard), 0);
        for second in 0..seconds {
            let at = Duration::from_secs(second + 1);
            let active = (500 * (second + 1) / 20).min(500);
            let stalled = second % 20 == 13;
            for (n, &(name, per_second, median_us)) in steps.iter().enumerate() {
                let id = recorder.step_id(name);
                for _ in 0..per_second * active / 500 {
                    let spread: f64 = rng.random::<f64>().max(1e-6).ln().abs() * 0.5 + 0.5;
                    let service = Duration::from_secs_f64(median_us * spread / 1e6);
                    let wait = if stalled { Duration::from_secs_f64(rng.random::<f64>()) } else { Duration::ZERO };
                    if stalled && n % 2 == 1 && rng.random_bool(0.05) {
                        recorder.step_failed(id, "timed-out");
                        recorder.sample(name, "timed-out", "no reply to <FindMatch> within 1s", second, at);
                    } else {
                        recorder.step_ok(id, service, service + wait);
                    }
                }
            }
            let lag = recorder.trend_id(names::TICK_LAG);
            (0..50).for_each(|_| recorder.trend(lag, Duration::from_micros(rng.random_range(20..220))));
            let age = recorder.trend_id("snapshot_age");
            (0..50).for_each(|_| recorder.trend(age, Duration::from_micros(rng.random_range(20_000..60_000))));
            let sent = recorder.count_id("net.packets_sent");
            recorder.count(sent, 20 * active);
            recorder.gauge(names::CPU, 0.7 + rng.random::<f64>() * 0.4, at);
            recorder.gauge(names::MEMORY, 48e6, at);
            collector.apply(&snapshot(&mut recorder, shard, second, [active; 3], 25 * u64::from(second < 20)));
        }
        let last = Snapshot {
            to_us: seconds * 1_000_000 + 40_000,
            finished: 495,
            failed: vec![("timed-out".into(), 5)],
            ..snapshot(&mut recorder, shard, seconds, [0; 3], 0)
        };
        collector.apply(&last);
    }
    collector
}

fn snapshot(
    recorder: &mut Recorder,
    shard: u32,
    seq: u64,
    [active, connected, planned]: [u64; 3],
    started: u64,
) -> Snapshot {
    let key = SnapshotKey { run: RunId(7), worker: 0, shard, attempt: 0, seq };
    let taken = recorder.take().snapshot(key, seq * 1_000_000, (seq + 1) * 1_000_000);
    Snapshot { active, connected: connected * 97 / 100, planned, started, ..taken }
}

pub(super) fn report_of(collector: &Collector, thresholds: &[&str]) -> Report {
    let thresholds: Vec<Threshold> = thresholds.iter().map(|text| Threshold::parse(text).unwrap()).collect();
    let conditions = Conditions {
        planned: Duration::from_secs(90),
        asked: Stop::No,
        snapshots_lost: 0,
        shards_lost: 0,
        teardown: None,
        cores: 2,
        sharp_timers: true,
    };
    let judgement = Judge::of(collector, &thresholds).judgement(&conditions);
    let plan = PlanSummary {
        stages: vec!["ramp to 1000 over 20s".into(), "hold for 1m10s".into()],
        duration_s: 90.0,
        peak: 1_000,
        arrivals: 0,
        party: 1,
        personas: BTreeMap::new(),
        networks: Vec::new(),
    };
    let facts = RunFacts {
        plan_toml: String::new(),
        id: RunId(7).to_string(),
        scenario: "arena".into(),
        target: "127.0.0.1:7777".into(),
        seed: "42".into(),
        plan,
        started_at_unix_s: 1_772_373_909,
        shards: SHARDS,
        version: "0.1.0".into(),
        client: "arena-bots 1.4.0".into(),
        build: String::new(),
        stamp: Some(Stamp { commit: "0123456789abcdef".into(), ..Stamp::default() }),
    };
    Report::new(facts, collector, judgement)
}

const STEPS: [(&str, u64, f64); 5] = [
    ("connect", 25, 900.0),
    ("login", 25, 4_000.0),
    ("matchmake", 12, 60_000.0),
    ("move", 400, 450.0),
    ("buy", 9, 8_000.0),
];

/// A report of a minute and a half.
pub(super) fn made_up() -> Report {
    report_of(&collected(90, &STEPS), &["p99(login) < 250ms", "errors < 5%", "rate(move) > 600/s"])
}

/// A report of one that met its threshold.
pub(super) fn passing() -> Report {
    report_of(&collected(15, &STEPS), &["p99(login) < 10s"])
}

/// Names that bots could give, and that must not get out of their place.
const HOSTILE: [&str; 8] = [
    "<script>alert(1)</script>",
    "\" onload=\"x",
    "../../etc/passwd",
    "очередь & бой",
    "\u{0}\u{1b}[31m\u{202e}gnp",
    "CON",
    "",
    "LOGIN",
];

pub(super) fn hostile() -> Report {
    let long = "very-long-".repeat(40);
    let mut steps: Vec<(&str, u64, f64)> = HOSTILE.iter().map(|name| (*name, 5, 1_000.0)).collect();
    steps.extend([(long.as_str(), 5, 1_000.0), ("login", 5, 10.0)]);
    let mut report = report_of(&collected(15, &steps), &["p99(lgin) < 1s"]);
    report.run.target = "<b>&\"'".into();
    report
}

#[test]
fn figures_are_those_of_the_totals() {
    let collector = collected(30, &STEPS);
    let report = report_of(&collector, &[]);
    let (step, totals) = (&report.steps["login"], &collector.totals().steps["login"]);
    assert_eq!((step.succeeded, step.failed), (totals.succeeded(), totals.failed()));
    assert_eq!(step.failed_by_kind["timed-out"], step.failed);
    assert_eq!(step.rate_per_s, step.succeeded as f64 / 30.04);
    assert_eq!(step.response.unwrap().p99_us, totals.response.quantile(0.99));
    assert!(step.response.unwrap().p99_us > step.service.unwrap().p99_us);
    let in_series: u64 = report.series.points.iter().filter_map(|p| p.steps.get("login")).map(|s| s.succeeded).sum();
    assert_eq!(in_series, step.succeeded);
    assert_eq!((report.players.started, report.players.peak_active, report.players.failed), (1_000, 1_000, 10));
    assert!(report.game.trends.contains_key("snapshot_age") && report.game.counts.is_empty());
    assert_eq!(report.connections.counts.keys().collect::<Vec<_>>(), ["net.packets_sent"]);
    assert!(report.generator.trends.keys().all(|name| name.starts_with("loadkit.")));
    let last = report.series.points.last().unwrap();
    assert_eq!((last.from_s, last.to_s), (30.0, 30.04));
}

#[test]
fn the_json_has_its_documented_places() {
    let json = serde_json::to_value(made_up()).unwrap();
    assert_eq!(json["schema"], "loadkit.report/1");
    assert_eq!(json["judgement"]["verdict"], "fail");
    for path in [
        "/run/plan/stages/0",
        "/judgement/reasons/0/text",
        "/judgement/thresholds/0/value",
        "/players/failed_by_kind/timed-out",
        "/steps/login/response/p99_9_us",
        "/steps/login/service/mean_us",
        "/game/trends/snapshot_age/p95",
        "/connections/counts/net.packets_sent/total",
        "/generator/gauges/loadkit.cpu_cores/max",
        "/series/width_s",
        "/series/points/3/steps/login/p95_us",
        "/failures/0/message",
        "/series/points/3/trends/loadkit.tick_lag/p99",
        "/series/points/3/counts/net.packets_sent",
        "/series/points/3/gauges/loadkit.cpu_cores",
    ] {
        assert!(json.pointer(path).is_some_and(|value| !value.is_null()), "{path}");
    }
}

#[test]
fn values_that_are_no_numbers_still_read_back() {
    let mut recorder = Recorder::new();
    recorder.gauge("load", f64::NAN, Duration::ZERO);
    let mut collector = Collector::new(Duration::from_secs(1));
    collector.apply(&snapshot(&mut recorder, 0, 0, [0; 3], 1));
    let report = Report { intervals: Intervals::default(), ..report_of(&collector, &[]) };
    let json = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report);
    assert_eq!(report.game.gauges["load"].last, None);
}

/// Nobody could connect.
fn refused() -> Report {
    let mut recorder = Recorder::new();
    let connect = recorder.step_id("connect");
    (0..640).for_each(|_| recorder.step_failed(connect, "timed-out"));
    let message = "no answer from 127.0.0.1:7777 to 8 requests in 5s";
    recorder.sample("connect", "timed-out", message, 3, Duration::from_secs(5));
    let mut collector = Collector::new(Duration::from_secs(1));
    let failed = vec![("timed-out".into(), 640)];
    collector.apply(&Snapshot { failed, ..snapshot(&mut recorder, 0, 5, [360, 0, 1_000], 1_000) });
    report_of(&collector, &["p99(login) < 250ms", "errors < 5%"])
}

pub(super) fn empty() -> Report {
    report_of(&Collector::new(Duration::from_secs(1)), &[])
}

#[test]
fn a_summary_fits_the_screen() {
    let many: Vec<String> = (0..40).map(|n| format!("step-number-{n}-of-many")).collect();
    let many: Vec<(&str, u64, f64)> = many.iter().map(|name| (name.as_str(), 5, 30_000.0)).collect();
    let thresholds =
        ["p99(lgin) < 1s", "p50(login) < 1us", "p95(nope) < 2s", "max(never) < 1s", "errors < 0.1%", "count(x) > 2"];
    for report in [made_up(), hostile(), empty(), refused(), report_of(&collected(25, &many), &thresholds)] {
        let text = summary(&report, Some("report/report.html"));
        assert!(text.lines().count() <= 23, "{}\n{text}", text.lines().count());
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{line}");
            assert!(!line.chars().any(char::is_control), "{line:?}");
        }
        assert!(text.starts_with(report.judgement.verdict.name()));
        assert!(text.ends_with("report/report.html\n"));
    }
}

#[cfg(feature = "html")]
mod page {
    use std::collections::BTreeSet;

    use super::super::html::files;
    use super::*;

    /// What the policy forbids, whatever it is found in.
    const FORBIDDEN: [&str; 8] =
        [" style=", "<style", "<script", "data:", "javascript:", "@import", "url(", "<foreignObject"];

    /// What is written beside the page, and linked.
    const BESIDE: [&str; 6] = ["report.json", "steps.csv", "series.csv", "report.md", "histograms.hlog", "junit.xml"];

    #[test]
    fn nothing_that_the_policy_forbids() {
        for report in [made_up(), hostile(), empty(), refused()] {
            for (name, text) in files(&report) {
                for word in FORBIDDEN {
                    assert!(!text.contains(word), "{word} in {name}");
                }
                assert!(!text.contains(" on") || !text.contains("onload=\""), "{name}");
                let remote: Vec<&str> = text.match_indices("://").map(|(at, _)| &text[at - 4..at + 10]).collect();
                assert!(remote.iter().all(|link| *link == "http://www.w3."), "{name}: {remote:?}");
            }
        }
    }

    #[test]
    fn all_that_the_page_refers_to_is_written() {
        for report in [made_up(), hostile(), empty()] {
            let files = files(&report);
            let names: BTreeSet<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(names.len(), files.len(), "names are unique");
            let page = &files[files.len() - 1].1;
            let mut referred = 0;
            for attribute in ["src=\"", "href=\""] {
                for part in page.split(attribute).skip(1) {
                    let name = part.split('"').next().unwrap();
                    assert!(names.contains(name) || BESIDE.contains(&name), "{name}");
                    referred += 1;
                }
            }
            let linked = if cfg!(feature = "archive") { BESIDE.len() } else { 4 };
            assert_eq!(referred, files.len() - 1 + linked, "not the page itself");
        }
    }

    #[test]
    fn file_names_are_safe() {
        for (name, _) in files(&hostile()) {
            let (stem, kind) = name.rsplit_once('.').unwrap();
            assert!(stem.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'), "{name}");
            assert!(name.len() < 70 && ["svg", "css", "html"].contains(&kind), "{name}");
        }
    }

    #[test]
    fn names_stay_escaped() {
        let files = files(&hostile());
        let page = &files[files.len() - 1].1;
        assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
        assert!(page.contains("очередь &amp; бой"));
        assert!(files.iter().any(|(name, svg)| name.ends_with(".svg") && svg.contains("&lt;script&gt;")));
        for (name, text) in &files {
            assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{name}");
        }
    }

    #[test]
    fn charts_are_bounded_and_say_what_is_left_out() {
        let many: Vec<String> = (0..40).map(|n| format!("step-{n}")).collect();
        let many: Vec<(&str, u64, f64)> = many.iter().map(|name| (name.as_str(), 3, 30_000.0)).collect();
        let files = files(&report_of(&collected(25, &many), &[]));
        assert_eq!(files.iter().filter(|(name, _)| name.starts_with("percentiles-")).count(), 12);
        assert!(files[files.len() - 1].1.contains("Not drawn"));
    }

    #[test]
    fn a_run_too_short_for_a_chart_has_a_page() {
        let files = files(&empty());
        assert_eq!(files.len(), 2);
        assert!(files[1].1.contains("INVALID"));
    }

    /// Set `REPORT_DIR` to look at reports of made-up runs.
    #[test]
    fn reports_can_be_looked_at() {
        let kept = std::env::var_os("REPORT_DIR").map(std::path::PathBuf::from);
        let passing = tempfile::tempdir().unwrap();
        let dir = kept.unwrap_or_else(|| passing.path().to_path_buf());
        let mut compared = made_up();
        compared.run.build = "2.31.0-rc4".into();
        compared.compare_with(&report_of(&collected(80, &STEPS), &[]));
        let reports = [("made-up", compared), ("hostile", hostile()), ("empty", empty()), ("refused", refused())];
        for (name, report) in reports {
            write_report(&dir.join(name), &report).unwrap();
            std::fs::write(dir.join(name).join("summary.txt"), summary(&report, Some("report/report.html"))).unwrap();
        }
    }
}

/// It acquits nobody, and makes a run invalid that had passed.
#[test]
fn a_doubt_of_the_gate_is_a_warning_beside_a_missed_threshold() {
    let gate = |verdict: Verdict| Gate {
        verdict,
        reasons: vec!["what the gate says".to_owned()],
        notes: Vec::new(),
        figures: Vec::new(),
        too_rare: Vec::new(),
        baselines: vec!["old".to_owned()],
        candidates: vec!["new".to_owned()],
        from_s: 1.0,
        compared_s: 9.0,
        paired: true,
    };
    for (mut report, of_gate, verdict, is_reason) in [
        (made_up(), Verdict::Invalid, Verdict::Fail, false),
        (made_up(), Verdict::Fail, Verdict::Fail, true),
        (passing(), Verdict::Invalid, Verdict::Invalid, true),
        (passing(), Verdict::Fail, Verdict::Fail, true),
    ] {
        report.take_gate(Ok(gate(of_gate)));
        assert_eq!(report.judgement.verdict, verdict);
        let is_there = |texts: Vec<&String>| texts.iter().any(|text| text.as_str() == "what the gate says");
        assert_eq!(is_there(report.judgement.reasons.iter().map(|reason| &reason.text).collect()), is_reason);
        assert_eq!(is_there(report.judgement.warnings.iter().collect()), !is_reason);
        assert!(report.gate.is_some());
    }
}
