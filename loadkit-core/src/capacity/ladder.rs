//! `Range -> the loads that may be probed`, each within the tolerance of the one below it.

use std::error::Error;
use std::fmt;

use crate::shape::MAX_SEATS;

/// The finest and the coarsest tolerance.
const TOLERANCES: (f64, f64) = (0.001, 0.5);

/// Where a [`Search`](super::Search) looks for the limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    /// The first load to be probed.
    pub start: u64,
    /// The safety limit: nothing above it is ever probed.
    pub max: u64,
    /// All loads are multiples of this: the seats of a party, or 1.
    pub unit: u64,
    /// The answer's two ends may be so far apart, as a share of the lower: 0.05 for 5 %. The finer, the more probes.
    pub tolerance: f64,
}

impl Default for Range {
    /// From 10 to 10,000, to 5 %.
    fn default() -> Range {
        Range { start: 10, max: 10_000, unit: 1, tolerance: 0.05 }
    }
}

/// Why a range cannot be searched.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum RangeError {
    /// The start is nothing, or less than one unit.
    Start {
        /// The start.
        start: u64,
        /// The unit.
        unit: u64,
    },
    /// The start is above the safety limit.
    Above {
        /// The start.
        start: u64,
        /// The safety limit.
        max: u64,
    },
    /// The safety limit is above what a plan can hold.
    Max(u64),
    /// The tolerance is finer or coarser than makes sense.
    Tolerance(f64),
}

impl fmt::Display for RangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RangeError::Start { start, unit: 0 | 1 } => {
                write!(f, "the search cannot start at {start}: start at 1 or more")
            }
            RangeError::Start { start, unit } => {
                write!(f, "the search cannot start at {start}, less than one party: start at {unit} or more")
            }
            RangeError::Above { start, max } => write!(
                f,
                "the start ({start}) is above the safety limit ({max}): start lower, or raise the limit if the server \
                 may be loaded so much"
            ),
            RangeError::Max(max) => {
                write!(f, "the safety limit is {max}: a run holds {MAX_SEATS} at most")
            }
            RangeError::Tolerance(tolerance) => {
                let (fine, coarse) = (TOLERANCES.0 * 100.0, TOLERANCES.1 * 100.0);
                write!(f, "the tolerance is {}%: it can be from {fine}% to {coarse}%", tolerance * 100.0)
            }
        }
    }
}

impl Error for RangeError {}

/// The loads that may be probed, ascending. Neighbours are one unit apart, or within the tolerance of each other: so
/// the limit is found when two neighbours differ, and rounding cannot spoil it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ladder {
    loads: Vec<u64>,
    start: usize,
}

impl Ladder {
    pub(super) fn new(range: &Range) -> Result<Ladder, RangeError> {
        let Range { start, max, unit, tolerance } = *range;
        if !(TOLERANCES.0..=TOLERANCES.1).contains(&tolerance) {
            return Err(RangeError::Tolerance(tolerance));
        }
        if max > MAX_SEATS {
            return Err(RangeError::Max(max));
        }
        if start > max {
            return Err(RangeError::Above { start, max });
        }
        if unit == 0 || start < unit {
            return Err(RangeError::Start { start, unit });
        }
        let (start, max) = (start / unit * unit, max / unit * unit);
        let mut loads = vec![start];
        let mut load = start;
        while load > unit {
            let near = (load as f64 / (1.0 + tolerance)).ceil() as u64;
            load = near.next_multiple_of(unit).min(load - unit);
            loads.push(load);
        }
        loads.reverse();
        let at = loads.len() - 1;
        load = start;
        while load < max {
            let near = (load as f64 * (1.0 + tolerance)).floor() as u64;
            load = (near / unit * unit).max(load + unit).min(max);
            loads.push(load);
        }
        Ok(Ladder { loads, start: at })
    }

    /// The step on which the search starts.
    pub(super) fn start(&self) -> usize {
        self.start
    }

    /// The highest step.
    pub(super) fn top(&self) -> usize {
        self.loads.len() - 1
    }

    /// The load of a step; that of the highest for any above.
    pub(super) fn load(&self, step: usize) -> u64 {
        self.loads.get(step).or(self.loads.last()).copied().unwrap_or(0)
    }

    /// The step of a load, if it has one.
    pub(super) fn step(&self, load: u64) -> Option<usize> {
        self.loads.binary_search(&load).ok()
    }

    /// The first step of at least this load; the highest if there is none.
    pub(super) fn at_least(&self, load: f64) -> usize {
        self.loads.partition_point(|step| (*step as f64) < load).min(self.top())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_cannot_be_searched_is_said() {
        let of =
            |start, max, unit, tolerance| Ladder::new(&Range { start, max, unit, tolerance }).unwrap_err().to_string();
        assert!(of(0, 10, 1, 0.05).contains("start at 1 or more"));
        assert!(of(2, 10, 3, 0.05).contains("start at 3 or more"));
        assert!(of(20, 10, 1, 0.05).contains("(20) is above the safety limit (10)"));
        assert!(of(1, u64::MAX, 1, 0.05).contains("at most"));
        assert!(of(1, 10, 1, 0.0).contains("from 0.1% to 50%"));
        assert!(of(1, 10, 1, f64::NAN).contains("tolerance"));
    }

    #[test]
    fn the_start_is_a_step_and_the_limit_is_the_last() {
        let ladder = Ladder::new(&Range { start: 1_000, max: 1_500, unit: 1, tolerance: 0.05 }).unwrap();
        assert_eq!((ladder.load(0), ladder.load(ladder.start()), ladder.load(ladder.top())), (1, 1_000, 1_500));
        assert_eq!(ladder.load(ladder.start() + 1), 1_050);
    }

    proptest! {
        #[test]
        fn neighbours_are_a_unit_apart_or_within_the_tolerance(
            start in 1_u64..100_000, above in 0_u64..1_000_000, unit in 1_u64..20, tolerance in 0.001..0.5_f64,
        ) {
            let start = start + unit;
            let ladder = Ladder::new(&Range { start, max: start + above, unit, tolerance }).unwrap();
            prop_assert_eq!(ladder.load(0), unit);
            prop_assert!(ladder.load(ladder.top()) <= start + above);
            for pair in ladder.loads.windows(2) {
                let apart = pair[1] - pair[0];
                prop_assert!(apart == unit || apart > 0 && apart as f64 <= tolerance * pair[0] as f64 + 1e-6, "{:?}", pair);
                prop_assert_eq!(pair[1] % unit, 0);
            }
        }
    }
}
