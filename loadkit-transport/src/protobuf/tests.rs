//! Envelopes, generics and the codec over them, with a small table as `loadkit-build` makes one.

use bytes::Bytes;
use loadkit_core::{Failure, Kind};
use proptest::prelude::*;
use prost::{DecodeError, Message};

use super::*;
use crate::codec::{Calls, Codec, Request};
use crate::protocol::Channel;
use crate::{Excerpt, Way};

#[derive(Clone, PartialEq, Message)]
struct Move {
    #[prost(sint32, tag = "1")]
    dx: i32,
    #[prost(sint32, tag = "2")]
    dy: i32,
}

#[derive(Clone, PartialEq, Message)]
struct Refused {
    #[prost(string, tag = "1")]
    why: String,
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Failure {
        Failure::new(Kind::new("refused-by-the-game"), refused.why)
    }
}

/// What other languages see: the same numbers, and bytes in place of a type parameter.
#[derive(Clone, PartialEq, Message)]
struct Plain {
    #[prost(uint32, tag = "1")]
    opcode: u32,
    #[prost(uint64, tag = "2")]
    seq: u64,
    #[prost(uint64, tag = "3")]
    reply_to: u64,
    #[prost(bytes = "vec", tag = "15")]
    payload: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct PlainPaged {
    #[prost(bytes = "vec", repeated, tag = "1")]
    items: Vec<Vec<u8>>,
    #[prost(uint32, tag = "2")]
    page: u32,
    #[prost(uint64, tag = "3")]
    total: u64,
    #[prost(string, tag = "4")]
    next: String,
}

impl Wire for Move {
    const OPCODE: u32 = 3;
    const NAME: &'static str = "Move";
}

impl Wire for Refused {
    const OPCODE: u32 = 10;
    const NAME: &'static str = "Refused";
}

#[derive(Clone, Debug, PartialEq)]
enum Any {
    Move(Move),
    Refused(Refused),
    Unknown(Bytes),
}

impl From<Move> for Any {
    fn from(message: Move) -> Any {
        Any::Move(message)
    }
}

impl From<Refused> for Any {
    fn from(message: Refused) -> Any {
        Any::Refused(message)
    }
}

impl Opcodes for Any {
    type Out = Any;
    const MESSAGES: &'static [(u32, &'static str)] = &[(3, "Move"), (10, "Refused")];

    fn decode(opcode: u32, body: &[u8]) -> Result<Any, DecodeError> {
        Ok(match opcode {
            3 => Any::Move(Message::decode(body)?),
            10 => Any::Refused(Message::decode(body)?),
            _ => Any::Unknown(Bytes::copy_from_slice(body)),
        })
    }

    fn encoded_len(&self) -> usize {
        match self {
            Any::Move(message) => Message::encoded_len(message),
            Any::Refused(message) => Message::encoded_len(message),
            Any::Unknown(body) => body.len(),
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Any::Move(message) => message.encode_raw(out),
            Any::Refused(message) => message.encode_raw(out),
            Any::Unknown(body) => out.extend_from_slice(body),
        }
    }

    fn channel(&self) -> Channel {
        if matches!(self, Any::Move(_)) { Channel::UNORDERED } else { Channel::ORDERED }
    }

    fn is_unknown(&self) -> bool {
        matches!(self, Any::Unknown(_))
    }

    fn into_error(self) -> Result<Failure, Any> {
        match self {
            Any::Refused(refused) => Ok(refused.into()),
            other => Err(other),
        }
    }
}

impl Request<Enveloped<Any>> for Move {
    type Reply = Move;

    fn into_out(self) -> Envelope<Any> {
        Envelope::new(self)
    }

    fn reply(message: Envelope<Any>) -> Result<Move, Failure> {
        match message.body {
            Any::Move(reply) => Ok(reply),
            _ => Err(message.unexpected("Move")),
        }
    }
}

fn codec() -> Enveloped<Any> {
    Enveloped::new()
}

fn encoded(message: &Envelope<Any>) -> Vec<u8> {
    let mut bytes = Vec::new();
    codec().encode(message, &mut bytes).unwrap();
    bytes
}

/// A field's key with the wire type of bytes, its length, and its bytes.
fn delimited(tag: u8, bytes: &[u8]) -> Vec<u8> {
    [&[tag << 3 | 2, bytes.len() as u8], bytes].concat()
}

#[test]
fn the_envelope_of_the_protocol_document_has_its_bytes() {
    let order = Envelope::<Move> { seq: 7, ..Envelope::new(Move { dx: -1, dy: 300 }) };
    let bytes = [0x08, 0x03, 0x10, 0x07, 0x7a, 0x05, 0x08, 0x01, 0x10, 0xd8, 0x04];
    assert_eq!(order.encode_to_vec(), bytes);
    assert_eq!(Envelope::decode(&bytes[..]), Ok(order.clone()));
    let by_table = codec().decode(&bytes).unwrap();
    assert_eq!(by_table, Envelope { opcode: 3, seq: 7, reply_to: 0, body: Any::Move(order.body) });
    assert_eq!(encoded(&by_table), bytes);
}

#[test]
fn an_empty_body_is_left_out_as_empty_bytes_are() {
    let still = Envelope::<Move>::answering(9, Move::default());
    assert_eq!(still.encode_to_vec(), [0x08, 0x03, 0x18, 0x09]);
    assert_eq!(encoded(&Envelope::answering(9, Move::default())), [0x08, 0x03, 0x18, 0x09]);
    assert_eq!(Envelope::decode(&[0x08, 0x03, 0x18, 0x09][..]), Ok(still.clone()));
    assert_eq!(Envelope::decode(&[0x08, 0x03, 0x18, 0x09, 0x7a, 0x00][..]), Ok(still), "or there and empty");
}

#[test]
fn of_two_bodies_the_last_holds_as_of_two_byte_fields() {
    let bytes = [delimited(15, &[8, 1]), delimited(15, &[16, 2]), vec![8, 3]].concat();
    let last = Move { dx: 0, dy: 1 };
    assert_eq!(Envelope::<Move>::decode(&bytes[..]).unwrap().body, last);
    assert_eq!(codec().decode(&bytes).unwrap().body, Any::Move(last));
    assert_eq!(Plain::decode(&bytes[..]).unwrap().payload, [16, 2]);
}

#[test]
fn unknown_opcodes_keep_their_body_and_are_remarked_on() {
    let bytes = [vec![0x08, 99], delimited(15, b"what is new")].concat();
    let message = codec().decode(&bytes).unwrap();
    assert_eq!(message.body, Any::Unknown(Bytes::from_static(b"what is new")));
    assert_eq!(codec().remark(&message), Some("net.unknown_opcodes"));
    assert_eq!(encoded(&message), bytes);
    let known = codec().decode(&[0x08, 3]).unwrap();
    assert_eq!((codec().remark(&known), known.opcode), (None, 3));
    assert_eq!(codec().decode(&[]).unwrap().body, Any::Unknown(Bytes::new()), "no opcode is one that nobody knows");
}

#[test]
fn requests_are_numbered_and_answers_name_the_number() {
    let mut request = Move { dx: 1, dy: 1 }.into_out();
    codec().stamp(&mut request, 7);
    assert_eq!((request.seq, codec().channel(&request)), (7, Channel::UNORDERED));
    let answer = Envelope::<Any>::answering(request.seq, Refused::default());
    assert_eq!((codec().reply_to(&answer), codec().channel(&answer)), (Some(7), Channel::ORDERED));
    for nobody in [0, u64::from(u32::MAX) + 1, u64::MAX] {
        assert_eq!(codec().reply_to(&Envelope { reply_to: nobody, ..answer.clone() }), None);
    }
}

#[test]
fn an_answer_that_is_none_says_what_it_is() {
    let refused = Move::reply(Envelope::new(Refused { why: "too far".into() })).unwrap_err();
    assert_eq!((refused.kind().name(), refused.message()), ("refused-by-the-game", "too far"));
    let unknown = Move::reply(Envelope { opcode: 99, seq: 0, reply_to: 7, body: Any::Unknown(Bytes::new()) });
    let unknown = unknown.unwrap_err();
    assert_eq!(unknown.kind(), Kind::UNEXPECTED);
    assert_eq!(unknown.message(), "the answer to Move has the opcode 99, which the schema does not know");
    let other = Envelope::<Any>::new(Move::default()).unexpected("Login");
    assert_eq!((other.kind(), other.message()), (Kind::UNEXPECTED, "the answer to Login is Move"));
}

#[test]
fn outcomes_are_results() {
    type Moved = Outcome<Move, Refused>;
    let (ok, error) = (Move { dx: 1, dy: 0 }, Refused { why: "no".into() });
    for result in [Ok(ok.clone()), Err(error.clone())] {
        let outcome = Moved::from(result.clone());
        let bytes = outcome.encode_to_vec();
        let tag = if result.is_ok() { 1 } else { 2 };
        let body = result.as_ref().map_or_else(Message::encode_to_vec, Message::encode_to_vec);
        assert_eq!(bytes, delimited(tag, &body));
        assert_eq!(Moved::decode(&bytes[..]).unwrap().into_result(), Some(result));
    }
    assert_eq!(Moved::from(Ok(ok.clone())).into_reply("Move"), Ok(ok));
    assert_eq!(Moved::from(Err(error)).into_reply("Move").unwrap_err().kind().name(), "refused-by-the-game");
    assert_eq!(Moved::default().into_reply("Move").unwrap_err().kind(), Kind::UNEXPECTED);
    assert_eq!(Moved::from(Ok(Move::default())).encode_to_vec(), [0x0a, 0], "which of the two it is, is said");
}

#[test]
fn both_ways_are_bounded() {
    let mut small = codec().max(10);
    let long = Envelope::<Any>::new(Refused { why: "longer than that".into() });
    assert_eq!(small.encode(&long, &mut Vec::new()).unwrap_err().kind(), Kind::TOO_LARGE);
    assert_eq!(small.decode(&encoded(&long)).unwrap_err().kind(), Kind::TOO_LARGE);
}

#[test]
fn what_is_cut_off_or_of_another_type_is_malformed() {
    let whole = encoded(&Envelope::new(Refused { why: "no".into() }));
    for end in [1, 3, 4, 5, 7] {
        assert_eq!(codec().decode(&whole[..end]).unwrap_err().kind(), Kind::MALFORMED, "{end} bytes");
    }
    for bad in [&[0x0d, 0, 0, 0, 0][..], &[0x78, 1], &[0x7a, 0xff, 0xff, 0xff, 0xff, 0x0f], &[0x08, 10, 0x7a, 1, 0x0a]]
    {
        let failure = codec().decode(bad).unwrap_err();
        assert_eq!(failure.kind(), Kind::MALFORMED, "{bad:?}");
    }
}

proptest! {
    #[test]
    fn typed_and_plain_are_the_same_bytes(
        seq in any::<u64>(), reply_to in any::<u64>(), dx in any::<i32>(), dy in any::<i32>(), items in 0..4_usize,
    ) {
        let body = Move { dx, dy };
        let payload = body.encode_to_vec();
        let typed = Envelope::<Move> { seq, reply_to, ..Envelope::new(body.clone()) };
        let plain = Plain { opcode: 3, seq, reply_to, payload: payload.clone() };
        let bytes = plain.encode_to_vec();
        prop_assert_eq!(&typed.encode_to_vec(), &bytes);
        prop_assert_eq!(typed.encoded_len(), bytes.len());
        prop_assert_eq!(&encoded(&Envelope { opcode: 3, seq, reply_to, body: Any::Move(body.clone()) }), &bytes);
        prop_assert_eq!(&Envelope::<Move>::decode(&bytes[..]).unwrap(), &typed);
        prop_assert_eq!(Plain::decode(&typed.encode_to_vec()[..]).unwrap(), plain);
        // In each other.
        let page = Paged { items: vec![typed; items], page: 1, total: seq, next: "next".into() };
        let plain = PlainPaged { items: vec![bytes; items], page: 1, total: seq, next: "next".into() };
        let bytes = plain.encode_to_vec();
        prop_assert_eq!(&page.encode_to_vec(), &bytes);
        prop_assert_eq!(Paged::<Envelope<Move>>::decode(&bytes[..]).unwrap(), page);
    }

    #[test]
    fn fields_that_nobody_knows_change_nothing(
        tag in 4..15_u8, unknown in prop::collection::vec(any::<u8>(), 0..50), number in any::<u64>(),
    ) {
        let mut varint = vec![tag << 3];
        prost::encoding::encode_varint(number, &mut varint);
        let known = Envelope::<Any> { seq: 5, ..Envelope::new(Move { dx: 1, dy: 2 }) };
        for position in 0..2 {
            let mut parts = [encoded(&known), delimited(tag, &unknown), varint.clone()];
            parts.rotate_left(position);
            prop_assert_eq!(&codec().decode(&parts.concat()).unwrap(), &known);
            let typed = Envelope::<Move>::decode(&parts.concat()[..]).unwrap();
            prop_assert_eq!((typed.seq, typed.body), (5, Move { dx: 1, dy: 2 }));
        }
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let by_table = codec().decode(&bytes);
        let plain = Plain::decode(&bytes[..]);
        // Both read the same envelopes; a body that is not what its opcode says is the table's alone to refuse.
        match by_table {
            Ok(message) => {
                let plain = plain.unwrap();
                prop_assert_eq!((message.opcode, message.seq, message.reply_to), (plain.opcode, plain.seq, plain.reply_to));
                prop_assert_eq!(&codec().decode(&encoded(&message)).unwrap(), &message);
            }
            Err(failure) => {
                prop_assert_eq!(failure.kind(), Kind::MALFORMED);
                prop_assert!(plain.is_err() || Any::decode(plain.as_ref().unwrap().opcode, &plain.unwrap().payload).is_err());
            }
        }
        let _ = Paged::<Outcome<Move, Refused>>::decode(&bytes[..]);
    }

    /// As above, of bytes that are nearly right.
    #[test]
    fn what_is_nearly_an_envelope_is_read_without_panic(at in 0..40_usize, byte in any::<u8>(), end in 0..40_usize) {
        let mut bytes = encoded(&Envelope::new(Refused { why: "not now, perhaps later".into() }));
        let len = bytes.len();
        bytes[at % len] = byte;
        bytes.truncate(end);
        if let Err(failure) = codec().decode(&bytes) {
            prop_assert_eq!(failure.kind(), Kind::MALFORMED);
        }
    }
}

#[test]
fn a_recorded_message_is_described_by_name_and_fields_and_a_cut_one_by_name() {
    let described = |envelope: Envelope<Any>, kept: usize| {
        let mut bytes = Vec::new();
        Enveloped::<Any>::new().encode(&envelope, &mut bytes).unwrap();
        let excerpt = |way| Excerpt { way, bytes: &bytes[..kept.min(bytes.len())], size: bytes.len() };
        [Way::Sent, Way::Received].map(|way| Enveloped::<Any>::describe(&excerpt(way)))
    };
    let both = |text: &str| [Some(text.to_owned()), Some(text.to_owned())];
    let order = Envelope { seq: 7, ..Envelope::<Any>::new(Move { dx: -1, dy: 300 }) };
    assert_eq!(described(order.clone(), 99), both("Move { dx: -1, dy: 300 } opcode 3, seq 7"));
    assert_eq!(described(order, 7), both("Move … opcode 3, seq 7"));
    let long = Envelope::<Any>::answering(2, Refused { why: "no ".repeat(300) });
    assert_eq!(described(long, 256), both("Refused … opcode 10, reply to 2"));
    let strange = Envelope { opcode: 77, seq: 0, reply_to: 0, body: Any::Unknown(Bytes::from_static(b"abc")) };
    assert_eq!(described(strange, 99), both("Unknown(b\"abc\") opcode 77"));
    for junk in [&b"\xff\xff"[..], b"\x08\x03\x7a\xff"] {
        assert_eq!(Enveloped::<Any>::describe(&Excerpt { way: Way::Sent, bytes: junk, size: junk.len() }), None);
    }
}

proptest! {
    #[test]
    fn any_bytes_are_described_or_not_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), more in 0..2_usize) {
        let excerpt = Excerpt { way: Way::Received, bytes: &bytes, size: bytes.len() + more };
        let _ = Enveloped::<Any>::describe(&excerpt);
        let _ = crate::Proto::<Move, Move>::describe(&excerpt);
    }
}
