//! KCP: reliable, ordered messages over datagrams, wire-compatible with the reference implementation (`ikcp.c`).
//!
//! Both ends are a [`Session`]: a state machine without I/O, connected as soon as it is opened, since KCP has no
//! handshake. A [`Server`] holds those of many peers on one socket. There is one channel, `ORDERED` with lane 0;
//! messages longer than a segment travel in fragments, and in [`Mode::Stream`] they share segments.
//!
//! The wire and its rules are the reference's: acks with the sender's time, `una` in each segment, fast resend, its
//! round trips and time-outs, window probes, slow start. Ours are a few things that the wire does not show: a flush
//! happens on the grid of [`Config::interval`] but only when something is due, so that an idle connection has no
//! deadlines; what cannot be true (acks of what was never sent) spoils its datagram; and a half message does not count
//! against the receive window, which can therefore not be shut by it.
//!
//! KCP has no goodbye. [`Session`]'s `close` waits for acks and then falls silent; the other side finds out by its own
//! [`Config::time_out`], or by a segment that is never acked ([`Config::dead_link`]).
//!
//! Deliberately absent: what some games put around KCP (encryption, forward error correction, a handshake for the
//! conversation's number). They differ from game to game, and fit into a protocol that holds a [`Session`].

mod config;
mod incoming;
mod outgoing;
mod rtt;
mod schedule;
mod server;
mod session;
mod wire;

#[cfg(test)]
mod tests;

use loadkit_core::Cx;
use rand::Rng;
use tokio::time::Instant;

use crate::codec::Codec;
use crate::dial::Dial;
pub use crate::peers::PeerId;
use crate::speak::{Routed, Speak};
pub use config::{Config, Mode, NoDelay};
pub use server::{Server, ServerStats};
pub use session::Session;
pub use wire::conv_of;

/// A [`Server`] with its endpoint.
pub type Host = crate::host::Host<Server>;
/// KCP: `Kcp::new(codec)`.
pub type Kcp<C> = Dial<Config, C>;

impl Speak for Config {
    type Protocol = Session;

    /// Without a conversation of its own, the bot takes one from its random numbers, and never 0, which some
    /// implementations read as none.
    fn protocol(self, cx: &Cx) -> Session {
        let conv = self.conv.unwrap_or_else(|| cx.rng().next_u32().max(1));
        Session::new(&self, conv, Instant::now())
    }

    /// By the conversation, if each bot takes one of its own.
    fn routed(&self) -> Option<Routed<Session>> {
        let config = Some(self.clone()).filter(|config| config.conv.is_none())?;
        let begin = move |cx: &Cx| {
            let session = config.clone().protocol(cx);
            let conv = session.conv();
            (session, conv)
        };
        Some(Routed::new(0, conv_of, begin))
    }
}

impl<C: Codec> Dial<Config, C> {
    /// KCP in the reference's turbo mode, [`Config::FAST`].
    pub fn new(codec: C) -> Self {
        Dial::speaking(Config::FAST, codec)
    }

    /// With other knobs.
    pub fn config(self, config: Config) -> Self {
        self.speak(config)
    }
}
