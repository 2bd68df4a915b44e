//! `Dm -> Tee -> Connection<Teeworlds, Messages> -> the real server`: bots for a game that we did not write, Teeworlds
//! 0.7, over its own protocol.

pub mod bot;
pub mod codec;
pub mod hands;
pub mod huffman;
pub mod messages;
pub mod packer;
pub mod packet;
pub mod play;
pub mod protocol;
pub mod server;
pub mod snapshot;
pub mod varint;
pub mod vital;

#[cfg(test)]
mod transcript;
