//! Reliable UDP: messages over datagrams, with a promise for each channel. `docs/rudp.md` has the wire format.
//!
//! Both ends are state machines without I/O: [`Client`] connects, [`Server`] is connected to, and after the
//! handshake both hold a [`Session`]. Messages of one flush share packets; what is lost is sent again by message, in
//! new packets. Each promise has up to 16 lanes that do not wait for each other ([`Config::channels`]), and long
//! messages travel in pieces on all of them.
//!
//! What the network may do to it: every byte that arrives is checked, everything that a peer could make grow is
//! bounded, and what is thrown away is counted. A server keeps nothing of a client that has not shown that it can be
//! reached, never answers with more than it was sent, and moves a session to another address only when that was shown
//! too. With the feature `encryption` packets are sealed, and connect tokens say who may come.
//!
//! Deliberately absent: probing for larger packets ([`Config::packet`] is what the game says), a congestion window by
//! default (a load tester reports back-off and does not hide it; [`Congestion::NewReno`] is there), compression (a
//! codec's affair).

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
mod sending;
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
