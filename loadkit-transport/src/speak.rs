//! How a bot speaks: what makes its end of a protocol.

use std::hash::BuildHasher;
use std::rc::Rc;

use loadkit_core::Cx;
use rand::Rng;
use rustc_hash::FxBuildHasher;

use crate::framing::Framing;
use crate::link::MAX_DATAGRAM;
use crate::plain::Plain;
use crate::protocol::Protocol;
use crate::rudp;
use crate::shared::RouteOf;
#[cfg(feature = "tls")]
use crate::tls::Security;
#[cfg(feature = "ws")]
use crate::ws::Upgrade;

/// The longest UDP payload over IPv4: 65,535 less the headers.
const MAX_PAYLOAD: usize = MAX_DATAGRAM - 28;

/// Makes a bot's end of a protocol. Closures `FnOnce(&Cx) -> P` do.
pub trait Speak {
    /// The protocol.
    type Protocol: Protocol + 'static;

    /// Hands over whom to trust, to protocols that bring their own TLS. Whether this is one.
    #[cfg(feature = "tls")]
    fn secure(&mut self, security: &Security) -> bool {
        let _ = security;
        false
    }

    /// The WebSocket in which it goes, if it goes in one.
    #[cfg(feature = "ws")]
    fn upgrade(&self) -> Option<&Upgrade> {
        None
    }

    /// One end, for the bot of `cx`; what it needs of randomness comes from there.
    fn protocol(self, cx: &Cx) -> Self::Protocol;

    /// How its datagrams are told apart, if they say for which connection they are: then bots can share sockets.
    fn routed(&self) -> Option<Routed<Self::Protocol>> {
        None
    }
}

/// Makes one end, and tells its number.
type Begin<P> = Box<dyn Fn(&Cx) -> (P, u32)>;

/// How the datagrams of many connections on one socket are told apart: each connection has a number of its own, which
/// the server writes into every datagram to it.
pub struct Routed<P> {
    pub(crate) tag: u64,
    pub(crate) route_of: RouteOf,
    pub(crate) begin: Begin<P>,
}

impl<P> Routed<P> {
    /// `route_of` reads the number in a datagram from the server; it must be total. `begin` makes one end, and tells its
    /// number; it is called again when that number is taken. Only those with the same `tag` share a socket: it stands
    /// for whatever `route_of` depends on.
    pub fn new(
        tag: u64,
        route_of: impl Fn(&[u8]) -> Option<u32> + 'static,
        begin: impl Fn(&Cx) -> (P, u32) + 'static,
    ) -> Self {
        Routed { tag, route_of: Rc::new(route_of), begin: Box::new(begin) }
    }
}

impl<P: Protocol + 'static, F: FnOnce(&Cx) -> P> Speak for F {
    type Protocol = P;

    fn protocol(self, cx: &Cx) -> P {
        self(cx)
    }
}

impl Speak for rudp::Config {
    type Protocol = rudp::Client;

    fn protocol(self, cx: &Cx) -> rudp::Client {
        rudp::Client::new(&self, cx.rng().next_u64())
    }

    fn routed(&self) -> Option<Routed<rudp::Client>> {
        let (route, begin) = (self.clone(), self.clone());
        let begin = move |cx: &Cx| {
            let client = rudp::Client::new(&begin, cx.rng().next_u64());
            let id = client.id();
            (client, id)
        };
        let tag = FxBuildHasher.hash_one(self.magic.as_bytes());
        Some(Routed::new(tag, move |datagram| route.client_id_of(datagram), begin))
    }
}

/// Datagrams without a protocol.
#[derive(Clone, Copy, Debug, Default)]
pub struct Datagrams;

impl Speak for Datagrams {
    type Protocol = Plain;

    fn protocol(self, _: &Cx) -> Plain {
        Plain::new(MAX_PAYLOAD)
    }
}

impl Speak for Framing {
    type Protocol = Plain;

    fn protocol(self, _: &Cx) -> Plain {
        Plain::framed(self)
    }
}
