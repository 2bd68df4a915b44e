//! What a round trip costs: 5,000 UDP echo bots at 2 Hz, against a hand-written tokio loop in the same run.

use std::cell::Cell;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use loadkit::core::{Failure, Kind, Stage, Target, names};
use loadkit::transport::{Datagram, Raw};
use loadkit::{Bot, Cx, Hz, Result, Scenario, Seat};
use nix::sys::resource::{UsageWho, getrusage};
use serde_json::json;

use crate::Figure;
use crate::engine::{heap, plan, play};

const BOTS: u64 = 5_000;
const RATE: f64 = 2.0;
const RAMP: Duration = Duration::from_secs(2);
const HOLD: Duration = Duration::from_secs(10);
const PAYLOAD: [u8; 64] = [7; 64];

/// The echo server, in a process of its own so that its CPU time is not counted as ours.
pub(crate) struct EchoServer {
    child: Child,
    addr: SocketAddr,
}

impl EchoServer {
    pub(crate) fn start() -> std::io::Result<EchoServer> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("echo-server")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        let stdout = child.stdout.take().ok_or_else(|| std::io::Error::other("no output of the echo server"))?;
        BufReader::new(stdout).read_line(&mut line)?;
        let addr = line.trim().parse().map_err(std::io::Error::other)?;
        Ok(EchoServer { child, addr })
    }

    /// The server's own body: it ends when its standard input does, that is with the process that started it.
    pub(crate) fn serve() -> std::io::Result<()> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        println!("{}", socket.local_addr()?);
        std::io::stdout().flush()?;
        std::thread::spawn(|| {
            let _ = std::io::stdin().read_line(&mut String::new());
            std::process::exit(0);
        });
        let mut buffer = [0; 2_048];
        loop {
            if let Ok((len, from)) = socket.recv_from(&mut buffer) {
                let _ = socket.send_to(&buffer[..len], from);
            }
        }
    }
}

impl Drop for EchoServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// CPU time of this process in microseconds.
fn cpu_us() -> f64 {
    getrusage(UsageWho::RUSAGE_SELF).map_or(0.0, |usage| {
        let us = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 * 1e6 + time.tv_usec() as f64;
        us(usage.user_time()) + us(usage.system_time())
    })
}

/// The same by hand: a task and a socket per bot on one thread, with tokio's own timers.
fn by_hand(server: SocketAddr) -> (f64, u64) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build_local(Default::default());
    let Ok(runtime) = runtime else { return (f64::NAN, 1) };
    let trips = Rc::new(Cell::new(0));
    let before = cpu_us();
    runtime.block_on(async {
        let start = tokio::time::Instant::now();
        let end = start + RAMP + HOLD;
        for bot in 0..BOTS {
            let trips = trips.clone();
            tokio::task::spawn_local(async move {
                let join = start + RAMP.mul_f64(bot as f64 / BOTS as f64);
                tokio::time::sleep_until(join).await;
                let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await?;
                socket.connect(server).await?;
                let mut ticks = tokio::time::interval(Duration::from_secs_f64(1.0 / RATE));
                let mut buffer = [0; 256];
                while tokio::time::Instant::now() < end {
                    ticks.tick().await;
                    socket.send(&PAYLOAD).await?;
                    socket.recv(&mut buffer).await?;
                    trips.set(trips.get() + 1);
                }
                std::io::Result::Ok(())
            });
        }
        tokio::time::sleep_until(end).await;
    });
    (cpu_us() - before, trips.get())
}

/// Sends at every tick, and waits for the echo.
struct Echo;

struct Echoer;

impl Scenario for Echo {
    type Bot = Echoer;

    fn bot(&self, _: Seat) -> Echoer {
        Echoer
    }
}

impl Bot for Echoer {
    async fn run(&mut self, cx: &Cx) -> Result {
        let server = cx.connect(Datagram::new(Raw)).await?;
        let mut ticks = cx.ticks(Hz(RATE));
        while ticks.next().await.is_some() {
            cx.step("echo", async {
                server.send(Bytes::from_static(&PAYLOAD))?;
                let echo = server.recv().await?;
                match echo.len() == PAYLOAD.len() {
                    true => Ok::<_, Failure>(()),
                    false => Err(Failure::new(Kind::UNEXPECTED, "not the echo")),
                }
            })
            .await?;
        }
        Ok(())
    }
}

/// CPU per round trip, and the lag of the ticks at that CPU.
pub(crate) fn round_trip() -> Vec<Figure> {
    let Ok(server) = EchoServer::start() else {
        eprintln!("error: the echo server did not start");
        std::process::exit(2);
    };
    let (hand_cpu, hand_trips) = by_hand(server.addr);
    let before = cpu_us();
    let target = Target::new(server.addr.to_string(), vec![server.addr]);
    let collector = play(Echo, plan([Stage::ramp(BOTS, RAMP), Stage::hold(HOLD)]), target);
    let cpu = cpu_us() - before;
    let totals = collector.totals();
    let (trips, failed) = totals.steps.get("echo").map_or((0, 0), |step| (step.succeeded(), step.failed()));
    let (ours, by_hand) = (cpu / trips.max(1) as f64, hand_cpu / hand_trips.max(1) as f64);
    let p99 = |name| totals.trends.get(name).map_or(0, |trend| trend.values.quantile(0.99));
    let response = totals.steps.get("echo").map_or(0, |step| step.response.quantile(0.99));
    let notes =
        json!({ "round_trips": trips, "failed": failed, "by_hand_us": by_hand, "by_hand_round_trips": hand_trips });
    let lag_notes = json!({ "wake_lag_p99_us": p99(names::WAKE_LAG), "response_p99_us": response });
    vec![
        Figure::new("us_cpu_per_round_trip", ours).with(notes),
        Figure::new("us_cpu_per_round_trip_ratio_to_hand_written", ours / by_hand).at_most(1.5),
        Figure::new("tick_lag_p99_us", p99(names::TICK_LAG) as f64).at_most(300.0).with(lag_notes),
    ]
}

/// Connects, plays one round trip, and then waits.
struct Waiting;

struct Waiter;

impl Scenario for Waiting {
    type Bot = Waiter;

    fn bot(&self, _: Seat) -> Waiter {
        Waiter
    }
}

static MOST_HEAP: std::sync::atomic::AtomicI64 = std::sync::atomic::AtomicI64::new(0);

impl Bot for Waiter {
    async fn run(&mut self, cx: &Cx) -> Result {
        let server = cx.connect(Datagram::new(Raw)).await?;
        server.send(Bytes::from_static(&PAYLOAD))?;
        server.recv().await?;
        MOST_HEAP.fetch_max(heap(), std::sync::atomic::Ordering::Relaxed);
        cx.stopped().await;
        Ok(())
    }
}

/// The heap of a connected bot that waits, tokio's registration of its socket included.
pub(crate) fn idle() -> Vec<Figure> {
    const IDLE: u64 = 5_000;
    let Ok(server) = EchoServer::start() else {
        eprintln!("error: the echo server did not start");
        std::process::exit(2);
    };
    let target = Target::new(server.addr.to_string(), vec![server.addr]);
    let before = heap();
    let stages = [Stage::ramp(IDLE, Duration::from_secs(1)), Stage::hold(Duration::from_secs(1))];
    play(Waiting, plan(stages), target);
    let each = (MOST_HEAP.load(std::sync::atomic::Ordering::Relaxed) - before) as f64 / IDLE as f64;
    let notes = json!({ "what": "a UDP connection after a round trip, tokio's registration included; the user's state is empty" });
    vec![Figure::new("heap_bytes_per_idle_bot", each).at_most(1_024.0).with(notes)]
}
