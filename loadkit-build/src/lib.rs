//! `.proto files with options -> messages, opcodes, typed requests`: what a game's `build.rs` calls.
//!
//! ```no_run
//! // build.rs
//! fn main() -> Result<(), loadkit_build::Error> {
//!     loadkit_build::Proto::new().include("proto").compile(&["arena.proto"])
//! }
//! ```
//!
//! ```text
//! // src/wire.rs
//! include!(concat!(env!("OUT_DIR"), "/arena.rs"));    // named after the package
//! ```
//!
//! Nothing needs to be installed: the compiler is a crate. A load client has this crate among its `build-dependencies`,
//! and nobody else compiles it.
//!
//! # The schema
//! It is plain Protobuf with options, which compilers of other languages skip:
//!
//! ```proto
//! syntax = "proto3";
//! package arena;
//! import "loadkit/options.proto";    // found without being on disk
//!
//! message Move {
//!   option (lk.opcode) = 3;
//!   option (lk.reply) = "Moved";     // so clients send it, and the server sends Moved
//!   option (lk.channel) = UNORDERED;
//!   sint32 dx = 1;
//!   sint32 dy = 2;
//! }
//! message Moved { option (lk.opcode) = 13; sint32 x = 1; sint32 y = 2; }
//! message Snapshot { option (lk.opcode) = 20; option (lk.from) = SERVER; uint32 tick = 1; }
//! message Refused { option (lk.opcode) = 10; option (lk.error) = true; string why = 1; }
//! ```
//!
//! | option | of | says |
//! |---|---|---|
//! | `opcode` | a message | what stands for it on the wire: not 0, and no other message's |
//! | `reply` | a message | which message answers it; the other way round if `from` says `SERVER` |
//! | `from` | a message | who sends it (`CLIENT`, `SERVER`, `BOTH`), where that does not follow from a `reply` |
//! | `channel` | a message | `ORDERED` (default), `UNORDERED`, `SEQUENCED` or `UNRELIABLE` |
//! | `error` | a message | it may answer any request, and the call then fails |
//! | `params` | a message | its type parameters: `"T"`, `"T, E"` |
//! | `of` | a field of `bytes` | what the bytes are: `"T"`, `"Item"`, `"Paged<Item>"` |
//! | `of` | a field that is a generic message | which one it is: `"Paged<Item>"` |
//! | `alias` | a message | it is this generic message: `"Outcome<Bought, Refused>"` |
//!
//! `Envelope`, `Paged` and `Outcome` of `loadkit/generics.proto` need no import to be named in `of` and `alias`.
//!
//! # What is made of it
//! For each package a file `<package>.rs` in `OUT_DIR`, with
//! - the messages as [`prost`] makes them. One with type parameters is `struct X<T: Message + Default>`. A field of
//!   `bytes` is what `of` says: without presence it is a `T` (an empty one is left out on the wire), `optional` an
//!   `Option<T>`, `repeated` a `Vec<T>`, and in a `oneof` a variant with a `T`. An alias is a struct around the
//!   generic message.
//! - `impl Wire`: the opcode and the name;
//! - `enum FromClient` and `enum FromServer`: all messages of a direction by opcode, and `Unknown` with the bytes for
//!   opcodes that are not in the schema. They are in the file of the package of the first `.proto` file given;
//! - `impl Request`, so that `connection.call(Move { … })` gives a `Moved`. If the reply is an alias of `Outcome<T, E>`,
//!   it gives the `T`; the `E`, like every message with `error`, needs an `impl From<E> for Failure` of the game's own.
//!
//! Games need no `prost` of their own: the generated code finds it in `loadkit`.
//!
//! # The build's stamp
//! [`Stamp`] tells the binary which commit it is of, and the schema's fingerprint comes with its messages: see
//! [`Proto::fingerprint`]. For a client whose messages are not Protobuf this is all that it needs of this crate: without
//! its feature `proto` it compiles in no time.
//!
//! # Other languages
//! `docs/protobuf.md` of the repository tells how to write a schema for all of them, and what it looks like there.
//!
//! [`prost`]: https://docs.rs/prost

#[cfg(feature = "proto")]
mod describe;
mod digest;
#[cfg(feature = "proto")]
mod edit;
#[cfg(feature = "proto")]
mod emit;
#[cfg(feature = "proto")]
mod error;
#[cfg(feature = "proto")]
mod fingerprint;
#[cfg(feature = "proto")]
mod generate;
#[cfg(feature = "proto")]
mod message_impl;
#[cfg(feature = "proto")]
mod names;
#[cfg(feature = "proto")]
mod proto;
#[cfg(feature = "proto")]
mod schema;
#[cfg(feature = "proto")]
mod sides;
mod stamp;
#[cfg(feature = "proto")]
mod types;

#[cfg(feature = "proto")]
pub use describe::{Asked, Description, Named};
#[cfg(feature = "proto")]
pub use error::Error;
#[cfg(feature = "proto")]
pub use proto::{GENERICS_PROTO, OPTIONS_PROTO, Proto};
pub use stamp::Stamp;

#[cfg(test)]
#[cfg(feature = "proto")]
mod tests;
