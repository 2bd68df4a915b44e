//! `cargo xtask bench [NAME…]`: the figures of memory that we claim, one JSON line each.
//!
//! Apart from those of speed, because it counts every allocation, which takes its time. The dashboard's are all here, those of
//! its speed too: they are made of the same day.

mod dashboard;

use std::alloc::System;
use std::num::NonZeroU32;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use loadkit::core::{Stage, Target, Totals, names};
use loadkit::transport::enet::Enet;
use loadkit::transport::{Datagram, Dial, Framed, Http, Quic, Raw, Rudp, Speak, Ws};
use loadkit::{Bot, Cx, Result, Scenario, Seat};
use loadkit_tests::Served;
use loadkit_tests::bench::{EchoServer, Figure, HEARTBEATS, Over, Used, plan, play};
use serde_json::json;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

/// Counts every allocation of this process.
#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Bots of the crowd.
const CROWD: u64 = 100_000;

fn main() -> ExitCode {
    let idle = |how| move || idle(how);
    loadkit_tests::bench::main(&[
        ("idle_engine", &idle(How::Engine)),
        ("idle_udp", &idle(How::Udp)),
        ("idle_rudp", &idle(How::Rudp)),
        ("idle_rudp_shared", &idle(How::RudpShared)),
        ("idle_enet", &idle(How::Enet)),
        ("idle_tcp", &idle(How::Stream(Served::Tcp))),
        ("idle_tls", &idle(How::Stream(Served::Tls))),
        ("idle_ws", &idle(How::Stream(Served::Ws))),
        ("idle_wss", &idle(How::Stream(Served::Wss))),
        ("idle_http", &idle(How::Stream(Served::Http))),
        ("idle_quic", &idle(How::Stream(Served::Quic))),
        ("idle_crowd", &crowd),
        ("dashboard", &dashboard::dashboard),
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
    /// The same over ENet.
    Enet,
    /// The same over what this is.
    Stream(Served),
}

impl How {
    fn over(self) -> Over {
        match self {
            How::Engine | How::Udp => Over::Udp,
            How::Rudp | How::RudpShared => Over::Rudp,
            How::Crowd => Over::Crowd,
            How::Enet => Over::Enet,
            How::Stream(served) => Over::Stream(served),
        }
    }

    /// How many bots, over how many seconds they come: enough that what a shard has once is nothing beside them. ENet's
    /// servers take 4,095, and of handshakes with TLS a core does a thousand a second.
    fn bots(self) -> (u64, u64) {
        match self {
            How::Crowd => (CROWD, 20),
            How::Enet => (4_000, 2),
            How::Stream(_) => (1_000, 5),
            _ => (10_000, 2),
        }
    }

    /// The name of its figure, and what is promised of it.
    fn figure(self) -> (&'static str, Option<f64>) {
        match self {
            How::Engine => ("heap_bytes_per_idle_bot_engine_only", None),
            How::Udp => ("heap_bytes_per_idle_bot", Some(1_024.0)),
            How::Rudp => ("heap_bytes_per_idle_rudp_bot", Some(2_048.0)),
            How::RudpShared => ("heap_bytes_per_idle_rudp_bot_shared", Some(2_048.0)),
            How::Crowd => ("heap_bytes_per_idle_rudp_bot_in_a_crowd", Some(2_048.0)),
            How::Enet => ("heap_bytes_per_idle_enet_bot", None),
            How::Stream(Served::Tcp) => ("heap_bytes_per_idle_tcp_bot", None),
            How::Stream(Served::Tls) => ("heap_bytes_per_idle_tls_bot", None),
            How::Stream(Served::Ws) => ("heap_bytes_per_idle_ws_bot", Some(4_096.0)),
            How::Stream(Served::Wss) => ("heap_bytes_per_idle_wss_bot", None),
            How::Stream(Served::Http) => ("heap_bytes_per_idle_http_bot", None),
            How::Stream(Served::Quic) => ("heap_bytes_per_idle_quic_bot", None),
        }
    }
}

/// After the last has come, until all are idle.
const SETTLE: Duration = Duration::from_secs(1);

/// The heap when all are idle.
static IDLE: AtomicI64 = AtomicI64::new(0);
/// The heap when the first of them was: what the shard has once for all its bots is there then.
static FIRST: AtomicI64 = AtomicI64::new(0);
/// How many have come.
static THERE: AtomicI64 = AtomicI64::new(0);

impl Scenario for How {
    type Bot = How;

    fn bot(&self, _: Seat) -> How {
        *self
    }
}

impl Bot for How {
    async fn run(&mut self, cx: &Cx) -> Result {
        match self {
            How::Engine => stay(cx, *self).await,
            How::Udp => connected(cx, *self, Datagram::new(Raw)).await?,
            How::Rudp => connected(cx, *self, Rudp::new(Raw)).await?,
            How::RudpShared => connected(cx, *self, Rudp::new(Raw).shared(NonZeroU32::MIN)).await?,
            How::Crowd => {
                connected(cx, *self, Rudp::new(Raw).config(HEARTBEATS).shared(NonZeroU32::MIN)).await?;
            }
            How::Enet => connected(cx, *self, Enet::new(Raw)).await?,
            How::Stream(Served::Tcp | Served::Tls) => connected(cx, *self, Framed::new(Raw)).await?,
            How::Stream(Served::Ws | Served::Wss) => connected(cx, *self, Ws::new(Raw)).await?,
            How::Stream(Served::Quic) => connected(cx, *self, Quic::new(Raw)).await?,
            How::Stream(Served::Http) => asked(cx, *self).await?,
        }
        Ok(())
    }
}

/// Connects, has one round trip, and stays. In a box, so that a bot is not as large as the largest way.
fn connected<'a, S: Speak + 'a>(
    cx: &'a Cx,
    how: How,
    dial: Dial<S, Raw>,
) -> Pin<Box<dyn Future<Output = Result> + 'a>> {
    Box::pin(async move {
        let server = cx.connect(dial).await?;
        server.send(Bytes::from_static(b"hello"))?;
        server.recv().await?;
        stay(cx, how).await;
        drop(server);
        Ok(())
    })
}

/// The same with a request over HTTP.
fn asked(cx: &Cx, how: How) -> Pin<Box<dyn Future<Output = Result> + '_>> {
    Box::pin(async move {
        let service = cx.connect(Http::target()).await?;
        Box::pin(service.get("/").send()).await?;
        stay(cx, how).await;
        drop(service);
        Ok(())
    })
}

/// The last who came takes the measure when all are idle.
async fn stay(cx: &Cx, how: How) {
    let (bots, _) = how.bots();
    let _ = FIRST.compare_exchange(0, heap(), Ordering::Relaxed, Ordering::Relaxed);
    if THERE.fetch_add(1, Ordering::Relaxed) + 1 == bots as i64 {
        Box::pin(cx.sleep(SETTLE)).await;
        IDLE.store(heap(), Ordering::Relaxed);
    }
    cx.stopped().await;
}

/// The heap of an idle bot whose own state is empty.
fn idle(how: How) -> Vec<Figure> {
    let server = EchoServer::start(how.over());
    let (each, there, totals) = play_idle(how, &server, SETTLE * 3);
    let (name, limit) = how.figure();
    let what = "connected, after a round trip; tokio's registration of the socket included";
    let figure = Figure::new(name, each).with(json!({ "what": what, "there": there, "failed": totals.failed() }));
    vec![match limit {
        Some(limit) => figure.at_most(limit),
        None => figure,
    }]
}

/// Plays them: the heap each, how many came, and the run's figures.
fn play_idle(how: How, server: &EchoServer, hold: Duration) -> (f64, i64, Totals) {
    for figure in [&FIRST, &IDLE, &THERE] {
        figure.store(0, Ordering::Relaxed);
    }
    let before = heap();
    let target = if let How::Engine = how { Target::default() } else { server.target() };
    let (bots, ramp) = how.bots();
    let stages = [Stage::ramp(bots, Duration::from_secs(ramp)), Stage::hold(hold)];
    let collector = play(how, plan(stages), target);
    // Of few bots, what the shard has once would be a part of each.
    let before = if let How::Stream(_) = how { FIRST.load(Ordering::Relaxed) } else { before };
    let each = (IDLE.load(Ordering::Relaxed) - before) as f64 / bots as f64;
    (each, THERE.load(Ordering::Relaxed), collector.totals().clone())
}

/// A hundred thousand connected bots in one process, on one socket, each with its heartbeats.
fn crowd() -> Vec<Figure> {
    let server = EchoServer::start(Over::Crowd);
    let used = Used::now();
    let (each, there, totals) = play_idle(How::Crowd, &server, Duration::from_secs(30));
    let most = |name| totals.gauge(name).map(|gauge| gauge.max);
    let notes = json!({
        "failed": totals.failed(), "cpu_s": Used::each(used, 1).us() / 1e6,
        "packets_sent": totals.count("net.packets_sent"), "descriptors": most(names::DESCRIPTORS),
        "resident_bytes_each": most(names::MEMORY).map(|bytes| bytes / CROWD as f64),
    });
    let stayed = there as f64 - totals.failed() as f64;
    let (name, _) = How::Crowd.figure();
    vec![
        Figure::new("connected_rudp_bots_in_one_process", stayed).at_least(CROWD as f64).with(notes),
        Figure::new(name, each).at_most(2_048.0),
    ]
}
