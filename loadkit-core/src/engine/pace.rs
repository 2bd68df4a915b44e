//! The pace of a busy shard: one wake-up of its thread serves all that is due or has arrived by then.
//!
//! To sleep and wake costs a thread as much as several datagrams (measured on a virtual machine: 25 µs of CPU, where
//! a round trip by hand costs 12), and a busy shard that blocked for every reply would pay it for each. So it pauses
//! before it blocks: until its next deadline, and for a millisecond at the most. It costs the figures nothing: a
//! deadline is met as ever, and a datagram's time of arrival is the kernel's stamp. What it costs is that a bot acts on
//! a reply up to a millisecond later, which is in `loadkit.wake_lag`.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::time::Instant;

use super::shard::Shard;

/// The longest pause.
const LONGEST: Duration = Duration::from_millis(1);
/// A pause shorter than this is not worth its own wake-up.
const SHORTEST: Duration = Duration::from_micros(50);
/// How often the shard decides whether it is busy.
const WINDOW: Duration = Duration::from_millis(10);
/// Busy from so many turns of bots a window on: 4,000 a second.
const BUSY: u64 = 40;

thread_local! {
    static PACE: RefCell<Option<Pace>> = const { RefCell::new(None) };
}

struct Pace {
    shard: Rc<Shard>,
    /// The start of the window, and how many turns there had been then.
    window: Cell<(Instant, u64)>,
    is_busy: Cell<bool>,
}

impl Pace {
    fn pause(&self) {
        let now = Instant::now();
        let (began, turns) = self.window.get();
        if now.saturating_duration_since(began) >= WINDOW {
            let so_far = self.shard.turns.get();
            self.is_busy.set(so_far - turns >= BUSY);
            self.window.set((now, so_far));
        }
        if self.is_busy.get() {
            let next = self.shard.timers.wakes_at().map_or(LONGEST, |at| at.saturating_duration_since(now));
            let pause = next.min(LONGEST);
            if pause >= SHORTEST {
                std::thread::sleep(pause);
            }
        }
    }
}

/// Has a runtime keep the pace of the shard that plays on its thread.
pub(crate) fn keep(builder: &mut Builder) {
    builder.on_thread_park(|| PACE.with_borrow(|pace| pace.iter().for_each(Pace::pause)));
}

/// This thread plays this shard from now on; none, when it is over.
pub(crate) fn set(shard: Option<Rc<Shard>>) {
    let window = || Cell::new((Instant::now(), 0));
    PACE.set(shard.map(|shard| Pace { shard, window: window(), is_busy: Cell::new(false) }));
}
