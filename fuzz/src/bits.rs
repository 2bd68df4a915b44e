//! Bits: a message with every form in it, whole and as a difference, in both orders; and the reader's own calls.

use loadkit_transport::bits::{BitReader, BitWriter, Bits, LsbFirst, MsbFirst, Order, Packed};
use loadkit_transport::{Codec, malformed};

use crate::input::Input;

#[derive(Clone, Debug, Packed)]
#[bits(crate = loadkit_transport)]
enum Message {
    Empty,
    Numbers {
        whole: Whole,
        #[bits(-5..=1_000)]
        ranged: i16,
        #[bits(13)]
        fixed: i32,
        #[bits(varint)]
        long: u64,
        #[bits(varint)]
        signed: i8,
        #[bits(relative(5))]
        tick: u16,
        #[bits(relative(3, 10..=99))]
        near: u8,
    },
    #[bits(tag = 9)]
    Floats {
        #[bits(quantised(-0.1..=0.7, 0.003))]
        quantised: f32,
        #[bits(clamped(-1e6..=1e6, 0.01))]
        clamped: f64,
        #[bits(each(quantised(0..=1, 0.1)))]
        each: [f32; 3],
        raw: f64,
    },
    Turn {
        #[bits(quaternion(7))]
        facing: [f32; 4],
    },
    Many {
        #[bits(string(300))]
        text: String,
        #[bits(bytes(2_000))]
        blob: Vec<u8>,
        #[bits(list(20))]
        children: Vec<Message>,
        #[bits(option(list(3, option(0..=4))))]
        options: Option<Vec<Option<u8>>>,
    },
}

#[derive(Clone, Debug, Packed)]
#[bits(crate = loadkit_transport)]
struct Whole(u8, i16, Option<u32>, [bool; 3], i64, ());

pub(crate) fn target(bytes: &[u8]) {
    let Some((first, rest)) = bytes.split_first() else { return };
    match first & 7 {
        0 => message::<LsbFirst>(rest),
        1 => message::<MsbFirst>(rest),
        2 => difference::<LsbFirst>(rest),
        3 => difference::<MsbFirst>(rest),
        4 => calls::<LsbFirst>(rest),
        _ => calls::<MsbFirst>(rest),
    }
}

impl Message {
    /// Whether what is read of it is written in the same bits: rotations with two components that are nearly the
    /// largest are not.
    fn is_exact(&self) -> bool {
        match self {
            Message::Turn { .. } => false,
            Message::Many { children, .. } => children.iter().all(Message::is_exact),
            _ => true,
        }
    }
}

/// What is read is written and read to the same, in no more bits.
fn message<O: Order>(bytes: &[u8]) {
    let mut codec = Bits::<Message, Message, O>::new();
    let Ok(message) = codec.decode(bytes) else { return };
    let mut again = Vec::new();
    assert!(codec.encode(&message, &mut again).is_ok() && again.len() <= bytes.len(), "{message:?}");
    let theirs = codec.decode(&again);
    assert!(theirs.is_ok_and(|theirs| theirs.same(&message) || !message.is_exact()), "{message:?}");
}

/// A message, then a difference from it: what comes of it can be written, as a difference too.
fn difference<O: Order>(bytes: &[u8]) {
    let mut r = BitReader::<O>::new(bytes);
    let Ok(base) = Message::read(&mut r) else { return };
    let mut value = base.clone();
    if value.read_delta(&mut r).is_err() {
        return;
    }
    let mut w = BitWriter::<O>::new();
    assert_eq!(value.write_delta(&base, &mut w), Ok(()));
    assert!(value.same(&base) == (w.len() == 1));
    let again = w.finish();
    let mut theirs = base;
    let mut r = BitReader::<O>::new(&again);
    assert_eq!((theirs.read_delta(&mut r), r.finish()), (Ok(()), Ok(())));
    assert!(theirs.same(&value) || !value.is_exact(), "{theirs:?} {value:?}");
}

/// The calls of a reader, as the input says, on the rest of the input.
fn calls<O: Order>(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let count = usize::from(input.byte());
    let mut calls = Input::new(input.take(count));
    let mut r = BitReader::<O>::new(input.take(usize::MAX));
    while let Some(call) = calls.next() {
        let before = r.remaining();
        let result = match call & 7 {
            0 => r.bits(u32::from(calls.byte())).map(drop),
            1 => r.varint().map(drop),
            2 => r.signed().map(drop),
            3 => r.ranged(0..=u64::from(calls.byte())).map(drop),
            4 => r.bytes(usize::from(calls.byte()) << (call >> 3)).map(drop),
            5 => r.string(usize::from(calls.byte())).map(drop),
            6 => r.raw(&mut vec![0; usize::from(calls.byte())]),
            _ => r.align(),
        };
        assert!(r.remaining() <= before);
        assert_eq!(r.remaining() + r.position(), (bytes.len().saturating_sub(1 + count) * 8) as u64);
        if let Err(error) = result {
            assert!(!malformed("a field", error).to_string().is_empty());
        }
    }
    let _ = r.finish();
}
