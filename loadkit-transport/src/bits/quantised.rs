//! Floats in few bits.

use super::coding::Coding;
use super::error::BitError;
use super::order::{Order, width};
use super::reader::BitReader;
use super::writer::BitWriter;

/// More steps than this need more bits than an `f32` has.
const MAX_STEPS: u64 = u32::MAX as u64;

/// `#[bits(quantised(-1.0..=1.0, 0.01))]`: a float as one of evenly spaced values of a range.
///
/// There are `steps = (max - min) / resolution` steps, rounded up to a whole number, so that both ends are values and
/// no two neighbours are further apart than the resolution. On the wire is an index in the least bits for `0..=steps`,
/// calculated in 64-bit floats:
///
/// ```text
/// index = round((value - min) / (max - min) * steps)      halves go up
/// value = min + index / steps * (max - min)
/// ```
///
/// **What is read is at most half a resolution away from what was written**, and the rounding of its type where the
/// resolution is near that. In a range that is symmetric about 0 with an even number of steps, 0 is exact.
///
/// What is outside of the range is refused, or with [`clamped`](Quantised::clamped) moved to the nearest end. What is
/// not a number is refused.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quantised {
    min: f64,
    max: f64,
    steps: u64,
    clamped: bool,
}

impl Quantised {
    /// Values from `min` to `max`, at most `resolution` apart.
    ///
    /// # Panics
    /// When `min < max` and `0 < resolution` do not hold, or there would be more than 2³² steps. Make it a constant, as
    /// the derive macro does, and the compiler says so.
    pub const fn new(min: f64, max: f64, resolution: f64) -> Quantised {
        assert!(min < max, "a quantised float needs a range with `min < max`");
        assert!(max - min < f64::MAX, "a quantised float needs a range with ends");
        assert!(resolution > 0.0, "a quantised float needs a resolution above 0");
        let exact = (max - min) / resolution;
        assert!(exact < MAX_STEPS as f64, "a quantised float with so fine a resolution needs more than 32 bits");
        let whole = exact as u64;
        // Two over a hundredth is two hundred, and not a hair more, whatever the division says.
        let steps = if exact - whole as f64 > exact * 1e-12 { whole + 1 } else { whole };
        Quantised { min, max, steps: if steps == 0 { 1 } else { steps }, clamped: false }
    }

    /// The same, but what is outside of the range is moved to its nearest end: `#[bits(clamped(-1.0..=1.0, 0.01))]`.
    pub const fn clamped(mut self) -> Quantised {
        self.clamped = true;
        self
    }

    /// Bits on the wire.
    pub const fn bits(self) -> u32 {
        width(self.steps)
    }

    /// The distance between two neighbours: the resolution, or less.
    pub const fn step(self) -> f64 {
        (self.max - self.min) / self.steps as f64
    }

    /// `value` is a number, and within the range but for rounding, unless it is to be clamped.
    #[inline]
    fn index(self, value: f64) -> u64 {
        let share = (value.clamp(self.min, self.max) - self.min) / (self.max - self.min);
        // Not negative, so that adding a half and cutting is rounding.
        (share * self.steps as f64 + 0.5) as u64
    }

    #[inline]
    fn value(self, index: u64) -> f64 {
        let value = self.min + index as f64 / self.steps as f64 * (self.max - self.min);
        value.clamp(self.min, self.max)
    }
}

macro_rules! quantised {
    ($($type:ident $index:ident),+) => {$(
        impl Quantised {
            /// The ends are rounded to the type, as they are on reading: what was read can be written.
            #[inline]
            fn $index(self, value: $type) -> Option<u64> {
                let is_inside = (self.min as $type..=self.max as $type).contains(&value);
                (is_inside || self.clamped && !value.is_nan()).then(|| self.index(f64::from(value)))
            }
        }

        impl Coding<$type> for Quantised {
            #[inline]
            fn write<O: Order>(&self, value: &$type, w: &mut BitWriter<O>) -> Result<(), BitError> {
                let index = self.$index(*value).ok_or(BitError::Range)?;
                w.bits(index, self.bits())
            }

            #[inline]
            fn read<O: Order>(&self, r: &mut BitReader<'_, O>) -> Result<$type, BitError> {
                let index = r.bits(self.bits())?;
                if index > self.steps {
                    return Err(BitError::Range);
                }
                Ok(self.value(index) as $type)
            }

            #[inline]
            fn same(&self, value: &$type, base: &$type) -> bool {
                let index = self.$index(*value);
                index.is_some() && index == self.$index(*base)
            }
        }
    )+};
}

quantised!(f32 index_f32, f64 index_f64);
