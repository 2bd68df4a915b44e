//! The sending half: reliable messages until they are acked, and the packets that are under way.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::frame::Frame;
use super::wire::{Header, after};
use crate::pool::Pool;
use crate::protocol::Delivery;

/// Unacked messages of a lane under way at once, at most; the receiver keeps as many apart.
pub(super) const WINDOW: u16 = 256;
/// No reliable message goes out in a packet so far after the oldest one unacked: an ack tells of 33 packets, and what
/// it cannot tell of would be sent again in vain.
const SPAN: i16 = 32;
/// A packet is lost when one so far after it has arrived (RFC 9002, section 6.1.1).
const LOST_AFTER: i16 = 3;
/// Packets remembered at once, at most.
const REMEMBERED: usize = 64;
/// Unreliable packets are remembered so long.
const FORGET_AFTER: Duration = Duration::from_secs(5);
/// What a queued message costs beside its bytes.
const MESSAGE_COST: usize = 64;

/// The reliable promises, as indices.
const RELIABLE: [Delivery; 2] = [Delivery::Ordered, Delivery::Unordered];

/// Larger queues are not kept.
const KEPT_PLACES: usize = 64;

thread_local! {
    static LANES: Pool<Box<Lane>> = const { Pool::new() };
    static UNDER_WAY: Pool<VecDeque<Sent>> = const { Pool::new() };
}

#[derive(Debug)]
struct Queued {
    bytes: Box<[u8]>,
    more: bool,
    acked: bool,
    /// The packet in which it was sent last.
    packet: u16,
}

/// What is unacked of one promise. It exists only while there is something.
#[derive(Debug, Default)]
struct Lane {
    queue: VecDeque<Queued>,
    /// So many at the front have been sent.
    sent: u16,
    /// Ids to be sent again, in order of loss.
    again: VecDeque<u16>,
}

/// A packet under way.
#[derive(Debug)]
struct Sent {
    sequence: u16,
    at: Instant,
    /// The reliable messages in it: lane and id.
    messages: Vec<(u8, u16)>,
}

/// What an ack taught.
#[derive(Debug, Default)]
pub(super) struct Acked {
    /// Time from the sending of the packet that is acked first-hand to now, if it is news.
    pub(super) elapsed: Option<Duration>,
    /// Packets newly known to have arrived.
    pub(super) arrived: usize,
    /// Packets newly taken for lost.
    pub(super) lost: u64,
}

/// The sending half of a session.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    lanes: [Option<Box<Lane>>; 2],
    /// The id of the first in each lane's queue, or of the next message.
    first: [u16; 2],
    under_way: VecDeque<Sent>,
    /// What reliable messages cost in memory now.
    pub(super) held: usize,
    pub(super) next_sequence: u16,
    pub(super) resends: u64,
}

impl Outgoing {
    /// What holding a message would cost.
    pub(super) fn cost(message: &[u8], piece: usize) -> usize {
        message.len() + MESSAGE_COST * message.len().div_ceil(piece.max(1)).max(1)
    }

    /// Queues a reliable message, in pieces of at most `piece` bytes.
    pub(super) fn push(&mut self, delivery: Delivery, message: &[u8], piece: usize) {
        self.held += Outgoing::cost(message, piece);
        let lane = self.lanes[lane_of(delivery)].get_or_insert_with(|| LANES.with(Pool::take));
        let mut rest = message;
        loop {
            let (head, tail) = rest.split_at(rest.len().min(piece));
            lane.queue.push_back(Queued { bytes: head.into(), more: !tail.is_empty(), acked: false, packet: 0 });
            rest = tail;
            if rest.is_empty() {
                return;
            }
        }
    }

    /// Whether reliable messages are unacked.
    pub(super) fn is_waiting(&self) -> bool {
        self.lanes.iter().any(Option::is_some)
    }

    /// Whether a reliable message may go into the next packet.
    pub(super) fn is_ready(&self) -> bool {
        let span = self.oldest_reliable().map_or(0, |sent| after(self.next_sequence, sent.sequence));
        span < SPAN && self.lanes.iter().flatten().any(|lane| lane.next(0).is_some())
    }

    fn oldest_reliable(&self) -> Option<&Sent> {
        self.under_way.iter().find(|sent| !sent.messages.is_empty())
    }

    /// Writes reliable frames into a packet until it is `limit` bytes long. Call only when ready.
    pub(super) fn fill(&mut self, out: &mut Vec<u8>, limit: usize) -> Vec<(u8, u16)> {
        let mut messages = Vec::new();
        for (index, delivery) in RELIABLE.into_iter().enumerate() {
            let Some(lane) = &mut self.lanes[index] else {
                continue;
            };
            while let Some((at, again)) = lane.next(self.first[index]) {
                let id = self.first[index].wrapping_add(at);
                let Some(queued) = lane.queue.get_mut(usize::from(at)) else {
                    break;
                };
                let frame = Frame { delivery, more: queued.more, id, bytes: &queued.bytes };
                if out.len() + frame.len() > limit {
                    break;
                }
                frame.write(out);
                queued.packet = self.next_sequence.wrapping_sub(1);
                messages.push((index as u8, id));
                if again {
                    lane.again.pop_front();
                    self.resends += 1;
                } else {
                    lane.sent += 1;
                }
            }
        }
        messages
    }

    /// The number of the next packet.
    pub(super) fn take_sequence(&mut self) -> u16 {
        let sequence = self.next_sequence;
        self.next_sequence = sequence.wrapping_add(1);
        sequence
    }

    /// Remembers the packet just written, whose number was taken last.
    pub(super) fn sent(&mut self, now: Instant, messages: Vec<(u8, u16)>) {
        if self.under_way.len() >= REMEMBERED
            && let Some(oldest) = self.under_way.pop_front()
        {
            self.lose(&oldest);
        }
        if self.under_way.capacity() == 0 {
            self.under_way = UNDER_WAY.with(Pool::take);
        }
        self.under_way.push_back(Sent { sequence: self.next_sequence.wrapping_sub(1), at: now, messages });
    }

    /// Whether an ack can be true: what was never sent cannot have arrived.
    pub(super) fn can_be_true(&self, header: &Header) -> bool {
        after(header.ack, self.next_sequence) < 0
    }

    /// Takes the acks of a header.
    pub(super) fn acked(&mut self, now: Instant, header: &Header) -> Acked {
        let mut news = Acked::default();
        let mut at = 0;
        while let Some(sent) = self.under_way.get(at) {
            let behind = after(header.ack, sent.sequence);
            if behind < 0 {
                break;
            }
            let arrived = behind == 0 || (behind <= 32 && header.acks & (1 << (behind - 1)) != 0);
            if !arrived && behind < LOST_AFTER {
                at += 1;
                continue;
            }
            let Some(sent) = self.under_way.remove(at) else {
                break;
            };
            if arrived {
                news.arrived += 1;
                if behind == 0 {
                    news.elapsed = Some(now.saturating_duration_since(sent.at));
                }
                for &(lane, id) in &sent.messages {
                    self.message_arrived(usize::from(lane), id);
                }
            } else {
                news.lost += 1;
                self.lose(&sent);
            }
        }
        if self.under_way.is_empty() && self.under_way.capacity() > 0 {
            let empty = std::mem::take(&mut self.under_way);
            UNDER_WAY.with(|pool| pool.leave(empty));
        }
        news
    }

    fn message_arrived(&mut self, index: usize, id: u16) {
        let first = &mut self.first[index];
        let Some(lane) = &mut self.lanes[index] else {
            return;
        };
        let Some(queued) = lane.queue.get_mut(usize::from(id.wrapping_sub(*first))) else {
            return;
        };
        queued.acked = true;
        lane.again.retain(|&again| again != id);
        while let Some(queued) = lane.queue.front().filter(|queued| queued.acked) {
            self.held = self.held.saturating_sub(queued.bytes.len() + MESSAGE_COST);
            lane.queue.pop_front();
            *first = first.wrapping_add(1);
            lane.sent = lane.sent.saturating_sub(1);
        }
        if lane.queue.is_empty()
            && let Some(lane) = self.lanes[index].take()
        {
            lane.leave();
        }
    }

    /// Queues again what was in a lost packet and has not been sent since.
    fn lose(&mut self, lost: &Sent) {
        for &(index, id) in &lost.messages {
            let index = usize::from(index);
            let at = id.wrapping_sub(self.first[index]);
            if let Some(lane) = &mut self.lanes[index]
                && at < lane.sent
                && let Some(queued) = lane.queue.get(usize::from(at))
                && !queued.acked
                && queued.packet == lost.sequence
            {
                lane.again.push_back(id);
            }
        }
    }

    /// When the oldest packet with reliable messages is given up.
    pub(super) fn deadline(&self, time_out: impl FnOnce() -> Duration) -> Option<Instant> {
        self.oldest_reliable().map(|sent| sent.at + time_out())
    }

    /// Gives up what has been under way for `time_out`: the number of packets lost so.
    pub(super) fn expire(&mut self, now: Instant, time_out: Duration) -> u64 {
        let mut lost = 0;
        let mut at = 0;
        while let Some(sent) = self.under_way.get(at) {
            let limit = if sent.messages.is_empty() { FORGET_AFTER } else { time_out };
            if sent.at + limit > now {
                at += 1;
                continue;
            }
            if let Some(sent) = self.under_way.remove(at)
                && !sent.messages.is_empty()
            {
                lost += 1;
                self.lose(&sent);
            }
        }
        lost
    }

    #[cfg(test)]
    pub(super) fn check_bounds(&self, send_buffer: usize) {
        let cost = |queued: &Queued| queued.bytes.len() + MESSAGE_COST;
        let held: usize = self.lanes.iter().flatten().flat_map(|lane| &lane.queue).map(cost).sum();
        assert!(self.under_way.len() <= REMEMBERED && held <= self.held && self.held <= send_buffer, "{held}");
        for lane in self.lanes.iter().flatten() {
            assert!(lane.sent <= WINDOW && lane.again.len() <= usize::from(lane.sent), "{}", lane.again.len());
        }
    }

    #[cfg(test)]
    pub(super) fn start_at(&mut self, sequence: u16, id: u16) {
        (self.next_sequence, self.first) = (sequence, [id; 2]);
    }
}

impl Lane {
    /// For another connection. Nothing waits in it.
    fn leave(mut self: Box<Lane>) {
        if self.queue.capacity() <= KEPT_PLACES && self.again.capacity() <= KEPT_PLACES {
            self.again.clear();
            self.sent = 0;
            LANES.with(|pool| pool.leave(self));
        }
    }

    /// The place in the queue of what goes out next, and whether it goes again. `first` is the id of place 0.
    fn next(&self, first: u16) -> Option<(u16, bool)> {
        if let Some(&id) = self.again.front() {
            return Some((id.wrapping_sub(first), true));
        }
        (self.sent < WINDOW && usize::from(self.sent) < self.queue.len()).then_some((self.sent, false))
    }
}

fn lane_of(delivery: Delivery) -> usize {
    usize::from(delivery == Delivery::Unordered)
}
