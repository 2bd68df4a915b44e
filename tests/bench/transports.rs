//! What a round trip costs over each transport: against a loop by hand, and shared sockets against a socket a bot.

use std::num::NonZeroU32;
use std::time::Duration;

use bytes::Bytes;
use loadkit::core::{Failure, Kind, Stage};
use loadkit::transport::{Channel, Codec, Connection, Datagram, Proto, Protocol, Raw, Rudp};
use loadkit::{Bot, Cx, Hz, Result, Scenario, Seat};
use loadkit_tests::bench::{EchoServer, Figure, Over, Used, plan, play};
use serde_json::json;

use crate::round_trip::by_hand;

const BOTS: u64 = 5_000;
const RATE: f64 = 2.0;
const RAMP: Duration = Duration::from_secs(2);
const HOLD: Duration = Duration::from_secs(8);

/// How the bots talk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Udp,
    /// Reliable UDP with Protobuf, on the channel of moves and snapshots: newest counts.
    Rudp,
    /// On the reliable, ordered channel.
    RudpOrdered,
    RudpShared,
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
        let moves = |channel| Rudp::new(Proto::<Move, Move>::new().on(channel));
        match self {
            Way::Udp => trips(cx, cx.connect(Datagram::new(Raw)).await?, || Bytes::from_static(&[7; 64])).await,
            Way::Rudp => trips(cx, cx.connect(moves(Channel::SEQUENCED)).await?, a_move).await,
            Way::RudpOrdered => trips(cx, cx.connect(moves(Channel::ORDERED)).await?, a_move).await,
            Way::RudpShared => {
                trips(cx, cx.connect(moves(Channel::SEQUENCED).shared(NonZeroU32::MIN)).await?, a_move).await
            }
        }
    }
}

/// Sends at every tick, and waits for the echo.
async fn trips<P: Protocol, C: Codec>(cx: &Cx, server: Connection<P, C>, message: impl Fn() -> C::Out) -> Result
where
    C::In: PartialEq<C::Out>,
{
    let mut ticks = cx.ticks(Hz(RATE));
    while ticks.next().await.is_some() {
        cx.step("echo", async {
            server.send(message())?;
            let echo = server.recv().await?;
            match echo == message() {
                true => Ok::<_, Failure>(()),
                false => Err(Failure::new(Kind::UNEXPECTED, "not the echo")),
            }
        })
        .await?;
    }
    server.close().await
}

/// What a round trip costs, and how many there were. `at_once`: all bots tick in the same moment, as those do that
/// follow their server's tick.
fn measure(way: Way, over: Over, at_once: bool) -> (Used, serde_json::Value) {
    let server = EchoServer::start(over);
    let before = Used::now();
    let stages = match at_once {
        false => vec![Stage::ramp(BOTS, RAMP), Stage::hold(HOLD)],
        true => vec![Stage::step(BOTS, RAMP + HOLD)],
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
    ]
}
