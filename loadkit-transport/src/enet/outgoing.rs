//! The sending half: what waits to be sent, reliable and not, in the order of queueing.

use bytes::Bytes;

use super::loose::{self, Loose};
use super::pace::Pace;
use super::reliable::{Acknowledged, Control, Load, Patience, Reliable, is_before};
use super::wire::{Body, CONNECTION, Command, FRAGMENT_LEN, Fragment};

/// Commands in a datagram, at most (`ENET_PROTOCOL_MAXIMUM_PACKET_COMMANDS`).
pub(super) const MAX_COMMANDS: usize = 32;
/// After this number the next unreliable message of a channel goes as a reliable one: that begins the numbers anew, for
/// receivers do not let them wrap around.
const LAST_UNRELIABLE: u16 = u16::MAX;

/// The sending half of a session.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    pub(super) reliable: Reliable,
    loose: Loose,
    /// The unsequenced group given last.
    group: u16,
    /// The place in the order of queueing given last.
    order: u32,
    /// Unreliable messages that the throttle has dropped.
    pub(super) throttled: u64,
}

/// A datagram that is being written.
pub(super) struct Datagram<'a> {
    pub(super) out: &'a mut Vec<u8>,
    /// Until it is so long.
    pub(super) limit: usize,
    /// In it already.
    pub(super) commands: usize,
    /// Bytes of reliable messages that may be under way.
    pub(super) window: usize,
}

impl Outgoing {
    /// Queues a reliable message, in pieces of at most `piece` bytes.
    pub(super) fn push_reliable(&mut self, channel: u8, message: &[u8], piece: usize) {
        let bytes = Bytes::copy_from_slice(message);
        if message.len() <= piece {
            let order = self.next_order();
            self.reliable.push(channel, order, Load::Message(bytes));
            return;
        }
        let start = self.reliable.lane_mut(channel).reliable.wrapping_add(1);
        for Part { number, count, total, offset, range } in parts(message.len(), piece) {
            let load = Load::Piece { start, count, number, total, offset, bytes: bytes.slice(range) };
            let order = self.next_order();
            self.reliable.push(channel, order, load);
        }
    }

    /// Queues a command of the connection itself.
    pub(super) fn push_control(&mut self, control: Control) {
        let order = self.next_order();
        self.reliable.push(CONNECTION, order, Load::Control(control));
    }

    /// Whether the next unreliable message of a channel must go as a reliable one.
    pub(super) fn must_renumber(&mut self, channel: u8) -> bool {
        self.reliable.lane_mut(channel).unreliable == LAST_UNRELIABLE
    }

    /// Queues an unreliable message that is in order with the reliable ones of its channel, in pieces of at most
    /// `piece` bytes.
    pub(super) fn push_unreliable(&mut self, channel: u8, message: &[u8], piece: usize) {
        let lane = self.reliable.lane_mut(channel);
        lane.unreliable = lane.unreliable.wrapping_add(1);
        let (sequence, start) = (lane.reliable, lane.unreliable);
        let command = |body| Command { channel, sequence, acknowledge: false, unsequenced: false, body };
        if message.len() <= piece {
            let order = self.next_order();
            self.loose.push(order, true, &command(Body::Unreliable { number: start, bytes: message }));
            return;
        }
        for Part { number, count, total, offset, range } in parts(message.len(), piece) {
            let bytes = message.get(range).unwrap_or_default();
            let fragment = Fragment { start, count, number, total, offset, bytes };
            let order = self.next_order();
            self.loose.push(order, number == 0, &command(Body::UnreliableFragment(fragment)));
        }
    }

    /// Queues an unreliable message without an order.
    pub(super) fn push_unsequenced(&mut self, channel: u8, message: &[u8]) {
        self.group = self.group.wrapping_add(1);
        let body = Body::Unsequenced { group: self.group, bytes: message };
        let order = self.next_order();
        self.loose.push(order, true, &Command { channel, sequence: 0, acknowledge: false, unsequenced: true, body });
    }

    /// Bytes of unreliable commands that would wait for the next flush with one more message of `len` bytes.
    pub(super) fn loose_with(&self, len: usize, piece: usize) -> usize {
        self.loose.len() + len + len.div_ceil(piece).max(1) * (loose::PREFIX + FRAGMENT_LEN)
    }

    /// Whether nothing waits or is unacknowledged.
    pub(super) fn is_empty(&self) -> bool {
        self.loose.len() == 0 && !self.reliable.is_waiting()
    }

    /// Forgets all that waits or is under way. Numbers go on.
    pub(super) fn clear(&mut self) {
        self.reliable.clear();
        self.loose = Loose::default();
    }

    /// Forgets all but what was counted, and gives the memory back.
    pub(super) fn reset(&mut self) {
        self.clear();
        self.reliable.close();
    }

    /// Writes commands until the datagram is full or nothing more may go. What a control command says is known to
    /// `say`. Whether a reliable one is among them.
    pub(super) fn fill(
        &mut self,
        now_us: u64,
        pace: &mut Pace,
        datagram: Datagram,
        say: impl Fn(Control) -> Body<'static>,
    ) -> bool {
        let Datagram { out, limit, mut commands, window } = datagram;
        let (mut has_reliable, mut is_blocked) = (false, false);
        while commands < MAX_COMMANDS {
            let reliable = self.reliable.next(!is_blocked);
            let loose = self.loose.next();
            let is_loose_first = match (&reliable, &loose) {
                (Some(reliable), Some(loose)) => is_before(loose.order, reliable.order),
                _ => true,
            };
            if let Some(loose) = loose.filter(|_| is_loose_first) {
                // The throttle asks once for each message, when it goes.
                if out.len() + loose.bytes.len() > limit {
                    break;
                }
                if loose.is_first && !pace.passes() {
                    self.throttled += 1;
                    self.loose.drop_message();
                    continue;
                }
                out.extend_from_slice(loose.bytes);
                self.loose.pop();
            } else if let Some(next) = reliable {
                if !self.reliable.fits_window(next.len, window) {
                    is_blocked = true;
                    continue;
                }
                if !self.reliable.write(now_us, pace, &next, (&mut *out, limit), &say) {
                    break;
                }
                has_reliable = true;
            } else {
                break;
            }
            commands += 1;
        }
        has_reliable
    }

    /// Takes an acknowledgement. `None` when it is of nothing that is unacknowledged.
    pub(super) fn acknowledge(&mut self, channel: u8, sequence: u16) -> Option<Acknowledged> {
        self.reliable.acknowledge(channel, sequence)
    }

    /// Queues again what has timed out. False when patience is over.
    pub(super) fn expire(&mut self, now_us: u64, patience: Patience) -> bool {
        self.reliable.expire(now_us, patience)
    }

    fn next_order(&mut self) -> u32 {
        self.order = self.order.wrapping_add(1);
        self.order
    }

    #[cfg(test)]
    pub(super) fn start_at(&mut self, channels: u8, sequence: u16) {
        for channel in (0..channels).chain([CONNECTION]) {
            self.reliable.lane_mut(channel).reliable = sequence;
        }
        (self.group, self.order) = (sequence, u32::MAX - 100);
    }
}

/// A part of a message.
struct Part {
    number: u32,
    count: u32,
    total: u32,
    offset: u32,
    range: std::ops::Range<usize>,
}

/// A message of `len` bytes in parts of `piece`. Lengths are bounded by the configuration.
fn parts(len: usize, piece: usize) -> impl Iterator<Item = Part> {
    let (count, total) = (len.div_ceil(piece) as u32, len as u32);
    (0..len).step_by(piece).zip(0..).map(move |(offset, number)| {
        let range = offset..(offset + piece).min(len);
        Part { number, count, total, offset: offset as u32, range }
    })
}
