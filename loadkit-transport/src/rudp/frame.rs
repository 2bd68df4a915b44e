//! What a data packet carries: whole messages, and pieces of long ones.
//!
//! ```text
//! frame     u8: bits 0-1 delivery (unreliable, sequenced, ordered, unordered), bit 2 "a piece", bit 3 zero, bits 4-7
//!           lane; id u16, unless it is unreliable and whole; of a piece: index u8, last index u8; length: 1 byte
//!           below 128, else 2 bytes, the first with the top bit set and the high bits; the bytes
//! ```
//!
//! On the reliable channels every piece has an id of its own, those of a message one after the other; on the others
//! all pieces of a message have its id.

use super::wire::{after, take, u16_of};
use crate::protocol::{Channel, Delivery};

/// The longest header of a frame that is a whole message.
pub(super) const MAX_WHOLE_HEADER: usize = 5;
/// The longest header of a frame.
pub(super) const MAX_FRAME_HEADER: usize = 7;
/// The most pieces of a message (mas-bandwidth's `reliable`).
pub(super) const MAX_PIECES: usize = 256;

const PIECE: u8 = 0b100;

/// Which piece of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) index: u8,
    /// The index of the message's last piece; at least 1.
    pub(super) last: u8,
}

/// One message, or one piece of one, in a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    pub(super) channel: Channel,
    /// `None`: a whole message.
    pub(super) piece: Option<Piece>,
    /// 0 where there is none.
    pub(super) id: u16,
    pub(super) bytes: &'a [u8],
}

impl Frame<'_> {
    fn has_id(&self) -> bool {
        self.channel.delivery != Delivery::Unreliable || self.piece.is_some()
    }

    /// Its length on the wire.
    pub(super) fn len(&self) -> usize {
        let id = if self.has_id() { 2 } else { 0 };
        let piece = if self.piece.is_some() { 2 } else { 0 };
        1 + id + piece + if self.bytes.len() < 0x80 { 1 } else { 2 } + self.bytes.len()
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let delivery = match self.channel.delivery {
            Delivery::Unreliable => 0,
            Delivery::Sequenced => 1,
            Delivery::Ordered => 2,
            Delivery::Unordered => 3,
        };
        out.push(delivery | if self.piece.is_some() { PIECE } else { 0 } | self.channel.lane << 4);
        if self.has_id() {
            out.extend_from_slice(&self.id.to_le_bytes());
        }
        if let Some(Piece { index, last }) = self.piece {
            out.extend_from_slice(&[index, last]);
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
    if first & 0b1000 != 0 {
        return None;
    }
    let is_piece = first & PIECE != 0;
    let id = if delivery == Delivery::Unreliable && !is_piece { 0 } else { u16_of(rest)? };
    let piece = if is_piece {
        let [index, last] = take(rest)?;
        // A message of one piece is a whole one.
        (last > 0 && index <= last).then_some(())?;
        Some(Piece { index, last })
    } else {
        None
    };
    let [high] = take(rest)?;
    let len = if high < 0x80 {
        usize::from(high)
    } else {
        let [low] = take(rest)?;
        usize::from(u16::from_be_bytes([high & 0x7F, low]))
    };
    let (bytes, tail) = rest.split_at_checked(len)?;
    *rest = tail;
    Some(Frame { channel: Channel::new(delivery, first >> 4), piece, id, bytes })
}

/// Whether `id` lies in the window of `len` ids from `first` on, or before it.
pub(super) fn is_within(id: u16, first: u16, len: u16) -> bool {
    after(id, first) < len.cast_signed()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn channel() -> impl Strategy<Value = Channel> {
        let delivery = prop_oneof![
            Just(Delivery::Unreliable),
            Just(Delivery::Sequenced),
            Just(Delivery::Ordered),
            Just(Delivery::Unordered),
        ];
        (delivery, 0..16_u8).prop_map(|(delivery, lane)| Channel::new(delivery, lane))
    }

    fn piece() -> impl Strategy<Value = Option<Piece>> {
        let some = (1..=u8::MAX, any::<u8>()).prop_map(|(last, index)| Some(Piece { index: index.min(last), last }));
        prop_oneof![Just(None), some]
    }

    proptest! {
        #[test]
        fn frames_survive_the_wire(
            frames in prop::collection::vec((channel(), piece(), any::<u16>(), prop::collection::vec(any::<u8>(), 0..300)), 0..8),
        ) {
            let of = |(channel, piece, id, bytes): &(Channel, Option<Piece>, u16, Vec<u8>)| {
                let has_id = channel.delivery != Delivery::Unreliable || piece.is_some();
                (*channel, *piece, if has_id { *id } else { 0 }, bytes.clone())
            };
            let frames: Vec<_> = frames.iter().map(of).collect();
            let frames: Vec<Frame> = frames
                .iter()
                .map(|(channel, piece, id, bytes)| Frame { channel: *channel, piece: *piece, id: *id, bytes })
                .collect();
            let mut out = Vec::new();
            for frame in &frames {
                let before = out.len();
                frame.write(&mut out);
                prop_assert_eq!(out.len() - before, frame.len());
                let max = if frame.piece.is_some() { MAX_FRAME_HEADER } else { MAX_WHOLE_HEADER };
                prop_assert!(frame.len() <= frame.bytes.len() + max);
            }
            prop_assert_eq!(Frames(&out).collect::<Result<Vec<_>, _>>().unwrap(), frames);
        }

        #[test]
        fn any_bytes_are_walked_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            prop_assert!(Frames(&bytes).count() <= bytes.len());
        }
    }
}
