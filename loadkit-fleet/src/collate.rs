//! `parcels in the store -> Judge`: one writer a run at a time reads what the collector has stored, and adds each parcel once.
//!
//! **What is in the store is enough to begin anew**: a collator that dies is replaced by one that reads the run's parcels
//! again, from the last checkpoint on if there is one, and comes to the same figures.
//!
//! Parcels lie by slots of ten seconds of the run. A pass reads the slots that may still grow; when a run ends, those that
//! are missing are looked for in all.
//!
//! What a pass has read is added together: the figures of many workers for the same second are joined first, and only then
//! go into totals, series and rollups.

mod slots;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use loadkit_core::{Judge, PackedDelta, Plan, RunId, Snapshot, Stretch};
use loadkit_worker::{Item, Key, Parcel, Store, StoreError, blob, keys};
use serde::{Deserialize, Serialize};

use self::slots::{Place, Slots};
use crate::rollup::Rollups;

/// Where a collation is put aside: a partition of its own, because it is large.
fn checkpoint(run: RunId) -> Key {
    Key::new(format!("collation/{run}"), "judge")
}

/// It is kept as long as the parcels that it was made of: two days.
const KEPT_S: u64 = 2 * 86_400;
/// A slot may still grow for so long after its end: workers that are behind, and queues that are slow.
const OPEN_SLOTS: u32 = 4;
/// A slot, µs.
const SLOT_US: u64 = 10_000_000;
/// A slot begins at a whole window of all widths that are made of parcels every so many slots.
const SLOTS_OF_WIDEST: u32 = 6;
/// Snapshots that have been read and are not added yet take so many bytes, about; then they are.
const MAX_FRESH: usize = 32 << 20;
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
    workers: u32,
    parts: u32,
    judge: Judge,
    rollups: Rollups,
    arrived: BTreeMap<(u32, u32), Arrived>,
    /// Items of open slots that have been looked at.
    seen: HashSet<String>,
    /// Parcels of which some pieces are still missing.
    pieces: Pieces,
    /// Snapshots that are to be added, and their bytes, about.
    fresh: Vec<Snapshot<PackedDelta>>,
    fresh_bytes: usize,
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
            workers,
            parts: keys::parts(workers),
            judge: Judge::new(plan.thresholds(), plan.interval()),
            rollups: Rollups::new(run, start_at_ms, 0),
            arrived: BTreeMap::new(),
            seen: HashSet::new(),
            pieces: Pieces::default(),
            fresh: Vec::new(),
            fresh_bytes: 0,
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
        let Some(bytes) = blob::get(store, &checkpoint(run)).await? else { return Ok(new) };
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
                new.roll_up_again(store, plan.interval()).await?;
            }
            // It is put together anew, from all parcels.
            Ok(_) => {}
            Err(why) => {
                new.fault(format!("the collation that was put aside cannot be taken up, and is begun anew: {why}"))
            }
        }
        Ok(new)
    }

    /// The run starts then after all.
    pub(crate) fn starts_at(&mut self, start_at_ms: u64) {
        self.start_at_ms = start_at_ms;
        self.rollups.begins_at(start_at_ms);
    }

    /// Puts the collation aside, for whoever takes it up.
    pub(crate) async fn put_aside(&self, store: &dyn Store, now_ms: u64) -> Result<(), StoreError> {
        let aside = Checkpoint {
            judge: self.judge.save(),
            arrived: self.arrived.iter().map(|(key, arrived)| (*key, arrived.clone())).collect(),
            first_slot: self.first_slot,
            start_at_ms: self.start_at_ms,
        };
        let key = checkpoint(self.run);
        let bytes = rmp_serde::to_vec_named(&aside)
            .map_err(|error| StoreError::Malformed { key: key.clone(), why: error.to_string() })?;
        blob::put(store, &key, &bytes, Some(now_ms / 1_000 + KEPT_S)).await
    }

    /// Makes the rollups of the open slots again from what had arrived: those before are written for good.
    async fn roll_up_again(&mut self, store: &dyn Store, interval: Duration) -> Result<(), StoreError> {
        // The widest window that may still change is made again as a whole.
        let first = self.first_slot - self.first_slot % SLOTS_OF_WIDEST;
        self.rollups = Rollups::new(self.run, self.start_at_ms, u64::from(first) * SLOT_US);
        self.rollups.take_up(store).await?;
        let mut pieces = Pieces::default();
        let mut slots = Slots::new(self.run, self.parts, |_| first);
        while let Some(items) = slots.next(store, |_| false).await? {
            let mut snapshots = Vec::new();
            for item in items {
                let Some(place) = Place::read(&item.key.sort) else { continue };
                if self.arrived.get(&(place.worker, place.attempt)).is_some_and(|arrived| arrived.has(place.number)) {
                    self.seen.insert(item.key.sort);
                    let bytes = pieces.join(&place, item.body);
                    snapshots.extend(bytes.and_then(|bytes| Parcel::open_packed(&bytes).ok()).into_iter().flatten());
                }
            }
            Stretch::each(&snapshots, interval, |stretch| self.rollups.add(stretch));
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
        let from: Vec<u32> = (0..self.parts).map(|part| self.first_open(part, now_slot)).collect();
        let slots = Slots::new(self.run, self.parts, |part| from.get(part as usize).copied().unwrap_or(0));
        let added = self.read(store, slots, now_ms).await?;
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
        let slots = Slots::new(self.run, self.parts, |_| 0);
        self.read(store, slots, now_ms).await
    }

    /// The first slot of a partition in which something is expected: before the latest of which a worker has told without a
    /// gap, nothing is. A worker that has not come yet, or of whose parcels one is missing, may tell of all open slots; an attempt
    /// that was silent for as long as slots are open, of none.
    fn first_open(&self, part: u32, now_slot: u32) -> u32 {
        let mut workers = keys::workers_of(part);
        workers.end = workers.end.min(self.workers);
        let attempts = self.arrived.range((workers.start, 0)..(workers.end, 0));
        let came: BTreeSet<u32> = attempts.clone().map(|((worker, _), _)| *worker).collect();
        if came.len() < workers.len() {
            return self.first_slot;
        }
        let told = attempts.filter_map(|(_, arrived)| {
            let slot = u32::try_from(arrived.to_us.saturating_sub(1) / SLOT_US).unwrap_or(u32::MAX);
            let is_silent = slot < now_slot.saturating_sub(OPEN_SLOTS);
            (!is_silent).then_some(if arrived.numbers.is_empty() { slot } else { self.first_slot })
        });
        told.min().unwrap_or(now_slot).clamp(self.first_slot, now_slot.max(self.first_slot))
    }

    /// Reads what there is, and adds what is new.
    async fn read(&mut self, store: &dyn Store, mut slots: Slots, now_ms: u64) -> Result<u64, StoreError> {
        let mut added = 0;
        let read = loop {
            match slots.next(store, |sort| self.seen.contains(sort)).await {
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
                Ok(Some(items)) => added += items.into_iter().map(|item| u64::from(self.take(item))).sum::<u64>(),
            }
            if self.rollups.is_full() {
                self.add_fresh();
                self.rollups.write(store, now_ms).await?;
            }
        };
        // Also after an error: what was taken is not read again.
        self.add_fresh();
        read?;
        self.rollups.write(store, now_ms).await?;
        Ok(added)
    }

    /// Takes an item; whether a parcel came with it.
    fn take(&mut self, item: Item) -> bool {
        let place = Place::read(&item.key.sort);
        if place.is_none() {
            self.fault(format!("{} is no parcel's place", item.key));
        }
        if !self.seen.insert(item.key.sort) {
            return false;
        }
        let Some(place) = place else { return false };
        let Place { worker, attempt, number, .. } = place;
        if self.arrived.get(&(worker, attempt)).is_some_and(|arrived| arrived.has(number)) {
            return false;
        }
        let Some(bytes) = self.pieces.join(&place, item.body) else { return false };
        self.open(worker, attempt, number, &bytes);
        true
    }

    fn open(&mut self, worker: u32, attempt: u32, number: u32, bytes: &[u8]) {
        let mut snapshots = match Parcel::open_packed(bytes) {
            Ok(snapshots) => snapshots,
            Err(error) => {
                self.fault(format!("parcel {number} of worker {worker}, attempt {attempt}: {error}"));
                Vec::new()
            }
        };
        let came = snapshots.len();
        let run = self.run;
        snapshots.retain(|Snapshot { key, .. }| (key.run, key.worker, key.attempt) == (run, worker, attempt));
        if snapshots.len() < came {
            self.fault(format!(
                "parcel {number} of worker {worker} holds figures of somebody else, which do not count"
            ));
        }
        let arrived = self.arrived.entry((worker, attempt)).or_default();
        arrived.add(number);
        arrived.to_us = snapshots.iter().map(|snapshot| snapshot.to_us).fold(arrived.to_us, u64::max);
        self.fresh_bytes += snapshots.iter().map(bytes_of).sum::<usize>();
        self.fresh.append(&mut snapshots);
        if self.fresh_bytes > MAX_FRESH {
            self.add_fresh();
        }
    }

    /// Adds what was taken.
    fn add_fresh(&mut self) {
        let rollups = &mut self.rollups;
        self.judge.apply_all(&self.fresh, |stretch| rollups.add(stretch));
        // With its memory: the next may be as many.
        self.fresh.clear();
        self.fresh_bytes = 0;
    }

    fn fault(&mut self, fault: String) {
        if self.faults.len() < MAX_FAULTS {
            self.faults.push(fault);
        } else {
            self.faults_left_out += 1;
        }
    }
}

/// The bytes of a snapshot in memory, about.
fn bytes_of(snapshot: &Snapshot<PackedDelta>) -> usize {
    let of = |delta: &PackedDelta| 100 + delta.bytes().len();
    let steps = snapshot.steps.iter().map(|(_, step)| of(&step.service) + of(&step.response));
    let trends = snapshot.trends.iter().map(|(_, trend)| of(&trend.values));
    let others =
        snapshot.counts.len() + snapshot.gauges.len() + snapshot.samples.len() * 4 + snapshot.flights.len() * 40;
    steps.chain(trends).sum::<usize>() + others * 100 + size_of::<Snapshot>()
}

/// Pieces of parcels that are not whole yet, by worker, attempt and number.
#[derive(Debug, Default)]
struct Pieces(BTreeMap<(u32, u32, u32), BTreeMap<u32, Vec<u8>>>);

impl Pieces {
    /// Adds a piece; the parcel, if it is whole with it.
    fn join(&mut self, place: &Place, body: Vec<u8>) -> Option<Vec<u8>> {
        let &Place { worker, attempt, number, piece, pieces } = place;
        if pieces == 1 {
            return Some(body);
        }
        let held = self.0.entry((worker, attempt, number)).or_default();
        held.insert(piece, body);
        if held.len() < pieces as usize {
            return None;
        }
        Some(self.0.remove(&(worker, attempt, number))?.into_values().flatten().collect())
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

#[cfg(test)]
mod tests;
