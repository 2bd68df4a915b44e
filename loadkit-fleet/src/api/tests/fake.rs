//! A fleet that remembers runs and plays none.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use loadkit_core::{Plan, RunId};
use loadkit_sinks::Interval;
use loadkit_worker::{
    Beat, Claim, Command, Job, Lease, Line, LineError, MemoryStore, Order, Phase, Terms, VirtualClock, WorkerEnd,
    WorkerStatus,
};
use tower::ServiceExt as _;

use crate::api::{
    Access, Administrators, Fault, FileEntry, Filter, LiveEvent, LiveKind, LivePage, RunList, Service, Standing, router,
};
use crate::estimate::{Dollars, Estimate};
use crate::fleet::RunLine;
use crate::launcher::{Home, Quotas};
use crate::marker::Marker;
use crate::policy::Policy;
use crate::record::{RunRecord, RunState};
use crate::request::{Caller, RunRequest};
use crate::staff::{Usual, staff};
use crate::{Role, Tokens};

pub(super) const RUN: RunId = RunId(0xabc);

#[derive(Debug)]
pub(super) struct Fake {
    pub(super) runs: Mutex<Vec<RunRecord>>,
    pub(super) events: Mutex<Vec<LiveEvent>>,
    pub(super) windows: Mutex<Vec<Interval>>,
    /// Windows that were read.
    pub(super) read: AtomicUsize,
    pub(super) leases: Mutex<Vec<Lease>>,
    pub(super) standing: Mutex<Standing>,
    pub(super) now_ms: Mutex<u64>,
    pub(super) slow: bool,
}

impl Fake {
    pub(super) fn new() -> Fake {
        Fake {
            runs: Mutex::default(),
            events: Mutex::default(),
            windows: Mutex::default(),
            read: AtomicUsize::new(0),
            leases: Mutex::default(),
            standing: Mutex::default(),
            now_ms: Mutex::new(5),
            slow: false,
        }
    }

    fn change(&self, run: RunId, change: impl FnOnce(&mut RunRecord)) -> Result<RunRecord, Fault> {
        let mut runs = self.runs.lock().unwrap();
        let record = runs.iter_mut().find(|record| record.id == run).ok_or(Fault::NoRun(run))?;
        if record.state == RunState::Ended {
            return Err(Fault::Conflict(format!("run {run} has ended")));
        }
        change(record);
        Ok(record.clone())
    }
}

fn estimated(request: &RunRequest, caller: &Caller) -> Result<(Plan, Estimate), Fault> {
    let plan = Plan::parse(&request.plan, "plan.toml")?;
    let homes = BTreeSet::from([Home::Lambda]);
    let staffing = staff(&plan, request, &homes, Usual::of, &Terms::default()).map_err(Fault::Bad)?;
    let quotas = Quotas { workers: Some(100), ..Quotas::default() };
    let estimate = Estimate::of(&plan, &staffing, &Terms::default(), &quotas);
    let target = request.target.as_deref().or(plan.target()).unwrap_or("");
    let addrs: Vec<SocketAddr> = target.parse().into_iter().collect();
    let refused = Policy::default().refusals(request, &plan, &estimate, caller, &addrs).into_iter().next();
    refused.map_or(Ok(()), Err)?;
    estimate.fits()?;
    Ok((plan, estimate))
}

#[async_trait]
impl Service for Fake {
    async fn launch(&self, request: RunRequest, caller: &Caller) -> Result<RunRecord, Fault> {
        let (plan, estimate) = estimated(&request, caller)?;
        let record = serde_json::json!({
            "schema": "loadkit.run/1", "id": serde_json::to_value(RUN).unwrap(), "request": request, "by": caller,
            "scenario": plan.scenario().unwrap_or(""), "target": plan.target().unwrap_or(""), "seed": "1",
            "home": estimate.home, "why": "it is fake", "workers": estimate.workers, "state": "running",
            "created_at_ms": 1, "start_at_ms": 2, "ends_at_ms": 3, "deadline_ms": 4,
        });
        let record: RunRecord = serde_json::from_value(record).unwrap();
        self.runs.lock().unwrap().push(record.clone());
        Ok(record)
    }

    async fn estimate(&self, request: RunRequest, caller: &Caller) -> Result<Estimate, Fault> {
        if self.slow {
            std::future::pending::<()>().await;
        }
        estimated(&request, caller).map(|(_, estimate)| estimate)
    }

    async fn list(&self, filter: &Filter) -> Result<RunList, Fault> {
        let runs = self.runs.lock().unwrap();
        let of = |record: &&RunRecord| filter.state.is_none_or(|state| record.state == state);
        let line = |record: &RunRecord| RunLine {
            id: record.id,
            created_at_ms: record.created_at_ms,
            scenario: record.scenario.clone(),
            target: record.target.clone(),
            build: String::new(),
            by: record.by.name.clone(),
            state: record.state,
            verdict: None,
        };
        Ok(RunList { runs: runs.iter().filter(of).take(filter.limit()).map(line).collect(), next: None })
    }

    async fn show(&self, run: RunId) -> Result<RunRecord, Fault> {
        let runs = self.runs.lock().unwrap();
        runs.iter().find(|record| record.id == run).cloned().ok_or(Fault::NoRun(run))
    }

    async fn stop(&self, run: RunId, caller: &Caller, now: bool) -> Result<RunRecord, Fault> {
        self.change(run, |record| {
            record.state = RunState::Ended;
            record.note(5, format!("stopped by {}, now: {now}", caller.name));
        })
    }

    async fn dial(&self, run: RunId, _: &Caller, dial: f64) -> Result<RunRecord, Fault> {
        self.change(run, |record| record.note(5, format!("dial {dial}")))
    }

    async fn files(&self, _: RunId) -> Result<Vec<FileEntry>, Fault> {
        Ok(vec![FileEntry { name: "report.html".into(), bytes: 4 }])
    }

    async fn file(&self, run: RunId, name: &str) -> Result<Vec<u8>, Fault> {
        self.show(run).await?;
        match name {
            "report.json" => Ok(b"{}".to_vec()),
            "report.html" | "charts/login.svg" => Ok(b"<p/>".to_vec()),
            "histograms.bin" => Ok(vec![0xff, 0xfe, 0]),
            "huge.bin" => Ok(vec![0; 5 << 20]),
            // In JSON each of them would take six bytes.
            "odd.txt" => Ok(vec![1; 2 << 20]),
            _ => Err(Fault::Missing(format!("the report has no file {name:?}"))),
        }
    }

    async fn events(&self, run: RunId, after: u64, _: Duration) -> Result<LivePage, Fault> {
        self.show(run).await?;
        let events = self.events.lock().unwrap();
        let events: Vec<LiveEvent> = events.iter().filter(|event| event.id > after).take(2).cloned().collect();
        let over = events.is_empty() || events.iter().any(|event| event.kind == LiveKind::Ended);
        Ok(LivePage { events, over })
    }

    async fn windows(&self, run: RunId, width: Duration, from: Duration, limit: usize) -> Result<Vec<Interval>, Fault> {
        self.show(run).await?;
        let windows = self.windows.lock().unwrap();
        let of = |window: &&Interval| {
            let wide = Duration::from_micros(window.to_us - window.from_us);
            wide == width && Duration::from_micros(window.from_us) >= from
        };
        let windows: Vec<Interval> = windows.iter().filter(of).take(limit).cloned().collect();
        self.read.fetch_add(windows.len(), Ordering::Relaxed);
        Ok(windows)
    }

    async fn leases(&self, _: &RunRecord) -> Result<Vec<Lease>, Fault> {
        Ok(self.leases.lock().unwrap().clone())
    }

    async fn standing(&self, run: RunId) -> Result<Standing, Fault> {
        self.show(run).await?;
        Ok(self.standing.lock().unwrap().clone())
    }

    async fn mark(&self, run: RunId, caller: &Caller, at_ms: Option<u64>, text: &str) -> Result<Marker, Fault> {
        self.show(run).await?;
        let marker = Marker { at_ms: at_ms.unwrap_or(7), text: text.into(), by: caller.name.clone() };
        self.standing.lock().unwrap().markers.push(marker.clone());
        Ok(marker)
    }

    async fn cost(&self, record: &RunRecord) -> Result<Dollars, Fault> {
        let caller = Caller::default();
        Ok(estimated(&record.request, &caller)?.1.dollars)
    }

    fn now_ms(&self) -> u64 {
        *self.now_ms.lock().unwrap()
    }

    async fn line(&self, run: RunId, token: &str) -> Result<Arc<dyn Line>, Fault> {
        if token != format!("of {run}") {
            return Err(Fault::Unauthorized(format!("this is not the token of run {run}'s workers")));
        }
        Ok(Arc::new(FakeLine))
    }
}

#[derive(Debug)]
struct FakeLine;

#[async_trait]
impl Line for FakeLine {
    async fn claim(&self, job: &Job, _: &WorkerStatus) -> Result<Claim, LineError> {
        let command = Command::starting(9);
        let order = Order {
            run: job.run,
            plan: String::new(),
            seed: "1".into(),
            workers: 2,
            shards: None,
            one_machine: false,
            client: String::new(),
            mixed_builds: false,
            terms: Terms::default(),
        };
        match job.worker {
            0 => Ok(Claim::Granted { order: Box::new(order), command, now_ms: 7 }),
            1 => Ok(Claim::Taken),
            _ => Err(LineError::Refused("there is no such worker".into())),
        }
    }

    async fn beat(&self, _: &Job, _: Phase, _: &WorkerStatus) -> Result<Beat, LineError> {
        Ok(Beat::Lost)
    }

    async fn report(&self, _: &Job, texts: &[String]) -> Result<usize, LineError> {
        Ok(texts.len())
    }

    async fn close(&self, _: &Job, _: &WorkerStatus, _: &WorkerEnd) -> Result<(), LineError> {
        Err(LineError::Away("the store is asleep".into()))
    }
}

/// A service without tokens.
pub(super) async fn open() -> (Router, Arc<Fake>) {
    let fake = Arc::new(Fake::new());
    (router(fake.clone(), Access::Open), fake)
}

/// Tokens, the first of which is an administrator's.
pub(super) async fn with_tokens() -> (Router, String) {
    let clock = Arc::new(VirtualClock::new(Duration::from_secs(1)));
    let tokens = Tokens::new(Arc::new(MemoryStore::new()), clock);
    let root = tokens.create("root", Role::Admin, &Caller::default()).await.unwrap().token;
    (router(Arc::new(Fake::new()), Access::Tokens(tokens)), root)
}

/// A principal, and one who may see to tokens.
pub(super) const ARN: Option<&str> = Some("arn:aws:sts::123456789012:assumed-role/ci-role/ci");
pub(super) const CHIEF: Option<&str> = Some("arn:aws:sts::123456789012:assumed-role/chiefs/ann");

/// API Gateway in front, and the tokens of browsers.
pub(super) async fn behind_gateway() -> (Access, Tokens) {
    let tokens = Tokens::new(Arc::new(MemoryStore::new()), Arc::new(VirtualClock::new(Duration::from_secs(1))));
    let administrators = Administrators::parse("arn:aws:sts::123456789012:assumed-role/chiefs/*").unwrap();
    (Access::Gateway(tokens.clone(), administrators), tokens)
}

/// The body of a launch that is fine.
pub(super) fn launch() -> String {
    let plan = "target = \"127.0.0.1:4000\"\nbots = 100\nduration = \"1m\"\n";
    serde_json::json!({ "plan": plan }).to_string()
}

pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: axum::http::HeaderMap,
    pub(super) text: String,
}

impl Answer {
    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {:?}", self.text))
    }

    /// What an error says; it has our shape.
    pub(super) fn error(&self) -> String {
        serde_json::from_str::<crate::api::ErrorBody>(&self.text)
            .unwrap_or_else(|error| panic!("{error}: {}", self.text))
            .error
    }
}

/// Asks, with headers of `name: value`.
pub(super) async fn ask(router: &Router, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut request = Request::builder().method(Method::from_bytes(method.as_bytes()).unwrap()).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    if !body.is_empty() && !headers.iter().any(|(name, _)| *name == "content-type") {
        request = request.header(header::CONTENT_TYPE, "application/json");
    }
    let request = request.body(Body::from(body.to_owned())).unwrap();
    let (parts, body) = router.clone().oneshot(request).await.unwrap().into_parts();
    let body = axum::body::to_bytes(body, 64 << 20).await.unwrap();
    Answer { status: parts.status, headers: parts.headers, text: String::from_utf8_lossy(&body).into_owned() }
}
