//! What the tests that cross crates share: a game of pings with its servers, and child processes that end.

mod answers;
mod army;
pub mod bench;
mod browser;
mod child;
pub mod cloud;
pub mod container;
mod echo;
pub mod fleet;
pub mod noise;
mod runtime_api;
pub mod samples;
pub mod schema;
mod servers;
mod streams;
mod terminal;
mod virtually;

pub use answers::{Answer, Asked, serve_http};
pub use army::Army;
pub use browser::Browser;
pub use child::{Child, Output};
pub use echo::{Echo, Ping, Way, Word, hold};
pub use runtime_api::{Answered, RuntimeApi};
pub use servers::{Datagrams, Peer, Seen, echo_frames, frame, rudp_server, tcp_server};
pub use streams::Served;
pub use terminal::{CTRL_C, Terminal};
pub use virtually::{Delay, Delayed, Simulation, listen};
