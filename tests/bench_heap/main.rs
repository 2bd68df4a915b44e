//! `cargo xtask bench [NAME…]`: the figures of memory that we claim, one JSON line each.
//!
//! Apart from those of speed, because it counts every allocation, which takes its time.

use std::alloc::System;
use std::process::ExitCode;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use loadkit::core::{Stage, Target};
use loadkit::transport::{Datagram, Raw};
use loadkit::{Bot, Cx, Result, Scenario, Seat};
use loadkit_tests::bench::{EchoServer, Figure, Over, plan, play};
use serde_json::json;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

/// Counts every allocation of this process.
#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Bots of a measurement: enough that what a shard has once is nothing beside them.
const BOTS: u64 = 10_000;

fn main() -> ExitCode {
    loadkit_tests::bench::main(&[("idle_engine", || idle(How::Engine)), ("idle_udp", || idle(How::Udp))])
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
}

struct Idle {
    how: How,
}

struct Idler {
    how: How,
}

static MOST: AtomicI64 = AtomicI64::new(0);

impl Scenario for Idle {
    type Bot = Idler;

    fn bot(&self, _: Seat) -> Idler {
        Idler { how: self.how }
    }
}

impl Bot for Idler {
    async fn run(&mut self, cx: &Cx) -> Result {
        let mut connection = None;
        if let How::Udp = self.how {
            let server = cx.connect(Datagram::new(Raw)).await?;
            server.send(Bytes::from_static(b"hello"))?;
            server.recv().await?;
            connection = Some(server);
        }
        MOST.fetch_max(heap(), Ordering::Relaxed);
        cx.stopped().await;
        drop(connection);
        Ok(())
    }
}

/// The heap of an idle bot whose own state is empty.
fn idle(how: How) -> Vec<Figure> {
    let server = EchoServer::start(Over::Udp);
    MOST.store(0, Ordering::Relaxed);
    let before = heap();
    let target = match how {
        How::Engine => Target::default(),
        How::Udp => server.target(),
    };
    let stages = [Stage::ramp(BOTS, Duration::from_secs(1)), Stage::hold(Duration::from_secs(1))];
    play(Idle { how }, plan(stages), target);
    let each = (MOST.load(Ordering::Relaxed) - before) as f64 / BOTS as f64;
    match how {
        How::Engine => vec![Figure::new("heap_bytes_per_idle_bot_engine_only", each)],
        How::Udp => {
            let what = "connected over UDP after a round trip; tokio's registration of the socket included";
            vec![Figure::new("heap_bytes_per_idle_bot", each).at_most(1_024.0).with(json!({ "what": what }))]
        }
    }
}
