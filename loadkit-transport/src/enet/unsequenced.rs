//! Which of the messages without an order have come.

/// Groups behind the newest of which is known whether they have come (`ENET_PEER_UNSEQUENCED_WINDOW_SIZE`).
const WINDOW: u16 = 1_024;
/// Groups so far ahead are behind in truth: 32 windows (`ENET_PEER_FREE_UNSEQUENCED_WINDOWS`).
const BEHIND: u16 = 32 * WINDOW;
const WORDS: usize = WINDOW as usize / 64;

/// A window that slides behind the newest group. Made on first use.
#[derive(Debug, Default)]
pub(super) struct Unsequenced {
    newest: u16,
    /// Bit `group % 1024`, for the groups of the window.
    seen: Option<Box<[u64; WORDS]>>,
}

impl Unsequenced {
    /// Whether a group has not come before, and is not too old to tell. It has come then.
    pub(super) fn is_new(&mut self, group: u16) -> bool {
        let seen = self.seen.get_or_insert_default();
        let ahead = group.wrapping_sub(self.newest);
        if ahead == 0 || ahead >= BEHIND {
            let behind = self.newest.wrapping_sub(group);
            return behind < WINDOW && set(seen, group);
        }
        if ahead >= WINDOW {
            **seen = [0; WORDS];
        } else {
            for group in 1..=ahead {
                clear(seen, self.newest.wrapping_add(group));
            }
        }
        self.newest = group;
        set(seen, group)
    }

    #[cfg(test)]
    pub(super) fn start_at(&mut self, group: u16) {
        *self = Unsequenced::default();
        self.newest = group;
    }

    #[cfg(test)]
    pub(super) fn heap(&self) -> usize {
        self.seen.as_ref().map_or(0, |seen| size_of_val(&**seen))
    }
}

/// Sets a group's bit; whether it was not set.
fn set(seen: &mut [u64; WORDS], group: u16) -> bool {
    let word = &mut seen[usize::from(group / 64) % WORDS];
    let bit = 1 << (group % 64);
    let was_set = *word & bit != 0;
    *word |= bit;
    !was_set
}

fn clear(seen: &mut [u64; WORDS], group: u16) {
    seen[usize::from(group / 64) % WORDS] &= !(1 << (group % 64));
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_group_comes_once_also_around_the_wrap() {
        let mut window = Unsequenced::default();
        for group in 1..200_000_u32 {
            assert!(window.is_new(group as u16), "{group}");
            assert!(!window.is_new(group as u16));
            // Half a window late, and twice.
            if group % 3 == 0 && group > 2_000 {
                assert!(!window.is_new((group - 500) as u16));
            }
        }
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_set(steps in prop::collection::vec((0..3_000_i32, any::<bool>()), 1..300)) {
            let mut window = Unsequenced::default();
            let (mut newest, mut seen) = (0_i64, HashSet::new());
            for (step, back) in steps {
                let group = if back { newest - i64::from(step) } else { newest + i64::from(step) };
                let expected = newest - group < i64::from(WINDOW) && seen.insert(group);
                prop_assert_eq!(window.is_new(group as u16), expected, "{} {}", group, newest);
                newest = newest.max(group);
            }
        }
    }
}
