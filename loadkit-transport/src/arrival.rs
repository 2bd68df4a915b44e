//! `kernel's time of arrival -> our clock`: so that a late wake-up of ours is not in a round trip.
//!
//! The kernel stamps datagrams by the wall clock (SO_TIMESTAMPNS, socket(7)); the kit counts on a clock that never
//! jumps. A thread reads both together now and then, and takes the difference for all stamps until it reads again.
//! Between the two readings of a pair the thread may lose the processor, and all that time would be missing from a
//! round trip; so the wall clock is read between two readings of ours, and again if those lie far apart. Where the
//! wall clock has jumped, or there is no stamp, a datagram arrived when it was read.
//!
//! # Round trips of a few µs
//!
//! On loopback they are real. The kernel carries a datagram to the receiver's socket, and stamps it, within the
//! sender's own system call. Measured with two plain sockets on one machine (Linux 6.18, 20,000 round trips): 1.0 µs
//! from before `send` to the stamp at the server, 1.3 µs back to the stamp at the client: 2.3 µs in the median, 1.9
//! at least. The 9 µs that the same program saw by its own clock, and the 50 and more of a loaded one, are wake-ups of
//! server and client, which the stamps and [the server's delay](crate::rudp) leave out. Reliable UDP tells that
//! delay in whole units of 16 µs, rounded down: up to 16 µs of it stay in the round trip. So `net.rtt` is between 2
//! and 20 µs on loopback, whatever the server does; what its player waits for is in the steps.

use std::cell::Cell;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// A datagram that waited longer than this was not waiting for us: the wall clock jumped.
const MAX_LAG: Duration = Duration::from_secs(1);
/// A pair of readings is good for so long. A wall clock that is being slewed gains or loses 500 ppm at most
/// (adjtimex(2)): 5 µs.
const KEEP: Duration = Duration::from_millis(10);
/// Readings of our clock about one of the wall clock that lie farther apart were interrupted.
const APART: Duration = Duration::from_micros(1);
/// So many pairs are tried; the closest counts.
const TRIES: u32 = 4;

thread_local! {
    static CLOCKS: Cell<Option<Clocks>> = const { Cell::new(None) };
}

/// When a datagram arrived that is stamped so long after the epoch, and is read `now`.
pub(crate) fn arrival(since_epoch: Duration, now: Instant) -> Instant {
    let known = CLOCKS.get().filter(|clocks| now < clocks.until);
    let clocks = known.unwrap_or_else(|| {
        let clocks = Clocks::read();
        CLOCKS.set(Some(clocks));
        clocks
    });
    clocks.arrival(since_epoch, now)
}

/// A moment on both clocks.
#[derive(Clone, Copy, Debug)]
struct Clocks {
    now: Instant,
    /// Since the epoch.
    wall: Duration,
    /// When both are to be read anew.
    until: Instant,
}

impl Clocks {
    /// Reads both clocks, as close together as can be had.
    fn read() -> Clocks {
        let mut closest = Duration::MAX;
        let mut clocks = Clocks::pair(Instant::now(), Duration::ZERO);
        for _ in 0..TRIES {
            let before = Instant::now();
            let wall = SystemTime::now();
            let apart = before.elapsed();
            if apart < closest {
                let wall = wall.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
                (closest, clocks) = (apart, Clocks::pair(before + apart / 2, wall));
            }
            if apart <= APART {
                break;
            }
        }
        clocks
    }

    fn pair(now: Instant, wall: Duration) -> Clocks {
        Clocks { now, wall, until: now + KEEP }
    }

    fn arrival(&self, since_epoch: Duration, now: Instant) -> Instant {
        let at = match since_epoch.checked_sub(self.wall) {
            Some(after) => self.now.checked_add(after),
            None => self.now.checked_sub(self.wall - since_epoch),
        };
        at.filter(|at| *at <= now && now < *at + MAX_LAG).unwrap_or(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_plausible_is_subtracted() {
        let clocks = Clocks::read();
        let (now, wall) = (clocks.now + Duration::from_millis(1), clocks.wall + Duration::from_millis(1));
        let lag = |stamp| now - clocks.arrival(stamp, now);
        assert_eq!(lag(wall - Duration::from_micros(1_250)), Duration::from_micros(1_250));
        assert_eq!(lag(wall - Duration::from_micros(250)), Duration::from_micros(250), "since the clocks were read");
        assert_eq!(lag(wall + Duration::from_secs(5)), Duration::ZERO, "a stamp of the future");
        assert_eq!(lag(wall - Duration::from_secs(3_600)), Duration::ZERO, "an hour ago");
        assert_eq!(lag(Duration::ZERO), Duration::ZERO);
    }

    #[test]
    fn the_clocks_are_read_anew_and_close_together() {
        let is_close = |_: &i32| {
            let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
            let now = Instant::now();
            let at = arrival(wall, now);
            assert!(at <= now);
            now - at < Duration::from_micros(50)
        };
        // But for those between which the thread lost the processor.
        assert!((0..1_000).filter(is_close).count() > 500);
    }
}
