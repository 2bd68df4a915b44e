//! Histograms in few bytes, one behind the other: what a run keeps thousands of, for its series over time.

use super::histogram::{HistogramDelta, LARGEST};
use super::interval::{highest_of, index_of, most_buckets};

/// What a store takes at once, so that a run's memory is what it is from the beginning on, and not only after an hour.
pub(super) const ROOM: usize = 8 << 20;
/// Beyond so many bytes, what is given up among them goes.
const FULL: usize = ROOM - (1 << 20);

/// Where a histogram lies in its [`Store`]. Nothing was put into one that is empty.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Slot {
    at: usize,
    len: usize,
}

impl Slot {
    /// Whether there is no value.
    pub(super) fn is_empty(self) -> bool {
        self.len == 0
    }
}

/// Histograms as varints: the exact figures, and then each bucket as its distance from the one before, with its count if
/// that is not 1. Some one and a half bytes a bucket instead of sixteen.
///
/// Whatever is merged into a histogram, it never takes fewer bytes, and two together never take more than both alone.
#[derive(Clone, Debug, Default)]
pub(super) struct Store {
    bytes: Vec<u8>,
    live: usize,
    /// What is being joined, before it has its place.
    joined: Vec<u8>,
}

impl Store {
    /// The bytes of all histograms in it. They depend on nothing but the values.
    pub(super) fn live(&self) -> usize {
        self.live
    }

    /// The histogram in a slot.
    pub(super) fn unpack(&self, slot: Slot) -> HistogramDelta {
        self.bytes.get(slot.at..slot.at + slot.len).map(unpack).unwrap_or_default()
    }

    /// The bytes of a slot.
    #[cfg(feature = "keep")]
    pub(super) fn bytes(&self, slot: Slot) -> &[u8] {
        self.bytes.get(slot.at..slot.at + slot.len).unwrap_or_default()
    }

    /// Joins a histogram to that in a slot, as if the values of both had been recorded in one interval.
    pub(super) fn merge(&mut self, slot: &mut Slot, delta: &HistogramDelta) {
        if delta.buckets.is_empty() {
            return;
        }
        if self.bytes.capacity() == 0 {
            // Written, and not only asked for: so the system has given it.
            self.bytes = vec![u8::MAX; ROOM];
            self.bytes.clear();
        }
        self.joined.clear();
        let old = self.bytes.get(slot.at..slot.at + slot.len).unwrap_or_default();
        pack_joined(old, delta, &mut self.joined);
        if slot.at + slot.len == self.bytes.len() {
            self.bytes.truncate(slot.at);
        }
        let (at, len) = (self.bytes.len(), self.joined.len());
        self.bytes.extend_from_slice(&self.joined);
        self.live = self.live - slot.len + len;
        *slot = Slot { at, len };
    }

    /// Joins the histograms of two slots in the first.
    pub(super) fn join(&mut self, slot: &mut Slot, other: Slot) {
        if slot.is_empty() {
            *slot = other;
        } else {
            let delta = self.unpack(other);
            self.live -= other.len;
            self.merge(slot, &delta);
        }
    }

    /// Gives up a histogram.
    pub(super) fn drop(&mut self, slot: Slot) {
        self.live -= slot.len;
    }

    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        self.bytes.capacity()
    }

    /// Whether much of it was given up.
    pub(super) fn is_full(&self) -> bool {
        self.bytes.len() > FULL.max(self.live + self.live / 4)
    }

    /// Gives up whatever is in none of these slots, which are all there are.
    pub(super) fn compact(&mut self, mut slots: Vec<&mut Slot>) {
        slots.sort_unstable_by_key(|slot| slot.at);
        let mut end = 0;
        for slot in slots {
            self.bytes.copy_within(slot.at..slot.at + slot.len, end);
            slot.at = end;
            end += slot.len;
        }
        self.bytes.truncate(end);
    }
}

/// The distribution in bytes; an empty one if there is none in them.
pub(super) fn unpack(bytes: &[u8]) -> HistogramDelta {
    unpack_checked(bytes).unwrap_or_default()
}

/// The distribution in bytes that may be anybody's.
pub(super) fn unpack_checked(bytes: &[u8]) -> Option<HistogramDelta> {
    if bytes.is_empty() {
        return Some(HistogramDelta::default());
    }
    let mut buckets = Vec::with_capacity(bytes.len());
    let (sum, max, min) = for_each(bytes, |index, count| buckets.push((highest_of(index), count)))?;
    Some(HistogramDelta { buckets, sum, min, max })
}

/// Whether these bytes are a distribution.
pub(super) fn is_packed(bytes: &[u8]) -> bool {
    bytes.is_empty() || for_each(bytes, |_, _| {}).is_some()
}

/// Reads packed buckets: their numbers, which ascend, and their counts. The exact sum, maximum and minimum, or none if the
/// bytes are no distribution.
#[inline]
pub(super) fn for_each(bytes: &[u8], mut bucket: impl FnMut(usize, u64)) -> Option<(u128, u64, u64)> {
    let (sum, max, min, mut packed) = Packed::open(bytes)?;
    // The first may be that of nothing; from there on they ascend.
    if let Some((index, count)) = packed.next() {
        bucket(index, count);
    }
    let (mut rest, mut index, most) = (packed.rest, packed.index, most_buckets());
    while let Some((&byte, left)) = rest.split_first() {
        let (step, count);
        if byte & 0x81 == 0 {
            // The most frequent by far: a near bucket with one value.
            (step, count, rest) = (usize::from(byte >> 1), 1, left);
        } else {
            let wide = take(&mut rest)?;
            step = usize::try_from(wide >> 1).ok()?;
            count = if wide & 1 == 0 { 1 } else { take(&mut rest)? };
        }
        index = index.checked_add(step)?;
        if step == 0 || index >= most || count == 0 {
            return None;
        }
        bucket(index, count);
    }
    (!packed.is_bad).then_some((sum, max, min))
}

/// Packs a distribution that is not empty.
pub(super) fn pack(delta: &HistogramDelta, bytes: &mut Vec<u8>) {
    pack_joined(&[], delta, bytes);
}

/// Packs a distribution that is not empty together with one that is packed, or with none.
fn pack_joined(old: &[u8], delta: &HistogramDelta, bytes: &mut Vec<u8>) {
    let mut whole = (delta.sum, delta.max, delta.min);
    let mut packed = Packed { rest: &[], index: 0, is_first: true, is_bad: false };
    if let Some((sum, max, min, buckets)) = Packed::open(old) {
        whole = (sum.saturating_add(delta.sum), max.max(delta.max), min.min(delta.min));
        packed = buckets;
    }
    let (sum, max, min) = whole;
    put(bytes, sum);
    put(bytes, max);
    // The range and not the minimum: it only grows.
    put(bytes, max.saturating_sub(min));
    let (mut before, mut highest) = (0, 0);
    let mut bucket = |index: usize, count: u64| {
        put_short(bytes, ((index - before) as u64) << 1 | u64::from(count != 1));
        if count != 1 {
            put_short(bytes, count);
        }
        before = index;
    };
    // Two values of one bucket, or none in one: no recorder tells of such.
    let mut values = delta.buckets.iter().filter(|(_, count)| *count > 0).map(|&(value, count)| {
        highest = index_of(value.min(LARGEST)).max(highest);
        (highest, count)
    });
    let mut pending = values.next();
    let mut next = || {
        let (index, mut count) = pending?;
        pending = values.next();
        while let Some((_, more)) = pending.filter(|(same, _)| *same == index) {
            count = count.saturating_add(more);
            pending = values.next();
        }
        Some((index, count))
    };
    let (mut ours, mut theirs) = (packed.next(), next());
    loop {
        match (ours, theirs) {
            (Some((index, count)), Some((other, more))) if index == other => {
                bucket(index, count.saturating_add(more));
                (ours, theirs) = (packed.next(), next());
            }
            (Some((index, count)), other) if other.is_none_or(|(other, _)| index < other) => {
                bucket(index, count);
                ours = packed.next();
            }
            (_, Some((index, count))) => {
                bucket(index, count);
                theirs = next();
            }
            (_, None) => return,
        }
    }
}

/// Reads packed buckets, ascending.
struct Packed<'a> {
    rest: &'a [u8],
    index: usize,
    is_first: bool,
    is_bad: bool,
}

impl<'a> Packed<'a> {
    /// The exact sum, maximum and minimum, and the buckets behind them.
    fn open(mut bytes: &'a [u8]) -> Option<(u128, u64, u64, Packed<'a>)> {
        let rest = &mut bytes;
        let sum = take_wide(rest)?;
        let (max, range) = (take(rest)?, take(rest)?);
        Some((sum, max, max.checked_sub(range)?, Packed { rest: bytes, index: 0, is_first: true, is_bad: false }))
    }

    /// The next bucket and its count.
    fn next(&mut self) -> Option<(usize, u64)> {
        if self.rest.is_empty() {
            return None;
        }
        let bucket = self.take();
        if bucket.is_none() {
            (self.rest, self.is_bad) = (&[], true);
        }
        bucket
    }

    fn take(&mut self) -> Option<(usize, u64)> {
        let step = take(&mut self.rest)?;
        let count = if step & 1 == 0 { 1 } else { take(&mut self.rest)? };
        let index = self.index.checked_add(usize::try_from(step >> 1).ok()?)?;
        let ascends = self.is_first || index > self.index;
        (self.index, self.is_first) = (index, false);
        (ascends && index < most_buckets() && count > 0).then_some((index, count))
    }
}

/// Seven bits a byte, the lowest first (LEB128).
fn put(bytes: &mut Vec<u8>, value: impl Into<u128>) {
    let mut value = value.into();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

/// The same, of what is short as a rule.
#[inline]
fn put_short(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn take_wide(rest: &mut &[u8]) -> Option<u128> {
    let mut value = 0;
    for shift in (0..128).step_by(7) {
        let (&byte, left) = rest.split_first()?;
        *rest = left;
        value |= u128::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[inline]
fn take(rest: &mut &[u8]) -> Option<u64> {
    let (&byte, left) = rest.split_first()?;
    *rest = left;
    if byte < 0x80 {
        return Some(u64::from(byte));
    }
    let mut value = u64::from(byte & 0x7F);
    for shift in (7..64).step_by(7) {
        let (&byte, left) = rest.split_first()?;
        *rest = left;
        value |= u64::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::metrics::interval::IntervalHistogram;

    fn delta(values: &[u64]) -> HistogramDelta {
        let mut histogram = IntervalHistogram::default();
        values.iter().for_each(|&value| histogram.record(value));
        histogram.take()
    }

    proptest! {
        #[test]
        fn packing_loses_nothing_and_bytes_only_grow(
            parts in prop::collection::vec(prop::collection::vec(prop_oneof![0..9_000_u64, any::<u64>()], 0..40), 1..5),
        ) {
            let (mut store, mut slot, mut other) = (Store::default(), Slot::default(), Slot::default());
            let (mut whole, mut alone) = (HistogramDelta::default(), 0);
            for part in &parts {
                let part = delta(part);
                let mut bytes = Vec::new();
                if !part.buckets.is_empty() {
                    pack(&part, &mut bytes);
                }
                prop_assert_eq!(&unpack(&bytes), &part);
                alone += bytes.len();
                whole.merge(&part);
                store.merge(&mut other, &part);
                let before = store.live();
                store.merge(&mut slot, &part);
                prop_assert!(store.live() >= before);
                prop_assert_eq!(store.live(), slot.len + other.len);
                store.compact(vec![&mut slot, &mut other]);
                prop_assert_eq!(store.bytes.len(), store.live());
            }
            prop_assert_eq!(slot.is_empty(), whole.buckets.is_empty());
            prop_assert!(slot.len <= alone);
            prop_assert_eq!(store.unpack(slot), whole.clone());
            prop_assert_eq!(store.unpack(other), whole.clone());
            store.join(&mut slot, other);
            prop_assert_eq!(store.unpack(slot).count(), 2 * whole.count());
            prop_assert_eq!(store.live(), slot.len);
        }

        #[test]
        fn no_bytes_do_harm(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            unpack(&bytes);
        }
    }

    #[test]
    fn a_bucket_takes_few_bytes() {
        // Response times of some milliseconds, as a step has them in an interval.
        let values: Vec<u64> = (0..2_000).map(|i| 1_000 + i * i % 7_919).collect();
        let delta = delta(&values);
        let mut bytes = Vec::new();
        pack(&delta, &mut bytes);
        assert!(delta.buckets.len() > 1_000 && bytes.len() < 3 * delta.buckets.len() / 2, "{}", bytes.len());
    }
}
