//! A launch evening as the pages show it: a game's builds of eight weeks, played in virtual time, and a run that goes on.

use std::time::Duration;

use loadkit::core::{
    Error, Failure, GaugeDelta, Histogram, HistogramDelta, Kind, Report, RunId, TrendDelta, names, write_report,
};
use loadkit::transport::{Rudp, rudp};
use loadkit::{Bot, Cx, Hz, Plan, Result, RunInfo, Scenario, Seat, sim};
use loadkit_fleet::{Ending, Marker, PlanFile, Planned, RunState};
use loadkit_sinks::{Interval, StepFigures};
use loadkit_tests::{Echo, Ping, listen};
use loadkit_worker::Phase;
use rand::RngExt as _;

use crate::stage::{Stage, failure, lease, line, now_ms, playing, run};

/// The run that goes on.
pub(crate) const LIVE: RunId = RunId(0x2f31_90c4_77ab_0e15);
/// How far it has come, s.
const SO_FAR: u64 = 340;
/// Its workers and its players.
const WORKERS: u32 = 120;
const PLAYERS: u64 = 60_000;
const DAY: Duration = Duration::from_secs(86_400);

/// The builds, the latest last: their names, and how slow matchmaking is in each against the first.
const BUILDS: [(&str, f64); 8] = [
    ("2.24.0", 1.0),
    ("2.25.0", 1.02),
    ("2.26.0", 1.01),
    ("2.27.0", 1.07),
    ("2.28.0", 1.09),
    ("2.29.0", 1.45),
    ("2.30.0", 1.12),
    ("2.31.0", 1.15),
];

pub(crate) fn done(build: usize) -> RunId {
    RunId(0x81d2_5b7e_0000_0000 + 0x1357_9bdf * (build as u64 + 1))
}

/// Players of one build.
struct Evening(f64);

struct Player(f64);

impl Scenario for Evening {
    type Bot = Player;

    fn bot(&self, _: Seat) -> Player {
        Player(self.0)
    }

    fn name(&self) -> std::borrow::Cow<'static, str> {
        "arena".into()
    }

    fn shard(&self, _: &RunInfo) {
        listen("echo", |nth| Duration::from_micros(9_000 + nth * 7_919 % 6_007));
    }
}

impl Bot for Player {
    async fn run(&mut self, cx: &Cx) -> Result {
        let quiet = rudp::Config { keep_alive: Duration::from_secs(5), ..rudp::Config::DEFAULT };
        let game = cx.connect(Rudp::new(Echo).config(quiet)).await?;
        let more = |most_ms: f64| Duration::from_secs_f64(cx.rng().random::<f64>().powi(4) * most_ms / 1e3);
        cx.step("login", async {
            cx.sleep(more(70.0)).await;
            game.call(Ping).await.map_err(Error::from)
        })
        .await?;
        let (wait, is_lost) = (more(420.0 * self.0), cx.rng().random::<f64>() < 0.02);
        cx.step("matchmake", async {
            cx.sleep(Duration::from_secs_f64(0.06 * self.0) + wait).await;
            if is_lost {
                return Err(Error::from(Failure::new(
                    Kind::TIMED_OUT,
                    "no seat in a match within 5 s (region eu-central)",
                )));
            }
            game.call(Ping).await.map_err(Error::from)
        })
        .await?;
        let mut ticks = cx.ticks(Hz(1.0)).take_for(Duration::from_secs(25));
        while ticks.next().await.is_some() {
            cx.step("move", game.call(Ping)).await?;
        }
        cx.step("leave", game.close()).await
    }
}

/// A build's report, as its files.
fn played(run: RunId, (build, slow): (&str, f64)) -> (Report, Vec<(String, Vec<u8>)>) {
    let plan = "target = \"mem://echo\"\nbots = 40\nramp = \"15s\"\nduration = \"2m30s\"\n\
                thresholds = [\"p95(matchmake) < 500ms\", \"p99(move) < 50ms\", \"errors < 2%\"]\n";
    let plan = Plan::parse(plan, "evening.toml").unwrap();
    let seed = run.0 % 1_000;
    let mut report = sim::Simulation::new(Evening(slow)).plan(plan).seed(seed).run().unwrap().report;
    // Simulations have no name among all runs, and play nobody's server.
    (report.run.id, report.run.build, report.run.target) =
        (run.to_string(), build.into(), "play.staging.example:7777".into());
    let folder = tempfile::tempdir().unwrap();
    write_report(folder.path(), &report).unwrap();
    let names = ["report.json", "report.html", "report.md", "steps.csv", "series.csv", "junit.xml", "histograms.hlog"];
    let read = |name: &&str| Some(((*name).to_owned(), std::fs::read(folder.path().join(name)).ok()?));
    let files = names.iter().filter_map(read).collect();
    (report, files)
}

/// Times around a median, with a tail; `at` makes them another from second to second.
fn times(median_us: f64, at: u64, often: u64) -> HistogramDelta {
    let mut times = Histogram::new();
    for i in 0..160_u64 {
        let place = ((i * 2_654_435_761 + at * 40_503) % 1_009) as f64 / 1_009.0;
        times.record((median_us * (0.7 + 0.6 * place + 1.6 * place.powi(14))) as u64);
    }
    let (once, mut all) = (times.to_delta(), times.to_delta());
    (1..often).for_each(|_| all.merge(&once));
    all
}

/// A second of the run that goes on: since a deployment at 3:20 matchmaking is slower and slower.
fn second(at: u64) -> Interval {
    let planned = (PLAYERS * (at + 1) / 180).min(PLAYERS);
    let active = planned - planned * (at % 5) / 900;
    let mut window = Interval { from_us: at * 1_000_000, to_us: (at + 1) * 1_000_000, ..Interval::default() };
    let players = &mut window.players;
    (players.planned, players.active, players.connected) = (planned, active, active - active * (at % 7) / 700);
    (players.started, players.finished) =
        (if at < 180 { 340 + at % 9 } else { 60 + at % 23 }, at.saturating_sub(60).min(60) + at % 11);
    let slow = 1.0 + at.saturating_sub(200) as f64 / 90.0;
    let steps =
        [("login", 31_000.0, 2), ("matchmake", 120_000.0 * slow, 2), ("move", 12_600.0, 55), ("leave", 9_100.0, 1)];
    for (name, median_us, often) in steps {
        let mut figures = StepFigures {
            response: times(median_us * 1.04, at, often),
            service: times(median_us, at, often),
            ..StepFigures::default()
        };
        if name == "matchmake" && at > 210 {
            figures.failures.insert("timed-out".to_owned(), (at - 205) / 12);
            window.players.failed.insert("timed-out".to_owned(), (at - 205) / 12);
        }
        window.steps.insert(name.to_owned(), figures);
    }
    for (name, median_us) in
        [(names::TICK_LAG, 240.0), (names::WAKE_LAG, 90.0), (names::START_LAG, 310.0), (names::SEND_LAG, 55.0)]
    {
        window.trends.insert(
            name.to_owned(),
            TrendDelta { values: times(median_us + (at % 13) as f64 * 6.0, at, 1), ..TrendDelta::default() },
        );
    }
    let load = active as f64 / PLAYERS as f64;
    let gauges = [
        (names::CPU, 0.12 + 1.05 * load + (at % 6) as f64 / 60.0),
        (names::CPU_OTHERS, 0.04 + (at % 9) as f64 / 150.0),
        (names::CPU_STOLEN, (at % 17) as f64 / 900.0),
        (names::MEMORY, 38e6 + 61e6 * load),
    ];
    for (name, value) in gauges {
        window.gauges.insert(name.to_owned(), GaugeDelta::new(value, Duration::from_secs(at)));
    }
    window.counts.insert(names::TICKS_BEHIND.to_owned(), if at.is_multiple_of(31) { 4 } else { 0 });
    window.counts.insert(names::KERNEL_DROPS.to_owned(), if at == 188 { 22 } else { 0 });
    window
}

/// Has the run that goes on come as far as its figures, however long it took to come here.
pub(crate) fn catch_up(stage: &Stage) {
    stage.change(|play| {
        let Some(live) = play.records.iter_mut().find(|record| record.id == LIVE) else { return };
        let late_ms = now_ms() - (SO_FAR + 5) * 1_000 - live.start_at_ms;
        for at_ms in [&mut live.created_at_ms, &mut live.start_at_ms, &mut live.ends_at_ms, &mut live.deadline_ms] {
            *at_ms += late_ms;
        }
        live.notes.iter_mut().for_each(|note| note.at_ms += late_ms);
        play.standing.markers.iter_mut().for_each(|marker| marker.at_ms += late_ms);
    });
}

/// The stage of that evening.
pub(crate) fn evening() -> Stage {
    let stage = Stage::default();
    stage.change(|play| {
        for (i, build) in BUILDS.into_iter().enumerate() {
            let (report, files) = played(done(i), build);
            let mut record = run(done(i).0, DAY * 7 * (BUILDS.len() - i) as u32, 40);
            record.request.build = build.0.into();
            record.target = report.run.target.clone();
            record.ends_at_ms = record.start_at_ms + 150_000;
            (record.state, record.ended_at_ms) = (RunState::Ended, Some(record.start_at_ms + 153_000));
            record.ending = Some(Ending::Complete);
            record.note(record.start_at_ms + 60_000, "load turned to 1.25 by ops");
            record.judgement = Some(report.judgement.clone());
            play.lines.insert(0, line(&record));
            play.files.extend(files.into_iter().map(|(name, bytes)| (record.id, name, bytes)));
            play.records.push(record);
        }
        let mut live = run(LIVE.0, Duration::from_secs(SO_FAR + 5), WORKERS);
        (live.request.build, live.target) = ("2.32.0".into(), "play.staging.example:7777".into());
        live.request.plan = "scenario = \"arena\"\nbots = 60_000\nramp = \"3m\"\nduration = \"1h\"\n".into();
        let start_ms = live.start_at_ms;
        live.note(start_ms + 171_000, "worker 17 was given up: it was silent for 30 s");
        live.note(start_ms + 172_000, "worker 17 was started again (attempt 1)");
        live.note(start_ms + 260_000, "load turned to 1 by ops");
        play.lines.insert(0, line(&live));
        play.records.push(live);
        play.windows = (0..SO_FAR).map(second).collect();
        play.leases = (0..WORKERS).map(|worker| lease(LIVE, worker, 0, Phase::Playing)).collect();
        play.leases[17] = lease(LIVE, 17, 1, Phase::Playing);
        play.leases[44].status.active = 61;
        play.leases[101] = lease(LIVE, 101, 0, Phase::Lost);
        play.standing.crew = playing(WORKERS, 1);
        for seat in [40_117, 22_904, 3_331] {
            let (mut sample, mut flown) =
                failure(seat, "matchmake", "no seat in a match within 5 s (region eu-central)");
            (sample.at_us, flown.ended_us) = (212_000_000 + seat * 100, 212_200_000 + seat * 100);
            flown.lines = vec![
                "+203.114 s begins matchmake".into(),
                "+203.115 s sends Queue { region: \"eu-central\", party: 2 } (19 B)".into(),
                "+203.131 s receives Queued { position: 8412 } (7 B)".into(),
                "+208.114 s no seat in a match within 5 s (region eu-central)".into(),
            ];
            play.standing.failures.samples.push(sample);
            play.standing.failures.flights.push(flown);
        }
        let text = "matchmaker 2.32.1 deployed to eu-central".into();
        play.standing.markers.push(Marker { at_ms: start_ms + 200_000, text, by: "argo".into() });
        play.plans.files = vec![
            plan("evening.toml", "arena, 60,000 players, 1h"),
            plan("smoke.toml", "arena, 50 players, 2m"),
            PlanFile {
                name: "weekend.toml".into(),
                plan: Err(Plan::parse("scenario = \"arena\"\nbots = 90_000\ndurration = \"48h\"\n", "weekend.toml")
                    .unwrap_err()
                    .to_string()),
            },
        ];
    });
    stage
}

fn plan(name: &str, what: &str) -> PlanFile {
    let text = "scenario = \"arena\"\ntarget = \"play.staging.example:7777\"\nbots = 60_000\nramp = \"3m\"\nduration = \"1h\"\n\
                thresholds = [\"p95(matchmake) < 500ms\", \"errors < 2%\"]\n";
    PlanFile { name: name.into(), plan: Ok(Planned { text: text.into(), what: what.into() }) }
}
