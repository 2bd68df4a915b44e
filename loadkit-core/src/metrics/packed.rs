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
        let mut whole = self.unpack(*slot);
        whole.merge(delta);
        if slot.at + slot.len == self.bytes.len() {
            self.bytes.truncate(slot.at);
        }
        let at = self.bytes.len();
        pack(&whole, &mut self.bytes);
        let len = self.bytes.len() - at;
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

pub(super) fn unpack(mut rest: &[u8]) -> HistogramDelta {
    if rest.is_empty() {
        return HistogramDelta::default();
    }
    let sum = take_wide(&mut rest);
    let [max, range] = [0; 2].map(|_: u8| take(&mut rest));
    let (mut buckets, mut index, last) = (Vec::with_capacity(rest.len()), 0, most_buckets() as u64 - 1);
    while !rest.is_empty() {
        let step = take(&mut rest);
        index = last.min(index + (step >> 1));
        let count = if step & 1 == 0 { 1 } else { take(&mut rest) };
        buckets.push((highest_of(index as usize), count));
    }
    HistogramDelta { buckets, sum, min: max.saturating_sub(range), max }
}

pub(super) fn pack(delta: &HistogramDelta, bytes: &mut Vec<u8>) {
    // The range and not the minimum: it only grows.
    put(bytes, delta.sum);
    put(bytes, delta.max);
    put(bytes, delta.max.saturating_sub(delta.min));
    let mut before = 0;
    for &(value, count) in &delta.buckets {
        let index = (index_of(value.min(LARGEST)) as u64).max(before);
        put(bytes, (index - before) << 1 | u64::from(count != 1));
        if count != 1 {
            put(bytes, count);
        }
        before = index;
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

fn take_wide(rest: &mut &[u8]) -> u128 {
    let (mut value, mut shift) = (0, 0);
    while let Some((&byte, left)) = rest.split_first() {
        *rest = left;
        value |= u128::from(byte & 0x7F).checked_shl(shift).unwrap_or(0);
        shift += 7;
        if byte < 0x80 {
            break;
        }
    }
    value
}

fn take(rest: &mut &[u8]) -> u64 {
    take_wide(rest) as u64
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
