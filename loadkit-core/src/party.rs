//! Players that belong together: they share values, and wait for each other.

use std::any::{Any, TypeId};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use tokio::time::Instant;

use crate::cx::Cx;
use crate::failure::{Failure, Kind};
use crate::timer::after;

/// At most so many rendezvous are open in a party at once.
const MAX_OPEN: usize = 64;
/// At most so many types of value are shared in a party.
const MAX_SHARED: usize = 64;

/// A party of players, all of them on one shard.
pub struct Party {
    id: u64,
    size: u64,
    shared: RefCell<BTreeMap<TypeId, Rc<dyn Any>>>,
    open: RefCell<BTreeMap<Box<str>, Rc<Meeting>>>,
}

/// One rendezvous, until it is met.
#[derive(Default)]
struct Meeting {
    here: Cell<u64>,
    met: Cell<bool>,
    wakers: RefCell<Vec<Waker>>,
}

impl Party {
    pub(crate) fn new(id: u64, size: u64) -> Party {
        Party { id, size, shared: RefCell::default(), open: RefCell::default() }
    }

    /// The party's number.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// How many members it has.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The party's value of type `T`, made by the first member who asks. Members share it for as long as one of
    /// them plays. Use a type of your own with a `Cell` or `RefCell` in it.
    pub fn shared<T: 'static>(&self, make: impl FnOnce() -> T) -> Rc<T> {
        let known = self.shared.borrow().get(&TypeId::of::<T>()).cloned();
        if let Some(value) = known.and_then(|value| value.downcast::<T>().ok()) {
            return value;
        }
        let value = Rc::new(make());
        let mut shared = self.shared.borrow_mut();
        if shared.len() < MAX_SHARED {
            shared.insert(TypeId::of::<T>(), value.clone());
        }
        value
    }

    /// Waits until all members have come to the rendezvous `name`.
    pub(crate) async fn meet(&self, cx: &Cx, name: &str, timeout: Duration) -> Result<(), Failure> {
        let unmet = |here| {
            let size = self.size;
            let why = format!("rendezvous {name:?}: {here} of {size} members came within {timeout:?}");
            Failure::new(Kind::RENDEZVOUS, why)
        };
        let meeting = {
            let mut open = self.open.borrow_mut();
            if open.len() >= MAX_OPEN && !open.contains_key(name) {
                return Err(Failure::new(Kind::BACKLOG, format!("over {MAX_OPEN} rendezvous are open at once")));
            }
            open.entry(name.into()).or_default().clone()
        };
        meeting.here.set(meeting.here.get() + 1);
        if meeting.here.get() >= self.size {
            meeting.met.set(true);
            self.open.borrow_mut().remove(name);
            meeting.wakers.take().into_iter().for_each(Waker::wake);
            return Ok(());
        }
        let _here = Leaving { party: self, name, meeting: &meeting };
        let mut sleep = pin!(cx.timers().sleep_until(after(Instant::now(), timeout)));
        poll_fn(|task| {
            if meeting.met.get() {
                return Poll::Ready(Ok(()));
            }
            if cx.stopping() {
                return Poll::Ready(Err(Failure::new(Kind::STOPPED, "asked to leave at a rendezvous")));
            }
            if sleep.as_mut().poll(task).is_ready() {
                return Poll::Ready(Err(unmet(meeting.here.get())));
            }
            let mut wakers = meeting.wakers.borrow_mut();
            if !wakers.iter().any(|known| known.will_wake(task.waker())) {
                wakers.push(task.waker().clone());
            }
            Poll::Pending
        })
        .await
    }
}

/// Takes a member who stops waiting out of a meeting that has not been met.
struct Leaving<'a> {
    party: &'a Party,
    name: &'a str,
    meeting: &'a Rc<Meeting>,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        if self.meeting.met.get() {
            return;
        }
        self.meeting.here.set(self.meeting.here.get().saturating_sub(1));
        if self.meeting.here.get() == 0 {
            self.party.open.borrow_mut().remove(self.name);
        }
    }
}
