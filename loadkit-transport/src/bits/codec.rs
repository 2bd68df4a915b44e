//! A codec for bit-packed messages.

use std::fmt::Debug;
use std::marker::PhantomData;

use loadkit_core::flight::{Excerpt, Way};
use loadkit_core::{Failure, Kind};

use super::error::BitError;
use super::order::{LsbFirst, Order};
use super::packed::Packed;
use super::reader::BitReader;
use super::writer::BitWriter;
use crate::codec::{Codec, malformed};
use crate::protocol::Channel;

/// The codec of bit-packed messages: bots send `Out` and receive `In`. Each message begins at a byte, and must fill its
/// bytes: what is left over in the last is 0.
#[derive(Clone, Copy, Debug)]
pub struct Bits<Out, In, O = LsbFirst> {
    max: usize,
    channel: Channel,
    messages: PhantomData<fn(Out, O) -> In>,
}

impl<Out, In, O> Bits<Out, In, O> {
    /// On the reliable, ordered channel; messages of at most 64 KiB both ways.
    pub const fn new() -> Self {
        Bits { max: 64 * 1024, channel: Channel::ORDERED, messages: PhantomData }
    }

    /// On this channel, unless the bot names another.
    pub const fn on(mut self, channel: Channel) -> Self {
        self.channel = channel;
        self
    }

    /// With messages of at most `max` bytes both ways. A list takes at most the memory of an element for each bit (of
    /// elements that have no bits, of its own maximum).
    pub const fn max(mut self, max: usize) -> Self {
        self.max = max;
        self
    }

    fn check(&self, len: usize) -> Result<(), Failure> {
        if len <= self.max {
            return Ok(());
        }
        let what = format!("a bit-packed message of {len} bytes, of at most {}", self.max);
        Err(Failure::new(Kind::TOO_LARGE, what))
    }
}

impl<Out, In, O> Default for Bits<Out, In, O> {
    fn default() -> Self {
        Bits::new()
    }
}

impl<Out: Packed + Debug, In: Packed + Debug, O: Order> Codec for Bits<Out, In, O> {
    type Out = Out;
    type In = In;

    fn encode(&mut self, message: &Out, out: &mut Vec<u8>) -> Result<(), Failure> {
        let start = out.len();
        let mut w = BitWriter::<O>::after(std::mem::take(out));
        let written = message.write(&mut w);
        let blamed = w.blamed();
        *out = w.finish();
        let done = match written {
            Ok(()) => self.check(out.len() - start),
            Err(error) => {
                let kind = if error == BitError::TooLong { Kind::TOO_LARGE } else { Kind::MALFORMED };
                Err(Failure::new(kind, format!("{} cannot be written: {error}", place::<Out>(blamed))))
            }
        };
        if done.is_err() {
            out.truncate(start);
        }
        done
    }

    fn decode(&mut self, bytes: &[u8]) -> Result<In, Failure> {
        self.check(bytes.len())?;
        let mut r = BitReader::<O>::new(bytes);
        let read = In::read(&mut r).and_then(|message| r.finish().map(|()| message));
        read.map_err(|error| malformed(&place::<In>(r.blamed()), error))
    }

    fn channel(&self, _: &Out) -> Channel {
        self.channel
    }

    fn describe(message: &Excerpt<'_>) -> Option<String> {
        if !message.is_whole() {
            return None;
        }
        let mut r = BitReader::<O>::new(message.bytes);
        match message.way {
            Way::Sent => Out::read(&mut r).ok().map(|message| format!("{message:?}")),
            Way::Received => In::read(&mut r).ok().map(|message| format!("{message:?}")),
        }
    }
}

/// The field where it went wrong, or the message.
#[cold]
fn place<T>(blamed: Option<(&'static str, u64)>) -> String {
    match blamed {
        Some((field, bit)) => format!("{field} (at bit {bit})"),
        None => {
            let name = std::any::type_name::<T>();
            name.rsplit("::").next().unwrap_or(name).to_owned()
        }
    }
}
