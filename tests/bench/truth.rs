//! Whether the report says what was: percentiles of response times against those that the server itself computes, from the
//! intended time of each request to the moment at which it answers, at 10 %, 50 % and 90 % of what the generator can do.

use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use loadkit::core::{Failure, Kind, Stage, Target, names};
use loadkit::transport::{Datagram, Raw};
use loadkit::{Bot, Cx, Hz, Result, Scenario, Seat};
use loadkit_tests::bench::{EchoServer, Figure, Over, Used, plan, play};
use serde_json::json;
use tokio::time::Instant;

/// How often a player asks.
const RATE: f64 = 20.0;
const RAMP: Duration = Duration::from_secs(2);
const HOLD: Duration = Duration::from_secs(22);
/// What percentiles of the report may be off by.
const LIMIT: f64 = 0.01;
const QUANTILES: [(f64, &str); 6] =
    [(0.5, "p50"), (0.75, "p75"), (0.9, "p90"), (0.95, "p95"), (0.99, "p99"), (0.999, "p99.9")];

/// Server and players share a process, and so a clock.
fn began() -> Instant {
    static BEGAN: OnceLock<Instant> = OnceLock::new();
    *BEGAN.get_or_init(Instant::now)
}

/// How long a server takes for its nth request; `chance` is from 0 to 1.
type Delay = fn(n: u64, chance: f64) -> Duration;

/// A server's manners.
const MANNERS: [(&str, Delay, bool); 4] = [
    ("constant", |_, _| Duration::from_millis(20), false),
    ("bimodal", |n, _| Duration::from_millis(if n % 20 == 7 { 120 } else { 10 }), false),
    // Pareto with the exponent 1.5, from 5 ms on, cut off at 2 s.
    ("heavy_tail", |_, chance| Duration::from_secs_f64((0.005 * (1.0 - chance).powf(-1.0 / 1.5)).min(2.0)), false),
    ("stalls", |_, _| Duration::from_millis(10), true),
];

/// A server on a thread of its own, and what it knows to be true.
struct Server {
    addr: SocketAddr,
    thread: std::thread::JoinHandle<std::io::Result<Vec<u64>>>,
}

static STOP: AtomicBool = AtomicBool::new(false);

impl Server {
    fn start(delay: Delay, stalls: bool) -> std::io::Result<Server> {
        STOP.store(false, Ordering::SeqCst);
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.set_nonblocking(true)?;
        let addr = socket.local_addr()?;
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async { serve(tokio::net::UdpSocket::from_std(socket)?, delay, stalls).await })
        });
        Ok(Server { addr, thread })
    }

    /// The response times of all requests, in µs, sorted.
    fn truth(self) -> Vec<u64> {
        STOP.store(true, Ordering::SeqCst);
        let mut truth = self.thread.join().ok().and_then(|served| served.ok()).unwrap_or_default();
        truth.sort_unstable();
        truth
    }
}

/// A look at whether to stop, at the latest.
const IDLE: Duration = Duration::from_millis(50);

/// The end of the stall that is on, or a time that is over. One begins every ten seconds and takes one.
fn stalled_until(stalls: bool) -> Instant {
    let since = Instant::now().duration_since(began()).as_secs();
    let is_on = stalls && since % 10 == 9;
    began() + Duration::from_secs(since + u64::from(is_on))
}

async fn serve(socket: tokio::net::UdpSocket, delay: Delay, stalls: bool) -> std::io::Result<Vec<u64>> {
    let mut truth = Vec::new();
    let mut waiting: BTreeMap<(Instant, u64), (SocketAddr, [u8; 8])> = BTreeMap::new();
    let (mut heard, mut chance) = (0_u64, 1_u64);
    let mut request = [0; 8];
    while !STOP.load(Ordering::Relaxed) {
        let due = waiting.first_key_value().map(|((at, _), _)| *at);
        let wake = due.map_or_else(|| Instant::now() + IDLE, |due| due.max(stalled_until(stalls)));
        tokio::select! {
            biased;
            readable = socket.readable() => readable?,
            () = tokio::time::sleep_until(wake) => {}
        }
        let now = Instant::now();
        for _ in 0..64 {
            let Ok((_, from)) = socket.try_recv_from(&mut request) else { break };
            // Knuth's MMIX generator: its upper bits are as good as any here.
            chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let delay = delay(heard, (chance >> 11) as f64 / (1_u64 << 53) as f64);
            waiting.insert((now + delay, heard), (from, request));
            heard += 1;
        }
        // In a stall nothing is answered. It is taken from the kernel all the same, which would not keep so much.
        if stalled_until(stalls) > Instant::now() {
            continue;
        }
        while let Some(first) = waiting.first_entry().filter(|first| first.key().0 <= Instant::now()) {
            let (to, request) = first.remove();
            let intended = Duration::from_nanos(u64::from_le_bytes(request));
            let took = Instant::now().duration_since(began()).saturating_sub(intended);
            truth.push(took.as_nanos().div_ceil(1_000) as u64);
            let _ = socket.try_send_to(&request, to);
        }
    }
    Ok(truth)
}

struct Asking;

struct Asker;

impl Scenario for Asking {
    type Bot = Asker;

    fn bot(&self, _: Seat) -> Asker {
        Asker
    }
}

impl Bot for Asker {
    async fn run(&mut self, cx: &Cx) -> Result {
        let server = cx.connect(Datagram::new(Raw)).await?;
        let mut ticks = cx.ticks(Hz(RATE));
        while let Some(tick) = ticks.next().await {
            let request = (tick.intended.duration_since(began()).as_nanos() as u64).to_le_bytes();
            cx.step("ask", async {
                server.send(Bytes::copy_from_slice(&request))?;
                match server.recv().await? {
                    reply if *reply == request => Ok::<_, Failure>(()),
                    _ => Err(Failure::new(Kind::UNEXPECTED, "the answer to another request")),
                }
            })
            .await?;
        }
        Ok(())
    }
}

/// Requests a second that one thread of the generator is able to make.
fn capacity() -> f64 {
    let server = EchoServer::start(Over::Udp);
    let before = Used::now();
    let collector = play(Asking, plan([Stage::ramp(800, RAMP), Stage::hold(Duration::from_secs(6))]), server.target());
    let trips = collector.totals().steps.get("ask").map_or(0, |step| step.succeeded());
    1e6 / Used::each(before, trips).us()
}

/// How far the report is from the truth, for each manner and level.
pub(crate) fn truth() -> Vec<Figure> {
    began();
    let capacity = capacity();
    let mut figures = vec![Figure::new("generator_capacity_per_second", capacity)];
    for share in [0.1, 0.5, 0.9] {
        for (name, delay, stalls) in MANNERS {
            figures.extend(compare(name, delay, stalls, share, (capacity * share / RATE) as u64));
        }
    }
    figures
}

fn compare(name: &str, delay: Delay, stalls: bool, share: f64, bots: u64) -> Option<Figure> {
    let server = Server::start(delay, stalls).ok()?;
    let target = Target::new(server.addr.to_string(), vec![server.addr]);
    let collector = play(Asking, plan([Stage::ramp(bots, RAMP), Stage::hold(HOLD)]), target);
    let truth = server.truth();
    let totals = collector.totals();
    let ask = totals.steps.get("ask")?;
    let mut rows = serde_json::Map::new();
    let mut worst: f64 = 0.0;
    for (quantile, shown) in QUANTILES {
        let rank = ((quantile * truth.len() as f64).ceil() as usize).clamp(1, truth.len().max(1));
        let (is, says) = (*truth.get(rank - 1)?, ask.response.quantile(quantile));
        let off = says as f64 / is as f64 - 1.0;
        worst = worst.max(off.abs());
        rows.insert(shown.to_owned(), json!({ "truth_us": is, "report_us": says, "off": (off * 1e5).round() / 1e5 }));
    }
    let lag = |name| totals.trends.get(name).map_or(0, |trend| trend.values.quantile(0.99));
    let notes = json!({
        "server": name, "load": share, "players": bots, "requests": truth.len(), "in_the_report": ask.succeeded(),
        "failed": ask.failed(), "percentiles": rows,
        "tick_lag_p99_us": lag(names::TICK_LAG), "wake_lag_p99_us": lag(names::WAKE_LAG),
    });
    Some(Figure::new("percentiles_are_off_by", worst).at_most(LIMIT).with(notes))
}
