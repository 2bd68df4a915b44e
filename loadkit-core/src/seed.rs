//! `(run seed, label, seat, life) -> stream`: all randomness of a run from one number.
//!
//! **The same seed and the same words give the same stream on any shard, worker and machine.** Streams are derived by
//! hashing and never by drawing from one another, so the order in which things happen does not matter.

use std::error::Error;
use std::fmt;
use std::str::FromStr;

use rand_pcg::Pcg64Mcg;

/// The random generator of bots and shapes: 16 bytes of state, and values that stay the same between releases.
///
/// PCG XSL 128/64 (MCG): Melissa O'Neill, "PCG: A Family of Simple Fast Space-Efficient Statistically Good Algorithms
/// for Random Number Generation", 2014. It is not for secrets.
pub type Rng = Pcg64Mcg;

const _: () = assert!(size_of::<Rng>() == 16, "one generator lives in every bot");

/// 2^64 divided by the golden ratio, made odd: the increment of splitmix64.
const GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;

/// The seed of a run, from which every random choice in it follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Seed(pub u64);

impl Seed {
    /// Reads a seed as people write it: decimal (`42`) or hexadecimal (`0x2a`).
    ///
    /// # Errors
    /// If the text is neither, or does not fit 64 bits.
    pub fn parse(text: &str) -> Result<Seed, SeedError> {
        let trimmed = text.trim();
        let hex = trimmed.strip_prefix("0x").or_else(|| trimmed.strip_prefix("0X"));
        let (digits, radix) = hex.map_or((trimmed, 10), |digits| (digits, 16));
        // from_str_radix takes a leading plus sign, which is no digit.
        if !digits.starts_with(|c: char| c.is_digit(radix)) {
            return Err(SeedError { text: text.chars().take(40).collect() });
        }
        u64::from_str_radix(digits, radix).map(Seed).map_err(|_| SeedError { text: text.chars().take(40).collect() })
    }

    /// 64 bits that depend on the seed, a label that says what they are for, and two numbers (a seat and a life, say).
    ///
    /// Each part is absorbed by the finaliser of splitmix64 (Steele, Lea and Flood, "Fast Splittable Pseudorandom
    /// Number Generators", OOPSLA 2014, with the constants of Stafford's variant 13), which is a bijection: two
    /// streams that differ in one part only are never equal.
    pub fn stream(self, label: &str, a: u64, b: u64) -> u64 {
        absorb(absorb(absorb(absorb(0, self.0), hash_label(label)), a), b)
    }

    /// A generator on the stream of [`Seed::stream`].
    pub fn rng(self, label: &str, a: u64, b: u64) -> Rng {
        let stream = self.stream(label, a, b);
        let high = u128::from(absorb(stream, 1)) << 64;
        Pcg64Mcg::new(high | u128::from(absorb(stream, 2)))
    }
}

impl FromStr for Seed {
    type Err = SeedError;

    fn from_str(text: &str) -> Result<Seed, SeedError> {
        Seed::parse(text)
    }
}

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Takes `word` into `state`: for a fixed word a bijection of the state, and the other way round.
fn absorb(state: u64, word: u64) -> u64 {
    let mut z = state.wrapping_add(GAMMA) ^ word;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// A label as a number: FNV-1a, 64 bits (RFC 9923).
fn hash_label(label: &str) -> u64 {
    label.bytes().fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3))
}

/// The text is no seed: write a whole number of at most 64 bits, decimal or with `0x`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeedError {
    text: String,
}

impl fmt::Display for SeedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is no seed: write a whole number of at most 64 bits, such as 42 or 0x2a", self.text)
    }
}

impl Error for SeedError {}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::Rng as _;
    use std::collections::HashSet;

    #[test]
    fn reads_what_people_write() {
        for (text, seed) in [("0", 0), ("42", 42), (" 0x2A ", 42), ("0XfF", 255), ("18446744073709551615", u64::MAX)] {
            assert_eq!(Seed::parse(text), Ok(Seed(seed)), "{text}");
        }
        for text in ["", "x", "-1", "+1", "0x", "0x+1", "1.5", "18446744073709551616", "ten"] {
            assert!(Seed::parse(text).is_err(), "{text}");
        }
        assert_eq!(Seed(7).to_string().parse(), Ok(Seed(7)));
    }

    #[test]
    fn values_are_stable() {
        // Computed by a second implementation. They are a promise: a report names its seed so that the run can be repeated.
        assert_eq!(Seed(7).stream("bot", 0, 0), 0x76C5_E550_6FE6_327A);
        assert_eq!(Seed(7).rng("bot", 3, 1).next_u64(), 0x5A03_1E64_58F3_1A00);
    }

    #[test]
    fn every_part_of_the_name_matters() {
        let mut seen = HashSet::new();
        for seed in 0..4 {
            for label in ["", "bot", "mix"] {
                for a in 0..32 {
                    for b in 0..32 {
                        assert!(seen.insert(Seed(seed).stream(label, a, b)), "{seed} {label} {a} {b}");
                    }
                }
            }
        }
    }

    #[test]
    fn neighbours_are_unlike() {
        // A changed bit in the seat should flip about half of the 64 bits.
        let flips: u32 =
            (0..64).map(|bit| (Seed(1).stream("bot", 0, 0) ^ Seed(1).stream("bot", 1 << bit, 0)).count_ones()).sum();
        assert!((27..=37).contains(&(flips / 64)), "{}", flips / 64);
    }
}
