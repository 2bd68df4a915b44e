//! ENet 1.3, on the wire as its C library: messages over datagrams, on up to 255 channels.
//!
//! Both ends are state machines without I/O: [`Client`] connects, [`Server`] is connected to, and both hold a [`Session`]
//! for each connection. Written from the protocol's layout and constants; tested against a port of the C library in both
//! directions.
//!
//! A [`Channel`](crate::Channel) of ours is a promise and a lane; ENet's has a number and takes messages with either
//! promise. Lane `n` is ENet's channel `n`:
//!
//! | promise | on the wire |
//! |---|---|
//! | `Ordered` | reliable; in pieces when longer than a datagram |
//! | `Sequenced` | unreliable, and after the reliable messages that were sent before it; in pieces when longer |
//! | `Unreliable` | unsequenced; within a datagram |
//! | `Unordered` | there is none: `TARGET` |
//!
//! After 65,535 sequenced messages on a channel without an ordered one between them, one goes as an ordered one, as the
//! C library does it: receivers do not let those numbers wrap around.
//!
//! Deliberately absent: compression (the range coder; compressed datagrams are discarded), broadcast, connecting from
//! within a [`Server`], and telling bandwidths when none was set.

mod acks;
mod agreed;
mod bandwidth;
mod checksum;
mod client;
mod config;
mod held;
mod incoming;
mod loose;
mod outgoing;
mod pace;
mod reassembly;
mod reliable;
mod server;
mod session;
mod unsequenced;
mod wire;

#[cfg(test)]
mod tests;

use loadkit_core::Cx;
use rand::{Rng, RngExt};

use crate::codec::Codec;
use crate::dial::Dial;
use crate::speak::{Routed, Speak};
use wire::NO_PEER;

pub use crate::peers::PeerId;
pub use client::Client;
pub use config::Config;
pub use server::{Server, ServerStats};
pub use session::Session;
pub use wire::peer_id_of;

/// A [`Server`] with its endpoint.
pub type Host = crate::host::Host<Server>;
/// ENet: `Enet::new(codec)`.
pub type Enet<C> = Dial<Config, C>;

impl Speak for Config {
    type Protocol = Client;

    fn protocol(self, cx: &Cx) -> Client {
        Client::new(&self, cx.rng().next_u32())
    }

    /// The server writes the client's own number of it into each datagram; there are 4,095, and so no more clients fit on
    /// a socket.
    fn routed(&self) -> Option<Routed<Client>> {
        let config = self.clone();
        let begin = move |cx: &Cx| {
            let [connect_id, id] = [cx.rng().next_u32(), cx.rng().random_range(0..u32::from(NO_PEER))];
            (Client::new(&config, connect_id).with_peer_id(id as u16), id)
        };
        Some(Routed::new(0, |datagram| peer_id_of(datagram).map(u32::from), begin))
    }
}

impl<C: Codec> Dial<Config, C> {
    /// ENet as it comes.
    pub fn new(codec: C) -> Self {
        Dial::speaking(Config::DEFAULT, codec)
    }

    /// With other knobs.
    pub fn config(self, config: Config) -> Self {
        self.speak(config)
    }
}
