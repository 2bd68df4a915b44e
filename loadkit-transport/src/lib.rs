//! `Connection = Protocol + Codec + Link`: how bots talk.
//!
//! A [`Protocol`] is a state machine without I/O, a [`Codec`] turns messages into bytes and back, a [`Link`] moves
//! bytes. A driver joins them into a connection on the bot's own task. Both ends of a protocol are here, so that
//! example servers and simulations are built from the same code as bots.

mod codec;
mod link;
mod protocol;
pub mod rudp;

pub use codec::{Calls, Codec, Raw, Request, malformed};
pub use link::{Link, MAX_DATAGRAM, Received};
pub use protocol::{Channel, Delivery, Event, Protocol, Stats};
