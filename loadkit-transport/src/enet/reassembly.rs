//! A message that comes in pieces.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};

use super::held::PLACE_COST;
use super::wire::Fragment;

/// Pieces of a message, at most: their numbers lie in the window of the reliable ones.
pub(super) const MAX_PIECES: u32 = super::incoming::WINDOW as u32;

/// A message that comes in pieces. Holds what has come, and no more.
#[derive(Debug)]
pub(super) struct Reassembly {
    total: u32,
    count: u32,
    /// The length of all pieces but the last.
    size: u32,
    pieces: BTreeMap<u32, Bytes>,
}

impl Reassembly {
    /// A message of which one piece has come; `None` when it is a piece of no message.
    pub(super) fn new(fragment: &Fragment) -> Option<Reassembly> {
        let Fragment { count, number, total, offset, bytes, .. } = *fragment;
        if count == 0 || count > MAX_PIECES || number >= count || total < count {
            return None;
        }
        // The last one may be shorter; by its place it tells how long the others are.
        let size = if number + 1 < count || count == 1 { u32::try_from(bytes.len()).ok()? } else { offset / number };
        let mut message = Reassembly::sized(total, count, size)?;
        message.take(fragment).then_some(message)
    }

    fn sized(total: u32, count: u32, size: u32) -> Option<Reassembly> {
        let before_last = size.checked_mul(count - 1)?;
        let fits = before_last < total && total - before_last <= size.max(1);
        fits.then_some(Reassembly { total, count, size, pieces: BTreeMap::new() })
    }

    /// What a message costs that comes in such pieces, when all are there.
    pub(super) fn cost(fragment: &Fragment) -> usize {
        fragment.total as usize + PLACE_COST * fragment.count as usize
    }

    /// Takes a piece; false when it is not of this message.
    pub(super) fn take(&mut self, fragment: &Fragment) -> bool {
        let Fragment { count, number, total, offset, bytes, .. } = *fragment;
        let fits = (total, count) == (self.total, self.count)
            && number < count
            && number.checked_mul(self.size) == Some(offset)
            && bytes.len() == self.size.min(self.total - offset) as usize;
        if fits {
            self.pieces.entry(number).or_insert_with(|| Bytes::copy_from_slice(bytes));
        }
        fits
    }

    /// Numbers that it takes of its channel.
    pub(super) fn span(&self) -> u32 {
        self.count
    }

    /// The whole message, once all pieces are there.
    pub(super) fn join(&mut self) -> Option<Bytes> {
        if self.pieces.len() < self.count as usize {
            return None;
        }
        let mut whole = BytesMut::with_capacity(self.total as usize);
        for piece in std::mem::take(&mut self.pieces).into_values() {
            whole.extend_from_slice(&piece);
        }
        Some(whole.freeze())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_single_piece_is_a_message_too() {
        let fragment = Fragment { start: 1, count: 1, number: 0, total: 4, offset: 0, bytes: b"word" };
        let mut one = Reassembly::new(&fragment).unwrap();
        assert!(one.take(&fragment));
        assert_eq!(one.join().as_deref(), Some(b"word".as_slice()));
    }

    proptest! {
        #[test]
        fn pieces_in_any_order_make_the_message(
            message in prop::collection::vec(any::<u8>(), 1..1_000),
            size in 1..300_usize,
            seed in any::<u64>(),
        ) {
            let count = message.len().div_ceil(size);
            let piece = |number: usize| Fragment {
                start: 1,
                count: count as u32,
                number: number as u32,
                total: message.len() as u32,
                offset: (number * size) as u32,
                bytes: &message[number * size..(number * size + size).min(message.len())],
            };
            let mut order: Vec<_> = (0..count).chain(0..count / 2).collect();
            order.sort_by_key(|n| (*n as u64 ^ seed).wrapping_mul(0x9E37_79B9_7F4A_7C15));
            let mut whole = Reassembly::new(&piece(order[0])).unwrap();
            let mut joined = None;
            for number in order {
                prop_assert!(joined.is_some() || whole.take(&piece(number)));
                joined = joined.or_else(|| whole.join());
            }
            prop_assert_eq!(joined.unwrap(), message);
        }

        #[test]
        fn nonsense_is_refused_without_a_panic(
            numbers in prop::collection::vec((0..4_u32, 0..4_u32, 0..40_u32, 0..40_u32, 0..20_usize), 1..20),
            large in any::<[u32; 4]>(),
        ) {
            let bytes = [7; 20];
            let piece = |&(count, number, total, offset, len): &(u32, u32, u32, u32, usize)| {
                Fragment { start: 0, count, number, total, offset, bytes: &bytes[..len] }
            };
            let huge = Fragment {
                start: 0, count: large[0], number: large[1], total: large[2], offset: large[3], bytes: &bytes,
            };
            let mut message = numbers.iter().find_map(|numbers| Reassembly::new(&piece(numbers)));
            for numbers in &numbers {
                if let Some(message) = &mut message {
                    message.take(&piece(numbers));
                    message.take(&huge);
                    prop_assert!(message.join().is_none_or(|whole| whole.len() == message.total as usize));
                }
            }
            let _ = Reassembly::new(&huge);
        }
    }
}
