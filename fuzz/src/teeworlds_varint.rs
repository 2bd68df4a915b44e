//! Teeworlds' integers: what was read is written in at most as many bytes, and read again.

use teeworlds::varint::{decode, encode};

pub(crate) fn target(bytes: &[u8]) {
    let Some((value, len)) = decode(bytes) else { return };
    let mut again = Vec::new();
    encode(value, &mut again);
    assert!(again.len() <= len && len <= bytes.len());
    assert_eq!(decode(&again), Some((value, again.len())));
}
