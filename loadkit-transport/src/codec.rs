//! `message <-> bytes`: what a game's messages look like on the wire, and which of them answer which.

use bytes::Bytes;
use loadkit_core::flight::Excerpt;
use loadkit_core::{Failure, Kind};

use crate::protocol::Channel;

/// Turns messages into bytes and back.
///
/// It belongs to one connection, so it may remember what was sent before (deltas against a baseline, sequence
/// numbers). It sees every message exactly once, in the order of arrival.
pub trait Codec {
    /// What the bot sends.
    type Out;
    /// What the bot receives.
    type In;

    /// Appends the bytes of `message` to `out`.
    ///
    /// # Errors
    /// `TOO_LARGE` or `MALFORMED` when the message cannot be expressed.
    fn encode(&mut self, message: &Self::Out, out: &mut Vec<u8>) -> Result<(), Failure>;

    /// Reads one message. **Total: any bytes give a message or a failure, never a panic, and no allocation beyond a
    /// small multiple of their number.**
    ///
    /// # Errors
    /// `MALFORMED` when the bytes are not a message. The bot's `recv` returns it, and the connection goes on.
    fn decode(&mut self, bytes: &[u8]) -> Result<Self::In, Failure>;

    /// Reads one message that may keep the bytes instead of copying them.
    ///
    /// # Errors
    /// As [`Codec::decode`].
    fn decode_bytes(&mut self, bytes: Bytes) -> Result<Self::In, Failure> {
        self.decode(&bytes)
    }

    /// The channel on which a message travels unless the bot names another.
    fn channel(&self, message: &Self::Out) -> Channel {
        let _ = message;
        Channel::ORDERED
    }

    /// The name of a count, `net.…`, that grows by one because of this message, beside handing it out.
    fn remark(&self, message: &Self::In) -> Option<&'static str> {
        let _ = message;
        None
    }

    /// What a recorded message says, for people: its name, and then what is in it. Without it they are shown bytes.
    ///
    /// It is asked when the player's life is over, and so without the codec, whose memory of the connection is gone. Of a
    /// long message only the beginning is there ([`Excerpt::is_whole`]): then its name is worth the most.
    fn describe(message: &Excerpt<'_>) -> Option<String>
    where
        Self: Sized,
    {
        let _ = message;
        None
    }
}

/// A codec whose messages can carry the number of a request, so that replies find their way back.
pub trait Calls: Codec {
    /// Writes the request's number into it. Numbers start at 1 and are unique for a connection's life.
    fn stamp(&mut self, message: &mut Self::Out, id: u32);

    /// The number of the request that this message answers, if it answers one.
    fn reply_to(&self, message: &Self::In) -> Option<u32>;
}

/// A message that is answered by exactly one other.
pub trait Request<C: Codec> {
    /// The answer.
    type Reply;

    /// The request's name in failures. By default the type's.
    fn name(&self) -> &'static str {
        let name = std::any::type_name::<Self>();
        name.rsplit("::").next().unwrap_or(name)
    }

    /// As the codec sends it.
    fn into_out(self) -> C::Out;

    /// The typed answer.
    ///
    /// # Errors
    /// `UNEXPECTED` when it is an answer of another type, or a kind of the game's own when the server refused.
    fn reply(message: C::In) -> Result<Self::Reply, Failure>;
}

/// The codec that leaves bytes as they are, on the reliable, ordered channel unless the bot names another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Raw;

impl Codec for Raw {
    type Out = Bytes;
    type In = Bytes;

    fn encode(&mut self, message: &Bytes, out: &mut Vec<u8>) -> Result<(), Failure> {
        out.extend_from_slice(message);
        Ok(())
    }

    fn decode(&mut self, bytes: &[u8]) -> Result<Bytes, Failure> {
        Ok(Bytes::copy_from_slice(bytes))
    }

    fn decode_bytes(&mut self, bytes: Bytes) -> Result<Bytes, Failure> {
        Ok(bytes)
    }
}

/// A failure for bytes that are not a message: what was being read, and why it could not be.
pub fn malformed(what: &str, why: impl std::fmt::Display) -> Failure {
    Failure::new(Kind::MALFORMED, format!("{what} cannot be read: {why}"))
}
