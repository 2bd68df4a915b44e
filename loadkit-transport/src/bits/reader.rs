//! Bits to values.

use std::marker::PhantomData;
use std::ops::RangeInclusive;

use super::error::{BitError, Depth, Place};
use super::integer::Integer;
use super::order::{LsbFirst, Order, width};
use super::writer::un_zig_zag;

/// Bits that one load is good for: a word less what stands before the first bit in its byte.
const WINDOW: u32 = 57;

/// Takes bits from bytes.
///
/// **It is total**: whatever the bytes are, every call gives a value or an error, and nothing is allocated for bytes
/// that are not there. After an error it stands somewhere within what could not be read, and may be used on.
#[derive(Clone, Debug)]
pub struct BitReader<'a, O: Order = LsbFirst> {
    bytes: &'a [u8],
    /// The next bit.
    at: u64,
    place: Place,
    depth: Depth,
    order: PhantomData<O>,
}

impl<'a, O: Order> BitReader<'a, O> {
    /// From the first bit of these bytes.
    pub fn new(bytes: &'a [u8]) -> Self {
        BitReader { bytes, at: 0, place: Place::default(), depth: Depth::default(), order: PhantomData }
    }

    /// Bits read.
    #[inline]
    pub fn position(&self) -> u64 {
        self.at
    }

    /// Bits left, those that fill up the last byte included.
    #[inline]
    pub fn remaining(&self) -> u64 {
        self.bytes.len() as u64 * 8 - self.at
    }

    /// Checks that the message ends here: fewer than 8 bits are left, and all are 0.
    ///
    /// # Errors
    /// [`BitError::Trailing`] or [`BitError::Padding`].
    pub fn finish(&self) -> Result<(), BitError> {
        match self.remaining() {
            left @ 0..8 if self.look(left as u32) == 0 => Ok(()),
            0..8 => Err(BitError::Padding),
            _ => Err(BitError::Trailing),
        }
    }

    /// Goes on at the next whole byte.
    ///
    /// # Errors
    /// [`BitError::Padding`] when the bits before it are not 0.
    pub fn align(&mut self) -> Result<(), BitError> {
        let fill = (8 - self.at % 8) as u32 % 8;
        if self.get(fill) == 0 { Ok(()) } else { Err(BitError::Padding) }
    }

    /// One bit.
    ///
    /// # Errors
    /// [`BitError::End`].
    #[inline]
    pub fn bool(&mut self) -> Result<bool, BitError> {
        Ok(self.bits(1)? != 0)
    }

    /// A number of `n` bits, at most 64.
    ///
    /// # Errors
    /// [`BitError::End`]; [`BitError::Range`] when `n` is more than 64.
    #[inline]
    pub fn bits(&mut self, n: u32) -> Result<u64, BitError> {
        if n > 64 {
            return Err(BitError::Range);
        }
        if u64::from(n) > self.remaining() {
            return Err(BitError::End);
        }
        Ok(self.get(n))
    }

    /// An integer of a range, in the least bits: its distance from the range's start.
    ///
    /// # Errors
    /// [`BitError::End`]; [`BitError::Range`] when the bits tell a number that is outside, or the range is empty.
    #[inline]
    pub fn ranged<T: Integer>(&mut self, range: RangeInclusive<T>) -> Result<T, BitError> {
        if range.is_empty() {
            return Err(BitError::Range);
        }
        let start = range.start().to_bits();
        let most = range.end().to_bits().wrapping_sub(start);
        let distance = self.bits(width(most))?;
        if distance > most {
            return Err(BitError::Range);
        }
        Ok(T::from_bits(start.wrapping_add(distance)))
    }

    /// An unsigned number in groups of 7 bits; see [`BitWriter::varint`](super::BitWriter::varint). Forms longer than
    /// needed are accepted.
    ///
    /// # Errors
    /// [`BitError::End`]; [`BitError::Range`] when it has more than 64 bits.
    #[inline]
    pub fn varint(&mut self) -> Result<u64, BitError> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let group = self.bits(8)?;
            value |= (group & 0x7F) << shift;
            if group & 0x80 == 0 {
                // Of the tenth group only one bit has a place.
                return if shift == 63 && group > 1 { Err(BitError::Range) } else { Ok(value) };
            }
        }
        Err(BitError::Range)
    }

    /// A signed number: the [`varint`](BitReader::varint) of its zig-zag form.
    ///
    /// # Errors
    /// As [`BitReader::varint`].
    #[inline]
    pub fn signed(&mut self) -> Result<i64, BitError> {
        self.varint().map(un_zig_zag)
    }

    /// Fills `bytes`.
    ///
    /// # Errors
    /// [`BitError::End`]; then nothing is read.
    pub fn raw(&mut self, bytes: &mut [u8]) -> Result<(), BitError> {
        self.check_bytes(bytes.len())?;
        let here = (self.at / 8) as usize;
        if self.at.is_multiple_of(8)
            && let Some(source) = self.bytes.get(here..here + bytes.len())
        {
            bytes.copy_from_slice(source);
            self.at += bytes.len() as u64 * 8;
            return Ok(());
        }
        let (words, rest) = bytes.as_chunks_mut::<8>();
        words.iter_mut().for_each(|word| *word = O::bytes(self.get(64)));
        rest.iter_mut().for_each(|byte| *byte = self.get(8) as u8);
        Ok(())
    }

    /// At most `max` bytes, with their number (`0..=max`) before them.
    ///
    /// # Errors
    /// [`BitError::TooLong`] when the number is more, [`BitError::End`] when there are fewer; nothing is allocated then.
    pub fn bytes(&mut self, max: usize) -> Result<Vec<u8>, BitError> {
        let count = self.count(max)?;
        self.check_bytes(count)?;
        let mut bytes = vec![0; count];
        self.raw(&mut bytes)?;
        Ok(bytes)
    }

    /// A string of at most `max` bytes, with their number (`0..=max`) before them.
    ///
    /// # Errors
    /// As [`BitReader::bytes`]; [`BitError::Utf8`].
    pub fn string(&mut self, max: usize) -> Result<String, BitError> {
        String::from_utf8(self.bytes(max)?).map_err(|_| BitError::Utf8)
    }

    /// How many follow, of at most `max`.
    ///
    /// # Errors
    /// [`BitError::End`]; [`BitError::TooLong`] when the bits tell more.
    #[inline]
    pub fn count(&mut self, max: usize) -> Result<usize, BitError> {
        let count = self.bits(width(max as u64))?;
        usize::try_from(count).ok().filter(|count| *count <= max).ok_or(BitError::TooLong)
    }

    /// Notes the field in which an error happened; the first to be noted, the innermost, stays. The derived code calls
    /// it.
    #[cold]
    pub fn blame(&mut self, error: BitError, field: &'static str) -> BitError {
        self.place.blame(field, self.at);
        error
    }

    /// The field that is to blame for the error, and how many bits were read before.
    pub fn blamed(&self) -> Option<(&'static str, u64)> {
        self.place.get()
    }

    /// Does what is read within a list: not without end.
    pub(super) fn within<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T, BitError>) -> Result<T, BitError> {
        self.depth.enter()?;
        let result = inner(self);
        self.depth.leave();
        result
    }

    fn check_bytes(&self, count: usize) -> Result<(), BitError> {
        if count as u64 > self.remaining() / 8 { Err(BitError::End) } else { Ok(()) }
    }

    /// The next `n` bits; so many are left, and `n` is at most 64.
    #[inline]
    fn get(&mut self, n: u32) -> u64 {
        if n <= WINDOW {
            let value = self.look(n);
            self.at += u64::from(n);
            return value;
        }
        let first = self.look(32);
        self.at += 32;
        let second = self.look(n - 32);
        self.at += u64::from(n - 32);
        O::join(first, 32, second, n - 32)
    }

    /// The next `n` bits, at most [`WINDOW`]; what is beyond the end reads as 0.
    #[inline]
    fn look(&self, n: u32) -> u64 {
        let rest = self.bytes.get((self.at / 8) as usize..).unwrap_or_default();
        let word = rest.first_chunk().map_or_else(|| tail::<O>(rest), |bytes| O::word(*bytes));
        O::pick(word, (self.at % 8) as u32, n)
    }
}

/// The word of the last bytes, which are fewer than 8.
#[cold]
fn tail<O: Order>(rest: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    bytes.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
    O::word(bytes)
}
