//! Who plays a segment: one attempt at a time holds its lease, and shows in it that it lives.

use loadkit_core::Stamp;
use serde::{Deserialize, Serialize};

use crate::job::Job;

/// The names of what lies where in the store.
pub mod keys {
    use loadkit_core::RunId;

    use crate::parcel::Parcel;
    use crate::store::Key;

    /// Workers whose leases and parcels share a partition. 64 workers that beat every two seconds and send 4 KB in as much
    /// need some 160 of a partition's 1,000 write units a second.
    const WORKERS_A_PART: u32 = 64;

    fn run_part(run: RunId) -> String {
        format!("run/{run}")
    }

    /// What is to be played: an [`Order`](crate::Order), written once.
    pub fn order(run: RunId) -> Key {
        Key::new(run_part(run), "order")
    }

    /// The fleet's latest word: a [`Command`](crate::Command).
    pub fn command(run: RunId) -> Key {
        Key::new(run_part(run), "command")
    }

    /// The run's record, which is the fleet's own.
    pub fn record(run: RunId) -> Key {
        Key::new(run_part(run), "record")
    }

    /// Anything else that belongs to the run as a whole.
    pub fn of_run(run: RunId, name: &str) -> Key {
        Key::new(run_part(run), name)
    }

    /// How many partitions the workers of a run have.
    pub fn parts(workers: u32) -> u32 {
        workers.div_ceil(WORKERS_A_PART)
    }

    /// The workers of a partition.
    pub fn workers_of(part: u32) -> std::ops::Range<u32> {
        part.saturating_mul(WORKERS_A_PART)..part.saturating_add(1).saturating_mul(WORKERS_A_PART)
    }

    /// The partition of leases, by its number.
    pub fn lease_part(run: RunId, part: u32) -> String {
        format!("lease/{run}/{part:04}")
    }

    /// An attempt's lease.
    pub fn lease(run: RunId, worker: u32, attempt: u32) -> Key {
        Key::new(lease_part(run, worker / WORKERS_A_PART), format!("{worker:08}/{attempt:04}"))
    }

    /// The build that the run is played by: a [`Stamp`](loadkit_core::Stamp), written once. Workers may write where leases are
    /// and nowhere else; here nobody looks for leases.
    pub fn stamp(run: RunId) -> Key {
        Key::new(format!("lease/{run}/build"), "stamp")
    }

    /// The partition of parcels, by its number.
    pub fn parcel_part(run: RunId, part: u32) -> String {
        format!("parcel/{run}/{part:04}")
    }

    /// The prefix of all parcels of a slot.
    pub fn slot(slot: u32) -> String {
        format!("{slot:08}/")
    }

    /// A piece of a parcel.
    pub fn parcel(parcel: &Parcel) -> Key {
        let Parcel { run, worker, attempt, number, slot, piece, pieces, .. } = parcel;
        let sort = format!("{slot:08}/{worker:08}/{attempt:04}/{number:08}/{piece:02}of{pieces:02}");
        Key::new(parcel_part(*run, worker / WORKERS_A_PART), sort)
    }
}

/// How far an attempt has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// It waits for the common start.
    Waiting,
    /// Its players play.
    Playing,
    /// They have been asked to leave, or hand over.
    Draining,
    /// It has sent everything and ended.
    Ended,
    /// The fleet has given it up: it was not heard of for too long, and its segment is free.
    Lost,
    /// It was started and never came: the fleet does not wait for it any more.
    Absent,
}

/// What a worker says of itself, whenever it renews its lease.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct WorkerStatus {
    /// Where it runs: `lambda`, `fargate`, `process`, …
    pub home: String,
    /// Its name there, which no other process ever has: a request id, a machine and a process id, each with a random number.
    #[serde(default)]
    pub name: String,
    /// Its scenario's set-up is not done yet: the fleet does not begin without it, as long as there is time.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub preparing: bool,
    /// Players at work.
    #[serde(default)]
    pub active: u64,
    /// Players that the plan asks of it.
    #[serde(default)]
    pub planned: u64,
    /// Parcels sent so far.
    #[serde(default)]
    pub parcels: u32,
    /// By how much its clock was ahead of the fleet's, ms; it has corrected for it.
    #[serde(default)]
    pub clock_ahead_ms: i64,
    /// How late it began against the common start, ms.
    #[serde(default)]
    pub late_ms: u64,
    /// Descriptors that it may open.
    #[serde(default)]
    pub descriptors: u64,
    /// CPU cores that it may use.
    #[serde(default)]
    pub cores: u32,
    /// The client that it is: its name and version.
    #[serde(default)]
    pub client: String,
    /// The scenario that the client plays for this plan.
    #[serde(default)]
    pub scenario: String,
    /// Which build the client is. Workers of one run have the same [`Stamp::id`], unless its request allows others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stamp: Option<Stamp>,
}

/// How an attempt ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct WorkerEnd {
    /// Parcels packed in all: when so many have arrived, nothing is under way any more.
    pub parcels: u32,
    /// Of those, parcels that could not be sent.
    #[serde(default)]
    pub parcels_lost: u32,
    /// Snapshots that never came into a parcel.
    #[serde(default)]
    pub snapshots_lost: u64,
    /// Shards that died.
    #[serde(default)]
    pub shards_lost: u32,
    /// What went wrong in the scenario's `teardown`.
    #[serde(default)]
    pub teardown: Option<String>,
    /// Why it could not play at all, in words.
    #[serde(default)]
    pub error: Option<String>,
    /// That is because another build plays the run, which came first.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub refused: bool,
    /// It handed its players over to the next attempt.
    #[serde(default)]
    pub handed_over: bool,
    /// Why it ended before its time though nobody asked the run to stop, in words: its home ended it, or it could not reach
    /// the fleet for the length of a lease. The rest of its segment is free.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut_short: Option<String>,
}

/// An attempt's lease, as it lies in the store.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lease {
    /// The worker.
    pub worker: u32,
    /// Its attempt.
    pub attempt: u32,
    /// The time of the run at which it begins, ms.
    #[serde(default)]
    pub from_ms: u64,
    /// The time of the run at which it hands over, ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<u64>,
    /// How far it has come.
    pub phase: Phase,
    /// When it was claimed, ms since 1970 by the clock of who wrote it.
    pub claimed_at_ms: u64,
    /// When it was last renewed.
    pub beat_at_ms: u64,
    /// What the worker said of itself then.
    pub status: WorkerStatus,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<WorkerEnd>,
}

impl Lease {
    /// The lease of a job's attempt, not begun.
    pub fn new(job: &Job, phase: Phase, status: WorkerStatus, now_ms: u64) -> Lease {
        Lease {
            worker: job.worker,
            attempt: job.attempt,
            from_ms: job.from_ms,
            until_ms: job.until_ms,
            phase,
            claimed_at_ms: now_ms,
            beat_at_ms: now_ms,
            status,
            end: None,
        }
    }
}
