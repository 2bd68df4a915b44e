//! Reliable UDP: messages over datagrams, with a promise for each channel.
//!
//! Both ends are state machines without I/O: [`Client`] connects, [`Server`] is connected to, and after the
//! handshake both hold a [`Session`]. Messages of one flush share packets; what is lost is sent again by message, in
//! new packets.
//!
//! There is one lane of each promise. Ordered messages may be up to [`Config::message`] long and travel in pieces;
//! those of the other channels fit into a packet.
//!
//! Deliberately absent so far: encryption, congestion control (a load tester reports back-off and does not hide it),
//! probing for larger packets.

mod client;
mod config;
mod frame;
mod gate;
mod host;
mod incoming;
mod outgoing;
mod path;
mod peers;
mod rtt;
mod server;
mod session;
mod unreliable;
mod wire;

#[cfg(test)]
mod tests;

pub use crate::dial::Rudp;
pub use client::Client;
pub use config::{BackOff, Channels, Config, Congestion, MIN_PACKET, Magic};
pub use host::Host;
pub use peers::{Hello, PeerId};
pub use server::{CODE_FULL, MAX_ANSWER, Server, ServerStats};
pub use session::Session;
