//! Rotations in few bits.

use super::coding::Coding;
use super::error::BitError;
use super::order::Order;
use super::reader::BitReader;
use super::writer::BitWriter;

/// `#[bits(quaternion(10))]`: a rotation, `[x, y, z, w]`, by the smallest three of its components.
///
/// A unit quaternion's largest component follows from the others, and `q` and `-q` are the same rotation: so 2 bits say
/// which component is the largest (0: x, … 3: w; of equal ones the first), the sign is turned so that it is positive,
/// and the others follow in order, each of `n` bits. They lie within ±√½, which is divided into `2ⁿ - 2` steps: an even
/// number, so that 0 is exact and "no rotation" stays none (the index `2ⁿ - 1` is an error). `2 + 3 n` bits in all.
///
/// What is written need not be of unit length, but have a length. **What is read has unit length (to the rounding of
/// `f32`), and the angle between what was written and what is read is at most `8 / (2ⁿ - 2)` radians**: 9 bits a
/// component, 29 in all, are good for 0.9°, 10 for 0.45°, 15 for 0.014°. Of the `n` bits, 2 are the least and 20 the
/// most.
///
/// A rotation that was read and is written again can take other bits, where two components are nearly the largest.
///
/// (Why 8: a component is off by at most h = √½ / (2ⁿ - 2), half a step. The largest, w ≥ ½, is off by at most
/// h · (|x| + |y| + |z|) / w ≤ h · √3 · √(1 - w²) / w ≤ 3h, to first order. So the quaternion is off by at most
/// √(3 + 9) h, and the angle by twice that, 6.93 h = 4.9 / (2ⁿ - 2); the rest is for the higher orders, which count
/// where n is small.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quaternion(pub u32);

impl Quaternion {
    const fn n(self) -> u32 {
        match self.0 {
            n @ 2..=20 => n,
            0..2 => 2,
            _ => 20,
        }
    }

    const fn steps(self) -> u64 {
        (1 << self.n()) - 2
    }

    /// Which is the largest, and the indices of the others.
    fn indices(self, q: &[f32; 4]) -> Option<(usize, [u64; 3])> {
        let q = q.map(f64::from);
        let length = q.iter().map(|c| c * c).sum::<f64>().sqrt();
        if !length.is_normal() {
            return None;
        }
        let mut largest = 0;
        for (place, component) in q.iter().enumerate() {
            if component.abs() > q.get(largest).map_or(0.0, |best| best.abs()) {
                largest = place;
            }
        }
        let turn = q.get(largest).map_or(1.0, |c| c.signum()) / length;
        let mut indices = [0; 3];
        let others = q.iter().enumerate().filter(|(place, _)| *place != largest);
        for (index, (_, component)) in indices.iter_mut().zip(others) {
            let steps = self.steps() as f64;
            let share = (component * turn * std::f64::consts::FRAC_1_SQRT_2 + 0.5).clamp(0.0, 1.0);
            *index = (share * steps + 0.5) as u64;
        }
        Some((largest, indices))
    }
}

impl Coding<[f32; 4]> for Quaternion {
    fn write<O: Order>(&self, value: &[f32; 4], w: &mut BitWriter<O>) -> Result<(), BitError> {
        let (largest, indices) = self.indices(value).ok_or(BitError::Range)?;
        w.bits(largest as u64, 2)?;
        indices.iter().try_for_each(|index| w.bits(*index, self.n()))
    }

    fn read<O: Order>(&self, r: &mut BitReader<'_, O>) -> Result<[f32; 4], BitError> {
        let largest = r.bits(2)? as usize;
        let mut q = [0.0; 4];
        let mut squares = 0.0;
        for (place, component) in q.iter_mut().enumerate() {
            if place != largest {
                let index = r.bits(self.n())?;
                if index > self.steps() {
                    return Err(BitError::Range);
                }
                *component = (index as f64 / self.steps() as f64 - 0.5) * std::f64::consts::SQRT_2;
                squares += *component * *component;
            }
        }
        // A liar's three may be longer than a unit together.
        let rest = (1.0 - squares).max(0.0);
        let length = (squares + rest).sqrt();
        if let Some(component) = q.get_mut(largest) {
            *component = rest.sqrt();
        }
        Ok(q.map(|component| (component / length) as f32))
    }

    fn same(&self, value: &[f32; 4], base: &[f32; 4]) -> bool {
        let indices = self.indices(value);
        indices.is_some() && indices == self.indices(base)
    }
}
