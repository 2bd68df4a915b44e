//! One virtual time for the worker and the engine's threads: each waits for the other.
//!
//! The worker's runtime is paused. The engine's shards wait at the gate, which a task of the worker's runtime opens further and
//! further; while they have something to do up to there, the worker's time stands still.

use std::cell::Cell;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use loadkit_core::{Host, TokioTimer, Usage, WakeTimer};
use tokio::time::{Instant, sleep};

/// How far the two may be apart.
const STEP: Duration = Duration::from_millis(50);

/// So long threads get to begin.
const MOMENT: Duration = Duration::from_millis(1);

/// Where a shard stands.
#[derive(Clone, Default)]
enum At {
    /// It has something to do.
    #[default]
    Work,
    /// It waits for this time of its life.
    Waits(Duration, Waker),
    Gone,
}

#[derive(Default)]
struct State {
    shards: Vec<At>,
    expected: usize,
    open_to: Duration,
}

thread_local! {
    static ENGINE: Cell<Option<Engine>> = const { Cell::new(None) };
}

/// The thread that called the engine.
struct Engine(Gate);

impl Drop for Engine {
    fn drop(&mut self) {
        *self.0.state() = State::default();
        self.0.0.1.notify_all();
    }
}

#[derive(Clone, Default)]
pub(super) struct Gate(Arc<(Mutex<State>, Condvar)>);

impl Gate {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An engine with so many shards begins now. It has ended when this thread has.
    pub(super) fn expect(&self, shards: usize) {
        *self.state() = State { expected: shards, ..State::default() };
        ENGINE.set(Some(Engine(self.clone())));
        self.0.1.notify_all();
    }

    /// Waits until no shard has anything to do.
    fn settle(&self) {
        let busy = |state: &mut State| {
            let at_work = state.shards.iter().any(|at| match at {
                At::Work => true,
                At::Waits(until, _) => *until <= state.open_to,
                At::Gone => false,
            });
            // When all have gone, the engine itself has still to end.
            let ends = state.expected > 0 && state.shards.iter().all(|at| matches!(at, At::Gone));
            state.shards.len() < state.expected || at_work || ends
        };
        let state = self.state();
        if state.expected == 0 {
            // An engine's thread may be about to begin: it gets a moment of real time.
            drop(self.0.1.wait_timeout_while(state, MOMENT, |state| state.expected == 0));
        } else {
            drop(self.0.1.wait_while(state, busy));
        }
    }

    fn open_further(&self) {
        let mut state = self.state();
        state.open_to += STEP;
        let wakers: Vec<Waker> = state.shards.iter_mut().filter_map(At::wake).collect();
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Keeps both times together, for ever.
    pub(super) async fn keep(self) {
        loop {
            sleep(STEP).await;
            self.open_further();
            let gate = self.clone();
            // Time stands still in the worker's runtime while a thread of its works.
            tokio::task::spawn_blocking(move || gate.settle()).await.unwrap();
        }
    }
}

impl At {
    /// Every shard has a turn at each step, so that it sees what it was told meanwhile.
    fn wake(&mut self) -> Option<Waker> {
        match std::mem::take(self) {
            At::Waits(_, waker) => Some(waker),
            At::Gone => {
                *self = At::Gone;
                None
            }
            At::Work => None,
        }
    }
}

impl Host for Gate {
    fn timer(&self) -> Box<dyn WakeTimer> {
        let mut state = self.state();
        state.shards.push(At::Work);
        let shard = state.shards.len() - 1;
        Box::new(Timer { gate: self.clone(), shard, began: Instant::now(), own: TokioTimer::default() })
    }

    fn usage(&self) -> Option<Usage> {
        None
    }

    fn is_virtual(&self) -> bool {
        true
    }
}

struct Timer {
    gate: Gate,
    shard: usize,
    began: Instant,
    own: TokioTimer,
}

impl Timer {
    fn is_at(&self, at: At) {
        if let Some(shard) = self.gate.state().shards.get_mut(self.shard) {
            *shard = at;
        }
        self.gate.0.1.notify_all();
    }
}

impl WakeTimer for Timer {
    fn poll_until(&mut self, deadline: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let due = deadline.saturating_duration_since(self.began);
        if due > self.gate.state().open_to {
            self.is_at(At::Waits(due, cx.waker().clone()));
            return Poll::Pending;
        }
        self.is_at(At::Work);
        self.own.poll_until(deadline, cx)
    }

    fn is_sharp(&self) -> bool {
        true
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.is_at(At::Gone);
    }
}
