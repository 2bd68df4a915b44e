//! The end that connects.

use std::cell::RefCell;
use std::rc::Rc;

use bytes::Bytes;
use loadkit_core::{Failure, Kind};
use tokio::time::Instant;

use super::config::Config;
#[cfg(feature = "encryption")]
use super::crypto::Crypto;
use super::path::Path;
use super::sealing::Sealing;
#[cfg(feature = "encryption")]
use super::sealing::TAG_LEN;
use super::session::{Ids, Session};
use super::wire::{Packet, Response, Welcome, begin_response, client_id, pad_response, write_request};
use crate::protocol::{Channel, Event, Protocol, Stats};

thread_local! {
    static LAST: RefCell<Option<Rc<Config>>> = const { RefCell::new(None) };
}

#[derive(Debug)]
enum State {
    Fresh,
    Asking(Box<Asking>),
    Connected(Box<Session>),
    Over(Option<Box<Failure>>),
}

/// Has sent, or is to send, a request; with a cookie a response.
#[derive(Debug)]
struct Asking {
    cookie: Option<u64>,
    send_at: Instant,
    give_up: Instant,
}

/// The end that connects: handshake, then a [`Session`].
#[derive(Debug)]
pub struct Client {
    config: Option<Rc<Config>>,
    salt: u64,
    state: State,
    /// The server's word in the handshake, or the code with which it ended.
    news: Option<Box<News>>,
}

/// What the server said beside messages.
#[derive(Debug, Default)]
struct News {
    answer: Bytes,
    code: Option<u32>,
}

impl Client {
    /// A connection to be opened. `salt` is random, and its low half ([`Client::id`]) not the same for two connections
    /// from one socket.
    pub fn new(config: &Config, salt: u64) -> Client {
        let config = (*config != Config::DEFAULT).then(|| shared(config.clone().bounded()));
        Client { config, salt, state: State::Fresh, news: None }
    }

    /// The number in all packets that come to it: the low half of its salt. See [`Config::client_id_of`].
    pub fn id(&self) -> u32 {
        client_id(self.salt)
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

    /// What the server answered to [`Config::payload`]; empty if nothing, or not yet.
    pub fn answer(&self) -> &[u8] {
        self.news.as_ref().map(|news| &*news.answer).unwrap_or_default()
    }

    /// The code with which the server ended the connection, or refused it.
    pub fn code(&self) -> Option<u32> {
        self.news.as_ref().and_then(|news| news.code).or_else(|| self.session()?.code())
    }

    /// Says goodbye with a code of the game's own, and a reason (at most 120 bytes of it).
    pub fn disconnect(&mut self, now: Instant, code: u32, reason: &str) {
        match &mut self.state {
            State::Connected(session) => session.disconnect(now, code, reason),
            _ => self.close(now),
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
        self.state = State::Over(Some(Box::new(Failure::new(kind, what))));
    }

    fn accepted(&mut self, now: Instant, welcome: &Welcome, sealing: Sealing) {
        let mut config = self.config.take();
        if let Some(config) = config.as_mut().and_then(Rc::get_mut) {
            // They have been said.
            config.payload = None;
            #[cfg(feature = "encryption")]
            {
                config.token = None;
            }
        }
        let ids = Ids { own: self.id(), other: welcome.session };
        let mut session = Box::new(Session::new(config, ids, false, now).sealed(sealing));
        session.path = Some(Path::new(welcome.secret, now));
        self.state = State::Connected(session);
        if !welcome.answer.is_empty() {
            self.news = Some(Box::new(News { answer: Bytes::copy_from_slice(welcome.answer), code: None }));
        }
    }

    fn write_response(&self, cookie: u64, packet: &mut Vec<u8>) {
        let (config, start) = (self.config(), packet.len());
        let payload = config.payload.as_deref().unwrap_or_default();
        let plain = Response { protocol: config.protocol, salt: self.salt, cookie, token: &[], payload, before: &[] };
        #[cfg(feature = "encryption")]
        if let Some(token) = &config.token {
            let shown = token.shown();
            begin_response(packet, config.magic, &Response { token: &shown, ..plain }, payload.len() + TAG_LEN);
            let body = packet.len();
            packet.extend_from_slice(payload);
            token.keys.of_session(self.salt).seal_response(config.protocol, cookie, packet, start, body);
            return pad_response(packet, start);
        }
        begin_response(packet, config.magic, &plain, payload.len());
        packet.extend_from_slice(payload);
        pad_response(packet, start);
    }

    /// Takes an accept whose salt is right.
    fn take_accept(&mut self, now: Instant, welcome: &[u8], before: &[u8]) {
        #[cfg(feature = "encryption")]
        if let Some(token) = &self.config().token {
            let (keys, protocol) = (token.keys.of_session(self.salt), self.config().protocol);
            let opened = keys.open_accept(protocol, self.salt, before, welcome);
            if let Some(welcome) = opened.as_deref().and_then(Welcome::read) {
                let sealing = Sealing(Some(Box::new(Crypto::new(keys, false, protocol))));
                self.accepted(now, &welcome, sealing);
            }
            return;
        }
        let _ = before;
        if let Some(welcome) = Welcome::read(welcome) {
            self.accepted(now, &welcome, Sealing::default());
        }
    }
}

/// The same knobs as those of the client before it on this thread, or new ones: bots of one kind share theirs.
fn shared(config: Config) -> Rc<Config> {
    LAST.with_borrow_mut(|last| match last {
        Some(last) if **last == config => last.clone(),
        _ => {
            let config = Rc::new(config);
            // What only one client says is not for the next.
            *last = config.is_common().then(|| config.clone());
            config
        }
    })
}

impl Protocol for Client {
    fn name(&self) -> &'static str {
        "rudp"
    }

    fn open(&mut self, now: Instant) {
        if !matches!(self.state, State::Fresh) {
            return;
        }
        let config = self.config();
        let len = config.response_len(config.payload.as_ref().map_or(0, |bytes| bytes.len()));
        if len > config.packet {
            let what =
                format!("with its payload the handshake needs packets of {len} bytes; they are {}", config.packet);
            return self.end(Kind::TOO_LARGE, what);
        }
        let give_up = now + self.config().time_out;
        self.state = State::Asking(Box::new(Asking { cookie: None, send_at: now, give_up }));
    }

    fn input(&mut self, now: Instant, datagram: &[u8]) {
        let asking = match &mut self.state {
            State::Connected(session) => return session.input(now, datagram),
            State::Asking(asking) => asking,
            State::Fresh | State::Over(_) => return,
        };
        let magic = self.config.as_deref().unwrap_or(&Config::DEFAULT).magic;
        match Packet::read(magic, datagram) {
            Some(Packet::Challenge { salt, cookie }) if salt == self.salt => {
                // A cookie grows old with the server's key; a new one is answered at once, the same one only in turn.
                let is_news = asking.cookie.replace(cookie) != Some(cookie);
                asking.send_at = if is_news { now } else { asking.send_at };
            }
            Some(Packet::Accept { salt, welcome, before }) if salt == self.salt && asking.cookie.is_some() => {
                self.take_accept(now, welcome, before);
            }
            Some(Packet::Denied { salt, code, reason }) if salt == self.salt && asking.cookie.is_some() => {
                self.news = Some(Box::new(News { answer: Bytes::new(), code: Some(code) }));
                self.end(Kind::REFUSED, format!("the server refused the connection (code {code}): {reason}"));
            }
            _ => {}
        }
    }

    fn timeout(&mut self, now: Instant) {
        match &mut self.state {
            State::Connected(session) => session.timeout(now),
            State::Asking(asking) if now >= asking.give_up => {
                let what = match asking.cookie {
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
            State::Asking(asking) => Some(asking.send_at.min(asking.give_up)),
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
        let (magic, protocol, retry) = (self.config().magic, self.config().protocol, self.config().retry);
        match &mut self.state {
            State::Connected(session) => session.poll_transmit(now, packet),
            State::Asking(asking) if now >= asking.send_at => {
                asking.send_at = now + retry;
                match asking.cookie {
                    None => write_request(packet, magic, protocol, self.salt),
                    Some(cookie) => self.write_response(cookie, packet),
                }
                true
            }
            _ => false,
        }
    }

    fn poll_event(&mut self) -> Option<Event> {
        match &mut self.state {
            State::Connected(session) => session.poll_event(),
            State::Over(failure) => failure.take().map(|failure| Event::Closed(*failure)),
            State::Fresh | State::Asking(_) => None,
        }
    }

    fn close(&mut self, now: Instant) {
        match &mut self.state {
            State::Connected(session) => session.close(now),
            State::Fresh | State::Asking(_) => self.end(Kind::CLOSED, "closed by this side"),
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
