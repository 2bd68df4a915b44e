//! The receiving half: which packets have arrived, and what order their messages are in.

use std::collections::VecDeque;

use bytes::Bytes;
use tokio::time::Instant;

use super::frame::Frame;
use super::outgoing::WINDOW;
use super::wire::{DELAY_UNIT_US, Header, NO_DELAY, after};
use crate::protocol::{Channel, Delivery};

/// Packets so far behind the newest are stale: nothing is known of them any more.
const REMEMBERED: i16 = 64;

/// A piece of an ordered message that is early.
type Early = Option<(Bytes, bool)>;

/// The receiving half of a session.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    newest: u16,
    /// Bit `i`: `newest - i` has arrived.
    seen: u64,
    newest_at: Option<Instant>,
    newest_sequenced: Option<u16>,
    /// The id that is due next on the ordered channel.
    next_ordered: u16,
    /// What came before its turn, from `next_ordered` on. Bounded by the window.
    early: VecDeque<Early>,
    /// The pieces so far of a long message. Bounded by the configuration.
    pieces: Vec<u8>,
    /// All ids before it have arrived on the unordered channel.
    first_unordered: u16,
    /// Bit `i`: `first_unordered + i` has arrived.
    seen_unordered: Option<Box<[u64; (WINDOW / 64) as usize]>>,
}

/// A long message grows over the limit.
#[derive(Debug)]
pub(super) struct TooLarge;

impl Incoming {
    /// Whether a packet is new: not seen before, and not stale.
    pub(super) fn is_new(&self, sequence: u16) -> bool {
        if self.newest_at.is_none() {
            return true;
        }
        let ahead = after(sequence, self.newest);
        ahead > 0 || (ahead > -REMEMBERED && self.seen & (1 << -ahead) == 0)
    }

    /// Whether the frame lies in its window; a peer that keeps the rules sends no other.
    pub(super) fn is_in_window(&self, frame: &Frame) -> bool {
        let first = match frame.delivery {
            Delivery::Ordered => self.next_ordered,
            Delivery::Unordered => self.first_unordered,
            Delivery::Unreliable | Delivery::Sequenced => return true,
        };
        after(frame.id, first) < WINDOW.cast_signed()
    }

    /// Marks a new packet as arrived.
    pub(super) fn arrived(&mut self, now: Instant, sequence: u16) {
        let ahead = after(sequence, self.newest);
        if self.newest_at.is_none() {
            (self.newest, self.seen, self.newest_at) = (sequence, 1, Some(now));
        } else if ahead > 0 {
            self.seen = self.seen.checked_shl(ahead.unsigned_abs().into()).unwrap_or(0) | 1;
            (self.newest, self.newest_at) = (sequence, Some(now));
        } else {
            self.seen |= 1 << ahead.unsigned_abs();
        }
    }

    /// The header of a packet that goes out at `now`: with it goes all that is known of arrivals.
    pub(super) fn header(&self, now: Instant) -> Header {
        let Some(at) = self.newest_at else {
            return Header { ack: u16::MAX, delay: NO_DELAY, acks: 0 };
        };
        let delay = now.saturating_duration_since(at).as_micros() / DELAY_UNIT_US;
        let delay = u16::try_from(delay).unwrap_or(NO_DELAY);
        let acks = u32::try_from(self.seen >> 1 & 0xFFFF_FFFF).unwrap_or(0);
        Header { ack: self.newest, delay, acks }
    }

    /// Takes a frame that lies in its window, and hands on the messages that are complete with it.
    pub(super) fn take(
        &mut self,
        frame: &Frame,
        max_message: usize,
        mut deliver: impl FnMut(Channel, Bytes),
    ) -> Result<(), TooLarge> {
        match frame.delivery {
            Delivery::Unreliable => deliver(Channel::UNRELIABLE, Bytes::copy_from_slice(frame.bytes)),
            Delivery::Sequenced => {
                if self.newest_sequenced.is_none_or(|newest| after(frame.id, newest) > 0) {
                    self.newest_sequenced = Some(frame.id);
                    deliver(Channel::SEQUENCED, Bytes::copy_from_slice(frame.bytes));
                }
            }
            Delivery::Ordered => return self.take_ordered(frame, max_message, deliver),
            Delivery::Unordered => {
                if self.take_unordered(frame.id) {
                    deliver(Channel::UNORDERED, Bytes::copy_from_slice(frame.bytes));
                }
            }
        }
        Ok(())
    }

    fn take_ordered(
        &mut self,
        frame: &Frame,
        max_message: usize,
        mut deliver: impl FnMut(Channel, Bytes),
    ) -> Result<(), TooLarge> {
        let Ok(ahead) = usize::try_from(after(frame.id, self.next_ordered)) else {
            return Ok(());
        };
        if ahead > 0 {
            if self.early.len() <= ahead {
                self.early.resize(ahead + 1, None);
            }
            if let Some(place @ None) = self.early.get_mut(ahead) {
                *place = Some((Bytes::copy_from_slice(frame.bytes), frame.more));
            }
            return Ok(());
        }
        self.early.pop_front();
        self.join(frame.bytes, frame.more, max_message, &mut deliver)?;
        while let Some((bytes, more)) = self.early.front_mut().and_then(Option::take) {
            self.early.pop_front();
            self.join(&bytes, more, max_message, &mut deliver)?;
        }
        if self.early.is_empty() {
            self.early = VecDeque::new();
        }
        Ok(())
    }

    /// The next piece in order.
    fn join(
        &mut self,
        bytes: &[u8],
        more: bool,
        max_message: usize,
        deliver: &mut impl FnMut(Channel, Bytes),
    ) -> Result<(), TooLarge> {
        self.next_ordered = self.next_ordered.wrapping_add(1);
        if self.pieces.len() + bytes.len() > max_message {
            return Err(TooLarge);
        }
        if more {
            self.pieces.extend_from_slice(bytes);
        } else if self.pieces.is_empty() {
            deliver(Channel::ORDERED, Bytes::copy_from_slice(bytes));
        } else {
            self.pieces.extend_from_slice(bytes);
            deliver(Channel::ORDERED, std::mem::take(&mut self.pieces).into());
        }
        Ok(())
    }

    /// Whether the id is new.
    fn take_unordered(&mut self, id: u16) -> bool {
        let Ok(ahead) = usize::try_from(after(id, self.first_unordered)) else {
            return false;
        };
        if ahead == 0 && self.seen_unordered.is_none() {
            self.first_unordered = self.first_unordered.wrapping_add(1);
            return true;
        }
        let seen = self.seen_unordered.get_or_insert_default();
        let Some(word) = seen.get_mut(ahead / 64) else {
            return false;
        };
        let bit = 1 << (ahead % 64);
        if *word & bit != 0 {
            return false;
        }
        *word |= bit;
        while seen[0] & 1 != 0 {
            for i in 0..seen.len() {
                let carry = seen.get(i + 1).map_or(0, |next| next << 63);
                seen[i] = seen[i] >> 1 | carry;
            }
            self.first_unordered = self.first_unordered.wrapping_add(1);
        }
        if **seen == [0; (WINDOW / 64) as usize] {
            self.seen_unordered = None;
        }
        true
    }

    #[cfg(test)]
    pub(super) fn check_bounds(&self, message: usize, packet: usize) {
        let early: usize = self.early.iter().flatten().map(|(bytes, _)| bytes.len()).sum();
        assert!(self.early.len() <= usize::from(WINDOW) && early <= usize::from(WINDOW) * packet, "{early}");
        assert!(self.pieces.len() <= message, "{}", self.pieces.len());
    }

    #[cfg(test)]
    pub(super) fn start_at(&mut self, sequence: u16, id: u16) {
        self.newest = sequence.wrapping_sub(1);
        (self.next_ordered, self.first_unordered) = (id, id);
    }
}
