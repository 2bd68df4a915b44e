//! Unreliable messages in pieces: kept until they are whole, too old, or too many.

use std::collections::VecDeque;

use bytes::Bytes;
use tokio::time::Instant;

use super::config::Config;
use super::frame::{Frame, Piece};
use crate::protocol::Channel;

/// Messages that wait for pieces, at most (mas-bandwidth's `reliable`); then the oldest goes.
const MAX_PARTIAL: usize = 64;
/// What a piece costs beside its bytes.
const PIECE_COST: usize = 32;
/// What a message costs beside its pieces.
const MESSAGE_COST: usize = 128;

/// A message of which pieces are missing.
#[derive(Debug)]
struct Partial {
    channel: Channel,
    id: u16,
    last: u8,
    since: Instant,
    /// By index.
    pieces: Vec<(u8, Box<[u8]>)>,
    len: usize,
}

impl Partial {
    fn cost(&self) -> usize {
        MESSAGE_COST + self.len + PIECE_COST * self.pieces.len()
    }
}

/// The messages of which pieces are missing, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Reassembly {
    partial: VecDeque<Partial>,
    /// What all of them cost.
    cost: usize,
    lost: u32,
}

impl Reassembly {
    pub(super) fn is_empty(&self) -> bool {
        self.partial.is_empty()
    }

    /// So many were given up since the last call.
    pub(super) fn take_lost(&mut self) -> u32 {
        std::mem::take(&mut self.lost)
    }

    pub(super) fn deadline(&self, config: &Config) -> Option<Instant> {
        self.partial.front().map(|partial| partial.since + config.reassembly_time)
    }

    pub(super) fn expire(&mut self, now: Instant, config: &Config) {
        while self.deadline(config).is_some_and(|at| at <= now) {
            self.give_up(0);
        }
    }

    fn give_up(&mut self, at: usize) {
        if let Some(partial) = self.partial.remove(at) {
            self.cost = self.cost.saturating_sub(partial.cost());
            self.lost = self.lost.saturating_add(1);
        }
    }

    /// Takes a piece: the message, if it is whole with it.
    pub(super) fn take(&mut self, now: Instant, frame: &Frame, piece: Piece, config: &Config) -> Option<Bytes> {
        self.expire(now, config);
        let known = self.partial.iter().position(|partial| partial.channel == frame.channel && partial.id == frame.id);
        let at = known.unwrap_or_else(|| {
            if self.partial.len() >= MAX_PARTIAL {
                self.give_up(0);
            }
            let pieces = Vec::with_capacity(2);
            // Times of arrival may lie a little in the past; the order here is that of expiry.
            let since = self.partial.back().map_or(now, |partial| partial.since.max(now));
            self.partial.push_back(Partial {
                channel: frame.channel,
                id: frame.id,
                last: piece.last,
                since,
                pieces,
                len: 0,
            });
            self.cost += MESSAGE_COST;
            self.partial.len() - 1
        });
        let partial = self.partial.get_mut(at)?;
        let place = partial.pieces.binary_search_by_key(&piece.index, |(index, _)| *index);
        let Err(place) = place else { return None };
        if partial.last != piece.last || partial.len + frame.bytes.len() > config.message {
            self.give_up(at);
            return None;
        }
        partial.pieces.insert(place, (piece.index, frame.bytes.into()));
        partial.len += frame.bytes.len();
        self.cost += PIECE_COST + frame.bytes.len();
        if partial.pieces.len() == usize::from(partial.last) + 1 {
            let whole = self.partial.remove(at)?;
            self.cost = self.cost.saturating_sub(whole.cost());
            let mut message = Vec::with_capacity(whole.len);
            whole.pieces.iter().for_each(|(_, bytes)| message.extend_from_slice(bytes));
            return Some(message.into());
        }
        while self.cost > config.reassembly_bytes && !self.partial.is_empty() {
            self.give_up(0);
        }
        None
    }

    #[cfg(test)]
    pub(super) fn check_bounds(&self, config: &Config) {
        assert!(!self.is_empty() && self.partial.len() <= MAX_PARTIAL);
        assert!(self.cost == self.partial.iter().map(Partial::cost).sum::<usize>());
        assert!(self.cost <= config.reassembly_bytes, "{}", self.cost);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::rudp::lanes::pieces;

    const CONFIG: Config = Config::DEFAULT;

    fn frame(id: u16, bytes: &[u8], piece: Piece) -> Frame<'_> {
        Frame { channel: Channel::UNRELIABLE, piece: Some(piece), id, bytes }
    }

    #[test]
    fn pieces_in_any_order_make_the_message() {
        let (mut partial, now) = (Reassembly::default(), Instant::now());
        let message: Vec<u8> = (0..5_000_u32).map(|i| i as u8).collect();
        let mut parts: Vec<_> = pieces(&message, 1_024).collect();
        assert_eq!(parts.len(), 5);
        parts.swap(0, 4);
        parts.swap(1, 2);
        let (last, rest) = parts.split_last().unwrap();
        for (bytes, piece) in rest {
            assert_eq!(partial.take(now, &frame(9, bytes, *piece), *piece, &CONFIG), None);
            assert_eq!(partial.take(now, &frame(9, bytes, *piece), *piece, &CONFIG), None, "twice");
            partial.check_bounds(&CONFIG);
        }
        assert_eq!(partial.take(now, &frame(9, last.0, last.1), last.1, &CONFIG).unwrap(), message);
        assert!(partial.is_empty() && partial.cost == 0);
    }

    #[test]
    fn what_never_becomes_whole_goes() {
        let (mut partial, now) = (Reassembly::default(), Instant::now());
        let piece = Piece { index: 0, last: 9 };
        // Too many, then too much, then too old.
        for id in 0..100 {
            partial.take(now, &frame(id, b"small", piece), piece, &CONFIG);
            partial.check_bounds(&CONFIG);
        }
        assert_eq!((partial.partial.len(), partial.take_lost()), (64, 36));
        for id in 100..150 {
            for index in 0..8 {
                let piece = Piece { index, last: 9 };
                partial.take(now, &frame(id, &[7; 1_024], piece), piece, &CONFIG);
                partial.check_bounds(&CONFIG);
            }
        }
        assert!(partial.take_lost() > 64);
        let later = now + Duration::from_millis(2_999);
        partial.take(later, &frame(200, b"late", piece), piece, &CONFIG);
        partial.expire(now + Duration::from_secs(3), &CONFIG);
        assert_eq!(partial.partial.len(), 1);
        partial.expire(later + Duration::from_secs(3), &CONFIG);
        assert!(partial.is_empty() && partial.cost == 0);
        // One that grows over the limit, and one that does not agree with itself.
        for index in 0..=255 {
            let piece = Piece { index, last: 255 };
            partial.take(now, &frame(1, &[0; 1_024], piece), piece, &CONFIG);
        }
        let other = Piece { index: 1, last: 7 };
        partial.take(now, &frame(2, b"", piece), piece, &CONFIG);
        assert_eq!(partial.take(now, &frame(2, b"", other), other, &CONFIG), None);
        assert!(partial.take_lost() >= 2);
    }
}
