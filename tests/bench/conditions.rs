//! What a layer of network conditions costs a datagram, against the same link without one.

use std::collections::VecDeque;
use std::hint::black_box;
use std::io;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use loadkit::core::Seed;
use loadkit::core::network::{Direction, Profile};
use loadkit::transport::conditions::Conditioned;
use loadkit::transport::{Link, Received};
use loadkit_tests::bench::Figure;
use serde_json::json;
use tokio::time::Instant;

/// There and back, so often.
const ROUNDS: u32 = 500_000;
const PAYLOAD: [u8; 64] = [7; 64];

/// A link whose far end answers each datagram with itself.
#[derive(Default)]
struct Echo(VecDeque<[u8; 64]>);

impl Link for Echo {
    fn poll_recv(&mut self, _: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<Received>> {
        let Some(datagram) = self.0.pop_front() else { return Poll::Pending };
        buf[..64].copy_from_slice(&datagram);
        Poll::Ready(Ok(Received { len: 64, at: Some(Instant::now()) }))
    }

    fn try_send(&mut self, message: &[u8]) -> io::Result<()> {
        let datagram = message.try_into().map_err(|_| io::ErrorKind::InvalidInput)?;
        self.0.push_back(datagram);
        Ok(())
    }
}

/// Nanoseconds for a datagram there and back, the best of five.
fn there_and_back(make: impl Fn() -> Box<dyn Link>) -> f64 {
    let mut context = Context::from_waker(Waker::noop());
    let mut buffer = [0; 2_048];
    let mut best = f64::MAX;
    for _ in 0..5 {
        let mut link = make();
        let start = std::time::Instant::now();
        for _ in 0..ROUNDS {
            let _ = black_box(link.try_send(black_box(&PAYLOAD)));
            while link.poll_recv(&mut context, &mut buffer).is_ready() {}
        }
        best = best.min(start.elapsed().as_nanos() as f64 / f64::from(ROUNDS));
    }
    best
}

/// The layer with nothing to do, and with the losses of `3g-train` but no delay, so that it hands out at once.
pub(crate) fn conditions() -> Vec<Figure> {
    let over = |profile: Profile| {
        move || -> Box<dyn Link> { Box::new(Conditioned::new(Echo::default(), &profile, Seed(1), Instant::now())) }
    };
    let at_once = |way: &Direction| Direction { latency: Duration::ZERO, jitter: None, line: None, ..*way };
    let train = Profile::train_3g();
    let lossy =
        Profile::new("at-once", at_once(train.up()), at_once(train.down())).unwrap_or_else(|_| Profile::perfect());
    let bare = there_and_back(|| Box::new(Echo::default()));
    let perfect = there_and_back(over(Profile::perfect()));
    let lossy = there_and_back(over(lossy));
    let notes = json!({ "bare_ns": bare, "perfect_ns": perfect, "lossy_ns": lossy });
    vec![
        // Beside some 10 µs that a datagram costs in the kernel there and back.
        Figure::new("conditions_ns_per_round_trip", perfect - bare).at_most(1_000.0).with(notes),
        Figure::new("conditions_lossy_ns_per_round_trip", lossy - bare).at_most(1_500.0),
    ]
}
