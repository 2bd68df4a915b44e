//! `RunRequest -> Fleet -> workers -> parcels -> rollups -> verdict`: the control plane of a fleet.
//!
//! **The state of a run is in the store, never in a caller.** Whoever dies, the launcher, a worker, the collator, another
//! takes up what lies there, and every run ends: complete, partial or failed, never "running" for ever.

#[cfg(feature = "api")]
pub mod api;
#[cfg(feature = "api")]
mod auth;
mod estimate;
mod launcher;
mod notify;
mod policy;
mod record;
mod request;

#[cfg(feature = "api")]
pub use auth::{AuthError, Known, NewToken, TokenInfo, Tokens, WorkerTokens};
pub use estimate::{
    CostLine, Dollars, Estimate, FARGATE_GB, FARGATE_PLAYERS, FARGATE_VCPUS, LAMBDA_MB, LAMBDA_PLAYERS, LAMBDA_TURN,
    LOCAL_WORKERS, Need, OverQuota, most_players, usual_workers,
};
pub use launcher::{Home, Launcher, Quotas};
pub use notify::{Happening, Notifier, Silent};
pub use policy::{Policy, Refusal};
pub use record::{Ending, Note, RunRecord, RunState};
pub use request::{Caller, Long, RunRequest, RunnerChoice};
