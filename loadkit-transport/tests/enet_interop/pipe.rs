//! One way of a bad network, without I/O.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Weather {
    pub(crate) loss_percent: u64,
    pub(crate) twice_percent: u64,
    /// Held back for so much longer.
    pub(crate) late_percent: u64,
    pub(crate) delay: Duration,
    pub(crate) jitter: Duration,
}

/// 10 % loss, 5 % duplication, 50 ms of jitter, and every twentieth held back beside that.
pub(crate) const BAD: Weather = Weather {
    loss_percent: 10,
    twice_percent: 5,
    late_percent: 5,
    delay: Duration::from_millis(20),
    jitter: Duration::from_millis(50),
};

pub(crate) const CALM: Weather = Weather {
    loss_percent: 0,
    twice_percent: 0,
    late_percent: 0,
    delay: Duration::from_millis(10),
    jitter: Duration::ZERO,
};

/// One way: datagrams and time in, datagrams out when they are due.
#[derive(Debug)]
pub(crate) struct Pipe {
    weather: Weather,
    dice: u64,
    under_way: BTreeMap<(Instant, u64), Vec<u8>>,
    sent: u64,
}

impl Pipe {
    pub(crate) fn new(weather: Weather, seed: u64) -> Pipe {
        Pipe { weather, dice: seed, under_way: BTreeMap::new(), sent: 0 }
    }

    /// SplitMix64 (Steele et al., 2014).
    fn below(&mut self, n: u64) -> u64 {
        self.dice = self.dice.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.dice;
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ z >> 31) % n
    }

    pub(crate) fn send(&mut self, now: Instant, datagram: &[u8]) {
        let Weather { loss_percent, twice_percent, late_percent, delay, jitter } = self.weather;
        let copies = match self.below(100) {
            roll if roll < loss_percent => 0,
            roll if roll < loss_percent + twice_percent => 2,
            _ => 1,
        };
        for _ in 0..copies {
            let held_back = if self.below(100) < late_percent { 60_000 } else { 0 };
            let jitter = self.below(jitter.as_micros() as u64 + 1);
            let due = now + delay + Duration::from_micros(held_back + jitter);
            self.sent += 1;
            self.under_way.insert((due, self.sent), datagram.to_vec());
        }
    }

    pub(crate) fn poll(&mut self, now: Instant) -> Option<Vec<u8>> {
        let entry = self.under_way.first_entry().filter(|entry| entry.key().0 <= now)?;
        Some(entry.remove())
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.under_way.keys().next().map(|key| key.0)
    }
}
