//! `(recorded, replayed) -> Comparison`: two flights side by side, and where they part.
//!
//! Events are aligned so that as much as possible goes together, as `diff` does with lines, but with degrees: the same
//! event with the same contents goes together best, then the same message with other contents, then the same step with
//! another outcome. Times decide nothing.

use super::{Ending, Flight, FlightEvent, Message};

/// Two flights side by side.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison<'a> {
    /// What was recorded.
    pub recorded: &'a Flight,
    /// What happened when it was played again.
    pub replayed: &'a Flight,
    /// The events of both, those that go together in one row.
    pub rows: Vec<Row<'a>>,
    /// Events of the replay that come before all that was recorded, which is only the end of a longer flight.
    pub before: usize,
}

/// Events that go together, or one that has no counterpart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row<'a> {
    /// What was recorded.
    pub recorded: Option<&'a FlightEvent>,
    /// What happened in the replay.
    pub replayed: Option<&'a FlightEvent>,
    /// How they differ.
    pub parting: Parting,
}

/// How two events differ. The worse, the larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Parting {
    /// Not at all, times aside.
    None,
    /// The same message, with other contents.
    Contents,
    /// A message came from the server on one side alone.
    Received,
    /// The player, its steps or its connections went another way.
    Path,
}

impl<'a> Comparison<'a> {
    /// Compares a flight with its replay.
    pub fn new(recorded: &'a Flight, replayed: &'a Flight) -> Comparison<'a> {
        let (mut left, mut right): (Vec<_>, Vec<_>) =
            (recorded.events.iter().collect(), replayed.events.iter().collect());
        // Of a longer flight only the end is there: so it is compared from the end on.
        let from_the_end = recorded.left_out > 0;
        if from_the_end {
            left.reverse();
            right.reverse();
        }
        let mut rows = align(&left, &right);
        let mut before = 0;
        if from_the_end {
            rows.reverse();
            before = rows.iter().take_while(|row| row.recorded.is_none()).count();
            // If nothing goes together, all of it is there to be seen.
            let is_alone = |row: &Row<'_>| row.recorded.is_none() || row.replayed.is_none();
            before = if rows.iter().all(is_alone) { 0 } else { before };
            rows.drain(..before);
        }
        Comparison { recorded, replayed, rows, before }
    }

    /// Whether both ended in the same way: well, or by the same kind of failure of the same step.
    pub fn ends_alike(&self) -> bool {
        let ending = |flight: &'a Flight| flight.failure.as_ref().map(|Ending { step, kind, .. }| (step, kind));
        ending(self.recorded) == ending(self.replayed)
    }

    /// The first row in which they differ so much or worse.
    pub fn first(&self, parting: Parting) -> Option<usize> {
        self.rows.iter().position(|row| row.parting >= parting)
    }
}

/// How well two events go together: 0 not at all.
fn likeness(a: &FlightEvent, b: &FlightEvent) -> u8 {
    use FlightEvent::{Begun, Closed, Connected, Done, Message as Said};
    match (a, b) {
        (Begun { step: a, .. }, Begun { step: b, .. }) if a == b => 4,
        (Done { step: a, failure: how, .. }, Done { step: b, failure: other, .. }) if a == b => {
            let kind = |failure: &Option<super::Reason>| failure.as_ref().map(|reason| reason.kind.clone());
            if kind(how) == kind(other) { 4 } else { 1 }
        }
        (Connected { connection: a, protocol: is, .. }, Connected { connection: b, protocol: was, .. })
            if a == b && is == was =>
        {
            4
        }
        (Closed { connection: a, reason: is, .. }, Closed { connection: b, reason: was, .. }) if a == b => {
            if is.kind == was.kind { 4 } else { 1 }
        }
        (Said(a), Said(b)) if (a.way, a.connection) == (b.way, b.connection) => said_alike(a, b),
        _ => 0,
    }
}

fn said_alike(a: &Message, b: &Message) -> u8 {
    if (&a.bytes, a.size) == (&b.bytes, b.size) || a.text.is_some() && a.text == b.text {
        return 4;
    }
    match (a.name(), b.name()) {
        (Some(a), Some(b)) if a == b => 3,
        // Bytes that nobody can read: they are of one kind as far as anybody knows.
        (None, None) => 2,
        _ => 0,
    }
}

fn parting(recorded: &FlightEvent, replayed: &FlightEvent) -> Parting {
    match likeness(recorded, replayed) {
        4 => Parting::None,
        2 | 3 => Parting::Contents,
        _ => Parting::Path,
    }
}

/// What it means that an event has no counterpart.
fn alone(event: &FlightEvent) -> Parting {
    match event {
        FlightEvent::Message(Message { way: super::Way::Received, .. }) => Parting::Received,
        _ => Parting::Path,
    }
}

/// The alignment in which the sum of the likenesses is the largest (Needleman and Wunsch, "A general method applicable to
/// the search for similarities in the amino acid sequence of two proteins", 1970), with a price of opening a gap, because a
/// player does the same again and again: what follows each other should stay together.
fn align<'a>(a: &[&'a FlightEvent], b: &[&'a FlightEvent]) -> Vec<Row<'a>> {
    let same = a.iter().zip(b).take_while(|(a, b)| likeness(a, b) == 4).count();
    let mut rows: Vec<Row<'a>> = a.iter().zip(b).take(same).map(|(a, b)| together(a, b)).collect();
    let (a, b) = (a.get(same..).unwrap_or_default(), b.get(same..).unwrap_or_default());
    let best = Best::new(a, b);
    let (mut i, mut j, mut paired) = (0, 0, true);
    while i < a.len() || j < b.len() {
        let here = best.at(i, j, paired);
        (i, j, paired) = match (a.get(i), b.get(j)) {
            (Some(left), Some(right)) if best.of_pair(i, j, paired) == Some(here) => {
                rows.push(together(left, right));
                (i + 1, j + 1, true)
            }
            (Some(left), right) if right.is_none() || here == best.at(i + 1, j, false) => {
                rows.push(Row { recorded: Some(left), replayed: None, parting: alone(left) });
                (i + 1, j, false)
            }
            (_, Some(right)) => {
                rows.push(Row { recorded: None, replayed: Some(right), parting: alone(right) });
                (i, j + 1, false)
            }
            _ => break,
        };
    }
    rows
}

/// What the rests of two flights can come to, from each pair of places on.
struct Best<'e, 'a> {
    a: &'e [&'a FlightEvent],
    b: &'e [&'a FlightEvent],
    /// By place in `a` and in `b`: after a gap, and after a pair. 4,096 pairs come to less than 2^16.
    sums: Vec<[u16; 2]>,
}

impl<'e, 'a> Best<'e, 'a> {
    fn new(a: &'e [&'a FlightEvent], b: &'e [&'a FlightEvent]) -> Best<'e, 'a> {
        let mut best = Best { a, b, sums: vec![[0; 2]; (a.len() + 1) * (b.len() + 1)] };
        for i in (0..a.len()).rev() {
            for j in (0..b.len()).rev() {
                let gap = best.at(i + 1, j, false).max(best.at(i, j + 1, false));
                let sums = [false, true].map(|paired| best.of_pair(i, j, paired).unwrap_or(0).max(gap));
                best.sums[i * (b.len() + 1) + j] = sums;
            }
        }
        best
    }

    fn at(&self, i: usize, j: usize, paired: bool) -> u16 {
        self.sums.get(i * (self.b.len() + 1) + j).map_or(0, |sums| sums[usize::from(paired)])
    }

    /// With these two together, if they can be.
    fn of_pair(&self, i: usize, j: usize, paired: bool) -> Option<u16> {
        let like = likeness(self.a.get(i)?, self.b.get(j)?);
        // Twice the likeness, and one more where there is no gap before.
        (like > 0).then(|| self.at(i + 1, j + 1, true) + u16::from(2 * like) + u16::from(paired))
    }
}

fn together<'a>(recorded: &'a FlightEvent, replayed: &'a FlightEvent) -> Row<'a> {
    Row { recorded: Some(recorded), replayed: Some(replayed), parting: parting(recorded, replayed) }
}
