//! What a data packet carries.

use super::wire::{take, u16_of};
use crate::protocol::Delivery;

/// The longest header of a frame that is a whole message.
pub(super) const MAX_WHOLE_HEADER: usize = 5;
/// The longest header of a frame.
pub(super) const MAX_FRAME_HEADER: usize = 5;
/// The most pieces of a message (mas-bandwidth's `reliable`).
pub(super) const MAX_PIECES: usize = 256;

const MORE: u8 = 0b100;

/// One message, or one piece of one, in a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    pub(super) delivery: Delivery,
    pub(super) more: bool,
    /// 0 where there is none.
    pub(super) id: u16,
    pub(super) bytes: &'a [u8],
}

impl Frame<'_> {
    /// Its length on the wire.
    pub(super) fn len(&self) -> usize {
        let id = if self.delivery == Delivery::Unreliable { 0 } else { 2 };
        1 + id + if self.bytes.len() < 0x80 { 1 } else { 2 } + self.bytes.len()
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let delivery = match self.delivery {
            Delivery::Unreliable => 0,
            Delivery::Sequenced => 1,
            Delivery::Ordered => 2,
            Delivery::Unordered => 3,
        };
        out.push(delivery | if self.more { MORE } else { 0 });
        if self.delivery != Delivery::Unreliable {
            out.extend_from_slice(&self.id.to_le_bytes());
        }
        let [high, low] = u16::try_from(self.bytes.len()).unwrap_or(0x7FFF).to_be_bytes();
        if self.bytes.len() >= 0x80 {
            out.push(high | 0x80);
        }
        out.push(low);
        out.extend_from_slice(self.bytes);
    }
}

/// The frames of a packet, one after the other; an `Err` ends them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frames<'a>(pub(super) &'a [u8]);

impl Frames<'_> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The bytes are no frame.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoFrame;

impl<'a> Iterator for Frames<'a> {
    type Item = Result<Frame<'a>, NoFrame>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let frame = frame_of(&mut self.0);
        if frame.is_none() {
            self.0 = &[];
        }
        Some(frame.ok_or(NoFrame))
    }
}

fn frame_of<'a>(rest: &mut &'a [u8]) -> Option<Frame<'a>> {
    let [first] = take(rest)?;
    let delivery = match first & 0b11 {
        0 => Delivery::Unreliable,
        1 => Delivery::Sequenced,
        2 => Delivery::Ordered,
        _ => Delivery::Unordered,
    };
    let more = first & MORE != 0;
    if first & !0b111 != 0 || more && delivery != Delivery::Ordered {
        return None;
    }
    let id = if delivery == Delivery::Unreliable { 0 } else { u16_of(rest)? };
    let [high] = take(rest)?;
    let len = if high < 0x80 {
        usize::from(high)
    } else {
        let [low] = take(rest)?;
        usize::from(u16::from_be_bytes([high & 0x7F, low]))
    };
    let (bytes, tail) = rest.split_at_checked(len)?;
    *rest = tail;
    Some(Frame { delivery, more, id, bytes })
}
