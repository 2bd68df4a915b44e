//! Messages that wait for their turn or for the rest of their pieces.

use bytes::Bytes;

use super::reassembly::Reassembly;
use super::wire::Fragment;

/// What a piece, or a message that waits, costs beside its bytes.
pub(super) const PLACE_COST: usize = 64;

/// The bounds of what is held.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) message: usize,
    pub(super) waiting: usize,
}

/// A message that cannot be delivered yet.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) message: Message,
    pub(super) cost: usize,
    pub(super) at_us: u64,
    /// It was due when it came.
    pub(super) was_due: bool,
}

#[derive(Debug)]
pub(super) enum Message {
    /// And the numbers that it takes.
    Whole(Bytes, u32),
    Pieces(Box<Reassembly>),
}

/// An unreliable message, or a piece of one.
#[derive(Debug)]
pub(super) enum Unreliable<'a> {
    Whole { number: u16, bytes: &'a [u8] },
    Piece(Fragment<'a>),
}

impl Unreliable<'_> {
    pub(super) fn number(&self) -> u16 {
        match self {
            Unreliable::Whole { number, .. } => *number,
            Unreliable::Piece(fragment) => fragment.start,
        }
    }

    pub(super) fn cost(&self) -> usize {
        match self {
            Unreliable::Whole { bytes, .. } => bytes.len() + PLACE_COST,
            Unreliable::Piece(fragment) => Reassembly::cost(fragment),
        }
    }

    /// To be held.
    pub(super) fn message(&self, limits: Limits) -> Option<Message> {
        match self {
            Unreliable::Whole { bytes, .. } => Some(Message::Whole(Bytes::copy_from_slice(bytes), 0)),
            Unreliable::Piece(fragment) if fragment.total as usize > limits.message => None,
            Unreliable::Piece(fragment) => Reassembly::new(fragment).map(|pieces| Message::Pieces(Box::new(pieces))),
        }
    }
}

impl Held {
    /// Takes a piece, and joins the message when it was the last; false when it is of another message.
    pub(super) fn take(&mut self, fragment: &Fragment) -> bool {
        let Message::Pieces(pieces) = &mut self.message else {
            // All pieces have come: this is one of them again.
            return true;
        };
        if !pieces.take(fragment) {
            return false;
        }
        if let Some(whole) = pieces.join() {
            self.message = Message::Whole(whole, pieces.span());
        }
        true
    }

    pub(super) fn is_whole(&self) -> bool {
        matches!(self.message, Message::Whole(..))
    }
}
