//! Metrics: recorders on the shards, snapshots between them and the collector, and totals that merge exactly.

mod collect;
mod dense;
mod histogram;
mod interval;
#[cfg(feature = "keep")]
mod keep;
pub mod names;
mod packed;
mod point;
mod recorder;
mod series;
mod snapshot;
mod stretch;
mod table;
mod wire;

pub use collect::{Applied, Collector, MetricSink, ShardSeen, Totals};
pub use histogram::{Histogram, HistogramDelta};
#[cfg(feature = "archive")]
pub(crate) use interval::{highest_of, lowest_of, most_buckets};
pub use point::{Point, SeriesStep};
pub use recorder::{GaugeReading, Recorder, Sample, StepTotals, TrendTotals, TrendUnit};
pub(crate) use recorder::{count_kind, micros, unit_of};
pub use snapshot::{FailureSample, GaugeDelta, RunId, Snapshot, SnapshotKey, StepDelta, TrendDelta};
pub use stretch::{ShardPlayers, Stretch};
pub use table::MetricId;
pub use wire::PackedDelta;
