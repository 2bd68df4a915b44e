//! `flights -> the few that are kept`: the same ones, whichever way they are split and in whichever order they come.

use std::collections::BTreeMap;

use super::{Ending, Flight};
use crate::seed::Seed;

/// Flights that failed, at most.
pub const MAX_FAILED: usize = 20;
/// Of those, of one step and kind.
pub const MAX_OF_A_KIND: usize = 3;
/// Flights that went well, at most.
pub const MAX_FINE: usize = 3;

/// What the choice goes by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    /// The step and the kind of a failure.
    failure: Option<(String, String)>,
    /// The earlier, the better. Of those that went well: by a number that is the seat's own, so that they are anyone.
    order: u64,
    seat: u64,
    life: u32,
}

impl Key {
    pub(crate) fn new(failure: Option<(&str, &str)>, ended_us: u64, seat: u64, life: u32) -> Key {
        let failure = failure.map(|(step, kind)| (step.to_owned(), kind.to_owned()));
        let order = if failure.is_some() { ended_us } else { Seed(0).stream("flight", seat, life.into()) };
        Key { failure, order, seat, life }
    }

    pub(super) fn of(flight: &Flight) -> Key {
        let failure = flight.failure.as_ref().map(|Ending { step, kind, .. }| (step.as_str(), kind.as_str()));
        Key::new(failure, flight.ended_us, flight.seat, flight.life)
    }
}

/// Keeps what is chosen of these, in the order of the choice.
///
/// **Choosing from the chosen of two parts is choosing from both.** Within a kind of failure the earliest are best; over
/// all kinds the first of each goes before the second of any. What others of its part have pushed out, they push out of
/// the whole too: whoever takes the place of one of them is better still.
pub(crate) fn choose(flights: &mut Vec<Flight>) {
    // Flights differ even where their keys are the same: two attempts at one segment.
    flights.sort_by(|a, b| Key::of(a).cmp(&Key::of(b)).then_with(|| a.cmp(b)));
    flights.dedup();
    let keys: Vec<Key> = flights.iter().map(Key::of).collect();
    let places = places(&keys);
    let mut chosen: Vec<(Option<usize>, Flight)> = places.into_iter().zip(flights.drain(..)).collect();
    chosen.retain(|(place, _)| place.is_some());
    chosen.sort_by_key(|(place, _)| *place);
    flights.extend(chosen.into_iter().map(|(_, flight)| flight));
}

/// Takes a key among those chosen so far, and forgets those that it pushes out. Whether it is chosen.
pub(super) fn admit(keys: &mut Vec<Key>, key: &Key) -> bool {
    let at = keys.binary_search(key).unwrap_or_else(|at| at);
    // Most come too late, and then there is nothing to weigh up.
    let better = keys.iter().take(at).filter(|known| known.failure == key.failure).count();
    if better >= if key.failure.is_some() { MAX_OF_A_KIND } else { MAX_FINE } {
        return false;
    }
    keys.insert(at, key.clone());
    let places = places(keys);
    let is_in = places.get(at).is_some_and(Option::is_some);
    let mut places = places.into_iter();
    keys.retain(|_| places.next().is_some_and(|place| place.is_some()));
    is_in
}

/// The place of each of these keys, which are sorted, in the choice; none for those that are not in it.
fn places(keys: &[Key]) -> Vec<Option<usize>> {
    let mut nth: BTreeMap<Option<&(String, String)>, usize> = BTreeMap::new();
    let mut ranked: Vec<(bool, usize, &Key, usize)> = Vec::new();
    for (at, key) in keys.iter().enumerate() {
        let nth = nth.entry(key.failure.as_ref()).or_default();
        ranked.push((key.failure.is_none(), *nth, key, at));
        *nth += 1;
    }
    // Failures first; of those the first of each kind; the earlier first. Ties are broken by the whole key.
    ranked.sort_by_key(|&(is_fine, nth, key, at)| (is_fine, nth, key.order, key, at));
    let mut places = vec![None; keys.len()];
    let (mut failed, mut fine) = (0, 0);
    for (place, (is_fine, nth, _, at)) in ranked.into_iter().enumerate() {
        let (count, max) = if is_fine { (&mut fine, MAX_FINE) } else { (&mut failed, MAX_FAILED) };
        if *count < max && (is_fine || nth < MAX_OF_A_KIND) {
            *count += 1;
            places[at] = Some(place);
        }
    }
    places
}
