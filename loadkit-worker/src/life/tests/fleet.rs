//! A fleet in memory whose line can be cut, and a client with a small scenario.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use loadkit_core as core;
use loadkit_core::{
    Bot, Collector, Control, Cx, Ended, Host, Hz, Kind, MetricSink, Plan, Result as Played, RunError, RunId, RunInfo,
    Scenario, Seat, Segment, Target, Window,
};

use super::gate::Gate;
use crate::life::{Client, Home, Log, Notice, Worker};
use crate::{
    Address, Beat, Claim, Command, Expect, Job, Lease, Line, LineError, MemoryStore, Order, Outbox, Parcel, Phase,
    StopWord, StoreLine, Terms, VirtualClock, WorkerEnd, WorkerStatus, get_json, keys, put_json,
};

pub(super) const RUN: RunId = RunId(7);
/// The run starts so long after the test does.
pub(super) const START: Duration = Duration::from_secs(10);
const EPOCH: Duration = Duration::from_secs(1_700_000_000);

/// Walkers: each counts its ticks until it is asked to leave.
pub(super) struct Stroll {
    setup: Box<dyn Fn() -> Played + Send + Sync>,
}

pub(super) struct Walker;

impl Scenario for Stroll {
    type Bot = Walker;

    fn bot(&self, _: Seat) -> Walker {
        Walker
    }

    async fn setup(&self, _: &RunInfo) -> Played {
        (self.setup)()
    }
}

impl Bot for Walker {
    async fn run(&mut self, cx: &Cx) -> Played {
        let mut ticks = cx.ticks(Hz(2.0));
        while ticks.next().await.is_some() {
            cx.count("steps walked", 1);
        }
        Ok(())
    }
}

/// What is played, in place of the scenario.
type Instead = dyn Fn(&core::Job, &Control, &mut dyn MetricSink) -> Result<Ended, RunError> + Send + Sync;

pub(super) struct Walk {
    scenario: Arc<Stroll>,
    gate: Gate,
    cannot: Option<String>,
    instead: Option<Box<Instead>>,
}

impl Client for Walk {
    fn id(&self) -> String {
        "walk 1.2".into()
    }

    fn build(&self) -> Option<String> {
        Some("abc123".into())
    }

    fn descriptors(&self) -> u64 {
        1_000
    }

    fn prepare(&self, _: &Plan, _: Segment) -> Result<Target, String> {
        self.cannot.clone().map_or_else(|| Ok(Target::new("mem:walk", Vec::new())), Err)
    }

    fn play(
        &self,
        job: &core::Job,
        control: &Control,
        sink: &mut dyn MetricSink,
        start: &mut dyn FnMut() -> Option<Window>,
    ) -> Result<Ended, RunError> {
        if let Some(instead) = &self.instead {
            return start().map_or_else(|| Ok(Ended::default()), |_| instead(job, control, sink));
        }
        let host: Arc<dyn Host> = Arc::new(self.gate.clone());
        core::run_when(&self.scenario, job, &host, control, sink, &mut || {
            start().inspect(|_| self.gate.expect(job.shards as usize))
        })
    }
}

/// A line that can be away, and whose queue can.
#[derive(Debug)]
pub(super) struct Wire {
    line: StoreLine,
    pub(super) away: AtomicBool,
    pub(super) queue_away: AtomicBool,
    /// The next claim reaches the fleet, and its answer is lost.
    pub(super) mute: AtomicBool,
}

impl Wire {
    fn there(&self) -> Result<(), LineError> {
        if self.away.load(Ordering::SeqCst) { Err(LineError::Away("the wire is cut".into())) } else { Ok(()) }
    }
}

#[async_trait]
impl Line for Wire {
    async fn claim(&self, job: &Job, status: &WorkerStatus) -> Result<Claim, LineError> {
        self.there()?;
        let answer = self.line.claim(job, status).await;
        if self.mute.swap(false, Ordering::SeqCst) {
            return Err(LineError::Away("the answer was lost".into()));
        }
        answer
    }

    async fn beat(&self, job: &Job, phase: Phase, status: &WorkerStatus) -> Result<Beat, LineError> {
        self.there()?;
        self.line.beat(job, phase, status).await
    }

    async fn report(&self, job: &Job, texts: &[String]) -> Result<usize, LineError> {
        self.there()?;
        if self.queue_away.load(Ordering::SeqCst) {
            return Err(LineError::Away("the queue is away".into()));
        }
        self.line.report(job, texts).await
    }

    async fn close(&self, job: &Job, status: &WorkerStatus, end: &WorkerEnd) -> Result<(), LineError> {
        self.there()?;
        self.line.close(job, status, end).await
    }
}

/// A queue that keeps everything.
#[derive(Debug, Default)]
struct Kept(Mutex<Vec<String>>);

#[async_trait]
impl Outbox for Kept {
    async fn send(&self, texts: &[String]) -> Result<usize, LineError> {
        // Never all at once: the rest has to be sent again.
        let taken = texts.len().min(2);
        self.0.lock().unwrap().extend(texts.iter().take(taken).cloned());
        Ok(taken)
    }
}

pub(super) struct Fleet {
    pub(super) store: Arc<MemoryStore>,
    kept: Arc<Kept>,
    clock: VirtualClock,
    pub(super) wire: Arc<Wire>,
    gate: Gate,
    keeping: tokio::task::JoinHandle<()>,
}

/// The plan that most lives play.
pub(super) fn plan() -> Plan {
    let plan = Plan::builder().bots(8).duration(Duration::from_secs(60)).grace(Duration::from_secs(5));
    plan.build().unwrap()
}

impl Fleet {
    /// With a run of this plan, of two workers, that starts in [`START`].
    pub(super) async fn new(plan: &Plan) -> Fleet {
        let clock = VirtualClock::new(EPOCH);
        let (store, kept) = (Arc::new(MemoryStore::new()), Arc::new(Kept::default()));
        let line = StoreLine::new(store.clone(), kept.clone(), Arc::new(clock));
        let [away, queue_away, mute] = [false; 3].map(AtomicBool::new);
        let wire = Arc::new(Wire { line, away, queue_away, mute });
        let order = Order {
            run: RUN,
            plan: plan.to_toml(),
            seed: "5".into(),
            workers: 2,
            shards: Some(1),
            one_machine: false,
            client: "walk 1.2".into(),
            mixed_builds: false,
            terms: Terms::default(),
        };
        let gate = Gate::default();
        let keeping = tokio::spawn(gate.clone().keep());
        let fleet = Fleet { store, kept, clock, wire, gate, keeping };
        fleet.order(&order).await;
        fleet.command(Command::starting(fleet.start_ms())).await;
        fleet
    }

    pub(super) fn start_ms(&self) -> u64 {
        (EPOCH + START).as_millis() as u64
    }

    pub(super) async fn order(&self, order: &Order) {
        put_json(&*self.store, keys::order(RUN), order, Expect::Any).await.unwrap();
    }

    pub(super) async fn change_order(&self, change: impl FnOnce(&mut Order)) {
        let (mut order, _) = get_json::<Order>(&*self.store, &keys::order(RUN)).await.unwrap().unwrap();
        change(&mut order);
        self.order(&order).await;
    }

    pub(super) async fn command(&self, command: Command) {
        put_json(&*self.store, keys::command(RUN), &command, Expect::Any).await.unwrap();
    }

    pub(super) async fn stop(&self, stop: StopWord) {
        self.command(Command { stop, ..Command::starting(self.start_ms()) }).await;
    }

    pub(super) async fn lease(&self, job: &Job) -> Lease {
        get_json(&*self.store, &keys::lease(RUN, job.worker, job.attempt)).await.unwrap().unwrap().0
    }

    /// Gives the worker's lease up, as the fleet does with those that are silent.
    pub(super) async fn give_up(&self, job: &Job) {
        let key = keys::lease(RUN, job.worker, job.attempt);
        let lease = Lease { phase: Phase::Lost, ..self.lease(job).await };
        put_json(&*self.store, key, &lease, Expect::Any).await.unwrap();
    }

    pub(super) fn job() -> Job {
        Job::new(RUN, 1, Address::Http { url: String::new(), token: String::new() })
    }

    pub(super) fn walk(&self) -> Walk {
        let scenario = Arc::new(Stroll { setup: Box::new(|| Ok(())) });
        Walk { scenario, gate: self.gate.clone(), cannot: None, instead: None }
    }

    pub(super) fn walk_with(&self, setup: impl Fn() -> Played + Send + Sync + 'static) -> Walk {
        Walk { scenario: Arc::new(Stroll { setup: Box::new(setup) }), ..self.walk() }
    }

    pub(super) fn walk_unfit(&self, why: &str) -> Walk {
        Walk { cannot: Some(why.into()), ..self.walk() }
    }

    pub(super) fn walk_instead(
        &self,
        play: impl Fn(&core::Job, &Control, &mut dyn MetricSink) -> Result<Ended, RunError> + Send + Sync + 'static,
    ) -> Walk {
        Walk { instead: Some(Box::new(play)), ..self.walk() }
    }

    pub(super) fn worker(&self) -> Worker {
        self.worker_of(self.walk())
    }

    /// A worker whose clock is three seconds fast.
    pub(super) fn worker_of(&self, client: Walk) -> Worker {
        let client = Arc::new(client);
        Worker {
            client: client.clone(),
            job: Fleet::job(),
            line: self.wire.clone(),
            clock: Arc::new(self.clock.fast_by(Duration::from_secs(3))),
            home: Home::new("test", format!("here/{:p}", Arc::as_ptr(&client))),
            log: Log::silent(),
        }
    }

    /// All figures that have arrived.
    pub(super) fn figures(&self) -> (Collector, u32) {
        let texts = self.kept.0.lock().unwrap();
        let mut collector = Collector::new(Duration::from_secs(1));
        let mut pieces: std::collections::BTreeMap<u32, Vec<u8>> = std::collections::BTreeMap::new();
        for text in texts.iter() {
            let parcel = Parcel::parse(text).unwrap();
            pieces.entry(parcel.number).or_default().extend(parcel.bytes);
        }
        let parcels = pieces.len() as u32;
        for bytes in pieces.values() {
            for snapshot in Parcel::open(bytes).unwrap() {
                collector.apply(&snapshot);
            }
        }
        (collector, parcels)
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.keeping.abort();
    }
}

/// The worker's home gives notice.
pub(super) fn noticed(worker: Worker) -> (Worker, tokio::sync::watch::Sender<Notice>) {
    let (sender, receiver) = tokio::sync::watch::channel(Notice::default());
    (Worker { home: worker.home.clone().with_notice(receiver), ..worker }, sender)
}

pub(super) fn no() -> Played {
    Err(core::Failure::new(Kind::REFUSED, "the lobby is closed").into())
}
