//! Protobuf: a codec for `prost` messages.

use std::fmt::Debug;
use std::marker::PhantomData;

use loadkit_core::flight::{Excerpt, Way};
use loadkit_core::{Failure, Kind};
use prost::Message;

use crate::codec::{Codec, malformed};
use crate::protocol::Channel;

/// The codec of Protobuf messages: bots send `Out` and receive `In`.
///
/// Messages on both sides are bounded: Protobuf bytes can decode to a multiple of their number, so the bound on bytes
/// is the bound on memory.
#[derive(Clone, Copy, Debug)]
pub struct Proto<Out, In> {
    max: usize,
    channel: Channel,
    messages: PhantomData<fn(Out) -> In>,
}

impl<Out, In> Proto<Out, In> {
    /// On the reliable, ordered channel; messages of at most 64 KiB both ways.
    pub const fn new() -> Self {
        Proto { max: 64 * 1024, channel: Channel::ORDERED, messages: PhantomData }
    }

    /// On this channel, unless the bot names another.
    pub const fn on(mut self, channel: Channel) -> Self {
        self.channel = channel;
        self
    }

    /// With messages of at most `max` bytes both ways.
    pub const fn max(mut self, max: usize) -> Self {
        self.max = max;
        self
    }
}

/// Whether a message of so many bytes is one of at most `max`.
pub(crate) fn check_len(len: usize, max: usize) -> Result<(), Failure> {
    if len <= max {
        return Ok(());
    }
    Err(Failure::new(Kind::TOO_LARGE, format!("a Protobuf message of {len} bytes, of at most {max}")))
}

impl<Out, In> Default for Proto<Out, In> {
    fn default() -> Self {
        Proto::new()
    }
}

impl<Out: Message + Default + Debug, In: Message + Default + Debug> Codec for Proto<Out, In> {
    type Out = Out;
    type In = In;

    fn encode(&mut self, message: &Out, out: &mut Vec<u8>) -> Result<(), Failure> {
        check_len(message.encoded_len(), self.max)?;
        message.encode_raw(out);
        Ok(())
    }

    fn decode(&mut self, bytes: &[u8]) -> Result<In, Failure> {
        check_len(bytes.len(), self.max)?;
        In::decode(bytes).map_err(|error| malformed("a Protobuf message", error))
    }

    fn channel(&self, _: &Out) -> Channel {
        self.channel
    }

    fn describe(message: &Excerpt<'_>) -> Option<String> {
        if !message.is_whole() {
            return None;
        }
        match message.way {
            Way::Sent => Out::decode(message.bytes).ok().map(|message| format!("{message:?}")),
            Way::Received => In::decode(message.bytes).ok().map(|message| format!("{message:?}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, PartialEq, Message)]
    struct Move {
        #[prost(sint32, tag = "1")]
        x: i32,
        #[prost(string, tag = "2")]
        name: String,
        #[prost(message, repeated, tag = "3")]
        more: Vec<Move>,
    }

    proptest! {
        #[test]
        fn messages_survive(x in any::<i32>(), name in ".{0,40}", more in 0..3_usize) {
            let inner = Move { x, name, more: vec![] };
            let message = Move { more: vec![inner.clone(); more], ..inner };
            let mut codec = Proto::<Move, Move>::new();
            let mut bytes = Vec::new();
            codec.encode(&message, &mut bytes).unwrap();
            prop_assert_eq!(codec.decode(&bytes).unwrap(), message);
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Err(failure) = Proto::<Move, Move>::new().decode(&bytes) {
                prop_assert_eq!(failure.kind(), Kind::MALFORMED);
            }
        }
    }

    #[test]
    fn both_ways_are_bounded() {
        let mut codec = Proto::<Move, Move>::new().max(10).on(Channel::UNRELIABLE);
        let long = Move { name: "a name too long".to_owned(), ..Move::default() };
        assert_eq!(codec.channel(&long), Channel::UNRELIABLE);
        assert_eq!(codec.encode(&long, &mut Vec::new()).unwrap_err().kind(), Kind::TOO_LARGE);
        assert_eq!(codec.decode(&long.encode_to_vec()).unwrap_err().kind(), Kind::TOO_LARGE);
    }

    #[test]
    fn a_recorded_message_is_described_if_it_is_all_there() {
        let bytes = Move { x: -3, name: "Ada".into(), more: vec![] }.encode_to_vec();
        let text = "Move { x: -3, name: \"Ada\", more: [] }".to_owned();
        let excerpt = Excerpt { way: Way::Received, bytes: &bytes, size: bytes.len() };
        assert_eq!(Proto::<Move, Move>::describe(&excerpt), Some(text));
        assert_eq!(Proto::<Move, Move>::describe(&Excerpt { size: 1_000, ..excerpt }), None);
    }
}
