//! A fleet that is made up behind the real door: what the pages show is said by the test.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use loadkit::core::{FailureSample, Histogram, HistogramDelta, Judgement, Plan, Reason, RunId, Verdict};
use loadkit_fleet::api::{Access, Door, Fault, FileEntry, Filter, LivePage, RunList, Service, Standing};
use loadkit_fleet::{
    Caller, Crew, Dollars, Estimate, Flown, Home, Marker, Note, Plans, Policy, Quotas, Refusal, RunLine, RunRecord,
    RunRequest, RunState, Usual, staff,
};
use loadkit_sinks::{Interval, StepFigures};
use loadkit_worker::{Clock, Job, Lease, Line, Phase, SystemClock, Terms, WorkerStatus};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Whose guard-rails stand on the page that launches.
const POLICY: &str = r#"
[[rules]]
name = "only the studio's own servers"
hosts = ["*.staging.example"]

[[rules]]
name = "an evening costs less than a dinner"
duration = "2h"
cost = 150
"#;

/// All that is made up.
#[derive(Debug, Default)]
pub(crate) struct Play {
    pub(crate) records: Vec<RunRecord>,
    /// The latest first.
    pub(crate) lines: Vec<RunLine>,
    pub(crate) windows: Vec<Interval>,
    pub(crate) leases: Vec<Lease>,
    pub(crate) standing: Standing,
    pub(crate) files: Vec<(RunId, String, Vec<u8>)>,
    pub(crate) plans: Plans,
    /// What guard-rails say to whoever would launch.
    pub(crate) refusals: Vec<Refusal>,
    /// What was done by pages.
    pub(crate) done: Vec<String>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Stage(pub(crate) Arc<Mutex<Play>>);

impl Stage {
    pub(crate) fn change(&self, change: impl FnOnce(&mut Play)) {
        change(&mut self.0.lock().unwrap());
    }

    pub(crate) fn done(&self) -> Vec<String> {
        self.0.lock().unwrap().done.clone()
    }

    fn record(&self, run: RunId, change: impl FnOnce(&mut RunRecord)) -> Result<RunRecord, Fault> {
        let mut play = self.0.lock().unwrap();
        let record = play.records.iter_mut().find(|record| record.id == run).ok_or(Fault::NoRun(run))?;
        change(record);
        Ok(record.clone())
    }
}

/// A service that can be ended and begun again at the same address.
pub(crate) struct Served {
    pub(crate) addr: SocketAddr,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<std::io::Result<()>>,
}

impl Served {
    pub(crate) async fn open(stage: &Stage, addr: SocketAddr) -> Served {
        Served::with(stage, addr, Access::Open).await
    }

    /// For those whom it lets in.
    pub(crate) async fn with(stage: &Stage, addr: SocketAddr, access: Access) -> Served {
        let door = Door::open(addr, access).await.unwrap();
        let (addr, (stop, stopped)) = (door.addr(), oneshot::channel());
        let service = Arc::new(stage.clone());
        Served { addr, stop, serving: tokio::spawn(door.serve(service, async move { drop(stopped.await) })) }
    }

    pub(crate) async fn end(self) {
        self.stop.send(()).unwrap();
        // Whoever listens is cut off, as when a machine is gone.
        self.serving.abort();
        let _ = self.serving.await;
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }
}

/// Now, ms since 1970.
pub(crate) fn now_ms() -> u64 {
    SystemClock.now_ms()
}

/// A run that began so long ago.
pub(crate) fn run(id: u64, began: Duration, workers: u32) -> RunRecord {
    let start_at_ms = now_ms() - began.as_millis() as u64;
    let plan =
        Plan::builder().target("127.0.0.1:4000").scenario("arena").bots(100).duration(Duration::from_secs(3_600));
    RunRecord {
        schema: "loadkit.run/1".into(),
        id: RunId(id),
        request: RunRequest { plan: plan.build().unwrap().to_toml(), build: "2.31.0".into(), ..RunRequest::default() },
        by: Caller { name: "ops".into() },
        scenario: "arena".into(),
        target: "127.0.0.1:4000".into(),
        seed: "17".into(),
        home: Home::Fargate,
        why: "as asked for".into(),
        workers,
        state: RunState::Running,
        created_at_ms: start_at_ms - 15_000,
        start_at_ms,
        ends_at_ms: start_at_ms + 3_600_000,
        deadline_ms: start_at_ms + 3_700_000,
        ended_at_ms: None,
        ending: None,
        judgement: None,
        stamp: None,
        workers_refused: 0,
        attempts_lost: 0,
        workers_lost: 0,
        parcels_missing: 0,
        notes: vec![Note { at_ms: start_at_ms, text: format!("started with {workers} of {workers} workers") }],
        notes_left_out: 0,
    }
}

pub(crate) fn line(record: &RunRecord) -> RunLine {
    RunLine {
        id: record.id,
        created_at_ms: record.created_at_ms,
        scenario: record.scenario.clone(),
        target: record.target.clone(),
        build: record.request.build.clone(),
        by: record.by.name.clone(),
        state: record.state,
        verdict: record.judgement.as_ref().map(|judgement| judgement.verdict),
    }
}

pub(crate) fn judged(verdict: Verdict, why: &str) -> Judgement {
    let reasons = vec![Reason { verdict, text: why.to_owned() }];
    Judgement { verdict, reasons, warnings: Vec::new(), thresholds: Vec::new() }
}

fn times(around_us: u64) -> HistogramDelta {
    let mut times = Histogram::new();
    (0..200).for_each(|i| times.record(around_us + around_us * i / 100));
    times.to_delta()
}

/// A window of figures, with these steps.
pub(crate) fn window(from_s: u64, width_s: u64, steps: &[&str]) -> Interval {
    let mut window =
        Interval { from_us: from_s * 1_000_000, to_us: (from_s + width_s) * 1_000_000, ..Interval::default() };
    (window.players.planned, window.players.active, window.players.connected) = (100, 99, 98);
    window.players.started = 2;
    for (i, step) in steps.iter().enumerate() {
        let around = 1_000 * (i as u64 + 1) + (from_s % 20) * 40;
        let mut figures =
            StepFigures { service: times(around), response: times(around + 200), ..StepFigures::default() };
        if from_s.is_multiple_of(7) {
            figures.failures.insert("timed-out".to_owned(), 1);
        }
        window.steps.insert((*step).to_owned(), figures);
    }
    window
}

/// A worker's lease.
pub(crate) fn lease(run: RunId, worker: u32, attempt: u32, phase: Phase) -> Lease {
    let line = loadkit_worker::Address::Http { url: "http://127.0.0.1:1".into(), token: "x".into() };
    let mut job = Job::new(run, worker, line);
    job.attempt = attempt;
    let status = WorkerStatus { active: 100, planned: 100, ..WorkerStatus::default() };
    Lease::new(&job, phase, status, now_ms())
}

/// A failure, and what its player did last.
pub(crate) fn failure(seat: u64, step: &str, message: &str) -> (FailureSample, Flown) {
    let (kind, message) = ("timed-out".to_owned(), message.to_owned());
    let sample = FailureSample { at_us: 5_000_000, seat, step: step.to_owned(), kind, message: message.clone() };
    let lines = vec!["+0.000 s begins login".to_owned(), format!("+5.000 s {message}")];
    (sample, Flown { seat, ended_us: 5_100_000, failure: format!("{step}: timed-out"), lines })
}

#[async_trait]
impl Service for Stage {
    async fn launch(&self, _: RunRequest, _: &Caller) -> Result<RunRecord, Fault> {
        Err(Fault::Bad("nothing is launched here".into()))
    }

    async fn estimate(&self, request: RunRequest, by: &Caller) -> Result<Estimate, Fault> {
        let plan = Plan::parse(&request.plan, "the plan")?;
        let homes = BTreeSet::from([Home::Fargate]);
        let staffing = staff(&plan, &request, &homes, Usual::of, &Terms::default()).map_err(Fault::Bad)?;
        let names = vec!["Fargate: On-Demand vCPU resource count".to_owned()];
        let quotas = Quotas { workers: Some(500), starts_per_s: Some(20.0), names, ..Quotas::default() };
        let refusals = self.0.lock().unwrap().refusals.clone();
        let rails = Policy::parse(POLICY, "the policy")?.rails(by);
        Ok(Estimate { refusals, rails, ..Estimate::of(&plan, &staffing, &Terms::default(), &quotas) })
    }

    async fn plans(&self) -> Result<Plans, Fault> {
        Ok(self.0.lock().unwrap().plans.clone())
    }

    async fn list(&self, filter: &Filter) -> Result<RunList, Fault> {
        let play = self.0.lock().unwrap();
        let from = filter.after.as_deref().map_or(0, |after| after.parse().unwrap());
        let is = |wanted: &Option<String>, text: &str| wanted.as_deref().is_none_or(|wanted| wanted == text);
        let fits = |line: &RunLine| {
            is(&filter.build, &line.build)
                && is(&filter.scenario, &line.scenario)
                && is(&filter.by, &line.by)
                && filter.since_ms.is_none_or(|since| line.created_at_ms >= since)
                && filter.until_ms.is_none_or(|until| line.created_at_ms < until)
                && filter.state.is_none_or(|state| line.state == state)
                && filter.verdict.is_none_or(|verdict| line.verdict == Some(verdict))
        };
        let mut runs = play.lines.iter().enumerate().skip(from).filter(|(_, line)| fits(line));
        let page: Vec<(usize, &RunLine)> = runs.by_ref().take(filter.limit()).collect();
        let next = runs.next().map(|(at, _)| at.to_string());
        Ok(RunList { runs: page.into_iter().map(|(_, line)| line.clone()).collect(), next })
    }

    async fn show(&self, run: RunId) -> Result<RunRecord, Fault> {
        self.record(run, |_| {})
    }

    async fn stop(&self, run: RunId, caller: &Caller, now: bool) -> Result<RunRecord, Fault> {
        let at_ms = self.now_ms();
        self.change(|play| play.done.push(format!("stop {now} by {}", caller.name)));
        self.record(run, |record| {
            record.state = RunState::Draining;
            record.note(at_ms, "told to stop by a page");
        })
    }

    async fn dial(&self, run: RunId, _: &Caller, dial: f64) -> Result<RunRecord, Fault> {
        let at_ms = self.now_ms();
        self.change(|play| play.done.push(format!("dial {dial}")));
        self.record(run, |record| record.note(at_ms, format!("load turned to {dial}")))
    }

    async fn files(&self, run: RunId) -> Result<Vec<FileEntry>, Fault> {
        let play = self.0.lock().unwrap();
        let of = play.files.iter().filter(|(owner, ..)| *owner == run);
        Ok(of.map(|(_, name, bytes)| FileEntry { name: name.clone(), bytes: bytes.len() as u64 }).collect())
    }

    async fn file(&self, run: RunId, name: &str) -> Result<Vec<u8>, Fault> {
        let play = self.0.lock().unwrap();
        let file = play.files.iter().find(|(owner, known, _)| *owner == run && known == name);
        file.map(|(.., bytes)| bytes.clone()).ok_or_else(|| Fault::Missing("there is no such file".into()))
    }

    async fn events(&self, _: RunId, _: u64, _: Duration) -> Result<LivePage, Fault> {
        Ok(LivePage { events: Vec::new(), over: true })
    }

    async fn line(&self, _: RunId, _: &str) -> Result<Arc<dyn Line>, Fault> {
        Err(Fault::Unauthorized("there are no workers here".into()))
    }

    async fn windows(&self, _: RunId, width: Duration, from: Duration, limit: usize) -> Result<Vec<Interval>, Fault> {
        let play = self.0.lock().unwrap();
        let of = |window: &&Interval| {
            Duration::from_micros(window.to_us - window.from_us) == width
                && Duration::from_micros(window.from_us) >= from
        };
        Ok(play.windows.iter().filter(of).take(limit).cloned().collect())
    }

    async fn leases(&self, record: &RunRecord) -> Result<Vec<Lease>, Fault> {
        if record.state == RunState::Ended {
            return Ok(Vec::new());
        }
        let mut leases = self.0.lock().unwrap().leases.clone();
        leases.iter_mut().for_each(|lease| lease.beat_at_ms = now_ms());
        Ok(leases)
    }

    async fn standing(&self, run: RunId) -> Result<Standing, Fault> {
        let play = self.0.lock().unwrap();
        // What is made up is of the run that goes on.
        let is_over = play.records.iter().any(|record| record.id == run && record.state == RunState::Ended);
        Ok(if is_over { Standing::default() } else { play.standing.clone() })
    }

    async fn mark(&self, _: RunId, caller: &Caller, at_ms: Option<u64>, text: &str) -> Result<Marker, Fault> {
        let marker = Marker { at_ms: at_ms.unwrap_or_else(now_ms), text: text.into(), by: caller.name.clone() };
        self.change(|play| play.standing.markers.push(marker.clone()));
        Ok(marker)
    }

    async fn cost(&self, _: &RunRecord) -> Result<Dollars, Fault> {
        Ok(Dollars { low: 100.0, high: 120.0, lines: Vec::new(), prices: "made up".into() })
    }

    fn now_ms(&self) -> u64 {
        now_ms()
    }
}

/// How many workers are where, of so many that play.
pub(crate) fn playing(workers: u32, lost: u32) -> Crew {
    Crew { workers, claimed: 0, playing: workers - lost, ended: 0, lost }
}
