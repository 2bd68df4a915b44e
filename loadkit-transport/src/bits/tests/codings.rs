//! Codings: back again, from any bits, and as differences.

use std::fmt::Debug;

use super::*;

/// Writes and reads; the value, and its bits.
fn through<T, O: Order>(coding: &impl Coding<T>, value: &T) -> Result<(T, u64), BitError> {
    let mut w = BitWriter::<O>::new();
    coding.write(value, &mut w)?;
    let (bits, bytes) = (w.len(), w.finish());
    let mut r = BitReader::<O>::new(&bytes);
    let back = coding.read(&mut r)?;
    assert_eq!((r.position(), r.finish()), (bits, Ok(())));
    Ok((back, bits))
}

/// The same in both orders.
fn both<T: PartialEq + Debug>(coding: &impl Coding<T>, value: &T) -> Result<(T, u64), BitError> {
    let result = through::<T, LsbFirst>(coding, value);
    assert_eq!(through::<T, MsbFirst>(coding, value), result);
    result
}

/// The value that comes of a difference, and the bits of that.
fn delta<T: Clone, O: Order>(coding: &impl Coding<T>, value: &T, base: &T) -> (T, u64) {
    let mut w = BitWriter::<O>::new();
    coding.write_delta(value, base, &mut w).unwrap();
    let (bits, bytes) = (w.len(), w.finish());
    let mut theirs = base.clone();
    let mut r = BitReader::<O>::new(&bytes);
    coding.read_delta(&mut theirs, &mut r).unwrap();
    assert_eq!((r.position(), r.finish()), (bits, Ok(())));
    (theirs, bits)
}

/// Of any bytes comes a value that can be written in the same bits, or an error.
fn total<T>(coding: &impl Coding<T>, mut base: T, bytes: &[u8]) {
    let mut r = BitReader::<MsbFirst>::new(bytes);
    if let Ok(value) = coding.read(&mut r) {
        let mut w = BitWriter::<MsbFirst>::new();
        coding.write(&value, &mut w).unwrap();
        let bits = w.len();
        let again = w.finish();
        let mut theirs = BitReader::<MsbFirst>::new(&again);
        assert!(coding.same(&coding.read(&mut theirs).unwrap(), &value));
        assert!(bits <= r.position());
    }
    let _ = coding.read_delta(&mut base, &mut BitReader::<LsbFirst>::new(bytes));
}

const PLACE: Quantised = Quantised::new(-512.0, 512.0, 0.01);

proptest! {
    #[test]
    fn integers_survive(a in any::<u16>(), b in any::<i32>(), c in any::<u64>(), n in 1..=64_u32) {
        prop_assert_eq!(both(&Varint, &a).unwrap().0, a);
        prop_assert_eq!(both(&Varint, &b).unwrap().0, b);
        prop_assert_eq!(both(&Varint, &c).unwrap().0, c);
        prop_assert_eq!(both(&Whole, &b).unwrap(), (b, 32));
        let (c, d) = (c >> (64 - n), (i64::from(b) << 32) >> (64 - n));
        prop_assert_eq!(both(&Fixed(n), &c).unwrap(), (c, u64::from(n)));
        prop_assert_eq!(both(&Fixed(n), &d).unwrap(), (d, u64::from(n)));
    }

    #[test]
    fn floats_survive_within_half_a_step(
        min in -1e6..1e6_f64, length in 1e-3..1e6_f64, steps in 1.0..1e9_f64, share in 0.0..=1.0_f64,
    ) {
        let (max, resolution) = (min + length, length / steps);
        let form = Quantised::new(min, max, resolution);
        let value = (min + share * length).clamp(min, max);
        let (back, bits) = both(&form, &value).unwrap();
        prop_assert!((back - value).abs() <= form.step() / 2.0 + 1e-9, "{value} {back}");
        prop_assert!((min..=max).contains(&back) && form.step() <= resolution * 1.000_000_001);
        prop_assert_eq!(bits, u64::from(form.bits()));
        // The ends are exact, and what was read is read again.
        prop_assert_eq!((both(&form, &min).unwrap().0, both(&form, &max).unwrap().0), (min, max));
        prop_assert_eq!(both(&form, &back).unwrap().0, back);
        // In 32 bits, the type's own rounding comes on top.
        let value = value as f32;
        let back = both(&form.clamped(), &value).unwrap().0;
        let rounding = 2.0 * f64::from(f32::EPSILON) * min.abs().max(max.abs());
        prop_assert!((f64::from(back) - f64::from(value)).abs() <= form.step() / 2.0 + rounding);
        prop_assert!(both(&form, &back).is_ok(), "what was read can be written");
    }

    #[test]
    fn rotations_survive_within_the_bound(q in any::<[i16; 4]>(), n in 2..=20_u32) {
        let q = q.map(f32::from);
        prop_assume!(q.iter().any(|c| *c != 0.0));
        let (back, bits) = both(&Quaternion(n), &q).unwrap();
        prop_assert_eq!(bits, u64::from(2 + 3 * n));
        let (q, back) = (q.map(f64::from), back.map(f64::from));
        let dot = |a: &[f64; 4], b: &[f64; 4]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let length = dot(&q, &q).sqrt();
        prop_assert!((dot(&back, &back) - 1.0).abs() < 1e-6);
        // From the distance, because the cosine of a small angle has no digits left.
        let turn = dot(&q, &back).signum() / length;
        let apart = q.iter().zip(&back).map(|(a, b)| (a * turn - b).powi(2)).sum::<f64>().sqrt();
        let angle = 4.0 * (apart / 2.0).min(1.0).asin();
        prop_assert!(angle <= 8.0 / f64::from((1 << n) - 2) + 1e-6, "{angle} rad with {n} bits");
    }

    #[test]
    fn lists_survive(list in prop::collection::vec(prop::option::of(0..=9_u8), 0..20), base in prop::collection::vec(prop::option::of(0..=9_u8), 0..20)) {
        let form = List { max: 20, each: Maybe(0..=9_u8) };
        let some = list.iter().flatten().count() as u64;
        prop_assert_eq!(both(&form, &list).unwrap(), (list.clone(), 5 + list.len() as u64 + 4 * some));
        prop_assert_eq!(delta::<_, LsbFirst>(&form, &list, &base).0, list.clone());
        prop_assert_eq!(delta::<_, MsbFirst>(&form, &list, &list), (list, 1));
    }

    #[test]
    fn changes_survive(a in any::<u16>(), by in -40..40_i16, b in any::<u16>(), n in 1..=10_u32) {
        let near = a.wrapping_add_signed(by);
        let (back, bits) = delta::<_, LsbFirst>(&Relative::new(n), &near, &a);
        let is_near = (-(1 << (n - 1))..1 << (n - 1)).contains(&i32::from(by));
        prop_assert_eq!((back, bits), (near, if by == 0 { 1 } else if is_near { 2 + u64::from(n) } else { 18 }));
        prop_assert_eq!(delta::<_, MsbFirst>(&Relative::new(n), &b, &a).0, b);
        // Within a range the ring has no seam, and nothing leaves the range.
        let (a, b) = (a % 1_000, b % 1_000);
        prop_assert_eq!(delta::<_, MsbFirst>(&Relative::within(n, 0..=999), &b, &a).0, b);
    }

    #[test]
    fn floats_change_when_their_bits_do(a in -512.0..512.0_f32, by in 0.0..0.02_f32) {
        let moved = (a + by).min(512.0);
        let (back, bits) = delta::<_, LsbFirst>(&PLACE, &moved, &a);
        let changed = both(&PLACE, &a).unwrap().0 != both(&PLACE, &moved).unwrap().0;
        prop_assert_eq!(bits, if changed { 18 } else { 1 });
        prop_assert!((back - moved).abs() <= 0.0101);
    }

    #[test]
    fn any_bits_are_read(bytes in prop::collection::vec(any::<u8>(), 0..40), n in 1..=64_u32) {
        total(&Whole, 7_i16, &bytes);
        total(&Whole, [Some(1.5_f32); 3], &bytes);
        total(&(-5..=5_i8), 0, &bytes);
        total(&Fixed(n), 0_u8, &bytes);
        total(&Fixed(n), 0_i64, &bytes);
        total(&Varint, 0_u8, &bytes);
        total(&Varint, 0_i16, &bytes);
        total(&Relative::within(n, 10..=500), 20_u16, &bytes);
        total(&PLACE, 0.0_f32, &bytes);
        total(&Text(40), String::new(), &bytes);
        total(&Blob(40), Vec::new(), &bytes);
        total(&List { max: 100, each: Each(Fixed(3)) }, vec![[1_u8, 2]; 50], &bytes);
        total(&Maybe(Text(9)), Some(String::new()), &bytes);
    }

    #[test]
    fn any_bits_are_a_rotation(bytes in prop::collection::vec(any::<u8>(), 8), n in 2..=20_u32) {
        if let Ok(q) = Quaternion(n).read(&mut BitReader::<LsbFirst>::new(&bytes)) {
            prop_assert!((q.iter().map(|c| c * c).sum::<f32>() - 1.0).abs() < 1e-5, "{q:?}");
        }
    }
}

#[test]
fn known_forms() {
    let bits = |write: &dyn Fn(&mut BitWriter<LsbFirst>)| {
        let mut w = BitWriter::new();
        write(&mut w);
        (w.len(), w.finish())
    };
    // 200 steps: -1 is 0, 0 is 100, 1 is 200; halves go up.
    let form = Quantised::new(-1.0, 1.0, 0.01);
    for (value, index) in [(-1.0, 0), (0.0, 100), (1.0, 200), (0.014, 101), (-0.994, 1)] {
        assert_eq!(bits(&|w| form.write(&value, w).unwrap()), (8, vec![index]), "{value}");
    }
    // No rotation: w is the largest (3), the others are the middle of 0..=2: 1.
    assert_eq!(bits(&|w| Quaternion(2).write(&[0.0, 0.0, 0.0, 5.0], w).unwrap()), (8, vec![0b01_01_01_11]));
    // Its negative is the same.
    assert_eq!(bits(&|w| Quaternion(2).write(&[0.0, 0.0, 0.0, -1.0], w).unwrap()), (8, vec![0b01_01_01_11]));
    assert_eq!(bits(&|w| Fixed(5).write(&-1_i32, w).unwrap()), (5, vec![0b1_1111]));
    assert_eq!(bits(&|w| Maybe(0..=9).write(&Some(9_u8), w).unwrap()), (5, vec![0b1_0011]));
    // Changed, near, and -2 in 4 bits, from the right.
    assert_eq!(bits(&|w| Relative::new(4).write_delta(&u16::MAX, &1, w).unwrap()), (6, vec![0b11_1011]));
}

#[test]
fn exact_where_it_is_promised() {
    for n in 2..=20 {
        for turn in [[0.0, 0.0, 0.0, 1.0], [1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]] {
            assert_eq!(both(&Quaternion(n), &turn).unwrap().0, turn);
        }
    }
    assert_eq!(both(&Quantised::new(-7.0, 7.0, 0.25), &0.0_f32).unwrap().0, 0.0);
    // 0.1 has no exact form, neither in 32 bits nor in 64: what was read can still be written.
    let form = Quantised::new(0.0, 0.1, 1e-9);
    let most = both(&form, &0.1_f32).unwrap().0;
    assert_eq!((most, both(&form, &most).unwrap().0), (0.1, 0.1));
}

#[test]
fn what_has_no_form_is_refused() {
    let form = Quantised::new(-1.0, 1.0, 0.01);
    for value in [f32::NAN, f32::INFINITY, 1.01, -1.01] {
        assert_eq!(both(&form, &value), Err(BitError::Range), "{value}");
        assert!(!form.same(&value, &value));
    }
    assert_eq!(both(&form.clamped(), &f64::NAN), Err(BitError::Range));
    assert_eq!(both(&form.clamped(), &f64::INFINITY).unwrap().0, 1.0);
    assert_eq!(both(&form.clamped(), &-7.0_f32).unwrap().0, -1.0);
    for q in [[0.0; 4], [f32::NAN, 0.0, 0.0, 1.0], [f32::INFINITY, 0.0, 0.0, 0.0]] {
        assert_eq!(both(&Quaternion(9), &q), Err(BitError::Range), "{q:?}");
    }
    assert_eq!(both(&Fixed(5), &32_u8), Err(BitError::Range));
    assert_eq!((both(&Fixed(5), &-17_i8), both(&Fixed(5), &16_i8)), (Err(BitError::Range), Err(BitError::Range)));
    assert_eq!(both(&List { max: 2, each: Whole }, &vec![1_u8; 3]), Err(BitError::TooLong));
    // 300 is a varint, and no u8.
    assert_eq!(Coding::<u8>::read(&Varint, &mut BitReader::<LsbFirst>::new(&[0xAC, 2])), Err(BitError::Range));
    // The three bits of 201 to 255 lie outside, and so does the last index of a component.
    assert_eq!(Coding::<f32>::read(&form, &mut BitReader::<LsbFirst>::new(&[201])), Err(BitError::Range));
    assert_eq!(Quaternion(2).read(&mut BitReader::<LsbFirst>::new(&[0b01_01_11_11])), Err(BitError::Range));
    // A change that leaves the range.
    let mut value = 998_u16;
    let change = [0b01_1111];
    let form = Relative::within(4, 0..=999);
    assert_eq!(form.read_delta(&mut value, &mut BitReader::<LsbFirst>::new(&change)), Err(BitError::Range));
    assert_eq!(value, 998);
}

#[test]
fn lists_take_no_memory_for_what_is_not_there() {
    let form = List { max: u32::MAX as usize, each: Whole };
    let bytes = [0xFF; 6];
    let read: Result<Vec<u64>, _> = form.read(&mut BitReader::<LsbFirst>::new(&bytes));
    assert_eq!(read, Err(BitError::End));
}

#[test]
fn what_is_written_by_hand_has_deltas_too() {
    #[derive(Debug, PartialEq)]
    struct Celsius(f64);

    impl Packed for Celsius {
        fn write<O: Order>(&self, w: &mut BitWriter<O>) -> Result<(), BitError> {
            w.ranged((self.0 * 10.0) as i16, -2_731..=10_000)
        }

        fn read<O: Order>(r: &mut BitReader<'_, O>) -> Result<Self, BitError> {
            Ok(Celsius(f64::from(r.ranged(-2_731..=10_000_i16)?) / 10.0))
        }
    }

    assert!(Celsius(20.51).same(&Celsius(20.53)) && !Celsius(20.5).same(&Celsius(20.6)));
    let mut w = BitWriter::<LsbFirst>::new();
    Celsius(20.53).write_delta(&Celsius(20.51), &mut w).unwrap();
    Celsius(21.0).write_delta(&Celsius(20.5), &mut w).unwrap();
    assert_eq!(w.len(), 1 + 15);
    let bytes = w.finish();
    let (mut r, mut value) = (BitReader::<LsbFirst>::new(&bytes), Celsius(20.5));
    value.read_delta(&mut r).unwrap();
    assert_eq!(value, Celsius(20.5));
    value.read_delta(&mut r).unwrap();
    assert_eq!(value, Celsius(21.0));
}
