//! What is around every message: which it is, and which it answers.

use loadkit_core::{Failure, Kind};
use prost::bytes::{Buf, BufMut};
use prost::encoding::{self, DecodeContext, WireType};
use prost::{DecodeError, Message};

use super::wire::{Opcodes, Wire};

/// The field of the body: the last number whose key is one byte, so that a tier may grow in front of it.
const BODY: u32 = 15;

/// What is around every message: which it is, and which it answers.
///
/// `T` is one message, or an [`Opcodes`] table for any of a direction. Other languages see `bytes payload = 15`. As
/// there, a body whose encoding is empty is left out, and a body that is missing is an empty one.
///
/// ```text
/// Envelope<T> { opcode = 1 uint32, seq = 2 uint64, reply_to = 3 uint64, body = 15 T }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Envelope<T> {
    /// What the body is.
    pub opcode: u32,
    /// Numbers the requests of a connection, from 1; 0 for what is not to be answered.
    pub seq: u64,
    /// The `seq` of the request that this answers; 0 if none.
    pub reply_to: u64,
    /// The message.
    pub body: T,
}

impl<T> Envelope<T> {
    /// A message of its own accord. As a request it gets its number from the connection.
    pub fn new<M: Wire + Into<T>>(message: M) -> Envelope<T> {
        Envelope::answering(0, message)
    }

    /// The answer to the request with the number `seq`.
    pub fn answering<M: Wire + Into<T>>(seq: u64, message: M) -> Envelope<T> {
        Envelope { opcode: M::OPCODE, seq: 0, reply_to: seq, body: message.into() }
    }
}

impl<T: Opcodes> Envelope<T> {
    /// What it means that this has come as the answer to the request `asked`, which it is no proper answer to: the
    /// failure of the game's own kind if the message is an error, and else `UNEXPECTED` with both names.
    pub fn unexpected(self, asked: &str) -> Failure {
        let opcode = self.opcode;
        self.body.into_error().unwrap_or_else(|_| {
            let what = match T::name(opcode) {
                Some(name) => format!("the answer to {asked} is {name}"),
                None => format!("the answer to {asked} has the opcode {opcode}, which the schema does not know"),
            };
            Failure::new(Kind::UNEXPECTED, what)
        })
    }
}

impl<'a> Envelope<&'a [u8]> {
    /// Takes an envelope apart and leaves the body as it is.
    pub(super) fn open(mut bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut envelope = Envelope::default();
        while !bytes.is_empty() {
            let (tag, wire_type) = encoding::decode_key(&mut bytes)?;
            if tag != BODY {
                envelope.merge_head(tag, wire_type, &mut bytes, DecodeContext::default())?;
                continue;
            }
            encoding::check_wire_type(WireType::LengthDelimited, wire_type)?;
            let mut rest = bytes;
            encoding::skip_field(wire_type, tag, &mut rest, DecodeContext::default())?;
            encoding::decode_varint(&mut bytes)?;
            envelope.body = bytes.get(..bytes.len() - rest.len()).unwrap_or_default();
            bytes = rest;
        }
        Ok(envelope)
    }
}

impl<'a> Envelope<&'a [u8]> {
    /// What is before the body, where not all of that is there.
    pub(super) fn head(mut bytes: &'a [u8]) -> Option<Self> {
        let mut envelope = Envelope::default();
        loop {
            match encoding::decode_key(&mut bytes).ok()? {
                (BODY, _) => return Some(envelope),
                (tag, wire_type) => {
                    envelope.merge_head(tag, wire_type, &mut bytes, DecodeContext::default()).ok()?;
                }
            }
        }
    }
}

// `prost::encoding` is what derived messages are made of. A derived one would write an empty body too.
impl<T> Envelope<T> {
    /// How many bytes it takes around a body of so many.
    pub(super) fn len_around(&self, body: usize) -> usize {
        let Envelope { opcode, seq, reply_to, .. } = self;
        let field = |is_there: bool, len: usize| if is_there { len } else { 0 };
        field(*opcode != 0, encoding::uint32::encoded_len(1, opcode))
            + field(*seq != 0, encoding::uint64::encoded_len(2, seq))
            + field(*reply_to != 0, encoding::uint64::encoded_len(3, reply_to))
            + field(body > 0, encoding::key_len(BODY) + encoding::encoded_len_varint(body as u64) + body)
    }

    /// Writes all that comes before a body of so many bytes.
    pub(super) fn encode_around(&self, body: usize, buf: &mut impl BufMut) {
        let Envelope { opcode, seq, reply_to, .. } = self;
        if *opcode != 0 {
            encoding::uint32::encode(1, opcode, buf);
        }
        if *seq != 0 {
            encoding::uint64::encode(2, seq, buf);
        }
        if *reply_to != 0 {
            encoding::uint64::encode(3, reply_to, buf);
        }
        if body > 0 {
            encoding::encode_key(BODY, WireType::LengthDelimited, buf);
            encoding::encode_varint(body as u64, buf);
        }
    }

    fn merge_head(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buf: &mut impl Buf,
        ctx: DecodeContext,
    ) -> Result<(), DecodeError> {
        match tag {
            1 => encoding::uint32::merge(wire_type, &mut self.opcode, buf, ctx),
            2 => encoding::uint64::merge(wire_type, &mut self.seq, buf, ctx),
            3 => encoding::uint64::merge(wire_type, &mut self.reply_to, buf, ctx),
            _ => encoding::skip_field(wire_type, tag, buf, ctx),
        }
    }
}

impl<T: Message + Default> Message for Envelope<T> {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        let body = self.body.encoded_len();
        self.encode_around(body, buf);
        self.body.encode_raw(buf);
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buf: &mut impl Buf,
        ctx: DecodeContext,
    ) -> Result<(), DecodeError> {
        if tag != BODY {
            return self.merge_head(tag, wire_type, buf, ctx);
        }
        // Of bytes the last ones hold; of messages all would be joined.
        self.body = T::default();
        encoding::message::merge(wire_type, &mut self.body, buf, ctx)
    }

    fn encoded_len(&self) -> usize {
        self.len_around(self.body.encoded_len())
    }

    fn clear(&mut self) {
        *self = Envelope::default();
    }
}
