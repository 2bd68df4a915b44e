//! What all connections of a thread share that were asked for alike.

use std::cell::RefCell;

use loadkit_core::Failure;

/// Things kept at most; with more, the oldest are made anew.
const KEPT: usize = 16;

/// Things that were made for a key, to be kept in a `thread_local!`. Runs have few keys, often one.
pub(crate) struct Shared<K, V>(RefCell<Vec<(K, V)>>);

impl<K: PartialEq, V: Clone> Shared<K, V> {
    pub(crate) const fn new() -> Shared<K, V> {
        Shared(RefCell::new(Vec::new()))
    }

    /// What was made for this key before, or is made now.
    pub(crate) fn get(&self, key: K, make: impl FnOnce() -> Result<V, Failure>) -> Result<V, Failure> {
        let mut kept = self.0.borrow_mut();
        if let Some((_, known)) = kept.iter().find(|(known, _)| *known == key) {
            return Ok(known.clone());
        }
        let made = make()?;
        if kept.len() >= KEPT {
            kept.remove(0);
        }
        kept.push((key, made.clone()));
        Ok(made)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_again_is_not_made_again() {
        let shared = Shared::new();
        assert_eq!(shared.get(0, || Ok("made")).unwrap(), "made");
        assert_eq!(shared.get(0, || Ok("again")).unwrap(), "made");
        let failure = Failure::new(loadkit_core::Kind::TARGET, "no");
        assert!(shared.get(1, || Err(failure)).is_err());
        for key in 1..=KEPT {
            shared.get(key, || Ok("another")).unwrap();
        }
        assert_eq!(shared.0.borrow().len(), KEPT);
        assert_eq!(shared.get(0, || Ok("again")).unwrap(), "again");
    }
}
