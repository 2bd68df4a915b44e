//! `RunRequest -> Fleet -> workers -> parcels -> rollups -> verdict`: the control plane of a fleet.
//!
//! **The state of a run is in the store, never in a caller.** Whoever dies, the launcher, a worker, the collator, another
//! takes up what lies there, and every run ends: complete, partial or failed, never "running" for ever.

#[cfg(feature = "embedded")]
mod embedded;
mod inbox;
mod launcher;
mod notify;
mod record;
mod request;
#[cfg(feature = "webhook")]
mod webhook;

#[cfg(feature = "embedded")]
pub use embedded::EmbeddedStore;
pub use inbox::{Inbox, MemoryQueue, Received};
pub use launcher::{Home, Launcher, Quotas};
pub use notify::{Happening, Notifier, Silent};
pub use record::{Ending, Note, RunRecord, RunState};
pub use request::{Caller, Long, RunRequest, RunnerChoice};
#[cfg(feature = "webhook")]
pub use webhook::Webhook;
