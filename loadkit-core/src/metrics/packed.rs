//! A histogram delta in few bytes: what a run keeps hundreds of, for its series over time.

use super::histogram::HistogramDelta;

/// A [`HistogramDelta`] as varints: its exact figures, and then each bucket as its distance from the one before and its
/// count. Some three bytes a bucket instead of sixteen. Merging unpacks and packs it again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct PackedDelta(Box<[u8]>);

impl PackedDelta {
    /// The delta in it.
    pub(super) fn unpack(&self) -> HistogramDelta {
        let mut rest = &*self.0;
        if rest.is_empty() {
            return HistogramDelta::default();
        }
        let [high, low, min, max] = [0; 4].map(|_: u8| take(&mut rest));
        let (mut buckets, mut value) = (Vec::new(), 0_u64);
        while !rest.is_empty() {
            value = value.wrapping_add(take(&mut rest));
            buckets.push((value, take(&mut rest)));
        }
        HistogramDelta { buckets, sum: u128::from(high) << 64 | u128::from(low), min, max }
    }

    /// The bytes that it is.
    #[cfg(feature = "keep")]
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// One of such bytes; none if a delta has no such bytes.
    #[cfg(feature = "keep")]
    pub(super) fn of_bytes(bytes: &[u8]) -> Option<PackedDelta> {
        let packed = PackedDelta(bytes.into());
        let delta = packed.unpack();
        let ascends = delta.buckets.is_sorted_by(|a, b| a.0 < b.0);
        (ascends && PackedDelta::from(&delta) == packed).then_some(packed)
    }

    /// Joins a delta to it, as if the values of both had been recorded in one interval.
    pub(super) fn merge(&mut self, delta: &HistogramDelta) {
        if !delta.buckets.is_empty() {
            let mut whole = self.unpack();
            whole.merge(delta);
            *self = PackedDelta::from(&whole);
        }
    }

    /// Whether there is no value.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<&HistogramDelta> for PackedDelta {
    fn from(delta: &HistogramDelta) -> PackedDelta {
        if delta.buckets.is_empty() {
            return PackedDelta::default();
        }
        let mut bytes = Vec::with_capacity(16 + 4 * delta.buckets.len());
        for figure in [(delta.sum >> 64) as u64, delta.sum as u64, delta.min, delta.max] {
            put(&mut bytes, figure);
        }
        let mut before = 0_u64;
        for &(value, count) in &delta.buckets {
            put(&mut bytes, value.wrapping_sub(before));
            put(&mut bytes, count);
            before = value;
        }
        PackedDelta(bytes.into())
    }
}

/// Seven bits a byte, the lowest first (LEB128).
fn put(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn take(rest: &mut &[u8]) -> u64 {
    let (mut value, mut shift) = (0, 0);
    while let Some((&byte, left)) = rest.split_first() {
        *rest = left;
        value |= u64::from(byte & 0x7F).checked_shl(shift).unwrap_or(0);
        shift += 7;
        if byte < 0x80 {
            break;
        }
    }
    value
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
        fn packing_loses_nothing(parts in prop::collection::vec(prop::collection::vec(any::<u64>(), 0..40), 1..5)) {
            let mut whole = HistogramDelta::default();
            let mut packed = PackedDelta::default();
            for part in &parts {
                let part = delta(part);
                prop_assert_eq!(PackedDelta::from(&part).unpack(), part.clone());
                whole.merge(&part);
                packed.merge(&part);
            }
            prop_assert_eq!(packed.is_empty(), whole.buckets.is_empty());
            prop_assert_eq!(packed.unpack(), whole);
        }
    }

    #[test]
    fn a_bucket_takes_few_bytes() {
        // Response times of some milliseconds, as a step has them in an interval.
        let values: Vec<u64> = (0..2_000).map(|i| 1_000 + i * i % 7_919).collect();
        let delta = delta(&values);
        let packed = PackedDelta::from(&delta);
        assert!(delta.buckets.len() > 1_000 && packed.0.len() < 3 * delta.buckets.len(), "{}", packed.0.len());
    }
}
