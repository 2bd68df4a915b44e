//! The end that connects.

use std::rc::Rc;

use loadkit_core::{Failure, Kind};
use tokio::time::Instant;

use super::config::Config;
use super::session::Session;
use super::wire::{Packet, write_request, write_response};
use crate::protocol::{Channel, Event, Protocol, Stats};

#[derive(Debug)]
enum State {
    Fresh,
    /// Has sent, or is to send, a request; with a cookie a response.
    Asking {
        cookie: Option<u64>,
        send_at: Instant,
        give_up: Instant,
    },
    Connected(Box<Session>),
    Over(Option<Failure>),
}

/// The end that connects: handshake, then a [`Session`].
#[derive(Debug)]
pub struct Client {
    config: Option<Rc<Config>>,
    salt: u64,
    state: State,
}

impl Client {
    /// A connection to be opened. `salt` is random, and not the same for two connections from one address.
    pub fn new(config: &Config, salt: u64) -> Client {
        let config = (*config != Config::DEFAULT).then(|| Rc::new(config.clone().bounded()));
        Client { config, salt, state: State::Fresh }
    }

    fn config(&self) -> &Config {
        self.config.as_deref().unwrap_or(&Config::DEFAULT)
    }

    /// The session, once connected.
    pub fn session(&self) -> Option<&Session> {
        match &self.state {
            State::Connected(session) => Some(session),
            _ => None,
        }
    }

    #[cfg(test)]
    pub(super) fn session_mut(&mut self) -> Option<&mut Session> {
        match &mut self.state {
            State::Connected(session) => Some(session),
            _ => None,
        }
    }

    fn end(&mut self, kind: Kind, what: impl Into<std::borrow::Cow<'static, str>>) {
        self.state = State::Over(Some(Failure::new(kind, what)));
    }
}

impl Protocol for Client {
    fn name(&self) -> &'static str {
        "rudp"
    }

    fn open(&mut self, now: Instant) {
        if matches!(self.state, State::Fresh) {
            let give_up = now + self.config().time_out;
            self.state = State::Asking { cookie: None, send_at: now, give_up };
        }
    }

    fn input(&mut self, now: Instant, datagram: &[u8]) {
        let (cookie, send_at) = match &mut self.state {
            State::Connected(session) => return session.input(now, datagram),
            State::Asking { cookie, send_at, .. } => (cookie, send_at),
            State::Fresh | State::Over(_) => return,
        };
        match Packet::read(datagram) {
            Some(Packet::Challenge { salt, cookie: new }) if salt == self.salt => {
                // A cookie grows old with the server's key; a new one is answered at once, the same one only in turn.
                let is_news = cookie.replace(new) != Some(new);
                *send_at = if is_news { now } else { *send_at };
            }
            Some(Packet::Accept { salt, session }) if salt == self.salt && cookie.is_some() => {
                let session = Session::new(self.config.clone(), session, false, now);
                self.state = State::Connected(Box::new(session));
            }
            Some(Packet::Denied { salt, reason }) if salt == self.salt && cookie.is_some() => {
                let what = format!("the server refused the connection: {reason}");
                self.end(Kind::REFUSED, what);
            }
            _ => {}
        }
    }

    fn timeout(&mut self, now: Instant) {
        match &mut self.state {
            State::Connected(session) => session.timeout(now),
            State::Asking { give_up, cookie, .. } if now >= *give_up => {
                let what = match cookie {
                    None => "the server did not answer the connection request",
                    Some(_) => "the server began the handshake and did not finish it",
                };
                self.end(Kind::TIMED_OUT, what);
            }
            _ => {}
        }
    }

    fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Asking { send_at, give_up, .. } => Some(*send_at.min(give_up)),
            State::Connected(session) => session.deadline(),
            State::Fresh | State::Over(_) => None,
        }
    }

    fn send(&mut self, now: Instant, channel: Channel, message: &[u8]) -> Result<(), Failure> {
        match &mut self.state {
            State::Connected(session) => session.send(now, channel, message),
            _ => Err(Failure::new(Kind::CLOSED, "there is no connection")),
        }
    }

    fn poll_transmit(&mut self, now: Instant, packet: &mut Vec<u8>) -> bool {
        let (protocol, retry) = (self.config().protocol, self.config().retry);
        match &mut self.state {
            State::Connected(session) => session.poll_transmit(now, packet),
            State::Asking { cookie, send_at, .. } if now >= *send_at => {
                match cookie {
                    None => write_request(packet, protocol, self.salt),
                    Some(cookie) => write_response(packet, protocol, self.salt, *cookie),
                }
                *send_at = now + retry;
                true
            }
            _ => false,
        }
    }

    fn poll_event(&mut self) -> Option<Event> {
        match &mut self.state {
            State::Connected(session) => session.poll_event(),
            State::Over(failure) => failure.take().map(Event::Closed),
            State::Fresh | State::Asking { .. } => None,
        }
    }

    fn close(&mut self, now: Instant) {
        match &mut self.state {
            State::Connected(session) => session.close(now),
            State::Fresh | State::Asking { .. } => self.end(Kind::CLOSED, "closed by this side"),
            State::Over(_) => {}
        }
    }

    fn abort(&mut self, now: Instant) {
        match &mut self.state {
            State::Connected(session) => session.abort(now),
            _ => self.close(now),
        }
    }

    fn stats(&self) -> Stats {
        self.session().map(Session::stats).unwrap_or_default()
    }
}
