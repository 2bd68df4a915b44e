//! Codings of what holds others: strings, bytes, lists, arrays, options.

use super::coding::{Coding, Whole};
use super::error::BitError;
use super::order::Order;
use super::packed::Packed;
use super::reader::BitReader;
use super::writer::BitWriter;

/// Elements of a list for which memory is taken before they are read.
const AT_ONCE: usize = 64;

/// `#[bits(string(32))]`: a string of at most so many bytes, with their number before them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text(pub usize);

impl Coding<String> for Text {
    fn write<O: Order>(&self, value: &String, w: &mut BitWriter<O>) -> Result<(), BitError> {
        w.string(value, self.0)
    }

    fn read<O: Order>(&self, r: &mut BitReader<'_, O>) -> Result<String, BitError> {
        r.string(self.0)
    }

    fn same(&self, value: &String, base: &String) -> bool {
        value == base
    }
}

/// `#[bits(bytes(512))]`: at most so many bytes, with their number before them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blob(pub usize);

impl Coding<Vec<u8>> for Blob {
    fn write<O: Order>(&self, value: &Vec<u8>, w: &mut BitWriter<O>) -> Result<(), BitError> {
        w.bytes(value, self.0)
    }

    fn read<O: Order>(&self, r: &mut BitReader<'_, O>) -> Result<Vec<u8>, BitError> {
        r.bytes(self.0)
    }

    fn same(&self, value: &Vec<u8>, base: &Vec<u8>) -> bool {
        value == base
    }
}

/// `#[bits(list(64))]`, `#[bits(list(64, 0..=9))]`: at most so many elements, with their number before them. Lists may
/// hold lists, 32 deep.
///
/// In a delta: a bit whether anything changed, the number, then each element: against the one at its place in the
/// baseline, or whole where the baseline has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct List<C> {
    /// Elements, at most.
    pub max: usize,
    /// How each goes into bits.
    pub each: C,
}

impl<T, C: Coding<T>> Coding<Vec<T>> for List<C> {
    fn write<O: Order>(&self, value: &Vec<T>, w: &mut BitWriter<O>) -> Result<(), BitError> {
        w.count(value.len(), self.max)?;
        w.within(|w| value.iter().try_for_each(|element| self.each.write(element, w)))
    }

    fn read<O: Order>(&self, r: &mut BitReader<'_, O>) -> Result<Vec<T>, BitError> {
        let mut list = Vec::new();
        let count = r.count(self.max)?;
        r.within(|r| self.read_more(&mut list, count, r))?;
        Ok(list)
    }

    fn same(&self, value: &Vec<T>, base: &Vec<T>) -> bool {
        value.len() == base.len() && value.iter().zip(base).all(|(value, base)| self.each.same(value, base))
    }

    fn write_delta<O: Order>(&self, value: &Vec<T>, base: &Vec<T>, w: &mut BitWriter<O>) -> Result<(), BitError> {
        let changed = !self.same(value, base);
        w.bool(changed)?;
        if !changed {
            return Ok(());
        }
        w.count(value.len(), self.max)?;
        w.within(|w| {
            value.iter().enumerate().try_for_each(|(place, element)| match base.get(place) {
                Some(base) => self.each.write_delta(element, base, w),
                None => self.each.write(element, w),
            })
        })
    }

    fn read_delta<O: Order>(&self, value: &mut Vec<T>, r: &mut BitReader<'_, O>) -> Result<(), BitError> {
        if !r.bool()? {
            return Ok(());
        }
        let count = r.count(self.max)?;
        value.truncate(count);
        r.within(|r| {
            value.iter_mut().try_for_each(|element| self.each.read_delta(element, r))?;
            self.read_more(value, count - value.len(), r)
        })
    }
}

impl<C> List<C> {
    /// Memory for more than [`AT_ONCE`] is taken as the elements come: the count alone is anybody's claim.
    fn read_more<T, O: Order>(&self, list: &mut Vec<T>, count: usize, r: &mut BitReader<'_, O>) -> Result<(), BitError>
    where
        C: Coding<T>,
    {
        list.reserve(count.min(AT_ONCE));
        for _ in 0..count {
            list.push(self.each.read(r)?);
        }
        Ok(())
    }
}

/// `#[bits(each(0..=9))]`: all elements of an array. (They have a default, for the array to begin with.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Each<C>(pub C);

impl<T: Default, C: Coding<T>, const N: usize> Coding<[T; N]> for Each<C> {
    fn write<O: Order>(&self, value: &[T; N], w: &mut BitWriter<O>) -> Result<(), BitError> {
        value.iter().try_for_each(|element| self.0.write(element, w))
    }

    fn read<O: Order>(&self, r: &mut BitReader<'_, O>) -> Result<[T; N], BitError> {
        let mut array = [(); N].map(|()| T::default());
        for element in &mut array {
            *element = self.0.read(r)?;
        }
        Ok(array)
    }

    fn same(&self, value: &[T; N], base: &[T; N]) -> bool {
        value.iter().zip(base).all(|(value, base)| self.0.same(value, base))
    }

    fn write_delta<O: Order>(&self, value: &[T; N], base: &[T; N], w: &mut BitWriter<O>) -> Result<(), BitError> {
        let changed = !self.same(value, base);
        w.bool(changed)?;
        if !changed {
            return Ok(());
        }
        value.iter().zip(base).try_for_each(|(value, base)| self.0.write_delta(value, base, w))
    }

    fn read_delta<O: Order>(&self, value: &mut [T; N], r: &mut BitReader<'_, O>) -> Result<(), BitError> {
        if !r.bool()? {
            return Ok(());
        }
        value.iter_mut().try_for_each(|element| self.0.read_delta(element, r))
    }
}

/// `#[bits(option(0..=9))]`: a bit whether there is a value, and the value.
///
/// In a delta, where both the value and its baseline are there: a bit whether they differ, a bit that there is a value,
/// and its delta.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Maybe<C>(pub C);

impl<T, C: Coding<T>> Coding<Option<T>> for Maybe<C> {
    fn write<O: Order>(&self, value: &Option<T>, w: &mut BitWriter<O>) -> Result<(), BitError> {
        w.bool(value.is_some())?;
        value.as_ref().map_or(Ok(()), |value| self.0.write(value, w))
    }

    fn read<O: Order>(&self, r: &mut BitReader<'_, O>) -> Result<Option<T>, BitError> {
        if r.bool()? { self.0.read(r).map(Some) } else { Ok(None) }
    }

    fn same(&self, value: &Option<T>, base: &Option<T>) -> bool {
        match (value, base) {
            (Some(value), Some(base)) => self.0.same(value, base),
            (None, None) => true,
            _ => false,
        }
    }

    fn write_delta<O: Order>(&self, value: &Option<T>, base: &Option<T>, w: &mut BitWriter<O>) -> Result<(), BitError> {
        let changed = !self.same(value, base);
        w.bool(changed)?;
        match (value, base) {
            _ if !changed => Ok(()),
            (Some(value), Some(base)) => {
                w.bool(true)?;
                self.0.write_delta(value, base, w)
            }
            _ => self.write(value, w),
        }
    }

    fn read_delta<O: Order>(&self, value: &mut Option<T>, r: &mut BitReader<'_, O>) -> Result<(), BitError> {
        if !r.bool()? {
            return Ok(());
        }
        match value {
            Some(value) if r.bool()? => self.0.read_delta(value, r)?,
            Some(_) => *value = None,
            None => *value = self.read(r)?,
        }
        Ok(())
    }
}

macro_rules! packed_by {
    ($(#[$doc:meta])* [$($generics:tt)*] $type:ty, $coding:expr) => {
        $(#[$doc])*
        impl<$($generics)*> Packed for $type {
            fn write<O: Order>(&self, w: &mut BitWriter<O>) -> Result<(), BitError> {
                $coding.write(self, w)
            }

            fn read<O: Order>(r: &mut BitReader<'_, O>) -> Result<Self, BitError> {
                $coding.read(r)
            }

            fn same(&self, base: &Self) -> bool {
                $coding.same(self, base)
            }

            fn write_delta<O: Order>(&self, base: &Self, w: &mut BitWriter<O>) -> Result<(), BitError> {
                $coding.write_delta(self, base, w)
            }

            fn read_delta<O: Order>(&mut self, r: &mut BitReader<'_, O>) -> Result<(), BitError> {
                $coding.read_delta(self, r)
            }
        }
    };
}

packed_by! {
    /// A bit whether there is a value, and the value.
    [T: Packed] Option<T>, Maybe(Whole)
}

packed_by! {
    /// All its elements. (A `Vec` has no form of its own: somebody must say how long it may be.)
    [T: Packed + Default, const N: usize] [T; N], Each(Whole)
}
