//! The engine: runs a plan's players on one thread a core, and hands on what they gather.

mod control;
mod dial;
mod follow;
mod host;
mod job;
mod life;
mod only;
mod panics;
mod shard;
mod slots;
mod spawner;
mod usage;
mod window;

use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use tokio::runtime::{Builder, LocalRuntime};
use tokio::sync::watch;
use tokio::time::Instant;

use control::Order;
pub use control::{Control, Stop};
pub use host::{Host, MachineUsage, Usage, Virtual};
pub use job::Job;
pub use only::Only;
pub(crate) use panics::contain;
pub(crate) use shard::Shard;
pub use window::Window;

use crate::bot::Scenario;
use crate::data::{DataError, Table};
use crate::failure::Error;
use crate::flight::Hangar;
use crate::metrics::{MetricSink, Snapshot, SnapshotKey, names};
use crate::plan::format_duration;
use crate::run::RunInfo;
use crate::segment::Segment;
use crate::weights::WeightsError;
use spawner::Spawner;
use usage::UsageMeter;

/// Snapshots under way from the shards to the collector, each shard counted. Beyond that a shard joins its intervals.
const SNAPSHOTS_UNDER_WAY: usize = 8;
/// Polls of tasks between two looks at the sockets and the timer. tokio's default of 61 lets a busy shard be late.
const EVENT_INTERVAL: u32 = 16;

/// How a run ended.
#[derive(Debug, Default)]
pub struct Ended {
    /// How far it had been asked to stop.
    pub asked: Stop,
    /// Snapshots that the sink did not take.
    pub snapshots_lost: u64,
    /// Shards whose thread died. Their figures up to their last snapshot are in.
    pub shards_lost: u32,
    /// What went wrong in the scenario's `teardown`.
    pub teardown: Option<Error>,
}

/// Why a run could not start. Nothing has been sent to the target, unless by the scenario's `setup`.
#[derive(Debug)]
pub enum RunError {
    /// An accounts or data file cannot be used: mend the file or the plan.
    Data(DataError),
    /// The plan's personas do not fit the scenario's.
    Personas(WeightsError),
    /// The scenario's own `setup` failed.
    Setup(Error),
    /// The plan has no such seat.
    Seat {
        /// The seat that was asked for.
        seat: u64,
        /// How many the plan has.
        seats: u64,
    },
    /// The job's window has no time in it: it must end later than it begins, and begin before the plan's end.
    Window(Window),
    /// The segment cannot be split into so many shards.
    Segment(crate::segment::SegmentError),
    /// The operating system gave no thread or no runtime.
    System(std::io::Error),
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunError::Data(error) => error.fmt(f),
            RunError::Personas(error) => error.fmt(f),
            RunError::Setup(error) => write!(f, "the scenario's setup failed: {error}"),
            RunError::Seat { seat, seats } => {
                write!(f, "the plan has no seat {seat}: its {seats} are numbered from 0")
            }
            RunError::Window(Window { from, until, .. }) => {
                let until = until.map_or("the end".to_owned(), format_duration);
                write!(f, "nothing can be played from {} to {until}: ", format_duration(*from))?;
                f.write_str("a window ends later than it begins, and begins before the plan's end")
            }
            RunError::Segment(error) => error.fmt(f),
            RunError::System(error) => write!(f, "the system gives no thread or runtime: {error}"),
        }
    }
}

impl std::error::Error for RunError {}

/// Runs a worker's part of a plan to its end, on threads of its own, and publishes every snapshot.
///
/// Blocks the calling thread, which hands the snapshots to `sink`. Stop it through `control`.
///
/// # Errors
/// Only before the start; see [`RunError`]. What goes wrong later is data.
pub fn run<S: Scenario>(
    scenario: &Arc<S>,
    job: &Job,
    host: &Arc<dyn Host>,
    control: &Control,
    sink: &mut dyn MetricSink,
) -> Result<Ended, RunError> {
    run_when(scenario, job, host, control, sink, &mut || Some(job.window))
}

/// The same, but the players come when `start` says so: a start that many workers have agreed on. It is called once, when the
/// scenario's `setup` is done, and may block for as long as it likes. It says which part of the run's time is played, in place
/// of the job's window; if none, nobody plays, and only the scenario's `teardown` is left.
///
/// # Errors
/// As [`run`].
pub fn run_when<S: Scenario>(
    scenario: &Arc<S>,
    job: &Job,
    host: &Arc<dyn Host>,
    control: &Control,
    sink: &mut dyn MetricSink,
    start: &mut dyn FnMut() -> Option<Window>,
) -> Result<Ended, RunError> {
    let run = Arc::new(prepare(&**scenario, job)?);
    let runtime = runtime().map_err(RunError::System)?;
    runtime.block_on(scenario.setup(&run)).map_err(RunError::Setup)?;
    let mut ended = Ended::default();
    let mut publish = |snapshot| {
        if runtime.block_on(sink.publish(&snapshot)).is_err() {
            ended.snapshots_lost += 1;
        }
    };
    let played = match start() {
        None => Ok(0),
        Some(window) if !window.is_of(run.plan().duration()) => Err(RunError::Window(window)),
        Some(window) => run_shards(scenario, &Job { window, ..job.clone() }, host, control, &run, &mut publish),
    };
    ended.teardown = runtime.block_on(scenario.teardown(&run)).err();
    ended.shards_lost = played?;
    ended.asked = control.asked();
    Ok(ended)
}

/// Checks all that can be checked before the start, and loads what the shards share.
fn prepare<S: Scenario>(scenario: &S, job: &Job) -> Result<RunInfo, RunError> {
    let plan = job.plan.clone();
    let seats = plan.shape().seats();
    if let Some(Only { seat, .. }) = job.only.filter(|only| !plan.has_seat(only.seat)) {
        return Err(RunError::Seat { seat, seats });
    }
    if !job.window.is_of(plan.duration()) {
        return Err(RunError::Window(job.window));
    }
    let load = |path: &std::path::Path, what: &str| -> Result<Arc<Table>, RunError> {
        let table = Table::load(path).map_err(RunError::Data)?;
        table.require(seats, what).map_err(RunError::Data)?;
        Ok(table)
    };
    let accounts = plan.accounts().map(|path| load(path, "accounts")).transpose()?;
    let data: Result<BTreeMap<_, _>, _> =
        plan.data().map(|(name, path)| Ok((name.to_owned(), load(path, name)?))).collect();
    let weights =
        scenario.personas().and_then(|own| own.with(plan.personas().collect())).map_err(RunError::Personas)?;
    let (id, target, seed) = (job.id, job.target.clone(), job.seed);
    Ok(RunInfo { id, target, seed, weights, accounts, data: data?, plan })
}

/// The runtime of the run itself, for set-up, sink and tear-down.
fn runtime() -> std::io::Result<LocalRuntime> {
    Builder::new_current_thread().enable_all().build_local(Default::default())
}

/// The runtime of a shard.
fn shard_runtime(is_virtual: bool) -> std::io::Result<LocalRuntime> {
    let mut builder = Builder::new_current_thread();
    builder.enable_all().event_interval(EVENT_INTERVAL).start_paused(is_virtual);
    builder.build_local(Default::default())
}

/// Runs the shards to their end; how many of them died.
fn run_shards<S: Scenario>(
    scenario: &Arc<S>,
    job: &Job,
    host: &Arc<dyn Host>,
    control: &Control,
    run: &Arc<RunInfo>,
    publish: &mut impl FnMut(Snapshot),
) -> Result<u32, RunError> {
    let shards = job.shards.max(1);
    let (sender, snapshots) = sync_channel(SNAPSHOTS_UNDER_WAY * shards as usize);
    let segments: Result<Vec<Segment>, _> =
        (0..shards).map(|shard| job.segment.split(u64::from(shards), u64::from(shard))).collect();
    let segments = segments.map_err(RunError::Segment)?;
    let begin = Instant::now();
    std::thread::scope(|threads| {
        let mut handles = Vec::new();
        let mut failed = None;
        for (shard, segment) in (0..).zip(segments) {
            let key = SnapshotKey { run: job.id, worker: job.worker, shard, attempt: job.attempt, seq: 0 };
            let (only, window) = (job.only, job.window);
            let watches_machine = job.watches_machine && shard == 0;
            let part = Part {
                key,
                segment,
                only,
                window,
                watches_machine,
                begin,
                host: host.clone(),
                snapshots: sender.clone(),
            };
            let (scenario, run, orders) = (scenario.clone(), run.clone(), control.subscribe());
            let body = move || part.play(scenario, run, orders);
            match std::thread::Builder::new().name(format!("shard-{shard}")).spawn_scoped(threads, body) {
                Ok(handle) => handles.push(handle),
                Err(error) => {
                    control.stop(Stop::Now);
                    failed = Some(RunError::System(error));
                    break;
                }
            }
        }
        drop(sender);
        drain_into(&snapshots, publish);
        if let Some(error) = failed {
            return Err(error);
        }
        let died = handles.into_iter().map(|handle| handle.join()).filter(|ended| !matches!(ended, Ok(Ok(())))).count();
        Ok(died as u32)
    })
}

fn drain_into(snapshots: &Receiver<Snapshot>, publish: &mut impl FnMut(Snapshot)) {
    while let Ok(snapshot) = snapshots.recv() {
        publish(snapshot);
    }
}

/// What a shard's thread is started with.
struct Part {
    key: SnapshotKey,
    segment: Segment,
    only: Option<Only>,
    window: Window,
    watches_machine: bool,
    begin: Instant,
    host: Arc<dyn Host>,
    snapshots: SyncSender<Snapshot>,
}

impl Part {
    fn play<S: Scenario>(
        self,
        scenario: Arc<S>,
        run: Arc<RunInfo>,
        orders: watch::Receiver<Order>,
    ) -> std::io::Result<()> {
        let is_virtual = self.host.is_virtual();
        let runtime = shard_runtime(is_virtual)?;
        let body = async move {
            let begin = if is_virtual { Instant::now() } else { self.begin };
            let hangar = Hangar::new(run.plan(), self.segment, self.only);
            let from = self.window.from;
            let Some(start) = begin.checked_sub(from) else {
                return Err(std::io::Error::other("the system's clock cannot say when the run began"));
            };
            let shard = Rc::new(Shard::new(run, (start, from), self.key, hangar));
            let timer = self.host.timer();
            if !timer.is_sharp() && !is_virtual {
                shard.count(names::COARSE_TIMERS, 1);
            }
            tokio::task::spawn_local(shard.timers.clone().drive(timer));
            scenario.shard(&shard.run);
            let spawner = Spawner::new(scenario, shard.clone(), self.segment, self.only, self.window);
            let mut outlet = Outlet { snapshots: self.snapshots.clone(), waits: is_virtual, held: None };
            tokio::select! {
                // An order, so that runs in virtual time repeat: what is due at the end of an interval is in the next.
                biased;
                () = self.cut_every_interval(&shard, &mut outlet) => {}
                () = spawner.run(orders) => {}
            }
            outlet.last(shard.cut(shard.elapsed()));
            Ok(())
        };
        // As a task it takes its turn behind the bots that it has spawned; the future of `block_on` would go first.
        let ended = runtime.block_on(async { tokio::task::spawn_local(body).await });
        // Ends all that still runs; nothing is sent after this.
        drop(runtime);
        ended.map_err(std::io::Error::other)?
    }

    /// Cuts a snapshot at every end of an interval. Never ends.
    async fn cut_every_interval(&self, shard: &Rc<Shard>, outlet: &mut Outlet) {
        let interval = shard.run.plan().interval();
        let mut usage = UsageMeter::new(&*self.host, self.key.shard == 0, self.watches_machine);
        let before = self.window.from.as_nanos() / interval.as_nanos().max(1);
        for n in u32::try_from(before).unwrap_or(u32::MAX - 1) + 1.. {
            let at = interval.saturating_mul(n);
            shard.timers.sleep_until(shard.start + at).await;
            usage.record(shard);
            if self.key.shard == 0 {
                shard.record_dial();
            }
            if outlet.has_room() {
                outlet.send(shard.cut(at));
            } else {
                shard.count(names::SNAPSHOTS_DEFERRED, 1);
            }
        }
    }
}

/// The way of a shard's snapshots to the collector. A shard that plays never waits for it.
struct Outlet {
    snapshots: SyncSender<Snapshot>,
    /// In virtual time it may wait, so that every interval comes through.
    waits: bool,
    held: Option<Snapshot>,
}

impl Outlet {
    /// Whether a snapshot sent now will be on its way, or be held here, without pushing out another.
    fn has_room(&mut self) -> bool {
        if let Some(held) = self.held.take() {
            self.send(held);
        }
        self.held.is_none()
    }

    fn send(&mut self, snapshot: Snapshot) {
        if self.waits {
            return self.last(snapshot);
        }
        if let Err(TrySendError::Full(snapshot)) = self.snapshots.try_send(snapshot) {
            self.held = Some(snapshot);
        }
    }

    /// Sends what is held and then this, waiting for room. The collector outlives the shards, so an error cannot be.
    fn last(&mut self, snapshot: Snapshot) {
        for snapshot in self.held.take().into_iter().chain([snapshot]) {
            let _ = self.snapshots.send(snapshot);
        }
    }
}
