//! `bots -> the arena's protocol -> its server`: a small game, and the load test of it.

mod counts;
mod game;
mod options;
pub mod serve;
mod server;
pub mod wire;

pub use counts::{Counts, CountsError};
pub use game::{FULL_HEALTH, Game, ITEMS, MAX_PARTY, Output, Peer, Rules, SIDE, STRIDE, TICK};
pub use options::{HELP, Options, OptionsError, Stall};
pub use server::Server;
