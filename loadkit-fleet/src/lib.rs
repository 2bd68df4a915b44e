//! `RunRequest -> Fleet -> workers -> parcels -> rollups -> verdict`: the control plane of a fleet.
//!
//! **The state of a run is in the store, never in a caller.** Whoever dies, the launcher, a worker, the collator, another
//! takes up what lies there, and every run ends: complete, partial or failed, never "running" for ever.

#[cfg(feature = "api")]
pub mod api;
#[cfg(feature = "api")]
mod auth;
mod collate;
mod collect;
mod crew;
#[cfg(feature = "embedded")]
mod embedded;
mod error;
mod estimate;
mod failures;
mod fleet;
mod guard;
#[cfg(feature = "api")]
mod guarded;
mod inbox;
mod keeper;
mod launcher;
mod local;
mod marker;
mod notify;
mod patient;
#[cfg(feature = "api")]
mod plans;
mod policy;
mod prepare;
mod record;
mod request;
pub mod rollup;
#[cfg(feature = "serve")]
mod serve;
mod settings;
mod staff;
#[cfg(feature = "webhook")]
mod webhook;

#[cfg(feature = "api")]
pub use auth::{AuthError, Known, NewToken, Role, TokenInfo, Tokens};
pub use collate::collate_all;
pub use collect::{Collected, Poison, collect};
pub use crew::Crew;
#[cfg(feature = "embedded")]
pub use embedded::EmbeddedStore;
pub use error::FleetError;
pub use estimate::{CostLine, Dollars, Estimate, FARGATE_GB, FARGATE_VCPUS, LAMBDA_MB, Need, OverQuota};
pub use failures::{Failures, Flown};
pub use fleet::{DIAL, Fleet, RunLine};
pub use guard::{Asked, Guard, Rail, Refusal, Unguarded};
#[cfg(feature = "api")]
pub use guarded::Guarded;
pub use inbox::{Inbox, MemoryQueue, Received};
pub use keeper::{Kept, keep, keep_all, report_file};
pub use launcher::{Home, Launcher, Quotas};
pub use local::{JOB_VARIABLE, LocalLauncher};
pub use marker::Marker;
pub use notify::{Happening, Notifier, Silent};
#[cfg(feature = "api")]
pub use plans::{PlanFile, PlanFolder, Planned, Plans};
pub use policy::Policy;
pub use record::{Ending, Note, RunRecord, RunState};
pub use request::{Caller, Long, RunRequest, RunnerChoice};
#[cfg(feature = "serve")]
pub use serve::{ServeOptions, Serving, open_store};
pub use settings::{Settings, WorkerLine};
pub use staff::{Generation, MAX_WORKERS, Staffing, Usual, most_players, staff};
#[cfg(feature = "webhook")]
pub use webhook::Webhook;
