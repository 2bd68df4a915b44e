//! Distributions as bytes of their own, in what is put aside.

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::histogram::Histogram;
use super::packed::PackedDelta;

impl Serialize for PackedDelta {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.as_bytes())
    }
}

impl<'de> Deserialize<'de> for PackedDelta {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<PackedDelta, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = PackedDelta;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a packed distribution")
            }

            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<PackedDelta, E> {
                PackedDelta::of_bytes(bytes).ok_or_else(|| E::custom("a distribution whose buckets do not ascend"))
            }
        }
        deserializer.deserialize_bytes(Bytes)
    }
}

impl Serialize for Histogram {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        PackedDelta::from(&self.to_delta()).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Histogram {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Histogram, D::Error> {
        let mut histogram = Histogram::new();
        histogram.apply(&PackedDelta::deserialize(deserializer)?.unpack());
        Ok(histogram)
    }
}
