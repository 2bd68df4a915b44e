//! A fleet in virtual time: the real launch, keeper, leases, collector and collation; the workers' players are made up.
//!
//! Everything that can go wrong between the parts goes wrong on demand ([`Fault`], [`Trouble`], [`Weather`]), and what the
//! workers have sent is known, so that what comes out can be held against it.

mod game;
mod queue;
mod store;
mod style;
mod worker;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use loadkit::core::{Collector, Plan, RunId, Snapshot, SnapshotKey, StepDelta};
use loadkit_fleet::{
    Caller, Fleet, Home, Kept, Launcher, Quotas, RunRecord, RunRequest, Settings, Silent, Unguarded, WorkerLine, keep,
};
use loadkit_worker::{Clock, Job, Order, Store, VirtualClock, get_json, keys};

pub use game::Game;
pub use queue::{Queue, Trouble};
pub use store::{Metered, Moving, Weather};
pub use style::Style;
pub use worker::Fault;

/// A day in the life of the simulation begins here, ms since 1970.
const EPOCH: Duration = Duration::from_secs(1_800_000_000);

/// What happens to which attempt.
pub type Script = BTreeMap<(u32, u32), Fault>;

/// What workers have sent, to hold the fleet's figures against.
#[derive(Debug, Default)]
pub struct Ledger(Mutex<BTreeMap<(u32, u32), Vec<Snapshot>>>);

impl Ledger {
    fn add(&self, key: (u32, u32), snapshots: Vec<Snapshot>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default().extend(snapshots);
    }

    /// Of one attempt.
    pub fn of(&self, worker: u32, attempt: u32) -> Vec<Snapshot> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(&(worker, attempt)).cloned().unwrap_or_default()
    }

    /// All of it together, in the order of its time.
    pub fn collected(&self, interval: Duration) -> Collector {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut snapshots: Vec<&Snapshot> = all.values().flatten().collect();
        snapshots.sort_by_key(|snapshot| (snapshot.to_us, snapshot.key));
        let mut collector = Collector::new(interval);
        for snapshot in snapshots {
            collector.apply(snapshot);
        }
        collector
    }
}

/// A fleet whose workers are made up.
#[derive(Debug)]
pub struct World {
    /// The fleet.
    pub fleet: Fleet,
    /// Its store, which counts what it is asked for.
    pub store: Arc<Metered<Moving>>,
    /// Its queue.
    pub queue: Arc<Queue>,
    /// What its workers sent.
    pub ledger: Arc<Ledger>,
    /// How many workers were started.
    pub started: Arc<AtomicU32>,
    /// Its time.
    pub clock: VirtualClock,
    settings: Settings,
    pub(crate) launcher: Arc<SimLauncher>,
}

/// Starts made-up workers.
#[derive(Debug)]
pub struct SimLauncher {
    home: Home,
    store: Arc<Metered<Moving>>,
    queue: Arc<Queue>,
    ledger: Arc<Ledger>,
    clock: VirtualClock,
    script: Script,
    style: Style,
    started: Arc<AtomicU32>,
    /// Starts of attempts that were refused.
    refused: Mutex<BTreeMap<(u32, u32), u32>>,
    /// Refuses everybody from the so-many-th start on, as a launcher does that dies half way.
    pub(crate) dies_after: AtomicU32,
    pub(crate) is_dead: AtomicBool,
}

impl SimLauncher {
    /// Why the cloud does not start it this time, if so.
    fn refuses(&self, job: &Job, fault: Fault) -> Option<String> {
        let (times, why) = match fault {
            Fault::Refused(why) => (u32::MAX, why),
            Fault::RefusedAtFirst(times, why) => (times, why),
            _ => return None,
        };
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let so_far = refused.entry((job.worker, job.attempt)).or_default();
        *so_far += 1;
        (*so_far <= times).then(|| why.to_owned())
    }
}

#[async_trait]
impl Launcher for SimLauncher {
    fn home(&self) -> Home {
        self.home
    }

    async fn start(&self, jobs: &[Job]) -> Vec<Result<String, String>> {
        let mut answers = Vec::new();
        for job in jobs {
            if self.started.load(Ordering::Relaxed) >= self.dies_after.load(Ordering::Relaxed) {
                self.is_dead.store(true, Ordering::Relaxed);
                // It never comes back: whoever called it is to be taken for dead.
                std::future::pending::<()>().await;
            }
            let fault = self.script.get(&(job.worker, job.attempt)).copied().unwrap_or_default();
            if let Some(why) = self.refuses(job, fault) {
                answers.push(Err(why));
                continue;
            }
            let nth = self.started.fetch_add(1, Ordering::Relaxed);
            let mut order = get_json::<Order>(&*self.store, &keys::order(job.run)).await;
            while order.is_err() {
                // The store may be asked for too much: who is said to be started is.
                order = get_json(&*self.store, &keys::order(job.run)).await;
            }
            if let Ok(Some((order, _))) = order {
                let times = if matches!(fault, Fault::Twice) { 2 } else { 1 };
                for _ in 0..times {
                    let life = worker::Life {
                        job: job.clone(),
                        order: order.clone(),
                        fault,
                        style: self.style.clone(),
                        store: self.store.clone(),
                        queue: self.queue.clone(),
                        ledger: self.ledger.clone(),
                        clock: self.clock,
                    };
                    tokio::spawn(life.live());
                }
            }
            answers.push(Ok(format!("sim-{nth}")));
        }
        answers
    }

    async fn quotas(&self) -> Result<Quotas, String> {
        Ok(Quotas::default())
    }

    async fn end(&self, _: &str) -> Result<(), String> {
        Ok(())
    }
}

/// How a world is made.
#[derive(Debug)]
pub struct Making {
    /// Where the workers seem to run.
    pub home: Home,
    /// What happens to them.
    pub script: Script,
    /// How they play.
    pub style: Style,
    /// When it begins, since 1970.
    pub epoch: Duration,
    /// What the queue does to messages.
    pub trouble: Trouble,
    /// What the store does to whoever asks.
    pub weather: Weather,
    /// Changes of the settings.
    pub settings: fn(&mut Settings),
}

impl Default for Making {
    fn default() -> Making {
        Making {
            home: Home::Local,
            script: Script::new(),
            style: Style::default(),
            epoch: EPOCH,
            trouble: Trouble::default(),
            weather: Weather::default(),
            settings: |_| {},
        }
    }
}

fn fleet(store: Arc<dyn Store>, launcher: Arc<SimLauncher>, clock: Arc<dyn Clock>, settings: Settings) -> Fleet {
    Fleet::new(store, [launcher as Arc<dyn Launcher>], Arc::new(Silent), Arc::new(Unguarded), clock, settings)
}

impl World {
    /// The same fleet by another clock, and with other settings.
    pub fn again(&self, clock: Arc<dyn Clock>, change: impl FnOnce(&mut Settings)) -> Fleet {
        let mut settings = self.settings.clone();
        change(&mut settings);
        fleet(self.store.clone(), self.launcher.clone(), clock, settings)
    }

    /// Makes a world; in tokio's virtual time, and within its runtime.
    pub fn new(making: Making) -> World {
        let clock = VirtualClock::new(making.epoch);
        let store = Arc::new(Metered::new(Moving::default(), making.weather));
        let queue = Arc::new(Queue::new(making.trouble));
        let ledger = Arc::new(Ledger::default());
        let started = Arc::new(AtomicU32::new(0));
        let launcher = Arc::new(SimLauncher {
            home: making.home,
            store: store.clone(),
            queue: queue.clone(),
            ledger: ledger.clone(),
            clock,
            script: making.script,
            style: making.style,
            started: started.clone(),
            refused: Mutex::default(),
            dies_after: AtomicU32::new(u32::MAX),
            is_dead: AtomicBool::new(false),
        });
        let line = WorkerLine::Aws { table: "t".into(), queue: "q".into() };
        let mut settings = if making.home == Home::Local { Settings::near(line) } else { Settings::new(line) };
        (making.settings)(&mut settings);
        let fleet = fleet(store.clone(), launcher.clone(), Arc::new(clock), settings.clone());
        let world = World { fleet, store, queue, ledger, started, settings, clock, launcher };
        tokio::spawn(queue::collecting(world.queue.clone(), world.store.clone(), Arc::new(clock) as Arc<dyn Clock>));
        world
    }

    /// Launches this plan.
    pub async fn launch(&self, request: RunRequest) -> RunId {
        let launched = self.fleet.launch(request, Caller { name: "a test".into() }).await;
        launched.map(|record| record.id).unwrap_or(RunId(0))
    }

    /// Launches a plan and keeps it to its end.
    pub async fn play(&self, request: RunRequest) -> RunRecord {
        let run = self.launch(request).await;
        self.keep(run).await
    }

    /// Keeps a run to its end.
    pub async fn keep(&self, run: RunId) -> RunRecord {
        loop {
            match keep(&self.fleet, run, Duration::from_secs(1_000_000)).await {
                Ok(Kept::Ended(record)) => return *record,
                Ok(_) => tokio::time::sleep(Duration::from_secs(5)).await,
                Err(error) => {
                    eprintln!("the keeper failed: {error}");
                    tokio::time::sleep(Duration::from_secs(5)).await;
                }
            }
        }
    }

    /// A keeper that dies when the launcher has started so many.
    pub async fn keep_until_launcher_dies(&self, run: RunId, after: u32) {
        self.launcher.dies_after.store(after, Ordering::Relaxed);
        let fleet = self.fleet.clone();
        let task = tokio::spawn(async move { keep(&fleet, run, Duration::from_secs(1_000_000)).await.is_ok() });
        while !self.launcher.is_dead.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        task.abort();
        self.launcher.dies_after.store(u32::MAX, Ordering::Relaxed);
    }
}

/// A plan of so many players for so long.
pub fn plan(players: u64, duration: Duration) -> String {
    let plan = Plan::builder().bots(players).duration(duration).target("127.0.0.1:4000").grace(Duration::from_secs(5));
    plan.build().map(|plan| plan.to_toml()).unwrap_or_default()
}

/// A second of a busy worker with so many metrics: a hundred values each, over two decades.
pub fn busy_snapshot(run: RunId, worker: u32, seq: u64, metrics: usize) -> Snapshot {
    let key = SnapshotKey { run, worker, shard: 0, attempt: 0, seq };
    let mut snapshot = Snapshot::empty(key, seq * 1_000_000, (seq + 1) * 1_000_000);
    for metric in 0..metrics as u64 {
        let of = |i: u64| 80 + (i * i * 37 + seq * 101 + metric * 13 + u64::from(worker)) % 8_000;
        let response = worker::delta((0..100).map(of));
        let step = StepDelta { service: response.clone(), response, ..StepDelta::default() };
        snapshot.steps.push((format!("step-{metric}"), step));
    }
    snapshot
}
