//! `cargo xtask bench [NAME…]`: the figures of memory that we claim, one JSON line each.
//!
//! Apart from those of speed, because it counts every allocation, which takes its time.

use std::alloc::System;
use std::process::ExitCode;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use loadkit::core::{Stage, Target};
use loadkit::transport::{Connection, Datagram, Framed, Http, Protocol, Quic, Raw, Ws};
use loadkit::{Bot, Cx, Result, Scenario, Seat};
use loadkit_tests::Served;
use loadkit_tests::bench::{EchoServer, Figure, plan, play};
use serde_json::json;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

/// Counts every allocation of this process.
#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Bots of a measurement: enough that what a shard has once is nothing beside them.
const BOTS: u64 = 10_000;
/// Bots that connect over streams: handshakes with TLS take their time.
const STREAM_BOTS: u64 = 500;

fn main() -> ExitCode {
    loadkit_tests::bench::main(&[
        ("idle_engine", || idle(How::Engine)),
        ("idle_udp", || idle(How::Udp)),
        ("idle_tls", || idle(How::Stream(Served::Tls))),
        ("idle_ws", || idle(How::Stream(Served::Ws))),
        ("idle_wss", || idle(How::Stream(Served::Wss))),
        ("idle_http", || idle(How::Stream(Served::Http))),
        ("idle_quic", || idle(How::Stream(Served::Quic))),
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
    /// The same over what this is.
    Stream(Served),
}

struct Idle {
    how: How,
}

struct Idler {
    how: How,
}

static MOST: AtomicI64 = AtomicI64::new(0);
/// With the first idle bot: what the shard has once for all its bots is there then.
static FIRST: AtomicI64 = AtomicI64::new(0);
/// Bots that have become idle.
static STAYED: AtomicI64 = AtomicI64::new(0);

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
            How::Udp => talk(cx, cx.connect(Datagram::new(Raw)).await?).await?,
            How::Stream(Served::Tls) => talk(cx, cx.connect(Framed::new(Raw)).await?).await?,
            How::Stream(Served::Ws | Served::Wss) => talk(cx, cx.connect(Ws::new(Raw)).await?).await?,
            How::Stream(Served::Quic) => talk(cx, cx.connect(Quic::new(Raw)).await?).await?,
            How::Stream(Served::Http) => {
                let service = cx.connect(Http::target()).await?;
                service.get("/").send().await?;
                stay(cx).await;
                drop(service);
            }
        }
        Ok(())
    }
}

/// A round trip, and then nothing more.
async fn talk<P: Protocol>(cx: &Cx, connection: Connection<P, Raw>) -> Result {
    connection.send(Bytes::from_static(b"hello"))?;
    connection.recv().await?;
    stay(cx).await;
    drop(connection);
    Ok(())
}

async fn stay(cx: &Cx) {
    let now = heap();
    MOST.fetch_max(now, Ordering::Relaxed);
    STAYED.fetch_add(1, Ordering::Relaxed);
    let _ = FIRST.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
    cx.stopped().await;
}

/// The heap of an idle bot whose own state is empty.
fn idle(how: How) -> Vec<Figure> {
    let server = match how {
        How::Engine | How::Udp => EchoServer::start(),
        How::Stream(served) => EchoServer::speaking(served),
    };
    MOST.store(0, Ordering::Relaxed);
    FIRST.store(0, Ordering::Relaxed);
    STAYED.store(0, Ordering::Relaxed);
    let before = heap();
    let (bots, ramp, target) = match how {
        How::Engine => (BOTS, 1, Target::default()),
        How::Udp => (BOTS, 1, server.target()),
        How::Stream(served) => (STREAM_BOTS, 5, served.target(server.addr()).unverified()),
    };
    let stages = [Stage::ramp(bots, Duration::from_secs(ramp)), Stage::hold(Duration::from_secs(1))];
    play(Idle { how }, plan(stages), target);
    // Of few bots, what the shard has once would be a part of each.
    let (before, others) = match how {
        How::Engine | How::Udp => (before, bots as i64),
        How::Stream(_) => (FIRST.load(Ordering::Relaxed), STAYED.load(Ordering::Relaxed) - 1),
    };
    let each = (MOST.load(Ordering::Relaxed) - before) as f64 / others as f64;
    let what = json!({ "what": "connected, after a round trip; tokio's registration of the socket included" });
    vec![match how {
        How::Engine => Figure::new("heap_bytes_per_idle_bot_engine_only", each),
        How::Udp => Figure::new("heap_bytes_per_idle_bot", each).at_most(1_024.0).with(what),
        How::Stream(Served::Tls) => Figure::new("heap_bytes_per_idle_tls_bot", each).with(what),
        How::Stream(Served::Ws) => Figure::new("heap_bytes_per_idle_ws_bot", each).at_most(4_096.0).with(what),
        How::Stream(Served::Wss) => Figure::new("heap_bytes_per_idle_wss_bot", each).with(what),
        How::Stream(Served::Http) => Figure::new("heap_bytes_per_idle_http_bot", each).with(what),
        How::Stream(Served::Quic) => Figure::new("heap_bytes_per_idle_quic_bot", each).with(what),
    }]
}
