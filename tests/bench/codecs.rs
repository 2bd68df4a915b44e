//! How fast messages become bytes and bytes messages: packed in bits, and in Protobuf.

use std::hint::black_box;
use std::time::Instant;

use loadkit::transport::bits::{Bits, LsbFirst, MsbFirst, Packed};
use loadkit::transport::{Codec, Proto};
use loadkit_tests::bench::Figure;
use prost::Message;
use serde_json::json;

/// What a server of a small shooter sends every tick.
#[derive(Clone, Debug, PartialEq, Packed)]
struct Snapshot {
    tick: u32,
    #[bits(list(64))]
    players: Vec<Player>,
}

#[derive(Clone, Debug, PartialEq, Packed)]
struct Player {
    #[bits(0..=4_095)]
    id: u16,
    #[bits(each(quantised(-512.0..=512.0, 0.01)))]
    place: [f32; 3],
    #[bits(quaternion(10))]
    facing: [f32; 4],
    #[bits(0..=100)]
    health: u8,
    shoots: bool,
    #[bits(option(0..=4_095))]
    target: Option<u16>,
}

/// The same in Protobuf, laid out as a team would for size: places in hundredths, rotations in thousandths.
#[derive(Clone, PartialEq, Message)]
struct ProtoSnapshot {
    #[prost(uint32, tag = "1")]
    tick: u32,
    #[prost(message, repeated, tag = "2")]
    players: Vec<ProtoPlayer>,
}

#[derive(Clone, PartialEq, Message)]
struct ProtoPlayer {
    #[prost(uint32, tag = "1")]
    id: u32,
    #[prost(sint32, repeated, tag = "2")]
    place: Vec<i32>,
    #[prost(sint32, repeated, tag = "3")]
    facing: Vec<i32>,
    #[prost(uint32, tag = "4")]
    health: u32,
    #[prost(bool, tag = "5")]
    shoots: bool,
    #[prost(uint32, optional, tag = "6")]
    target: Option<u32>,
}

/// Encoding and decoding of a snapshot of 20 players, in both.
pub(crate) fn bits() -> Vec<Figure> {
    let snapshot = snapshot();
    let lsb = measure(Bits::<Snapshot, Snapshot, LsbFirst>::new(), &snapshot);
    let msb = measure(Bits::<Snapshot, Snapshot, MsbFirst>::new(), &snapshot);
    let proto = measure(Proto::<ProtoSnapshot, ProtoSnapshot>::new(), &in_protobuf(&snapshot));
    let figure = |name, rate: f64, rates: &Rates, what: &str, msb: Option<f64>| {
        let megabytes = (rate * rates.bytes as f64 / 1e4).round() / 100.0;
        let mut notes = json!({ "what": what, "bytes": rates.bytes, "mb_per_second": megabytes });
        if let Some(msb) = msb {
            notes["msb_first_per_second"] = json!(msb.round());
        }
        Figure::new(name, rate.round()).with(notes)
    };
    let encoded = "snapshots of 20 players encoded a second, on one core";
    let decoded = "snapshots of 20 players decoded a second, on one core";
    vec![
        figure("bits_encoded_per_second", lsb.encode, &lsb, encoded, Some(msb.encode)),
        figure("bits_decoded_per_second", lsb.decode, &lsb, decoded, Some(msb.decode)),
        figure("protobuf_encoded_per_second", proto.encode, &proto, encoded, None),
        figure("protobuf_decoded_per_second", proto.decode, &proto, decoded, None),
    ]
}

struct Rates {
    encode: f64,
    decode: f64,
    bytes: usize,
}

/// Messages a second, the best of five rounds.
fn measure<M, C: Codec<Out = M, In = M>>(mut codec: C, message: &M) -> Rates {
    const MESSAGES: u32 = 20_000;
    let mut bytes = Vec::new();
    let (mut encode, mut decode) = (0.0_f64, 0.0_f64);
    for _ in 0..5 {
        let mut encoded = 0;
        let start = Instant::now();
        for _ in 0..MESSAGES {
            bytes.clear();
            encoded += u32::from(codec.encode(black_box(message), &mut bytes).is_ok());
            black_box(&bytes);
        }
        encode = encode.max(f64::from(encoded) / start.elapsed().as_secs_f64());
        let start = Instant::now();
        let decoded = (0..MESSAGES).filter(|_| black_box(codec.decode(black_box(&bytes))).is_ok()).count();
        decode = decode.max(decoded as f64 / start.elapsed().as_secs_f64());
    }
    Rates { encode, decode, bytes: bytes.len() }
}

fn snapshot() -> Snapshot {
    let player = |id: u16| {
        let turn = f32::from(id);
        Player {
            id,
            place: [turn * 20.0 - 200.0, 1.5 * turn, 300.0 - turn * 30.0],
            facing: [0.0, (turn / 10.0).sin(), 0.0, (turn / 10.0).cos()],
            health: 100 - id as u8,
            shoots: id.is_multiple_of(3),
            target: id.is_multiple_of(3).then_some(id + 1),
        }
    };
    Snapshot { tick: 123_456, players: (0..20).map(player).collect() }
}

fn in_protobuf(snapshot: &Snapshot) -> ProtoSnapshot {
    let player = |player: &Player| ProtoPlayer {
        id: player.id.into(),
        place: player.place.iter().map(|x| (x * 100.0).round() as i32).collect(),
        facing: player.facing.iter().map(|x| (x * 1_000.0).round() as i32).collect(),
        health: player.health.into(),
        shoots: player.shoots,
        target: player.target.map(u32::from),
    };
    ProtoSnapshot { tick: snapshot.tick, players: snapshot.players.iter().map(player).collect() }
}
