//! What comes in.

use std::time::Duration;

use loadkit_core::{Failure, Kind};
use tokio::time::Instant;

use super::{MAX_EVENTS, Session, State};
use crate::enet::acks::Ack;
use crate::enet::config::MTU;
use crate::enet::held::{Unreliable, Verdict};
use crate::enet::reliable::Control;
use crate::enet::wire::{Body, CONNECTION, Command, Commands, Header, MAX_HEADER, Terms, checked};
use crate::protocol::Event;

/// What follows a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Follows {
    /// Its acknowledgement, if it wants one.
    Acknowledgement,
    /// Nothing: as if it had been lost.
    Nothing,
    /// The end of the datagram: it makes no sense.
    End,
}

impl Session {
    /// Takes a datagram. False when it, or a part of it, is not as it should be; the part before it counts.
    pub(super) fn take(&mut self, now: Instant, datagram: &[u8]) -> bool {
        // What has come early is kept: were there no limit to it, the bounds would be none either.
        if datagram.len() > usize::from(*MTU.end()) + MAX_HEADER || self.events.len() >= MAX_EVENTS {
            return false;
        }
        let Some((header, rest)) = Header::read(datagram) else { return false };
        let is_session = !self.agreed.is_known() || header.session == self.agreed.sessions[0];
        if header.peer != self.agreed.own_id || !is_session {
            return false;
        }
        let is_checked = self.config().checksum;
        let commands = if is_checked { checked(datagram, rest, self.agreed.connect_id) } else { Some(rest) };
        let Some(commands) = commands else { return false };
        let mut fastest = None;
        let is_sound = Commands(commands).all(|command| {
            command.is_ok_and(|command| match self.obey(now, &command, &mut fastest) {
                Follows::Acknowledgement => self.acknowledge(&command, header.sent_time),
                Follows::Nothing => true,
                Follows::End => false,
            })
        });
        if let Some(rtt) = fastest.filter(|_| self.state != State::Closed) {
            self.events.push(Event::RoundTrip(rtt));
        }
        is_sound
    }

    /// Does what a command says.
    fn obey(&mut self, now: Instant, command: &Command, fastest: &mut Option<Duration>) -> Follows {
        match command.body {
            Body::Acknowledge { sequence, sent_time } => {
                if let Some(rtt) = self.take_ack(now, command.channel, sequence, sent_time) {
                    *fastest = Some(fastest.map_or(rtt, |known| known.min(rtt)));
                }
            }
            // For a server, which looks at it before it comes here.
            Body::Connect { .. } => return Follows::End,
            Body::VerifyConnect(terms) => return self.take_verification(now, &terms),
            Body::Disconnect { data } => self.take_disconnect(data, command.acknowledge),
            _ if !self.is_connected() => return Follows::End,
            Body::Ping => {}
            Body::BandwidthLimit(bandwidth) => self.agreed.heed_bandwidth(bandwidth),
            Body::ThrottleConfigure(rates) => self.pace.rates = rates,
            _ => return self.take_message(now, command),
        }
        Follows::Acknowledgement
    }

    /// Takes a command that carries a message.
    fn take_message(&mut self, now: Instant, command: &Command) -> Follows {
        let (channel, limits, now_us) = (command.channel, self.limits(), self.us(now));
        if channel >= self.agreed.channels {
            return Follows::End;
        }
        if command.acknowledge && self.acks.is_full() {
            return Follows::Nothing;
        }
        let events = &mut self.events;
        let deliver = &mut |channel, payload| events.push(Event::Message { channel, payload });
        let place = (channel, command.sequence);
        let incoming = &mut self.incoming;
        let verdict = match command.body {
            Body::Reliable(bytes) => incoming.reliable(place, bytes, limits, deliver),
            Body::Fragment(fragment) => incoming.fragment(channel, &fragment, limits, deliver),
            Body::Unreliable { number, bytes } => {
                incoming.unreliable(now_us, place, &Unreliable::Whole { number, bytes }, limits, deliver)
            }
            Body::UnreliableFragment(piece) => {
                incoming.unreliable(now_us, place, &Unreliable::Piece(piece), limits, deliver)
            }
            Body::Unsequenced { group, bytes } => incoming.unsequenced(channel, group, bytes, deliver),
            _ => Verdict::Malformed,
        };
        match verdict {
            Verdict::Taken => Follows::Acknowledgement,
            Verdict::Dropped => Follows::Nothing,
            Verdict::Malformed => Follows::End,
            Verdict::TooLarge => {
                let what = format!("the other side sent a message of more than {} bytes", limits.message);
                self.fail(Kind::TOO_LARGE, what);
                Follows::End
            }
        }
    }

    /// Queues the acknowledgement of a command that wants one. False when it cannot be given.
    fn acknowledge(&mut self, command: &Command, sent_time: Option<u16>) -> bool {
        if !command.acknowledge {
            return true;
        }
        let Some(sent_time) = sent_time.filter(|_| !self.acks.is_full()) else { return false };
        let is_wanted = match self.state {
            State::Connecting | State::Open | State::Closing { .. } => true,
            State::Leaving => matches!(command.body, Body::Disconnect { .. }),
            State::Accepting | State::Disconnecting { .. } | State::Parting | State::Closed => false,
        };
        if is_wanted {
            self.acks.push(Ack { channel: command.channel, sequence: command.sequence, sent_time });
        }
        true
    }

    /// Takes an acknowledgement, and the round trip that can be told from it.
    fn take_ack(&mut self, now: Instant, channel: u8, sequence: u16, sent_time: u16) -> Option<Duration> {
        let now_us = self.us(now);
        let news = self.outgoing.acknowledge(channel, sequence)?;
        self.heard_us = self.heard_us.max(now_us);
        let rtt = if (news.sent_us / 1_000) as u16 == sent_time {
            Some(Duration::from_micros(now_us.saturating_sub(news.sent_us)))
        } else {
            // Of an earlier sending of the same command; only the milliseconds are known, and only their low 16 bits.
            let millis = ((now_us / 1_000) as u16).wrapping_sub(sent_time);
            (news.attempts > 1 && millis < u16::MAX / 2).then(|| Duration::from_millis(millis.into()))
        };
        if let Some(rtt) = rtt {
            self.pace.sample((now_us / 1_000) as u32, rtt);
        }
        match (self.state, news.control) {
            (State::Accepting, Some(Control::VerifyConnect)) => self.connected(),
            (State::Disconnecting { .. }, Some(Control::Disconnect)) => self.end_by_us(),
            _ => {}
        }
        rtt
    }

    fn connected(&mut self) {
        self.state = State::Open;
        self.events.push(Event::Connected);
    }

    /// Takes the server's answer.
    fn take_verification(&mut self, now: Instant, terms: &Terms) -> Follows {
        if self.state != State::Connecting {
            // Our acknowledgement was lost, and is given again.
            return Follows::Acknowledgement;
        }
        if self.agreed.verify(terms, self.pace.rates).is_err() {
            let what = "the server verified a connection that was not asked for";
            self.fail(Kind::MALFORMED, what);
            return Follows::End;
        }
        // It stands for the acknowledgement of the request, and tells no round trip: a ping does.
        let _ = self.outgoing.acknowledge(CONNECTION, 1);
        self.heard_us = self.us(now);
        self.outgoing.push_control(Control::Ping);
        self.connected();
        Follows::Acknowledgement
    }

    fn take_disconnect(&mut self, data: u32, wants_ack: bool) {
        match self.state {
            State::Closed | State::Leaving | State::Parting => {}
            State::Open | State::Closing { .. } if wants_ack => {
                self.agreed.goodbye = data;
                self.outgoing.clear();
                self.state = State::Leaving;
            }
            State::Connecting | State::Accepting | State::Open | State::Closing { .. } => {
                self.agreed.goodbye = data;
                self.end_by_them();
            }
            // Both at once.
            State::Disconnecting { .. } => {
                self.agreed.goodbye = data;
                self.end(Failure::new(Kind::CLOSED, "closed by both sides at once"));
            }
        }
    }

    /// The end as the other side wanted it.
    pub(super) fn end_by_them(&mut self) {
        let data = self.agreed.goodbye;
        let why = if data == 0 { String::new() } else { format!(" with the word {data}") };
        self.end(Failure::new(Kind::CLOSED, format!("the other side closed the connection{why}")));
    }

    /// What it means that nothing was acknowledged for too long.
    pub(super) fn silence(&self) -> &'static str {
        match self.state {
            State::Connecting => {
                "the server did not answer the connection request: no ENet server is there, or it is full and says nothing"
            }
            State::Accepting => "the client did not finish the handshake",
            _ => "the other side has not acknowledged anything for too long",
        }
    }
}
