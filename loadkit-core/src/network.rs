//! `[network] -> Profile`: what lies between a player and the server, as data.
//!
//! A [`Profile`] says what becomes of datagrams on their way up (to the server) and down (to the player). It does nothing
//! by itself: the transports make a bad network of it. **Whoever holds a `Profile` need not check it again.**
//!
//! Its model is that of Linux netem (tc-netem(8)), with three differences. Jitter is correlated in time and not from
//! datagram to datagram, so it does not depend on how much is sent, and the distribution stays exactly the one asked for
//! (netem's correlation is an approximation that changes it). A datagram overtakes another only where [`Reorder`] says
//! so. And a line has a queue with a bound, in time or in bytes, beyond which it drops what comes last.

mod error;
mod jitter;
mod loss;
mod mixture;
mod profiles;

use std::sync::Arc;
use std::time::Duration;

pub use error::NetworkError;
pub use jitter::{Jitter, Spread};
pub use loss::Bursts;
pub use mixture::Networks;
pub(crate) use mixture::find;

/// What the headers of a datagram add to its payload on the line, in bytes: IPv4 (RFC 791) and UDP (RFC 768).
pub const HEADERS: usize = 28;

/// The longest latency, mean jitter, hold-back or queue.
const MAX_DELAY: Duration = Duration::from_secs(10);
/// The slowest and the fastest line, in bits a second.
const BITS_PER_SECOND: std::ops::RangeInclusive<u64> = 1_000..=1_000_000_000_000;
/// The longest time between two outages or addresses.
const MAX_EVERY: Duration = Duration::from_secs(86_400);
/// The shortest.
const MIN_EVERY: Duration = Duration::from_millis(100);
/// The longest name.
const MAX_NAME: usize = 60;

/// What lies between a player and the server. Cheap to clone.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile(Arc<Inner>);

#[derive(Debug, PartialEq)]
struct Inner {
    name: Arc<str>,
    up: Direction,
    down: Direction,
    outages: Option<Outages>,
    new_address: Option<Duration>,
}

/// One way: up to the server, or down to the player.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Direction {
    /// What every datagram takes at least, one way; 10 s at most.
    pub latency: Duration,
    /// What it takes beyond that, by chance.
    pub jitter: Option<Jitter>,
    /// The share of datagrams that are lost, each for itself: 0 to 1.
    pub loss: f64,
    /// Losses that come in bursts, beside those.
    pub bursts: Option<Bursts>,
    /// The share of datagrams that arrive twice: 0 to 1.
    pub duplicate: f64,
    /// Datagrams that are held back, so that later ones overtake them.
    pub reorder: Option<Reorder>,
    /// How much the line carries; without it any amount at once.
    pub line: Option<Line>,
    /// The largest packet.
    pub mtu: Option<Mtu>,
}

/// Datagrams that are held back, so that later ones overtake them. All others stay in order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reorder {
    /// The share of datagrams, 0 to 1.
    pub share: f64,
    /// For how long they are held back; 10 s at most.
    pub by: Duration,
}

/// What a line carries, and how much of what it cannot carry yet waits before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its rate, [`HEADERS`] included: a thousand to 10¹².
    pub bits_per_second: u64,
    /// What waits at most; a datagram that comes then is dropped (tail drop).
    pub queue: Queue,
}

/// A bound on what waits before a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queue {
    /// A datagram waits so long at most; 10 s at most.
    Time(Duration),
    /// So many bytes wait at most, [`HEADERS`] included.
    Bytes(u64),
}

/// The largest packet of a way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mtu {
    /// Its size with [`HEADERS`], 68 (RFC 791) to 65,535 bytes.
    pub bytes: u16,
    /// Whether larger ones are dropped, as where the bit "don't fragment" is set; otherwise they are only counted.
    pub drops: bool,
}

/// Times without a network, such as tunnels. Datagrams sent meanwhile are lost; streams stall.
///
/// They come at even distances from the start of the run, both ways at once, and for each seat at another moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outages {
    /// From one to the next.
    pub every: Duration,
    /// How long each lasts; shorter than `every`.
    pub lasts: Duration,
}

impl Profile {
    /// A profile whose ways up and down differ.
    ///
    /// # Errors
    /// The first figure that is out of its bounds, or a name that is empty or longer than 60 characters.
    pub fn new(name: impl Into<Arc<str>>, up: Direction, down: Direction) -> Result<Profile, NetworkError> {
        let name = name.into();
        if name.is_empty() || name.chars().count() > MAX_NAME || name.contains(['{', '}', ',', '=']) {
            return Err(NetworkError::Name { name: name.to_string() });
        }
        up.check()?;
        down.check()?;
        Ok(Profile(Arc::new(Inner { name, up, down, outages: None, new_address: None })))
    }

    /// The profile with times without a network.
    ///
    /// # Errors
    /// If they are not 100 ms to a day apart, or not shorter than that.
    pub fn with_outages(self, outages: Outages) -> Result<Profile, NetworkError> {
        every("outages.every", outages.every)?;
        if outages.lasts.is_zero() || outages.lasts >= outages.every {
            return Err(NetworkError::Time { what: "outages.lasts", time: outages.lasts });
        }
        let Inner { name, up, down, new_address, .. } = self.parts();
        Ok(Profile(Arc::new(Inner { name, up, down, outages: Some(outages), new_address })))
    }

    /// The profile with a new address of the player every so often, as after a change of cell or an expired NAT binding.
    ///
    /// # Errors
    /// If that is not 100 ms to a day.
    pub fn with_new_address(self, time: Duration) -> Result<Profile, NetworkError> {
        every("new-address", time)?;
        let Inner { name, up, down, outages, .. } = self.parts();
        Ok(Profile(Arc::new(Inner { name, up, down, outages, new_address: Some(time) })))
    }

    fn parts(&self) -> Inner {
        let Inner { name, up, down, outages, new_address } = &*self.0;
        Inner { name: name.clone(), up: *up, down: *down, outages: *outages, new_address: *new_address }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The way to the server.
    pub fn up(&self) -> &Direction {
        &self.0.up
    }

    /// The way to the player.
    pub fn down(&self) -> &Direction {
        &self.0.down
    }

    /// Times without a network.
    pub fn outages(&self) -> Option<Outages> {
        self.0.outages
    }

    /// How often the player's address changes.
    pub fn new_address(&self) -> Option<Duration> {
        self.0.new_address
    }

    /// Whether it changes nothing at all.
    pub fn is_perfect(&self) -> bool {
        let perfect = Direction::default();
        self.0.up == perfect && self.0.down == perfect && self.0.outages.is_none() && self.0.new_address.is_none()
    }

    /// The mean of what it adds to a round trip, without queues and outages.
    pub fn mean_round_trip(&self) -> Duration {
        self.up().mean_delay() + self.down().mean_delay()
    }
}

impl Direction {
    /// The mean time of a datagram that arrives, without its time in a queue.
    pub fn mean_delay(&self) -> Duration {
        let jitter = self.jitter.map_or(Duration::ZERO, |jitter| jitter.spread.mean());
        let held = self.reorder.map_or(Duration::ZERO, |reorder| reorder.by.mul_f64(reorder.share.clamp(0.0, 1.0)));
        self.latency + jitter + held
    }

    /// The share of datagrams that it loses in the long run, without those dropped by a queue, an MTU or an outage.
    pub fn loss_rate(&self) -> f64 {
        1.0 - (1.0 - self.loss) * (1.0 - self.bursts.map_or(0.0, |bursts| bursts.loss_rate()))
    }

    fn check(&self) -> Result<(), NetworkError> {
        delay("latency", self.latency)?;
        share("loss", self.loss)?;
        share("duplicate", self.duplicate)?;
        if let Some(jitter) = self.jitter {
            jitter.check()?;
        }
        if let Some(bursts) = self.bursts {
            bursts.check()?;
        }
        if let Some(reorder) = self.reorder {
            share("reorder", reorder.share)?;
            delay("reorder-by", reorder.by)?;
        }
        if let Some(line) = self.line {
            if !BITS_PER_SECOND.contains(&line.bits_per_second) {
                return Err(NetworkError::Rate { bits_per_second: line.bits_per_second });
            }
            if let Queue::Time(time) = line.queue {
                delay("queue", time)?;
            }
        }
        match self.mtu {
            Some(mtu) if mtu.bytes < 68 => Err(NetworkError::Mtu { bytes: mtu.bytes }),
            _ => Ok(()),
        }
    }
}

impl Line {
    /// How long it takes to put a datagram with a payload of so many bytes on the line.
    pub fn time_for(&self, payload: usize) -> Duration {
        self.time_of((payload + HEADERS) as u64)
    }

    /// How long a datagram may wait before it.
    pub fn longest_wait(&self) -> Duration {
        match self.queue {
            Queue::Time(time) => time,
            Queue::Bytes(bytes) => self.time_of(bytes),
        }
    }

    fn time_of(&self, bytes: u64) -> Duration {
        let nanos = u128::from(bytes) * 8_000_000_000 / u128::from(self.bits_per_second.max(1));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

impl Outages {
    /// The share of the time without a network.
    pub fn share(&self) -> f64 {
        self.lasts.as_secs_f64() / self.every.as_secs_f64().max(f64::MIN_POSITIVE)
    }
}

fn share(what: &'static str, share: f64) -> Result<(), NetworkError> {
    if (0.0..=1.0).contains(&share) { Ok(()) } else { Err(NetworkError::Share { what, share }) }
}

fn delay(what: &'static str, time: Duration) -> Result<(), NetworkError> {
    if time <= MAX_DELAY { Ok(()) } else { Err(NetworkError::Time { what, time }) }
}

fn every(what: &'static str, time: Duration) -> Result<(), NetworkError> {
    if (MIN_EVERY..=MAX_EVERY).contains(&time) { Ok(()) } else { Err(NetworkError::Time { what, time }) }
}

#[cfg(test)]
mod tests;
