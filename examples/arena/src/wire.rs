//! What goes over the wire: the messages of `proto/arena.proto`, and how each of them travels.

use loadkit_transport::{Channel, rudp};

include!(concat!(env!("OUT_DIR"), "/arena.rs"));

/// Which game the transport's handshake asks for.
const PROTOCOL: u32 = 0x6172_6e61;

/// The transport's knobs, the same for both ends.
pub fn config() -> rudp::Config {
    rudp::Config { protocol: PROTOCOL, ..rudp::Config::DEFAULT }
}

impl FromClient {
    /// Moves do not wait for each other; all else comes in order.
    pub fn channel(&self) -> Channel {
        match self.body {
            Some(from_client::Body::Move(_)) => Channel::UNORDERED,
            _ => Channel::ORDERED,
        }
    }
}

impl FromServer {
    /// A lost snapshot is not sent again, because the next is newer. Everything else arrives.
    pub fn channel(&self) -> Channel {
        match self.body {
            Some(from_server::Body::Snapshot(_)) => Channel::SEQUENCED,
            Some(from_server::Body::Moved(_)) => Channel::UNORDERED,
            _ => Channel::ORDERED,
        }
    }
}
