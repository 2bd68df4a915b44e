//! How a field goes into bits, where its type alone does not say it.

use std::ops::RangeInclusive;

use super::error::BitError;
use super::integer::Integer;
use super::order::{Order, ones};
use super::packed::Packed;
use super::reader::BitReader;
use super::writer::{BitWriter, un_zig_zag, zig_zag};

/// A form in bits for values of `T`: what `#[bits(…)]` names. Codings hold others: a [`List`](super::List) of [`Maybe`](super::Maybe)
/// ranges.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no form in bits for a `{T}`",
    note = "a `Vec` needs `#[bits(list(max))]`, a `String` `#[bits(string(max))]`, a type of your own `#[derive(Packed)]`"
)]
pub trait Coding<T> {
    /// Appends it.
    ///
    /// # Errors
    /// The value has no such form.
    fn write<O: Order>(&self, value: &T, w: &mut BitWriter<O>) -> Result<(), BitError>;

    /// Reads one. Any bits give a value or an error.
    ///
    /// # Errors
    /// The bits are none.
    fn read<O: Order>(&self, r: &mut BitReader<'_, O>) -> Result<T, BitError>;

    /// Whether both are the same bits.
    fn same(&self, value: &T, base: &T) -> bool;

    /// Appends what is different from `base`: by default a bit that says whether anything is, and the value.
    ///
    /// # Errors
    /// As [`Coding::write`].
    #[inline]
    fn write_delta<O: Order>(&self, value: &T, base: &T, w: &mut BitWriter<O>) -> Result<(), BitError> {
        let changed = !self.same(value, base);
        w.bool(changed)?;
        if changed { self.write(value, w) } else { Ok(()) }
    }

    /// Reads what is different: `value` is the baseline before and the new value after.
    ///
    /// # Errors
    /// As [`Coding::read`].
    #[inline]
    fn read_delta<O: Order>(&self, value: &mut T, r: &mut BitReader<'_, O>) -> Result<(), BitError> {
        if r.bool()? {
            *value = self.read(r)?;
        }
        Ok(())
    }
}

/// As the type itself has it: what a field without `#[bits(…)]` has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Whole;

impl<T: Packed> Coding<T> for Whole {
    #[inline]
    fn write<O: Order>(&self, value: &T, w: &mut BitWriter<O>) -> Result<(), BitError> {
        value.write(w)
    }

    #[inline]
    fn read<O: Order>(&self, r: &mut BitReader<'_, O>) -> Result<T, BitError> {
        T::read(r)
    }

    #[inline]
    fn same(&self, value: &T, base: &T) -> bool {
        value.same(base)
    }

    #[inline]
    fn write_delta<O: Order>(&self, value: &T, base: &T, w: &mut BitWriter<O>) -> Result<(), BitError> {
        value.write_delta(base, w)
    }

    #[inline]
    fn read_delta<O: Order>(&self, value: &mut T, r: &mut BitReader<'_, O>) -> Result<(), BitError> {
        value.read_delta(r)
    }
}

/// `#[bits(0..=1023)]`: an integer's distance from the range's start, in the least bits for the range.
impl<T: Integer> Coding<T> for RangeInclusive<T> {
    #[inline]
    fn write<O: Order>(&self, value: &T, w: &mut BitWriter<O>) -> Result<(), BitError> {
        w.ranged(*value, self.clone())
    }

    #[inline]
    fn read<O: Order>(&self, r: &mut BitReader<'_, O>) -> Result<T, BitError> {
        r.ranged(self.clone())
    }

    #[inline]
    fn same(&self, value: &T, base: &T) -> bool {
        value == base
    }
}

/// `#[bits(5)]`: an integer in so many bits, at most 64; signed ones in two's complement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fixed(pub u32);

impl<T: Integer> Coding<T> for Fixed {
    #[inline]
    fn write<O: Order>(&self, value: &T, w: &mut BitWriter<O>) -> Result<(), BitError> {
        let (bits, n) = (value.to_bits(), self.0.min(64));
        if extend::<T>(bits & ones(n), n) != bits {
            return Err(BitError::Range);
        }
        w.bits(bits & ones(n), n)
    }

    #[inline]
    fn read<O: Order>(&self, r: &mut BitReader<'_, O>) -> Result<T, BitError> {
        let n = self.0.min(64);
        let bits = extend::<T>(r.bits(n)?, n);
        let value = T::from_bits(bits);
        if value.to_bits() == bits { Ok(value) } else { Err(BitError::Range) }
    }

    #[inline]
    fn same(&self, value: &T, base: &T) -> bool {
        value == base
    }
}

/// `n` bits, to 64, by their sign if the type has one.
#[inline]
fn extend<T: Integer>(bits: u64, n: u32) -> u64 {
    if T::SIGNED && n > 0 { ((bits << (64 - n)) as i64 >> (64 - n)) as u64 } else { bits }
}

/// `#[bits(varint)]`: groups of 7 bits, [as many as needed](BitWriter::varint); signed integers in zig-zag form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Varint;

impl<T: Integer> Coding<T> for Varint {
    #[inline]
    fn write<O: Order>(&self, value: &T, w: &mut BitWriter<O>) -> Result<(), BitError> {
        let bits = value.to_bits();
        w.varint(if T::SIGNED { zig_zag(bits as i64) } else { bits })
    }

    #[inline]
    fn read<O: Order>(&self, r: &mut BitReader<'_, O>) -> Result<T, BitError> {
        let bits = r.varint()?;
        let bits = if T::SIGNED { un_zig_zag(bits) as u64 } else { bits };
        let value = T::from_bits(bits);
        if value.to_bits() == bits { Ok(value) } else { Err(BitError::Range) }
    }

    #[inline]
    fn same(&self, value: &T, base: &T) -> bool {
        value == base
    }
}

/// `#[bits(relative(6))]`, `#[bits(relative(6, 0..=1023))]`: an integer that moves a little from message to message.
///
/// In a delta: a bit whether it changed, a bit whether it changed by little, and the change in so many bits (two's
/// complement) or else the whole number. A sequence number near its end and one near its beginning are near each other.
/// Outside of a delta it is a number of the range, by default of all that its type has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relative<T> {
    n: u32,
    range: RangeInclusive<T>,
}

impl<T: Integer> Relative<T> {
    /// Changes in `n` bits, at most 63, of any number.
    pub const fn new(n: u32) -> Self {
        Relative::within(n, T::LEAST..=T::MOST)
    }

    /// Changes in `n` bits, at most 63, of numbers in this range.
    pub const fn within(n: u32, range: RangeInclusive<T>) -> Self {
        Relative { n: if n > 63 { 63 } else { n }, range }
    }

    /// The change from `base`, extended to 64 bits by its sign, on the ring of all the type's numbers.
    #[inline]
    fn change(value: T, base: T) -> u64 {
        let change = value.to_bits().wrapping_sub(base.to_bits());
        ((change << (64 - T::WIDTH)) as i64 >> (64 - T::WIDTH)) as u64
    }

    #[inline]
    fn signed(&self, bits: u64) -> u64 {
        extend::<i64>(bits & ones(self.n), self.n)
    }
}

impl<T: Integer> Coding<T> for Relative<T> {
    #[inline]
    fn write<O: Order>(&self, value: &T, w: &mut BitWriter<O>) -> Result<(), BitError> {
        self.range.write(value, w)
    }

    #[inline]
    fn read<O: Order>(&self, r: &mut BitReader<'_, O>) -> Result<T, BitError> {
        self.range.read(r)
    }

    #[inline]
    fn same(&self, value: &T, base: &T) -> bool {
        value == base
    }

    fn write_delta<O: Order>(&self, value: &T, base: &T, w: &mut BitWriter<O>) -> Result<(), BitError> {
        if value == base {
            return w.bool(false);
        }
        w.bool(true)?;
        let change = Self::change(*value, *base);
        let is_near = self.signed(change) == change && self.range.contains(value);
        w.bool(is_near)?;
        if is_near { w.bits(change & ones(self.n), self.n) } else { self.write(value, w) }
    }

    fn read_delta<O: Order>(&self, value: &mut T, r: &mut BitReader<'_, O>) -> Result<(), BitError> {
        if !r.bool()? {
            return Ok(());
        }
        let new = if r.bool()? {
            let change = self.signed(r.bits(self.n)?);
            T::from_bits(value.to_bits().wrapping_add(change))
        } else {
            self.read(r)?
        };
        if !self.range.contains(&new) {
            return Err(BitError::Range);
        }
        *value = new;
        Ok(())
    }
}
