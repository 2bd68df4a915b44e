//! Figures of all workers together, in windows of a second to four hours, so that a run of any length is a few hundred of them.
//!
//! Rollups are for looking at; verdicts come from the collation itself. A window of up to a minute is written again whenever
//! something came to it, so that what is there is as true as it can be at the time. The wider ones are made of those, once,
//! when nothing comes to them any more (`rollup/wide`).

mod wide;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::ops::Bound;
use std::time::Duration;

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use loadkit_core::{RunId, ShardPlayers, Stretch};
use loadkit_sinks::Interval;
use loadkit_worker::{Item, Key, MAX_BODY, Page, Store, StoreError};

use self::wide::Wide;

/// How wide windows are, and how long they are kept after they were written. Each is made of whole windows of the one before.
///
/// The first [`CHANGING`] go as far as the run has come. The others end where the last whole window does, some minutes behind
/// it, and a run that an older build looked after has none of them: what is not there, the narrower ones have.
pub const WIDTHS: [(Duration, Duration); 7] = [
    (Duration::from_secs(1), Duration::from_secs(6 * 3_600)),
    (Duration::from_secs(10), Duration::from_secs(7 * 86_400)),
    (Duration::from_secs(60), Duration::from_secs(90 * 86_400)),
    (Duration::from_secs(300), Duration::from_secs(90 * 86_400)),
    (Duration::from_secs(900), Duration::from_secs(90 * 86_400)),
    (Duration::from_secs(3_600), Duration::from_secs(90 * 86_400)),
    (Duration::from_secs(4 * 3_600), Duration::from_secs(90 * 86_400)),
];
/// So many of the widths are written while they still change.
pub const CHANGING: usize = 3;
/// What comes later than this after the end of its window is not in the rollups any more.
const LATE: Duration = Duration::from_secs(60);
/// No window unpacks to more.
const MAX_UNPACKED: u64 = 16 << 20;

/// Which attempt's shard.
type Shard = (u32, u32, u32);

/// So many windows of a second are written and let go before more are read.
const MANY: usize = 180;

/// A window of one width.
#[derive(Debug, Default)]
struct Window {
    interval: Interval,
    /// Players at its end, by shard: a state, not a sum.
    population: Population,
    /// What has come to it and is in neither yet, nor in the wider windows.
    fresh: Fresh,
}

/// When each shard told last, and its players then: active, connected, planned.
type Population = BTreeMap<Shard, (u64, u64, u64, u64)>;

#[derive(Debug, Default)]
struct Fresh {
    interval: Interval,
    population: Population,
}

impl Fresh {
    fn join(&mut self, other: &Fresh) {
        self.interval.join(&other.interval);
        put(&mut self.population, &other.population);
    }
}

fn put(population: &mut Population, newer: &Population) {
    for (shard, newer) in newer {
        let latest = population.entry(*shard).or_insert(*newer);
        *latest = (*newer).max(*latest);
    }
}

/// The windows that may still change.
#[derive(Debug)]
pub(crate) struct Rollups {
    run: RunId,
    epoch_us: u64,
    windows: [BTreeMap<u64, Window>; CHANGING],
    /// What is made of those that do not change any more.
    wide: Wide,
    dirty: BTreeSet<(usize, u64)>,
    /// Windows that end before are left as they are, µs of the run.
    frozen_us: u64,
    latest_us: u64,
}

impl Rollups {
    /// Of a run that began then, ms since 1970. What ended before `frozen_us` has been written for good.
    pub(crate) fn new(run: RunId, start_at_ms: u64, frozen_us: u64) -> Rollups {
        Rollups {
            run,
            epoch_us: start_at_ms.saturating_mul(1_000),
            windows: Default::default(),
            wide: Wide::default(),
            dirty: BTreeSet::new(),
            frozen_us,
            latest_us: 0,
        }
    }

    /// Takes up the wide windows where whoever wrote the narrow ones for good has left them.
    pub(crate) async fn take_up(&mut self, store: &dyn Store) -> Result<(), StoreError> {
        self.wide = Wide::take_up(store, self.run, self.frozen_us).await?;
        Ok(())
    }

    /// The run begins then, ms since 1970.
    pub(crate) fn begins_at(&mut self, start_at_ms: u64) {
        self.epoch_us = start_at_ms.saturating_mul(1_000);
    }

    /// Adds what came of a stretch of time; the caller sees to it that each snapshot is added once.
    ///
    /// It goes into the narrowest window that may still change. The wider ones get it from there, when that is written: much
    /// at once, and not each stretch three times.
    pub(crate) fn add(&mut self, stretch: &Stretch<'_>) {
        let figures = stretch.figures();
        self.latest_us = self.latest_us.max(figures.to_us);
        let at = figures.to_us.saturating_sub(1);
        let narrowest = (0..CHANGING).find_map(|nth| self.window(nth, at));
        let Some(Window { fresh, .. }) = narrowest.and_then(|(nth, index)| self.changing(nth, index)) else { return };
        fresh.interval.add(figures);
        for shard in stretch.shards() {
            let ShardPlayers { key, to_us, active, connected, planned } = *shard;
            let newer = (to_us, active, connected, planned);
            let latest = fresh.population.entry((key.worker, key.shard, key.attempt)).or_insert(newer);
            *latest = newer.max(*latest);
        }
    }

    /// The window of this width, by its number, in which this time is; none if that has been written for good.
    fn window(&self, nth: usize, at_us: u64) -> Option<(usize, u64)> {
        let width_us = micros(WIDTHS.get(nth)?.0);
        let index = at_us / width_us;
        ((index + 1).saturating_mul(width_us) > self.frozen_us).then_some((nth, index))
    }

    fn changing(&mut self, nth: usize, index: u64) -> Option<&mut Window> {
        self.dirty.insert((nth, index));
        Some(self.windows.get_mut(nth)?.entry(index).or_default())
    }

    /// Takes what is fresh in, and hands it on to the next wider windows.
    fn settle(&mut self) {
        // The wider come behind the narrower, and may become dirty on the way.
        let mut behind = None;
        while let Some((nth, index)) = self.next_dirty(behind) {
            behind = Some((nth, index));
            let Some(window) = self.windows.get_mut(nth).and_then(|windows| windows.get_mut(&index)) else { continue };
            let fresh = std::mem::take(&mut window.fresh);
            put(&mut window.population, &fresh.population);
            let begins_us = index.saturating_mul(WIDTHS.get(nth).map_or(1, |(width, _)| micros(*width)));
            let wider = (nth + 1..CHANGING).find_map(|nth| self.window(nth, begins_us));
            if let Some(wider) = wider.and_then(|(nth, index)| self.changing(nth, index)) {
                wider.fresh.join(&fresh);
            }
            if let Some(window) = self.windows.get_mut(nth).and_then(|windows| windows.get_mut(&index)) {
                if window.interval == Interval::default() {
                    window.interval = fresh.interval;
                } else {
                    window.interval.join(&fresh.interval);
                }
            }
        }
    }

    fn next_dirty(&self, behind: Option<(usize, u64)>) -> Option<(usize, u64)> {
        let from = behind.map_or(Bound::Unbounded, Bound::Excluded);
        self.dirty.range((from, Bound::Unbounded)).next().copied()
    }

    /// Whether so much has come that it should be written before there is more.
    pub(crate) fn is_full(&self) -> bool {
        self.windows.first().is_some_and(|seconds| seconds.len() > MANY)
    }

    /// Writes what has changed, and forgets what is not expected to change any more.
    pub(crate) async fn write(&mut self, store: &dyn Store, now_ms: u64) -> Result<(), StoreError> {
        self.settle();
        let mut items = Vec::new();
        for &(nth, index) in &self.dirty {
            let window = self.windows.get_mut(nth).and_then(|windows| windows.get_mut(&index));
            if let Some((window, (width, kept))) = window.zip(WIDTHS.get(nth)) {
                window.complete(self.epoch_us, *width, index);
                items.extend(pack(self.run, *width, &window.interval).map(|item| expiring(item, now_ms, *kept)));
            }
        }
        let over_us = self.latest_us.saturating_sub(micros(LATE));
        self.wide.advance(over(self.windows.last(), over_us), over_us);
        for (nth, window) in self.wide.whole() {
            if let Some((width, kept)) = WIDTHS.get(*nth) {
                items.extend(pack(self.run, *width, window).map(|item| expiring(item, now_ms, *kept)));
            }
        }
        if !items.is_empty() {
            store.put_all(items).await?;
        }
        self.wide.written();
        self.dirty.clear();
        self.frozen_us = self.frozen_us.max(over_us);
        for (windows, (width, _)) in self.windows.iter_mut().zip(WIDTHS) {
            windows.retain(|index, _| (index + 1).saturating_mul(micros(width)) > over_us);
        }
        Ok(())
    }
}

/// Those of the widest windows that may change which end by then, in order.
fn over(widest: Option<&BTreeMap<u64, Window>>, over_us: u64) -> impl Iterator<Item = &Interval> {
    let width_us = WIDTHS.get(CHANGING - 1).map_or(1, |(width, _)| micros(*width));
    widest.into_iter().flat_map(move |windows| windows.range(..over_us / width_us).map(|(_, window)| &window.interval))
}

impl Window {
    /// Says where it lies, and how many players there were at its end.
    fn complete(&mut self, epoch_us: u64, width: Duration, index: u64) {
        let width_us = micros(width);
        let interval = &mut self.interval;
        (interval.epoch_us, interval.from_us, interval.to_us) = (epoch_us, index * width_us, (index + 1) * width_us);
        let sum = |of: fn(&(u64, u64, u64, u64)) -> u64| self.population.values().map(of).sum();
        interval.players.active = sum(|one| one.1);
        interval.players.connected = sum(|one| one.2);
        interval.players.planned = sum(|one| one.3);
    }
}

fn expiring(item: Item, now_ms: u64, kept: Duration) -> Item {
    item.expiring(now_ms / 1_000 + kept.as_secs())
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1)
}

fn part(run: RunId, width: Duration) -> String {
    format!("rollup/{run}/{}", width.as_secs())
}

fn pack(run: RunId, width: Duration, interval: &Interval) -> Option<Item> {
    let raw = rmp_serde::to_vec_named(interval).ok()?;
    let mut packer = ZlibEncoder::new(Vec::new(), Compression::fast());
    let body = packer.write_all(&raw).and_then(|()| packer.finish()).ok()?;
    let index = interval.from_us / micros(width);
    // A window of hundreds of steps may not fit an item: it is in the report all the same.
    (body.len() <= MAX_BODY).then(|| Item::new(Key::new(part(run, width), format!("{index:010}")), body))
}

/// Reads windows of this width, from the one that begins at or after `from`, at most `limit` of them, in order.
///
/// # Errors
/// See [`StoreError`].
pub async fn read(
    store: &dyn Store,
    run: RunId,
    width: Duration,
    from: Duration,
    limit: usize,
) -> Result<Vec<Interval>, StoreError> {
    let first = micros(from).div_ceil(micros(width));
    let after = if from.is_zero() { None } else { first.checked_sub(1).map(|before| format!("{before:010}")) };
    let Page { items, .. } = store.list(&part(run, width), "", after.as_deref(), limit).await?;
    items.iter().map(unpack).collect()
}

fn unpack(item: &Item) -> Result<Interval, StoreError> {
    let malformed = |why: String| StoreError::Malformed { key: item.key.clone(), why };
    let mut raw = Vec::new();
    let packed = ZlibDecoder::new(item.body.as_slice());
    packed.take(MAX_UNPACKED).read_to_end(&mut raw).map_err(|error| malformed(error.to_string()))?;
    rmp_serde::from_slice(&raw).map_err(|error| malformed(error.to_string()))
}
