//! `bots -> the arena's protocol -> its server`: a small game, and the load test of it.
//!
//! Read [`Arena`] first: the players. The rest is the server they play on.

mod agree;
mod bots;
mod counts;
mod demo;
mod game;
mod options;
pub mod serve;
mod server;
pub mod wire;
mod work;

pub use agree::Comparison;
pub use bots::{Arena, Player};
pub use counts::{Counts, CountsError};
pub use demo::demo;
pub use game::{FULL_HEALTH, Game, ITEMS, MAX_PARTY, Output, Peer, Rules, SIDE, STRIDE, TICK};
pub use options::{HELP, Options, OptionsError, Stall};
pub use server::Server;
pub use work::Work;
