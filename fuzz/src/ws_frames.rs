//! A server's WebSocket frames: the same comes of the same bytes however they are cut, and no more is held than may be.

use loadkit_transport::ws::frames::{Came, Reader, Wrong};

/// The longest message.
const MAX: usize = 300;
/// More than the longest header of a frame.
const HEADER: usize = 16;

pub(crate) fn target(bytes: &[u8]) {
    let Some((cut, bytes)) = bytes.split_first() else { return };
    let at_once = read(bytes, bytes.len().max(1));
    let cut = usize::from(*cut).max(1);
    assert_eq!(read(bytes, cut), at_once);
}

/// What comes of the bytes in pieces of so many, with the messages' bytes, and why it ended if it did.
fn read(bytes: &[u8], cut: usize) -> (Vec<(Came, Vec<u8>)>, Option<Wrong>) {
    let mut reader = Reader::default();
    let mut buf = [0; MAX];
    let mut all = Vec::new();
    for piece in bytes.chunks(cut) {
        reader.push(piece);
        loop {
            match reader.next(&mut buf, MAX) {
                Ok(Some(came)) => {
                    let len = if let Came::Message(len) = came { len } else { 0 };
                    all.push((came, buf[..len].to_vec()));
                }
                Ok(None) => break,
                Err(wrong) => return (all, Some(wrong)),
            }
        }
        // Vectors grow to twice what they need.
        assert!(reader.held() <= 2 * (2 * MAX + HEADER + cut), "{} held", reader.held());
    }
    (all, None)
}
