//! `(shape, seed, segment) -> events`: the starts and ends of a segment's own players, lazily and in order.

use std::sync::Arc;
use std::time::Duration;

use super::curve::Change;
use super::scatter::Scatter;
use super::{Arrivals, Run, Shape, Spacing};
use crate::seed::Seed;
use crate::segment::{Climb, Descend, Segment};

/// A player is due to come or go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// When it should happen, from the start of the run.
    pub at: Duration,
    /// The seat.
    pub seat: u64,
    /// What should happen.
    pub kind: EventKind,
}

/// What is due in an [`Event`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// The seat joins the population: it is to be played until it is told to leave.
    Join,
    /// The seat leaves the population.
    Leave,
    /// A player arrives, and plays once.
    Arrive,
}

impl Shape {
    /// What a segment has to do, in the order of time; at the same time in the order of the stages.
    ///
    /// Seats are dealt in parties of `party_size` (0 means 1). Nothing is stored but where it is, so it may be asked for
    /// millions of players. A seat may leave and join again at the same moment, where a ramp follows a spike at once.
    pub fn events(&self, seed: Seed, segment: Segment, party_size: u64) -> Events {
        Events {
            runs: Arc::clone(&self.runs),
            next_run: 0,
            current: Current::Done,
            peak: self.peak,
            seed,
            segment,
            party_size: party_size.max(1),
        }
    }
}

/// The iterator of [`Shape::events`].
#[derive(Clone, Debug)]
pub struct Events {
    runs: Arc<[Run]>,
    next_run: usize,
    current: Current,
    peak: u64,
    seed: Seed,
    segment: Segment,
    party_size: u64,
}

/// Where the iterator is within a run.
#[derive(Clone, Debug)]
enum Current {
    Done,
    Joining(Change, Climb),
    Leaving(Change, Descend),
    Even(Arrivals, Climb),
    Poisson(Arrivals, Walk),
}

/// All arrivals of a Poisson stage: they are computed by every segment, which then takes its own.
#[derive(Clone, Debug)]
struct Walk {
    points: Scatter,
    /// The next arrival of the stage.
    next: u64,
    /// The time of the last one, in microseconds of the stage. Rounding must not lead back.
    last: u64,
}

impl Iterator for Events {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        loop {
            let event = match &mut self.current {
                Current::Done => None,
                Current::Joining(change, seats) => {
                    seats.next().map(|seat| Event::at_nanos(change.time_of(seat), seat, EventKind::Join))
                }
                Current::Leaving(change, seats) => {
                    seats.next().map(|seat| Event::at_nanos(change.time_of(seat), seat, EventKind::Leave))
                }
                Current::Even(stage, seats) => seats.next().map(|seat| {
                    let at = stage.at + stage.integral.time_of(seat - self.peak - stage.first);
                    Event::at_nanos(at * 1000, seat, EventKind::Arrive)
                }),
                Current::Poisson(stage, walk) => {
                    let owns = |seat: u64| self.segment.owns(seat / self.party_size);
                    walk.next_owned(stage, self.peak, owns)
                }
            };
            if event.is_some() {
                return event;
            }
            let run = *self.runs.get(self.next_run)?;
            self.next_run += 1;
            self.current = self.enter(run);
        }
    }
}

impl Events {
    fn enter(&self, run: Run) -> Current {
        let (segment, size) = (self.segment, self.party_size);
        match run {
            Run::Change(change) if change.to > change.from => {
                Current::Joining(change, Climb::new(segment, change.from, change.to, size))
            }
            Run::Change(change) => Current::Leaving(change, Descend::new(segment, change.to, change.from, size)),
            Run::Arrivals(stage) if stage.spacing == Spacing::Even => {
                let low = self.peak + stage.first;
                Current::Even(stage, Climb::new(segment, low, low + stage.count, size))
            }
            Run::Arrivals(stage) => {
                let rng = self.seed.rng("arrivals", stage.stage, 0);
                // All points of the stage, also those that a total cuts off: a lower total changes nothing before it.
                let points = Scatter::new(rng, stage.integral.arrivals());
                Current::Poisson(stage, Walk { points, next: 0, last: 0 })
            }
        }
    }
}

impl Walk {
    fn next_owned(&mut self, stage: &Arrivals, peak: u64, owns: impl Fn(u64) -> bool) -> Option<Event> {
        while self.next < stage.count {
            let point = self.points.next()?;
            let seat = peak + stage.first + self.next;
            self.next += 1;
            // Points are fractions of 2^64. The times of others count too: `last` must be the same in every segment.
            let share = point as f64 / 18_446_744_073_709_551_616.0;
            let at = (stage.integral.share_time(share) * stage.integral.over as f64) as u64;
            self.last = self.last.max(at);
            if owns(seat) {
                return Some(Event::at_nanos((stage.at + self.last) * 1000, seat, EventKind::Arrive));
            }
        }
        None
    }
}

impl Event {
    fn at_nanos(at: u64, seat: u64, kind: EventKind) -> Event {
        Event { at: Duration::from_nanos(at), seat, kind }
    }
}
