//! WebSockets (RFC 6455): one message of the game is one message of the WebSocket.
//!
//! ```no_run
//! # use loadkit_transport::{Raw, Ws};
//! # async fn bot(cx: &loadkit_core::Cx) -> loadkit_core::Result {
//! let game = cx.connect(Ws::new(Raw).path("/game").header("authorization", "Bearer 123").subprotocol("v2")).await?;
//! # Ok(()) }
//! ```
//!
//! Pings are answered, compression is never offered, and the end is said both ways with its code and reason. Handshake
//! and the layout of headers are tungstenite's; the socket is our own, because an idle one here holds no buffer: that of
//! tungstenite keeps what it has ever needed.

pub mod frames;
mod link;
mod upgrade;

use loadkit_core::Cx;

pub(crate) use self::link::WebSocket;
pub use self::upgrade::Upgrade;
use crate::codec::Codec;
use crate::dial::Dial;
use crate::plain::Plain;
use crate::speak::Speak;

/// WebSockets: `Ws::new(codec)`. Targets are `ws://host:port/path`, and with the feature `tls` `wss://…`.
pub type Ws<C> = Dial<Upgrade, C>;

impl Speak for Upgrade {
    type Protocol = Plain;

    fn upgrade(&self) -> Option<&Upgrade> {
        Some(self)
    }

    fn protocol(self, _: &Cx) -> Plain {
        Plain::new(self.max)
    }
}

impl<C: Codec> Dial<Upgrade, C> {
    /// Binary messages of at most 1 MiB, at the target's path.
    pub fn new(codec: C) -> Self {
        Dial::speaking(Upgrade::default(), codec)
    }

    /// At this path, with its query, instead of the target's.
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.0.speak.path = Some(path.into());
        self
    }

    /// With this header in the request: a token, a cookie, an origin. It may be given more than once.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.0.speak.headers.push((name.into(), value.into()));
        self
    }

    /// Offers this subprotocol. Given more than once, the server chooses; it may also choose none.
    pub fn subprotocol(mut self, name: impl Into<String>) -> Self {
        self.0.speak.subprotocols.push(name.into());
        self
    }

    /// Sends messages as text; the codec's bytes must be UTF-8. Both kinds are received either way.
    pub fn text(mut self) -> Self {
        self.0.speak.is_text = true;
        self
    }

    /// Messages of at most so many bytes, both ways; 1 MiB by default. A connection holds so much while a message
    /// arrives in parts.
    pub fn max_message(mut self, bytes: usize) -> Self {
        self.0.speak.max = bytes;
        self
    }
}
