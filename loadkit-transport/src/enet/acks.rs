//! Acknowledgements that wait to be sent.

use std::collections::VecDeque;

use super::wire::{Body, Command};
use crate::pool::Pool;

/// Acknowledgements that wait, at most; further commands are dropped as if they had been lost.
const MAX_WAITING: usize = 4_096;
/// Larger queues are not kept.
const KEPT_PLACES: usize = 64;

thread_local! {
    static QUEUES: Pool<VecDeque<Ack>> = const { Pool::new() };
}

/// One that waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ack {
    pub(super) channel: u8,
    pub(super) sequence: u16,
    /// When the command was sent, as its sender says.
    pub(super) sent_time: u16,
}

/// Acknowledgements that wait to be sent. Without a queue when none does.
#[derive(Debug, Default)]
pub(super) struct Acks(VecDeque<Ack>);

impl Acks {
    pub(super) fn is_full(&self) -> bool {
        self.0.len() >= MAX_WAITING
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn push(&mut self, ack: Ack) {
        if self.0.capacity() == 0 {
            self.0 = QUEUES.with(Pool::take);
        }
        self.0.push_back(ack);
    }

    pub(super) fn pop(&mut self) -> Option<Ack> {
        let ack = self.0.pop_front();
        if self.0.is_empty() && self.0.capacity() > 0 {
            let empty = std::mem::take(&mut self.0);
            if empty.capacity() <= KEPT_PLACES {
                QUEUES.with(|pool| pool.leave(empty));
            }
        }
        ack
    }

    #[cfg(test)]
    pub(super) fn check_bounds(&self) {
        assert!(self.0.len() <= MAX_WAITING, "{}", self.0.len());
    }
}

impl Ack {
    pub(super) fn command(self) -> Command<'static> {
        let Ack { channel, sequence, sent_time } = self;
        let body = Body::Acknowledge { sequence, sent_time };
        Command { channel, sequence, acknowledge: false, unsequenced: false, body }
    }
}
