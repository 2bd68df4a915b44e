//! A shard's tapes: who has one, and which of them are kept when a life is over.

use std::cell::{Cell, RefCell};

use tokio::time::Instant;

use super::choice::{Key, admit};
use super::tape::bytes_for;
use super::{CUT_OFF, Ending, Flight, MAX_EVENTS, Tape};
use crate::bot::Seat;
use crate::cx::Cx;
use crate::engine::Only;
use crate::failure::Error;
use crate::metrics::micros;
use crate::plan::Plan;
use crate::segment::Segment;

/// What the tapes of a shard take at most.
pub(super) const SHARD_BYTES: u32 = 2 << 20;

/// The tapes of a shard.
pub(crate) struct Hangar {
    /// Events of a tape; none are recorded if 0.
    events: u32,
    /// Of the shard's parties one in so many is recorded.
    stride: u64,
    /// The shard's share of the parties is every one of so many.
    parties: u64,
    only: Option<Only>,
    /// Tapes for which there is room.
    room: Cell<u32>,
    left_out: Cell<u64>,
    /// The best so far.
    chosen: RefCell<Vec<Key>>,
    /// Those that were chosen since the last snapshot.
    fresh: RefCell<Vec<Flight>>,
}

impl Hangar {
    pub(crate) fn new(plan: &Plan, segment: Segment, only: Option<Only>) -> Hangar {
        let events = if only.is_some() { MAX_EVENTS } else { plan.flight().map_or(0, |events| events.get()) };
        let room = (SHARD_BYTES / bytes_for(events)).max(1);
        let players = segment.seat_count(plan.shape().peak(), plan.party());
        Hangar {
            events,
            stride: players.div_ceil(room.into()).max(1),
            parties: segment.count(),
            only,
            room: Cell::new(room),
            left_out: Cell::new(0),
            chosen: RefCell::default(),
            fresh: RefCell::default(),
        }
    }

    /// A tape for the player of this seat, if it is to be recorded.
    pub(crate) fn tape(&self, seat: &Seat, start: Instant) -> Option<Box<Tape>> {
        if self.events == 0 {
            return None;
        }
        let is_wanted = match self.only {
            Some(only) => only.seat == seat.index,
            None => (seat.party() / self.parties).is_multiple_of(self.stride),
        };
        if !is_wanted || self.room.get() == 0 {
            self.left_out.set(self.left_out.get() + 1);
            return None;
        }
        self.room.set(self.room.get() - 1);
        Some(Box::new(Tape::new(start, self.events)))
    }

    /// A recorded life is over. If it failed: the kind, and what the failure says.
    fn keep(&self, cx: &Cx, tape: Tape, failure: Option<(&str, impl FnOnce() -> String)>) {
        self.room.set(self.room.get() + 1);
        let shard = &cx.0.shard;
        let since_start = |at: Instant| micros(at.saturating_duration_since(shard.start));
        let seat = cx.seat();
        let ended_us = since_start(Instant::now());
        let failed = failure.as_ref().map(|(kind, _)| (tape.failed_step(kind), *kind));
        let key = Key::new(failed, ended_us, seat.index(), seat.life());
        if !admit(&mut self.chosen.borrow_mut(), &key) {
            return;
        }
        let failure = failure.map(|(kind, message)| Ending {
            step: tape.failed_step(kind).to_owned(),
            kind: kind.to_owned(),
            message: message(),
        });
        let flight = Flight {
            seat: seat.index(),
            life: seat.life(),
            account: seat.account(),
            persona: seat.persona().to_owned(),
            network: cx.network().unwrap_or_default().to_owned(),
            began_us: since_start(tape.began),
            asked_us: tape.asked.map(since_start),
            ended_us,
            failure,
            left_out: tape.left_out,
            events: tape.into_events(),
        };
        self.fresh.borrow_mut().push(flight);
    }

    /// Those that were chosen since the last call, and how many players were not recorded.
    pub(crate) fn take(&self) -> (Vec<Flight>, u64) {
        let mut fresh = std::mem::take(&mut *self.fresh.borrow_mut());
        super::choose(&mut fresh);
        (fresh, self.left_out.take())
    }
}

impl Cx {
    /// For connections: writes on the bot's flight recorder, if it has one. Most bots of a large run have none.
    #[inline]
    pub fn record<T>(&self, write: impl FnOnce(&mut Tape) -> T) -> Option<T> {
        let mut tape = self.0.tape.take()?;
        let written = write(&mut tape);
        self.0.tape.set(Some(tape));
        Some(written)
    }

    /// The bot's life is over.
    pub(crate) fn land(&self, error: Option<&Error>) {
        if let Some(tape) = self.0.tape.take() {
            let failure = error.filter(|error| !error.is_stopped());
            self.0.shard.hangar.keep(self, *tape, failure.map(|error| (error.kind(), || error.message())));
        }
    }

    /// The grace time is over, and the bot still at work.
    pub(crate) fn cut_off(&self) {
        if let Some(tape) = self.0.tape.take() {
            let message = || "still at it when the grace time was over".to_owned();
            self.0.shard.hangar.keep(self, *tape, Some((CUT_OFF, message)));
        }
    }
}
