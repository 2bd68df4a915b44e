//! `cargo xtask bench [NAME…]`: the figures of memory that we claim, one JSON line each.
//!
//! Apart from those of speed, because it counts every allocation, which takes its time.

use std::alloc::System;
use std::num::NonZeroU32;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use loadkit::core::{Stage, Target, names};
use loadkit::transport::{Datagram, Dial, Raw, Rudp, Speak};
use loadkit::{Bot, Cx, Result, Scenario, Seat};
use loadkit_tests::bench::{EchoServer, Figure, HEARTBEATS, Over, Used, plan, play};
use serde_json::json;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

/// Counts every allocation of this process.
#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Bots of a measurement: enough that what a shard has once is nothing beside them.
const BOTS: u64 = 10_000;
/// Bots of the crowd.
const CROWD: u64 = 100_000;
fn main() -> ExitCode {
    loadkit_tests::bench::main(&[
        ("idle_engine", || idle(How::Engine)),
        ("idle_udp", || idle(How::Udp)),
        ("idle_rudp", || idle(How::Rudp)),
        ("idle_rudp_shared", || idle(How::RudpShared)),
        ("idle_crowd", crowd),
    ])
}

/// Bytes of heap in use.
fn heap() -> i64 {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated as i64 - stats.bytes_deallocated as i64
}

/// What the idle bots have done before they are idle.
#[derive(Clone, Copy)]
enum How {
    /// Nothing: what the engine itself keeps of a bot.
    Engine,
    /// A round trip over a UDP connection, which stays open.
    Udp,
    /// The same over reliable UDP.
    Rudp,
    /// The same, all bots on one socket.
    RudpShared,
    /// The same, with a heartbeat every ten seconds.
    Crowd,
}

struct Idle {
    how: How,
}

struct Idler {
    how: How,
}

static MOST: AtomicI64 = AtomicI64::new(0);
static THERE: AtomicI64 = AtomicI64::new(0);

impl Scenario for Idle {
    type Bot = Idler;

    fn bot(&self, _: Seat) -> Idler {
        Idler { how: self.how }
    }
}

impl Bot for Idler {
    async fn run(&mut self, cx: &Cx) -> Result {
        match self.how {
            How::Engine => stay(cx).await,
            How::Udp => connected(cx, Datagram::new(Raw)).await?,
            How::Rudp => connected(cx, Rudp::new(Raw)).await?,
            How::RudpShared => connected(cx, Rudp::new(Raw).shared(NonZeroU32::MIN)).await?,
            How::Crowd => connected(cx, Rudp::new(Raw).config(HEARTBEATS).shared(NonZeroU32::MIN)).await?,
        }
        Ok(())
    }
}

/// Connects, has one round trip, and stays. In a box, so that a bot is not as large as the largest way.
fn connected<'a, S: Speak + 'a>(cx: &'a Cx, dial: Dial<S, Raw>) -> Pin<Box<dyn Future<Output = Result> + 'a>> {
    Box::pin(async move {
        let server = cx.connect(dial).await?;
        server.send(Bytes::from_static(b"hello"))?;
        server.recv().await?;
        stay(cx).await;
        Ok(())
    })
}

async fn stay(cx: &Cx) {
    MOST.fetch_max(heap(), Ordering::Relaxed);
    THERE.fetch_add(1, Ordering::Relaxed);
    cx.stopped().await;
}

/// The heap of an idle bot whose own state is empty.
fn idle(how: How) -> Vec<Figure> {
    let server = EchoServer::start(match how {
        How::Engine | How::Udp => Over::Udp,
        How::Rudp | How::RudpShared => Over::Rudp,
        How::Crowd => Over::Crowd,
    });
    MOST.store(0, Ordering::Relaxed);
    let before = heap();
    let target = match how {
        How::Engine => Target::default(),
        _ => server.target(),
    };
    let stages = [Stage::ramp(BOTS, Duration::from_secs(1)), Stage::hold(Duration::from_secs(1))];
    play(Idle { how }, plan(stages), target);
    let each = (MOST.load(Ordering::Relaxed) - before) as f64 / BOTS as f64;
    let rudp = |name, what| vec![Figure::new(name, each).at_most(2_048.0).with(json!({ "what": what }))];
    match how {
        How::Rudp => {
            rudp("heap_bytes_per_idle_rudp_bot", "connected over reliable UDP after a round trip, a socket a bot")
        }
        How::RudpShared | How::Crowd => rudp("heap_bytes_per_idle_rudp_bot_shared", "the same, all bots on one socket"),
        How::Engine => vec![Figure::new("heap_bytes_per_idle_bot_engine_only", each)],
        How::Udp => {
            let what = "connected over UDP after a round trip; tokio's registration of the socket included";
            vec![Figure::new("heap_bytes_per_idle_bot", each).at_most(1_024.0).with(json!({ "what": what }))]
        }
    }
}

/// A hundred thousand connected bots in one process, on one socket, each with its heartbeats.
fn crowd() -> Vec<Figure> {
    let server = EchoServer::start(Over::Crowd);
    (MOST.store(0, Ordering::Relaxed), THERE.store(0, Ordering::Relaxed));
    let (before, used) = (heap(), Used::now());
    let stages = [Stage::ramp(CROWD, Duration::from_secs(20)), Stage::hold(Duration::from_secs(30))];
    let collector = play(Idle { how: How::Crowd }, plan(stages), server.target());
    let totals = collector.totals();
    let each = (MOST.load(Ordering::Relaxed) - before) as f64 / CROWD as f64;
    let notes = json!({
        "failed": totals.failed(), "cpu_s": Used::each(used, 1).us() / 1e6, "heap_bytes_each": each,
        "packets_sent": totals.count("net.packets_sent"), "descriptors": totals.gauge(names::DESCRIPTORS).map(|g| g.max),
        "resident_bytes_each": totals.gauge(names::MEMORY).map(|g| g.max / CROWD as f64),
    });
    let there = (THERE.load(Ordering::Relaxed) - totals.failed() as i64) as f64;
    vec![Figure::new("connected_rudp_bots_in_one_process", there).at_least(CROWD as f64).with(notes)]
}
