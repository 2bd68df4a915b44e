//! One way of a bad network, without I/O.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::time::Duration;

use bytes::Bytes;
use loadkit_core::network::{Direction, HEADERS, Jitter, Outages};
use loadkit_core::{Rng, Seed};
use rand::RngExt;
use rand_distr::{Distribution, StandardNormal};
use tokio::time::Instant;

use crate::pool::Pool;

/// Datagrams under way, at most; what comes then is dropped as by a full queue.
const MAX_DATAGRAMS: usize = 4_096;
/// Bytes under way, at most: what 100 Mbit/s carry in a third of a second.
const MAX_BYTES: usize = 4 << 20;
/// An empty heap with more room than this is not worth keeping.
const KEPT_ROOM: usize = 64;
/// How long a TCP sender waits beyond a round trip until it takes a segment for lost, if nothing follows that segment:
/// Linux's TCP_RTO_MIN. Games send too little for a faster sign.
const RESEND: Duration = Duration::from_millis(200);
/// A segment is resent so often at most, each time after twice the time (RFC 6298, 5.5).
const MAX_RESENDS: u32 = 6;

thread_local! {
    static HEAPS: Pool<Vec<Reverse<UnderWay>>> = const { Pool::new() };
}

/// One way of a bad network, without I/O: datagrams and time in, datagrams with their times of arrival out.
///
/// **After every [`send`](Path::send), [`poll`](Path::poll) at [`deadline`](Path::deadline) until it has nothing more.**
///
/// What becomes of a datagram follows from the seed and from what was sent before it, and when. It holds at most 4,096
/// datagrams and 4 MiB, each in a box of its own, and nothing while nothing is under way. `send` and `poll` take
/// O(log n) of what is under way.
///
/// ```
/// use std::time::Duration;
///
/// use loadkit_core::network::Profile;
/// use loadkit_transport::conditions::Path;
/// use tokio::time::Instant;
///
/// let now = Instant::now();
/// let mut path = Path::new(Profile::lte().up(), 7);
/// path.send(now, b"ping");
/// while let Some(due) = path.deadline() {
///     // Wait until then.
///     if let Some((arrived, datagram)) = path.poll(due) {
///         assert!(arrived - now >= Duration::from_millis(22));
///         assert_eq!(&datagram[..], b"ping");
///     }
/// }
/// assert_eq!(path.counts().sent, 1);
/// ```
#[derive(Debug)]
pub struct Path {
    direction: Direction,
    outages: Option<(Outages, Instant)>,
    is_stream: bool,
    rng: Rng,
    /// Of the bursts.
    is_bad: bool,
    /// Where the jitter has wandered to, and when.
    wandered: Option<(f64, Instant)>,
    /// When the line will have sent what waits before it.
    free_at: Option<Instant>,
    /// When the last of those in order is due.
    last_due: Option<Instant>,
    under_way: BinaryHeap<Reverse<UnderWay>>,
    bytes: usize,
    counts: Counts,
}

/// What a [`Path`] has done so far.
///
/// `sent + duplicated = delivered + lost + dropped_by_queue + dropped_by_mtu + dropped_by_outage` and what is under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Datagrams sent into it.
    pub sent: u64,
    /// Datagrams handed out.
    pub delivered: u64,
    /// Lost by chance, alone or in a burst; over a stream: late, because it had to be resent.
    pub lost: u64,
    /// Arrived, or will arrive, twice.
    pub duplicated: u64,
    /// Held back, so that later ones may overtake.
    pub reordered: u64,
    /// Dropped, because too much waited before the line or was under way.
    pub dropped_by_queue: u64,
    /// Dropped, because larger than the MTU.
    pub dropped_by_mtu: u64,
    /// Sent while there was no network: lost; over a stream: late.
    pub dropped_by_outage: u64,
    /// Larger than the MTU, and let through.
    pub oversized: u64,
}

/// A datagram under way. Of two that are due at one time, the one sent first goes first.
#[derive(Debug)]
struct UnderWay {
    due: Instant,
    number: u64,
    bytes: Bytes,
}

impl Ord for UnderWay {
    fn cmp(&self, other: &UnderWay) -> Ordering {
        (self.due, self.number).cmp(&(other.due, other.number))
    }
}

impl PartialOrd for UnderWay {
    fn partial_cmp(&self, other: &UnderWay) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for UnderWay {
    fn eq(&self, other: &UnderWay) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for UnderWay {}

impl Path {
    /// One way of a profile. The same seed does the same.
    pub fn new(direction: &Direction, seed: u64) -> Path {
        let mut rng = Seed(seed).rng("path", 0, 0);
        // A short connection meets a bad network as often as a long one.
        let is_bad = direction.bursts.is_some_and(|bursts| rng.random::<f64>() < bursts.bad_share());
        Path {
            direction: *direction,
            outages: None,
            is_stream: false,
            rng,
            is_bad,
            wandered: None,
            free_at: None,
            last_due: None,
            under_way: BinaryHeap::new(),
            bytes: 0,
            counts: Counts::default(),
        }
    }

    /// With times without a network, of which one begins at `first` and, counted from there, all others.
    pub fn with_outages(self, outages: Outages, first: Instant) -> Path {
        Path { outages: Some((outages, first)), ..self }
    }

    /// As a stream feels it: nothing is lost, doubled or overtaken. What would be lost is late by a resend instead (a
    /// round trip and 200 ms, doubling), and all that follows waits for it; in an outage everything waits for its end.
    pub fn of_stream(self) -> Path {
        Path { is_stream: true, ..self }
    }

    /// A datagram sets out. What the network makes of it shows in what [`Path::poll`] hands out, and in the counts.
    pub fn send(&mut self, now: Instant, datagram: &[u8]) {
        self.counts.sent += 1;
        let Some(sets_out) = self.passes_outage(now) else {
            self.counts.dropped_by_outage += 1;
            return;
        };
        if !self.passes_mtu(datagram.len()) {
            self.counts.dropped_by_mtu += 1;
            return;
        }
        let Some(on_the_air) = self.passes_line(now, sets_out, datagram.len()) else {
            self.counts.dropped_by_queue += 1;
            return;
        };
        let resends = self.resends();
        if resends > 0 && !self.is_stream {
            self.counts.lost += 1;
            return;
        }
        let due = on_the_air + self.direction.latency + self.jitter(now) + self.resend_time(resends);
        let due = self.in_order(due);
        let bytes = Bytes::copy_from_slice(datagram);
        if !self.is_stream && self.chance(self.direction.duplicate) && self.has_room() {
            self.counts.duplicated += 1;
            self.push(due, bytes.clone());
        }
        self.push(due, bytes);
    }

    /// The next datagram that has arrived at `now`, and when it did.
    pub fn poll(&mut self, now: Instant) -> Option<(Instant, Bytes)> {
        self.deadline().filter(|due| *due <= now)?;
        self.take()
    }

    /// When the next datagram arrives.
    pub fn deadline(&self) -> Option<Instant> {
        self.under_way.peek().map(|Reverse(next)| next.due)
    }

    /// The next datagram, due or not, with the time at which it is due: for who ends and waits for nothing.
    pub fn take(&mut self) -> Option<(Instant, Bytes)> {
        let Reverse(next) = self.under_way.pop()?;
        self.bytes -= next.bytes.len();
        self.counts.delivered += 1;
        if self.under_way.is_empty() {
            let heap = std::mem::take(&mut self.under_way).into_vec();
            if heap.capacity() <= KEPT_ROOM {
                // A thread that ends may have lost them before its bots.
                let _ = HEAPS.try_with(|heaps| heaps.leave(heap));
            }
        }
        Some((next.due, next.bytes))
    }

    /// Datagrams under way.
    pub fn len(&self) -> usize {
        self.under_way.len()
    }

    /// Whether nothing is under way.
    pub fn is_empty(&self) -> bool {
        self.under_way.is_empty()
    }

    /// Bytes under way.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether there is room for one more. Without it, what is sent is dropped: a stream must wait.
    pub fn has_room(&self) -> bool {
        self.under_way.len() < MAX_DATAGRAMS && self.bytes < MAX_BYTES
    }

    /// What it has done so far.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// When a datagram sets out; `None` for never.
    fn passes_outage(&mut self, now: Instant) -> Option<Instant> {
        let Some((outages, first)) = self.outages else { return Some(now) };
        let since = now.saturating_duration_since(first);
        // Both at most a few decades: the cast loses nothing.
        let into = Duration::from_nanos((since.as_nanos() % outages.every.as_nanos().max(1)) as u64);
        if now < first || into >= outages.lasts {
            return Some(now);
        }
        if self.is_stream {
            self.counts.dropped_by_outage += 1;
            return Some(now + (outages.lasts - into));
        }
        None
    }

    fn passes_mtu(&mut self, len: usize) -> bool {
        let too_large = |bytes: u16| len + HEADERS > usize::from(bytes);
        // A stream is cut to fit.
        let Some(mtu) = self.direction.mtu.filter(|mtu| !self.is_stream && too_large(mtu.bytes)) else { return true };
        if !mtu.drops {
            self.counts.oversized += 1;
        }
        !mtu.drops
    }

    /// When the last bit is on the line; `None` if there is no room before it.
    fn passes_line(&mut self, now: Instant, sets_out: Instant, len: usize) -> Option<Instant> {
        if !self.has_room() {
            return None;
        }
        let Some(line) = self.direction.line else { return Some(sets_out) };
        let free_at = self.free_at.map_or(sets_out, |free_at| free_at.max(sets_out));
        if !self.is_stream && free_at.saturating_duration_since(now) > line.longest_wait() {
            return None;
        }
        let sent_at = free_at + line.time_for(len);
        self.free_at = Some(sent_at);
        Some(sent_at)
    }

    /// How often it is lost before it comes through, if somebody sends it again.
    fn resends(&mut self) -> u32 {
        let mut resends = 0;
        while resends < MAX_RESENDS && self.is_lost() {
            resends += 1;
            if !self.is_stream {
                break;
            }
            self.counts.lost += 1;
        }
        resends
    }

    fn is_lost(&mut self) -> bool {
        let mut is_lost = self.chance(self.direction.loss);
        if let Some(bursts) = self.direction.bursts {
            let (changes, loss) = match self.is_bad {
                true => (bursts.recovers, bursts.loss_bad),
                false => (bursts.worsens, bursts.loss_good),
            };
            is_lost |= self.chance(loss);
            self.is_bad ^= self.chance(changes);
        }
        is_lost
    }

    fn resend_time(&self, resends: u32) -> Duration {
        let first = self.direction.mean_delay() * 2 + RESEND;
        // 1, 3, 7, … times the first.
        first * ((1 << resends) - 1)
    }

    fn jitter(&mut self, now: Instant) -> Duration {
        let Some(Jitter { spread, wanders }) = self.direction.jitter else { return Duration::ZERO };
        let draw: f64 = StandardNormal.sample(&mut self.rng);
        let normal = match self.wandered {
            // An Ornstein-Uhlenbeck process, exactly, at whatever times it is looked at.
            Some((before, at)) if !wanders.is_zero() => {
                let time = now.saturating_duration_since(at).as_secs_f64() / wanders.as_secs_f64();
                let keeps = (-time).exp();
                keeps * before + (1.0 - keeps * keeps).sqrt() * draw
            }
            _ => draw,
        };
        self.wandered = Some((normal, now));
        spread.at(normal)
    }

    /// Later than that, if it is held back or must not overtake.
    fn in_order(&mut self, due: Instant) -> Instant {
        if let Some(reorder) = self.direction.reorder
            && !self.is_stream
            && self.chance(reorder.share)
        {
            self.counts.reordered += 1;
            return due + reorder.by;
        }
        let due = self.last_due.map_or(due, |last| due.max(last));
        self.last_due = Some(due);
        due
    }

    fn push(&mut self, due: Instant, bytes: Bytes) {
        if self.under_way.is_empty() {
            self.under_way = BinaryHeap::from(HEAPS.with(Pool::take));
        }
        self.bytes += bytes.len();
        let number = self.counts.sent + self.counts.duplicated;
        self.under_way.push(Reverse(UnderWay { due, number, bytes }));
    }

    fn chance(&mut self, share: f64) -> bool {
        share > 0.0 && self.rng.random::<f64>() < share
    }
}

#[cfg(test)]
mod tests;
