//! Sealed packets: ChaCha20-Poly1305 (RFC 8439) with the packet's number as nonce.
//!
//! A packet carries the low 16 bits of its number; the receiver finds the others from the newest number that it has
//! seen. Each direction has a key of its own, and each session keys of its own: those of the token, mixed with the
//! client's salt. What was seen before is refused within a window of 256 numbers, and everything older.

use std::fmt;

use chacha20poly1305::{AeadInOut, ChaCha20Poly1305, Key, KeyInit, Nonce, Tag};

use super::sealing::TAG_LEN;
use super::wire::Envelope;

/// What a nonce is for: its first four bytes.
const PACKET: u32 = 0;
const RESPONSE: u32 = 1;
const ACCEPT: u32 = 2;
const DERIVE: u32 = 3;

/// A key for each direction.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Keys {
    pub(super) to_server: [u8; 32],
    pub(super) to_client: [u8; 32],
}

/// Does not show them.
impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys")
    }
}

impl Keys {
    /// A session's keys: the first 32 bytes of what 32 zeros are sealed to, with the client's salt as nonce.
    pub(super) fn of_session(&self, salt: u64) -> Keys {
        let derive = |key: &[u8; 32]| {
            let mut out = [0; 32];
            // It fails for texts of 256 GiB only.
            let _ = seal(key, DERIVE, salt, &[], &mut out);
            out
        };
        Keys { to_server: derive(&self.to_server), to_client: derive(&self.to_client) }
    }

    /// Seals a client's payload, which begins at `body` and ends the packet so far.
    pub(super) fn seal_response(&self, protocol: u32, cookie: u64, packet: &mut Vec<u8>, start: usize, body: usize) {
        seal_tail(&self.to_server, RESPONSE, cookie, protocol, packet, start, body);
    }

    /// Opens it.
    pub(super) fn open_response(&self, protocol: u32, cookie: u64, before: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let mut out = sealed.to_vec();
        open_tail(&self.to_server, RESPONSE, cookie, protocol, before, &mut out).then_some(out)
    }

    /// Seals a server's welcome.
    pub(super) fn seal_accept(&self, protocol: u32, salt: u64, packet: &mut Vec<u8>, start: usize, body: usize) {
        seal_tail(&self.to_client, ACCEPT, salt, protocol, packet, start, body);
    }

    /// Opens it.
    pub(super) fn open_accept(&self, protocol: u32, salt: u64, before: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let mut out = sealed.to_vec();
        open_tail(&self.to_client, ACCEPT, salt, protocol, before, &mut out).then_some(out)
    }
}

/// The sealing of one end of a session.
#[derive(Debug)]
pub(super) struct Crypto {
    pub(super) keys: Keys,
    is_server: bool,
    protocol: u32,
    /// The number of the next packet.
    next: u64,
    seen: Window,
}

impl Crypto {
    pub(super) fn new(keys: Keys, is_server: bool, protocol: u32) -> Crypto {
        Crypto { keys, is_server, protocol, next: 0, seen: Window::default() }
    }

    /// Seals the packet that begins at `start`, from `body` on. Each number is used once.
    pub(super) fn seal(&mut self, sequence: u16, packet: &mut Vec<u8>, start: usize, body: usize) {
        let number = self.next + u64::from(sequence.wrapping_sub(self.next as u16));
        self.next = number + 1;
        let key = if self.is_server { &self.keys.to_client } else { &self.keys.to_server };
        seal_tail(key, PACKET, number, self.protocol, packet, start, body);
    }

    /// The number of a packet; `None` when it was seen before, or nobody knows.
    pub(super) fn number(&self, sequence: u16) -> Option<u64> {
        self.seen.number(sequence).filter(|number| !self.seen.has(*number))
    }

    /// Opens the packet with this number into `out`: false when it is not genuine.
    pub(super) fn open(&self, number: u64, envelope: &Envelope, out: &mut Vec<u8>) -> bool {
        out.clear();
        out.extend_from_slice(envelope.body);
        let key = if self.is_server { &self.keys.to_server } else { &self.keys.to_client };
        open_tail(key, PACKET, number, self.protocol, envelope.before, out)
    }

    /// A genuine packet was taken.
    pub(super) fn taken(&mut self, number: u64) {
        self.seen.insert(number);
    }

    #[cfg(test)]
    pub(super) fn start_at(&mut self, next: u64, seen: u64) {
        self.next = next;
        self.seen = Window { newest: Some(seen.saturating_sub(1)), bits: [u64::MAX; 4] };
    }
}

/// The newest number, and which of the 256 up to it have been seen (bit `n % 256`; RFC 6479).
#[derive(Debug, Default)]
struct Window {
    newest: Option<u64>,
    bits: [u64; 4],
}

const WINDOW: u64 = 256;

impl Window {
    /// The number nearest to the newest that ends in these 16 bits.
    fn number(&self, sequence: u16) -> Option<u64> {
        let Some(newest) = self.newest else { return Some(sequence.into()) };
        let ahead = sequence.wrapping_sub(newest as u16).cast_signed();
        newest.checked_add_signed(ahead.into())
    }

    fn place(number: u64) -> (usize, u64) {
        ((number / 64 % 4) as usize, 1 << (number % 64))
    }

    /// Whether it was seen, or is too old to tell.
    fn has(&self, number: u64) -> bool {
        let Some(newest) = self.newest else { return false };
        let (word, bit) = Window::place(number);
        number <= newest && (newest - number >= WINDOW || self.bits[word] & bit != 0)
    }

    fn insert(&mut self, number: u64) {
        let first = self.newest.map_or(0, |newest| newest + 1);
        if number >= first {
            let gap = number - first;
            if gap >= WINDOW || self.newest.is_none() {
                self.bits = [0; 4];
            } else {
                for skipped in first..number {
                    let (word, bit) = Window::place(skipped);
                    self.bits[word] &= !bit;
                }
            }
            self.newest = Some(number);
        }
        let (word, bit) = Window::place(number);
        self.bits[word] |= bit;
    }
}

/// Seals the end of a packet, from `body` on, and adds the tag. What goes before it is made certain with it.
fn seal_tail(
    key: &[u8; 32],
    purpose: u32,
    number: u64,
    protocol: u32,
    packet: &mut Vec<u8>,
    start: usize,
    body: usize,
) {
    let mut known = protocol.to_le_bytes().to_vec();
    known.extend_from_slice(packet.get(start..body).unwrap_or_default());
    let tag = seal(key, purpose, number, &known, packet.get_mut(body..).unwrap_or_default());
    packet.extend_from_slice(&tag);
}

fn open_tail(key: &[u8; 32], purpose: u32, number: u64, protocol: u32, before: &[u8], text: &mut Vec<u8>) -> bool {
    let mut known = protocol.to_le_bytes().to_vec();
    known.extend_from_slice(before);
    let Some(len) = text.len().checked_sub(TAG_LEN) else { return false };
    let (sealed, tag) = text.split_at_mut(len);
    let Ok(tag) = Tag::try_from(&*tag) else { return false };
    let cipher = ChaCha20Poly1305::new(&Key::from(*key));
    let is_genuine = cipher.decrypt_inout_detached(&nonce(purpose, number), &known, sealed.into(), &tag).is_ok();
    text.truncate(len);
    is_genuine
}

fn seal(key: &[u8; 32], purpose: u32, number: u64, known: &[u8], text: &mut [u8]) -> [u8; TAG_LEN] {
    let cipher = ChaCha20Poly1305::new(&Key::from(*key));
    cipher.encrypt_inout_detached(&nonce(purpose, number), known, text.into()).map(Into::into).unwrap_or_default()
}

fn nonce(purpose: u32, number: u64) -> Nonce {
    let mut nonce = Nonce::default();
    nonce[..4].copy_from_slice(&purpose.to_le_bytes());
    nonce[4..].copy_from_slice(&number.to_le_bytes());
    nonce
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_found_again_across_many_wraps() {
        let mut window = Window::default();
        let mut number = 0_u64;
        for step in [1, 30_000, 32_767, 1, 2, 65_000 / 2, 100, 32_767, 32_767, 32_767].into_iter().cycle().take(200) {
            number += step;
            assert_eq!(window.number(number as u16), Some(number));
            window.insert(number);
            for late in [1, 64, 255, 300, 32_000] {
                if let Some(before) = number.checked_sub(late) {
                    assert_eq!(window.number(before as u16), Some(before), "{late} before {number}");
                }
            }
        }
        assert!(number > 40 * 65_536);
        let near_the_end = Window { newest: Some(u64::MAX), bits: [0; 4] };
        assert_eq!(near_the_end.number(5), None, "there is no number after the last");
        assert_eq!(Window { newest: Some(3), bits: [0; 4] }.number(65_535), None, "nor before the first");
    }

    proptest! {
        /// Against a model that remembers everything.
        #[test]
        fn each_number_is_taken_once(steps in prop::collection::vec((0_u64..400, 0_u64..600), 1..200)) {
            let (mut window, mut model, mut newest) = (Window::default(), std::collections::HashSet::new(), 0_u64);
            for (forward, back) in steps {
                let number = (newest + forward).saturating_sub(back);
                let is_old = !model.is_empty() && number + WINDOW <= newest;
                prop_assert_eq!(window.has(number), is_old || model.contains(&number), "{}", number);
                if !window.has(number) {
                    window.insert(number);
                    model.insert(number);
                    newest = newest.max(number);
                }
            }
        }
    }
}
