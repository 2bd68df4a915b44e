//! `Snapshot of each shard -> Interval of all shards`: whoever looks at a run live sees one figure, not one a thread.
//!
//! **Whatever was given in comes out exactly once**: an interval is given out when all shards that still play have told
//! of it, or when one of them is [`LATE`] intervals ahead. What comes later than that is counted in the next interval.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use loadkit_core::Snapshot;

use crate::interval::Interval;

/// So many intervals behind the first, a shard is not waited for: it has ended, or has no time.
const LATE: u64 = 2;
/// At most so many snapshots of one shard that came before one that is still missing; what comes beyond is left out.
const MAX_AHEAD: usize = 1_024;

/// Merges the snapshots of one process's shards.
#[derive(Debug)]
pub(crate) struct Merger {
    width_us: u64,
    shards: usize,
    open: BTreeMap<u64, Open>,
    ready: VecDeque<Interval>,
    /// All intervals up to this one have been given out.
    closed: u64,
    /// Up to where they reach.
    covered_us: u64,
    /// The latest interval of which each shard has told.
    told: BTreeMap<(u32, u32), u64>,
    population: BTreeMap<(u32, u32), Population>,
    seen: BTreeMap<(u32, u32, u32), Seen>,
}

/// An interval of which some shards have yet to tell.
#[derive(Debug, Default)]
struct Open {
    interval: Interval,
    population: BTreeMap<(u32, u32), Population>,
}

/// A shard's players at the end of its latest interval.
#[derive(Clone, Copy, Debug)]
struct Population {
    to_us: u64,
    active: u64,
    connected: u64,
    planned: u64,
}

/// Which snapshots of a shard have been taken: all below `next`, and those in `ahead`.
#[derive(Debug, Default)]
struct Seen {
    next: u64,
    ahead: BTreeSet<u64>,
}

impl Seen {
    /// Whether it is new.
    fn admit(&mut self, seq: u64) -> bool {
        if seq < self.next || (seq > self.next && self.ahead.len() >= MAX_AHEAD) || !self.ahead.insert(seq) {
            return false;
        }
        while self.ahead.remove(&self.next) {
            self.next += 1;
        }
        true
    }
}

impl Merger {
    /// For so many shards that each send a snapshot an interval.
    pub(crate) fn new(interval: Duration, shards: usize) -> Merger {
        Merger {
            width_us: u64::try_from(interval.as_micros()).unwrap_or(u64::MAX).max(1_000),
            shards,
            open: BTreeMap::new(),
            ready: VecDeque::new(),
            closed: 0,
            covered_us: 0,
            told: BTreeMap::new(),
            population: BTreeMap::new(),
            seen: BTreeMap::new(),
        }
    }

    /// Adds a snapshot, unless it has been added before.
    pub(crate) fn add(&mut self, snapshot: &Snapshot) {
        let key = snapshot.key;
        if !self.seen.entry((key.worker, key.shard, key.attempt)).or_default().admit(key.seq) {
            return;
        }
        let shard = (key.worker, key.shard);
        let nth = snapshot.to_us.div_ceil(self.width_us).max(1);
        let open = self.open.entry(nth.max(self.closed + 1)).or_default();
        open.interval.add(snapshot);
        let Snapshot { to_us, active, connected, planned, .. } = *snapshot;
        put(&mut open.population, shard, Population { to_us, active, connected, planned });
        let told = self.told.entry(shard).or_default();
        *told = nth.max(*told);
        self.close(self.complete());
    }

    /// The next interval that is complete.
    pub(crate) fn next(&mut self) -> Option<Interval> {
        self.ready.pop_front()
    }

    /// Completes all that is left.
    pub(crate) fn end(&mut self) {
        self.close(u64::MAX);
    }

    /// The latest interval for which nobody is waited any more.
    fn complete(&self) -> u64 {
        let latest = self.told.values().max().copied().unwrap_or(0);
        let floor = latest.saturating_sub(LATE);
        if self.told.len() < self.shards {
            return floor;
        }
        self.told.values().copied().filter(|&told| told > floor).min().unwrap_or(floor)
    }

    fn close(&mut self, up_to: u64) {
        while let Some(entry) = self.open.first_entry().filter(|entry| *entry.key() <= up_to) {
            let nth = *entry.key();
            let Open { mut interval, population } = entry.remove();
            for (shard, latest) in population {
                put(&mut self.population, shard, latest);
            }
            interval.players.active = self.population.values().map(|shard| shard.active).sum();
            interval.players.connected = self.population.values().map(|shard| shard.connected).sum();
            interval.players.planned = self.population.values().map(|shard| shard.planned).sum();
            interval.from_us = self.covered_us;
            interval.to_us = interval.to_us.max(self.covered_us);
            self.covered_us = interval.to_us;
            self.closed = nth;
            self.ready.push_back(interval);
        }
    }
}

fn put(population: &mut BTreeMap<(u32, u32), Population>, shard: (u32, u32), newer: Population) {
    let latest = population.entry(shard).or_insert(newer);
    if newer.to_us >= latest.to_us {
        *latest = newer;
    }
}

#[cfg(test)]
mod tests;
