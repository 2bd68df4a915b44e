//! QUIC (RFC 9000) without I/O: both ends are state machines, by `quinn-proto`.
//!
//! ```no_run
//! # use loadkit_transport::{Channel, Quic, Raw, Trust, quic};
//! # async fn bot(cx: &loadkit_core::Cx) -> loadkit_core::Result {
//! let config = quic::Config { alpn: vec!["arena/1".into()], ..quic::Config::default() };
//! let game = cx.connect(Quic::new(Raw).config(config).server_name("game.test")).await?;
//! game.send_on(Channel::UNRELIABLE, &b"position"[..])?;
//! # Ok(()) }
//! ```
//!
//! | channel | travels as |
//! |---|---|
//! | ordered, lane n | bidirectional stream n, on which messages are framed; opened by whoever first sends on the lane, and answered on the same |
//! | unordered | a unidirectional stream of its own, whose end is the message's |
//! | unreliable | a datagram (RFC 9221) |
//! | sequenced | refused: QUIC has no such thing |
//!
//! So it goes over any link of datagrams: a socket of its own, a shared one, memory, and any of these under network
//! conditions. Time is an argument; keys and connection ids are the only things that come from the system's randomness.
//! Early data (0-RTT), resumption and the search for larger packets are off: the first two, because each bot is a player
//! of its own; the last, because a link may cut what is larger.
//!
//! A connection is dear: idle it keeps some 20 KB, most of it quinn's own state. Streams that the other side may open
//! cost memory before they are opened: [`Config::lanes`] and [`Config::messages`] are small by default.

mod client;
mod config;
mod failure;
mod ids;
mod lanes;
mod messages;
mod server;
mod session;

#[cfg(test)]
mod tests;

use loadkit_core::Cx;
use rand::Rng;

pub use self::client::Client;
pub use self::config::{Config, Identity};
pub use self::server::{Goodbye, Server, ServerStats};
use crate::codec::Codec;
use crate::dial::Dial;
use crate::speak::{Routed, Speak};
use crate::tls::Security;

/// QUIC: `Quic::new(codec)`. Targets are `quic://host:port`, or without a scheme.
pub type Quic<C> = Dial<Knobs, C>;
/// A [`Server`] with its endpoint.
pub type Host = crate::host::Host<Server>;

/// How a bot speaks QUIC: [`Quic::config`], and whom it trusts.
#[derive(Clone, Debug, Default)]
pub struct Knobs {
    config: Config,
    security: Security,
}

impl Speak for Knobs {
    type Protocol = Client;

    fn secure(&mut self, security: &Security) -> bool {
        self.security = security.clone();
        true
    }

    fn protocol(self, cx: &Cx) -> Client {
        self.client(cx, None)
    }

    fn routed(&self) -> Option<Routed<Client>> {
        let knobs = self.clone();
        let begin = move |cx: &Cx| {
            let number = cx.rng().next_u32();
            (knobs.client(cx, Some(number)), number)
        };
        Some(Routed::new(0, ids::number_in, begin))
    }
}

impl Knobs {
    fn client(&self, cx: &Cx, number: Option<u32>) -> Client {
        let mut seed = [0; 32];
        cx.rng().fill_bytes(&mut seed);
        Client::with(&self.config, &self.security, seed, number)
    }
}

impl<C: Codec> Dial<Knobs, C> {
    /// QUIC as it comes.
    pub fn new(codec: C) -> Self {
        Dial::speaking(Knobs::default(), codec)
    }

    /// With other knobs.
    pub fn config(self, config: Config) -> Self {
        self.speak(Knobs { config, ..Knobs::default() })
    }
}
