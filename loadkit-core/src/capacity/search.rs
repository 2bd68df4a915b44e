//! The search: a state machine without I/O, whose every decision follows from what was observed so far.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::answer::{Answer, Top};
use super::ladder::{Ladder, Range, RangeError};

/// With so many probes the answer is there, as long as nothing contradicts itself and the range has no more than 511
/// steps above its start: any range of use at 5 %. For a wider one it is one more for each doubling of the steps.
const PROBES: usize = 12;
/// So many more may go into contradictions.
const SPARE_PROBES: usize = 8;
/// Nothing is asked more often than this about one load: of three, two agree.
const VOTES: u32 = 3;
/// Unless two contradict each other and the generator gives out again and again: then a load does not hold after so many.
const MOST_VOTES: u32 = 5;
/// Of the probes, two go into asking both ends of the answer again, one is the start, and one more the first step up.
const NOT_FOR_HALVING: usize = 4;

/// What came of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Observation {
    /// The objective was held.
    Held,
    /// It was not.
    Missed,
    /// The load generator gave out: nothing is known about the server at this load.
    Invalid,
}

/// The next load to be put on the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Players, or arrivals a second.
    pub load: u64,
    /// What it is for.
    pub why: Why,
}

/// What a [`Probe`] is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Why {
    /// It is the first.
    Start,
    /// All so far held: higher.
    Higher,
    /// The limit lies between two loads: between them.
    Between,
    /// One probe is not believed alone: the same again.
    Again,
}

/// A probe that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trial {
    /// The load.
    pub load: u64,
    /// What came of it.
    pub seen: Observation,
}

/// Looks for the greatest load that holds.
///
/// **Ask for [`next`](Search::next), make that probe, tell what came of it with [`observe`](Search::observe), until there
/// is no next; then take the [`answer`](Search::answer).** The answer so far can be taken at any time.
///
/// It goes up by doubling (in greater steps if the range is too wide for that), never above the range's safety limit,
/// until a load does not hold, and then halves what lies between the greatest load that held and the least that did not,
/// in ratios. Neither end of the answer rests on a single probe: each is asked again, and in case of a contradiction once
/// more, and when the majority turns an end over, the search goes on from what is left. So a pause at the wrong moment
/// costs probes and not the truth.
///
/// A load at which the generator gave out is asked again at once: such a probe says nothing about the server, and any that
/// does outweighs it. If the generator gives out again, that ends the way up as a load that was missed does, and the answer
/// says so.
///
/// ```
/// use loadkit_core::capacity::{Observation, Range, Search};
///
/// let server_holds = |load| load <= 777;
/// let mut search = Search::new(Range { start: 10, max: 5_000, ..Range::default() })?;
/// while let Some(probe) = search.next() {
///     search.observe(probe.load, if server_holds(probe.load) { Observation::Held } else { Observation::Missed });
/// }
/// let answer = search.answer();
/// let (held, missed) = (answer.held.unwrap(), answer.missed.unwrap());
/// assert!(held <= 777 && 777 < missed && missed as f64 <= 1.05 * held as f64);
/// assert!(search.trials().len() <= 12);
/// # Ok::<(), loadkit_core::capacity::RangeError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Search {
    range: Range,
    ladder: Ladder,
    /// The steps of the way up.
    stairs: Vec<usize>,
    tallies: BTreeMap<usize, Tally>,
    trials: Vec<Trial>,
    expected: usize,
    top_is_generator: bool,
}

/// What was observed at one step.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    held: u32,
    missed: u32,
    invalid: u32,
    /// The number of the trial that was the first.
    since: usize,
}

impl Tally {
    fn asked(&self) -> u32 {
        self.held + self.missed + self.invalid
    }

    /// Whether it holds, by the majority of the probes that say something about the server; none while they are tied.
    /// Where the generator gave out each time, it does not, as far as the way up goes.
    fn holds(&self) -> Option<bool> {
        let is_tied = self.held == self.missed && self.held > 0 && self.asked() < MOST_VOTES;
        (!is_tied).then_some(self.held > self.missed)
    }

    /// Whether all that is known is that the generator gave out.
    fn is_of_generator(&self) -> bool {
        self.held + self.missed == 0
    }

    /// Whether more than one probe stands behind it.
    fn is_firm(&self) -> bool {
        let agree = self.held.abs_diff(self.missed) > 1 || self.is_of_generator() && self.invalid > 1;
        agree || self.asked() >= VOTES
    }

    fn is_contested(&self) -> bool {
        self.held > 0 && self.missed > 0
    }
}

impl Search {
    /// A search in this range.
    ///
    /// # Errors
    /// If the range makes no sense.
    pub fn new(range: Range) -> Result<Search, RangeError> {
        let ladder = Ladder::new(&range)?;
        let expected = expected(&ladder);
        let stairs = stairs(&ladder, expected);
        Ok(Search {
            range,
            ladder,
            stairs,
            tallies: BTreeMap::new(),
            trials: Vec::new(),
            expected,
            top_is_generator: false,
        })
    }

    /// Where it looks.
    pub fn range(&self) -> Range {
        self.range
    }

    /// With so many probes the answer is there, unless observations contradict each other.
    pub fn expected_probes(&self) -> usize {
        self.expected
    }

    /// More probes than these are never made.
    pub fn max_probes(&self) -> usize {
        self.expected + SPARE_PROBES
    }

    /// The probes so far, in their order.
    pub fn trials(&self) -> &[Trial] {
        &self.trials
    }

    /// Whether any probe said something about the server.
    pub fn has_answered(&self) -> bool {
        self.trials.iter().any(|trial| trial.seen != Observation::Invalid)
    }

    /// The same search, of which the safety limit is the machine's own: all that the load generator can make.
    #[must_use]
    pub fn limited_by_generator(self) -> Search {
        Search { top_is_generator: true, ..self }
    }

    /// The probe to be made now; none when the answer is there, or the probes are used up.
    pub fn next(&self) -> Option<Probe> {
        if self.trials.len() >= self.max_probes() {
            return None;
        }
        let (step, why) = self.next_step()?;
        Some(Probe { load: self.ladder.load(step), why })
    }

    /// Takes what came of a probe. A load that the search did not ask for is not counted.
    pub fn observe(&mut self, load: u64, seen: Observation) {
        let Some(step) = self.ladder.step(load) else { return };
        let since = self.trials.len();
        let tally = self.tallies.entry(step).or_insert(Tally { since, ..Tally::default() });
        match seen {
            Observation::Held => tally.held += 1,
            Observation::Missed => tally.missed += 1,
            Observation::Invalid => tally.invalid += 1,
        }
        self.trials.push(Trial { load, seen });
    }

    /// What is known so far.
    pub fn answer(&self) -> Answer {
        let (held, upper) = self.ends();
        let load = |step: usize| self.ladder.load(step);
        let of_upper = upper.and_then(|step| self.tallies.get(&step));
        let top = match (of_upper, held) {
            (Some(tally), _) if tally.is_of_generator() => Top::Generator,
            (Some(_), _) => Top::Server,
            (None, Some(held)) if held == self.ladder.top() && self.top_is_generator => Top::Generator,
            (None, Some(held)) if held == self.ladder.top() => Top::SafetyLimit,
            (None, _) => Top::Unknown,
        };
        // A probe that contradicts the majority widens the interval to the next load at which there was no contradiction.
        let calm = |step: usize, holds| {
            self.tallies.get(&step).is_some_and(|tally| tally.holds() == Some(holds) && !tally.is_contested())
        };
        let below = |end: usize| self.tallies.range(..=end).rev().map(|(step, _)| *step).find(|step| calm(*step, true));
        let above = |end: usize| self.tallies.range(end..).map(|(step, _)| *step).find(|step| calm(*step, false));
        Answer {
            held: held.map(load),
            missed: upper.map(load).filter(|_| top == Top::Server),
            top,
            ceiling: upper.map(load).filter(|_| top == Top::Generator),
            surely_held: held.and_then(below).map(load),
            surely_missed: upper.filter(|_| top == Top::Server).and_then(above).map(load),
            settled: !self.trials.is_empty() && self.next_step().is_none(),
        }
    }

    /// The greatest step that holds, below the least that does not.
    fn ends(&self) -> (Option<usize>, Option<usize>) {
        let find = |(step, tally): (&usize, &Tally), holds| (tally.holds() == Some(holds)).then_some(*step);
        let upper = self.tallies.iter().find_map(|tally| find(tally, false));
        let below = self.tallies.range(..upper.unwrap_or(usize::MAX));
        (below.rev().find_map(|tally| find(tally, true)), upper)
    }

    fn next_step(&self) -> Option<(usize, Why)> {
        if self.tallies.is_empty() {
            return Some((self.ladder.start(), Why::Start));
        }
        // Of a load at which the generator gave out nothing is known: what disturbed it may be gone, so it is asked again
        // before anything is built on it.
        let unknown = |tally: &Tally| tally.holds().is_none() || tally.is_of_generator() && !tally.is_firm();
        if let Some((step, _)) = self.tallies.iter().find(|(_, tally)| unknown(tally)) {
            return Some((*step, Why::Again));
        }
        let doubtful = |step: usize| self.tallies.get(&step).filter(|tally| !tally.is_firm()).map(|t| (t.since, step));
        let again = |(_, step)| (step, Why::Again);
        match self.ends() {
            // A server that has yet to warm up misses the very first. All else would be built on that.
            (None, Some(upper)) if upper == self.ladder.start() && doubtful(upper).is_some() => {
                Some((upper, Why::Again))
            }
            (None, Some(0)) => doubtful(0).map(again),
            (None, Some(upper)) => Some(((upper - 1) / 2, Why::Between)),
            (Some(lower), None) if lower == self.ladder.top() => doubtful(lower).map(again),
            (lower, None) => {
                let higher = self.stairs.iter().find(|stair| lower.is_none_or(|lower| **stair > lower));
                Some((higher.copied().unwrap_or(self.ladder.top()), Why::Higher))
            }
            // The elder end is the one that everything since has leaned on.
            (Some(lower), Some(upper)) if upper == lower + 1 => {
                doubtful(lower).into_iter().chain(doubtful(upper)).min().map(again)
            }
            (Some(lower), Some(upper)) => Some((usize::midpoint(lower, upper), Why::Between)),
        }
    }
}

/// How many probes find any limit in the ladder, if nothing contradicts itself. See [`stairs`] for the way up. On the way
/// down the start is asked twice, and then what lies below it is halved.
fn expected(ladder: &Ladder) -> usize {
    let fits = |probes: usize| {
        let for_halving = (probes - NOT_FOR_HALVING) as u32;
        let up = 1_usize.checked_shl(for_halving + 1).is_none_or(|steps| ladder.top() - ladder.start() < steps);
        let down = 1_usize.checked_shl(for_halving).is_none_or(|steps| ladder.start() < steps);
        up && down
    };
    // A ladder of all seats at the finest tolerance has some ten thousand steps.
    (PROBES..PROBES + 64).find(|probes| fits(*probes)).unwrap_or(PROBES)
}

/// The way up: steps that double the load, or, if the top cannot be reached so within the probes, multiply it by the
/// least that can.
///
/// If the n-th stair (from 0) is the first that does not hold, n + 2 probes were made, halving the g steps between it and
/// the one before takes log2 g, and asking both ends again takes two: so `g <= 2^(probes - 4 - n)`, and with all n those
/// are `2^(probes - 3) - 1` steps at most.
fn stairs(ladder: &Ladder, probes: usize) -> Vec<usize> {
    let mut factor = 2.0;
    loop {
        let mut stairs = Vec::new();
        let mut step = ladder.start();
        for n in 0..=probes - NOT_FOR_HALVING {
            if step == ladder.top() {
                return stairs;
            }
            let most = step + (1 << (probes - NOT_FOR_HALVING - n));
            step = ladder.at_least(ladder.load(step) as f64 * factor).clamp(step + 1, most).min(ladder.top());
            stairs.push(step);
        }
        if step == ladder.top() || factor > 1e12 {
            return stairs;
        }
        factor *= 1.25;
    }
}

#[cfg(test)]
mod tests;
