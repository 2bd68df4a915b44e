//! `i32 <-> 1 to 5 bytes`: the variable-length integers in every Teeworlds message.
//!
//! ```text
//! ES54 3210  Ecba 9876  Ejih gfed  Eqpo nmlk  PPPP utsr
//! ```
//!
//! `E`: another byte follows. `S`: flip all bits of the result. `P`: zero. (libtw2, doc/int.md)

/// Bytes that the longest integer takes.
pub const MAX_LEN: usize = 5;

/// Appends the shortest form of `value` to `out`.
pub fn encode(value: i32, out: &mut Vec<u8>) {
    let sign = if value < 0 { 0x40 } else { 0 };
    let mut rest = (value ^ (value >> 31)) as u32;
    let mut byte = sign | (rest & 0x3f) as u8;
    rest >>= 6;
    while rest != 0 {
        out.push(byte | 0x80);
        byte = (rest & 0x7f) as u8;
        rest >>= 7;
    }
    out.push(byte);
}

/// Takes an integer from the front of `bytes`: the value, and how many bytes it took.
///
/// `None` if the bytes end within it, or its padding is not zero. Forms longer than needed are accepted, as the
/// server accepts them too.
pub fn decode(bytes: &[u8]) -> Option<(i32, usize)> {
    let first = *bytes.first()?;
    let mut value = u32::from(first & 0x3f);
    let mut last = first;
    let mut len = 1;
    while last & 0x80 != 0 {
        last = *bytes.get(len)?;
        if len == MAX_LEN - 1 && last & 0xf0 != 0 {
            return None;
        }
        value |= u32::from(last & 0x7f) << (6 + 7 * (len - 1));
        len += 1;
    }
    let flip = -i32::from(first >> 6 & 1);
    Some((value as i32 ^ flip, len))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encoded(value: i32) -> Vec<u8> {
        let mut out = Vec::new();
        encode(value, &mut out);
        out
    }

    /// Values and bytes from the protocol's document, and the edges of each length.
    #[test]
    fn known_values() {
        assert_eq!(encoded(0), [0x00]);
        assert_eq!(encoded(1), [0x01]);
        assert_eq!(encoded(-1), [0x40]);
        assert_eq!(encoded(64), [0x80, 0x01]);
        assert_eq!(encoded(i32::MAX), [0xbf, 0xff, 0xff, 0xff, 0x0f]);
        assert_eq!(encoded(i32::MIN), [0xff, 0xff, 0xff, 0xff, 0x0f]);
        for (value, len) in [(63, 1), (-64, 1), (64, 2), (8191, 2), (8192, 3), (1 << 20, 4), (1 << 27, 5)] {
            assert_eq!(encoded(value).len(), len, "{value}");
        }
    }

    #[test]
    fn cut_or_overfull_integers_are_refused() {
        assert_eq!(decode(&[]), None);
        assert_eq!(decode(&[0x80]), None);
        assert_eq!(decode(&[0x80, 0x80, 0x80, 0x80]), None);
        assert_eq!(decode(&[0x80, 0x80, 0x80, 0x80, 0x10]), None);
        assert_eq!(decode(&[0x80, 0x00]), Some((0, 2)));
    }

    proptest! {
        #[test]
        fn decodes_what_it_encoded(value: i32, behind: Vec<u8>) {
            let mut bytes = encoded(value);
            let len = bytes.len();
            bytes.extend(behind);
            prop_assert_eq!(decode(&bytes), Some((value, len)));
        }

        #[test]
        fn any_bytes_are_taken(bytes: Vec<u8>) {
            if let Some((value, len)) = decode(&bytes) {
                prop_assert!(len <= MAX_LEN.min(bytes.len()));
                prop_assert!(encoded(value).len() <= len);
            }
        }
    }
}
