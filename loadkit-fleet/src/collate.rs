//! `parcels in the store -> Judge`: one writer a run at a time reads what the collector has stored, and adds each parcel once.
//!
//! **What is in the store is enough to begin anew**: a collator that dies is replaced by one that reads the run's parcels
//! again, from the last checkpoint on if there is one, and comes to the same figures.
//!
//! Parcels lie by slots of ten seconds of the run. A pass reads the slots that may still grow; when a run ends, those that
//! are missing are looked for in all.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use loadkit_core::{Judge, Plan, RunId, Snapshot, SnapshotKey};
use loadkit_worker::{Item, Parcel, Store, StoreError, blob, keys};
use serde::{Deserialize, Serialize};

use crate::rollup::Rollups;

/// Where a collation is put aside.
const CHECKPOINT: &str = "collation";

/// A slot may still grow for so long after its end: workers that are behind, and queues that are slow.
const OPEN_SLOTS: u32 = 4;
/// A slot, µs.
const SLOT_US: u64 = 10_000_000;
/// Items read at a time.
const PAGE: usize = 500;
/// Parcels that were bad inside, of which the first are told.
const MAX_FAULTS: usize = 20;

/// Which parcels of an attempt have been added.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Arrived {
    numbers: BTreeSet<u32>,
    /// All below have.
    next: u32,
    /// The end of the latest interval that it told of, µs of the run.
    pub(crate) to_us: u64,
}

impl Arrived {
    fn add(&mut self, number: u32) {
        if number >= self.next {
            self.numbers.insert(number);
        }
        while self.numbers.remove(&self.next) {
            self.next += 1;
        }
    }

    fn has(&self, number: u32) -> bool {
        number < self.next || self.numbers.contains(&number)
    }

    /// How many.
    pub(crate) fn count(&self) -> u64 {
        u64::from(self.next) + self.numbers.len() as u64
    }
}

/// A collation that is put aside.
#[derive(Debug, Serialize, Deserialize)]
struct Checkpoint {
    judge: Vec<u8>,
    arrived: Vec<((u32, u32), Arrived)>,
    first_slot: u32,
    start_at_ms: u64,
}

/// The figures of a run as far as they have been put together.
#[derive(Debug)]
pub(crate) struct Collation {
    run: RunId,
    parts: u32,
    judge: Judge,
    rollups: Rollups,
    arrived: BTreeMap<(u32, u32), Arrived>,
    /// Items of open slots that have been looked at.
    seen: HashSet<String>,
    /// Parcels of which some pieces are still missing.
    pieces: BTreeMap<(u32, u32, u32), BTreeMap<u32, Vec<u8>>>,
    /// The earliest slot that may still grow.
    first_slot: u32,
    start_at_ms: u64,
    faults: Vec<String>,
    faults_left_out: u64,
}

impl Collation {
    pub(crate) fn new(run: RunId, workers: u32, plan: &Plan, start_at_ms: u64) -> Collation {
        Collation {
            run,
            parts: keys::parts(workers),
            judge: Judge::new(plan.thresholds(), plan.interval()),
            rollups: Rollups::new(run, start_at_ms, 0),
            arrived: BTreeMap::new(),
            seen: HashSet::new(),
            pieces: BTreeMap::new(),
            first_slot: 0,
            start_at_ms,
            faults: Vec::new(),
            faults_left_out: 0,
        }
    }

    /// The collation that was put aside last, or a new one; with the fault of one that could not be taken up.
    pub(crate) async fn take_up(
        store: &dyn Store,
        run: RunId,
        workers: u32,
        plan: &Plan,
        start_at_ms: u64,
    ) -> Result<Collation, StoreError> {
        let mut new = Collation::new(run, workers, plan, start_at_ms);
        let Some(bytes) = blob::get(store, &keys::of_run(run, CHECKPOINT)).await? else { return Ok(new) };
        let restored = rmp_serde::from_slice::<Checkpoint>(&bytes).map_err(|error| error.to_string());
        let restored = restored.and_then(|kept| {
            let judge = Judge::restore(plan.thresholds(), plan.interval(), &kept.judge);
            Ok((judge.map_err(|error| error.to_string())?, kept))
        });
        match restored {
            Ok((judge, kept)) if kept.start_at_ms == start_at_ms => {
                new.judge = judge;
                new.arrived = kept.arrived.into_iter().collect();
                new.first_slot = kept.first_slot;
                new.roll_up_again(store).await?;
            }
            // It is put together anew, from all parcels.
            Ok(_) => {}
            Err(why) => new.fault(format!("the collation that was put aside cannot be taken up, and is begun anew: {why}")),
        }
        Ok(new)
    }

    /// The run starts then after all.
    pub(crate) fn starts_at(&mut self, start_at_ms: u64) {
        self.start_at_ms = start_at_ms;
        self.rollups.begins_at(start_at_ms);
    }

    /// Puts the collation aside, for whoever takes it up.
    pub(crate) async fn put_aside(&self, store: &dyn Store) -> Result<(), StoreError> {
        let checkpoint = Checkpoint {
            judge: self.judge.save(),
            arrived: self.arrived.iter().map(|(key, arrived)| (*key, arrived.clone())).collect(),
            first_slot: self.first_slot,
            start_at_ms: self.start_at_ms,
        };
        let key = keys::of_run(self.run, CHECKPOINT);
        let bytes = rmp_serde::to_vec_named(&checkpoint)
            .map_err(|error| StoreError::Malformed { key: key.clone(), why: error.to_string() })?;
        blob::put(store, &key, &bytes, None).await
    }

    /// Makes the rollups of the open slots again from what had arrived: those before are written for good.
    async fn roll_up_again(&mut self, store: &dyn Store) -> Result<(), StoreError> {
        self.rollups = Rollups::new(self.run, self.start_at_ms, u64::from(self.first_slot) * SLOT_US);
        let mut pieces: BTreeMap<(u32, u32, u32), BTreeMap<u32, Vec<u8>>> = BTreeMap::new();
        for part in 0..self.parts {
            let part = keys::parcel_part(self.run, part);
            let mut after = Some(keys::slot(self.first_slot));
            while let Some(from) = after {
                let page = store.list(&part, "", Some(&from), PAGE).await?;
                for item in page.items {
                    let Some(place) = Place::read(&item.key.sort) else { continue };
                    let Place { worker, attempt, number, piece, pieces: of } = place;
                    if !self.arrived.get(&(worker, attempt)).is_some_and(|arrived| arrived.has(number)) {
                        continue;
                    }
                    self.seen.insert(item.key.sort);
                    let held = pieces.entry((worker, attempt, number)).or_default();
                    held.insert(piece, item.body);
                    if held.len() == of as usize {
                        let held = pieces.remove(&(worker, attempt, number)).into_iter().flatten();
                        let bytes: Vec<u8> = held.flat_map(|(_, bytes)| bytes).collect();
                        let snapshots = Parcel::open(&bytes).unwrap_or_default();
                        snapshots.iter().for_each(|snapshot: &Snapshot| self.rollups.add(snapshot));
                    }
                }
                after = page.more;
            }
        }
        Ok(())
    }

    pub(crate) fn judge(&self) -> &Judge {
        &self.judge
    }

    /// What has come of an attempt.
    pub(crate) fn arrived(&self, worker: u32, attempt: u32) -> Option<&Arrived> {
        self.arrived.get(&(worker, attempt))
    }

    /// Takes what was wrong inside parcels since it was last asked.
    pub(crate) fn take_faults(&mut self) -> (Vec<String>, u64) {
        (std::mem::take(&mut self.faults), std::mem::take(&mut self.faults_left_out))
    }

    /// Adds what has come since the last pass; how many parcels. `run_ms` is how far the run has come.
    pub(crate) async fn pass(&mut self, store: &dyn Store, run_ms: u64, now_ms: u64) -> Result<u64, StoreError> {
        let now_slot = u32::try_from(run_ms.saturating_mul(1_000) / SLOT_US).unwrap_or(u32::MAX);
        let mut added = 0;
        let first = keys::slot(self.first_slot);
        for part in 0..self.parts {
            added += self.read_behind(store, part, Some(first.clone())).await?;
        }
        self.rollups.write(store, now_ms).await?;
        let open_from = now_slot.saturating_sub(OPEN_SLOTS);
        if open_from > self.first_slot {
            self.first_slot = open_from;
            // Keys begin with their slot.
            self.seen.retain(|sort| sort.as_str() >= keys::slot(open_from).as_str());
        }
        Ok(added)
    }

    /// Looks for what is missing in all slots.
    pub(crate) async fn sweep(&mut self, store: &dyn Store, now_ms: u64) -> Result<u64, StoreError> {
        let mut added = 0;
        for part in 0..self.parts {
            added += self.read_behind(store, part, None).await?;
        }
        self.rollups.write(store, now_ms).await?;
        Ok(added)
    }

    /// Reads a partition behind this sort key.
    async fn read_behind(&mut self, store: &dyn Store, part: u32, after: Option<String>) -> Result<u64, StoreError> {
        let part = keys::parcel_part(self.run, part);
        let (mut after, mut added): (Option<String>, u64) = (after, 0);
        loop {
            let page = store.list(&part, "", after.as_deref(), PAGE).await?;
            for item in page.items {
                added += u64::from(self.take(item));
            }
            match page.more {
                Some(more) => after = Some(more),
                None => return Ok(added),
            }
        }
    }

    /// Takes an item; whether a parcel was added with it.
    fn take(&mut self, item: Item) -> bool {
        if self.seen.contains(&item.key.sort) {
            return false;
        }
        let Some(place) = Place::read(&item.key.sort) else {
            self.fault(format!("{} is no parcel's place", item.key));
            self.seen.insert(item.key.sort);
            return false;
        };
        self.seen.insert(item.key.sort);
        let Place { worker, attempt, number, piece, pieces } = place;
        if self.arrived.get(&(worker, attempt)).is_some_and(|arrived| arrived.has(number)) {
            return false;
        }
        let bytes = if pieces == 1 {
            item.body
        } else {
            let held = self.pieces.entry((worker, attempt, number)).or_default();
            held.insert(piece, item.body);
            if held.len() < pieces as usize {
                return false;
            }
            self.pieces.remove(&(worker, attempt, number)).into_iter().flatten().flat_map(|(_, bytes)| bytes).collect()
        };
        self.open(worker, attempt, number, &bytes);
        true
    }

    fn open(&mut self, worker: u32, attempt: u32, number: u32, bytes: &[u8]) {
        let snapshots = match Parcel::open(bytes) {
            Ok(snapshots) => snapshots,
            Err(error) => {
                self.fault(format!("parcel {number} of worker {worker}, attempt {attempt}: {error}"));
                Vec::new()
            }
        };
        let arrived = self.arrived.entry((worker, attempt)).or_default();
        arrived.add(number);
        for snapshot in &snapshots {
            let SnapshotKey { run, worker: by, attempt: of, .. } = snapshot.key;
            if (run, by, of) == (self.run, worker, attempt) {
                arrived.to_us = arrived.to_us.max(snapshot.to_us);
                if self.judge.apply(snapshot) == loadkit_core::Applied::New {
                    self.rollups.add(snapshot);
                }
            }
        }
        if snapshots.iter().any(|one| (one.key.run, one.key.worker, one.key.attempt) != (self.run, worker, attempt)) {
            self.fault(format!(
                "parcel {number} of worker {worker} holds figures of somebody else, which do not count"
            ));
        }
    }

    fn fault(&mut self, fault: String) {
        if self.faults.len() < MAX_FAULTS {
            self.faults.push(fault);
        } else {
            self.faults_left_out += 1;
        }
    }
}

/// Puts a run's figures together from all its parcels: what its keeper does, at once.
///
/// # Errors
/// See [`StoreError`].
pub async fn collate_all(store: &dyn Store, run: RunId, workers: u32, plan: &Plan) -> Result<Judge, StoreError> {
    let mut collation = Collation::new(run, workers, plan, 0);
    collation.sweep(store, 0).await?;
    Ok(collation.judge)
}

/// A parcel's place in the store, as [`keys::parcel`] writes it.
struct Place {
    worker: u32,
    attempt: u32,
    number: u32,
    piece: u32,
    pieces: u32,
}

impl Place {
    fn read(sort: &str) -> Option<Place> {
        let mut fields = sort.split('/');
        let mut number = || fields.next()?.parse::<u32>().ok();
        let (_slot, worker, attempt, count) = (number()?, number()?, number()?, number()?);
        let (piece, pieces) = fields.next()?.split_once("of")?;
        let (piece, pieces) = (piece.parse().ok()?, pieces.parse().ok()?);
        let whole = fields.next().is_none() && piece < pieces && pieces <= 64;
        whole.then_some(Place { worker, attempt, number: count, piece, pieces })
    }
}
