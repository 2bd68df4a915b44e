//! What is to be played: written once when a run is launched, read by each worker when it claims its lease.

use loadkit_core::RunId;
use serde::{Deserialize, Serialize};

/// What all workers of a run have in common.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Order {
    /// The run.
    pub run: RunId,
    /// The plan in TOML, with the scenario, the target and the load.
    pub plan: String,
    /// The seed of the run, in decimal.
    pub seed: String,
    /// How many workers there are: each plays the segment of its number.
    pub workers: u32,
    /// Shards of each worker; none for one a core.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shards: Option<u32>,
    /// All workers are on one machine: the first of them counts what the machine does, so that it counts once.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub one_machine: bool,
    /// The client that must play it, as `name version`, the build that it was stamped with, or its whole stamp
    /// ([`Stamp::id`](loadkit_core::Stamp::id)); empty for any.
    #[serde(default)]
    pub client: String,
    /// Workers of several builds may play it. Otherwise the build of the first that claims is that of the run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub mixed_builds: bool,
    /// What has been agreed on times.
    pub terms: Terms,
}

/// The times by which worker and fleet keep faith.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Terms {
    /// A worker renews its lease so often, ms.
    pub beat_ms: u64,
    /// A lease that was not renewed for so long is lost: the fleet gives the segment to another, and the worker stops, ms.
    pub lease_ms: u64,
    /// A worker sends its figures so often, ms.
    pub report_ms: u64,
    /// A worker waits so long after the agreed start for a word that it was put off, and then ends, ms.
    pub patience_ms: u64,
    /// Players of a handed-over segment connect within this time, ms.
    pub over_ms: u64,
    /// Their predecessors leave so much later, ms.
    pub overlap_ms: u64,
}

impl Default for Terms {
    fn default() -> Terms {
        Terms {
            beat_ms: 2_000,
            lease_ms: 15_000,
            report_ms: 2_000,
            patience_ms: 180_000,
            over_ms: 20_000,
            overlap_ms: 5_000,
        }
    }
}
