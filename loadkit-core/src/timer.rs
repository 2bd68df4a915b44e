//! The deadline queue of a shard: every tick, think time and protocol deadline over one high-resolution timer.
//!
//! tokio's own timers wake up to 1 ms late, by design, which would be an error of ours in every response time. A
//! shard therefore keeps its deadlines here and arms one [`WakeTimer`] for the first of them.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::time::Instant;

/// Deadlines closer together than this may share a wake-up. It bounds the timer's own cost at 5,000 wake-ups a
/// second and a shard, and adds at most this much to a deadline that follows another closely.
const SPACING: Duration = Duration::from_micros(200);

/// As good as for ever, and far from where times overflow.
const FOR_EVER: Duration = Duration::from_secs(365 * 24 * 3_600);

/// `time` after `now`; a year, if it is longer than that.
pub(crate) fn after(now: Instant, time: Duration) -> Instant {
    now + time.min(FOR_EVER)
}

/// What repeats begins at multiples of this.
const GRID: Duration = Duration::from_millis(1);

/// The one timer of a shard: the edge to the operating system, which the core does not implement itself.
pub trait WakeTimer {
    /// Ready at or after `deadline`. Arms the timer anew when `deadline` differs from that of the last call.
    fn poll_until(&mut self, deadline: Instant, cx: &mut Context<'_>) -> Poll<()>;

    /// Whether it wakes within a fraction of a millisecond. If not, the report says so.
    fn is_sharp(&self) -> bool;
}

/// tokio's own timer: for virtual time, and where there is nothing better. Wakes up to 1 ms late.
#[derive(Default)]
pub struct TokioTimer(Option<Pin<Box<tokio::time::Sleep>>>);

impl WakeTimer for TokioTimer {
    fn poll_until(&mut self, deadline: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let sleep = self.0.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if sleep.deadline() != deadline {
            sleep.as_mut().reset(deadline);
        }
        sleep.as_mut().poll(cx)
    }

    fn is_sharp(&self) -> bool {
        false
    }
}

/// No deadline.
const NEVER: u64 = u64::MAX;
/// Outdated entries of the heap are swept out when there are more of them than this, and than entries that count.
const MOST_OUTDATED: usize = 64;

/// One alarm's place. It keeps its waker from one deadline to the next: an alarm has one owner.
struct Slot {
    /// Nanoseconds since the queue's base, or [`NEVER`].
    due: u64,
    waker: Option<Waker>,
}

/// Deadlines in a heap of `(due, slot)`. An entry counts if its slot is still due then; one that was moved or taken
/// back stays as an outdated entry until it comes up, or until there are too many.
struct Queue {
    base: Instant,
    slots: Vec<Slot>,
    free: Vec<u32>,
    heap: BinaryHeap<Reverse<(u64, u32)>>,
    outdated: usize,
    /// The driver's waker and the time for which it waits.
    driver: Option<(Waker, u64)>,
    /// Before this the driver does not wake again.
    earliest: u64,
}

impl Queue {
    fn nanos(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.base).as_nanos()).unwrap_or(NEVER - 1)
    }

    fn make_slot(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { due: NEVER, waker: None });
            (self.slots.len() - 1) as u32
        })
    }

    fn free_slot(&mut self, id: u32) {
        self.clear(id);
        if let Some(slot) = self.slots.get_mut(id as usize) {
            slot.waker = None;
            self.free.push(id);
        }
    }

    fn set(&mut self, id: u32, due: u64, waker: &Waker) {
        let Some(slot) = self.slots.get_mut(id as usize) else { return };
        match &mut slot.waker {
            Some(known) => known.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
        let before = std::mem::replace(&mut slot.due, due);
        if before == due {
            return;
        }
        self.outdated += usize::from(before != NEVER);
        self.heap.push(Reverse((due, id)));
        self.sweep();
        let wake_at = due.max(self.earliest);
        if self.driver.as_ref().is_some_and(|(_, armed)| wake_at < *armed)
            && let Some((driver, _)) = self.driver.take()
        {
            driver.wake();
        }
    }

    fn clear(&mut self, id: u32) {
        if let Some(slot) = self.slots.get_mut(id as usize)
            && std::mem::replace(&mut slot.due, NEVER) != NEVER
        {
            self.outdated += 1;
            self.sweep();
        }
    }

    fn sweep(&mut self) {
        if self.outdated > MOST_OUTDATED && self.outdated > self.heap.len() / 2 {
            let slots = &self.slots;
            self.heap.retain(|Reverse((due, id))| slots.get(*id as usize).is_some_and(|slot| slot.due == *due));
            self.outdated = 0;
        }
    }

    /// Wakes all that is due at `now`; the next deadline, if there is one.
    fn fire(&mut self, now: u64) -> Option<u64> {
        while let Some(&Reverse((due, id))) = self.heap.peek() {
            match self.slots.get_mut(id as usize).filter(|slot| slot.due == due) {
                Some(_) if due > now => return Some(due),
                Some(slot) => {
                    slot.due = NEVER;
                    if let Some(waker) = &slot.waker {
                        waker.wake_by_ref();
                    }
                }
                None => self.outdated = self.outdated.saturating_sub(1),
            }
            self.heap.pop();
        }
        None
    }
}

/// A handle to the deadline queue of the shard it was made on.
#[derive(Clone)]
pub struct Timers(Rc<RefCell<Queue>>);

impl Timers {
    /// A queue of its own. Nothing fires until [`Timers::drive`] runs on the same thread.
    pub fn new() -> Timers {
        let base = Instant::now();
        let (slots, free, heap) = Default::default();
        let queue = Queue { base, slots, free, heap, outdated: 0, driver: None, earliest: 0 };
        Timers(Rc::new(RefCell::new(queue)))
    }

    /// Ready at `at`, or at once if that has passed.
    pub fn sleep_until(&self, at: Instant) -> Sleep {
        Sleep { alarm: self.alarm(), at }
    }

    /// The first time at or after `at` on the shard's grid of whole milliseconds.
    ///
    /// What repeats begins on the grid, so that a wake-up of the thread serves all that is due in its millisecond: on a
    /// virtual machine one costs as much as two datagrams (measured: 25 µs of CPU for a sleep, 11 for a round trip).
    pub(crate) fn on_grid(&self, at: Instant) -> Instant {
        let base = self.0.borrow().base;
        let into = at.saturating_duration_since(base).as_nanos() % GRID.as_nanos();
        if into == 0 { at } else { at + GRID - Duration::from_nanos(into as u64) }
    }

    /// An alarm, not yet set.
    pub fn alarm(&self) -> Alarm {
        Alarm { timers: self.clone(), slot: None }
    }

    /// Fires deadlines for as long as it is polled. One per queue.
    pub async fn drive(self, mut timer: Box<dyn WakeTimer>) {
        let mut wake_at = 0;
        poll_fn(|cx| {
            loop {
                let mut queue = self.0.borrow_mut();
                let now = queue.nanos(Instant::now());
                if wake_at <= now {
                    queue.earliest = now + SPACING.as_nanos() as u64;
                }
                wake_at = queue.fire(now).map_or(NEVER, |next| next.max(queue.earliest));
                queue.driver = Some((cx.waker().clone(), wake_at));
                let at = queue.base.checked_add(Duration::from_nanos(wake_at));
                drop(queue);
                let Some(at) = at.filter(|_| wake_at != NEVER) else {
                    return Poll::Pending;
                };
                if timer.poll_until(at, cx).is_pending() {
                    return Poll::Pending;
                }
            }
        })
        .await
    }
}

impl Default for Timers {
    fn default() -> Timers {
        Timers::new()
    }
}

/// One deadline of one owner: set, moved, cleared. Dropping it clears it. Costs 24 bytes of heap from when it is first
/// set, and 16 more while it is.
pub struct Alarm {
    timers: Timers,
    slot: Option<u32>,
}

impl Alarm {
    /// Wakes `waker` at `at`, instead of what was set before.
    pub fn set(&mut self, at: Instant, waker: &Waker) {
        let mut queue = self.timers.0.borrow_mut();
        let due = queue.nanos(at);
        let slot = *self.slot.get_or_insert_with(|| queue.make_slot());
        queue.set(slot, due, waker);
    }

    /// Takes the deadline back.
    pub fn clear(&mut self) {
        if let Some(slot) = self.slot {
            self.timers.0.borrow_mut().clear(slot);
        }
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if let Some(slot) = self.slot.take() {
            self.timers.0.borrow_mut().free_slot(slot);
        }
    }
}

/// The future of [`Timers::sleep_until`].
pub struct Sleep {
    alarm: Alarm,
    at: Instant,
}

impl Sleep {
    /// When it is due.
    pub fn deadline(&self) -> Instant {
        self.at
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let at = self.at;
        if Instant::now() >= at {
            self.alarm.clear();
            return Poll::Ready(());
        }
        self.alarm.set(at, cx.waker());
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_virtual_time<T>(test: impl AsyncFnOnce(Timers) -> T) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build_local(Default::default())
            .unwrap();
        runtime.block_on(async {
            let timers = Timers::new();
            tokio::task::spawn_local(timers.clone().drive(Box::new(TokioTimer::default())));
            test(timers).await
        })
    }

    #[test]
    fn deadlines_fire_in_order_and_never_early() {
        in_virtual_time(async |timers| {
            let start = Instant::now();
            let woken = Rc::new(RefCell::new(Vec::new()));
            let tasks: Vec<_> = [30, 10, 20, 10]
                .map(|ms| {
                    let (timers, woken) = (timers.clone(), woken.clone());
                    tokio::task::spawn_local(async move {
                        timers.sleep_until(start + Duration::from_millis(ms)).await;
                        assert!(start.elapsed() >= Duration::from_millis(ms));
                        woken.borrow_mut().push(ms);
                    })
                })
                .into();
            for task in tasks {
                task.await.unwrap();
            }
            assert_eq!(*woken.borrow(), [10, 10, 20, 30]);
        });
    }

    #[test]
    fn an_earlier_deadline_overtakes_and_dropping_leaves_nothing() {
        in_virtual_time(async |timers| {
            let start = Instant::now();
            let mut far = Box::pin(timers.sleep_until(start + Duration::from_secs(60)));
            assert!(futures_util::poll!(&mut far).is_pending());
            tokio::task::yield_now().await;
            timers.sleep_until(start + Duration::from_millis(5)).await;
            assert!(start.elapsed() < Duration::from_millis(10));
            drop(far);
            assert_eq!(timers.0.borrow().free.len(), timers.0.borrow().slots.len());
        });
    }
    #[test]
    fn moving_a_deadline_for_ever_does_not_grow_the_queue() {
        in_virtual_time(async |timers| {
            let start = Instant::now();
            let mut alarms: Vec<_> = (0..10).map(|_| timers.alarm()).collect();
            for n in 0..100_000_u64 {
                alarms[(n % 10) as usize].set(start + Duration::from_nanos(1_000_000_000 + n), Waker::noop());
                if n % 7 == 0 {
                    alarms[(n % 3) as usize].clear();
                }
            }
            let queue = timers.0.borrow();
            assert!(queue.heap.len() <= 2 * MOST_OUTDATED + 20, "{}", queue.heap.len());
            assert_eq!(queue.slots.len(), 10);
        });
    }
}
