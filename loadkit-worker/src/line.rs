//! What a worker and its fleet say to each other.
//!
//! ```text
//! claim -> (beat | report)* -> close
//! ```

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::build;
use crate::clock::Clock;
use crate::command::Command;
use crate::job::Job;
use crate::lease::{Lease, Phase, WorkerEnd, WorkerStatus, keys};
use crate::order::Order;
use crate::store::{Expect, Item, Store, StoreError, get_json, put_json};

/// What becomes of a claim.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(tag = "claim", rename_all = "lowercase")]
pub enum Claim {
    /// The lease is the worker's.
    Granted {
        /// What to play.
        order: Box<Order>,
        /// The latest word.
        command: Command,
        /// The fleet's time, ms since 1970.
        now_ms: u64,
    },
    /// Another process has this attempt's lease: this one was started twice, and ends.
    Taken,
    /// The run has ended or is stopping: there is nothing to do.
    Over,
}

/// What a beat brings back.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(tag = "beat", rename_all = "lowercase")]
pub enum Beat {
    /// The lease holds; this is the latest word.
    Held {
        /// The latest word.
        command: Command,
        /// The fleet's time, ms since 1970.
        now_ms: u64,
    },
    /// The fleet has given the segment to another: stop at once.
    Lost,
}

/// Why a line did not carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LineError {
    /// There is no such run.
    UnknownRun,
    /// The job does not fit the run: its number, its attempt, the build of its client.
    Refused(String),
    /// It cannot be reached, or not now: try again.
    Away(String),
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LineError::UnknownRun => f.write_str("the fleet knows no such run"),
            LineError::Refused(why) => write!(f, "the fleet refuses the job: {why}"),
            LineError::Away(why) => write!(f, "the fleet cannot be reached: {why}"),
        }
    }
}

impl std::error::Error for LineError {}

impl From<StoreError> for LineError {
    fn from(error: StoreError) -> LineError {
        LineError::Away(error.to_string())
    }
}

/// The way between a worker and its fleet.
#[async_trait]
pub trait Line: Send + Sync + fmt::Debug {
    /// Claims the lease of the job's attempt.
    ///
    /// # Errors
    /// See [`LineError`].
    async fn claim(&self, job: &Job, status: &WorkerStatus) -> Result<Claim, LineError>;

    /// Renews it, and hears the latest word.
    ///
    /// # Errors
    /// See [`LineError`].
    async fn beat(&self, job: &Job, phase: Phase, status: &WorkerStatus) -> Result<Beat, LineError>;

    /// Sends parcels, as texts. Those from the returned number on were not taken: send them again.
    ///
    /// # Errors
    /// If none was taken.
    async fn report(&self, job: &Job, texts: &[String]) -> Result<usize, LineError>;

    /// Gives the lease back: everything has been sent.
    ///
    /// # Errors
    /// See [`LineError`].
    async fn close(&self, job: &Job, status: &WorkerStatus, end: &WorkerEnd) -> Result<(), LineError>;
}

/// Where parcels go: a queue that delivers at least once, in any order.
#[async_trait]
pub trait Outbox: Send + Sync + fmt::Debug {
    /// Sends texts; how many of the first of them were taken.
    ///
    /// # Errors
    /// If none was.
    async fn send(&self, texts: &[String]) -> Result<usize, LineError>;
}

/// A line over a store and a queue.
#[derive(Clone, Debug)]
pub struct StoreLine {
    store: Arc<dyn Store>,
    outbox: Arc<dyn Outbox>,
    clock: Arc<dyn Clock>,
}

impl StoreLine {
    /// Over this store and queue. The clock is the fleet's: of the store, or of this machine.
    pub fn new(store: Arc<dyn Store>, outbox: Arc<dyn Outbox>, clock: Arc<dyn Clock>) -> StoreLine {
        StoreLine { store, outbox, clock }
    }

    async fn command(&self, job: &Job) -> Result<Command, LineError> {
        let command = get_json::<Command>(&*self.store, &keys::command(job.run)).await?;
        command.map(|(command, _)| command).ok_or(LineError::UnknownRun)
    }

    /// Leaves word for the fleet that this attempt does not play, and why: as a lease that has ended.
    async fn refuse(&self, job: &Job, status: &WorkerStatus, why: String, now_ms: u64) -> Result<Claim, LineError> {
        let end = WorkerEnd { error: Some(why.clone()), refused: true, ..WorkerEnd::default() };
        let lease = Lease { end: Some(end), ..Lease::new(job, Phase::Ended, status.clone(), now_ms) };
        match put_json(&*self.store, keys::lease(job.run, job.worker, job.attempt), &lease, Expect::Absent).await {
            // Where there is one already, the attempt is another's, or this has been said.
            Ok(_) | Err(StoreError::Conflict(_)) => Err(LineError::Refused(why)),
            Err(error) => Err(error.into()),
        }
    }

    /// Changes the lease as long as it is the worker's. None if it is not any more.
    async fn renew(&self, job: &Job, change: impl Fn(&mut Lease) + Send + Sync) -> Result<Option<()>, LineError> {
        let key = keys::lease(job.run, job.worker, job.attempt);
        // Only the worker and the fleet that gives it up write here: a conflict is seen on the second look.
        for _ in 0..3 {
            let Some((mut lease, version)) = get_json::<Lease>(&*self.store, &key).await? else { return Ok(None) };
            if lease.phase >= Phase::Ended {
                return Ok(None);
            }
            change(&mut lease);
            lease.beat_at_ms = self.clock.now_ms();
            match put_json(&*self.store, key.clone(), &lease, Expect::Version(version)).await {
                Ok(_) => return Ok(Some(())),
                Err(StoreError::Conflict(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(LineError::Away("the lease changes faster than it can be renewed".into()))
    }
}

/// Whether this is the lease that the same worker has claimed before: no other has its name.
fn is_own(item: &Item, status: &WorkerStatus) -> bool {
    serde_json::from_slice::<Lease>(&item.body).is_ok_and(|lease| {
        let same = (&lease.status.home, &lease.status.name) == (&status.home, &status.name);
        same && !status.name.is_empty() && lease.phase == Phase::Waiting
    })
}

#[async_trait]
impl Line for StoreLine {
    async fn claim(&self, job: &Job, status: &WorkerStatus) -> Result<Claim, LineError> {
        let order = get_json::<Order>(&*self.store, &keys::order(job.run)).await?;
        let Some((order, _)) = order else { return Err(LineError::UnknownRun) };
        if job.worker >= order.workers {
            let why = format!("worker {} of a run that has {}, numbered from 0", job.worker, order.workers);
            return Err(LineError::Refused(why));
        }
        let command = self.command(job).await?;
        if command.over || command.stop > crate::StopWord::No {
            return Ok(Claim::Over);
        }
        let now_ms = self.clock.now_ms();
        if let Some(why) = build::refusal(&*self.store, &order, status).await? {
            return self.refuse(job, status, why, now_ms).await;
        }
        let lease = Lease::new(job, Phase::Waiting, status.clone(), now_ms);
        let key = keys::lease(job.run, job.worker, job.attempt);
        match put_json(&*self.store, key, &lease, Expect::Absent).await {
            Ok(_) => Ok(Claim::Granted { order: Box::new(order), command, now_ms }),
            // An answer that was lost is given again to whom it was for.
            Err(StoreError::Conflict(Some(item))) if is_own(&item, status) => {
                Ok(Claim::Granted { order: Box::new(order), command, now_ms })
            }
            Err(StoreError::Conflict(_)) => Ok(Claim::Taken),
            Err(error) => Err(error.into()),
        }
    }

    async fn beat(&self, job: &Job, phase: Phase, status: &WorkerStatus) -> Result<Beat, LineError> {
        let held = self.renew(job, |lease| {
            lease.phase = phase;
            lease.status = status.clone();
        });
        match held.await? {
            Some(()) => Ok(Beat::Held { command: self.command(job).await?, now_ms: self.clock.now_ms() }),
            None => Ok(Beat::Lost),
        }
    }

    async fn report(&self, _: &Job, texts: &[String]) -> Result<usize, LineError> {
        self.outbox.send(texts).await
    }

    async fn close(&self, job: &Job, status: &WorkerStatus, end: &WorkerEnd) -> Result<(), LineError> {
        // If the lease was lost, its end has been written already, by the fleet.
        self.renew(job, |lease| {
            lease.phase = Phase::Ended;
            lease.status = status.clone();
            lease.end = Some(end.clone());
        })
        .await
        .map(|_| ())
    }
}
