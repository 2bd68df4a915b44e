//! Every form in both orders: against a model that writes bit by bit, back again, and from any bytes.

use proptest::prelude::*;

use super::*;

mod codings;
#[cfg(feature = "derive")]
mod derived;

/// What is written.
#[derive(Clone, Debug, PartialEq)]
enum Op {
    Bool(bool),
    Bits(u64, u32),
    Signed(i64),
    Ranged(i64, i64, i64),
    Varint(u64),
    Raw(Vec<u8>),
    Bytes(Vec<u8>, usize),
    Text(String, usize),
    Align,
}

fn op() -> impl Strategy<Value = Op> {
    let bytes = |max| prop::collection::vec(any::<u8>(), 0..max);
    prop_oneof![
        any::<bool>().prop_map(Op::Bool),
        (any::<u64>(), 0..=64_u32).prop_map(|(value, n)| Op::Bits(value & super::order::ones(n), n)),
        prop_oneof![any::<i64>(), -1_000..1_000_i64].prop_map(Op::Signed),
        any::<[i64; 3]>().prop_map(|mut v| {
            v.sort();
            Op::Ranged(v[1], v[0], v[2])
        }),
        (0..50_i64, 0..50_i64, -30..30_i64).prop_map(|(a, b, min)| Op::Ranged(min + a, min, min + a + b)),
        (any::<u64>(), 0..64_u32).prop_map(|(value, shift)| Op::Varint(value >> shift)),
        bytes(20).prop_map(Op::Raw),
        (bytes(20), 0..300_usize).prop_map(|(bytes, more)| Op::Bytes(bytes.clone(), bytes.len() + more)),
        (".{0,12}", 0..300_usize).prop_map(|(text, more)| Op::Text(text.clone(), text.len() + more)),
        Just(Op::Align),
    ]
}

/// A stream one bit at a time, by the words of the documentation.
struct Model {
    lsb: bool,
    bits: Vec<bool>,
}

impl Model {
    fn number(&mut self, value: u64, n: u32) {
        for i in 0..n {
            let place = if self.lsb { i } else { n - 1 - i };
            self.bits.push(value >> place & 1 == 1);
        }
    }

    /// In as many bits as `most` has.
    fn within(&mut self, value: u64, most: u64) {
        let n = (0..=64).find(|n| u128::from(most) < 1 << n).unwrap();
        self.number(value, n);
    }

    fn op(&mut self, op: &Op) {
        match op {
            Op::Bool(bit) => self.bits.push(*bit),
            Op::Bits(value, n) => self.number(*value, *n),
            Op::Signed(value) => {
                let value = i128::from(*value);
                self.varint(if value < 0 { -2 * value - 1 } else { 2 * value } as u64);
            }
            Op::Ranged(value, min, max) => {
                let from_min = |x: i64| (i128::from(x) - i128::from(*min)) as u64;
                self.within(from_min(*value), from_min(*max));
            }
            Op::Varint(value) => self.varint(*value),
            Op::Raw(bytes) => self.raw(bytes),
            Op::Bytes(bytes, max) => {
                self.within(bytes.len() as u64, *max as u64);
                self.raw(bytes);
            }
            Op::Text(text, max) => {
                self.within(text.len() as u64, *max as u64);
                self.raw(text.as_bytes());
            }
            Op::Align => {
                while !self.bits.len().is_multiple_of(8) {
                    self.bits.push(false);
                }
            }
        }
    }

    fn raw(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.number(u64::from(*byte), 8));
    }

    fn varint(&mut self, value: u64) {
        let groups = (1..10).find(|groups| value >> (7 * groups) == 0).unwrap_or(10);
        for group in 0..groups {
            let more = u64::from(group + 1 < groups) << 7;
            self.number(value >> (7 * group) & 0x7F | more, 8);
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let byte = |bits: &[bool]| {
            let value = |(i, bit): (usize, &bool)| u8::from(*bit) << if self.lsb { i } else { 7 - i };
            bits.iter().enumerate().map(value).sum()
        };
        self.bits.chunks(8).map(byte).collect()
    }
}

fn write<O: Order>(op: &Op, w: &mut BitWriter<O>) -> Result<(), BitError> {
    match op {
        Op::Bool(bit) => w.bool(*bit),
        Op::Bits(value, n) => w.bits(*value, *n),
        Op::Signed(value) => w.signed(*value),
        Op::Ranged(value, min, max) => w.ranged(*value, *min..=*max),
        Op::Varint(value) => w.varint(*value),
        Op::Raw(bytes) => w.raw(bytes),
        Op::Bytes(bytes, max) => w.bytes(bytes, *max),
        Op::Text(text, max) => w.string(text, *max),
        Op::Align => {
            w.align();
            Ok(())
        }
    }
}

/// Reads what has the form of `like`.
fn read<O: Order>(like: &Op, r: &mut BitReader<'_, O>) -> Result<Op, BitError> {
    Ok(match like {
        Op::Bool(_) => Op::Bool(r.bool()?),
        Op::Bits(_, n) => Op::Bits(r.bits(*n)?, *n),
        Op::Signed(_) => Op::Signed(r.signed()?),
        Op::Ranged(_, min, max) => Op::Ranged(r.ranged(*min..=*max)?, *min, *max),
        Op::Varint(_) => Op::Varint(r.varint()?),
        Op::Raw(bytes) => {
            let mut bytes = vec![0; bytes.len()];
            r.raw(&mut bytes)?;
            Op::Raw(bytes)
        }
        Op::Bytes(_, max) => Op::Bytes(r.bytes(*max)?, *max),
        Op::Text(_, max) => Op::Text(r.string(*max)?, *max),
        Op::Align => {
            r.align()?;
            Op::Align
        }
    })
}

fn as_the_model<O: Order>(ops: &[Op], lsb: bool) {
    let mut model = Model { lsb, bits: Vec::new() };
    // What stands before is left alone.
    let mut w = BitWriter::<O>::after(vec![1, 2, 3]);
    for op in ops {
        write(op, &mut w).unwrap();
        model.op(op);
        assert_eq!(w.len(), model.bits.len() as u64);
    }
    let bytes = w.finish();
    assert_eq!(bytes[..3], [1, 2, 3]);
    assert_eq!(bytes[3..], model.bytes());

    let mut r = BitReader::<O>::new(&bytes[3..]);
    for op in ops {
        assert_eq!(read(op, &mut r).as_ref(), Ok(op));
    }
    assert_eq!((r.position(), r.finish()), (model.bits.len() as u64, Ok(())));
}

fn anything_is_read<O: Order>(bytes: &[u8], likes: &[Op]) {
    let mut r = BitReader::<O>::new(bytes);
    for like in likes {
        let before = r.position();
        match read(like, &mut r) {
            // What was read can be written, and is what was there, but for integers in longer forms than needed.
            Ok(op) => {
                let mut w = BitWriter::<O>::new();
                write(&op, &mut w).unwrap();
                let is_exact = matches!(op, Op::Bool(_) | Op::Bits(..) | Op::Ranged(..) | Op::Bytes(..) | Op::Text(..));
                assert!(!is_exact || w.len() == r.position() - before, "{op:?}");
            }
            Err(error) => assert_ne!(error, BitError::Trailing),
        }
        assert!(r.position() <= bytes.len() as u64 * 8);
    }
}

proptest! {
    #[test]
    fn every_form_is_as_the_model_writes_it(ops in prop::collection::vec(op(), 0..40)) {
        as_the_model::<LsbFirst>(&ops, true);
        as_the_model::<MsbFirst>(&ops, false);
    }

    #[test]
    fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..60), likes in prop::collection::vec(op(), 0..40)) {
        anything_is_read::<LsbFirst>(&bytes, &likes);
        anything_is_read::<MsbFirst>(&bytes, &likes);
    }

    #[test]
    fn zig_zag_keeps_small_numbers_small(value in any::<i64>()) {
        prop_assert_eq!(un_zig_zag(zig_zag(value)), value);
        prop_assert_eq!(zig_zag(value) >> 1, value.unsigned_abs() - u64::from(value < 0));
    }
}

#[test]
fn known_bits() {
    let mut lsb = BitWriter::<LsbFirst>::new();
    let mut msb = BitWriter::<MsbFirst>::new();
    macro_rules! both {
        ($($call:tt)*) => {{
            lsb.$($call)*.unwrap();
            msb.$($call)*.unwrap();
        }};
    }
    both!(bits(0b101, 3));
    both!(bool(true));
    both!(bits(0x3FF, 10));
    both!(ranged(-2_i8, -10..=10)); // 8, of 0..=20: 5 bits
    both!(varint(300)); // 0b1010_1100, 0b0000_0010
    // LSB first, as the stream goes: 101 1 1111111111 00010 00110101 01000000
    assert_eq!(lsb.finish(), [0b1111_1101, 0b0011_1111, 0b0110_0010, 0b0001_0101, 0b0000_0000]);
    // MSB first:                     101 1 1111111111 01000 10101100 00000010
    assert_eq!(msb.finish(), [0b1011_1111, 0b1111_1101, 0b0001_0101, 0b1000_0000, 0b0100_0000]);
}

#[test]
fn zig_zag_is_as_protobuf_has_it() {
    for (value, encoded) in [(0, 0), (-1, 1), (1, 2), (-2, 3), (i64::MAX, u64::MAX - 1), (i64::MIN, u64::MAX)] {
        assert_eq!((zig_zag(value), un_zig_zag(encoded)), (encoded, value));
    }
}

#[test]
fn the_end_is_an_error_and_takes_nothing() {
    let mut r = BitReader::<LsbFirst>::new(&[0xFF, 0x03]);
    assert_eq!((r.bits(17), r.bits(65)), (Err(BitError::End), Err(BitError::Range)));
    assert_eq!((r.bits(10), r.remaining()), (Ok(0x3FF), 6));
    assert_eq!((r.raw(&mut [0]), r.bits(7), r.remaining()), (Err(BitError::End), Err(BitError::End), 6));
    assert_eq!((r.finish(), r.bits(6), r.finish(), r.bool()), (Ok(()), Ok(0), Ok(()), Err(BitError::End)));
    assert_eq!(BitReader::<MsbFirst>::new(&[]).bits(0), Ok(0));
}

#[test]
fn what_is_left_over_is_an_error() {
    let end = |bytes: &[u8], n| {
        let mut r = BitReader::<MsbFirst>::new(bytes);
        r.bits(n).unwrap();
        r.finish()
    };
    assert_eq!(end(&[0xF0], 4), Ok(()));
    assert_eq!(end(&[0xF1], 4), Err(BitError::Padding));
    assert_eq!(end(&[0xF0, 0], 4), Err(BitError::Trailing));
    assert_eq!(end(&[0], 0), Err(BitError::Trailing));
    let mut r = BitReader::<LsbFirst>::new(&[0b10, 0xFF]);
    assert_eq!((r.bool(), r.align()), (Ok(false), Err(BitError::Padding)));
}

#[test]
fn lengths_are_bounded_before_anything_is_allocated() {
    // 2⁴⁰ bytes are told, and allowed; there is one.
    let mut w = BitWriter::<LsbFirst>::new();
    w.bits(1 << 40, 41).unwrap();
    let bytes = w.finish();
    assert_eq!(BitReader::<LsbFirst>::new(&bytes).bytes(1 << 40), Err(BitError::End));
    assert_eq!(BitReader::<LsbFirst>::new(&[0b111]).bytes(6), Err(BitError::TooLong));
    assert_eq!(BitReader::<LsbFirst>::new(&[0b001, 0]).bytes(6), Ok(vec![0]));
    let mut w = BitWriter::<LsbFirst>::new();
    assert_eq!(
        (w.bytes(&[0; 7], 6), w.string("1234567", 6), w.len()),
        (Err(BitError::TooLong), Err(BitError::TooLong), 0)
    );
}

#[test]
fn ranges_are_kept() {
    let mut w = BitWriter::<LsbFirst>::new();
    assert_eq!((w.ranged(11_u8, 0..=10), w.ranged(-1, 0..=10)), (Err(BitError::Range), Err(BitError::Range)));
    #[expect(clippy::reversed_empty_ranges, reason = "it is what is tested")]
    let empty = 10..=0_u8;
    assert_eq!((w.ranged(5, empty.clone()), w.len()), (Err(BitError::Range), 0));
    assert_eq!(w.bits(8, 3), Err(BitError::Range));
    // A range of one takes no bits; the widest takes all.
    w.ranged(7, 7..=7).unwrap();
    assert_eq!(w.len(), 0);
    w.ranged(u64::MAX, 0..=u64::MAX).unwrap();
    w.ranged(i64::MIN, i64::MIN..=i64::MAX).unwrap();
    assert_eq!(w.len(), 128);
    let bytes = w.finish();
    let mut r = BitReader::<LsbFirst>::new(&bytes);
    assert_eq!((r.ranged(7..=7), r.ranged(empty)), (Ok(7), Err(BitError::Range)));
    assert_eq!((r.ranged(0..=u64::MAX), r.ranged(i64::MIN..=i64::MAX)), (Ok(u64::MAX), Ok(i64::MIN)));
    // 11 to 15 have their bits, and are not in the range.
    assert_eq!(BitReader::<LsbFirst>::new(&[11]).ranged(0..=10), Err(BitError::Range));
}

#[test]
fn varints_have_64_bits() {
    let ten = |last| [[0xFF; 9].as_slice(), &[last]].concat();
    assert_eq!(BitReader::<LsbFirst>::new(&ten(1)).varint(), Ok(u64::MAX));
    assert_eq!(BitReader::<LsbFirst>::new(&ten(2)).varint(), Err(BitError::Range));
    assert_eq!(BitReader::<LsbFirst>::new(&ten(0x81)).varint(), Err(BitError::Range));
    assert_eq!(BitReader::<LsbFirst>::new(&[0x80, 0x80, 0]).varint(), Ok(0));
    assert_eq!(BitReader::<LsbFirst>::new(&[0x80, 0x80]).varint(), Err(BitError::End));
}

#[test]
fn text_is_checked() {
    let mut r = BitReader::<LsbFirst>::new(&[2, 0xC3, 0x28]);
    assert_eq!(r.string(255), Err(BitError::Utf8));
}

#[test]
fn the_innermost_is_to_blame() {
    let mut r = BitReader::<LsbFirst>::new(&[]);
    assert_eq!(r.blamed(), None);
    r.blame(BitError::End, "Inner.x");
    r.blame(BitError::End, "Outer.inner");
    assert_eq!(r.blamed(), Some(("Inner.x", 0)));
}
