//! The sending half: packets under way, and what their acks and losses mean for the messages in them.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::lanes::{Carried, Lanes};
use super::wire::{Header, after};
use crate::pool::Pool;

/// No reliable message goes out in a packet so far after the oldest one unacked: an ack tells of 33 packets, and what
/// it cannot tell of would be sent again in vain.
const SPAN: i16 = 32;
/// A packet is lost when one so far after it has arrived (RFC 9002, section 6.1.1).
const LOST_AFTER: i16 = 3;
/// Packets remembered at once, at most.
const REMEMBERED: usize = 64;
/// Unreliable packets are remembered so long.
const FORGET_AFTER: Duration = Duration::from_secs(5);

thread_local! {
    static UNDER_WAY: Pool<VecDeque<Sent>> = const { Pool::new() };
}

/// A packet under way.
#[derive(Debug)]
pub(super) struct Sent {
    sequence: u16,
    /// Its length.
    pub(super) len: u16,
    pub(super) at: Instant,
    /// The reliable messages in it. Most packets have one at most, and need no list for it.
    first: Option<Carried>,
    rest: Vec<Carried>,
}

impl Sent {
    fn messages(&self) -> impl Iterator<Item = Carried> {
        self.first.into_iter().chain(self.rest.iter().copied())
    }

    fn is_reliable(&self) -> bool {
        self.first.is_some()
    }
}

/// What became of packets, for whoever paces the sending.
#[derive(Debug)]
pub(super) enum Fate {
    Acked,
    Lost,
    /// It does not matter any more.
    Forgotten,
}

/// What an ack taught.
#[derive(Debug, Default)]
pub(super) struct Acked {
    /// Time from the sending of the packet that is acked first-hand to now, if it is news.
    pub(super) elapsed: Option<Duration>,
    /// Packets newly known to have arrived.
    pub(super) arrived: usize,
}

/// The sending half of a session.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    pub(super) lanes: Lanes,
    under_way: VecDeque<Sent>,
    pub(super) next_sequence: u16,
    largest_acked: Option<u16>,
    /// When the next packet that an ack has passed over counts as lost.
    loss_at: Option<Instant>,
    pub(super) lost: u32,
}

impl Outgoing {
    /// Whether a reliable message may go into the next packet.
    pub(super) fn is_ready(&self) -> bool {
        self.lanes.is_ready()
            && self.oldest_reliable().is_none_or(|sent| after(self.next_sequence, sent.sequence) < SPAN)
    }

    fn oldest_reliable(&self) -> Option<&Sent> {
        self.under_way.iter().find(|sent| sent.is_reliable())
    }

    /// The number of the next packet.
    pub(super) fn take_sequence(&mut self) -> u16 {
        let sequence = self.next_sequence;
        self.next_sequence = sequence.wrapping_add(1);
        sequence
    }

    /// Remembers a packet whose number was taken last, with the reliable frames that it writes into it until it is
    /// `limit` bytes long. Call [`Outgoing::sent`] when its length is known.
    pub(super) fn fill(&mut self, now: Instant, out: &mut Vec<u8>, limit: Option<usize>) {
        let sequence = self.next_sequence.wrapping_sub(1);
        let mut sent = Sent { sequence, len: 0, at: now, first: None, rest: Vec::new() };
        if let Some(limit) = limit {
            self.lanes.fill(sequence, out, limit, |carried| match sent.first {
                None => sent.first = Some(carried),
                Some(_) => sent.rest.push(carried),
            });
        }
        if self.under_way.capacity() == 0 {
            self.under_way = UNDER_WAY.with(Pool::take);
        }
        self.under_way.push_back(sent);
    }

    /// The packet remembered last is so long.
    pub(super) fn sent(&mut self, len: usize, fate: impl FnMut(&Sent, Fate)) {
        if let Some(sent) = self.under_way.back_mut() {
            sent.len = u16::try_from(len).unwrap_or(u16::MAX);
        }
        if self.under_way.len() > REMEMBERED {
            self.lose(0, fate);
        }
    }

    /// Whether an ack can be true: what was never sent cannot have arrived.
    pub(super) fn can_be_true(&self, header: &Header) -> bool {
        after(header.ack, self.next_sequence) < 0
    }

    /// Takes the acks of a header. [`Outgoing::detect`] is to follow.
    pub(super) fn acked(&mut self, now: Instant, header: &Header, mut fate: impl FnMut(&Sent, Fate)) -> Acked {
        let mut news = Acked::default();
        let mut at = 0;
        while let Some(sent) = self.under_way.get(at) {
            let behind = after(header.ack, sent.sequence);
            if behind < 0 {
                break;
            }
            if behind > 32 || behind > 0 && header.acks & (1 << (behind - 1)) == 0 {
                at += 1;
                continue;
            }
            let Some(sent) = self.under_way.remove(at) else {
                break;
            };
            news.arrived += 1;
            if behind == 0 {
                news.elapsed = Some(now.saturating_duration_since(sent.at));
            }
            for message in sent.messages() {
                self.lanes.arrived(message);
            }
            fate(&sent, Fate::Acked);
        }
        if self.largest_acked.is_none_or(|largest| after(header.ack, largest) > 0) {
            self.largest_acked = Some(header.ack);
        }
        news
    }

    /// Finds what is lost because later packets have arrived: three of them, or one and `delay` has passed since it
    /// was sent (RFC 9002, section 6.1).
    pub(super) fn detect(&mut self, now: Instant, delay: impl Fn() -> Duration, mut fate: impl FnMut(&Sent, Fate)) {
        self.loss_at = None;
        if self.under_way.is_empty() {
            return self.leave();
        }
        let Some(largest) = self.largest_acked else { return };
        let mut at = 0;
        while let Some(sent) = self.under_way.get(at) {
            let behind = after(largest, sent.sequence);
            if behind <= 0 {
                break;
            }
            let lost_at = sent.at + delay();
            if behind >= LOST_AFTER || lost_at <= now {
                self.lose(at, &mut fate);
            } else {
                self.loss_at = Some(self.loss_at.map_or(lost_at, |known| known.min(lost_at)));
                at += 1;
            }
        }
        if self.under_way.is_empty() {
            self.leave();
        }
    }

    /// Nothing is under way: the queue is for another connection.
    fn leave(&mut self) {
        if self.under_way.capacity() > 0 {
            let empty = std::mem::take(&mut self.under_way);
            UNDER_WAY.with(|pool| pool.leave(empty));
        }
    }

    /// Queues again what was in a lost packet and has not been sent since.
    fn lose(&mut self, at: usize, mut fate: impl FnMut(&Sent, Fate)) {
        let Some(sent) = self.under_way.remove(at) else { return };
        for message in sent.messages() {
            self.lanes.lost(message, sent.sequence);
        }
        self.lost = self.lost.saturating_add(1);
        fate(&sent, Fate::Lost);
    }

    /// When something under way is given up.
    pub(super) fn deadline(&self, time_out: impl FnOnce() -> Duration) -> Option<Instant> {
        let resend = self.oldest_reliable().map(|sent| sent.at + time_out());
        match (resend, self.loss_at) {
            (Some(resend), Some(loss)) => Some(resend.min(loss)),
            (resend, loss) => resend.or(loss),
        }
    }

    /// Whether packets passed over are to be looked at: see [`Outgoing::detect`].
    pub(super) fn is_loss_due(&self, now: Instant) -> bool {
        self.loss_at.is_some_and(|at| now >= at)
    }

    /// Gives up what has been under way for `time_out`. Whether there was something.
    pub(super) fn expire(&mut self, now: Instant, time_out: Duration, mut fate: impl FnMut(&Sent, Fate)) -> bool {
        let mut is_lost = false;
        let mut at = 0;
        while let Some(sent) = self.under_way.get(at) {
            let limit = if sent.is_reliable() { time_out } else { FORGET_AFTER };
            if sent.at + limit > now {
                at += 1;
            } else if sent.is_reliable() {
                is_lost = true;
                self.lose(at, &mut fate);
            } else if let Some(sent) = self.under_way.remove(at) {
                fate(&sent, Fate::Forgotten);
            }
        }
        is_lost
    }

    #[cfg(test)]
    pub(super) fn check_bounds(&self, send_buffer: usize) {
        assert!(self.under_way.len() <= REMEMBERED, "{}", self.under_way.len());
        self.lanes.check_bounds(send_buffer);
    }
}
