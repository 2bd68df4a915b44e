//! The spawner of a shard: follows the load shape and the dial, fills seats again, and sees everyone out at the end.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::control::{Order, Stop};
use super::life;
use super::only::Only;
use super::shard::{Ended, Shard};
use super::slots::Slots;
use super::window::{Schedule, Window};
use crate::bot::{Scenario, Seat};
use crate::cx::Cx;
use crate::metrics::names;
use crate::segment::Segment;
use crate::shape::Shape;

/// Spawns in one go before the spawner lets the bots that play have their turn. Measured elsewhere: a ramp that does
/// not yield gave bots a p99 of 3.5 s; yielding every 64 spawns, 0.5 ms.
const SPAWNS_PER_TURN: usize = 64;
/// The least pause before a seat is filled again: keeps a bot that ends at once from spinning.
const LEAST_REFILL: Duration = Duration::from_millis(1);

pub(crate) struct Spawner<S: Scenario> {
    scenario: Arc<S>,
    pub(super) shard: Rc<Shard>,
    pub(super) segment: Segment,
    schedule: Schedule,
    pub(super) only: Option<Only>,
    /// The lowest seat that the shape has let go since the worker took seats over: those from it on are not taken over.
    pub(super) let_go: u64,
    /// When the load is through.
    end: Instant,
    pub(super) slots: Slots,
    refills: BinaryHeap<Reverse<(Instant, u64)>>,
    /// Those who come because the dial was turned up; a slot that is `pending` has one entry.
    pub(super) pending: BinaryHeap<Reverse<(Instant, u64)>>,
    /// Players who are cut off if they are still there then: seat and life. Times ascend.
    pub(super) cuts: VecDeque<(Instant, u64, u32)>,
    /// How many more players than the shape's own the plan's total allows on this shard.
    pub(super) spare: u64,
    pub(super) dial: f64,
    draining: bool,
}

/// What the spawner woke for.
enum Wake {
    Time,
    Ended(Vec<Ended>),
    Order,
}

impl<S: Scenario> Spawner<S> {
    pub(crate) fn new(
        scenario: Arc<S>,
        shard: Rc<Shard>,
        segment: Segment,
        only: Option<Only>,
        window: Window,
    ) -> Spawner<S> {
        let plan = shard.run.plan();
        let (shape, party) = (plan.shape(), plan.party());
        let slots = |peak| Slots::new(segment, peak, party, plan.first_twin());
        let (schedule, slots, spare) = if let Some(only) = only {
            let first = only.seat / party * party;
            let seats: Vec<u64> = (first..first.saturating_add(party)).filter(|seat| plan.has_seat(*seat)).collect();
            let mut slots = slots(0);
            seats.iter().for_each(|seat| slots.entry(*seat).life = only.life);
            (Schedule::of(seats, only.leaves), slots, 0)
        } else {
            let schedule = Schedule::new(shape, shard.run.seed(), segment, party, window);
            (schedule, slots(shape.peak()), spare(shape, segment, window))
        };
        let end = shard.start + schedule.end();
        let (refills, pending, cuts) = (BinaryHeap::new(), BinaryHeap::new(), VecDeque::new());
        let (let_go, dial, draining) = (u64::MAX, 1.0, false);
        Spawner {
            scenario,
            shard,
            segment,
            schedule,
            only,
            let_go,
            end,
            slots,
            refills,
            pending,
            cuts,
            spare,
            dial,
            draining,
        }
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
            && self.schedule.next_at().is_none()
        {
            return self.slots.get_mut(only.seat).is_none_or(|slot| slot.player.is_none());
        }
        let nobody = self.shard.active.get() == 0 && self.refills.is_empty() && self.pending.is_empty();
        if !nobody || self.schedule.next_at().is_some() {
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
        let (now, start) = (Instant::now(), self.shard.start);
        let elapsed = now.saturating_duration_since(start);
        for _ in 0..SPAWNS_PER_TURN {
            if let Some((seat, at)) = pop_due(&mut self.refills, now) {
                self.refill(seat, at);
            } else if let Some((seat, at)) = pop_due(&mut self.pending, now) {
                self.dial_back(seat, at);
            } else if let Some((at, seat, due)) = self.schedule.next_by(elapsed) {
                self.follow(start + at, seat, due);
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
        let due = self.schedule.next_at().map(|at| start + at);
        let of = |heap: &BinaryHeap<Reverse<(Instant, u64)>>| heap.peek().map(|Reverse((at, _))| *at);
        let cut = self.cuts.front().map(|(at, ..)| *at);
        due.into_iter().chain(of(&self.refills)).chain(of(&self.pending)).chain(cut).min()
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

    pub(super) fn spawn(&mut self, index: u64, intended: Instant) {
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

/// A segment's share of the players that the total allows beside those that the shape starts, in the time of a window.
fn spare(shape: &Shape, segment: Segment, window: Window) -> u64 {
    shape.total().map_or(u64::MAX, |total| {
        let spare = u128::from(window.share(total.saturating_sub(shape.starts()), shape.duration()));
        let (index, count) = (u128::from(segment.index()), u128::from(segment.count()));
        // Consecutive differences of floor(spare * i / count) sum to the spare exactly.
        (spare * (index + 1) / count - spare * index / count) as u64
    })
}
