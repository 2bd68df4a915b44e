//! What a round trip costs over each transport: against a loop by hand, and shared sockets against a socket a bot.

use std::cell::Cell;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use loadkit::core::{Failure, Kind, Stage};
use loadkit::transport::enet::Enet;
use loadkit::transport::{Channel, Codec, Datagram, Dial, Framed, Proto, Quic, Raw, Rudp, Speak, Ws};
use loadkit::{Bot, Cx, Hz, Result, Scenario, Seat};
use loadkit_tests::Served;
use loadkit_tests::bench::{EchoServer, Figure, Over, Used, plan, play};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

use crate::round_trip::{PAYLOAD, by_hand};

const RAMP: Duration = Duration::from_secs(2);
const HOLD: Duration = Duration::from_secs(8);

/// So many bots, so many round trips a second each.
type Load = (u64, f64);

/// Datagrams: many, and seldom, so that memory is cold.
const MANY: Load = (5_000, 2.0);
/// Streams: few, so that what a connection costs at its beginning is little beside its round trips.
const FEW: Load = (250, 40.0);

/// How the bots talk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Udp,
    /// Reliable UDP with Protobuf, on the channel of moves and snapshots: newest counts.
    Rudp,
    /// On the reliable, ordered channel.
    RudpOrdered,
    RudpShared,
    Enet,
    Tcp,
    Ws,
    /// Datagrams over QUIC.
    Quic,
}

impl Way {
    fn load(self) -> Load {
        match self {
            Way::Udp | Way::Rudp | Way::RudpOrdered | Way::RudpShared => MANY,
            Way::Enet | Way::Tcp | Way::Ws | Way::Quic => FEW,
        }
    }
}

/// A move, as games have them: 60 bytes.
#[derive(Clone, PartialEq, prost::Message)]
struct Move {
    #[prost(uint32, tag = "1")]
    tick: u32,
    #[prost(sint32, tag = "2")]
    x: i32,
    #[prost(sint32, tag = "3")]
    y: i32,
    #[prost(fixed64, repeated, tag = "4")]
    buttons: Vec<u64>,
}

fn a_move() -> Move {
    Move { tick: 100_000, x: -3_000, y: 1_000, buttons: vec![7; 6] }
}

impl Scenario for Way {
    type Bot = Way;

    fn bot(&self, _: Seat) -> Way {
        *self
    }
}

impl Bot for Way {
    async fn run(&mut self, cx: &Cx) -> Result {
        let bytes = || Bytes::from_static(&PAYLOAD);
        let moves = |channel| Rudp::new(Proto::<Move, Move>::new().on(channel));
        match self {
            Way::Udp => trips(cx, *self, Datagram::new(Raw), None, bytes).await,
            Way::Rudp => trips(cx, *self, moves(Channel::SEQUENCED), None, a_move).await,
            Way::RudpOrdered => trips(cx, *self, moves(Channel::ORDERED), None, a_move).await,
            Way::RudpShared => trips(cx, *self, moves(Channel::SEQUENCED).shared(NonZeroU32::MIN), None, a_move).await,
            Way::Enet => trips(cx, *self, Enet::new(Raw), Some(Channel::SEQUENCED), bytes).await,
            Way::Tcp => trips(cx, *self, Framed::new(Raw), None, bytes).await,
            Way::Ws => trips(cx, *self, Ws::new(Raw), None, bytes).await,
            Way::Quic => trips(cx, *self, Quic::new(Raw), Some(Channel::UNRELIABLE), bytes).await,
        }
    }
}

/// Sends at every tick, and waits for the echo. In a box, so that a bot is not as large as the largest way.
fn trips<'a, S: Speak + 'a, C: Codec + 'static>(
    cx: &'a Cx,
    way: Way,
    dial: Dial<S, C>,
    channel: Option<Channel>,
    message: impl Fn() -> C::Out + 'a,
) -> Pin<Box<dyn Future<Output = Result> + 'a>>
where
    C::In: PartialEq<C::Out>,
{
    Box::pin(async move {
        let server = cx.connect(dial).await?;
        let mut ticks = cx.ticks(Hz(way.load().1));
        while ticks.next().await.is_some() {
            cx.step("echo", async {
                match channel {
                    Some(channel) => server.send_on(channel, message())?,
                    None => server.send(message())?,
                }
                let echo = server.recv().await?;
                match echo == message() {
                    true => Ok::<_, Failure>(()),
                    false => Err(Failure::new(Kind::UNEXPECTED, "not the echo")),
                }
            })
            .await?;
        }
        server.close().await
    })
}

/// What a round trip costs, and how many there were. `at_once`: all bots tick in the same moment, as those do that
/// follow their server's tick.
fn measure(way: Way, over: Over, at_once: bool) -> (Used, serde_json::Value) {
    let server = EchoServer::start(over);
    let before = Used::now();
    let (bots, _) = way.load();
    let stages = match at_once {
        false => vec![Stage::ramp(bots, RAMP), Stage::hold(HOLD)],
        true => vec![Stage::step(bots, RAMP + HOLD)],
    };
    let collector = play(way, plan(stages), server.target());
    let totals = collector.totals();
    let (trips, failed) = totals.steps.get("echo").map_or((0, 0), |step| (step.succeeded(), step.failed()));
    let used = Used::each(before, trips);
    let notes = json!({ "round_trips": trips, "failed": failed, "used": used.notes() });
    (used, notes)
}

/// CPU per round trip over each transport.
pub(crate) fn transports() -> Vec<Figure> {
    let udp_server = EchoServer::start(Over::Udp);
    let (hand, _) = by_hand(udp_server.addr());
    let (udp, udp_notes) = measure(Way::Udp, Over::Udp, false);
    let (rudp, rudp_notes) = measure(Way::Rudp, Over::Rudp, false);
    let (ordered, ordered_notes) = measure(Way::RudpOrdered, Over::Rudp, false);
    let (shared, shared_notes) = measure(Way::RudpShared, Over::Rudp, false);
    let (own_at_once, own_at_once_notes) = measure(Way::Rudp, Over::Rudp, true);
    let (shared_at_once, shared_at_once_notes) = measure(Way::RudpShared, Over::Rudp, true);
    let few_udp = by_hand_over(Over::Udp, |addr| async move {
        let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await?;
        socket.connect(addr).await?;
        Ok(socket)
    })(async |socket: &mut tokio::net::UdpSocket, buf: &mut [u8]| {
        socket.send(&PAYLOAD).await?;
        socket.recv(buf).await.map(|_| ())
    });
    let tcp_hand = by_hand_over(Over::Stream(Served::Tcp), |addr| async move {
        let stream = TcpStream::connect(addr).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    })(async |stream: &mut TcpStream, buf: &mut [u8]| {
        let mut frame = [0; 4 + PAYLOAD.len()];
        frame[..4].copy_from_slice(&(PAYLOAD.len() as u32).to_be_bytes());
        frame[4..].copy_from_slice(&PAYLOAD);
        stream.write_all(&frame).await?;
        stream.read_exact(&mut buf[..frame.len()]).await.map(|_| ())
    });
    let ws_hand = by_hand_over(Over::Stream(Served::Ws), |addr| async move {
        let stream = TcpStream::connect(addr).await?;
        stream.set_nodelay(true)?;
        let socket = tokio_tungstenite::client_async(format!("ws://{addr}/"), stream).await;
        socket.map(|(socket, _)| socket).map_err(std::io::Error::other)
    })(async |socket: &mut tokio_tungstenite::WebSocketStream<TcpStream>, _: &mut [u8]| {
        socket.send(Message::binary(PAYLOAD.to_vec())).await.map_err(std::io::Error::other)?;
        socket.next().await.transpose().map(|_| ()).map_err(std::io::Error::other)
    });
    let (enet, enet_notes) = measure(Way::Enet, Over::Enet, false);
    let (tcp, tcp_notes) = measure(Way::Tcp, Over::Stream(Served::Tcp), false);
    let (ws, ws_notes) = measure(Way::Ws, Over::Stream(Served::Ws), false);
    let (quic, quic_notes) = measure(Way::Quic, Over::Stream(Served::Quic), false);
    let ratio = |name, of: Used, to: Used, notes| Figure::new(name, of.us() / to.us()).with(notes);
    vec![
        Figure::new("us_cpu_per_round_trip_by_hand", hand.us()).with(hand.notes()),
        ratio("udp_ratio_to_hand_written", udp, hand, udp_notes).at_most(1.5),
        ratio("rudp_protobuf_ratio_to_udp", rudp, udp, rudp_notes.clone()).at_most(1.6),
        ratio("rudp_protobuf_ratio_to_hand_written", rudp, hand, rudp_notes),
        ratio("rudp_ordered_ratio_to_udp", ordered, udp, ordered_notes),
        ratio("shared_ratio_to_socket_per_bot", shared, rudp, shared_notes).at_most(0.8),
        ratio("shared_at_once_ratio_to_socket_per_bot", shared_at_once, own_at_once, shared_at_once_notes).at_most(0.5),
        Figure::new("us_cpu_per_round_trip_rudp_at_once", own_at_once.us()).with(own_at_once_notes),
        ratio("tcp_ratio_to_hand_written", tcp, tcp_hand, tcp_notes),
        ratio("ws_ratio_to_hand_written", ws, ws_hand, ws_notes),
        ratio("enet_ratio_to_udp_by_hand", enet, few_udp, enet_notes),
        ratio("quic_ratio_to_udp_by_hand", quic, few_udp, quic_notes),
    ]
}

/// The load of few by hand: a task and a connection per bot on one thread, with tokio's own timers. `connect` makes a
/// connection, and what is given then makes one round trip. What each round trip used.
fn by_hand_over<S, F, T>(over: Over, connect: impl Fn(SocketAddr) -> F + Copy + 'static) -> impl FnOnce(T) -> Used
where
    S: 'static,
    F: Future<Output = std::io::Result<S>>,
    T: AsyncFn(&mut S, &mut [u8]) -> std::io::Result<()> + Copy + 'static,
{
    move |trip| {
        let server = EchoServer::start(over);
        let addr = server.addr();
        let (bots, rate) = FEW;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build_local(Default::default());
        let Ok(runtime) = runtime else { return Used::default() };
        let trips = Rc::new(Cell::new(0));
        let before = Used::now();
        runtime.block_on(async {
            let start = tokio::time::Instant::now();
            let end = start + RAMP + HOLD;
            for bot in 0..bots {
                let trips = trips.clone();
                tokio::task::spawn_local(async move {
                    tokio::time::sleep_until(start + RAMP.mul_f64(bot as f64 / bots as f64)).await;
                    let mut connection = connect(addr).await?;
                    let mut ticks = tokio::time::interval(Duration::from_secs_f64(1.0 / rate));
                    let mut buffer = [0; 256];
                    while tokio::time::Instant::now() < end {
                        ticks.tick().await;
                        trip(&mut connection, &mut buffer).await?;
                        trips.set(trips.get() + 1);
                    }
                    std::io::Result::Ok(())
                });
            }
            tokio::time::sleep_until(end).await;
        });
        Used::each(before, trips.get())
    }
}
