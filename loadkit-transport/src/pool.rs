//! Buffers that a thread keeps for whoever is busy next.
//!
//! An idle connection holds no buffers, and most connections are idle most of the time: each is busy for a turn or
//! two. Without these, every turn would go to the allocator for what the turn before has given back.

use std::cell::RefCell;

/// Buffers of one kind that a thread keeps, at most.
const KEPT: usize = 16;

/// Buffers that lie ready, to be kept in a `thread_local!`. Who leaves one sees to it that it is empty and small.
pub(crate) struct Pool<T>(RefCell<Vec<T>>);

impl<T: Default> Pool<T> {
    pub(crate) const fn new() -> Pool<T> {
        Pool(RefCell::new(Vec::new()))
    }

    /// One that another has left behind, or a new one.
    pub(crate) fn take(&self) -> T {
        self.0.borrow_mut().pop().unwrap_or_default()
    }

    /// For whoever is busy next.
    pub(crate) fn leave(&self, buffer: T) {
        let mut kept = self.0.borrow_mut();
        if kept.len() < KEPT {
            kept.push(buffer);
        }
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.borrow().len()
    }
}
