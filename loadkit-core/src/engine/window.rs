//! `Window -> (time, seat)`: which part of a run a worker plays, and when each of its players changes hands.
//!
//! **A seat changes hands at a time that both workers compute alone.** At any time the population's seats are those below a
//! level, so all that is handed over at a time are the seats below the level of that time, evenly in their order. Neither
//! the number of shards nor the segments are in it.

use std::iter::Peekable;
use std::time::Duration;

use crate::seed::Seed;
use crate::segment::{Climb, Segment};
use crate::shape::{Event, EventKind, Shape};

/// The part of a run that a worker plays, in times of the run: by default all of it.
///
/// A worker with `from` is started at that time of the run, and joins the players that the shape wants by then: seat by seat,
/// evenly within `over`. What the shape does from then on follows as always. So comes the successor of a worker, and one
/// who replaces a worker that was lost or is late itself.
///
/// A worker with `until` hands its players over: the seat that its successor (whose `from` is the same time, with the same
/// segment and the same `over`) takes at some time is the predecessor's up to then, and its player is asked to leave
/// `overlap` later, when that of the successor has connected. Those that leave so count as `loadkit.handed_over`
/// ([`names::HANDED_OVER`](crate::names::HANDED_OVER)), and are no failures. From `until` on what the shape starts is the
/// successor's; a seat whose player ends is filled again by the worker that has the seat. Players who arrived, rather than
/// joined the population, have no successor: they play on until the worker's end, at `until + over + overlap`.
///
/// Of a seat at any time one worker says that it is planned. The successor's players are the same (account, persona, seed),
/// each in its first life again. The workers of one relay need different numbers ([`Job::worker`](super::Job::worker)),
/// or the one hides the other's population; and as many shards each, or a dial that is not 1 thins their players
/// otherwise. Of the players that a plan's total allows beside the shape's, each worker has the share of its time;
/// players that are taken over are not counted as new. The scenario's `setup` and `teardown` run in each worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// When it begins. It has to be started then: the engine does not wait.
    pub from: Duration,
    /// When it begins to hand over; none if it plays to the end of the run.
    pub until: Option<Duration>,
    /// How long it takes until all have changed hands, at its beginning and its end.
    pub over: Duration,
    /// How long a player stays after its successor began to connect.
    pub overlap: Duration,
}

impl Window {
    /// When it hands over in a run of this duration, if it does.
    pub(super) fn hands_over_at(&self, duration: Duration) -> Option<Duration> {
        self.until.filter(|until| *until < duration)
    }

    /// When all have left who do so in time.
    pub(super) fn end(&self, duration: Duration) -> Duration {
        let end = self.hands_over_at(duration).map(|at| at.saturating_add(self.over).saturating_add(self.overlap));
        end.unwrap_or(duration).min(duration)
    }

    /// Whether there is time in it at all.
    pub(super) fn is_of(&self, duration: Duration) -> bool {
        let ends_later = self.until.is_none_or(|until| until > self.from);
        ends_later && (self.from.is_zero() || self.from < duration)
    }

    /// Of a number that is for the whole run, the part for this window. The parts of windows that follow each other without
    /// a gap are the whole.
    pub(super) fn share(&self, whole: u64, duration: Duration) -> u64 {
        let by = |at: Duration| u128::from(whole) * at.min(duration).as_nanos() / duration.as_nanos().max(1);
        let until = self.hands_over_at(duration).unwrap_or(duration);
        by(until).saturating_sub(by(self.from)) as u64
    }
}

/// What is due on a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// What the shape says.
    Shape(EventKind),
    /// The seat is this worker's from now on.
    TakeOver,
    /// It is the successor's from now on.
    Yield,
    /// Its player leaves.
    HandOver,
}

/// All that is due on a shard, in the order of time; at the same time first what the shape says.
pub(super) struct Schedule {
    events: Peekable<Box<dyn Iterator<Item = Event>>>,
    taken: Peekable<Hands>,
    yielded: Peekable<Hands>,
    handed: Peekable<Hands>,
    end: Duration,
}

impl Schedule {
    pub(super) fn new(shape: &Shape, seed: Seed, segment: Segment, party: u64, window: Window) -> Schedule {
        let until = window.hands_over_at(shape.duration());
        let is_own = move |event: &Event| event.kind == EventKind::Leave || until.is_none_or(|until| event.at < until);
        let events = shape.events(seed, segment, party).skip_while(move |event| event.at < window.from);
        let hands = |at: Option<Duration>, later: Duration| {
            // What happens at that very time is the successor's.
            let before = at.and_then(|at| at.checked_sub(Duration::from_nanos(1)));
            let seats = before.map_or(0, |before| shape.population(before));
            let at = at.unwrap_or_default().saturating_add(later);
            Hands { at, over: window.over, seats, climb: Climb::new(segment, 0, seats, party) }.peekable()
        };
        let taken = hands((!window.from.is_zero()).then_some(window.from), Duration::ZERO);
        let (yielded, handed) = (hands(until, Duration::ZERO), hands(until, window.overlap));
        let end = window.end(shape.duration());
        let events: Box<dyn Iterator<Item = Event>> = Box::new(events.filter(is_own));
        Schedule { events: events.peekable(), taken, yielded, handed, end }
    }

    /// These seats join at once, and are there until `end`.
    pub(super) fn of(seats: Vec<u64>, end: Duration) -> Schedule {
        let joins = seats.into_iter().map(|seat| Event { at: Duration::ZERO, seat, kind: EventKind::Join });
        let events: Box<dyn Iterator<Item = Event>> = Box::new(joins);
        let [taken, yielded, handed] = [(); 3].map(|()| Hands::none().peekable());
        Schedule { events: events.peekable(), taken, yielded, handed, end }
    }

    /// When it is through, from the start of the run.
    pub(super) fn end(&self) -> Duration {
        self.end
    }

    /// When the next is due, from the start of the run; none if there is no more before the end.
    pub(super) fn next_at(&mut self) -> Option<Duration> {
        let event = self.events.peek().map(|event| event.at);
        let hands = [&mut self.taken, &mut self.yielded, &mut self.handed];
        let hand = hands.into_iter().filter_map(|hands| hands.peek().map(|(at, _)| *at)).min();
        event.into_iter().chain(hand).min().filter(|at| *at <= self.end)
    }

    /// The next, with its time and its seat, if it is due by `now`.
    pub(super) fn next_by(&mut self, now: Duration) -> Option<(Duration, u64, Due)> {
        let at = self.next_at().filter(|at| *at <= now)?;
        if let Some(event) = self.events.next_if(|event| event.at == at) {
            return Some((at, event.seat, Due::Shape(event.kind)));
        }
        let hands =
            [(&mut self.yielded, Due::Yield), (&mut self.taken, Due::TakeOver), (&mut self.handed, Due::HandOver)];
        let next = |(hands, due): (&mut Peekable<Hands>, Due)| Some((hands.next_if(|hand| hand.0 == at)?.1, due));
        hands.into_iter().find_map(next).map(|(seat, due)| (at, seat, due))
    }
}

/// A segment's seats of those below a level, each with the time at which its turn comes: evenly within `over` from `at` on.
struct Hands {
    at: Duration,
    over: Duration,
    seats: u64,
    climb: Climb,
}

impl Hands {
    fn none() -> Hands {
        Hands { at: Duration::ZERO, over: Duration::ZERO, seats: 0, climb: Climb::new(Segment::WHOLE, 0, 0, 1) }
    }
}

impl Iterator for Hands {
    type Item = (Duration, u64);

    fn next(&mut self) -> Option<(Duration, u64)> {
        let seat = self.climb.next()?;
        // Below `over`, because the seat is below `seats`. The longest `over` times the most seats fits.
        let nanos = self.over.as_nanos().saturating_mul(seat.into()) / u128::from(self.seats.max(1));
        let after = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        Some((self.at.saturating_add(after), seat))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::Stage;
    use proptest::prelude::*;

    fn secs(s: u64) -> Duration {
        Duration::from_secs(s)
    }

    fn window(from: u64, until: Option<u64>) -> Window {
        Window { from: secs(from), until: until.map(secs), over: secs(10), overlap: secs(5) }
    }

    fn all(shape: &Shape, segment: Segment, window: Window) -> Vec<(Duration, u64, Due)> {
        let mut schedule = Schedule::new(shape, Seed(1), segment, 1, window);
        std::iter::from_fn(|| schedule.next_by(Duration::MAX)).collect()
    }

    #[test]
    fn windows_have_time_in_them_and_share_what_is_for_the_whole() {
        assert!(Window::default().is_of(secs(1)));
        let odd = [window(5, Some(5)), window(9, Some(4)), window(60, None)];
        assert!(odd.iter().all(|window| !window.is_of(secs(60))));
        let relay = [window(0, Some(17)), window(17, Some(40)), window(40, None)];
        assert_eq!(relay.map(|window| window.share(100, secs(60))), [28, 38, 34]);
        assert_eq!(relay.map(|window| window.end(secs(60))), [secs(32), secs(55), secs(60)]);
        assert_eq!(Window::default().share(u64::MAX, secs(60)), u64::MAX);
    }

    #[test]
    fn seats_change_hands_in_order_and_at_the_same_time_for_both() {
        let shape = Shape::new([Stage::step(4, secs(60))], None).unwrap();
        let before = all(&shape, Segment::WHOLE, window(0, Some(20)));
        let after = all(&shape, Segment::WHOLE, window(20, None));
        let times = |all: &[(Duration, u64, Due)], due| -> Vec<(u64, u64)> {
            all.iter().filter(|d| d.2 == due).map(|d| (d.0.as_millis() as u64, d.1)).collect()
        };
        let turns = [(20_000, 0), (22_500, 1), (25_000, 2), (27_500, 3)];
        assert_eq!(times(&before, Due::Yield), turns);
        assert_eq!(times(&after, Due::TakeOver), turns);
        assert_eq!(times(&before, Due::HandOver), turns.map(|(at, seat)| (at + 5_000, seat)));
        assert_eq!((times(&before, Due::Shape(EventKind::Join)).len(), after.len()), (4, 4));
    }

    #[test]
    fn what_the_shape_starts_after_the_turn_is_the_successors() {
        let shape = Shape::new([Stage::ramp(40, secs(40)), Stage::ramp(0, secs(20))], None).unwrap();
        let before = all(&shape, Segment::WHOLE, window(0, Some(20)));
        let after = all(&shape, Segment::WHOLE, window(20, None));
        let joined = |all: &[(Duration, u64, Due)]| all.iter().filter(|d| d.2 == Due::Shape(EventKind::Join)).count();
        assert_eq!((joined(&before), joined(&after)), (20, 20));
    }

    proptest! {
        #[test]
        fn segments_share_what_changes_hands(players in 1u64..200, count in 1u64..5, at in 1u64..59) {
            let shape = Shape::new([Stage::ramp(players, secs(30)), Stage::hold(secs(30))], None).unwrap();
            let of = |segment| all(&shape, segment, window(at, Some(at + 1)));
            let mut parts: Vec<_> = (0..count).flat_map(|index| of(Segment::new(index, count).unwrap())).collect();
            let mut whole = of(Segment::WHOLE);
            let key = |due: &(Duration, u64, Due)| (due.0, due.1, format!("{:?}", due.2));
            parts.sort_by_key(key);
            whole.sort_by_key(key);
            prop_assert_eq!(parts, whole);
        }
    }
}
