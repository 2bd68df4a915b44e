//! `chance -> what a player's hands do, tick after tick`: a tee that runs about, jumps, looks around and shoots.

use crate::messages::PlayerInput;
use rand::{Rng, RngExt};

/// A player's hands: what they hold on to, and for how long.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hands {
    input: PlayerInput,
    /// Ticks until the next decision.
    walk_for: u32,
    aim_for: u32,
    /// The cursor's way in a tick.
    sweep: (i32, i32),
}

/// Pixels from the tee within which the cursor moves.
const REACH: i32 = 300;
/// Weapons from hammer to laser; which of them the tee has, the server knows.
const WEAPONS: i32 = 5;

impl Hands {
    /// What they do in the next tick.
    pub fn next(&mut self, rng: &mut impl Rng) -> PlayerInput {
        if self.walk_for == 0 {
            self.walk_for = rng.random_range(10..75);
            self.input.direction = rng.random_range(-1..=1);
            self.input.hook = rng.random_bool(0.2);
        }
        if self.aim_for == 0 {
            self.aim_for = rng.random_range(5..40);
            self.sweep = (rng.random_range(-20..=20), rng.random_range(-20..=20));
        }
        self.walk_for -= 1;
        self.aim_for -= 1;
        let (x, y) = self.input.target;
        self.input.target = ((x + self.sweep.0).clamp(-REACH, REACH), (y + self.sweep.1).clamp(-REACH, REACH));
        self.input.jump = if self.input.jump { rng.random_bool(0.8) } else { rng.random_bool(0.03) };
        // Three shots a second, each a press and a release.
        if rng.random_bool(0.12) {
            self.input.fire = (self.input.fire + 1) & 0x3f;
        }
        self.input.wanted_weapon = if rng.random_bool(0.01) { rng.random_range(1..=WEAPONS) } else { 0 };
        self.input
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    /// Numbers as good as chance for a test, and always the same.
    struct Sequence(u64);

    impl rand::TryRng for Sequence {
        type Error = Infallible;

        fn try_next_u32(&mut self) -> Result<u32, Infallible> {
            self.try_next_u64().map(|number| (number >> 32) as u32)
        }

        fn try_next_u64(&mut self) -> Result<u64, Infallible> {
            self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            Ok(self.0)
        }

        fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
            bytes.fill(0);
            Ok(())
        }
    }

    fn minute(seed: u64) -> Vec<PlayerInput> {
        let (mut hands, mut rng) = (Hands::default(), Sequence(seed));
        (0..3000).map(|_| hands.next(&mut rng)).collect()
    }

    #[test]
    fn a_minute_has_some_of_everything() {
        let minute = minute(7);
        let changes = |of: fn(&PlayerInput) -> i32| minute.windows(2).filter(|two| of(&two[0]) != of(&two[1])).count();
        for (what, changes, expected) in [
            ("turns", changes(|input| input.direction), 20..150),
            ("jumps", changes(|input| input.jump.into()) / 2, 30..150),
            ("shots", changes(|input| input.fire) / 2, 100..250),
            ("looks", changes(|input| input.target.0), 1000..3000),
            ("weapons", changes(|input| input.wanted_weapon), 10..150),
        ] {
            assert!(expected.contains(&changes), "{what}: {changes}");
        }
        assert!(minute.iter().all(|input| input.target.0.abs() <= REACH && input.target.1.abs() <= REACH));
    }

    #[test]
    fn the_same_chance_makes_the_same_play() {
        assert_eq!(minute(7), minute(7));
        assert_ne!(minute(7), minute(8));
    }
}
