//! Figures of all workers together at 1 s, 10 s and 1 min, so that a day-long run stays readable.
//!
//! Rollups are for looking at; verdicts come from the collation itself. A window is written again whenever something came
//! to it, so that what is there is as true as it can be at the time.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::time::Duration;

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use loadkit_core::{RunId, Snapshot};
use loadkit_sinks::Interval;
use loadkit_worker::{Item, Key, MAX_BODY, Page, Store, StoreError};

/// How wide windows are, and how long they are kept after they were written.
pub const WIDTHS: [(Duration, Duration); 3] = [
    (Duration::from_secs(1), Duration::from_secs(6 * 3_600)),
    (Duration::from_secs(10), Duration::from_secs(7 * 86_400)),
    (Duration::from_secs(60), Duration::from_secs(90 * 86_400)),
];
/// What comes later than this after the end of its window is not in the rollups any more.
const LATE: Duration = Duration::from_secs(60);
/// No window unpacks to more.
const MAX_UNPACKED: u64 = 16 << 20;

/// Which attempt's shard.
type Shard = (u32, u32, u32);

/// A window of one width.
#[derive(Debug, Default)]
struct Window {
    interval: Interval,
    /// Players at its end, by shard: a state, not a sum.
    population: BTreeMap<Shard, (u64, u64, u64, u64)>,
}

/// The windows that may still change.
#[derive(Debug)]
pub(crate) struct Rollups {
    run: RunId,
    epoch_us: u64,
    windows: [BTreeMap<u64, Window>; WIDTHS.len()],
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
            dirty: BTreeSet::new(),
            frozen_us,
            latest_us: 0,
        }
    }

    /// The run begins then, ms since 1970.
    pub(crate) fn begins_at(&mut self, start_at_ms: u64) {
        self.epoch_us = start_at_ms.saturating_mul(1_000);
    }

    /// Adds a snapshot; the caller sees to it that each is added once.
    pub(crate) fn add(&mut self, snapshot: &Snapshot) {
        self.latest_us = self.latest_us.max(snapshot.to_us);
        let at = snapshot.to_us.saturating_sub(1);
        for (nth, (width, _)) in WIDTHS.iter().enumerate() {
            let width_us = micros(*width);
            let index = at / width_us;
            if (index + 1) * width_us <= self.frozen_us {
                continue;
            }
            let window = self.windows[nth].entry(index).or_default();
            window.interval.add(snapshot);
            let key = snapshot.key;
            let Snapshot { to_us, active, connected, planned, .. } = *snapshot;
            let newer = (to_us, active, connected, planned);
            let latest = window.population.entry((key.worker, key.shard, key.attempt)).or_insert(newer);
            *latest = newer.max(*latest);
            self.dirty.insert((nth, index));
        }
    }

    /// Writes what has changed, and forgets what is not expected to change any more.
    pub(crate) async fn write(&mut self, store: &dyn Store, now_ms: u64) -> Result<(), StoreError> {
        let mut items = Vec::new();
        for &(nth, index) in &self.dirty {
            if let (Some(window), Some((width, kept))) = (self.windows[nth].get_mut(&index), WIDTHS.get(nth)) {
                let expires_s = now_ms / 1_000 + kept.as_secs();
                items.extend(pack(self.run, self.epoch_us, *width, index, window).map(|item| item.expiring(expires_s)));
            }
        }
        if !items.is_empty() {
            store.put_all(items).await?;
        }
        self.dirty.clear();
        let over_us = self.latest_us.saturating_sub(micros(LATE));
        self.frozen_us = self.frozen_us.max(over_us);
        for (windows, (width, _)) in self.windows.iter_mut().zip(WIDTHS) {
            windows.retain(|index, _| (index + 1) * micros(width) > over_us);
        }
        Ok(())
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1)
}

fn part(run: RunId, width: Duration) -> String {
    format!("rollup/{run}/{}", width.as_secs())
}

fn pack(run: RunId, epoch_us: u64, width: Duration, index: u64, window: &mut Window) -> Option<Item> {
    let width_us = micros(width);
    let interval = &mut window.interval;
    (interval.epoch_us, interval.from_us, interval.to_us) = (epoch_us, index * width_us, (index + 1) * width_us);
    let sum = |of: fn(&(u64, u64, u64, u64)) -> u64| window.population.values().map(of).sum();
    interval.players.active = sum(|one| one.1);
    interval.players.connected = sum(|one| one.2);
    interval.players.planned = sum(|one| one.3);
    let raw = rmp_serde::to_vec_named(interval).ok()?;
    let mut packer = ZlibEncoder::new(Vec::new(), Compression::fast());
    let body = packer.write_all(&raw).and_then(|()| packer.finish()).ok()?;
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
