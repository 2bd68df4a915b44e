//! `schema -> typed messages behind opcodes`: Protobuf with generics.
//!
//! Protobuf has neither type parameters nor opcodes, so games put a tier on top: an [`Envelope`] says by its opcode what
//! is in it and which request it answers, and [`Paged`] and [`Outcome`] carry whatever a service lists or decides. Other
//! languages see plain Protobuf: a type parameter is a field of `bytes` to them, and the bytes are the same, because
//! `bytes` and a message are both length-delimited on the wire ([encoding][wire]).
//!
//! `loadkit-build` makes all of it from `.proto` files in a game's `build.rs`: the messages, their opcodes ([`Wire`]),
//! which answers which ([`Request`](crate::Request)), and a table for each direction ([`Opcodes`]). A bot then connects
//! with the codec [`Enveloped`] of what it receives: `cx.connect(Rudp::new(Enveloped::<FromServer>::new()))`.
//!
//! A team's own generic messages are made from the schema too, or written by hand:
//!
//! ```
//! use std::fmt::Debug;
//!
//! use loadkit_transport::protobuf::{Envelope, Wire, prost::Message};
//! # use loadkit_transport::protobuf::prost;
//!
//! #[derive(Clone, PartialEq, Message)]
//! struct Move {
//!     #[prost(sint32, tag = "1")]
//!     dx: i32,
//!     #[prost(sint32, tag = "2")]
//!     dy: i32,
//! }
//!
//! impl Wire for Move {
//!     const OPCODE: u32 = 3;
//!     const NAME: &'static str = "Move";
//! }
//!
//! /// A game's own: what it is about, and since when it holds.
//! #[derive(Clone, PartialEq, Message)]
//! struct Dated<T: Message + Default + Debug> {
//!     #[prost(uint64, tag = "1")]
//!     since_ms: u64,
//!     #[prost(message, optional, tag = "2")]
//!     value: Option<T>,
//! }
//!
//! let order = Envelope { seq: 7, ..Envelope::<Move>::new(Move { dx: -1, dy: 300 }) };
//! let bytes = [0x08, 0x03, 0x10, 0x07, 0x7a, 0x05, 0x08, 0x01, 0x10, 0xd8, 0x04];
//! assert_eq!(order.encode_to_vec(), bytes);
//! assert_eq!(Envelope::<Dated<Move>>::decode(&bytes[..4])?.body.value, None);
//! # Ok::<(), prost::DecodeError>(())
//! ```
//!
//! [wire]: https://protobuf.dev/programming-guides/encoding/#structure

mod envelope;
mod enveloped;
mod generics;
mod wire;

pub use envelope::Envelope;
pub use enveloped::Enveloped;
pub use generics::{Either, Outcome, Paged};
#[doc(no_inline)]
pub use loadkit_core::Failure;
/// The crate of Protobuf messages: bring its `Message` into scope to encode and decode by hand.
pub use prost;
pub use wire::{Opcodes, Wire};

#[cfg(test)]
mod tests;
