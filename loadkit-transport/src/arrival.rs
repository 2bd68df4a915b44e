//! `kernel's time of arrival -> our clock`: so that a late wake-up of ours is not in a round trip.
//!
//! The kernel stamps datagrams by the wall clock (SO_TIMESTAMPNS, socket(7)); the kit counts on a clock that never
//! jumps. What both agree on is how long ago it was: that is subtracted from now. Where the wall clock jumped in
//! between, or there is no stamp, the datagram arrived now.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// A datagram that waited longer than this was not waiting for us: the wall clock jumped.
const MAX_LAG: Duration = Duration::from_secs(1);

/// A moment on both clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clocks {
    now: Instant,
    wall: SystemTime,
}

impl Clocks {
    /// Reads both clocks.
    pub(crate) fn read() -> Clocks {
        Clocks { now: Instant::now(), wall: SystemTime::now() }
    }

    /// When a datagram arrived that is stamped so long after the epoch.
    pub(crate) fn arrival(&self, since_epoch: Duration) -> Instant {
        let stamp = SystemTime::UNIX_EPOCH + since_epoch;
        let lag = self.wall.duration_since(stamp).ok().filter(|lag| *lag <= MAX_LAG);
        lag.and_then(|lag| self.now.checked_sub(lag)).unwrap_or(self.now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_plausible_is_subtracted() {
        let clocks = Clocks::read();
        let wall = clocks.wall.duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let lag = |stamp| clocks.now - clocks.arrival(stamp);
        assert_eq!(lag(wall - Duration::from_micros(1_250)), Duration::from_micros(1_250));
        assert_eq!(lag(wall + Duration::from_secs(5)), Duration::ZERO, "a stamp of the future");
        assert_eq!(lag(wall - Duration::from_secs(3_600)), Duration::ZERO, "an hour ago");
        assert_eq!(lag(Duration::ZERO), Duration::ZERO);
    }
}
