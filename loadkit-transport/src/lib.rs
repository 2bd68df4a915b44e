//! `Connection = Protocol + Codec + Link`: how bots talk.
//!
//! A [`Protocol`] is a state machine without I/O, a [`Codec`] turns messages into bytes and back, a [`Link`] moves
//! bytes. A driver joins them into a connection on the bot's own task. Both ends of a protocol are here, so that
//! example servers and simulations are built from the same code as bots.

mod address;
mod any_link;
mod arrival;
mod batch;
pub mod bits;
mod call;
mod carrier;
mod codec;
pub mod conditions;
mod connection;
mod dial;
mod driver;
mod endpoint;
pub mod enet;
mod events;
mod failures;
mod framing;
mod host;
#[cfg(feature = "http")]
pub mod http;
pub mod kcp;
mod link;
mod listener;
pub mod mem;
mod peers;
mod plain;
mod pool;
#[cfg(feature = "prost")]
mod proto;
#[cfg(feature = "prost")]
pub mod protobuf;
mod protocol;
#[cfg(feature = "quic")]
pub mod quic;
mod recv;
pub mod rudp;
mod serve;
mod shared;
mod speak;
#[cfg(any(feature = "ws", feature = "http"))]
mod status;
mod tcp;
#[cfg(feature = "tls")]
pub mod tls;
mod traffic;
mod udp;
mod wire;
#[cfg(feature = "ws")]
pub mod ws;

pub use address::Address;
pub use bytes::Bytes;
pub use call::Call;
pub use codec::{Calls, Codec, Raw, Request, malformed};
pub use connection::Connection;
pub use dial::{Datagram, Dial, Framed, Rudp};
pub use endpoint::Endpoint;
pub use enet::Enet;
pub use framing::{Boundary, FrameDecoder, Framing, Prefix};
pub use host::Host;
#[cfg(feature = "http")]
pub use http::Http;
pub use kcp::Kcp;
pub use link::{Link, Losses, MAX_DATAGRAM, Received};
pub use listener::{Listener, Stream};
pub use loadkit_core::SourcePool;
pub use loadkit_core::flight::{Excerpt, Way};
pub use plain::Plain;
#[cfg(feature = "prost")]
pub use proto::Proto;
pub use protocol::{Channel, Delivery, Event, Protocol, Stats};
#[cfg(feature = "quic")]
pub use quic::Quic;
pub use serve::Serve;
pub use speak::{Datagrams, Routed, Speak};
pub use tcp::Tcp;
#[cfg(feature = "tls")]
pub use tls::Trust;
pub use udp::{SocketBuffers, Udp};
#[cfg(feature = "ws")]
pub use ws::Ws;

#[cfg(test)]
mod tests;
