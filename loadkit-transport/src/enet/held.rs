//! Messages that wait for their turn or for the rest of their pieces.

use bytes::Bytes;

use super::reassembly::Reassembly;
use super::wire::Fragment;

/// What a piece, or a message that waits, costs beside its bytes.
pub(super) const PLACE_COST: usize = 64;

/// What became of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Taken, or known already: to be acknowledged if it asks for it.
    Taken,
    /// There is no room for it now, or it is too old: as if it had been lost.
    Dropped,
    /// It breaks the rules.
    Malformed,
    /// A reliable message is longer than this end takes.
    TooLarge,
}

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

    /// Adds it to what has come of the same message.
    pub(super) fn join(&self, held: &mut Held) -> Verdict {
        match self {
            Unreliable::Whole { .. } => Verdict::Taken,
            Unreliable::Piece(fragment) => held.take(fragment),
        }
    }

    /// To be held.
    pub(super) fn message(&self, limits: Limits) -> Option<Message> {
        match self {
            Unreliable::Whole { bytes, .. } => Some(Message::Whole(Bytes::copy_from_slice(bytes), 0)),
            Unreliable::Piece(fragment) if fragment.total as usize > limits.message => None,
            Unreliable::Piece(fragment) => Message::begun(fragment),
        }
    }
}

impl Message {
    /// One of which a piece has come; `None` when it is a piece of no message.
    pub(super) fn begun(fragment: &Fragment) -> Option<Message> {
        let mut pieces = Reassembly::new(fragment)?;
        let span = pieces.span();
        Some(match pieces.join() {
            Some(whole) => Message::Whole(whole, span),
            None => Message::Pieces(Box::new(pieces)),
        })
    }
}

impl Held {
    /// Takes a piece, and joins the message when it was the last.
    pub(super) fn take(&mut self, fragment: &Fragment) -> Verdict {
        // Where all pieces have come already this is one of them again.
        if let Message::Pieces(pieces) = &mut self.message {
            if !pieces.take(fragment) {
                return Verdict::Malformed;
            }
            if let Some(whole) = pieces.join() {
                self.message = Message::Whole(whole, pieces.span());
            }
        }
        Verdict::Taken
    }

    pub(super) fn is_whole(&self) -> bool {
        matches!(self.message, Message::Whole(..))
    }
}
