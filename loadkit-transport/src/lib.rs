//! `Connection = Protocol + Codec + Link`: how bots talk.
//!
//! A [`Protocol`] is a state machine without I/O, a [`Codec`] turns messages into bytes and back, a [`Link`] moves
//! bytes. A driver joins them into a connection on the bot's own task. Both ends of a protocol are here, so that
//! example servers and simulations are built from the same code as bots.

mod any_link;
mod arrival;
mod batch;
pub mod bits;
mod call;
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
pub mod kcp;
mod link;
pub mod mem;
mod peers;
mod plain;
mod pool;
#[cfg(feature = "prost")]
mod proto;
#[cfg(feature = "prost")]
pub mod protobuf;
mod protocol;
mod recv;
pub mod rudp;
mod serve;
mod shared;
mod tcp;
mod traffic;
mod udp;

pub use bytes::Bytes;
pub use call::Call;
pub use codec::{Calls, Codec, Raw, Request, malformed};
pub use connection::Connection;
pub use dial::{Datagram, Datagrams, Dial, Framed, Routed, Rudp, Speak};
pub use endpoint::Endpoint;
pub use enet::Enet;
pub use framing::{Boundary, FrameDecoder, Framing, Prefix};
pub use host::Host;
pub use kcp::Kcp;
pub use link::{Link, Losses, MAX_DATAGRAM, Received};
pub use loadkit_core::SourcePool;
pub use plain::Plain;
#[cfg(feature = "prost")]
pub use proto::Proto;
pub use protocol::{Channel, Delivery, Event, Protocol, Stats};
pub use serve::Serve;
pub use tcp::Tcp;
pub use udp::{SocketBuffers, Udp};

#[cfg(test)]
mod tests;
