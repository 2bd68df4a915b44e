//! The pace of a busy shard: it looks at its sockets and deadlines a few thousand times a second, not for each alone.
//!
//! A wake-up of the thread costs as much as a datagram. A busy shard that blocked for every single event would pay
//! one for each; so it pauses for a moment before it blocks again, and what comes meanwhile shares a wake-up. It costs
//! the figures nothing: ticks are late by less than the pause, and a datagram's arrival is the kernel's stamp.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::time::Instant;

/// From one wake-up to the next, when busy. The system adds its timer slack of 50 µs.
const PAUSE: Duration = Duration::from_micros(130);
/// How often the shard decides whether it is busy.
const WINDOW: Duration = Duration::from_millis(10);
/// Busy from so many wake-ups a window on.
const BUSY: u32 = 20000;

/// When a shard last woke, and how often lately. Times are nanoseconds since it was made.
struct Pace {
    base: Instant,
    woke: AtomicU64,
    window: AtomicU64,
    wakes: AtomicU32,
    is_busy: AtomicBool,
}

impl Pace {
    fn now(&self) -> u64 {
        self.base.elapsed().as_nanos() as u64
    }

    fn before_park(&self) {
        if self.is_busy.load(Relaxed) {
            let awake = Duration::from_nanos(self.now().saturating_sub(self.woke.load(Relaxed)));
            if let Some(rest) = PAUSE.checked_sub(awake) {
                std::thread::sleep(rest);
            }
        }
    }

    fn after_park(&self) {
        let now = self.now();
        self.woke.store(now, Relaxed);
        let wakes = self.wakes.load(Relaxed) + 1;
        if now.saturating_sub(self.window.load(Relaxed)) < WINDOW.as_nanos() as u64 {
            self.wakes.store(wakes, Relaxed);
        } else {
            self.is_busy.store(wakes > BUSY, Relaxed);
            self.wakes.store(0, Relaxed);
            self.window.store(now, Relaxed);
        }
    }
}

/// Has a shard's runtime keep the pace.
pub(crate) fn keep(builder: &mut Builder) {
    let (woke, window, wakes, is_busy) = Default::default();
    let pace = std::sync::Arc::new(Pace { base: Instant::now(), woke, window, wakes, is_busy });
    let parked = pace.clone();
    builder.on_thread_park(move || pace.before_park()).on_thread_unpark(move || parked.after_park());
}
