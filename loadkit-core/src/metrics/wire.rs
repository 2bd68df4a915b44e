//! Distributions between machines: packed bytes where machines read, plain buckets where people do.
//!
//! A bucket takes some one and a half bytes so, in place of five, and is read without a look at what it is. Nothing is lost by
//! it: a distribution with buckets that no recorder makes goes as it is.

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::histogram::HistogramDelta;
use super::packed::{is_packed, pack, unpack_checked};

/// A distribution packed, as it comes from another machine: what is only added up need not be unpacked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PackedDelta(Box<[u8]>);

impl PackedDelta {
    /// Packs a distribution.
    pub fn new(delta: &HistogramDelta) -> PackedDelta {
        let mut bytes = Vec::with_capacity(delta.buckets.len() * 2 + 16);
        if !delta.buckets.is_empty() {
            pack(delta, &mut bytes);
        }
        PackedDelta(bytes.into())
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Serialize for PackedDelta {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for PackedDelta {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<PackedDelta, D::Error> {
        deserializer.deserialize_any(Either(
            |bytes| is_packed(bytes).then(|| PackedDelta(bytes.into())),
            |delta| PackedDelta::new(&delta),
        ))
    }
}

/// A distribution as it is.
#[derive(Serialize, Deserialize)]
#[serde(remote = "HistogramDelta", rename = "HistogramDelta")]
struct Plain {
    buckets: Vec<(u64, u64)>,
    sum: u128,
    min: u64,
    max: u64,
}

impl Serialize for HistogramDelta {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() || !self.can_be_packed() {
            return Plain::serialize(self, serializer);
        }
        PackedDelta::new(self).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for HistogramDelta {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<HistogramDelta, D::Error> {
        if deserializer.is_human_readable() {
            return Plain::deserialize(deserializer);
        }
        deserializer.deserialize_any(Either(unpack_checked, |delta| delta))
    }
}

/// Reads both forms: what to make of bytes, which may be none of ours, and of buckets.
struct Either<T>(fn(&[u8]) -> Option<T>, fn(HistogramDelta) -> T);

impl<'de, T> Visitor<'de> for Either<T> {
    type Value = T;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a distribution")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<T, E> {
        self.0(bytes).ok_or_else(|| E::custom("bytes that are no distribution"))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        Plain::deserialize(MapAccessDeserializer::new(map)).map(self.1)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<T, A::Error> {
        Plain::deserialize(SeqAccessDeserializer::new(seq)).map(self.1)
    }
}

#[cfg(all(test, feature = "keep"))]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::metrics::interval::IntervalHistogram;

    proptest! {
        #[test]
        fn both_forms_are_read(values in prop::collection::vec(prop_oneof![0..9_000_u64, any::<u64>()], 0..60)) {
            let mut interval = IntervalHistogram::default();
            values.iter().for_each(|&value| interval.record(value));
            let delta = interval.take();
            let packed = rmp_serde::to_vec_named(&delta).unwrap();
            prop_assert!(packed.len() <= 3 * delta.buckets.len() + 45);
            prop_assert_eq!(&rmp_serde::from_slice::<HistogramDelta>(&packed).unwrap(), &delta);
            prop_assert_eq!(rmp_serde::from_slice::<PackedDelta>(&packed).unwrap(), PackedDelta::new(&delta));
            let json = serde_json::to_string(&delta).unwrap();
            prop_assert!(json.contains("buckets"), "{}", json);
            prop_assert_eq!(&serde_json::from_str::<HistogramDelta>(&json).unwrap(), &delta);
        }

        #[test]
        fn what_no_recorder_makes_comes_out_as_it_was(buckets in prop::collection::vec(any::<(u64, u64)>(), 0..9), min: u64, max: u64) {
            let delta = HistogramDelta { buckets, sum: 7, min, max };
            for bytes in [rmp_serde::to_vec_named(&delta).unwrap(), rmp_serde::to_vec(&delta).unwrap()] {
                prop_assert_eq!(&rmp_serde::from_slice::<HistogramDelta>(&bytes).unwrap(), &delta);
                prop_assert!(is_packed(rmp_serde::from_slice::<PackedDelta>(&bytes).unwrap().bytes()));
            }
        }

        #[test]
        fn what_is_taken_for_packed_can_be_read(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            prop_assert_eq!(is_packed(&bytes), unpack_checked(&bytes).is_some());
        }
    }
}
