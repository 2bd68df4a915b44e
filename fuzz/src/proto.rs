//! The Protobuf codec: what was decoded is encoded and decoded to the same.

use loadkit_transport::{Codec, Proto};
use prost::Message;

#[derive(Clone, PartialEq, Message)]
struct Everything {
    #[prost(sint32, tag = "1")]
    small: i32,
    #[prost(fixed64, tag = "2")]
    fixed: u64,
    #[prost(string, tag = "3")]
    name: String,
    #[prost(bytes = "vec", tag = "4")]
    blob: Vec<u8>,
    #[prost(uint32, repeated, tag = "5")]
    packed: Vec<u32>,
    #[prost(message, repeated, tag = "6")]
    children: Vec<Everything>,
    #[prost(oneof = "Choice", tags = "7, 8")]
    choice: Option<Choice>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Choice {
    #[prost(bool, tag = "7")]
    Flag(bool),
    #[prost(message, tag = "8")]
    Child(Box<Everything>),
}

pub(crate) fn target(bytes: &[u8]) {
    let mut codec = Proto::<Everything, Everything>::new();
    let Ok(message) = codec.decode(bytes) else { return };
    let mut again = Vec::new();
    // What was packed may be longer unpacked, and so too long.
    if codec.encode(&message, &mut again).is_ok() {
        assert_eq!(codec.decode(&again).ok(), Some(message));
    }
}
