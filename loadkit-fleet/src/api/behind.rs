//! The fleet itself behind the front door.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use loadkit_core::{RunId, Verdict};
use loadkit_sinks::Interval;
use loadkit_worker::{Clock, Lease, Line, LineError, Outbox, StopWord, Store, StoreLine, get_json, keys};
use serde_json::Value;
use tokio::time::Instant;

use super::fault::Fault;
use super::place::Place;
use super::service::{FileEntry, Filter, LiveEvent, LiveKind, LivePage, RunList, Service, Standing};
use super::wire::{LiveFigures, LivePlayers, LiveStep};
use crate::auth::is_same_secret;
use crate::collect::collect;
use crate::crew::{CREW, Crew};
use crate::estimate::{Dollars, Estimate};
use crate::failures::{FAILURES, Failures};
use crate::fleet::{Fleet, RunLine};
use crate::keeper::report_file;
use crate::marker::Marker;
use crate::plans::{PlanFolder, Plans};
use crate::policy::Policy;
use crate::record::{Ending, RunRecord, RunState};
use crate::request::{Caller, RunRequest};
use crate::{most_players, rollup};

/// A list looks at so many runs at most for those that are asked for.
const MAX_LOOKED_AT: usize = 2_000;
/// Files that reports have, beside those in folders: what is asked for when they are listed.
const FILES: [&str; 8] = [
    "report.json",
    "report.html",
    "report.md",
    "report.css",
    "steps.csv",
    "series.csv",
    "junit.xml",
    "histograms.hlog",
];
/// Windows told at a time.
const MAX_WINDOWS: usize = 120;
/// Steps of a window that are told.
const MAX_STEPS: usize = 64;
/// A window is told so long after its end, when most workers have reported it.
const SETTLED: Duration = Duration::from_secs(4);
/// How often it is looked whether something happened.
const LOOK: Duration = Duration::from_millis(500);

/// A fleet behind the front door.
#[derive(Clone, Debug)]
pub struct FleetService {
    fleet: Fleet,
    policy: Policy,
    line: Arc<StoreLine>,
    plans: Option<PlanFolder>,
}

impl FleetService {
    /// This fleet. The policy is asked when a run is turned up; launches are the guard's matter, which the fleet has.
    pub fn new(fleet: Fleet, policy: Policy) -> FleetService {
        let (store, clock) = (fleet.store().clone(), fleet.clock().clone());
        let outbox = Arc::new(Direct { store: store.clone(), clock: clock.clone() });
        let line = Arc::new(StoreLine::new(store, outbox, clock));
        FleetService { fleet, policy, line, plans: None }
    }

    /// The same, with plans to launch.
    pub fn with_plans(self, plans: Option<PlanFolder>) -> FleetService {
        FleetService { plans, ..self }
    }

    async fn page(&self, run: RunId, after: u64) -> Result<LivePage, Fault> {
        let store = &**self.fleet.store();
        // The record comes first: when it says that the run has ended, all else has been written.
        let record = self.show(run).await?;
        let (ended, mut at, mut events) = (record.state == RunState::Ended, Place::of(after), Vec::new());
        let mut tell = |at: Place, kind, data| events.push(LiveEvent { id: at.id(), kind, data });
        let state = record.state as u64 + 1;
        if state > at.state && !ended {
            at.state = state;
            tell(at, LiveKind::State, told(&record));
        }
        if let Some((crew, version)) = get_json::<Crew>(store, &keys::of_run(run, CREW)).await?
            && version > at.crew
        {
            at.crew = version;
            tell(at, LiveKind::Workers, serde_json::to_value(crew).unwrap_or_default());
        }
        for (number, note) in record.notes_behind(at.notes) {
            at.notes = number;
            tell(at, LiveKind::Note, serde_json::to_value(note).unwrap_or_default());
        }
        let (from, width) = (Duration::from_secs(at.seconds), Duration::from_secs(1));
        let settled_ms = self.fleet.clock().now_ms().saturating_sub(millis(SETTLED));
        let windows = rollup::read(store, run, width, from, MAX_WINDOWS).await?;
        // While windows are still told, the end is not.
        let whole = windows.len() < MAX_WINDOWS;
        for interval in &windows {
            let is_settled = record.start_at_ms.saturating_add(interval.to_us / 1_000) <= settled_ms;
            if !is_settled && !ended {
                break;
            }
            at.seconds = interval.to_us / 1_000_000;
            tell(at, LiveKind::Figures, figures(interval));
        }
        let over = ended && whole;
        if over && state > at.state {
            at.state = state;
            tell(at, LiveKind::Ended, told(&record));
        }
        Ok(LivePage { events, over })
    }
}

#[async_trait]
impl Service for FleetService {
    async fn launch(&self, request: RunRequest, caller: &Caller) -> Result<RunRecord, Fault> {
        Ok(self.fleet.launch(request, caller.clone()).await?)
    }

    async fn estimate(&self, request: RunRequest, caller: &Caller) -> Result<Estimate, Fault> {
        Ok(self.fleet.estimate(&request, caller).await?)
    }

    async fn list(&self, filter: &Filter) -> Result<RunList, Fault> {
        let until = filter.until_ms.map(|until_ms| line_at(until_ms, RunId(u64::MAX)));
        let mut after = filter.after.as_deref().map(place).transpose()?.or(until);
        let (limit, mut looked_at) = (filter.limit(), 0);
        let mut runs: Vec<RunLine> = Vec::new();
        loop {
            let page = self.fleet.list(after.as_ref(), 200).await?;
            let is_last = page.len() < 200;
            looked_at += page.len();
            for line in page {
                // The list goes back in time.
                if filter.since_ms.is_some_and(|since_ms| line.created_at_ms < since_ms) {
                    return Ok(RunList { runs, next: None });
                }
                after = Some(line.clone());
                if fits(filter, &line) {
                    runs.push(line);
                }
                if runs.len() == limit {
                    return Ok(RunList { next: after.as_ref().map(cursor), runs });
                }
            }
            if is_last {
                return Ok(RunList { runs, next: None });
            }
            if looked_at >= MAX_LOOKED_AT {
                return Ok(RunList { next: after.as_ref().map(cursor), runs });
            }
        }
    }

    async fn show(&self, run: RunId) -> Result<RunRecord, Fault> {
        Ok(self.fleet.show(run).await?)
    }

    async fn stop(&self, run: RunId, caller: &Caller, now: bool) -> Result<RunRecord, Fault> {
        let word = if now { StopWord::Now } else { StopWord::Drain };
        self.fleet.stop(run, word, &caller.name).await?;
        self.show(run).await
    }

    async fn dial(&self, run: RunId, caller: &Caller, dial: f64) -> Result<RunRecord, Fault> {
        let record = self.show(run).await?;
        let (plan, _) = self.fleet.prepare(&record.request)?;
        let players = (most_players(&plan) as f64 * dial).ceil() as u64;
        self.policy.check_players(caller, players)?;
        self.fleet.dial(run, dial, &caller.name).await?;
        self.show(run).await
    }

    async fn files(&self, run: RunId) -> Result<Vec<FileEntry>, Fault> {
        let record = self.show(run).await?;
        let mut found = Vec::new();
        for name in FILES {
            if let Some(bytes) = report_file(&**self.fleet.store(), run, name).await? {
                found.push(FileEntry { name: name.to_owned(), bytes: bytes.len() as u64 });
            }
        }
        if found.is_empty() { Err(no_report(&record)) } else { Ok(found) }
    }

    async fn file(&self, run: RunId, name: &str) -> Result<Vec<u8>, Fault> {
        let record = self.show(run).await?;
        match report_file(&**self.fleet.store(), run, name).await? {
            Some(bytes) => Ok(bytes),
            None if record.state == RunState::Ended && record.ending != Some(Ending::Failed) => {
                Err(Fault::Missing(format!("the report of run {run} has no file {name:?}")))
            }
            None => Err(no_report(&record)),
        }
    }

    async fn events(&self, run: RunId, after: u64, wait: Duration) -> Result<LivePage, Fault> {
        let until = Instant::now() + wait;
        loop {
            let page = self.page(run, after).await?;
            if page.over || !page.events.is_empty() || Instant::now() >= until {
                return Ok(page);
            }
            tokio::time::sleep(LOOK.min(until - Instant::now())).await;
        }
    }

    async fn windows(&self, run: RunId, width: Duration, from: Duration, limit: usize) -> Result<Vec<Interval>, Fault> {
        Ok(rollup::read(&**self.fleet.store(), run, width, from, limit).await?)
    }

    async fn leases(&self, record: &RunRecord) -> Result<Vec<Lease>, Fault> {
        Ok(self.fleet.leases(record.id, record.workers).await?)
    }

    async fn standing(&self, run: RunId) -> Result<Standing, Fault> {
        let store = &**self.fleet.store();
        let crew = get_json::<Crew>(store, &keys::of_run(run, CREW)).await?.map(|(crew, _)| crew).unwrap_or_default();
        let failures = get_json::<Failures>(store, &keys::of_run(run, FAILURES)).await?;
        let failures = failures.map(|(failures, _)| failures).unwrap_or_default();
        Ok(Standing { crew, failures, markers: self.fleet.markers(run).await? })
    }

    async fn mark(&self, run: RunId, caller: &Caller, at_ms: Option<u64>, text: &str) -> Result<Marker, Fault> {
        Ok(self.fleet.mark(run, at_ms, text, &caller.name).await?)
    }

    async fn cost(&self, record: &RunRecord) -> Result<Dollars, Fault> {
        Ok(self.fleet.cost(&record.request)?)
    }

    async fn plans(&self) -> Result<Plans, Fault> {
        let Some(folder) = self.plans.clone() else { return Ok(Plans::default()) };
        let read = tokio::task::spawn_blocking(move || folder.read()).await;
        read.map_err(|error| Fault::Away(format!("the plans were not read: {error}")))
    }

    fn now_ms(&self) -> u64 {
        self.fleet.clock().now_ms()
    }

    async fn line(&self, run: RunId, token: &str) -> Result<Arc<dyn Line>, Fault> {
        if !is_same_secret(&self.fleet.worker_token(run).await?, token) {
            return Err(Fault::Unauthorized(format!("this is not the token of run {run}'s workers")));
        }
        Ok(self.line.clone())
    }
}

/// What workers report over HTTP is stored at once: there is no queue in between.
#[derive(Debug)]
struct Direct {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
}

#[async_trait]
impl Outbox for Direct {
    async fn send(&self, texts: &[String]) -> Result<usize, LineError> {
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        collect(&*self.store, &texts, self.clock.now_ms()).await?;
        // Those that are no parcels are noted, and would not be better the next time.
        Ok(texts.len())
    }
}

fn no_report(record: &RunRecord) -> Fault {
    let run = record.id;
    Fault::Missing(match (record.state, record.ending) {
        (RunState::Ended, Some(Ending::Failed)) => {
            format!("run {run} has no report, because it never began: its record says why (GET /v1/runs/{run})")
        }
        (RunState::Ended, _) => format!("the report of run {run} is not kept any more, or could not be: see its notes"),
        _ => format!("run {run} has no report yet: it is written when the run has ended"),
    })
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn fits(filter: &Filter, line: &RunLine) -> bool {
    let is = |wanted: &Option<String>, text: &str| wanted.as_deref().is_none_or(|wanted| wanted == text);
    filter.state.is_none_or(|state| line.state == state)
        && filter.verdict.is_none_or(|verdict| line.verdict == Some(verdict))
        && filter.until_ms.is_none_or(|until_ms| line.created_at_ms < until_ms)
        && is(&filter.by, &line.by)
        && is(&filter.scenario, &line.scenario)
        && is(&filter.build, &line.build)
}

/// Where a page ended: `created_at_ms.run`.
fn cursor(line: &RunLine) -> String {
    format!("{}.{}", line.created_at_ms, line.id)
}

/// The line that a cursor stands for; only its place counts.
fn place(cursor: &str) -> Result<RunLine, Fault> {
    let parts = cursor.split_once('.').and_then(|(at, id)| Some((at.parse().ok()?, u64::from_str_radix(id, 16).ok()?)));
    let (created_at_ms, id) = parts.ok_or_else(|| Fault::Bad("`after` is no place in the list of runs".into()))?;
    Ok(line_at(created_at_ms, RunId(id)))
}

/// A line of which only the place counts.
fn line_at(created_at_ms: u64, id: RunId) -> RunLine {
    let empty = String::new;
    RunLine {
        id,
        created_at_ms,
        scenario: empty(),
        target: empty(),
        build: empty(),
        by: empty(),
        state: RunState::Ended,
        verdict: None::<Verdict>,
    }
}

/// A record as it is told while it changes: without the plan, which does not, and without its notes, which are told each.
fn told(record: &RunRecord) -> Value {
    let mut value = serde_json::to_value(record).unwrap_or_default();
    if let Some(fields) = value.as_object_mut() {
        fields.remove("request");
        fields.remove("notes");
    }
    value
}

/// A window in short.
fn figures(interval: &Interval) -> Value {
    let steps = interval.steps.iter().filter(|(name, _)| !name.contains('{')).take(MAX_STEPS);
    let steps = steps.map(|(name, step)| {
        let response = &step.response;
        let (p50_us, p99_us) = (response.quantile(0.5), response.quantile(0.99));
        (name.clone(), LiveStep { count: response.count(), failed: step.failed(), p50_us, p99_us })
    });
    let players = &interval.players;
    let (active, connected, planned) = (players.active, players.connected, players.planned);
    let figures = LiveFigures {
        from_us: interval.from_us,
        to_us: interval.to_us,
        players: LivePlayers { active, connected, planned },
        steps: steps.collect(),
    };
    serde_json::to_value(figures).unwrap_or_default()
}
