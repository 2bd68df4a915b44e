//! Why bits could not be read or written.

use std::fmt;

/// Why something could not be read or written. One byte, so that a result of a number travels in registers; where it
/// happened, the reader or writer knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BitError {
    /// The bits end before the value does.
    End,
    /// A number lies outside of its range, or does not fit its bits; a float is not a number.
    Range,
    /// A string, a list or bytes are longer than agreed.
    TooLong,
    /// Lists are in lists in lists, deeper than 32.
    TooDeep,
    /// A string is not UTF-8.
    Utf8,
    /// No variant has this tag.
    Tag,
    /// Bits that only fill up are not 0.
    Padding,
    /// The message is over, and the bits are not.
    Trailing,
}

impl fmt::Display for BitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BitError::End => "the bits end within it",
            BitError::Range => "the value is outside of its range",
            BitError::TooLong => "it is longer than agreed",
            BitError::TooDeep => "it is nested too deeply",
            BitError::Utf8 => "the text is not UTF-8",
            BitError::Tag => "there is no variant of this tag",
            BitError::Padding => "the bits that fill up are not 0",
            BitError::Trailing => "more follows where the message ends",
        })
    }
}

impl std::error::Error for BitError {}

/// Where reading or writing failed: the innermost field, and the bit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place(Option<(&'static str, u64)>);

impl Place {
    /// The first to blame is the innermost.
    #[cold]
    pub(super) fn blame(&mut self, field: &'static str, bit: u64) {
        self.0.get_or_insert((field, bit));
    }

    pub(super) fn get(self) -> Option<(&'static str, u64)> {
        self.0
    }
}

/// Lists within lists, at most: a message that holds lists of itself must not take the stack.
const MAX_DEPTH: u8 = 32;

/// How many lists are around what is being read or written.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Depth(u8);

impl Depth {
    #[inline]
    pub(super) fn enter(&mut self) -> Result<(), BitError> {
        if self.0 == MAX_DEPTH {
            return Err(BitError::TooDeep);
        }
        self.0 += 1;
        Ok(())
    }

    #[inline]
    pub(super) fn leave(&mut self) {
        self.0 = self.0.saturating_sub(1);
    }
}
