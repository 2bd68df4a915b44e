//! Teeworlds' Huffman code: expansion within its limit, and back.

use teeworlds::huffman::{compress, decompress};

const LIMIT: usize = 1_400;

pub(crate) fn target(bytes: &[u8]) {
    let mut plain = Vec::new();
    if decompress(bytes, LIMIT, &mut plain).is_ok() {
        let (mut packed, mut again) = (Vec::new(), Vec::new());
        compress(&plain, &mut packed);
        assert_eq!(decompress(&packed, LIMIT, &mut again), Ok(()));
        assert_eq!(again, plain);
    }
    assert!(plain.len() <= LIMIT);
}
