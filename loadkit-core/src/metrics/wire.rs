//! Distributions between machines: packed bytes where machines read, plain buckets where people do.
//!
//! A bucket takes some one and a half bytes so, in place of five, and is read without a look at what it is. Nothing is lost by
//! it: a distribution with buckets that no recorder makes goes as it is.

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::histogram::HistogramDelta;
use super::packed::{pack, unpack_checked};

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
        let mut bytes = Vec::with_capacity(self.buckets.len() * 2 + 16);
        if !self.buckets.is_empty() {
            pack(self, &mut bytes);
        }
        serializer.serialize_bytes(&bytes)
    }
}

impl<'de> Deserialize<'de> for HistogramDelta {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<HistogramDelta, D::Error> {
        if deserializer.is_human_readable() {
            return Plain::deserialize(deserializer);
        }
        deserializer.deserialize_any(Either)
    }
}

/// Reads both forms.
struct Either;

impl<'de> Visitor<'de> for Either {
    type Value = HistogramDelta;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a distribution")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<HistogramDelta, E> {
        unpack_checked(bytes).ok_or_else(|| E::custom("bytes that are no distribution"))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<HistogramDelta, A::Error> {
        Plain::deserialize(MapAccessDeserializer::new(map))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<HistogramDelta, A::Error> {
        Plain::deserialize(SeqAccessDeserializer::new(seq))
    }
}
