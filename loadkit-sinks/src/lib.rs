//! `Snapshot -> Interval -> Prometheus, OTLP, JSON lines, StatsD, CloudWatch`: a run's figures while it runs.
//!
//! A [`Fan`] stands before the run's collector. It merges what the shards send into one [`Interval`] at a time, bucket for
//! bucket, and gives each to all sinks through bounded queues, on a thread of its own. **A sink that is slow or dead makes
//! nobody wait**: what it misses is counted as `loadkit.sink_dropped` and `loadkit.sink_errors` and reported.
//!
//! ```
//! use std::time::Duration;
//!
//! use loadkit_core::Collector;
//! use loadkit_sinks::{Fan, FanOptions, Sink, losses};
//!
//! # fn main() -> std::io::Result<()> {
//! let second = Duration::from_secs(1);
//! let sinks: Vec<Box<dyn Sink>> = Vec::new(); // Box::new(StatsD::open("127.0.0.1:8125", false)?), …
//! let now = || std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
//! let mut fan = Fan::start(Collector::new(second), sinks, &FanOptions::new(second, 2, now))?;
//! // loadkit_core::run(&scenario, &job, &host, &control, &mut fan)?;
//! let (mut collector, deliveries) = fan.finish();
//! collector.apply(&losses(&deliveries, loadkit_core::RunId(1), 0, collector.totals().to_us));
//! let warnings: Vec<String> = deliveries.iter().filter_map(|delivery| delivery.warning()).collect();
//! # assert!(warnings.is_empty());
//! # Ok(()) }
//! ```
//!
//! # Features
//! Each sink has its own, and none is on by default: `prometheus`, `otlp`, `json-lines`, `statsd`, `emf`.
//!
//! # Deliberately absent
//! - Retries and spools. What an endpoint did not take is lost to it, and said to be lost; the report has it all the same.
//! - TLS. Figures go to an agent or a collector on this machine or in this network, and those know how to go further.
//! - Percentiles that are averaged. Where a system takes distributions, it gets buckets.

#[cfg(any(feature = "prometheus", feature = "otlp", feature = "statsd"))]
mod claims;
#[cfg(feature = "emf")]
mod emf;
#[cfg(any(feature = "otlp", feature = "emf"))]
mod exponential;
mod fan;
#[cfg(any(feature = "json-lines", feature = "emf"))]
mod file;
mod interval;
#[cfg(feature = "json-lines")]
mod json_lines;
mod losses;
mod merge;
#[cfg(any(feature = "prometheus", feature = "otlp", feature = "statsd", feature = "emf"))]
mod name;
#[cfg(feature = "otlp")]
mod otlp;
#[cfg(feature = "prometheus")]
mod prometheus;
mod sink;
#[cfg(feature = "statsd")]
mod statsd;
#[cfg(test)]
mod testing;

#[cfg(feature = "emf")]
pub use emf::Emf;
pub use fan::{Fan, FanOptions};
pub use interval::{Interval, Players, StepFigures};
#[cfg(feature = "json-lines")]
pub use json_lines::JsonLines;
pub use losses::{Delivery, SINK_DROPPED, SINK_ERRORS, losses};
#[cfg(feature = "otlp")]
pub use otlp::Otlp;
#[cfg(feature = "prometheus")]
pub use prometheus::Prometheus;
pub use sink::{RunLabels, Sink, SinkError};
#[cfg(feature = "statsd")]
pub use statsd::StatsD;
