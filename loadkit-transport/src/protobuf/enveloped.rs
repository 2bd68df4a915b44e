//! The codec of messages behind opcodes.

use std::fmt;
use std::marker::PhantomData;

use loadkit_core::Failure;
use loadkit_core::flight::{Excerpt, Way};

use super::envelope::Envelope;
use super::wire::Opcodes;
use crate::codec::{Calls, Codec, malformed};
use crate::proto::check_len;
use crate::protocol::Channel;

/// The codec of messages behind opcodes: receives those of the table `W` and sends those that go the other way. So
/// bots have `Enveloped<FromServer>`, and a server has `Enveloped<FromClient>`.
///
/// An opcode that the schema does not know is no failure: the message is handed out with its body as it came, and
/// counted as `net.unknown_opcodes`.
///
/// Messages on both sides are bounded: Protobuf bytes can decode to a multiple of their number, so the bound on bytes
/// is the bound on memory.
pub struct Enveloped<W> {
    /// Every connection has one: 4 bytes are enough.
    max: u32,
    table: PhantomData<fn() -> W>,
}

impl<W> Enveloped<W> {
    /// Messages of at most 64 KiB both ways.
    pub const fn new() -> Self {
        Enveloped { max: 64 * 1024, table: PhantomData }
    }

    /// With messages of at most `max` bytes both ways, their envelopes included.
    pub const fn max(mut self, max: u32) -> Self {
        self.max = max;
        self
    }
}

impl<W: Opcodes> Codec for Enveloped<W> {
    type Out = Envelope<W::Out>;
    type In = Envelope<W>;

    fn encode(&mut self, message: &Envelope<W::Out>, out: &mut Vec<u8>) -> Result<(), Failure> {
        let body = message.body.encoded_len();
        let len = message.len_around(body);
        check_len(len, self.max as usize)?;
        out.reserve(len);
        message.encode_around(body, out);
        message.body.encode(out);
        Ok(())
    }

    fn decode(&mut self, bytes: &[u8]) -> Result<Envelope<W>, Failure> {
        check_len(bytes.len(), self.max as usize)?;
        let Envelope { opcode, seq, reply_to, body } =
            Envelope::open(bytes).map_err(|error| malformed("an envelope", error))?;
        let body = W::decode(opcode, body).map_err(|error| malformed(W::name(opcode).unwrap_or("a message"), error))?;
        Ok(Envelope { opcode, seq, reply_to, body })
    }

    fn channel(&self, message: &Envelope<W::Out>) -> Channel {
        message.body.channel()
    }

    fn remark(&self, message: &Envelope<W>) -> Option<&'static str> {
        message.body.is_unknown().then_some("net.unknown_opcodes")
    }

    fn describe(message: &Excerpt<'_>) -> Option<String> {
        match message.way {
            Way::Sent => describe::<W::Out>(message),
            Way::Received => describe::<W>(message),
        }
    }
}

/// `Login { account: "bot-000017" } opcode 1, seq 1`; of a message that is not all there, its name.
fn describe<W: Opcodes>(message: &Excerpt<'_>) -> Option<String> {
    let Envelope { opcode, seq, reply_to, body } = match message.is_whole() {
        true => Envelope::open(message.bytes).ok()?,
        false => Envelope::head(message.bytes)?,
    };
    let name = W::name(opcode).unwrap_or("Unknown");
    let body = W::decode(opcode, body).ok().filter(|_| message.is_whole());
    let mut text = match body {
        // The variant is called as the message in it.
        Some(body) => {
            let text = format!("{body:?}");
            let inner = text.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
            inner.filter(|_| !body.is_unknown()).unwrap_or(&text).to_owned()
        }
        None => format!("{name} …"),
    };
    text.push_str(&format!(" opcode {opcode}"));
    for (word, number) in [("seq", seq), ("reply to", reply_to)] {
        if number > 0 {
            text.push_str(&format!(", {word} {number}"));
        }
    }
    Some(text)
}

impl<W: Opcodes> Calls for Enveloped<W> {
    fn stamp(&mut self, message: &mut Envelope<W::Out>, id: u32) {
        message.seq = id.into();
    }

    fn reply_to(&self, message: &Envelope<W>) -> Option<u32> {
        u32::try_from(message.reply_to).ok().filter(|&id| id > 0)
    }
}

// Derived ones would ask the same of the table, which is not in it.
impl<W> Clone for Enveloped<W> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<W> Copy for Enveloped<W> {}

impl<W> Default for Enveloped<W> {
    fn default() -> Self {
        Enveloped::new()
    }
}

impl<W> fmt::Debug for Enveloped<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Enveloped").field("max", &self.max).finish_non_exhaustive()
    }
}
