//! Reliable commands until they are acknowledged, by channel.

use std::collections::VecDeque;

use bytes::Bytes;

use super::pace::Pace;
use super::wire::{Body, CONNECTION, Command, Fragment};
use crate::pool::Pool;

/// Commands of a channel from the oldest unacknowledged one on that may be under way. The receiver keeps seven windows
/// of 4,096 apart; one is enough, and it bounds what an acknowledgement has to be compared with.
const SPAN: usize = 4_096;
/// What a queued command costs beside its bytes.
const COMMAND_COST: usize = 128;
/// Larger queues are not kept.
const KEPT_PLACES: usize = 64;

thread_local! {
    static QUEUES: Pool<Box<Queue>> = const { Pool::new() };
}

/// A command of the connection itself. What it says is written when it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Control {
    Connect,
    VerifyConnect,
    Disconnect,
    Ping,
    BandwidthLimit,
    ThrottleConfigure,
}

/// What a command carries.
#[derive(Debug)]
pub(super) enum Load {
    Message(Bytes),
    Piece { start: u16, count: u32, number: u32, total: u32, offset: u32, bytes: Bytes },
    Control(Control),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Waits,
    UnderWay,
    Acknowledged,
}

#[derive(Debug)]
struct Item {
    load: Load,
    /// Its place among all that was queued.
    order: u32,
    time_out_ms: u32,
    attempts: u8,
    progress: Progress,
    sent_us: u64,
}

/// What is unacknowledged of a channel.
#[derive(Debug, Default)]
struct Queue {
    /// The sequence number of the first.
    first: u16,
    items: VecDeque<Item>,
    /// So many at the front have been sent.
    sent: usize,
    /// Sequence numbers to be sent again.
    again: VecDeque<u16>,
}

/// The sending half of a channel.
#[derive(Debug, Default)]
pub(super) struct Lane {
    /// The sequence numbers given last.
    pub(super) reliable: u16,
    pub(super) unreliable: u16,
    /// It exists only while there is something.
    queue: Option<Box<Queue>>,
}

/// What an acknowledgement taught.
#[derive(Debug)]
pub(super) struct Acknowledged {
    pub(super) control: Option<Control>,
    pub(super) sent_us: u64,
    pub(super) attempts: u8,
}

/// When a connection is given up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    pub(super) limit: u32,
    pub(super) min_us: u64,
    pub(super) max_us: u64,
}

/// What goes next.
#[derive(Debug)]
pub(super) struct Next {
    channel: u8,
    /// Its place in the queue.
    at: usize,
    again: bool,
    /// Its place among all that was queued.
    pub(super) order: u32,
    /// Bytes of its message.
    pub(super) len: usize,
}

/// The reliable commands of a session.
#[derive(Debug, Default)]
pub(super) struct Reliable {
    /// By channel, as far as they have been used.
    lanes: Vec<Lane>,
    /// That of the connection itself.
    own: Lane,
    /// What commands cost in memory now.
    held: usize,
    /// Bytes of messages under way.
    in_transit: usize,
    under_way: usize,
    /// No time-out passes before, in µs of the session.
    next_time_out_us: u64,
    /// When the oldest command was sent that has timed out, if nothing was acknowledged since.
    earliest_us: Option<u64>,
    pub(super) resends: u64,
    /// Commands whose time-out has passed.
    pub(super) lost: u64,
}

impl Reliable {
    /// What holding a message would cost.
    pub(super) fn cost(len: usize, piece: usize) -> usize {
        len.saturating_add(COMMAND_COST * len.div_ceil(piece.max(1)).max(1))
    }

    /// Whether a message of such a cost would be within `limit`.
    pub(super) fn has_room(&self, cost: usize, limit: usize) -> bool {
        self.held.saturating_add(cost) <= limit
    }

    /// Queues a command.
    pub(super) fn push(&mut self, channel: u8, order: u32, load: Load) {
        self.held += load.len() + COMMAND_COST;
        let lane = self.lane_mut(channel);
        lane.reliable = lane.reliable.wrapping_add(1);
        lane.unreliable = 0;
        let queue = lane.queue.get_or_insert_with(|| QUEUES.with(Pool::take));
        if queue.items.is_empty() {
            queue.first = lane.reliable;
        }
        let progress = Progress::Waits;
        queue.items.push_back(Item { load, order, time_out_ms: 0, attempts: 0, progress, sent_us: 0 });
    }

    /// A sequence number for a command of the connection that is sent once, past all queues.
    pub(super) fn number_own(&mut self) -> u16 {
        self.own.reliable = self.own.reliable.wrapping_add(1);
        self.own.reliable
    }

    /// Whether anything waits or is unacknowledged.
    pub(super) fn is_waiting(&self) -> bool {
        self.own.queue.is_some() || self.lanes.iter().any(|lane| lane.queue.is_some())
    }

    /// Forgets all that waits or is under way. Numbers go on.
    pub(super) fn clear(&mut self) {
        for lane in self.lanes.iter_mut().chain([&mut self.own]) {
            lane.queue = None;
        }
        (self.held, self.in_transit, self.under_way) = (0, 0, 0);
    }

    /// Nothing is queued any more.
    pub(super) fn close(&mut self) {
        self.lanes = Vec::new();
    }

    /// Whether so many bytes more may be under way.
    pub(super) fn fits_window(&self, len: usize, window: usize) -> bool {
        len == 0 || self.in_transit + len <= window
    }

    /// The command that was queued first of those that may go; messages only if they may.
    pub(super) fn next(&self, with_messages: bool) -> Option<Next> {
        let of = |channel: u8, lane: &Lane| {
            let queue = lane.queue.as_ref()?;
            let (at, again) = queue.next()?;
            let item = queue.items.get(at)?;
            Some(Next { channel, at, again, order: item.order, len: item.load.len() })
        };
        let own = of(CONNECTION, &self.own);
        let lanes = self.lanes.iter().enumerate().filter(|_| with_messages);
        let nexts = lanes.filter_map(|(channel, lane)| of(u8::try_from(channel).ok()?, lane));
        nexts.chain(own).reduce(|best, next| if is_before(next.order, best.order) { next } else { best })
    }

    /// Writes a command, until the datagram is `limit` bytes long; false when it does not fit. What a control command
    /// says is known to `say`.
    pub(super) fn write(
        &mut self,
        now_us: u64,
        pace: &Pace,
        next: &Next,
        (out, limit): (&mut Vec<u8>, usize),
        say: impl Fn(Control) -> Body<'static>,
    ) -> bool {
        let Some(queue) = &mut self.lane_mut(next.channel).queue else { return false };
        let sequence = queue.first.wrapping_add(next.at as u16);
        let Some(item) = queue.items.get_mut(next.at) else { return false };
        let body = item.load.body(say);
        let command = Command { channel: next.channel, sequence, acknowledge: true, unsequenced: false, body };
        if out.len() + command.len() > limit {
            return false;
        }
        command.write(out);
        if item.time_out_ms == 0 {
            item.time_out_ms = pace.time_out_ms();
        }
        item.attempts = item.attempts.saturating_add(1);
        (item.progress, item.sent_us) = (Progress::UnderWay, now_us);
        let due = item.due();
        if next.again {
            queue.again.pop_front();
        } else {
            queue.sent += 1;
        }
        self.resends += u64::from(next.again);
        self.in_transit += next.len;
        self.next_time_out_us = if self.under_way == 0 { due } else { self.next_time_out_us.min(due) };
        self.under_way += 1;
        true
    }

    /// Takes an acknowledgement. `None` when it is of nothing that is unacknowledged.
    pub(super) fn acknowledge(&mut self, channel: u8, sequence: u16) -> Option<Acknowledged> {
        let lane = if channel == CONNECTION { &mut self.own } else { self.lanes.get_mut(usize::from(channel))? };
        let queue = lane.queue.as_mut()?;
        let at = usize::from(sequence.wrapping_sub(queue.first));
        let item = queue.items.get_mut(at).filter(|item| at < queue.sent && item.progress != Progress::Acknowledged)?;
        let len = item.load.len();
        if item.progress == Progress::UnderWay {
            self.in_transit = self.in_transit.saturating_sub(len);
            self.under_way = self.under_way.saturating_sub(1);
        } else {
            queue.again.retain(|&again| again != sequence);
        }
        let control = if let Load::Control(control) = item.load { Some(control) } else { None };
        let news = Acknowledged { control, sent_us: item.sent_us, attempts: item.attempts };
        // Its bytes are not needed any more, even if it has to keep its place.
        item.load = Load::Message(Bytes::new());
        item.progress = Progress::Acknowledged;
        self.held = self.held.saturating_sub(len + COMMAND_COST);
        queue.shrink();
        if queue.items.is_empty()
            && let Some(queue) = lane.queue.take()
        {
            queue.leave();
        }
        self.earliest_us = None;
        Some(news)
    }

    /// When the first time-out may pass, in µs of the session.
    pub(super) fn next_time_out_us(&self) -> Option<u64> {
        (self.under_way > 0).then_some(self.next_time_out_us)
    }

    /// Queues again whatever was under way for longer than its time-out, which doubles. False when patience is over.
    pub(super) fn expire(&mut self, now_us: u64, patience: Patience) -> bool {
        if self.next_time_out_us().is_none_or(|at| now_us < at) {
            return true;
        }
        let mut next = u64::MAX;
        for queue in self.lanes.iter_mut().chain([&mut self.own]).filter_map(|lane| lane.queue.as_mut()) {
            let Queue { first, items, sent, again } = &mut **queue;
            let sent = items.iter_mut().enumerate().take(*sent);
            for (at, item) in sent.filter(|(_, item)| item.progress == Progress::UnderWay) {
                if now_us < item.due() {
                    next = next.min(item.due());
                    continue;
                }
                let earliest = self.earliest_us.map_or(item.sent_us, |known| known.min(item.sent_us));
                self.earliest_us = Some(earliest);
                if item.is_hopeless(now_us.saturating_sub(earliest), patience) {
                    return false;
                }
                self.lost += 1;
                item.time_out_ms = item.time_out_ms.saturating_mul(2);
                item.progress = Progress::Waits;
                again.push_back(first.wrapping_add(at as u16));
                self.in_transit = self.in_transit.saturating_sub(item.load.len());
                self.under_way = self.under_way.saturating_sub(1);
            }
        }
        self.next_time_out_us = next;
        true
    }

    pub(super) fn lane_mut(&mut self, channel: u8) -> &mut Lane {
        if channel == CONNECTION {
            return &mut self.own;
        }
        let at = usize::from(channel);
        if self.lanes.len() <= at {
            self.lanes.resize_with(at + 1, Lane::default);
        }
        &mut self.lanes[at]
    }

    #[cfg(test)]
    pub(super) fn check_bounds(&self, send_buffer: usize) {
        // Pings and the like are few and go past the bound.
        assert!(self.held <= send_buffer + 64 * COMMAND_COST, "{}", self.held);
        for queue in self.lanes.iter().chain([&self.own]).filter_map(|lane| lane.queue.as_ref()) {
            assert!(queue.sent <= SPAN && queue.again.len() <= queue.sent, "{}", queue.again.len());
        }
    }

    #[cfg(test)]
    pub(super) fn heap(&self) -> usize {
        self.lanes.capacity() * size_of::<Lane>()
    }
}

impl Load {
    fn len(&self) -> usize {
        match self {
            Load::Message(bytes) | Load::Piece { bytes, .. } => bytes.len(),
            Load::Control(_) => 0,
        }
    }

    fn body(&self, say: impl Fn(Control) -> Body<'static>) -> Body<'_> {
        match *self {
            Load::Message(ref bytes) => Body::Reliable(bytes),
            Load::Piece { start, count, number, total, offset, ref bytes } => {
                Body::Fragment(Fragment { start, count, number, total, offset, bytes })
            }
            Load::Control(control) => say(control),
        }
    }
}

impl Item {
    /// When its time-out passes.
    fn due(&self) -> u64 {
        self.sent_us + u64::from(self.time_out_ms) * 1_000
    }

    /// Whether, after so long without any acknowledgement, it ends the connection.
    fn is_hopeless(&self, silence_us: u64, patience: Patience) -> bool {
        let growth = 1_u32.checked_shl(u32::from(self.attempts.saturating_sub(1))).unwrap_or(u32::MAX);
        silence_us >= patience.max_us || (growth >= patience.limit && silence_us >= patience.min_us)
    }
}

impl Queue {
    /// The place of what goes out next, and whether it goes again.
    fn next(&self) -> Option<(usize, bool)> {
        if let Some(&sequence) = self.again.front() {
            return Some((usize::from(sequence.wrapping_sub(self.first)), true));
        }
        (self.sent < SPAN && self.sent < self.items.len()).then_some((self.sent, false))
    }

    /// Lets go of what is acknowledged at the front.
    fn shrink(&mut self) {
        while self.items.front().is_some_and(|item| item.progress == Progress::Acknowledged) {
            self.items.pop_front();
            self.first = self.first.wrapping_add(1);
            self.sent = self.sent.saturating_sub(1);
        }
    }

    /// For another connection. Nothing waits in it.
    fn leave(mut self: Box<Queue>) {
        if self.items.capacity() <= KEPT_PLACES && self.again.capacity() <= KEPT_PLACES {
            self.again.clear();
            self.sent = 0;
            QUEUES.with(|pool| pool.leave(self));
        }
    }
}

/// Whether one place in the order of queueing is before another; they wrap around.
pub(super) fn is_before(a: u32, b: u32) -> bool {
    a.wrapping_sub(b).cast_signed() < 0
}
