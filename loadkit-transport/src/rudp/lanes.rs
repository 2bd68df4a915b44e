//! What waits to be acked: the reliable messages of each lane that is used.

use std::collections::VecDeque;

use tokio::time::Instant;

use super::frame::{Frame, Piece};
use crate::pool::Pool;
use crate::protocol::Channel;

/// Unacked messages of a lane under way at once, at most; the receiver keeps as many apart.
pub(super) const WINDOW: u16 = 256;
/// What a queued message costs beside its bytes.
const MESSAGE_COST: usize = 64;
/// Larger queues are not kept.
const KEPT_PLACES: usize = 64;

thread_local! {
    static QUEUES: Pool<Box<Queue>> = const { Pool::new() };
}

/// A message (or a piece of one) in a packet: which of the used lanes, and its id there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Carried {
    pub(super) lane: u8,
    pub(super) id: u16,
}

#[derive(Debug)]
struct Queued {
    bytes: Box<[u8]>,
    piece: Option<Piece>,
    acked: bool,
    /// The packet in which it was sent last.
    packet: u16,
    since: Instant,
}

/// What is unacked of one lane. It exists only while there is something.
#[derive(Debug, Default)]
struct Queue {
    queue: VecDeque<Queued>,
    /// So many at the front have been sent.
    sent: u16,
    /// Ids to be sent again, in order of loss.
    again: VecDeque<u16>,
}

/// A lane that has been used.
#[derive(Debug)]
struct Lane {
    channel: Channel,
    /// The id of the first in the queue, or of the next message.
    first: u16,
    queue: Option<Box<Queue>>,
}

/// The used lanes, in the order of their first use.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    used: Vec<Lane>,
    /// Which lane goes first in the next packet, so that none waits for the others.
    turn: u8,
    /// What messages cost in memory now.
    pub(super) held: usize,
    pub(super) resends: u32,
}

impl Lanes {
    /// What holding a message would cost.
    pub(super) fn cost(message: &[u8], whole: usize, piece: usize) -> usize {
        let pieces = if message.len() <= whole { 1 } else { message.len().div_ceil(piece.max(1)) };
        message.len() + MESSAGE_COST * pieces
    }

    /// Queues a message: up to `whole` bytes as it is, longer in pieces of `piece` bytes.
    pub(super) fn push(&mut self, now: Instant, channel: Channel, message: &[u8], whole: usize, piece: usize) {
        self.held += Lanes::cost(message, whole, piece);
        let lane = match self.used.iter_mut().position(|lane| lane.channel == channel) {
            Some(at) => &mut self.used[at],
            None => {
                self.used.reserve_exact(1);
                self.used.push(Lane { channel, first: 0, queue: None });
                let last = self.used.len() - 1;
                &mut self.used[last]
            }
        };
        let queue = &mut lane.queue.get_or_insert_with(|| QUEUES.with(Pool::take)).queue;
        let mut add = |bytes: &[u8], piece| {
            queue.push_back(Queued { bytes: bytes.into(), piece, acked: false, packet: 0, since: now });
        };
        if message.len() <= whole {
            return add(message, None);
        }
        for (bytes, piece) in pieces(message, piece) {
            add(bytes, Some(piece));
        }
    }

    /// Whether messages are unacked.
    pub(super) fn is_waiting(&self) -> bool {
        self.used.iter().any(|lane| lane.queue.is_some())
    }

    /// Whether a message may go into a packet.
    pub(super) fn is_ready(&self) -> bool {
        self.used.iter().any(|lane| lane.queue.as_ref().is_some_and(|queue| queue.next(0).is_some()))
    }

    /// Since when the message waits that has waited longest.
    pub(super) fn oldest(&self) -> Option<Instant> {
        let fronts = self.used.iter().filter_map(|lane| lane.queue.as_ref()?.queue.front());
        fronts.map(|queued| queued.since).min()
    }

    /// Writes frames into the packet numbered `packet` until it is `limit` bytes long, and tells which.
    pub(super) fn fill(&mut self, packet: u16, out: &mut Vec<u8>, limit: usize, mut tell: impl FnMut(Carried)) {
        let count = self.used.len();
        for step in 0..count {
            let index = (usize::from(self.turn) + step) % count;
            let Some(Lane { channel, first, queue: Some(queue) }) = self.used.get_mut(index) else { continue };
            while let Some((at, again)) = queue.next(*first) {
                let id = first.wrapping_add(at);
                let Some(queued) = queue.queue.get_mut(usize::from(at)) else {
                    break;
                };
                let frame = Frame { channel: *channel, piece: queued.piece, id, bytes: &queued.bytes };
                if out.len() + frame.len() > limit {
                    break;
                }
                frame.write(out);
                queued.packet = packet;
                tell(Carried { lane: index as u8, id });
                if again {
                    queue.again.pop_front();
                    self.resends = self.resends.saturating_add(1);
                } else {
                    queue.sent += 1;
                }
            }
        }
        self.turn = if count > 1 { (self.turn + 1) % count as u8 } else { 0 };
    }

    /// A message has been acked.
    pub(super) fn arrived(&mut self, Carried { lane, id }: Carried) {
        let Some(Lane { first, queue: place, .. }) = self.used.get_mut(usize::from(lane)) else { return };
        let Some(lane) = place else { return };
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
            && let Some(queue) = place.take()
        {
            queue.leave();
        }
    }

    /// Queues again what was in the lost packet numbered `packet`, unless it has been sent since.
    pub(super) fn lost(&mut self, Carried { lane, id }: Carried, packet: u16) {
        if let Some(Lane { first, queue: Some(lane), .. }) = self.used.get_mut(usize::from(lane)) {
            let at = id.wrapping_sub(*first);
            if at < lane.sent
                && let Some(queued) = lane.queue.get(usize::from(at))
                && !queued.acked
                && queued.packet == packet
            {
                lane.again.push_back(id);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn check_bounds(&self, send_buffer: usize) {
        let cost = |queued: &Queued| queued.bytes.len() + MESSAGE_COST;
        let queues = || self.used.iter().filter_map(|lane| lane.queue.as_ref());
        let held: usize = queues().flat_map(|queue| &queue.queue).map(cost).sum();
        assert!(held == self.held && self.held <= send_buffer, "{held} and {}", self.held);
        for queue in queues() {
            assert!(queue.sent <= WINDOW && queue.again.len() <= usize::from(queue.sent), "{}", queue.again.len());
        }
    }

    #[cfg(test)]
    pub(super) fn start_at(&mut self, channels: impl Iterator<Item = Channel>, id: u16) {
        self.used = channels.map(|channel| Lane { channel, first: id, queue: None }).collect();
    }
}

impl Queue {
    /// For another connection. Nothing waits in it.
    fn leave(mut self: Box<Queue>) {
        if self.queue.capacity() <= KEPT_PLACES && self.again.capacity() <= KEPT_PLACES {
            self.again.clear();
            self.sent = 0;
            QUEUES.with(|pool| pool.leave(self));
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

/// A long message in pieces of `len` bytes.
pub(super) fn pieces(message: &[u8], len: usize) -> impl Iterator<Item = (&[u8], Piece)> + Clone {
    let len = len.max(1);
    let last = message.len().div_ceil(len).saturating_sub(1) as u8;
    message.chunks(len).enumerate().map(move |(index, bytes)| (bytes, Piece { index: index as u8, last }))
}
