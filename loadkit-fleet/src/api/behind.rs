//! The fleet itself behind the front door.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use loadkit_core::{RunId, Verdict};
use loadkit_sinks::Interval;
use loadkit_worker::{Clock, Line, LineError, Outbox, StopWord, Store, StoreLine, get_json, keys};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::fault::Fault;
use super::service::{FileEntry, Filter, LiveEvent, LiveKind, LivePage, RunList, Service};
use crate::auth::is_same_secret;
use crate::collect::collect;
use crate::estimate::Estimate;
use crate::fleet::{Fleet, RunLine};
use crate::keeper::report_file;
use crate::policy::Policy;
use crate::record::{RunRecord, RunState};
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
}

impl FleetService {
    /// This fleet. The policy is asked when a run is turned up; launches are the guard's matter, which the fleet has.
    pub fn new(fleet: Fleet, policy: Policy) -> FleetService {
        let (store, clock) = (fleet.store().clone(), fleet.clock().clone());
        let outbox = Arc::new(Direct { store: store.clone(), clock: clock.clone() });
        let line = Arc::new(StoreLine::new(store, outbox, clock));
        FleetService { fleet, policy, line }
    }

    async fn page(&self, run: RunId, after: u64) -> Result<LivePage, Fault> {
        let found = get_json::<RunRecord>(&**self.fleet.store(), &keys::record(run)).await?;
        let (record, version) = found.ok_or(Fault::NoRun(run))?;
        let (seen_version, seen_windows) = (after >> 32, after & u64::from(u32::MAX));
        let mut windows = seen_windows;
        let mut events = Vec::new();
        let ended = record.state == RunState::Ended;
        let from = Duration::from_secs(seen_windows);
        let width = Duration::from_secs(1);
        let settled_ms = self.fleet.clock().now_ms().saturating_sub(millis(SETTLED));
        for interval in rollup::read(&**self.fleet.store(), run, width, from, MAX_WINDOWS).await? {
            let is_settled = record.start_at_ms.saturating_add(interval.to_us / 1_000) <= settled_ms;
            if !is_settled && !ended {
                break;
            }
            windows = (interval.to_us / 1_000_000).min(u64::from(u32::MAX));
            let id = seen_version << 32 | windows;
            events.push(LiveEvent { id, kind: LiveKind::Figures, data: figures(&interval) });
        }
        // While windows are still told, the end is not.
        let whole = events.len() < MAX_WINDOWS;
        if version > seen_version && (!ended || whole) {
            let kind = if ended { LiveKind::Ended } else { LiveKind::State };
            let id = version.min(u64::from(u32::MAX)) << 32 | windows;
            events.push(LiveEvent { id, kind, data: told(&record) });
        }
        Ok(LivePage { events, over: ended && whole })
    }
}

#[async_trait]
impl Service for FleetService {
    async fn launch(&self, request: RunRequest, caller: &Caller) -> Result<RunRecord, Fault> {
        Ok(self.fleet.launch(request, caller.clone()).await?)
    }

    async fn estimate(&self, request: RunRequest, _: &Caller) -> Result<Estimate, Fault> {
        let (plan, staffing) = self.fleet.prepare(&request)?;
        let quotas = match self.fleet.launchers.get(&staffing.plays_at()) {
            Some(launcher) => launcher.quotas().await.unwrap_or_default(),
            None => crate::launcher::Quotas::default(),
        };
        Ok(Estimate::of(&plan, &staffing, &self.fleet.settings.terms, &quotas))
    }

    async fn list(&self, filter: &Filter) -> Result<RunList, Fault> {
        let mut after = filter.after.as_deref().map(place).transpose()?;
        let (limit, mut looked_at) = (filter.limit(), 0);
        let mut runs: Vec<RunLine> = Vec::new();
        loop {
            let page = self.fleet.list(after.as_ref(), 200).await?;
            let is_last = page.len() < 200;
            looked_at += page.len();
            for line in page {
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
        self.show(run).await?;
        let mut found = Vec::new();
        for name in FILES {
            if let Some(bytes) = report_file(&**self.fleet.store(), run, name).await? {
                found.push(FileEntry { name: name.to_owned(), bytes: bytes.len() as u64 });
            }
        }
        if found.is_empty() { Err(no_report(run)) } else { Ok(found) }
    }

    async fn file(&self, run: RunId, name: &str) -> Result<Vec<u8>, Fault> {
        let record = self.show(run).await?;
        match report_file(&**self.fleet.store(), run, name).await? {
            Some(bytes) => Ok(bytes),
            None if record.state == RunState::Ended => {
                Err(Fault::Missing(format!("the report of run {run} has no file {name:?}")))
            }
            None => Err(no_report(run)),
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

fn no_report(run: RunId) -> Fault {
    Fault::Missing(format!("run {run} has no report yet: it is written when the run has ended"))
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn fits(filter: &Filter, line: &RunLine) -> bool {
    let is = |wanted: &Option<String>, text: &str| wanted.as_deref().is_none_or(|wanted| wanted == text);
    filter.state.is_none_or(|state| line.state == state)
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
    let empty = String::new;
    Ok(RunLine {
        id: RunId(id),
        created_at_ms,
        scenario: empty(),
        target: empty(),
        build: empty(),
        by: empty(),
        state: RunState::Ended,
        verdict: None::<Verdict>,
    })
}

/// A record as it is told while it changes: without the plan, which does not.
fn told(record: &RunRecord) -> Value {
    let mut value = serde_json::to_value(record).unwrap_or_default();
    if let Some(fields) = value.as_object_mut() {
        fields.remove("request");
    }
    value
}

/// A window in short: players, and of each step how many, how many failed, and how long, µs from the intended start.
fn figures(interval: &Interval) -> Value {
    let steps = interval.steps.iter().filter(|(name, _)| !name.contains('{')).take(MAX_STEPS);
    let steps: serde_json::Map<String, Value> = steps
        .map(|(name, step)| {
            let response = &step.response;
            let figures = json!({
                "count": response.count(), "failed": step.failed(),
                "p50_us": response.quantile(0.5), "p99_us": response.quantile(0.99),
            });
            (name.clone(), figures)
        })
        .collect();
    let players = &interval.players;
    json!({
        "from_us": interval.from_us, "to_us": interval.to_us,
        "players": { "active": players.active, "connected": players.connected, "planned": players.planned },
        "steps": steps,
    })
}
