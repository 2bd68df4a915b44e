//! `values <-> bits`: messages in as few bits as they need.
//!
//! [`Packed`] is a value with a form in bits, usually derived (feature `derive`); [`Bits`] makes a codec of it;
//! [`BitWriter`] and [`BitReader`] are below, for formats that somebody else has laid out.
//!
//! # A message
//! ```
//! # #[cfg(feature = "derive")] mod example {
//! use loadkit_transport::bits::{Bits, Packed};
//! use loadkit_transport::{Channel, Codec};
//!
//! #[derive(Debug, PartialEq, Packed)]
//! # #[bits(crate = loadkit_transport)]
//! enum ToServer {
//!     Move(Move),
//!     Say {
//!         #[bits(string(120))]
//!         text: String,
//!     },
//!     Leave,
//! }
//!
//! #[derive(Debug, PartialEq, Packed)]
//! # #[bits(crate = loadkit_transport)]
//! struct Move {
//!     #[bits(varint)]
//!     sequence: u32, // 8 bits below 128
//!     #[bits(0..=1023)]
//!     x: u16, // 10 bits
//!     #[bits(quantised(-1.0..=1.0, 0.01))]
//!     dx: f32, // 8 bits: 201 values
//!     jumps: bool, // 1 bit
//!     #[bits(option(0..=63))]
//!     target: Option<u8>, // 1 bit, or 7
//! }
//!
//! # pub fn main() -> Result<(), loadkit_core::Failure> {
//! let mut codec = Bits::<ToServer, ToServer>::new().on(Channel::SEQUENCED);
//! let message = ToServer::Move(Move { sequence: 9, x: 512, dx: -0.5, jumps: true, target: None });
//! let mut bytes = Vec::new();
//! codec.encode(&message, &mut bytes)?;
//! assert_eq!(bytes.len(), 4); // 2 bits of tag, and 28
//! assert_eq!(codec.decode(&bytes)?, message);
//!
//! // What the other side makes up is a failure that names the field.
//! let failure = codec.decode(&bytes[..2]).unwrap_err();
//! assert_eq!(failure.to_string(), "Move.x (at bit 10) cannot be read: the bits end within it");
//! # Ok(())
//! # }
//! # }
//! # #[cfg(feature = "derive")] example::main().unwrap();
//! ```
//! A bot connects with it as with any codec: `cx.connect(Rudp::new(codec))`.
//!
//! # Differences from a baseline
//! A snapshot of which most has not changed since the one that the other side has acknowledged is sent as a
//! [delta](Packed::write_delta) from that one:
//! ```
//! # #[cfg(feature = "derive")] mod example {
//! # use loadkit_transport::bits::{BitError, BitReader, BitWriter, LsbFirst, Packed};
//! #[derive(Clone, Default, Packed)]
//! # #[bits(crate = loadkit_transport)]
//! struct World {
//!     #[bits(relative(4))]
//!     tick: u32,
//!     #[bits(list(64))]
//!     players: Vec<Player>,
//! }
//!
//! #[derive(Clone, Default, Packed)]
//! # #[bits(crate = loadkit_transport)]
//! struct Player {
//!     #[bits(each(clamped(-512.0..=512.0, 0.01)))]
//!     place: [f32; 2],
//!     #[bits(quaternion(9))]
//!     facing: [f32; 4],
//!     #[bits(0..=100)]
//!     health: u8,
//! }
//!
//! # pub fn main() -> Result<(), BitError> {
//! let player = Player { place: [1.0, 2.0], facing: [0.0, 0.0, 0.0, 1.0], health: 100 };
//! let acknowledged = World { tick: 100, players: vec![player; 20] };
//! let mut now = acknowledged.clone();
//! now.tick += 2;
//! now.players[7].health = 60;
//!
//! let mut w = BitWriter::<LsbFirst>::new();
//! now.write_delta(&acknowledged, &mut w)?;
//! let bytes = w.finish();
//! assert_eq!(bytes.len(), 6);
//!
//! let mut w = BitWriter::<LsbFirst>::new();
//! now.write(&mut w)?;
//! assert_eq!(w.finish().len(), 180); // the whole of it
//!
//! let mut theirs = acknowledged.clone();
//! let mut r = BitReader::<LsbFirst>::new(&bytes);
//! theirs.read_delta(&mut r)?;
//! r.finish()?;
//! assert_eq!((theirs.tick, theirs.players[7].health), (102, 60));
//! # Ok(())
//! # }
//! # }
//! # #[cfg(feature = "derive")] example::main().unwrap();
//! ```
//! Which baseline that is (the message tells its number, both sides keep the last few) is the game's own codec's affair:
//! see [`Codec`](crate::Codec), which may remember.
//!
//! # On the wire
//! There is nothing but the fields: no names, no types, no lengths where nothing has to be counted. Both sides must have
//! the same messages, so a game puts its version into its handshake. All numbers that a form is made from stand at the
//! form ([`Quantised`], [`Quaternion`], [`Relative`], …), so that a server in another language can read it.
//!
//! # By hand
//! A type whose bits somebody else has laid out implements [`Packed`] itself, with [`BitWriter`] and [`BitReader`] in
//! either [`Order`]; a form for fields of several types implements [`Coding`] and is named by `#[bits(with(MINE))]`.

mod codec;
mod coding;
mod error;
mod holding;
mod integer;
mod order;
mod packed;
mod quantised;
mod reader;
mod rotation;
mod writer;

#[cfg(test)]
mod tests;

pub use codec::Bits;
pub use coding::{Coding, Fixed, Relative, Varint, Whole};
pub use error::BitError;
pub use holding::{Blob, Each, List, Maybe, Text};
pub use integer::Integer;
#[cfg(feature = "derive")]
pub use loadkit_derive::Packed;
pub use order::{LsbFirst, MsbFirst, Order};
pub use packed::Packed;
pub use quantised::Quantised;
pub use reader::BitReader;
pub use rotation::Quaternion;
pub use writer::{BitWriter, un_zig_zag, zig_zag};
