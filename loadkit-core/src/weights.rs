//! `Weights`: who a player is, in exact proportions and without state.
//!
//! Party `p` takes the persona in whose share of `0..1` the point `frac(offset + p * phi)` falls, with `phi` the golden
//! ratio and the offset from the seed. That (Kronecker's) sequence fills `0..1` more evenly than any other additive one
//! (L. Kuipers and H. Niederreiter, "Uniform Distribution of Sequences", 1974, chapter 2.3), so any run of `n` parties in
//! a row has each persona to within a few parties of its weight, where drawing lots would be off by `sqrt(n)`.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use crate::plan::suggest;
use crate::seed::Seed;

/// The golden ratio's fraction as a fraction of 2^64.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// The fraction of the square root of 2 as a fraction of 2^64: after the golden ratio the most even of such steps, and
/// independent of it, so that pairs of both fill the square.
const SILVER: u64 = 0x6A09_E667_F3BC_C909;

/// The most personas of a scenario.
const MAX_PERSONAS: usize = 1_000;

/// Personas by name and how often each is played, relative to the others.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    personas: Vec<(Arc<str>, f64)>,
    /// The upper ends of their shares, as fractions of 2^64, all but the last.
    ends: Vec<u64>,
    /// The last persona with a weight: where rounding leaves a point above all ends, it is this one's.
    last: usize,
}

impl Default for Weights {
    /// One persona without a name.
    fn default() -> Weights {
        Weights { personas: vec![("".into(), 1.0)], ends: Vec::new(), last: 0 }
    }
}

impl Weights {
    /// Personas with their weights, in the order of their indices.
    ///
    /// # Errors
    /// If there is none or more than 1,000, if a name comes twice, if a weight is negative or no number, or if all are 0.
    pub fn new<N: Into<Arc<str>>>(personas: impl IntoIterator<Item = (N, f64)>) -> Result<Weights, WeightsError> {
        let personas = personas.into_iter().map(|(name, weight)| (name.into(), weight)).collect();
        Weights::checked(personas)
    }

    fn checked(personas: Vec<(Arc<str>, f64)>) -> Result<Weights, WeightsError> {
        if personas.is_empty() || personas.len() > MAX_PERSONAS {
            return Err(WeightsError::Number { personas: personas.len() });
        }
        for (i, (name, weight)) in personas.iter().enumerate() {
            if !weight.is_finite() || *weight < 0.0 {
                return Err(WeightsError::Weight { name: name.to_string(), weight: *weight });
            }
            if personas.iter().take(i).any(|(other, _)| other == name) {
                return Err(WeightsError::Twice { name: name.to_string() });
            }
        }
        let Some(last) = personas.iter().rposition(|(_, weight)| *weight > 0.0) else {
            return Err(WeightsError::Zero);
        };
        // Scaled by the largest, so that the sum of huge weights stays a number.
        let largest = personas.iter().map(|(_, weight)| *weight).fold(0.0, f64::max);
        let sum: f64 = personas.iter().map(|(_, weight)| weight / largest).sum();
        let mut below = 0.0;
        let ends = personas.iter().take(last).map(|(_, weight)| {
            below += weight / largest / sum;
            // The cast saturates.
            (below * 18_446_744_073_709_551_616.0) as u64
        });
        let ends = ends.collect();
        Ok(Weights { personas, ends, last })
    }

    /// The same personas with some weights replaced, as a plan does it. The others keep theirs.
    ///
    /// # Errors
    /// If a name is none of the personas, and as [`Weights::new`].
    pub fn with(self, overrides: Vec<(&str, f64)>) -> Result<Weights, WeightsError> {
        let mut personas = self.personas;
        for (name, weight) in overrides {
            match personas.iter_mut().find(|(known, _)| **known == *name) {
                Some(persona) => persona.1 = weight,
                None => {
                    let known = personas.iter().map(|(name, _)| name.to_string()).collect();
                    return Err(WeightsError::Unknown { name: name.to_owned(), known });
                }
            }
        }
        Weights::checked(personas)
    }

    /// The index of the persona that all members of a party play. A persona of weight 0 is never played.
    pub fn pick(&self, seed: Seed, party: u64) -> usize {
        self.at(seed.stream("mix", 0, 0), party.wrapping_mul(GOLDEN))
    }

    /// The same for the networks of seats. By another sequence, or the network would follow from the persona.
    pub(crate) fn pick_network(&self, seed: Seed, seat: u64) -> usize {
        self.at(seed.stream("network", 0, 0), seat.wrapping_mul(SILVER))
    }

    fn at(&self, offset: u64, way: u64) -> usize {
        let point = offset.wrapping_add(way);
        self.ends.partition_point(|end| *end <= point).min(self.last)
    }

    /// The name of a persona; empty if there is none of this index.
    pub fn name(&self, index: usize) -> &str {
        self.personas.get(index).map_or("", |(name, _)| name)
    }

    /// The weight of a persona, relative to the others; 0 if there is none of this index.
    pub fn weight(&self, index: usize) -> f64 {
        self.personas.get(index).map_or(0.0, |(_, weight)| *weight)
    }

    /// The names, in the order of the indices.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.personas.iter().map(|(name, _)| &**name)
    }

    /// The share of a persona, 0 to 1; 0 if there is none of this index.
    pub fn share(&self, index: usize) -> f64 {
        let largest = self.personas.iter().map(|(_, weight)| *weight).fold(0.0, f64::max);
        let sum: f64 = self.personas.iter().map(|(_, weight)| weight / largest).sum();
        self.weight(index) / largest / sum
    }

    /// How many personas there are; never 0.
    #[expect(clippy::len_without_is_empty, reason = "it is never empty")]
    pub fn len(&self) -> usize {
        self.personas.len()
    }
}

/// Why there are no such [`Weights`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum WeightsError {
    /// There must be 1 to 1,000 personas.
    Number {
        /// How many there are.
        personas: usize,
    },
    /// A weight must be a number of at least 0.
    Weight {
        /// The persona.
        name: String,
        /// Its weight.
        weight: f64,
    },
    /// Each persona needs a name of its own.
    Twice {
        /// The name.
        name: String,
    },
    /// One of the weights must be above 0.
    Zero,
    /// The scenario has no such persona.
    Unknown {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: Vec<String>,
    },
}

impl fmt::Display for WeightsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WeightsError::Number { personas } => {
                write!(f, "a scenario has 1 to {MAX_PERSONAS} personas, this one has {personas}")
            }
            WeightsError::Weight { name, weight } => {
                write!(f, "the weight of `{name}` is {weight}: a weight is a number of at least 0")
            }
            WeightsError::Twice { name } => write!(f, "two personas are called `{name}`: rename one of them"),
            WeightsError::Zero => write!(f, "the weights of all personas are 0: raise at least one of them"),
            WeightsError::Unknown { name, known } => {
                write!(f, "the scenario has no persona `{name}`")?;
                match suggest(name, known.iter().map(String::as_str)) {
                    Some(meant) => write!(f, ": did you mean `{meant}`?"),
                    None => write!(f, ": it has {}", known.join(", ")),
                }
            }
        }
    }
}

impl Error for WeightsError {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn counts(weights: &Weights, seed: u64, parties: std::ops::Range<u64>) -> Vec<u64> {
        let mut counts = vec![0; weights.len()];
        for party in parties {
            counts[weights.pick(Seed(seed), party)] += 1;
        }
        counts
    }

    #[test]
    fn proportions_are_near_exact() {
        let weights = Weights::new([("casual", 7.0), ("competitive", 3.0)]).unwrap();
        for seed in 0..20 {
            let counts = counts(&weights, seed, 0..1000);
            assert!((698..=702).contains(&counts[0]), "{counts:?}");
        }
    }

    #[test]
    fn zero_is_never_played() {
        let weights = Weights::new([("a", 0.0), ("b", 1.0), ("c", 0.0), ("d", 2.0), ("e", 0.0)]).unwrap();
        let counts = counts(&weights, 3, 0..3000);
        assert_eq!((counts[0], counts[2], counts[4]), (0, 0, 0));
        assert!(counts[1].abs_diff(1000) < 4, "{counts:?}");
        assert_eq!(weights.share(3), 2.0 / 3.0);
        assert_eq!((weights.share(9), weights.weight(3), weights.name(3), weights.name(9)), (0.0, 2.0, "d", ""));
        let none = Weights::default();
        assert_eq!((none.len(), none.name(0), none.share(0), none.pick(Seed(1), 5)), (1, "", 1.0, 0));
    }

    #[test]
    fn a_plan_overrides_by_name() {
        let code = Weights::new([("casual", 7.0), ("competitive", 3.0)]).unwrap();
        let plan = code.clone().with(vec![("competitive", 0.0)]).unwrap();
        assert_eq!(counts(&plan, 1, 0..100), [100, 0]);
        let error = code.clone().with(vec![("competetive", 1.0)]).unwrap_err().to_string();
        assert!(error.contains("did you mean `competitive`"), "{error}");
        assert!(code.clone().with(vec![("whale", 1.0)]).unwrap_err().to_string().contains("casual, competitive"));
        assert_eq!(code.with(vec![("casual", 0.0), ("competitive", 0.0)]), Err(WeightsError::Zero));
    }

    #[test]
    fn refuses_what_cannot_be_weighed() {
        assert_eq!(Weights::new::<&str>([]), Err(WeightsError::Number { personas: 0 }));
        assert!(Weights::new([("a", -1.0)]).is_err());
        assert!(Weights::new([("a", f64::NAN)]).is_err());
        assert!(Weights::new([("a", f64::INFINITY)]).is_err());
        assert_eq!(Weights::new([("a", 1.0), ("a", 1.0)]), Err(WeightsError::Twice { name: "a".into() }));
        let huge = Weights::new([("a", f64::MAX), ("b", f64::MAX)]).unwrap();
        assert!(counts(&huge, 1, 0..100)[0].abs_diff(50) < 3);
    }

    proptest! {
        #[test]
        fn any_parties_in_a_row_have_the_weights(
            weights in prop::collection::vec(0.0..10.0f64, 1..8), seed in any::<u64>(), first in 0..1u64 << 40, n in 1..3000u64,
        ) {
            prop_assume!(weights.iter().any(|w| *w > 0.0));
            let weights = Weights::new(weights.iter().enumerate().map(|(i, w)| (i.to_string(), *w))).unwrap();
            for (i, count) in counts(&weights, seed, first..first + n).iter().enumerate() {
                let off = (*count as f64 - weights.share(i) * n as f64).abs();
                // Of the golden ratio n D(n) is below 2 + log(n) / 2; lots would be off by some 25 of 3000.
                prop_assert!(off <= 2.0 + 0.5 * (n as f64).ln(), "{i}: off by {off} of {n}");
            }
        }
    }
}
