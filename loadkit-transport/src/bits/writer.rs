//! Values to bits.

use std::marker::PhantomData;
use std::ops::RangeInclusive;

use super::error::{BitError, Depth, Place};
use super::integer::Integer;
use super::order::{LsbFirst, Order, ones, width};

/// Appends bits to bytes, 64 at a time.
///
/// ```
/// # use loadkit_transport::bits::{BitReader, BitWriter, LsbFirst};
/// # fn main() -> Result<(), loadkit_transport::bits::BitError> {
/// let mut w = BitWriter::<LsbFirst>::new();
/// w.bool(true)?;
/// w.ranged(-3, -10..=10)?; // 5 bits
/// w.varint(300)?; // 2 groups of 8 bits
/// assert_eq!(w.len(), 22);
/// let bytes = w.finish();
/// assert_eq!(bytes.len(), 3);
///
/// let mut r = BitReader::<LsbFirst>::new(&bytes);
/// assert_eq!((r.bool()?, r.ranged(-10..=10)?, r.varint()?), (true, -3, 300));
/// r.finish()
/// # }
/// ```
///
/// What cannot be expressed (a number outside of its range, a string longer than agreed) is an error of the call, and
/// nothing of that value is written but, perhaps, what comes before the fault in it.
#[derive(Clone, Debug)]
pub struct BitWriter<O: Order = LsbFirst> {
    out: Vec<u8>,
    start: usize,
    /// Bits that are not in `out` yet.
    word: u64,
    /// How many they are: less than 64.
    held: u32,
    place: Place,
    depth: Depth,
    order: PhantomData<O>,
}

impl<O: Order> BitWriter<O> {
    /// An empty one.
    pub fn new() -> Self {
        BitWriter::after(Vec::new())
    }

    /// One that goes on behind these bytes.
    pub fn after(out: Vec<u8>) -> Self {
        BitWriter {
            start: out.len(),
            out,
            word: 0,
            held: 0,
            place: Place::default(),
            depth: Depth::default(),
            order: PhantomData,
        }
    }

    /// Bits written.
    pub fn len(&self) -> u64 {
        (self.out.len() - self.start) as u64 * 8 + u64::from(self.held)
    }

    /// Whether nothing has been written.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All the bytes, those before the first bit included. The last is filled up with zeros.
    pub fn finish(mut self) -> Vec<u8> {
        self.flush();
        self.out
    }

    /// Fills up with zeros to the next whole byte.
    pub fn align(&mut self) {
        self.flush();
    }

    /// One bit.
    ///
    /// # Errors
    /// None.
    #[inline]
    pub fn bool(&mut self, value: bool) -> Result<(), BitError> {
        self.put(u64::from(value), 1);
        Ok(())
    }

    /// The lowest `n` bits of a number that has no others; `n` is at most 64.
    ///
    /// # Errors
    /// [`BitError::Range`] when it does not fit.
    #[inline]
    pub fn bits(&mut self, value: u64, n: u32) -> Result<(), BitError> {
        if n > 64 || value & !ones(n) != 0 {
            return Err(BitError::Range);
        }
        self.put(value, n);
        Ok(())
    }

    /// An integer of a range, in the least bits: its distance from the range's start.
    ///
    /// # Errors
    /// [`BitError::Range`] when it is outside.
    #[inline]
    pub fn ranged<T: Integer>(&mut self, value: T, range: RangeInclusive<T>) -> Result<(), BitError> {
        if !range.contains(&value) {
            return Err(BitError::Range);
        }
        let start = range.start().to_bits();
        let most = range.end().to_bits().wrapping_sub(start);
        self.put(value.to_bits().wrapping_sub(start), width(most));
        Ok(())
    }

    /// An unsigned number in groups of 7 bits, the lowest first, each in 8 bits whose top bit says that more follow
    /// (LEB128): 1 byte below 128, at most 10.
    ///
    /// # Errors
    /// None.
    #[inline]
    pub fn varint(&mut self, mut value: u64) -> Result<(), BitError> {
        while value > 0x7F {
            self.put(value & 0x7F | 0x80, 8);
            value >>= 7;
        }
        self.put(value, 8);
        Ok(())
    }

    /// A signed number as the [`varint`](BitWriter::varint) of its zig-zag form: 0, -1, 1, -2, … as 0, 1, 2, 3, …
    ///
    /// # Errors
    /// None.
    #[inline]
    pub fn signed(&mut self, value: i64) -> Result<(), BitError> {
        self.varint(zig_zag(value))
    }

    /// Bytes whose number the reader knows.
    ///
    /// # Errors
    /// None.
    pub fn raw(&mut self, bytes: &[u8]) -> Result<(), BitError> {
        if self.held.is_multiple_of(8) {
            self.flush();
            self.out.extend_from_slice(bytes);
            return Ok(());
        }
        let (words, rest) = bytes.as_chunks::<8>();
        words.iter().for_each(|word| self.put(O::word(*word), 64));
        rest.iter().for_each(|byte| self.put(u64::from(*byte), 8));
        Ok(())
    }

    /// At most `max` bytes, with their number (`0..=max`) before them.
    ///
    /// # Errors
    /// [`BitError::TooLong`].
    pub fn bytes(&mut self, bytes: &[u8], max: usize) -> Result<(), BitError> {
        self.count(bytes.len(), max)?;
        self.raw(bytes)
    }

    /// A string of at most `max` bytes, with their number (`0..=max`) before them.
    ///
    /// # Errors
    /// [`BitError::TooLong`].
    pub fn string(&mut self, text: &str, max: usize) -> Result<(), BitError> {
        self.bytes(text.as_bytes(), max)
    }

    /// How many follow, in the least bits for `0..=max`.
    ///
    /// # Errors
    /// [`BitError::TooLong`].
    #[inline]
    pub fn count(&mut self, count: usize, max: usize) -> Result<(), BitError> {
        if count > max {
            return Err(BitError::TooLong);
        }
        self.put(count as u64, width(max as u64));
        Ok(())
    }

    /// Notes the field in which an error happened; the first to be noted, the innermost, stays. The derived code calls
    /// it.
    #[cold]
    pub fn blame(&mut self, error: BitError, field: &'static str) -> BitError {
        self.place.blame(field, self.len());
        error
    }

    /// The field that is to blame for the error, and how many bits were written before.
    pub fn blamed(&self) -> Option<(&'static str, u64)> {
        self.place.get()
    }

    /// Does what is written within a list: not without end.
    pub(super) fn within<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T, BitError>) -> Result<T, BitError> {
        self.depth.enter()?;
        let result = inner(self);
        self.depth.leave();
        result
    }

    /// The `n` bits of `value`, which has no others; `n` is at most 64.
    #[inline]
    pub(super) fn put(&mut self, value: u64, n: u32) {
        debug_assert!(n <= 64 && value & !ones(n) == 0, "{value:#x} has more than {n} bits");
        let free = 64 - self.held;
        if n < free {
            if n > 0 {
                self.word |= O::place(value, self.held, n);
                self.held += n;
            }
        } else if n == free {
            let word = self.word | O::place(value, self.held, n);
            self.out.extend_from_slice(&O::bytes(word));
            (self.word, self.held) = (0, 0);
        } else {
            let (first, rest) = O::split(value, free, n);
            let word = self.word | O::place(first, self.held, free);
            self.out.extend_from_slice(&O::bytes(word));
            self.held = n - free;
            self.word = O::place(rest, 0, self.held);
        }
    }

    /// Moves what is held to `out`, the last byte filled up.
    fn flush(&mut self) {
        let bytes = O::bytes(self.word);
        let len = self.held.div_ceil(8) as usize;
        self.out.extend_from_slice(bytes.get(..len).unwrap_or_default());
        (self.word, self.held) = (0, 0);
    }
}

impl<O: Order> Default for BitWriter<O> {
    fn default() -> Self {
        BitWriter::new()
    }
}

/// 0, -1, 1, -2, … to 0, 1, 2, 3, …: small in either direction is small.
#[inline]
pub const fn zig_zag(value: i64) -> u64 {
    (value << 1 ^ value >> 63) as u64
}

/// Back from [`zig_zag`].
#[inline]
pub const fn un_zig_zag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}
