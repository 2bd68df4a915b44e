//! A link over a bad network.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use loadkit_core::network::Profile;
use loadkit_core::{Cx, Seed, SourcePool, names};
use rand::RngExt;
use tokio::time::Instant;

use super::Path;
use super::report::Reported;
use crate::failures;
use crate::link::{Link, Losses, Received, STREAM_QUEUE};

/// Datagrams taken from the link beneath in one go, at most; then others have their turn.
const READS: usize = 64;
/// Counts go to the recorder so often at most.
const REPORT_EVERY: Duration = Duration::from_millis(250);
/// What leaves later than this after it was due is the kit's lag.
const LATE: Duration = Duration::from_micros(1);

/// A link over a bad network: what is sent is under way for a while before it gets to the link beneath, and what that
/// receives before it is handed out, with the time at which the network would have brought it as its time of arrival.
///
/// **Whoever drives it polls it at its [`deadline`](Link::deadline).**
///
/// Over a stream nothing is lost, doubled or overtaken; see [`Path::of_stream`]. Its MTU and changes of address are left
/// out: a stream is cut to fit, and ends with its address.
///
/// It holds what is under way, within the bounds of two [`Path`]s, and nothing while nothing is. What is under way to the
/// server when it is dropped leaves at once, so that a goodbye is not lost with it.
#[derive(Debug)]
pub struct Conditioned<L: Link> {
    link: L,
    up: Path,
    down: Path,
    new_address: Option<NewAddress>,
    /// Why the link beneath has ended, until all that came before is handed out.
    ended: Option<io::Error>,
    /// The link's goodbye is to be said when all that was sent before is gone.
    is_closing: bool,
    /// Datagrams for which the link beneath had no room when they were due.
    refused: u64,
    report: Option<Box<Report>>,
}

/// A change of address every so often.
#[derive(Debug)]
struct NewAddress {
    every: Duration,
    next: Instant,
    from: Option<(Arc<SourcePool>, u64)>,
    changes: u64,
    failures: u64,
}

/// To whom the counts go.
struct Report {
    cx: Cx,
    at: Instant,
    reported: Reported,
}

impl std::fmt::Debug for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Report").field("at", &self.at).finish_non_exhaustive()
    }
}

impl<L: Link> Conditioned<L> {
    /// A link over a network of this profile, from `now` on. The same seed does the same.
    pub fn new(link: L, profile: &Profile, seed: Seed, now: Instant) -> Conditioned<L> {
        Conditioned::seeded(link, profile, [seed.stream("up", 0, 0), seed.stream("down", 0, 0)], seed, now)
    }

    /// For the bot of `cx`: what happens follows from the run's seed, the seat and which of the bot's connections it is.
    /// Its counts go to the run's figures.
    pub fn of_bot(link: L, profile: &Profile, cx: &Cx) -> Conditioned<L> {
        let (seed, seat, now) = (cx.run().seed(), cx.seat(), Instant::now());
        let number = u64::from(seat.life()) << 32 | u64::from(cx.next_connection());
        let seeds = ["up", "down"].map(|way| seed.stream(way, seat.index(), number));
        // The seat's own and the run's, not the connection's: a new connection does not end an outage.
        let schedule = Seed(seed.stream("outages", seat.index(), 0));
        let began = now.checked_sub(cx.elapsed()).unwrap_or(now);
        let mut conditioned = Conditioned::seeded(link, profile, seeds, schedule, began);
        let report = Report { cx: cx.clone(), at: now + REPORT_EVERY, reported: Reported::default() };
        conditioned.report = Some(Box::new(report));
        conditioned
    }

    fn seeded(link: L, profile: &Profile, seeds: [u64; 2], schedule: Seed, began: Instant) -> Conditioned<L> {
        let is_stream = link.is_stream();
        let share = |label| schedule.rng(label, 0, 0).random::<f64>();
        let path = |direction, seed| {
            let mut path = Path::new(direction, seed);
            if let Some(outages) = profile.outages() {
                path = path.with_outages(outages, began + outages.every.mul_f64(share("outage")));
            }
            if is_stream { path.of_stream() } else { path }
        };
        let [up, down] = seeds;
        let (up, down) = (path(profile.up(), up), path(profile.down(), down));
        let new_address = profile.new_address().filter(|_| !is_stream).map(|every| {
            let next = began + every.mul_f64(share("address"));
            NewAddress { every, next: after(next, every, Instant::now()), from: None, changes: 0, failures: 0 }
        });
        Conditioned { link, up, down, new_address, ended: None, is_closing: false, refused: 0, report: None }
    }

    /// With new addresses from this pool, from that of `seat` on; otherwise only the port is new.
    pub fn sources(mut self, pool: Arc<SourcePool>, seat: u64) -> Conditioned<L> {
        if let Some(new_address) = &mut self.new_address {
            new_address.from = Some((pool, seat));
        }
        self
    }

    /// The way to the server.
    pub fn up(&self) -> &Path {
        &self.up
    }

    /// The way to the player.
    pub fn down(&self) -> &Path {
        &self.down
    }

    /// Does what is due: a new address, and what has come to the end of the way up.
    fn pump(&mut self, now: Instant) {
        if let Some(new_address) = self.new_address.as_mut().filter(|new_address| new_address.next <= now) {
            new_address.next = after(new_address.next, new_address.every, now);
            new_address.changes += 1;
            let from = new_address.from.as_ref().map(|(pool, seat)| pool.addr(seat.wrapping_add(new_address.changes)));
            // Without a new address it goes on from the old one, and says so.
            new_address.failures += u64::from(self.link.rebind(from).is_err());
        }
        let is_stream = self.link.is_stream();
        while !(is_stream && self.link.queued() >= STREAM_QUEUE)
            && let Some((due, message)) = self.up.poll(now)
        {
            if let Some(report) = &self.report {
                let late = now.saturating_duration_since(due);
                if late >= LATE {
                    report.cx.trend(names::SEND_LAG, late);
                }
            }
            self.pass_on(&message);
        }
    }

    fn pass_on(&mut self, message: &[u8]) {
        match self.link.try_send(message) {
            Ok(()) => {}
            Err(error) if failures::is_no_room(&error) => self.refused += 1,
            Err(error) => self.ended = Some(self.ended.take().unwrap_or(error)),
        }
    }

    /// Takes in what the link beneath has received. Whether there may be more.
    fn take_in(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> bool {
        for _ in 0..READS {
            // A stream waits where a datagram would be dropped.
            if self.ended.is_some() || self.link.is_stream() && !self.down.has_room() {
                return false;
            }
            match self.link.poll_recv(cx, buf) {
                Poll::Ready(Ok(received)) => {
                    let at = received.at.unwrap_or_else(Instant::now);
                    self.down.send(at, buf.get(..received.len).unwrap_or_default());
                }
                Poll::Ready(Err(error)) => self.ended = Some(error),
                Poll::Pending => return false,
            }
        }
        true
    }

    fn hand_out(&mut self, now: Instant, buf: &mut [u8]) -> Option<Received> {
        let (at, message) = self.down.poll(now)?;
        let len = message.len().min(buf.len());
        buf[..len].copy_from_slice(&message[..len]);
        Some(Received { len, at: Some(at) })
    }

    fn report(&mut self, now: Instant) {
        if let Some(report) = self.report.as_mut().filter(|report| report.at <= now) {
            report.at = now + REPORT_EVERY;
            let (changes, failed) =
                self.new_address.as_ref().map_or((0, 0), |address| (address.changes, address.failures));
            report.reported.report(&report.cx, [self.up.counts(), self.down.counts()], [changes - failed, failed]);
        }
    }
}

impl<L: Link> Link for Conditioned<L> {
    fn name(&self) -> &'static str {
        self.link.name()
    }

    fn take_losses(&mut self) -> Losses {
        let losses = self.link.take_losses();
        Losses { refused: losses.refused + std::mem::take(&mut self.refused), ..losses }
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<Received>> {
        let now = Instant::now();
        self.pump(now);
        self.report(now);
        if let Some(received) = self.hand_out(now, buf) {
            return Poll::Ready(Ok(received));
        }
        if self.take_in(cx, buf) {
            cx.waker().wake_by_ref();
        }
        if let Some(received) = self.hand_out(now, buf) {
            return Poll::Ready(Ok(received));
        }
        match self.ended.take_if(|_| self.down.is_empty()) {
            Some(error) => Poll::Ready(Err(error)),
            None => Poll::Pending,
        }
    }

    fn try_send(&mut self, message: &[u8]) -> io::Result<()> {
        if self.link.is_stream() && !self.up.has_room() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let now = Instant::now();
        self.up.send(now, message);
        // What takes no time needs no wake-up of its own.
        self.pump(now);
        Ok(())
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.pump(Instant::now());
        if self.is_closing && self.up.is_empty() {
            self.is_closing = false;
            self.link.close();
        }
        self.link.poll_flush(cx)
    }

    fn close(&mut self) {
        self.is_closing = true;
    }

    fn queued(&self) -> usize {
        // An empty datagram counts too, and a goodbye that is to be said.
        let queued = self.link.queued() + self.up.bytes().max(self.up.len()) + usize::from(self.is_closing);
        // A stream that takes no more is full, however small its messages are.
        if self.link.is_stream() && !self.up.has_room() { queued.max(STREAM_QUEUE) } else { queued }
    }

    fn deadline(&self) -> Option<Instant> {
        let new_address = self.new_address.as_ref().map(|new_address| new_address.next);
        let up = self.up.deadline().filter(|_| !self.link.is_stream() || self.link.queued() < STREAM_QUEUE);
        // An end that is to be told is due at once.
        let ended = (self.ended.is_some() && self.down.is_empty()).then(Instant::now);
        [up, ended, self.down.deadline(), new_address, self.link.deadline()].into_iter().flatten().min()
    }

    fn max_message(&self) -> usize {
        self.link.max_message()
    }

    fn is_stream(&self) -> bool {
        self.link.is_stream()
    }
}

impl<L: Link> Drop for Conditioned<L> {
    fn drop(&mut self) {
        while let Some((_, message)) = self.up.take() {
            self.pass_on(&message);
        }
        if self.is_closing {
            self.link.close();
            let _ = self.link.poll_flush(&mut Context::from_waker(Waker::noop()));
        }
        if let Some(report) = &mut self.report {
            let now = Instant::now();
            report.at = now;
            self.report(now);
        }
    }
}

/// The first of the times so far apart that is after `now`.
fn after(first: Instant, every: Duration, now: Instant) -> Instant {
    let since = now.saturating_duration_since(first);
    if now < first {
        return first;
    }
    let into = Duration::from_nanos((since.as_nanos() % every.as_nanos().max(1)) as u64);
    now + (every - into)
}
