//! What the tests that cross crates share: a game of pings with its servers, and child processes that end.

pub mod bench;
mod child;
mod echo;
pub mod fleet;
pub mod noise;
pub mod samples;
pub mod schema;
mod servers;
mod streams;
mod virtually;

pub use child::{Child, Output};
pub use echo::{Echo, Ping, Way, Word, hold};
pub use servers::{Datagrams, Peer, Seen, echo_frames, frame, rudp_server, tcp_server};
pub use streams::Served;
pub use virtually::{Delay, Delayed, Simulation, listen};
