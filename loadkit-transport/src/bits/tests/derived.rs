//! Derived messages.

use loadkit_core::Kind as Failed;

use super::*;
use crate::{Channel, Codec, Excerpt, Way};

const MOST: u16 = 1_023;

#[derive(Clone, Debug, Default, PartialEq, Packed)]
#[bits(crate = crate)]
struct Move {
    #[bits(0..=MOST)]
    x: u16,
    #[bits(quantised(-1..=1, 0.01))]
    dx: f32,
    #[bits(varint)]
    sequence: u32,
    #[bits(5)]
    buttons: u8,
    jumps: bool,
}

#[derive(Clone, Debug, PartialEq, Packed)]
#[bits(crate = crate)]
enum Message {
    Nothing,
    Move(Move, #[bits(relative(4))] u16),
    Say {
        #[bits(string(20))]
        text: String,
        #[bits(option(list(3, 0..=9)))]
        to: Option<Vec<u8>>,
    },
    Map {
        #[bits(list(4))]
        moves: Vec<Move>,
        #[bits(bytes(9))]
        blob: Vec<u8>,
        #[bits(each(3))]
        small: [i8; 2],
        pair: (),
        whole: [Option<i16>; 2],
    },
}

#[derive(Clone, Debug, PartialEq, Packed)]
#[bits(crate = crate, tag = 8)]
enum Opcode<T> {
    #[bits(tag = 0x10)]
    Login(T),
    Logout,
    #[bits(tag = 0x20)]
    Other(#[bits(with(Varint))] u64),
}

fn a_move() -> impl Strategy<Value = Move> {
    (0..=MOST, 0..=200_u8, any::<u32>(), 0..32_u8, any::<bool>()).prop_map(|(x, dx, sequence, buttons, jumps)| Move {
        x,
        dx: (f64::from(dx) / 200.0 * 2.0 - 1.0) as f32,
        sequence,
        buttons,
        jumps,
    })
}

fn message() -> impl Strategy<Value = Message> {
    let small = prop::collection::vec(0..=9_u8, 0..3);
    let moves = prop::collection::vec(a_move(), 0..=4);
    let blob = prop::collection::vec(any::<u8>(), 0..=9);
    prop_oneof![
        Just(Message::Nothing),
        (a_move(), any::<u16>()).prop_map(|(a, b)| Message::Move(a, b)),
        ("[a-z]{0,20}", prop::option::of(small)).prop_map(|(text, to)| Message::Say { text, to }),
        (moves, blob, [-4..4_i8, -4..4_i8], any::<[Option<i16>; 2]>())
            .prop_map(|(moves, blob, small, whole)| Message::Map { moves, blob, small, pair: (), whole }),
    ]
}

fn survives<O: Order>(message: &Message, base: &Message) {
    let mut codec = Bits::<Message, Message, O>::new();
    let mut bytes = Vec::new();
    codec.encode(message, &mut bytes).unwrap();
    assert_eq!(codec.decode(&bytes).as_ref().unwrap(), message);
    let excerpt = Excerpt { way: Way::Sent, bytes: &bytes, size: bytes.len() };
    assert_eq!(Bits::<Message, Message, O>::describe(&excerpt), Some(format!("{message:?}")));

    let mut w = BitWriter::<O>::new();
    message.write_delta(base, &mut w).unwrap();
    assert_eq!(w.len() == 1, message == base);
    let bytes = w.finish();
    let mut theirs = base.clone();
    let mut r = BitReader::<O>::new(&bytes);
    theirs.read_delta(&mut r).unwrap();
    assert_eq!((&theirs, r.finish()), (message, Ok(())));
}

proptest! {
    #[test]
    fn messages_survive(message in message(), base in message()) {
        survives::<LsbFirst>(&message, &base);
        survives::<MsbFirst>(&message, &base);
        survives::<MsbFirst>(&message, &message);
    }

    #[test]
    fn any_bytes_are_a_message_or_a_failure(bytes in prop::collection::vec(any::<u8>(), 0..60), mut base in message()) {
        let mut codec = Bits::<Message, Message>::new();
        match codec.decode(&bytes) {
            Ok(message) => {
                let mut again = Vec::new();
                codec.encode(&message, &mut again).unwrap();
                prop_assert_eq!(codec.decode(&again).unwrap(), message);
            }
            Err(failure) => prop_assert_eq!(failure.kind(), Failed::MALFORMED),
        }
        let _ = base.read_delta(&mut BitReader::<LsbFirst>::new(&bytes));
    }
}

fn bits<T: Packed>(value: &T) -> (u64, Vec<u8>) {
    let mut w = BitWriter::<LsbFirst>::new();
    value.write(&mut w).unwrap();
    (w.len(), w.finish())
}

#[test]
fn fields_follow_each_other() {
    let message = Move { x: 1_023, dx: -1.0, sequence: 5, buttons: 1, jumps: true };
    // 10 bits, 8, 8, 5, 1
    assert_eq!(bits(&message), (32, vec![0xFF, 0b0000_0011, 0b0001_0100, 0b1000_0100]));
    assert_eq!(bits(&Message::Nothing), (2, vec![0]));
    assert_eq!(bits(&Message::Move(message, 9)).0, 2 + 32 + 16);
}

#[test]
fn tags_are_as_they_are_said() {
    assert_eq!(bits(&Opcode::Login(true)), (9, vec![0x10, 1]));
    assert_eq!(bits(&Opcode::<bool>::Logout), (8, vec![0x11]));
    assert_eq!(bits(&Opcode::<bool>::Other(300)), (24, vec![0x20, 0xAC, 2]));
    let read = |bytes: &[u8]| Bits::<Opcode<u8>, Opcode<u8>>::new().decode(bytes);
    assert_eq!(read(&[0x10, 7]).unwrap(), Opcode::Login(7));
    let unknown = read(&[0x12]).unwrap_err().to_string();
    assert_eq!(unknown, "Opcode (at bit 8) cannot be read: there is no variant of this tag");
}

#[test]
fn a_failure_names_the_innermost_field() {
    let mut codec = Bits::<Message, Message>::new();
    let message = Message::Map {
        moves: vec![Move { dx: f32::NAN, ..Move::default() }],
        blob: vec![],
        small: [0; 2],
        pair: (),
        whole: [None; 2],
    };
    let mut out = vec![1, 2];
    let failure = codec.encode(&message, &mut out).unwrap_err();
    assert_eq!(failure.kind(), Failed::MALFORMED);
    assert_eq!(failure.to_string(), "Move.dx (at bit 15) cannot be written: the value is outside of its range");
    assert_eq!(out, [1, 2], "nothing of it is left behind");

    let long = Message::Say { text: "x".repeat(21), to: None };
    assert_eq!(codec.encode(&long, &mut out).unwrap_err().kind(), Failed::TOO_LARGE);
    let cut = codec.decode(&[0b11]).unwrap_err().to_string();
    assert_eq!(cut, "Message::Map.blob (at bit 5) cannot be read: the bits end within it");
}

#[test]
fn both_ways_are_bounded() {
    let mut codec = Bits::<Message, Message>::new().max(3).on(Channel::UNRELIABLE);
    let message = Message::Say { text: "long".to_owned(), to: None };
    let (_, bytes) = bits(&message);
    assert_eq!(codec.channel(&message), Channel::UNRELIABLE);
    assert_eq!(codec.encode(&message, &mut Vec::new()).unwrap_err().kind(), Failed::TOO_LARGE);
    assert_eq!(codec.decode(&bytes).unwrap_err().kind(), Failed::TOO_LARGE);
    assert_eq!(
        codec.decode(&[0, 0]).unwrap_err().to_string(),
        "Message cannot be read: more follows where the message ends"
    );
}

#[test]
fn a_delta_costs_what_changed() {
    let base = Move { x: 5, dx: 0.5, sequence: 9, buttons: 3, jumps: false };
    let cost = |value: &Move| {
        let mut w = BitWriter::<LsbFirst>::new();
        value.write_delta(&base, &mut w).unwrap();
        w.len()
    };
    assert_eq!(cost(&base), 1);
    assert_eq!(cost(&Move { x: 6, ..base.clone() }), 1 + 5 + 10);
    assert_eq!(cost(&Move { dx: 0.5001, ..base.clone() }), 1, "it rounds to the same bits");
}

#[test]
fn lists_of_lists_end_somewhere() {
    #[derive(Debug, Packed)]
    #[bits(crate = crate)]
    struct Tree {
        #[bits(list(1))]
        children: Vec<Tree>,
    }

    let mut codec = Bits::<Tree, Tree>::new();
    let deepest = |depth| (0..depth).fold(Tree { children: vec![] }, |tree, _| Tree { children: vec![tree] });
    let mut bytes = Vec::new();
    codec.encode(&deepest(31), &mut bytes).unwrap();
    assert_eq!(bytes, [0xFF, 0xFF, 0xFF, 0x7F]);
    codec.decode(&bytes).unwrap();
    for refused in [codec.encode(&deepest(32), &mut bytes).unwrap_err(), codec.decode(&[0xFF; 60_000]).unwrap_err()] {
        assert!(refused.to_string().ends_with("it is nested too deeply"), "{refused}");
    }
}
