//! What has a form in bits of its own.

use super::error::BitError;
use super::order::{LsbFirst, Order, ones};
use super::reader::BitReader;
use super::writer::BitWriter;

/// A value with a form in bits. Usually derived: see [`bits`](super).
///
/// **Reading is total**, and what was written reads back as the same value: exactly, or within the resolution that the
/// form promises.
///
/// A delta is the difference from a baseline that both sides have: a bit that says whether anything changed and, if
/// so, the value; derived types go on so for each of their fields. A side's baseline must be what the *other* side has
/// of it: what was acknowledged, and as it was read, not as it was before its floats were rounded.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no form in bits of its own",
    note = "a `Vec` needs `#[bits(list(max))]`, a `String` `#[bits(string(max))]`, a type of your own `#[derive(Packed)]`"
)]
pub trait Packed: Sized {
    /// Appends it.
    ///
    /// # Errors
    /// It cannot be expressed: a number outside of its range, a list that is too long.
    fn write<O: Order>(&self, w: &mut BitWriter<O>) -> Result<(), BitError>;

    /// Reads one. Any bits give a value or an error.
    ///
    /// # Errors
    /// The bits are none.
    fn read<O: Order>(r: &mut BitReader<'_, O>) -> Result<Self, BitError>;

    /// Whether both are the same bits. By default it writes both, which takes memory; most types know better.
    fn same(&self, base: &Self) -> bool {
        let bits = |value: &Self| {
            let mut w = BitWriter::<LsbFirst>::new();
            value.write(&mut w).ok().map(|()| (w.len(), w.finish()))
        };
        bits(self).is_some_and(|bits_of_self| Some(bits_of_self) == bits(base))
    }

    /// Appends what is different from `base`.
    ///
    /// # Errors
    /// As [`Packed::write`].
    fn write_delta<O: Order>(&self, base: &Self, w: &mut BitWriter<O>) -> Result<(), BitError> {
        let changed = !self.same(base);
        w.bool(changed)?;
        if changed { self.write(w) } else { Ok(()) }
    }

    /// Reads what is different: `self` is the baseline before and the new value after. Keep a copy of a baseline that
    /// others still need; after an error `self` may be half of each.
    ///
    /// # Errors
    /// As [`Packed::read`].
    fn read_delta<O: Order>(&mut self, r: &mut BitReader<'_, O>) -> Result<(), BitError> {
        if r.bool()? {
            *self = Self::read(r)?;
        }
        Ok(())
    }
}

/// Nothing, in no bits.
impl Packed for () {
    fn write<O: Order>(&self, _: &mut BitWriter<O>) -> Result<(), BitError> {
        Ok(())
    }

    fn read<O: Order>(_: &mut BitReader<'_, O>) -> Result<Self, BitError> {
        Ok(())
    }

    fn same(&self, (): &Self) -> bool {
        true
    }
}

/// A bit.
impl Packed for bool {
    #[inline]
    fn write<O: Order>(&self, w: &mut BitWriter<O>) -> Result<(), BitError> {
        w.bool(*self)
    }

    #[inline]
    fn read<O: Order>(r: &mut BitReader<'_, O>) -> Result<Self, BitError> {
        r.bool()
    }

    #[inline]
    fn same(&self, base: &Self) -> bool {
        self == base
    }
}

macro_rules! whole_numbers {
    ($($type:ident),+) => {$(
        /// All its bits; a negative number in two's complement.
        impl Packed for $type {
            #[inline]
            fn write<O: Order>(&self, w: &mut BitWriter<O>) -> Result<(), BitError> {
                w.bits(*self as u64 & ones($type::BITS), $type::BITS)
            }

            #[inline]
            fn read<O: Order>(r: &mut BitReader<'_, O>) -> Result<Self, BitError> {
                Ok(r.bits($type::BITS)? as $type)
            }

            #[inline]
            fn same(&self, base: &Self) -> bool {
                self == base
            }
        }
    )+};
}

whole_numbers!(u8, u16, u32, u64, i8, i16, i32, i64);

macro_rules! floats {
    ($($type:ident $bits:ident),+) => {$(
        /// All its bits (IEEE 754), so that every value survives, those that are no number too.
        impl Packed for $type {
            #[inline]
            fn write<O: Order>(&self, w: &mut BitWriter<O>) -> Result<(), BitError> {
                self.to_bits().write(w)
            }

            #[inline]
            fn read<O: Order>(r: &mut BitReader<'_, O>) -> Result<Self, BitError> {
                $bits::read(r).map($type::from_bits)
            }

            #[inline]
            fn same(&self, base: &Self) -> bool {
                self.to_bits() == base.to_bits()
            }
        }
    )+};
}

floats!(f32 u32, f64 u64);
