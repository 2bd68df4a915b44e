//! Which packets have arrived: what is new, what to ack, and what the gaps tell of losses on the way here.

use tokio::time::Instant;

use super::wire::{DELAY_UNIT_US, Header, NO_DELAY, after};

/// Packets so far behind the newest are stale: nothing is known of them any more.
const REMEMBERED: i16 = 64;

/// The packets of the other side.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    newest: u16,
    /// Bit `i`: `newest - i` has arrived.
    seen: u64,
    newest_at: Option<Instant>,
    /// Packets that should have come before the newest, and did not.
    pub(super) missing: u32,
    /// Packets that came after a newer one.
    pub(super) reordered: u32,
    /// Packets that came again.
    pub(super) duplicates: u32,
}

/// What a packet's number says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Novelty {
    New,
    Again,
    /// Nobody knows.
    Stale,
}

impl Arrivals {
    pub(super) fn novelty(&self, sequence: u16) -> Novelty {
        let ahead = after(sequence, self.newest);
        if self.newest_at.is_none() || ahead > 0 {
            Novelty::New
        } else if ahead <= -REMEMBERED {
            Novelty::Stale
        } else if self.seen & (1 << -ahead) == 0 {
            Novelty::New
        } else {
            Novelty::Again
        }
    }

    /// Marks a new packet as arrived.
    pub(super) fn arrived(&mut self, now: Instant, sequence: u16) {
        let ahead = after(sequence, self.newest);
        if self.newest_at.is_none() {
            (self.newest, self.seen, self.newest_at) = (sequence, 1, Some(now));
        } else if ahead > 0 {
            self.seen = self.seen.checked_shl(ahead.unsigned_abs().into()).unwrap_or(0) | 1;
            (self.newest, self.newest_at) = (sequence, Some(now));
            self.missing = self.missing.saturating_add(u32::from(ahead.unsigned_abs()) - 1);
        } else {
            self.seen |= 1_u64.checked_shl(ahead.unsigned_abs().into()).unwrap_or(0);
            self.reordered = self.reordered.saturating_add(1);
            self.missing = self.missing.saturating_sub(1);
        }
    }

    /// The header of a packet that goes out at `now`: with it goes all that is known of arrivals.
    pub(super) fn header(&self, now: Instant) -> Header {
        let Some(at) = self.newest_at else {
            return Header { ack: u16::MAX, delay: NO_DELAY, acks: 0 };
        };
        let delay = now.saturating_duration_since(at).as_micros() / DELAY_UNIT_US;
        let delay = u16::try_from(delay).unwrap_or(NO_DELAY);
        let acks = u32::try_from(self.seen >> 1 & 0xFFFF_FFFF).unwrap_or(0);
        Header { ack: self.newest, delay, acks }
    }

    #[cfg(test)]
    pub(super) fn start_at(&mut self, sequence: u16) {
        self.newest = sequence.wrapping_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_duplicates_and_late_ones_are_told_apart() {
        let (mut arrivals, now) = (Arrivals::default(), Instant::now());
        for sequence in [65_530, 65_531, 65_535, 2, 0] {
            assert_eq!(arrivals.novelty(sequence), Novelty::New, "{sequence}");
            arrivals.arrived(now, sequence);
        }
        // Missing: 65,532 to 65,534, and 1.
        assert_eq!((arrivals.missing, arrivals.reordered), (4, 1));
        assert_eq!((arrivals.novelty(0), arrivals.novelty(1)), (Novelty::Again, Novelty::New));
        assert_eq!((arrivals.novelty(65_474), arrivals.novelty(65_475)), (Novelty::Stale, Novelty::New));
        let header = arrivals.header(now);
        assert_eq!((header.ack, header.acks, header.delay), (2, 0b1100_0110, 0));
        arrivals.arrived(now, 20_000);
        assert_eq!(arrivals.header(now).acks, 0);
    }
}
