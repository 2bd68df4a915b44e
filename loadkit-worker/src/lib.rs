//! `Job -> claim -> Order -> the engine -> Parcels`: a worker of a fleet, wherever it runs.
//!
//! **A worker is told who it is and where the fleet can be reached, and nothing else** ([`Job`]). It claims its lease, and
//! with it gets what is to be played ([`Order`]). While it plays it renews the lease and hears the fleet's latest word
//! ([`Command`]): when to start, whether to stop, how far the load is turned up. Its figures leave as [`Parcel`]s, which may
//! arrive twice and in any order.
//!
//! All of that goes over a [`Line`]. On AWS it is a table and a queue ([`StoreLine`] over a [`Store`] and an [`Outbox`]);
//! to a fleet on this machine it is HTTP, with the same [`StoreLine`] behind it. So there is one logic of leases.
//!
//! This crate names no cloud. It opens no socket, but with the feature `http`.
//!
//! # Features
//! - `http`: a line over HTTP/1.1 (`http::HttpLine`).
//! - `process`: the home of workers that are processes, told by `LOADKIT_JOB` (`process`).

mod build;
mod clock;
mod command;
#[cfg(any(test, feature = "contract"))]
pub mod contract;
pub mod http;
mod job;
mod lease;
pub mod life;
mod line;
mod order;
mod parcel;
#[cfg(feature = "process")]
pub mod process;
mod store;

pub use build::build_of;
pub use clock::{Clock, SystemClock, VirtualClock};
pub use command::{Command, StopWord};
pub use job::{Address, Job, JobError, MAX_JOB_BYTES};
pub use lease::{Lease, Phase, WorkerEnd, WorkerStatus, keys};
pub use line::{Beat, Claim, Line, LineError, Outbox, StoreLine};
pub use order::{Order, Terms};
pub use parcel::{MAX_TEXT, Parcel, ParcelError, Parcels};
pub use store::{
    Expect, Item, Key, MAX_BODY, MemoryStore, Page, Store, StoreError, blob, check_item, get_json, put_json,
};
