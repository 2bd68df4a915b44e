//! The receiving half: segments in order, messages from them, and the acks that they are owed.

use std::collections::VecDeque;

use bytes::Bytes;
use loadkit_core::{Failure, Kind};

use super::config::{Config, Mode};
use super::wire::{Segment, after};
use crate::framing::FrameDecoder;
#[cfg(test)]
use crate::link::MAX_DATAGRAM;
use crate::pool::Pool;

/// What a message that waits to be fetched costs beside its bytes.
const MESSAGE_COST: usize = 64;
/// Larger queues are not kept.
const KEPT: usize = 64;

thread_local! {
    static MESSAGES: Pool<VecDeque<Bytes>> = const { Pool::new() };
    static ACKS: Pool<Vec<(u32, u32)>> = const { Pool::new() };
}

/// The receiving half of a session. Without anything under way it holds no buffer.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    /// The number of the segment that is due (`rcv_nxt`).
    next: u32,
    /// What came before its turn, from `next` on: fragments that follow, and data.
    early: VecDeque<Option<(u8, Box<[u8]>)>>,
    /// The fragments so far of a message.
    pieces: Vec<u8>,
    /// The stream, where it has frames and one is not whole.
    frames: Option<Box<FrameDecoder>>,
    /// What nobody has fetched yet.
    messages: VecDeque<Bytes>,
    /// What is early and what waits costs in memory.
    held: usize,
    /// Owed to the other side: `sn` and `ts`.
    acks: Vec<(u32, u32)>,
    /// So many of them have been written in this flush.
    told: usize,
}

impl Incoming {
    /// The number before which all have arrived.
    pub(super) fn next(&self) -> u32 {
        self.next
    }

    /// So many more segments can be taken.
    pub(super) fn window(&self, config: &Config) -> u16 {
        if self.held >= config.receive_buffer() {
            return 0;
        }
        config.receive_window.saturating_sub(u16::try_from(self.messages.len()).unwrap_or(u16::MAX))
    }

    /// Takes a segment with data, or leaves it to be sent again. Whether it is new.
    ///
    /// # Errors
    /// A message is longer than allowed, or what the frames' decoder says.
    pub(super) fn push(&mut self, segment: &Segment, config: &Config) -> Result<bool, Failure> {
        let ahead = after(segment.sn, self.next);
        let is_full = self.acks.len() >= 2 * usize::from(config.receive_window);
        if ahead >= config.receive_window.into() || is_full {
            return Ok(false);
        }
        let Ok(ahead) = usize::try_from(ahead) else {
            self.ack(segment);
            return Ok(false);
        };
        if ahead == 0 && self.window(config) > 0 {
            self.ack(segment);
            if let Some(Some((_, known))) = self.early.pop_front() {
                self.held = self.held.saturating_sub(known.len() + MESSAGE_COST);
            }
            self.join(segment.frg, segment.data, config)?;
            self.advance(config)?;
            return Ok(true);
        }
        let is_known = self.early.get(ahead).is_some_and(Option::is_some);
        if !is_known {
            let cost = segment.data.len() + MESSAGE_COST;
            if self.held + cost > config.receive_buffer() {
                return Ok(false);
            }
            self.held += cost;
            if self.early.len() <= ahead {
                self.early.resize(ahead + 1, None);
            }
            if let Some(place) = self.early.get_mut(ahead) {
                *place = Some((segment.frg, segment.data.into()));
            }
        }
        self.ack(segment);
        Ok(!is_known)
    }

    fn ack(&mut self, segment: &Segment) {
        if self.acks.capacity() == 0 {
            self.acks = ACKS.with(Pool::take);
        }
        self.acks.push((segment.sn, segment.ts));
    }

    /// Takes what was early and is due, as long as there is room for messages.
    fn advance(&mut self, config: &Config) -> Result<(), Failure> {
        while self.window(config) > 0
            && let Some((frg, data)) = self.early.front_mut().and_then(Option::take)
        {
            self.early.pop_front();
            self.held = self.held.saturating_sub(data.len() + MESSAGE_COST);
            self.join(frg, &data, config)?;
        }
        if self.early.is_empty() {
            self.early = VecDeque::new();
        }
        Ok(())
    }

    /// The next segment in order.
    fn join(&mut self, frg: u8, data: &[u8], config: &Config) -> Result<(), Failure> {
        self.next = self.next.wrapping_add(1);
        match config.mode {
            Mode::Messages => {
                if self.pieces.len() + data.len() > config.message {
                    let what = format!("the other side sent a message of more than {} bytes", config.message);
                    return Err(Failure::new(Kind::TOO_LARGE, what));
                }
                if frg > 0 {
                    self.pieces.extend_from_slice(data);
                } else if self.pieces.is_empty() {
                    self.whole(Bytes::copy_from_slice(data));
                } else {
                    self.pieces.extend_from_slice(data);
                    let message = std::mem::take(&mut self.pieces);
                    self.whole(message.into());
                }
            }
            Mode::Stream => {
                if !data.is_empty() {
                    self.whole(Bytes::copy_from_slice(data));
                }
            }
            Mode::Frames(framing) => {
                let mut frames = self.frames.take().unwrap_or_else(|| Box::new(FrameDecoder::new(framing)));
                frames.put(data);
                while let Some(frame) = frames.take()? {
                    self.whole(Bytes::copy_from_slice(frame));
                }
                self.frames = (frames.held() > 0).then_some(frames);
            }
        }
        Ok(())
    }

    fn whole(&mut self, bytes: Bytes) {
        if self.messages.capacity() == 0 {
            self.messages = MESSAGES.with(Pool::take);
        }
        self.held += bytes.len() + MESSAGE_COST;
        self.messages.push_back(bytes);
    }

    /// The next message. What waited for its room follows it.
    ///
    /// # Errors
    /// As [`Incoming::push`].
    pub(super) fn fetch(&mut self, config: &Config) -> Result<Option<Bytes>, Failure> {
        let Some(message) = self.messages.pop_front() else {
            if self.messages.capacity() > 0 {
                let empty = std::mem::take(&mut self.messages);
                if empty.capacity() <= KEPT {
                    MESSAGES.with(|pool| pool.leave(empty));
                }
            }
            return Ok(None);
        };
        self.held = self.held.saturating_sub(message.len() + MESSAGE_COST);
        self.advance(config)?;
        Ok(Some(message))
    }

    /// Drops all but the messages that are whole.
    pub(super) fn end(&mut self) {
        let early: usize = self.early.iter().flatten().map(|(_, data)| data.len() + MESSAGE_COST).sum();
        self.held = self.held.saturating_sub(early);
        (self.early, self.pieces, self.frames) = (VecDeque::new(), Vec::new(), None);
        (self.acks, self.told) = (Vec::new(), 0);
    }

    /// Whether acks are owed.
    pub(super) fn owes_acks(&self) -> bool {
        !self.acks.is_empty()
    }

    /// The next ack of this flush: `sn` and `ts`.
    pub(super) fn next_ack(&self) -> Option<(u32, u32)> {
        self.acks.get(self.told).copied()
    }

    /// The ack is written.
    pub(super) fn acked(&mut self) {
        self.told += 1;
        if self.told >= self.acks.len() {
            self.told = 0;
            let mut acks = std::mem::take(&mut self.acks);
            if acks.capacity() <= KEPT {
                acks.clear();
                ACKS.with(|pool| pool.leave(acks));
            }
        }
    }
}

#[cfg(test)]
impl Incoming {
    pub(super) fn check_bounds(&self, config: &Config) {
        let early: usize = self.early.iter().flatten().map(|(_, data)| data.len() + MESSAGE_COST).sum();
        let waiting: usize = self.messages.iter().map(|message| message.len() + MESSAGE_COST).sum();
        assert_eq!(self.held, early + waiting);
        // What one datagram brings may go beyond, and then the window is shut.
        let most = config.receive_buffer() + config.message + MAX_DATAGRAM * MESSAGE_COST;
        assert!(self.held <= most && early <= config.receive_buffer(), "{early}, {waiting}");
        assert!(self.early.len() <= config.receive_window.into() && self.pieces.len() <= config.message);
        assert!(self.acks.len() <= 2 * usize::from(config.receive_window), "{}", self.acks.len());
    }

    pub(super) fn is_idle(&self) -> bool {
        let room = self.early.capacity() + self.pieces.capacity() + self.messages.capacity() + self.acks.capacity();
        room == 0 && self.held == 0 && self.frames.is_none()
    }

    pub(super) fn start_at(&mut self, sn: u32) {
        self.next = sn;
    }
}
