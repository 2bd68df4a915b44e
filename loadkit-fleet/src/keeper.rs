//! `run -> ended run`: looks after one run from its launch to its verdict.
//!
//! **A run has one keeper at a time, and any keeper can take up where another stopped.** What a keeper knows it reads from the
//! store: the leases say who plays, the parcels say what they saw. A pass, every second or two:
//!
//! ```text
//! renew own lease -> read the workers' leases -> start who is missing, give up who is silent -> put off the start if need be
//!   -> collate -> abort if a threshold says so -> end the run when everything is in, or at its deadline
//! ```
//!
//! A worker's silence is measured by the keeper's own clock, from when its lease last changed: whose clock is wrong is not
//! taken for dead.

mod assemble;
mod attempts;
mod failed;
mod finish;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use loadkit_core::{Plan, RunId, format};
use loadkit_worker::{Command, Expect, Order, StopWord, StoreError, get_json, keys, put_json};
use rand::Rng as _;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::collate::Collation;
use crate::crew::{CREW, Crew};
use crate::error::FleetError;
use crate::fleet::{Fleet, ms};
use crate::record::{RunRecord, RunState};
use crate::staff::Staffing;
use attempts::Attempt;
pub use finish::report_file;

/// The keeper's own lease on its run.
const KEEPER: &str = "keeper";
/// A keeper that was silent for so long is replaced, ms.
const KEEPER_LEASE_MS: u64 = 20_000;
/// After so many passes that failed one after the other, a keeper gives up; another may fare better.
const MAX_FAILED_PASSES: u32 = 30;

/// How it went with a run.
#[derive(Clone, Debug, PartialEq)]
pub enum Kept {
    /// It has ended.
    Ended(Box<RunRecord>),
    /// Another keeper looks after it.
    NotMine,
    /// The time was over: it needs a keeper again.
    OutOfTime,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Keep {
    owner: u64,
    until_ms: u64,
}

/// Looks after a run until it has ended, for at most so long.
///
/// # Errors
/// If the store fails for many passes.
pub async fn keep(fleet: &Fleet, run: RunId, most: Duration) -> Result<Kept, FleetError> {
    let until = Instant::now() + most;
    let mut keep = match Lock::take(fleet, run).await? {
        Some(lock) => lock,
        None => return Ok(Kept::NotMine),
    };
    let mut keeper = match Keeper::begin(fleet, run).await? {
        Ok(keeper) => keeper,
        Err(ended) => return Ok(Kept::Ended(ended)),
    };
    let mut failed = 0;
    loop {
        if !keep.renew(fleet).await.unwrap_or(true) {
            return Ok(Kept::NotMine);
        }
        match keeper.pass().await {
            Ok(Some(record)) => return Ok(Kept::Ended(Box::new(record))),
            Ok(None) => failed = 0,
            Err(error) if failed >= MAX_FAILED_PASSES => return Err(error),
            Err(error) => {
                failed += 1;
                keeper.notes.insert(format!("looking after the run failed: {error}"));
            }
        }
        if Instant::now() >= until {
            keeper.collation.put_aside(&*fleet.store, fleet.clock.now_ms()).await?;
            keep.give_back(fleet).await?;
            return Ok(Kept::OutOfTime);
        }
        tokio::time::sleep(fleet.settings.pass).await;
    }
}

/// Looks after all runs of a fleet that have not ended, for as long as it is polled: what a service on one machine does.
pub async fn keep_all(fleet: Fleet) {
    let mut tasks: BTreeMap<RunId, tokio::task::JoinHandle<()>> = BTreeMap::new();
    loop {
        tasks.retain(|_, task| !task.is_finished());
        for run in fleet.unended(1_000).await.unwrap_or_default() {
            tasks.entry(run).or_insert_with(|| {
                let fleet = fleet.clone();
                tokio::spawn(async move {
                    let _ = keep(&fleet, run, Duration::MAX / 4).await;
                })
            });
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// The keeper's lease.
struct Lock {
    run: RunId,
    owner: u64,
    version: u64,
}

impl Lock {
    async fn take(fleet: &Fleet, run: RunId) -> Result<Option<Lock>, FleetError> {
        let key = keys::of_run(run, KEEPER);
        let now_ms = fleet.clock.now_ms();
        let expect = match get_json::<Keep>(&*fleet.store, &key).await? {
            None => Expect::Absent,
            Some((held, _)) if held.until_ms > now_ms => return Ok(None),
            Some((_, version)) => Expect::Version(version),
        };
        let owner = rand::rng().next_u64();
        let keep = Keep { owner, until_ms: now_ms + KEEPER_LEASE_MS };
        match put_json(&*fleet.store, key, &keep, expect).await {
            Ok(version) => Ok(Some(Lock { run, owner, version })),
            Err(StoreError::Conflict(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether it is still ours.
    async fn renew(&mut self, fleet: &Fleet) -> Result<bool, FleetError> {
        self.put(fleet, fleet.clock.now_ms() + KEEPER_LEASE_MS).await
    }

    async fn give_back(&mut self, fleet: &Fleet) -> Result<bool, FleetError> {
        self.put(fleet, 0).await
    }

    async fn put(&mut self, fleet: &Fleet, until_ms: u64) -> Result<bool, FleetError> {
        let keep = Keep { owner: self.owner, until_ms };
        let key = keys::of_run(self.run, KEEPER);
        match put_json(&*fleet.store, key, &keep, Expect::Version(self.version)).await {
            Ok(version) => {
                self.version = version;
                Ok(true)
            }
            // An answer that was lost on its way: what is there may be our own.
            Err(StoreError::Conflict(Some(item))) => {
                let there = serde_json::from_slice::<Keep>(&item.body).ok();
                self.version = item.version;
                Ok(there.is_some_and(|there| there.owner == self.owner))
            }
            Err(StoreError::Conflict(None)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// What a keeper knows of its run.
pub(crate) struct Keeper<'a> {
    fleet: &'a Fleet,
    run: RunId,
    plan: Plan,
    order: Order,
    staffing: Staffing,
    record: RunRecord,
    command: Command,
    collation: Collation,
    attempts: BTreeMap<(u32, u32), Attempt>,
    /// Said once a pass, each sentence once.
    notes: BTreeSet<String>,
    noted: BTreeSet<String>,
    /// What was written last of how many workers are where.
    told_crew: Option<Crew>,
    /// How many failures and flights were written last.
    told_failures: failed::Told,
    /// Since when nothing but figures is waited for, ms since 1970.
    done_since_ms: Option<u64>,
    /// Since when the run is to stop.
    stopping_since_ms: Option<u64>,
    /// A threshold has ended it.
    aborted: bool,
    /// When the collation was put aside last, ms since 1970.
    put_aside_ms: u64,
}

impl<'a> Keeper<'a> {
    /// Reads all there is to know. `Err` if the run has ended.
    async fn begin(fleet: &'a Fleet, run: RunId) -> Result<Result<Keeper<'a>, Box<RunRecord>>, FleetError> {
        let record = fleet.show(run).await?;
        if record.state == RunState::Ended {
            return Ok(Err(Box::new(record)));
        }
        let command = fleet.command(run).await?;
        let order = get_json::<Order>(&*fleet.store, &keys::order(run)).await?;
        let (order, _) = order.ok_or(FleetError::UnknownRun(run))?;
        let (_, staffing) = fleet.prepare(&record.request)?;
        let plan = Plan::parse(&order.plan, "the plan").map_err(FleetError::Plan)?;
        let collation = Collation::take_up(&*fleet.store, run, order.workers, &plan, command.start_at_ms).await?;
        Ok(Ok(Keeper {
            fleet,
            run,
            plan,
            order,
            staffing,
            record,
            command,
            collation,
            attempts: BTreeMap::new(),
            notes: BTreeSet::new(),
            noted: BTreeSet::new(),
            told_crew: None,
            told_failures: failed::Told::default(),
            done_since_ms: None,
            stopping_since_ms: None,
            aborted: false,
            put_aside_ms: fleet.clock.now_ms(),
        }))
    }

    /// Does what is due. The record, once the run has ended.
    async fn pass(&mut self) -> Result<Option<RunRecord>, FleetError> {
        self.command = self.fleet.command(self.run).await?;
        self.read_leases().await?;
        self.tell_build().await?;
        let now_ms = self.fleet.clock.now_ms();
        if self.command.stop > StopWord::No {
            self.stopping_since_ms.get_or_insert(now_ms);
        }
        if !self.has_started(now_ms) || self.nobody_came() {
            if let Some(why) = self.assemble(now_ms).await? {
                return self.fail(why).await.map(Some);
            }
        } else if self.record.state == RunState::Assembling {
            self.begin_playing(now_ms).await?;
        }
        if self.stopping_since_ms.is_none() {
            self.staff(now_ms).await?;
        }
        self.collation.pass(&*self.fleet.store, self.run_ms(now_ms), now_ms).await?;
        self.take_faults();
        let checkpoint_ms = ms(self.fleet.settings.checkpoint);
        if self.has_started(now_ms) && now_ms.saturating_sub(self.put_aside_ms) >= checkpoint_ms {
            self.put_aside_ms = now_ms;
            self.collation.put_aside(&*self.fleet.store, now_ms).await?;
        }
        if let Some(why) = self.collation.judge().aborted().filter(|_| !self.aborted).map(str::to_owned) {
            self.aborted = true;
            self.notes.insert(why);
            self.fleet.stop(self.run, StopWord::Drain, "a threshold with `else abort`").await?;
        }
        self.write_notes(now_ms).await?;
        self.tell_crew().await?;
        self.tell_failures().await?;
        self.end_if_done(now_ms).await
    }

    /// Writes how many workers are where, if that has changed.
    async fn tell_crew(&mut self) -> Result<(), FleetError> {
        let crew = self.crew();
        if self.told_crew != Some(crew) {
            put_json(&*self.fleet.store, keys::of_run(self.run, CREW), &crew, Expect::Any).await?;
            self.told_crew = Some(crew);
        }
        Ok(())
    }

    /// How far the run has come, ms.
    fn run_ms(&self, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.command.start_at_ms)
    }

    fn has_started(&self, now_ms: u64) -> bool {
        now_ms >= self.command.start_at_ms
    }

    /// A time of the run, as people write it.
    fn clock_of(&self, now_ms: u64) -> String {
        format::clock(Duration::from_millis(self.run_ms(now_ms)))
    }

    /// The plan's load and its players' leaving, ms.
    fn whole_ms(&self) -> u64 {
        ms(self.plan.duration() + self.plan.grace())
    }

    async fn begin_playing(&mut self, now_ms: u64) -> Result<(), FleetError> {
        let start_at_ms = self.command.start_at_ms;
        self.collation.starts_at(start_at_ms);
        let (duration, whole) = (ms(self.plan.duration()), self.whole_ms());
        let tail = ms(self.fleet.settings.tail) * 2 + self.order.terms.lease_ms;
        let came = self.came();
        let workers = self.order.workers;
        let note = format!("started with {came} of {workers} workers");
        self.record = self
            .fleet
            .change(self.run, |record| {
                record.state = RunState::Running;
                record.start_at_ms = start_at_ms;
                record.ends_at_ms = start_at_ms + duration;
                record.deadline_ms = start_at_ms + whole + tail;
                record.note(now_ms, note.as_str());
            })
            .await?;
        self.fleet.list_run(&self.record).await
    }

    fn take_faults(&mut self) {
        let (faults, left_out) = self.collation.take_faults();
        self.notes.extend(faults);
        if left_out > 0 {
            self.notes.insert(format!("{left_out} more parcels could not be read"));
        }
    }

    /// Writes into the record what is new.
    async fn write_notes(&mut self, now_ms: u64) -> Result<(), FleetError> {
        let new: Vec<String> =
            std::mem::take(&mut self.notes).into_iter().filter(|n| !self.noted.contains(n)).collect();
        if new.is_empty() {
            return Ok(());
        }
        self.record = self
            .fleet
            .change(self.run, |record| new.iter().for_each(|note| record.note(now_ms, note.as_str())))
            .await?;
        self.noted.extend(new);
        Ok(())
    }
}
