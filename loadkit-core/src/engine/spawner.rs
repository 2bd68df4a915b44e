//! The spawner of a shard: follows the load shape and the dial, fills seats again, and sees everyone out at the end.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::future::{Future, poll_fn};
use std::iter::Peekable;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::control::{Order, Stop};
use super::dial;
use super::life;
use super::only::Only;
use super::shard::{Ended, Shard};
use super::slots::{Slot, Slots};
use crate::bot::{Scenario, Seat};
use crate::cx::Cx;
use crate::metrics::names;
use crate::segment::Segment;
use crate::shape::{Event, EventKind, Shape};

/// Spawns in one go before the spawner lets the bots that play have their turn. Measured elsewhere: a ramp that does
/// not yield gave bots a p99 of 3.5 s; yielding every 64 spawns, 0.5 ms.
const SPAWNS_PER_TURN: usize = 64;
/// The least pause before a seat is filled again: keeps a bot that ends at once from spinning.
const LEAST_REFILL: Duration = Duration::from_millis(1);

pub(crate) struct Spawner<S: Scenario> {
    scenario: Arc<S>,
    shard: Rc<Shard>,
    segment: Segment,
    events: Peekable<Box<dyn Iterator<Item = Event>>>,
    only: Option<Only>,
    /// When the load is through.
    end: Instant,
    slots: Slots,
    refills: BinaryHeap<Reverse<(Instant, u64)>>,
    /// Those who come because the dial was turned up; a slot that is `pending` has one entry.
    pending: BinaryHeap<Reverse<(Instant, u64)>>,
    /// Players who are cut off if they are still there then: seat and life. Times ascend.
    cuts: VecDeque<(Instant, u64, u32)>,
    /// How many more players than the shape's own the plan's total allows on this shard.
    spare: u64,
    dial: f64,
    draining: bool,
}

/// What the spawner woke for.
enum Wake {
    Time,
    Ended(Vec<Ended>),
    Order,
}

impl<S: Scenario> Spawner<S> {
    pub(crate) fn new(scenario: Arc<S>, shard: Rc<Shard>, segment: Segment, only: Option<Only>) -> Spawner<S> {
        let plan = shard.run.plan();
        let shape = plan.shape();
        let slots = |peak| Slots::new(segment, peak, plan.party(), plan.first_twin());
        let (events, end, slots, spare): (Box<dyn Iterator<Item = Event>>, _, _, _) = if let Some(only) = only {
            let first = only.seat / plan.party() * plan.party();
            let seats = (first..first.saturating_add(plan.party())).filter(|seat| plan.has_seat(*seat));
            let seats: Vec<u64> = seats.collect();
            let mut slots = slots(0);
            seats.iter().for_each(|seat| slots.entry(*seat).life = only.life);
            let joins = seats.into_iter().map(|seat| Event { at: Duration::ZERO, seat, kind: EventKind::Join });
            (Box::new(joins), only.leaves, slots, 0)
        } else {
            let events = shape.events(shard.run.seed(), segment, plan.party());
            (Box::new(events), shape.duration(), slots(shape.peak()), spare(shape, segment))
        };
        let (events, end) = (events.peekable(), shard.start + end);
        let (refills, pending, cuts) = (BinaryHeap::new(), BinaryHeap::new(), VecDeque::new());
        let (dial, draining) = (1.0, false);
        Spawner { scenario, shard, segment, events, only, end, slots, refills, pending, cuts, spare, dial, draining }
    }

    /// Runs the shard's part of the load from the start of the run to its end.
    pub(crate) async fn run(mut self, mut orders: watch::Receiver<Order>) {
        loop {
            let Order { stop, dial } = *orders.borrow_and_update();
            if stop != Stop::No {
                break;
            }
            self.turn_to(dial);
            if self.is_over() {
                break;
            }
            if self.turn_over_shape() {
                tokio::task::yield_now().await;
                continue;
            }
            let next = self.next_time().unwrap_or(self.end).min(self.end);
            if let Wake::Ended(ended) = self.wait(next, &mut orders).await {
                ended.into_iter().for_each(|ended| self.release(ended));
            }
        }
        self.drain(&mut orders).await;
    }

    /// Whether the shape is through, or nothing can come of it any more.
    fn is_over(&mut self) -> bool {
        if Instant::now() >= self.end {
            return true;
        }
        if let Some(only) = self.only
            && self.events.peek().is_none()
        {
            return self.slots.get_mut(only.seat).is_none_or(|slot| slot.player.is_none());
        }
        let nobody = self.shard.active.get() == 0 && self.refills.is_empty() && self.pending.is_empty();
        if !nobody || self.events.peek().is_some() {
            return false;
        }
        let none_refilled = self.spare == 0 || self.shard.run.plan().refill().is_none();
        // Who was dialled away may be dialled back.
        !self.slots.iter().any(|slot| if slot.wanted { !none_refilled } else { slot.planned })
    }

    /// Asks everyone to leave, and waits until they have, or until the grace time is over.
    async fn drain(&mut self, orders: &mut watch::Receiver<Order>) {
        self.draining = true;
        self.shard.planned.set(0);
        for player in self.slots.iter().filter_map(|slot| slot.player.as_ref()) {
            player.ask_to_leave();
        }
        let over = Instant::now() + self.shard.run.plan().grace();
        while self.shard.active.get() > 0 && orders.borrow_and_update().stop != Stop::Now && Instant::now() < over {
            if let Wake::Ended(ended) = self.wait(over, orders).await {
                ended.into_iter().for_each(|ended| self.release(ended));
            }
        }
        self.shard.cut_off(self.shard.active.get());
        self.slots.iter().filter_map(|slot| slot.player.as_ref()).for_each(Cx::cut_off);
    }

    /// Does what is due, at most a turn's worth. True if there may be more.
    fn turn_over_shape(&mut self) -> bool {
        let now = Instant::now();
        let start = self.shard.start;
        for _ in 0..SPAWNS_PER_TURN {
            if let Some((seat, at)) = pop_due(&mut self.refills, now) {
                self.refill(seat, at);
            } else if let Some((seat, at)) = pop_due(&mut self.pending, now) {
                self.dial_back(seat, at);
            } else if let Some(event) = self.events.next_if(|event| start + event.at <= now) {
                self.follow(event);
            } else if let Some(&(_, seat, life)) = self.cuts.front().filter(|(at, ..)| *at <= now) {
                self.cuts.pop_front();
                self.cut(seat, life);
            } else {
                return false;
            }
        }
        true
    }

    fn next_time(&mut self) -> Option<Instant> {
        let start = self.shard.start;
        let event = self.events.peek().map(|event| start + event.at);
        let of = |heap: &BinaryHeap<Reverse<(Instant, u64)>>| heap.peek().map(|Reverse((at, _))| *at);
        let cut = self.cuts.front().map(|(at, ..)| *at);
        event.into_iter().chain(of(&self.refills)).chain(of(&self.pending)).chain(cut).min()
    }

    fn follow(&mut self, event: Event) {
        let (seat, intended) = (event.seat, self.shard.start + event.at);
        let twin = seat + self.shard.run.plan().first_twin();
        match event.kind {
            EventKind::Join => {
                self.slots.entry(seat).planned = true;
                if self.allows(seat) {
                    self.want(seat, intended);
                } else {
                    self.spare = self.spare.saturating_add(1);
                }
                if self.allows(twin) && self.take_spare() {
                    self.want(twin, intended);
                }
            }
            EventKind::Leave => {
                if let Some(slot) = self.slots.get_mut(seat) {
                    slot.planned = false;
                }
                self.dismiss(seat);
                self.dismiss(twin);
            }
            EventKind::Arrive => {
                if self.allows(seat) {
                    self.want(seat, intended);
                } else {
                    self.spare = self.spare.saturating_add(1);
                }
                if self.allows(twin) && self.take_spare() {
                    self.want(twin, intended);
                }
            }
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
        let Some(slot) = self.slots.get_mut(seat) else { return false };
        let was_wanted = std::mem::take(&mut slot.wanted);
        let player = slot.player.as_ref().filter(|player| !player.stopping());
        let is_asked = player.inspect(|player| player.ask_to_leave()).is_some();
        if was_wanted {
            self.plan(-1);
        }
        is_asked
    }

    /// The same, and cuts the player off if it is still there after the grace time.
    fn dismiss_for_good(&mut self, seat: u64) {
        if self.dismiss(seat)
            && let Some(slot) = self.slots.get_mut(seat)
        {
            self.cuts.push_back((Instant::now() + self.shard.run.plan().grace(), seat, slot.life));
        }
    }

    fn cut(&mut self, seat: u64, life: u32) {
        if let Some(Slot { player: Some(player), life: now, .. }) = self.slots.get_mut(seat)
            && *now == life
        {
            player.cut();
        }
    }

    fn plan(&self, change: i64) {
        self.shard.planned.set(self.shard.planned.get().saturating_add_signed(change));
    }

    /// Whether the total allows one more player than the shape's own; if so, that is one fewer.
    fn take_spare(&mut self) -> bool {
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
    fn turn_to(&mut self, dial: f64) {
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
    fn dial_back(&mut self, seat: u64, at: Instant) {
        let original = self.slots.twin_of(seat).unwrap_or(seat);
        let is_planned = self.slots.get_mut(original).is_some_and(|slot| slot.planned);
        let slot = self.slots.entry(seat);
        slot.pending = false;
        if !slot.wanted && is_planned && self.allows(seat) && self.take_spare() {
            self.want(seat, at);
        }
    }

    fn refill(&mut self, seat: u64, at: Instant) {
        let free = self.slots.get_mut(seat).is_some_and(|slot| slot.wanted && slot.player.is_none());
        if free && self.take_spare() {
            self.spawn(seat, at);
        }
    }

    /// A bot has ended: its seat is filled again if the population wants it.
    fn release(&mut self, ended: Ended) {
        let Some(slot) = self.slots.get_mut(ended.seat) else { return };
        slot.player = None;
        slot.life = slot.life.saturating_add(1);
        if self.draining {
            return;
        }
        let (rejoins, wanted) = (std::mem::take(&mut slot.rejoins), slot.wanted);
        if self.slots.is_arrival(ended.seat) {
            self.slots.remove(ended.seat);
            self.plan(-i64::from(wanted));
        } else if rejoins && wanted {
            self.spawn(ended.seat, Instant::now());
        } else if wanted && self.spare > 0 && ended.seat < self.shard.run.rows() {
            let pause = match self.shard.run.plan().refill() {
                None => return,
                Some(pause) if ended.failed => pause.max(LEAST_REFILL),
                Some(_) => LEAST_REFILL,
            };
            self.refills.push(Reverse((Instant::now() + pause, ended.seat)));
        }
    }

    fn spawn(&mut self, index: u64, intended: Instant) {
        let Some(slot) = self.slots.get_mut(index) else { return };
        let run = &self.shard.run;
        let persona = run.weights().pick(run.seed(), index / run.plan().party());
        let network = run.plan().networks().map_or(0, |networks| networks.pick(run.seed(), index));
        let (persona, network) = (persona as u32, network as u32);
        let seat = Seat { run: run.clone(), index, life: slot.life, persona, network };
        let cx = Cx::new(self.shard.clone(), seat, intended);
        slot.player = Some(cx.clone());
        self.shard.bot_started(intended);
        if let Some(name) = cx.network() {
            self.shard.count(&names::of_network(names::PLAYERS, name), 1);
        }
        tokio::task::spawn_local(life::of(self.scenario.clone(), cx));
    }

    /// Waits for `until`, for a bot to end, or for an order.
    async fn wait(&self, until: Instant, orders: &mut watch::Receiver<Order>) -> Wake {
        let mut sleep = pin!(self.shard.timers.sleep_until(until));
        let mut ordered = pin!(orders.changed());
        poll_fn(|cx: &mut Context<'_>| {
            let ended = self.shard.take_ended(cx.waker());
            if !ended.is_empty() {
                return Poll::Ready(Wake::Ended(ended));
            }
            // A control that is gone can ask for nothing.
            if let Poll::Ready(Ok(())) = ordered.as_mut().poll(cx) {
                return Poll::Ready(Wake::Order);
            }
            sleep.as_mut().poll(cx).map(|()| Wake::Time)
        })
        .await
    }
}

/// The seat that is due first, with its time, if one is due.
fn pop_due(heap: &mut BinaryHeap<Reverse<(Instant, u64)>>, now: Instant) -> Option<(u64, Instant)> {
    let &Reverse((at, seat)) = heap.peek().filter(|Reverse((at, _))| *at <= now)?;
    heap.pop();
    Some((seat, at))
}

/// A segment's share of the players that the total allows beside those that the shape starts.
fn spare(shape: &Shape, segment: Segment) -> u64 {
    shape.total().map_or(u64::MAX, |total| {
        let spare = u128::from(total.saturating_sub(shape.starts()));
        let (index, count) = (u128::from(segment.index()), u128::from(segment.count()));
        // Consecutive differences of floor(spare * i / count) sum to the spare exactly.
        (spare * (index + 1) / count - spare * index / count) as u64
    })
}
