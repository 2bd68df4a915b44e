//! `partitions -> items in the order of their slots`: all partitions of ten seconds of the run before the next ten.
//!
//! So what many workers gathered at a time is added together, and windows that are over can be written and let go, also
//! when a whole run is read at once.

use std::collections::VecDeque;

use loadkit_core::RunId;
use loadkit_worker::{Item, Store, StoreError, keys};

/// Items that are read ahead, in all partitions together.
const AHEAD: usize = 6_000;
/// Items that are read at a time, of one partition.
const PAGE: std::ops::RangeInclusive<usize> = 100..=500;

/// Reads a run's parcels.
pub(super) struct Slots {
    page: usize,
    parts: Vec<Part>,
}

/// A partition, as far as it has been read.
struct Part {
    name: String,
    ahead: VecDeque<Item>,
    after: Option<String>,
    is_over: bool,
}

impl Slots {
    /// Of so many partitions, each from a slot on.
    pub(super) fn new(run: RunId, parts: u32, from: impl Fn(u32) -> u32) -> Slots {
        let part = |part| {
            let (name, after) = (keys::parcel_part(run, part), Some(keys::slot(from(part))));
            Part { name, ahead: VecDeque::new(), after, is_over: false }
        };
        let page = (AHEAD / parts.max(1) as usize).clamp(*PAGE.start(), *PAGE.end());
        Slots { page, parts: (0..parts).map(part).collect() }
    }

    /// The next items, all of one slot and partition; what is `known` by its sort key is left out. None if there are no more.
    pub(super) async fn next(
        &mut self,
        store: &dyn Store,
        known: impl Fn(&str) -> bool,
    ) -> Result<Option<Vec<Item>>, StoreError> {
        for part in &mut self.parts {
            part.read_ahead(store, self.page, &known).await?;
        }
        let earliest = self.parts.iter().filter_map(Part::slot).min().map(str::to_owned);
        let Some(slot) = earliest else { return Ok(None) };
        Ok(self.parts.iter_mut().find(|part| part.slot() == Some(&slot)).map(|part| part.take(&slot)))
    }
}

impl Part {
    async fn read_ahead(
        &mut self,
        store: &dyn Store,
        page: usize,
        known: impl Fn(&str) -> bool,
    ) -> Result<(), StoreError> {
        while self.ahead.is_empty() && !self.is_over {
            let page = store.list(&self.name, "", self.after.as_deref(), page).await?;
            (self.is_over, self.after) = (page.more.is_none(), page.more);
            self.ahead.extend(page.items.into_iter().filter(|item| !known(&item.key.sort)));
        }
        Ok(())
    }

    /// The slot of what comes next.
    fn slot(&self) -> Option<&str> {
        self.ahead.front().map(slot_of)
    }

    fn take(&mut self, slot: &str) -> Vec<Item> {
        let count = self.ahead.iter().take_while(|item| slot_of(item) == slot).count();
        self.ahead.drain(..count).collect()
    }
}

/// Keys begin with their slot.
fn slot_of(item: &Item) -> &str {
    item.key.sort.split('/').next().unwrap_or_default()
}

/// A parcel's place in the store, as [`keys::parcel`] writes it.
pub(super) struct Place {
    pub(super) worker: u32,
    pub(super) attempt: u32,
    pub(super) number: u32,
    pub(super) piece: u32,
    pub(super) pieces: u32,
}

impl Place {
    pub(super) fn read(sort: &str) -> Option<Place> {
        let mut fields = sort.split('/');
        let mut number = || fields.next()?.parse::<u32>().ok();
        let (_slot, worker, attempt, count) = (number()?, number()?, number()?, number()?);
        let (piece, pieces) = fields.next()?.split_once("of")?;
        let (piece, pieces) = (piece.parse().ok()?, pieces.parse().ok()?);
        let whole = fields.next().is_none() && piece < pieces && pieces <= 64;
        whole.then_some(Place { worker, attempt, number: count, piece, pieces })
    }
}
