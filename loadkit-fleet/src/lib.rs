//! `RunRequest -> Fleet -> workers -> parcels -> rollups -> verdict`: the control plane of a fleet.
//!
//! **The state of a run is in the store, never in a caller.** Whoever dies, the launcher, a worker, the collator, another
//! takes up what lies there, and every run ends: complete, partial or failed, never "running" for ever.

mod collate;
mod collect;
mod fleet;
mod keeper;
mod launcher;
mod local;
mod notify;
mod patient;
mod record;
mod request;
pub mod rollup;
mod staff;

pub use collate::collate_all;
pub use collect::{Collected, Poison, collect};
pub use fleet::{Asked, DIAL, Fleet, FleetError, Guard, Refusal, RunLine, Settings, Unguarded, WorkerLine};
pub use keeper::{Kept, keep, keep_all, report_file};
pub use launcher::{Home, Launcher, Quotas};
pub use local::{JOB_VARIABLE, LocalLauncher};
pub use notify::{Happening, Notifier, Silent};
pub use record::{Ending, Note, RunRecord, RunState};
pub use request::{Caller, Long, RunRequest, RunnerChoice};
pub use staff::{Generation, MAX_WORKERS, Staffing, Usual, most_players, staff};
