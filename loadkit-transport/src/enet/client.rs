//! The end that connects.

use std::rc::Rc;

use loadkit_core::{Failure, Kind};
use tokio::time::Instant;

use super::config::Config;
use super::session::Session;
use super::wire::NO_PEER;
use crate::protocol::{Channel, Event, Protocol, Stats};

/// The end that connects: a [`Session`] that begins with a request.
#[derive(Debug)]
pub struct Client {
    config: Option<Rc<Config>>,
    connect_id: u32,
    own_id: u16,
    /// It was closed before it was opened; and that is to be told.
    is_over: bool,
    tell_over: bool,
    session: Option<Box<Session>>,
}

impl Client {
    /// A connection to be opened. `connect_id` is random, and not the same for two connections from one address.
    pub fn new(config: &Config, connect_id: u32) -> Client {
        let config = (*config != Config::DEFAULT).then(|| Rc::new(config.clone().bounded()));
        Client { config, connect_id, own_id: 0, is_over: false, tell_over: false, session: None }
    }

    /// Its number of the server, which all datagrams to it carry ([`peer_id_of`](super::peer_id_of)); 0 unless several
    /// clients share a socket. At most 4,094: there are 12 bits, and the last number means nobody.
    pub fn with_peer_id(mut self, id: u16) -> Client {
        self.own_id = id.min(NO_PEER - 1);
        self
    }

    /// Its number of the server.
    pub fn peer_id(&self) -> u16 {
        self.own_id
    }

    /// The session, once opened.
    pub fn session(&self) -> Option<&Session> {
        self.session.as_deref()
    }

    /// The session, once opened: to disconnect with a word, or to configure the other side's throttle.
    pub fn session_mut(&mut self) -> Option<&mut Session> {
        self.session.as_deref_mut()
    }
}

impl Protocol for Client {
    fn name(&self) -> &'static str {
        "enet"
    }

    fn open(&mut self, now: Instant) {
        if self.session.is_none() && !self.is_over {
            let session = Session::ask(self.config.clone(), self.own_id, self.connect_id, now);
            self.session = Some(Box::new(session));
        }
    }

    fn input(&mut self, now: Instant, datagram: &[u8]) {
        if let Some(session) = &mut self.session {
            session.input(now, datagram);
        }
    }

    fn timeout(&mut self, now: Instant) {
        if let Some(session) = &mut self.session {
            session.timeout(now);
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.session.as_ref()?.deadline()
    }

    fn send(&mut self, now: Instant, channel: Channel, message: &[u8]) -> Result<(), Failure> {
        match &mut self.session {
            Some(session) => session.send(now, channel, message),
            None => Err(Failure::new(Kind::CLOSED, "there is no connection")),
        }
    }

    fn poll_transmit(&mut self, now: Instant, packet: &mut Vec<u8>) -> bool {
        self.session.as_mut().is_some_and(|session| session.poll_transmit(now, packet))
    }

    fn poll_event(&mut self) -> Option<Event> {
        match &mut self.session {
            Some(session) => session.poll_event(),
            None => {
                let is_over = std::mem::take(&mut self.tell_over);
                is_over.then(|| Event::Closed(Failure::new(Kind::CLOSED, "closed by this side")))
            }
        }
    }

    fn close(&mut self, now: Instant) {
        match &mut self.session {
            Some(session) => session.close(now),
            None => {
                self.tell_over |= !self.is_over;
                self.is_over = true;
            }
        }
    }

    fn abort(&mut self, now: Instant) {
        match &mut self.session {
            Some(session) => session.abort(now),
            None => self.close(now),
        }
    }

    fn stats(&self) -> Stats {
        self.session().map(Session::stats).unwrap_or_default()
    }
}
