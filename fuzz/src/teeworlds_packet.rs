//! Teeworlds' packets, and the chunks in them.

use teeworlds::packet::Packet;

pub(crate) fn target(bytes: &[u8]) {
    let mut scratch = Vec::new();
    if let Ok(Packet::Chunks(_, chunks)) = Packet::read(bytes, &mut scratch) {
        // A chunk has two bytes of header at least.
        assert!(chunks.count() <= bytes.len().max(teeworlds::packet::MAX_PAYLOAD) / 2 + 1);
    }
}
