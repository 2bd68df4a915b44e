//! Who has which name: two metrics that are told apart here may not be told apart there.

use std::collections::BTreeMap;

/// Names given out, each to one owner, and only so many.
#[derive(Debug)]
pub(crate) struct Claims {
    most: usize,
    owners: BTreeMap<String, String>,
}

impl Claims {
    /// Of at most so many names.
    pub(crate) fn new(most: usize) -> Claims {
        Claims { most, owners: BTreeMap::new() }
    }

    /// Whether this owner may use the name: it is the first who asks, and there are not too many yet.
    pub(crate) fn may(&mut self, name: &str, owner: &str) -> bool {
        match self.owners.get(name) {
            Some(first) => first == owner,
            None if self.owners.len() >= self.most => false,
            None => {
                self.owners.insert(name.to_owned(), owner.to_owned());
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_has_the_name_and_there_are_only_so_many() {
        let mut claims = Claims::new(2);
        assert!(claims.may("a_b", "a b") && claims.may("a_b", "a b"));
        assert!(!claims.may("a_b", "a.b"), "it is taken");
        assert!(claims.may("c", "c"));
        assert!(!claims.may("d", "d") && claims.may("c", "c"), "full");
    }
}
