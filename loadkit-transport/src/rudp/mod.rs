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

mod arrivals;
mod client;
mod config;
mod congestion;
#[cfg(feature = "encryption")]
mod crypto;
mod door;
mod fragments;
mod frame;
mod gate;
mod host;
mod incoming;
mod lanes;
mod numbers;
mod outgoing;
mod path;
mod peers;
mod rtt;
mod sealing;
mod server;
mod session;
mod taking;
#[cfg(feature = "encryption")]
mod token;
mod unreliable;
mod wire;

#[cfg(test)]
mod tests;

pub use crate::dial::Rudp;
pub use client::Client;
pub use config::{BackOff, Channels, Config, Congestion, MIN_PACKET, Magic};
pub use door::{CODE_EXPIRED, CODE_FULL, CODE_TOKEN};
pub use host::Host;
pub use peers::{Hello, PeerId};
pub use server::{MAX_ANSWER, Server, ServerStats};
pub use session::Session;
#[cfg(feature = "encryption")]
pub use token::{Grant, MAX_SERVERS, MAX_USER_DATA, Token, TokenKey};
