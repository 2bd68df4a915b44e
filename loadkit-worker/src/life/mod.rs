//! `claim -> check -> set up -> wait -> play -> flush -> close`: a worker's life, wherever it runs.
//!
//! **Whatever happens, a worker that had a lease says how it ended, and one that is not heard stops.** The fleet may tell it
//! to stop, its home may give notice, its lease may be lost or go stale, its client may not fit or may panic: each leads
//! through the flush to the close, and each step is bounded in time.

mod backoff;
mod claim;
mod client;
mod engine;
mod heart;
mod home;
mod keep;
mod log;
mod outcome;
mod part;
mod play;
mod post;
#[cfg(test)]
mod tests;
mod wait;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use loadkit_core::Control;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, timeout_at};

pub use client::Client;
pub use home::{Home, Notice};
pub use log::Log;
pub use outcome::{Ending, Outcome};

use crate::clock::Clock;
use crate::job::Job;
use crate::lease::{Phase, WorkerEnd, WorkerStatus};
use crate::line::Line;
use backoff::Backoff;
use claim::Granted;
use engine::Engine;
use heart::{Heart, Said};
use part::Part;
use post::{Post, Sent};
use wait::Waited;

/// Before a home's deadline everything is to be sent by this much.
const RESERVE: Duration = Duration::from_secs(10);
/// The last figures, and the close, get so long each.
const FLUSH: Duration = Duration::from_secs(15);
/// An engine that was set up for nothing gets so long to end.
const CALLED_OFF: Duration = Duration::from_secs(10);
/// Of a home that is about to end the process, so much is left for the close.
const CLOSE: Duration = Duration::from_secs(2);

/// All that a worker is made of.
#[derive(Clone)]
pub struct Worker {
    /// The scenarios and the engine.
    pub client: Arc<dyn Client>,
    /// Who it is.
    pub job: Job,
    /// The way to its fleet.
    pub line: Arc<dyn Line>,
    /// Its machine's clock, which may be wrong.
    pub clock: Arc<dyn Clock>,
    /// Where it lives.
    pub home: Home,
    /// Where it says what happens.
    pub log: Log,
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Job { run, worker, attempt, .. } = &self.job;
        write!(f, "Worker({run}, {worker}, {attempt})")
    }
}

/// Lives a worker's life, on this thread and those of the engine.
pub fn live(worker: &Worker) -> Outcome {
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(lead(worker)),
        Err(error) => Outcome::without_lease(Ending::Unclaimed, format!("the system gives no runtime: {error}")),
    }
}

/// The same for callers who have a runtime.
pub async fn lead(worker: &Worker) -> Outcome {
    worker.log.say(Some(&worker.job), "start", worker.home.kind());
    let status = WorkerStatus { preparing: true, ..first_status(worker) };
    let outcome = match claim::claim(worker, &status).await {
        Ok(granted) => lead_on(worker, granted, status).await,
        Err(outcome) => outcome,
    };
    let words = serde_json::to_string(&outcome).unwrap_or_default();
    worker.log.say(Some(&worker.job), if outcome.is_well() { "end" } else { "error" }, &words);
    outcome
}

/// Claims the lease only to say in words why it cannot be played here.
pub async fn decline(worker: &Worker, why: String) -> Outcome {
    let status = first_status(worker);
    let outcome = match claim::claim(worker, &status).await {
        Ok(Granted { order, word }) => {
            let said = Said::new(status);
            let every = Duration::from_millis(order.terms.lease_ms.max(1));
            close(worker, Heart::start(worker, &said, word, every, every), &said, failed(why)).await
        }
        Err(outcome) => outcome,
    };
    worker.log.say(Some(&worker.job), "error", &outcome.words);
    outcome
}

fn first_status(worker: &Worker) -> WorkerStatus {
    WorkerStatus {
        home: worker.home.kind().to_owned(),
        name: worker.home.name().to_owned(),
        descriptors: worker.client.descriptors(),
        cores: cores(),
        client: worker.client.id(),
        stamp: worker.client.stamp(),
        ..WorkerStatus::default()
    }
}

/// From the lease to its end.
async fn lead_on(worker: &Worker, granted: Granted, status: WorkerStatus) -> Outcome {
    let Granted { order, word } = granted;
    worker.log.say(Some(&worker.job), "claim", "");
    let terms = order.terms;
    let plan = loadkit_core::Plan::parse(&order.plan, "the order");
    let scenario = plan.map(|plan| worker.client.scenario(&plan)).unwrap_or_default();
    let said = Said::new(WorkerStatus { clock_ahead_ms: word.ahead_ms, scenario, ..status });
    let (every, lease) = (Duration::from_millis(terms.beat_ms.max(1)), Duration::from_millis(terms.lease_ms));
    let mut heart = Heart::start(worker, &said, word, every, lease);
    let part = match Part::of(worker, &order) {
        Ok(part) => part,
        Err(why) => return close(worker, heart, &said, failed(why)).await,
    };
    let (sender, snapshots) = mpsc::channel(post::UNDER_WAY);
    let control = Control::new();
    let mut engine = match Engine::start(worker.client.clone(), part.job(worker), control.clone(), sender) {
        Ok(engine) => engine,
        Err(error) => return close(worker, heart, &said, failed(format!("the system gives no thread: {error}"))).await,
    };
    let waited = wait::wait(worker, &mut heart, &said, &part, &terms, &mut engine).await;
    let Waited::Begin(begin) = waited else {
        let stuck = engine.call_off(called_off(*worker.home.notice().borrow())).await;
        let outcome = match waited {
            Waited::Lost(why) => lost(why, WorkerEnd::default()),
            Waited::Failed(why) => close(worker, heart, &said, failed(why)).await,
            Waited::Over | Waited::Begin(_) => close(worker, heart, &said, ended(Ending::Over)).await,
        };
        return Outcome { stuck, ..outcome };
    };
    let late_ms = u64::try_from(begin.late.as_millis()).unwrap_or(u64::MAX);
    said.change(|phase, status| (*phase, status.late_ms) = (Phase::Playing, late_ms));
    worker.log.say(Some(&worker.job), "begin", &format!("{late_ms} ms late, at {:?} of the run", begin.from));

    let (last_call, last_calls) = watch::channel(None);
    let report_every = Duration::from_millis(terms.report_ms.max(1));
    let post = Post::start(worker, &said, report_every, snapshots, last_calls);
    let mut over = play::play(worker, &mut heart, &said, &part, &begin, (engine, control), lease, &last_call).await;
    said.change(|phase, _| *phase = Phase::Draining);
    // A post that panics has lost what it had; nobody knows how much that was.
    let Sent { parcels, parcels_lost, snapshots_lost } = post.await.unwrap_or_default();
    over.end =
        WorkerEnd { parcels, parcels_lost, snapshots_lost: over.end.snapshots_lost + snapshots_lost, ..over.end };
    match over.lost.take() {
        Some(why) => Outcome { stuck: over.stuck, ..lost(why, over.end) },
        None => {
            let outcome = if over.end.error.is_some() { Ending::Failed } else { Ending::Played };
            let words = over.end.error.clone().unwrap_or_default();
            let outcome = Outcome { outcome, words, end: Some(over.end), closed: false, stuck: over.stuck };
            close(worker, heart, &said, outcome).await
        }
    }
}

/// Tells the fleet how it ended, as long as there is time.
async fn close(worker: &Worker, heart: Heart, said: &Said, outcome: Outcome) -> Outcome {
    drop(heart);
    said.change(|_, status| (status.active, status.planned) = (0, 0));
    let (_, status) = said.now();
    let end = outcome.end.clone().unwrap_or_default();
    let notice = *worker.home.notice().borrow();
    let until = Instant::now() + FLUSH;
    let until = notice.gone_by.map_or(until, |gone| gone.min(until));
    let mut backoff = Backoff::default();
    loop {
        match timeout_at(until, worker.line.close(&worker.job, &status, &end)).await {
            Ok(Ok(())) => return Outcome { closed: true, ..outcome },
            Ok(Err(error)) => {
                let pause = backoff.next();
                if Instant::now() + pause >= until || !matches!(error, crate::LineError::Away(_)) {
                    worker.log.say(Some(&worker.job), "away", &error.to_string());
                    return outcome;
                }
                sleep(pause).await;
            }
            Err(_) => return outcome,
        }
    }
}

fn ended(outcome: Ending) -> Outcome {
    Outcome { end: Some(WorkerEnd::default()), ..Outcome::without_lease(outcome, "") }
}

fn failed(why: String) -> Outcome {
    let end = WorkerEnd { error: Some(why.clone()), ..WorkerEnd::default() };
    Outcome { end: Some(end), ..Outcome::without_lease(Ending::Failed, why) }
}

/// The lease is another's: there is nobody to tell.
fn lost(why: String, end: WorkerEnd) -> Outcome {
    Outcome { end: Some(end), ..Outcome::without_lease(Ending::Lost, why) }
}

/// When players have to be asked to leave, so that all of them are gone and all figures sent in time.
fn leave_at(notice: Notice, grace: Duration) -> Option<Instant> {
    if notice.leave {
        return Some(Instant::now());
    }
    let gone_by = notice.gone_by?;
    Some(gone_by.checked_sub(RESERVE + grace).unwrap_or(gone_by))
}

/// How long an engine may take to end that was set up for nothing.
fn called_off(notice: Notice) -> Duration {
    let left = notice.gone_by.map(|gone| gone.saturating_duration_since(Instant::now()).saturating_sub(CLOSE * 2));
    left.map_or(CALLED_OFF, |left| left.min(CALLED_OFF))
}

fn cores() -> u32 {
    std::thread::available_parallelism().map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(u32::MAX))
}
