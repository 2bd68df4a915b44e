//! What a message is called on the wire, and all messages of a direction.

use std::fmt::Debug;

use loadkit_core::Failure;
use prost::{DecodeError, Message};

use crate::protocol::Channel;

/// A message with an opcode of its own. `loadkit-build` implements it for the messages that have one in the schema.
pub trait Wire: Message + Default {
    /// What stands for its type on the wire; never 0.
    const OPCODE: u32;
    /// Its name in the schema, as failures show it.
    const NAME: &'static str;
}

/// All messages that one side receives: an enum made by `loadkit-build`, with one variant for each opcode and one for
/// opcodes that the schema does not know.
pub trait Opcodes: Sized + Debug {
    /// What goes the other way.
    type Out: Opcodes<Out = Self>;

    /// The opcodes and the names of their messages, in the order of the opcodes.
    const MESSAGES: &'static [(u32, &'static str)];

    /// Reads the body that belongs to this opcode. One that the schema does not know is kept as it came, so newer
    /// servers and older bots understand each other.
    ///
    /// # Errors
    /// When the bytes are not a message of that type.
    fn decode(opcode: u32, body: &[u8]) -> Result<Self, DecodeError>;

    /// How many bytes [`Opcodes::encode`] writes.
    fn encoded_len(&self) -> usize;

    /// Appends the body to `out`.
    fn encode(&self, out: &mut Vec<u8>);

    /// The channel on which the message travels unless a bot names another.
    fn channel(&self) -> Channel;

    /// Whether its opcode is one that the schema does not know.
    fn is_unknown(&self) -> bool;

    /// What the message means as the answer to a request, if it is an error of the game: a failure of the game's own
    /// kind.
    ///
    /// # Errors
    /// The message itself when it is none.
    fn into_error(self) -> Result<Failure, Self>;

    /// The name that belongs to this opcode.
    fn name(opcode: u32) -> Option<&'static str> {
        let at = Self::MESSAGES.binary_search_by_key(&opcode, |&(known, _)| known).ok()?;
        Self::MESSAGES.get(at).map(|&(_, name)| name)
    }
}
