//! Vital chunks: all arrive, once, in order. The sender's side is [`Outbox`], the receiver's [`Inbox`].
//!
//! Vital chunks are numbered from 1 on, modulo 1,024. A receiver tells in each packet the last number up to which it
//! has all, drops whatever is not the next one, and asks for all that it lacks to be sent again; a sender repeats
//! what stays unacknowledged for a second without being asked. (libtw2, doc/protocol.md)

use crate::packet::{Chunk, MAX_PAYLOAD, SEQUENCES, Vital};
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// Vital chunks that may be unacknowledged: fewer than half of the sequence numbers, so that old and new ones can be
/// told apart.
pub const MAX_UNACKED: usize = 256;
/// Bytes of vital chunks that may be unacknowledged.
pub const MAX_UNACKED_BYTES: usize = 32 * 1024;
/// Bytes of other chunks that may wait for the next packets.
pub const MAX_LOOSE_BYTES: usize = 4 * 1024;
/// A vital chunk is sent again after this time without an acknowledgement.
pub const RESEND_AFTER: Duration = Duration::from_secs(1);
/// Chunks that one packet counts.
const MAX_CHUNKS: u8 = u8::MAX;

/// A queue has reached its bound: the other side does not acknowledge, or nobody fetches packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

#[derive(Debug)]
struct Unacked {
    sequence: u16,
    /// When it was sent last; `None` before that.
    sent: Option<Instant>,
    first_sent: Option<Instant>,
    /// It is to be sent with the next packet.
    due: bool,
    data: Box<[u8]>,
}

/// Chunks on their way out.
#[derive(Debug, Default)]
pub struct Outbox {
    /// Of the newest vital chunk.
    sequence: u16,
    unacked: VecDeque<Unacked>,
    unacked_bytes: usize,
    /// Other chunks, as they go into a payload.
    loose: Vec<u8>,
    resent: u64,
}

impl Outbox {
    /// Queues a vital chunk. Its data is at most [`MAX_CHUNK`](crate::packet::MAX_CHUNK) long.
    ///
    /// # Errors
    /// [`MAX_UNACKED`] or [`MAX_UNACKED_BYTES`] is reached.
    pub fn push_vital(&mut self, data: &[u8]) -> Result<(), Full> {
        if self.unacked.len() == MAX_UNACKED || self.unacked_bytes + data.len() > MAX_UNACKED_BYTES {
            return Err(Full);
        }
        self.sequence = (self.sequence + 1) % SEQUENCES;
        self.unacked_bytes += data.len();
        let (sequence, data) = (self.sequence, data.into());
        self.unacked.push_back(Unacked { sequence, sent: None, first_sent: None, due: true, data });
        Ok(())
    }

    /// Queues a chunk that may get lost. Its data is at most [`MAX_CHUNK`](crate::packet::MAX_CHUNK) long.
    ///
    /// # Errors
    /// [`MAX_LOOSE_BYTES`] wait already.
    pub fn push_loose(&mut self, data: &[u8]) -> Result<(), Full> {
        let chunk = Chunk { vital: None, data };
        if self.loose.len() + chunk.wire_len() > MAX_LOOSE_BYTES {
            return Err(Full);
        }
        chunk.write(&mut self.loose);
        Ok(())
    }

    /// The other side has all vital chunks up to `ack`. Says whether that is possible.
    pub fn acked(&mut self, ack: u16) -> bool {
        let Some(oldest) = self.unacked.front() else {
            return ack == self.sequence || self.is_old(ack);
        };
        let beyond = usize::from(distance(oldest.sequence, ack));
        match self.unacked.get(beyond) {
            None => return self.is_old(ack),
            Some(chunk) if chunk.sent.is_none() => return false,
            Some(_) => {}
        }
        for chunk in self.unacked.drain(..=beyond) {
            self.unacked_bytes -= chunk.data.len();
        }
        true
    }

    /// The other side lacks vital chunks: all that is unacknowledged goes out again.
    pub fn resend(&mut self) {
        self.unacked.iter_mut().for_each(|chunk| chunk.due = true);
    }

    /// When [`Self::resend`] is due because nothing was acknowledged.
    pub fn resend_at(&self) -> Option<Instant> {
        self.unacked.front().filter(|chunk| !chunk.due)?.sent.map(|sent| sent + RESEND_AFTER)
    }

    /// Since when the oldest vital chunk is unacknowledged.
    pub fn unacked_since(&self) -> Option<Instant> {
        self.unacked.front()?.first_sent
    }

    /// Whether a packet should be sent.
    pub fn is_due(&self) -> bool {
        !self.loose.is_empty() || self.unacked.iter().any(|chunk| chunk.due)
    }

    /// Vital chunks that were sent more than once, counted each time.
    pub fn resent(&self) -> u64 {
        self.resent
    }

    /// Forgets all chunks.
    pub fn clear(&mut self) {
        *self = Self { sequence: self.sequence, resent: self.resent, ..Self::default() };
    }

    /// Moves what fits into the payload of one packet, which is empty; gives the number of chunks.
    pub fn fill(&mut self, now: Instant, payload: &mut Vec<u8>) -> u8 {
        let mut chunks = 0;
        for entry in self.unacked.iter_mut().filter(|chunk| chunk.due) {
            let resent = entry.sent.is_some();
            let vital = Some(Vital { sequence: entry.sequence, resent });
            let chunk = Chunk { vital, data: &entry.data };
            if chunks == MAX_CHUNKS || payload.len() + chunk.wire_len() > MAX_PAYLOAD {
                return chunks;
            }
            chunk.write(payload);
            entry.due = false;
            entry.sent = Some(now);
            entry.first_sent.get_or_insert(now);
            self.resent += u64::from(resent);
            chunks += 1;
        }
        let mut used = 0;
        while let Some(size) = self.loose.get(used..).and_then(first_chunk_len) {
            if chunks == MAX_CHUNKS || payload.len() + used + size > MAX_PAYLOAD {
                break;
            }
            used += size;
            chunks += 1;
        }
        payload.extend(self.loose.drain(..used));
        chunks
    }

    fn is_old(&self, ack: u16) -> bool {
        distance(ack, self.sequence) < SEQUENCES / 2
    }
}

/// Bytes that the first of some written loose chunks takes.
fn first_chunk_len(chunks: &[u8]) -> Option<usize> {
    let &[high, low] = chunks.first_chunk()?;
    Some(2 + (usize::from(high) << 6 | usize::from(low)))
}

/// Steps from one sequence number up to another.
fn distance(from: u16, to: u16) -> u16 {
    (to + SEQUENCES - from % SEQUENCES) % SEQUENCES
}

/// What a vital chunk is to its receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// The next one: take it.
    Next,
    /// It has arrived before.
    Duplicate,
    /// Others before it have not arrived: it cannot be taken yet.
    Early,
}

/// Which vital chunks have arrived.
#[derive(Debug, Default)]
pub struct Inbox {
    ack: u16,
}

impl Inbox {
    /// What a chunk with this number is.
    pub fn sort(&self, sequence: u16) -> Arrival {
        match distance(self.ack, sequence) {
            1 => Arrival::Next,
            ahead if (2..SEQUENCES / 2).contains(&ahead) => Arrival::Early,
            _ => Arrival::Duplicate,
        }
    }

    /// Counts the next chunk as taken.
    pub fn advance(&mut self) {
        self.ack = (self.ack + 1) % SEQUENCES;
    }

    /// The last number up to which all have been taken.
    pub fn ack(&self) -> u16 {
        self.ack
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sequences(outbox: &mut Outbox, now: Instant) -> Vec<u16> {
        let mut payload = Vec::new();
        let chunks = outbox.fill(now, &mut payload);
        let mut found = Vec::new();
        let mut rest = &payload[..];
        while let Some(&[high, low, last]) = rest.first_chunk() {
            found.push(u16::from(low & 0xc0) << 2 | u16::from(last));
            rest = &rest[3 + (usize::from(high & 0x3f) << 6 | usize::from(low & 0x3f))..];
        }
        assert_eq!(found.len(), usize::from(chunks));
        found
    }

    #[test]
    fn repeats_what_is_not_acknowledged() {
        let now = Instant::now();
        let mut outbox = Outbox::default();
        for data in [b"a", b"b", b"c"] {
            outbox.push_vital(data).unwrap();
        }
        assert_eq!(sequences(&mut outbox, now), [1, 2, 3]);
        assert!(!outbox.is_due());
        assert_eq!(outbox.resend_at(), Some(now + RESEND_AFTER));
        assert!(outbox.acked(1));
        assert!(outbox.acked(1), "an old acknowledgement is no fault");
        assert!(!outbox.acked(4), "nobody can have what was never sent");
        outbox.resend();
        assert_eq!(outbox.resend_at(), None);
        let later = now + RESEND_AFTER;
        assert_eq!(sequences(&mut outbox, later), [2, 3]);
        assert_eq!((outbox.resent(), outbox.unacked_since()), (2, Some(now)));
        assert!(outbox.acked(3));
        assert_eq!((outbox.resend_at(), outbox.unacked_since(), outbox.unacked_bytes), (None, None, 0));
    }

    #[test]
    fn queues_are_bounded() {
        let mut outbox = Outbox::default();
        let pushed = (0..10_000).take_while(|_| outbox.push_vital(&[]).is_ok()).count();
        assert_eq!(pushed, MAX_UNACKED);
        let mut outbox = Outbox::default();
        let pushed = (0..10_000).take_while(|_| outbox.push_vital(&[0; 1024]).is_ok()).count();
        assert_eq!(pushed, MAX_UNACKED_BYTES / 1024);
        let pushed = (0..10_000).take_while(|_| outbox.push_loose(&[0; 30]).is_ok()).count();
        assert_eq!(pushed, MAX_LOOSE_BYTES / 32);
    }

    proptest! {
        /// Packets get lost, doubled and swapped: everything arrives once and in order.
        #[test]
        fn all_arrive_in_order(
            fates in proptest::collection::vec((0u8..4, 1usize..40), 1..60),
            start in 0..SEQUENCES,
        ) {
            let mut now = Instant::now();
            let mut outbox = Outbox { sequence: start, ..Outbox::default() };
            let mut inbox = Inbox { ack: start };
            let (mut sent, mut taken) = (0u32, Vec::new());
            let mut held: Option<Vec<u8>> = None;
            for (fate, more) in fates.into_iter().chain([(0, 0); 40]) {
                for _ in 0..more {
                    if outbox.push_vital(&sent.to_be_bytes()).is_ok() {
                        sent += 1;
                    }
                }
                if outbox.resend_at().is_some_and(|at| at <= now) {
                    outbox.resend();
                }
                let mut payload = Vec::new();
                outbox.fill(now, &mut payload);
                let packets = match fate {
                    0 => vec![Some(payload), held.take()],
                    1 => vec![],
                    2 => vec![Some(payload.clone()), Some(payload)],
                    _ => vec![held.replace(payload)],
                };
                for payload in packets.into_iter().flatten() {
                    let mut rest = &payload[..];
                    while let Some((&[_, low, last, a, b, c, d], behind)) = rest.split_first_chunk() {
                        if inbox.sort(u16::from(low & 0xc0) << 2 | u16::from(last)) == Arrival::Next {
                            inbox.advance();
                            taken.push(u32::from_be_bytes([a, b, c, d]));
                        }
                        rest = behind;
                    }
                    prop_assert!(outbox.acked(inbox.ack()));
                }
                now += RESEND_AFTER / 2;
            }
            prop_assert_eq!(taken, (0..sent).collect::<Vec<_>>());
        }
    }
}
