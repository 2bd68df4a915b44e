//! What goes out: messages into queues, and queues into datagrams.

use loadkit_core::{Failure, Kind};

use super::{Session, State};
use crate::enet::bandwidth;
use crate::enet::config::{Config, THROTTLE_SCALE};
use crate::enet::outgoing::{Datagram, MAX_COMMANDS};
use crate::enet::reliable::{Control, Reliable};
use crate::enet::wire::{ACKNOWLEDGE_LEN, Body, CONNECTION, Command, Header, checksum};
use crate::protocol::{Channel, Delivery};

/// Pieces of a message, at most: with so many all of them lie in the receiver's window, wherever it begins.
const MAX_PIECES: usize = 6 * 4_096;
/// How often it is looked whether what was sent keeps to the bandwidth (`ENET_HOST_BANDWIDTH_THROTTLE_INTERVAL`).
pub(in crate::enet) const BANDWIDTH_INTERVAL_US: u64 = 1_000_000;

impl Session {
    /// Queues a message.
    pub(super) fn queue(&mut self, channel: Channel, message: &[u8]) -> Result<(), Failure> {
        if self.state != State::Open {
            return Err(Failure::new(Kind::CLOSED, "there is no connection"));
        }
        let Channel { delivery, lane } = channel;
        if lane >= self.agreed.channels {
            let what = format!("there is no channel {lane}: both ends know {} of them", self.agreed.channels);
            return Err(Failure::new(Kind::TARGET, what));
        }
        let Config { message: max, send_buffer, flush_buffer, .. } = *self.config();
        let piece = self.agreed.piece();
        let max = match delivery {
            Delivery::Unordered => {
                let what = "ENet has no messages that are reliable and without an order";
                return Err(Failure::new(Kind::TARGET, what));
            }
            Delivery::Unreliable => max.min(piece),
            Delivery::Sequenced | Delivery::Ordered => max.min(piece * MAX_PIECES),
        };
        if message.len() > max {
            let what = format!("a message of {} bytes; this channel takes at most {max}", message.len());
            return Err(Failure::new(Kind::TOO_LARGE, what));
        }
        // What is asked for counts, dropped or not: else the throttle would open again whenever it has worked.
        self.bandwidth_bytes += message.len() as u64;
        if delivery == Delivery::Ordered || (delivery == Delivery::Sequenced && self.outgoing.must_renumber(lane)) {
            if !self.outgoing.reliable.has_room(Reliable::cost(message.len(), piece), send_buffer) {
                return Err(backlog("the other side", send_buffer));
            }
            self.outgoing.push_reliable(lane, message, piece);
            return Ok(());
        }
        if self.outgoing.loose_with(message.len(), piece) > flush_buffer {
            return Err(backlog("the flush", flush_buffer));
        }
        if delivery == Delivery::Unreliable {
            self.outgoing.push_unsequenced(lane, message);
        } else {
            self.outgoing.push_unreliable(lane, message, piece);
        }
        Ok(())
    }

    /// Appends the next datagram, if there is one.
    pub(super) fn write(&mut self, now_us: u64, packet: &mut Vec<u8>) -> bool {
        match self.state {
            State::Closed => return false,
            State::Leaving if self.acks.is_empty() => {
                self.end_by_them();
                return false;
            }
            _ => {}
        }
        let start = packet.len();
        // Room for the header, of which only the commands tell how long it is.
        let limit = start + usize::from(self.agreed.mtu);
        packet.resize(limit - self.agreed.room(), 0);
        let commands = packet.len();
        let has_reliable = if self.state == State::Parting {
            self.part(packet);
            false
        } else {
            self.fill(now_us, packet, limit)
        };
        if packet.len() == commands {
            packet.truncate(start);
            return false;
        }
        self.seal(now_us, has_reliable, packet, start);
        match self.state {
            State::Parting => self.end_by_us(),
            State::Leaving if self.acks.is_empty() => self.end_by_them(),
            _ => {}
        }
        self.packets[0] += 1;
        self.bytes[0] += (packet.len() - start) as u64;
        true
    }

    /// Writes the commands that go now. Whether one of them is reliable.
    fn fill(&mut self, now_us: u64, packet: &mut Vec<u8>, limit: usize) -> bool {
        let mut commands = 0;
        while commands < MAX_COMMANDS
            && packet.len() + ACKNOWLEDGE_LEN <= limit
            && let Some(ack) = self.acks.pop()
        {
            ack.command().write(packet);
            commands += 1;
        }
        // One datagram may always be under way.
        let window = self.pace.window(self.agreed.window).max(self.agreed.mtu.into());
        let (agreed, rates) = (&self.agreed, self.pace.rates);
        let datagram = Datagram { out: packet, limit, commands, window };
        self.outgoing.fill(now_us, &mut self.pace, datagram, |control| agreed.say(control, rates))
    }

    /// Writes a datagram's header into the room before its commands.
    fn seal(&self, now_us: u64, with_time: bool, packet: &mut Vec<u8>, start: usize) {
        let is_known = self.agreed.is_known();
        let session = if is_known { self.agreed.sessions[1] } else { 0 };
        let sent_time = with_time.then_some((now_us / 1_000) as u16);
        let (head, len) = Header { peer: self.agreed.their_id, session, sent_time }.bytes();
        packet.drain(start + len..start + head.len());
        let Some((header, rest)) = packet.get_mut(start..).and_then(|datagram| datagram.split_at_mut_checked(len))
        else {
            return;
        };
        header.copy_from_slice(&head[..len]);
        if self.config().checksum
            && let Some((crc, commands)) = rest.split_first_chunk_mut()
        {
            let connect_id = if is_known { self.agreed.connect_id } else { 0 };
            *crc = checksum(header, connect_id, commands);
        }
    }

    /// A goodbye that is said once and never acknowledged.
    fn part(&mut self, packet: &mut Vec<u8>) {
        let body = Body::Disconnect { data: self.agreed.goodbye };
        let sequence = self.outgoing.reliable.number_own();
        Command { channel: CONNECTION, sequence, acknowledge: false, unsequenced: true, body }.write(packet);
    }

    /// Throttles unreliable messages when more was sent than the bandwidths allow; not where a server does so for all of
    /// its connections together.
    pub(super) fn keep_to_bandwidth(&mut self, now_us: u64) {
        let elapsed_us = now_us.saturating_sub(self.bandwidth_since_us);
        if self.is_shared || elapsed_us < BANDWIDTH_INTERVAL_US {
            return;
        }
        self.bandwidth_since_us = now_us;
        let bandwidth = self.config().outgoing_bandwidth;
        if bandwidth == 0 && self.agreed.bandwidth[0] == 0 {
            // No limit, or none any more.
            self.bandwidth_bytes = 0;
            self.pace.set_limit(THROTTLE_SCALE as u8);
        } else if let [limit] = bandwidth::throttles(bandwidth, elapsed_us, &[self.use_bandwidth()])[..] {
            self.pace.set_limit(limit);
        }
    }

    /// What was asked of the way outwards since the last look.
    pub(in crate::enet) fn use_bandwidth(&mut self) -> bandwidth::Use {
        bandwidth::Use { sent: std::mem::take(&mut self.bandwidth_bytes), cap: self.agreed.bandwidth[0] }
    }

    /// Sends so many thirty-seconds of the unreliable messages at most.
    pub(in crate::enet) fn set_throttle_limit(&mut self, limit: u8) {
        self.pace.set_limit(limit);
    }

    /// What the other side sends at most, in bytes a second; 0: any number.
    pub(in crate::enet) fn wants(&self) -> u32 {
        self.agreed.bandwidth[1]
    }

    /// Tells the other side how much of the way inwards is for it, if that is news. False before it can be told.
    pub(in crate::enet) fn tell_share(&mut self, share: u32) -> bool {
        let is_connected = self.is_connected();
        if self.agreed.share != share && is_connected {
            self.agreed.share = share;
            self.outgoing.push_control(Control::BandwidthLimit);
        }
        is_connected
    }
}

fn backlog(what: &str, limit: usize) -> Failure {
    Failure::new(Kind::BACKLOG, format!("{limit} bytes wait already: {what} does not keep up"))
}
