//! The spawner of a shard: follows the load shape, fills seats again, and sees everyone out at the end.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::future::{Future, poll_fn};
use std::iter::Peekable;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::control::Stop;
use super::life;
use super::only::Only;
use super::shard::{Ended, Shard};
use super::slots::Slots;
use crate::bot::{Scenario, Seat};
use crate::cx::Cx;
use crate::metrics::names;
use crate::segment::Segment;
use crate::shape::{Event, EventKind};

/// Spawns in one go before the spawner lets the bots that play have their turn. Measured elsewhere: a ramp that does
/// not yield gave bots a p99 of 3.5 s; yielding every 64 spawns, 0.5 ms.
const SPAWNS_PER_TURN: usize = 64;
/// The least pause before a seat is filled again: keeps a bot that ends at once from spinning.
const LEAST_REFILL: Duration = Duration::from_millis(1);

pub(crate) struct Spawner<S: Scenario> {
    scenario: Arc<S>,
    shard: Rc<Shard>,
    events: Peekable<Box<dyn Iterator<Item = Event>>>,
    only: Option<Only>,
    /// When the load is through.
    end: Instant,
    slots: Slots,
    refills: BinaryHeap<Reverse<(Instant, u64)>>,
    /// How many more refills the plan's total allows on this shard.
    refills_left: u64,
    draining: bool,
}

/// What the spawner woke for.
enum Wake {
    Time,
    Ended(Vec<Ended>),
    Stop,
}

impl<S: Scenario> Spawner<S> {
    pub(crate) fn new(scenario: Arc<S>, shard: Rc<Shard>, segment: Segment, only: Option<Only>) -> Spawner<S> {
        let plan = shard.run.plan();
        let shape = plan.shape();
        let refills = BinaryHeap::new();
        if let Some(only) = only {
            let first = only.seat / plan.party() * plan.party();
            let seats = first..first.saturating_add(plan.party()).min(shape.seats());
            let mut slots = Slots::new(segment, 0, plan.party());
            seats.clone().for_each(|seat| slots.entry(seat).life = only.life);
            let joins = seats.map(|seat| Event { at: Duration::ZERO, seat, kind: EventKind::Join });
            let events: Box<dyn Iterator<Item = Event>> = Box::new(joins);
            let (events, end) = (events.peekable(), shard.start + only.leaves);
            let only = Some(only);
            return Spawner { scenario, shard, events, only, end, slots, refills, refills_left: 0, draining: false };
        }
        let events: Box<dyn Iterator<Item = Event>> = Box::new(shape.events(shard.run.seed(), segment, plan.party()));
        let refills_left = shape.total().map_or(u64::MAX, |total| {
            let spare = u128::from(total.saturating_sub(shape.starts()));
            let (index, count) = (u128::from(segment.index()), u128::from(segment.count()));
            // Consecutive differences of floor(spare * i / count) sum to the spare exactly.
            (spare * (index + 1) / count - spare * index / count) as u64
        });
        let slots = Slots::new(segment, shape.peak(), plan.party());
        let (events, end) = (events.peekable(), shard.start + shape.duration());
        Spawner { scenario, shard, events, only, end, slots, refills, refills_left, draining: false }
    }

    /// Runs the shard's part of the load from the start of the run to its end.
    pub(crate) async fn run(mut self, mut stop: watch::Receiver<Stop>) {
        while *stop.borrow_and_update() == Stop::No && !self.is_over() {
            if self.turn_over_shape() {
                tokio::task::yield_now().await;
                continue;
            }
            let next = self.next_time().unwrap_or(self.end).min(self.end);
            if let Wake::Ended(ended) = self.wait(next, &mut stop).await {
                ended.into_iter().for_each(|ended| self.release(ended));
            }
        }
        self.drain(&mut stop).await;
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
        let nobody = self.shard.active.get() == 0 && self.refills.is_empty();
        let none_refilled = self.refills_left == 0 || self.shard.run.plan().refill().is_none();
        nobody && self.events.peek().is_none() && (none_refilled || !self.slots.iter().any(|slot| slot.wanted))
    }

    /// Asks everyone to leave, and waits until they have, or until the grace time is over.
    async fn drain(&mut self, stop: &mut watch::Receiver<Stop>) {
        self.draining = true;
        self.shard.planned.set(0);
        for player in self.slots.iter().filter_map(|slot| slot.player.as_ref()) {
            player.ask_to_leave();
        }
        let over = Instant::now() + self.shard.run.plan().grace();
        while self.shard.active.get() > 0 && *stop.borrow_and_update() != Stop::Now && Instant::now() < over {
            if let Wake::Ended(ended) = self.wait(over, stop).await {
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
            if let Some(&Reverse((at, seat))) = self.refills.peek().filter(|Reverse((at, _))| *at <= now) {
                self.refills.pop();
                self.refill(seat, at);
            } else if let Some(event) = self.events.next_if(|event| start + event.at <= now) {
                self.follow(event);
            } else {
                return false;
            }
        }
        true
    }

    fn next_time(&mut self) -> Option<Instant> {
        let start = self.shard.start;
        let event = self.events.peek().map(|event| start + event.at);
        let refill = self.refills.peek().map(|Reverse((at, _))| *at);
        event.into_iter().chain(refill).min()
    }

    fn follow(&mut self, event: Event) {
        let intended = self.shard.start + event.at;
        match event.kind {
            EventKind::Join => {
                self.plan(1);
                let slot = self.slots.entry(event.seat);
                slot.wanted = true;
                slot.rejoins = slot.player.is_some();
                if !slot.rejoins {
                    self.spawn(event.seat, intended);
                }
            }
            EventKind::Leave => {
                self.plan(-1);
                if let Some(slot) = self.slots.get_mut(event.seat) {
                    slot.wanted = false;
                    if let Some(player) = &slot.player {
                        player.ask_to_leave();
                    }
                }
            }
            EventKind::Arrive => {
                self.plan(1);
                self.slots.entry(event.seat);
                self.spawn(event.seat, intended);
            }
        }
    }

    fn plan(&self, change: i64) {
        self.shard.planned.set(self.shard.planned.get().saturating_add_signed(change));
    }

    fn refill(&mut self, seat: u64, at: Instant) {
        let free = self.slots.get_mut(seat).is_some_and(|slot| slot.wanted && slot.player.is_none());
        if free && self.refills_left > 0 {
            self.refills_left -= 1;
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
        if std::mem::take(&mut slot.rejoins) && slot.wanted {
            self.spawn(ended.seat, Instant::now());
        } else if slot.wanted && self.refills_left > 0 {
            let pause = match self.shard.run.plan().refill() {
                None => return,
                Some(pause) if ended.failed => pause.max(LEAST_REFILL),
                Some(_) => LEAST_REFILL,
            };
            self.refills.push(Reverse((Instant::now() + pause, ended.seat)));
        } else if self.slots.is_arrival(ended.seat) {
            self.slots.remove(ended.seat);
            self.plan(-1);
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

    /// Waits for `until`, for a bot to end, or for a word to stop.
    async fn wait(&self, until: Instant, stop: &mut watch::Receiver<Stop>) -> Wake {
        let mut sleep = pin!(self.shard.timers.sleep_until(until));
        let mut stopped = pin!(stop.changed());
        poll_fn(|cx: &mut Context<'_>| {
            let ended = self.shard.take_ended(cx.waker());
            if !ended.is_empty() {
                return Poll::Ready(Wake::Ended(ended));
            }
            // A control that is gone can ask for nothing.
            if let Poll::Ready(Ok(())) = stopped.as_mut().poll(cx) {
                return Poll::Ready(Wake::Stop);
            }
            sleep.as_mut().poll(cx).map(|()| Wake::Time)
        })
        .await
    }
}
