//! What a round trip costs: 5,000 UDP echo bots at 2 Hz, against a hand-written tokio loop in the same run.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use loadkit::core::flight::EVENTS;
use loadkit::core::{Failure, Kind, Overrides, Stage, names};
use loadkit::transport::{Datagram, Raw};
use loadkit::{Bot, Cx, Hz, Result, Scenario, Seat};
use loadkit_tests::bench::{EchoServer, Figure, Over, Used, plan, play};
use serde_json::json;

const BOTS: u64 = 5_000;
const RATE: f64 = 2.0;
const RAMP: Duration = Duration::from_secs(2);
const HOLD: Duration = Duration::from_secs(10);
pub(crate) const PAYLOAD: [u8; 64] = [7; 64];

/// The same by hand: a task and a socket per bot on one thread, with tokio's own timers.
pub(crate) fn by_hand(server: SocketAddr) -> (Used, u64) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build_local(Default::default());
    let Ok(runtime) = runtime else { return (Used::default(), 0) };
    let trips = Rc::new(Cell::new(0));
    let before = Used::now();
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
    (Used::each(before, trips.get()), trips.get())
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
    let server = EchoServer::start(Over::Udp);
    let (hand, hand_trips) = by_hand(server.addr());
    let before = Used::now();
    let collector = play(Echo, plan([Stage::ramp(BOTS, RAMP), Stage::hold(HOLD)]), server.target());
    let totals = collector.totals();
    let (trips, failed) = totals.steps.get("echo").map_or((0, 0), |step| (step.succeeded(), step.failed()));
    let ours = Used::each(before, trips);
    let p99 = |name| totals.trends.get(name).map_or(0, |trend| trend.values.quantile(0.99));
    let response = totals.steps.get("echo").map_or(0, |step| step.response.quantile(0.99));
    let notes = json!({
        "round_trips": trips, "failed": failed, "ours": ours.notes(),
        "by_hand_round_trips": hand_trips, "by_hand": hand.notes(),
    });
    let lag_notes = json!({ "wake_lag_p99_us": p99(names::WAKE_LAG), "response_p99_us": response });
    vec![
        Figure::new("us_cpu_per_round_trip", ours.us()).with(notes),
        Figure::new("us_cpu_per_round_trip_ratio_to_hand_written", ours.us() / hand.us()).at_most(1.5),
        Figure::new("tick_lag_p99_us", p99(names::TICK_LAG) as f64).at_most(300.0).with(lag_notes),
    ]
}

/// What the flight recorder costs: as many bots as have room on a shard, with it and without, in turns.
pub(crate) fn flight() -> Vec<Figure> {
    const RECORDED: u64 = 2_000;
    let server = EchoServer::start(Over::Udp);
    let us = |events: u32| {
        let before = Used::now();
        let plan = plan([Stage::ramp(RECORDED, RAMP), Stage::hold(HOLD / 2)]);
        let plan = plan.with(Overrides { flight: Some(events), ..Overrides::default() }).unwrap_or(plan);
        let collector = play(Echo, plan, server.target());
        Used::each(before, collector.totals().steps.get("echo").map_or(0, |step| step.succeeded())).us()
    };
    let turns: Vec<[f64; 2]> = (0..4).map(|_| [us(0), us(EVENTS)]).collect();
    let best = |on: usize| turns.iter().map(|turn| turn[on]).fold(f64::INFINITY, f64::min);
    let notes = json!({ "off": best(0), "on": best(1), "turns_off_on": turns });
    vec![Figure::new("us_cpu_per_round_trip_of_the_flight_recorder", best(1) - best(0)).at_most(1.0).with(notes)]
}
