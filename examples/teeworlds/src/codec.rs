//! The messages of Teeworlds as a [`Codec`] of the kit.

use crate::messages::{ClientMessage, ServerMessage};
use loadkit::Failure;
use loadkit::transport::{Channel, Codec, malformed};

/// Turns messages into the bytes of a chunk and back. Inputs and pings travel on [`Channel::UNRELIABLE`], all others on
/// [`Channel::ORDERED`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Messages;

impl Codec for Messages {
    type Out = ClientMessage;
    type In = ServerMessage;

    fn encode(&mut self, message: &ClientMessage, out: &mut Vec<u8>) -> Result<(), Failure> {
        message.encode(out);
        Ok(())
    }

    fn decode(&mut self, bytes: &[u8]) -> Result<ServerMessage, Failure> {
        ServerMessage::decode(bytes).map_err(|why| malformed("a message of the server", why))
    }

    fn channel(&self, message: &ClientMessage) -> Channel {
        if message.is_vital() { Channel::ORDERED } else { Channel::UNRELIABLE }
    }
}
