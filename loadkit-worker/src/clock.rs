//! The time of day, injected: the fleet's agreements are about it, and tests run in virtual time.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// Tells the time of day.
pub trait Clock: Send + Sync + fmt::Debug {
    /// Since 1970.
    fn now(&self) -> Duration;

    /// The same in milliseconds.
    fn now_ms(&self) -> u64 {
        u64::try_from(self.now().as_millis()).unwrap_or(u64::MAX)
    }
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Duration {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO)
    }
}

/// A clock that goes with tokio's, so that it stands still when that is paused; and it may be wrong by a fixed time.
#[derive(Clone, Copy, Debug)]
pub struct VirtualClock {
    began: Instant,
    at: Duration,
}

impl VirtualClock {
    /// It is this time of day now.
    pub fn new(at: Duration) -> VirtualClock {
        VirtualClock { began: Instant::now(), at }
    }

    /// The same, fast by so much.
    #[must_use]
    pub fn fast_by(self, by: Duration) -> VirtualClock {
        VirtualClock { at: self.at + by, ..self }
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Duration {
        self.at + self.began.elapsed()
    }
}
