//! Unreliable frames that wait for the next flush.

use super::frame::Frame;
use crate::pool::Pool;

/// Larger buffers are not kept.
const KEPT_BYTES: usize = 4_096;

thread_local! {
    static BUFFERS: Pool<Vec<u8>> = const { Pool::new() };
}

/// Frames as they go on the wire, each behind its length (u16). Without a buffer when none waits.
#[derive(Debug, Default)]
pub(super) struct Unreliable(Vec<u8>);

impl Unreliable {
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Queues frames, all or none; false when more than `limit` bytes would wait.
    pub(super) fn push<'a>(&mut self, frames: impl Iterator<Item = Frame<'a>> + Clone, limit: usize) -> bool {
        let len: usize = frames.clone().map(|frame| frame.len() + 2).sum();
        if self.0.len() + len > limit {
            return false;
        }
        if self.0.capacity() == 0 {
            self.0 = BUFFERS.with(Pool::take);
        }
        self.0.reserve(len);
        for frame in frames {
            self.0.extend_from_slice(&u16::try_from(frame.len()).unwrap_or(0).to_le_bytes());
            frame.write(&mut self.0);
        }
        true
    }

    /// Moves frames into a packet until it is `limit` bytes long.
    pub(super) fn fill(&mut self, out: &mut Vec<u8>, limit: usize) {
        let mut at = 0;
        while let Some((prefix, rest)) = self.0.get(at..).and_then(|rest| rest.split_first_chunk()) {
            let len = usize::from(u16::from_le_bytes(*prefix));
            let Some(frame) = rest.get(..len).filter(|frame| out.len() + frame.len() <= limit) else { break };
            out.extend_from_slice(frame);
            at += 2 + len;
        }
        if at == self.0.len() {
            let mut empty = std::mem::take(&mut self.0);
            if (1..=KEPT_BYTES).contains(&empty.capacity()) {
                empty.clear();
                BUFFERS.with(|pool| pool.leave(empty));
            }
        } else {
            self.0.drain(..at);
        }
    }
}
