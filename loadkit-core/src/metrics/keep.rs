//! Distributions and the series as bytes of their own, in what is put aside.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::histogram::{Histogram, HistogramDelta};
use super::packed::{Slot, Store, pack, unpack, unpack_checked};
use super::point::{Population, Row};
use super::series::Series;
use super::snapshot::GaugeDelta;

/// A distribution in bytes, as a store has it.
struct Packed(Vec<u8>);

impl Packed {
    fn of(delta: &HistogramDelta) -> Packed {
        let mut bytes = Vec::new();
        if !delta.buckets.is_empty() {
            pack(delta, &mut bytes);
        }
        Packed(bytes)
    }

    /// The distribution; none if none has such bytes.
    fn delta(bytes: &[u8]) -> Option<HistogramDelta> {
        let delta = unpack_checked(bytes)?;
        (Packed::of(&delta).0 == bytes).then_some(delta)
    }
}

impl Serialize for Packed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Packed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Packed, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = Packed;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a packed distribution")
            }

            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Packed, E> {
                let is_one = Packed::delta(bytes).is_some();
                is_one.then(|| Packed(bytes.to_vec())).ok_or_else(|| E::custom("bytes that are no distribution"))
            }
        }
        deserializer.deserialize_bytes(Bytes)
    }
}

impl Serialize for Histogram {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Packed::of(&self.to_delta()).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Histogram {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Histogram, D::Error> {
        let mut histogram = Histogram::new();
        histogram.apply(&unpack(&Packed::deserialize(deserializer)?.0));
        Ok(histogram)
    }
}

#[derive(Serialize, Deserialize)]
struct KeptSeries {
    width: Duration,
    rows: Vec<KeptRow>,
}

#[derive(Serialize, Deserialize)]
struct KeptRow {
    population: BTreeMap<(u32, u32, u32), Population>,
    steps: BTreeMap<String, (Packed, u64)>,
    trends: BTreeMap<String, Packed>,
    counts: BTreeMap<String, u64>,
    gauges: BTreeMap<String, GaugeDelta>,
    started: u64,
    failed: u64,
}

impl KeptRow {
    fn of(row: &Row, store: &Store) -> KeptRow {
        let packed = |slot: Slot| Packed(store.bytes(slot).to_vec());
        KeptRow {
            population: row.population.clone(),
            steps: row.steps.iter().map(|(name, (slot, failed))| (name.clone(), (packed(*slot), *failed))).collect(),
            trends: row.trends.iter().map(|(name, slot)| (name.clone(), packed(*slot))).collect(),
            counts: row.counts.clone(),
            gauges: row.gauges.clone(),
            started: row.started,
            failed: row.failed,
        }
    }

    fn into_row(self, store: &mut Store) -> Row {
        let mut slot_of = |packed: &Packed| {
            let mut slot = Slot::default();
            store.merge(&mut slot, &unpack(&packed.0));
            slot
        };
        let steps = self.steps.into_iter().map(|(name, (packed, failed))| (name, (slot_of(&packed), failed))).collect();
        let trends = self.trends.into_iter().map(|(name, packed)| (name, slot_of(&packed))).collect();
        Row {
            population: self.population,
            steps,
            trends,
            counts: self.counts,
            gauges: self.gauges,
            started: self.started,
            failed: self.failed,
        }
    }
}

impl Serialize for Series {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (rows, store) = self.parts();
        let rows = rows.iter().map(|row| KeptRow::of(row, store)).collect();
        KeptSeries { width: self.width(), rows }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Series {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Series, D::Error> {
        let KeptSeries { width, rows } = KeptSeries::deserialize(deserializer)?;
        if width.is_zero() {
            return Err(D::Error::custom("a series of points without width"));
        }
        let mut store = Store::default();
        let rows = rows.into_iter().map(|row| row.into_row(&mut store)).collect();
        Ok(Series::of_parts(width, rows, store))
    }
}
