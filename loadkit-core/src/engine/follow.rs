//! What the spawner does when something is due: by the shape, by the worker's window, and by the dial.

use std::cmp::Reverse;

use tokio::time::Instant;

use super::dial;
use super::slots::Slot;
use super::spawner::Spawner;
use super::window::Due;
use crate::bot::Scenario;
use crate::metrics::names;
use crate::shape::EventKind;

impl<S: Scenario> Spawner<S> {
    pub(super) fn follow(&mut self, intended: Instant, seat: u64, due: Due) {
        let twin = seat + self.shard.run.plan().first_twin();
        match due {
            Due::Shape(EventKind::Join) => {
                self.slots.entry(seat).planned = true;
                self.begin(seat, twin, intended);
            }
            Due::Shape(EventKind::Arrive) => self.begin(seat, twin, intended),
            Due::Shape(EventKind::Leave) => {
                self.let_go = self.let_go.min(seat);
                self.plan_no_more(seat);
                self.dismiss(seat);
                self.dismiss(twin);
            }
            // A seat that the shape has let go since then is the shape's to fill again.
            Due::TakeOver if seat >= self.let_go => {}
            Due::TakeOver => {
                self.slots.entry(seat).planned = true;
                for seat in [seat, twin] {
                    if self.allows(seat) {
                        self.want(seat, intended);
                    }
                }
            }
            Due::Yield => {
                self.plan_no_more(seat);
                self.want_no_more(seat);
                self.want_no_more(twin);
            }
            Due::HandOver => {
                let left = u64::from(self.dismiss_for_good(seat)) + u64::from(self.dismiss_for_good(twin));
                self.shard.count(names::HANDED_OVER, left);
            }
        }
    }

    /// A player whom the shape starts, and its twin, as far as the dial and the total let them.
    fn begin(&mut self, seat: u64, twin: u64, intended: Instant) {
        if self.allows(seat) {
            self.want(seat, intended);
        } else {
            self.spare = self.spare.saturating_add(1);
        }
        if self.allows(twin) && self.take_spare() {
            self.want(twin, intended);
        }
    }

    fn plan_no_more(&mut self, seat: u64) {
        if let Some(slot) = self.slots.get_mut(seat) {
            slot.planned = false;
        }
    }

    /// Has a seat played from now on.
    fn want(&mut self, seat: u64, intended: Instant) {
        let slot = self.slots.entry(seat);
        slot.rejoins = slot.player.is_some();
        let (was_wanted, rejoins) = (std::mem::replace(&mut slot.wanted, true), slot.rejoins);
        if !was_wanted {
            self.plan(1);
        }
        if !rejoins {
            self.spawn(seat, intended);
        }
    }

    /// Asks a seat's player to leave, and fills the seat no more. True if a player who had not been asked is still there.
    fn dismiss(&mut self, seat: u64) -> bool {
        self.want_no_more(seat);
        let player = self.slots.get_mut(seat).and_then(|slot| slot.player.as_ref());
        player.filter(|player| !player.stopping()).inspect(|player| player.ask_to_leave()).is_some()
    }

    /// Fills a seat no more.
    fn want_no_more(&mut self, seat: u64) {
        if self.slots.get_mut(seat).is_some_and(|slot| std::mem::take(&mut slot.wanted)) {
            self.plan(-1);
        }
    }

    /// The same, and cuts the player off if it is still there after the grace time.
    fn dismiss_for_good(&mut self, seat: u64) -> bool {
        let is_asked = self.dismiss(seat);
        if is_asked && let Some(slot) = self.slots.get_mut(seat) {
            self.cuts.push_back((Instant::now() + self.shard.run.plan().grace(), seat, slot.life));
        }
        is_asked
    }

    pub(super) fn cut(&mut self, seat: u64, life: u32) {
        if let Some(Slot { player: Some(player), life: now, .. }) = self.slots.get_mut(seat)
            && *now == life
        {
            player.cut();
        }
    }

    pub(super) fn plan(&self, change: i64) {
        self.shard.planned.set(self.shard.planned.get().saturating_add_signed(change));
    }

    /// Whether the total allows one more player than the shape's own; if so, that is one fewer.
    pub(super) fn take_spare(&mut self) -> bool {
        let is_left = self.spare > 0;
        self.spare = self.spare.saturating_sub(1);
        is_left
    }

    /// Whether the dial lets a seat be played while the shape wants it, or wants its original.
    fn allows(&self, seat: u64) -> bool {
        let (seat, dial) = match self.slots.twin_of(seat) {
            Some(original) if self.only.is_none() => (original, self.dial - 1.0),
            _ => (seat, self.dial),
        };
        dial >= 1.0 || (dial > 0.0 && dial::rank(self.segment, seat / self.shard.run.plan().party()) <= dial)
    }

    /// Has the load follow the dial: those who are too many go, those who are missing come, each after a time of its own.
    pub(super) fn turn_to(&mut self, dial: f64) {
        if dial == self.dial || self.only.is_some() {
            return;
        }
        self.dial = dial;
        self.shard.dial.set(Some(dial));
        let (plan, seed, now) = (self.shard.run.plan().clone(), self.shard.run.seed(), Instant::now());
        for original in self.slots.planned() {
            for seat in [original, original + plan.first_twin()] {
                let allowed = self.allows(seat);
                let slot = self.slots.get_mut(seat);
                let (is_wanted, is_pending) = slot.map_or((false, false), |slot| (slot.wanted, slot.pending));
                if is_wanted && !allowed {
                    self.dismiss_for_good(seat);
                } else if allowed && !is_wanted && !is_pending {
                    self.slots.entry(seat).pending = true;
                    self.pending.push(Reverse((now + dial::delay(seed, seat / plan.party()), seat)));
                }
            }
        }
        for seat in self.slots.arrived() {
            if !self.allows(seat) {
                self.dismiss_for_good(seat);
            }
        }
    }

    /// A seat is due that was missing when the dial was turned up: it is played, if it is still to be.
    pub(super) fn dial_back(&mut self, seat: u64, at: Instant) {
        let original = self.slots.twin_of(seat).unwrap_or(seat);
        let is_planned = self.slots.get_mut(original).is_some_and(|slot| slot.planned);
        let slot = self.slots.entry(seat);
        slot.pending = false;
        if !slot.wanted && is_planned && self.allows(seat) && self.take_spare() {
            self.want(seat, at);
        }
    }
}
