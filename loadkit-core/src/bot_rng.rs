//! A bot's random numbers, through a shared reference.

use std::cell::RefCell;

use rand::TryRng;

use crate::seed::Rng;

/// A bot's random numbers. Implements [`rand::Rng`], so all of `rand`'s extensions work on it.
pub struct BotRng<'a>(pub(crate) &'a RefCell<Rng>);

impl TryRng for BotRng<'_> {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> std::result::Result<u32, Self::Error> {
        self.0.borrow_mut().try_next_u32()
    }

    fn try_next_u64(&mut self) -> std::result::Result<u64, Self::Error> {
        self.0.borrow_mut().try_next_u64()
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> std::result::Result<(), Self::Error> {
        self.0.borrow_mut().try_fill_bytes(bytes)
    }
}
