//! What arrives at a session: acks, messages, goodbyes; and when to ack in turn.

use std::cell::RefCell;
use std::time::Duration;

use loadkit_core::{Failure, Kind};
use tokio::time::Instant;

use super::arrivals::Novelty;
use super::frame::Frames;
use super::incoming::Broken;
use super::sealing::Closed;
use super::session::{Ending, Session, State};
use super::wire::{DELAY_UNIT_US, Envelope, Header, NO_DELAY, ending_of, kind, path_response_of};
use crate::protocol::Event;

/// After so many packets with reliable messages an ack goes at once.
const ACK_RELIABLE_AFTER: u8 = 8;
/// After so many packets of any kind an ack goes at once: an ack tells of 33.
const ACK_ANY_AFTER: u8 = 16;
/// Events that nobody has fetched, at most; until then packets are dropped as if they had been lost.
pub(super) const MAX_EVENTS: usize = 4_096;

thread_local! {
    /// What sealed packets are opened into.
    static OPENED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// When an ack goes in a packet of its own, and what has come since the last one.
#[derive(Debug, Default)]
pub(super) struct AckDue {
    pub(super) at: Option<Instant>,
    reliable: u8,
    any: u8,
}

impl AckDue {
    /// A packet has come.
    fn count(&mut self, now: Instant, is_reliable: bool, delay: Duration) {
        self.any = self.any.saturating_add(1);
        self.reliable = self.reliable.saturating_add(is_reliable.into());
        let at = if self.reliable >= ACK_RELIABLE_AFTER || self.any >= ACK_ANY_AFTER {
            now
        } else if is_reliable {
            now + delay
        } else {
            return;
        };
        self.at = Some(self.at.map_or(at, |known| known.min(at)));
    }
}

impl Session {
    /// Takes whatever has come to the session's address.
    pub(super) fn take_datagram(&mut self, now: Instant, datagram: &[u8]) {
        self.packets_received = self.packets_received.wrapping_add(1);
        self.bytes_received += datagram.len() as u64;
        if self.state == State::Closed {
            return;
        }
        // What has come early is kept: were there no limit to it, the window would be none either.
        let is_taken = datagram.len() <= self.config().packet
            && match Envelope::read(self.config().magic, datagram) {
                Some(envelope) => envelope.id == self.id() && self.open(now, &envelope),
                None => self.take_path(datagram),
            };
        self.discarded = self.discarded.saturating_add(u32::from(!is_taken));
    }

    /// Opens a packet of the session where it is sealed, and takes it.
    fn open(&mut self, now: Instant, envelope: &Envelope) -> bool {
        if !self.sealing.is_on() {
            return self.take(now, envelope);
        }
        OPENED.with_borrow_mut(|body| match self.sealing.open(envelope, body) {
            Ok(number) => {
                let is_taken = self.take(now, &Envelope { body, ..*envelope });
                if is_taken {
                    self.sealing.taken(number);
                }
                is_taken
            }
            Err(Closed::Again) => {
                self.arrivals.duplicates = self.arrivals.duplicates.saturating_add(1);
                false
            }
            Err(Closed::Forged) => false,
        })
    }

    /// Takes a packet of the session; false: it is none after all.
    fn take(&mut self, now: Instant, envelope: &Envelope) -> bool {
        let mut rest = envelope.body;
        match envelope.first & 0xF {
            kind::GOODBYE => {
                let Some((code, reason)) = ending_of(rest) else { return false };
                let what = match (code, reason) {
                    (0, "") => "the other side closed the connection".to_owned(),
                    (0, reason) => format!("the other side closed the connection: {reason}"),
                    (code, reason) => format!("the other side closed the connection (code {code}): {reason}"),
                };
                self.end(Failure::new(Kind::CLOSED, what));
                self.ending = Some(Box::new(Ending { code, reason: Box::default() }));
                true
            }
            // The peer has moved already.
            kind::PATH_RESPONSE => path_response_of(rest).is_some(),
            first => {
                let Some(header) = Header::read(envelope.first, &mut rest) else { return false };
                let frames = (first == kind::DATA).then_some(Frames(rest));
                (frames.is_some() || rest.is_empty()) && self.take_data(now, envelope.sequence, &header, frames)
            }
        }
    }

    fn take_data(&mut self, now: Instant, sequence: u16, header: &Header, frames: Option<Frames>) -> bool {
        if self.events.len() >= MAX_EVENTS || !self.outgoing.can_be_true(header) {
            return false;
        }
        match self.arrivals.novelty(sequence) {
            Novelty::New => {}
            Novelty::Again => {
                self.arrivals.duplicates = self.arrivals.duplicates.saturating_add(1);
                return false;
            }
            // Sealed packets are told apart for longer.
            Novelty::Stale if self.sealing.is_on() => {}
            Novelty::Stale => return false,
        }
        if let Some(mut frames) = frames {
            let (incoming, config) = (&self.incoming, self.config());
            if !incoming.has_room(frames.0.len(), config)
                || !frames.all(|frame| frame.is_ok_and(|frame| incoming.is_fit(&frame, config)))
            {
                return false;
            }
        }
        self.last_heard = self.last_heard.max(now);
        self.arrivals.arrived(now, sequence);
        self.take_acks(now, header);
        if let Some(frames) = frames {
            self.take_frames(now, frames);
        }
        true
    }

    fn take_frames(&mut self, now: Instant, frames: Frames) {
        let mut wants_ack = frames.is_empty();
        let config = Session::knobs(&self.config);
        for frame in frames.map_while(Result::ok) {
            wants_ack |= frame.channel.is_reliable();
            let events = &mut self.events;
            let deliver = |channel, payload| events.push(Event::Message { channel, payload });
            let Err(broken) = self.incoming.take(now, &frame, config, deliver) else { continue };
            let failure = match broken {
                Broken::TooLarge => {
                    let what = format!("the other side sent a message of more than {} bytes", config.message);
                    Failure::new(Kind::TOO_LARGE, what)
                }
                Broken::Pieces => {
                    Failure::new(Kind::MALFORMED, "the other side sent pieces of a message that do not fit together")
                }
            };
            return self.end(failure);
        }
        self.ack_due.count(now, wants_ack, config.ack_delay);
    }

    fn take_acks(&mut self, now: Instant, header: &Header) {
        let pace = &mut self.pace;
        let news = self.outgoing.acked(now, header, |sent, fate| pace.fate(now, sent, fate));
        if news.arrived > 0 {
            self.rtt.progress();
        }
        if let Some(elapsed) = news.elapsed
            && header.delay != NO_DELAY
        {
            // What the other side waited before it sent the ack is no part of the round trip (RFC 9002, section 5.3).
            let waited = Duration::from_micros(u64::from(header.delay) * DELAY_UNIT_US as u64);
            let rtt = elapsed.saturating_sub(waited);
            self.rtt.sample(now, rtt);
            self.events.push(Event::RoundTrip(rtt));
        }
        let (config, rtt, pace) = (Session::knobs(&self.config), &self.rtt, &mut self.pace);
        self.outgoing.detect(now, || rtt.loss_delay(config), |sent, fate| pace.fate(now, sent, fate));
    }
}
