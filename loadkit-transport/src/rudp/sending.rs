//! What leaves a session: messages into queues, and packets with what is in them.

use loadkit_core::{Failure, Kind};
use tokio::time::Instant;

use super::frame::Frame;
use super::lanes::{Lanes, pieces};
use super::session::{Session, State};
use super::taking::AckDue;
use super::wire::{Envelope, kind, write_ending};
use crate::protocol::{Channel, Delivery};

/// A packet that is being written: where it begins, where its body begins, and its number.
#[derive(Debug)]
pub(super) struct Begun {
    start: usize,
    body: usize,
    sequence: u16,
}

impl Session {
    /// The longest message that travels whole, and the length of the pieces of longer ones.
    fn lengths(&self) -> (usize, usize) {
        let whole = self.config().whole() - self.sealing.overhead();
        (whole, self.config().fragment)
    }

    /// Begins a packet; what it takes along of acks needs no packet of its own.
    fn begin(&mut self, now: Instant, kind: u8, packet: &mut Vec<u8>) -> Begun {
        let header = self.arrivals.header(now);
        let begun = self.begin_sealed(kind | header.flags(), packet);
        header.write(packet);
        self.ack_due = AckDue::default();
        self.last_sent = now;
        begun
    }

    /// Begins a packet with its envelope; [`Session::seal`] ends it.
    pub(super) fn begin_sealed(&mut self, first: u8, packet: &mut Vec<u8>) -> Begun {
        let (start, sequence) = (packet.len(), self.outgoing.take_sequence());
        Envelope::write(packet, self.config().magic, first, self.ids.other, sequence);
        Begun { start, body: packet.len(), sequence }
    }

    /// Ends a packet.
    pub(super) fn seal(&mut self, packet: &mut Vec<u8>, begun: &Begun) {
        self.sealing.seal(begun.sequence, packet, begun.start, begun.body);
    }

    /// Queues a message, if it can be sent.
    pub(super) fn queue(&mut self, now: Instant, channel: Channel, message: &[u8]) -> Result<(), Failure> {
        let config = self.config();
        let lanes = config.channels.lanes(channel.delivery);
        if channel.lane >= lanes {
            let what = format!("there is no lane {} for {:?}: it has {lanes}", channel.lane, channel.delivery);
            return Err(Failure::new(Kind::TARGET, what));
        }
        let max = config.message;
        if message.len() > max {
            let what = format!("a message of {} bytes; at most {max} are taken", message.len());
            return Err(Failure::new(Kind::TOO_LARGE, what));
        }
        if channel.is_reliable() {
            self.send_reliable(now, channel, message)
        } else {
            self.send_unreliable(channel, message)
        }
    }

    fn send_reliable(&mut self, now: Instant, channel: Channel, message: &[u8]) -> Result<(), Failure> {
        let (whole, piece) = self.lengths();
        let limit = self.config().send_buffer;
        if self.outgoing.lanes.held + Lanes::cost(message, whole, piece) > limit {
            return Err(backlog("the other side", limit));
        }
        self.outgoing.lanes.push(now, channel, message, whole, piece);
        Ok(())
    }

    fn send_unreliable(&mut self, channel: Channel, message: &[u8]) -> Result<(), Failure> {
        let ((whole, piece), limit) = (self.lengths(), self.config().flush_buffer);
        let is_whole = message.len() <= whole;
        let is_sequenced = channel.delivery == Delivery::Sequenced;
        let id = match (is_sequenced, is_whole) {
            (true, _) => self.next_sequenced.get(channel.lane),
            (false, true) => 0,
            (false, false) => self.next_in_pieces,
        };
        let is_queued = if is_whole {
            self.unreliable.push(std::iter::once(Frame { channel, piece: None, id, bytes: message }), limit)
        } else {
            let frames = pieces(message, piece).map(|(bytes, piece)| Frame { channel, piece: Some(piece), id, bytes });
            self.unreliable.push(frames, limit)
        };
        if !is_queued {
            return Err(backlog("the flush", limit));
        }
        if is_sequenced {
            self.next_sequenced.set(channel.lane, id.wrapping_add(1));
        } else if !is_whole {
            self.next_in_pieces = id.wrapping_add(1);
        }
        Ok(())
    }

    /// Writes a goodbye, after which so many are left.
    pub(super) fn write_goodbye(&mut self, left: u8, packet: &mut Vec<u8>) {
        let begun = self.begin_sealed(kind::GOODBYE, packet);
        let ending = self.ending.as_deref();
        write_ending(packet, ending.map_or(0, |ending| ending.code), ending.map_or("", |ending| &ending.reason));
        self.seal(packet, &begun);
        if left == 0 {
            self.end(Failure::new(Kind::CLOSED, "closed by this side"));
        } else {
            self.state = State::Leaving { left };
        }
    }

    /// Writes the packet that is due: messages, a ping, an ack, or something about the path.
    pub(super) fn write_next(&mut self, now: Instant, packet: &mut Vec<u8>) -> bool {
        let is_ready = self.outgoing.is_ready();
        let is_data = is_ready || !self.unreliable.is_empty();
        if !is_data {
            self.pace.resume = None;
        }
        if is_data && self.pace.may_send(now, Session::knobs(&self.config)) {
            self.write_data(now, packet, is_ready);
        } else if now >= self.ping_at() {
            let start = packet.len();
            let begun = self.begin(now, kind::DATA, packet);
            self.seal(packet, &begun);
            self.outgoing.fill(now, packet, None);
            self.sent(now, packet.len() - start);
        } else if self.ack_due.at.is_some_and(|at| now >= at) {
            let begun = self.begin(now, kind::ACK, packet);
            self.seal(packet, &begun);
        } else {
            return self.write_path(now, packet);
        }
        true
    }

    fn write_data(&mut self, now: Instant, packet: &mut Vec<u8>, is_ready: bool) {
        let start = packet.len();
        let limit = start + self.config().packet - self.sealing.overhead();
        let begun = self.begin(now, kind::DATA, packet);
        self.outgoing.fill(now, packet, is_ready.then_some(limit));
        self.unreliable.fill(packet, limit);
        self.seal(packet, &begun);
        self.sent(now, packet.len() - start);
    }

    /// A packet that wants to be acked is so long.
    fn sent(&mut self, now: Instant, len: usize) {
        let pace = &mut self.pace;
        pace.sent(len);
        self.outgoing.sent(len, |sent, fate| pace.fate(now, sent, fate));
    }
}

fn backlog(what: &str, limit: usize) -> Failure {
    Failure::new(Kind::BACKLOG, format!("{limit} bytes wait already: {what} does not keep up"))
}
