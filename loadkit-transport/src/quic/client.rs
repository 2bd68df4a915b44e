//! The end that connects.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::net::{Ipv6Addr, SocketAddr};
use std::rc::Rc;

use bytes::BytesMut;
use loadkit_core::{Failure, Kind};
use quinn_proto::{ClientConfig, DatagramEvent, Endpoint};
use tokio::time::Instant;

use super::config::Config;
use super::session::{Bounds, Session};
use crate::protocol::{Channel, Event, Protocol, Stats};
use crate::tls::{Security, Trust};

/// The other side's address as quinn sees it, always the same: the link knows the true one (fd00::/8 is for local use,
/// RFC 4193).
const SERVER: SocketAddr = SocketAddr::new(std::net::IpAddr::V6(Ipv6Addr::new(0xFD00, 0, 0, 0, 0, 0, 0, 1)), 1);

/// The end that connects, as a state machine: see [the module](super).
pub struct Client(State);

enum State {
    Fresh(Box<Plan>),
    Open { endpoint: Rc<RefCell<Endpoint>>, session: Box<Session>, responses: Vec<u8>, discarded: u64 },
    Over(Option<Failure>),
}

/// What the connection will be.
struct Plan {
    config: ClientConfig,
    name: String,
    seed: [u8; 32],
    number: Option<u32>,
    bounds: Bounds,
}

impl Client {
    /// A connection to be opened to a server that must be known by this name. Packet numbers and the like follow from
    /// `seed`, which is random.
    pub fn new(config: &Config, trust: &Trust, server_name: &str, seed: [u8; 32]) -> Client {
        let security = Security { trust: trust.clone(), server_name: Some(server_name.to_owned()) };
        Client::with(config, &security, seed, None)
    }

    /// With a number, all its connection ids begin with that.
    pub(super) fn with(config: &Config, security: &Security, seed: [u8; 32], number: Option<u32>) -> Client {
        let plan = security.name().and_then(|name| {
            let bounds = Bounds { framing: config.framing, send_buffer: config.send_buffer };
            let config = config.client(&security.trust)?;
            Ok(Box::new(Plan { config, name: name.to_str().into_owned(), seed, number, bounds }))
        });
        // What is wrong is told when it is opened.
        Client(plan.map_or_else(|failure| State::Over(Some(failure)), State::Fresh))
    }

    fn session(&mut self) -> Option<&mut Session> {
        match &mut self.0 {
            State::Open { session, .. } => Some(session),
            _ => None,
        }
    }
}

fn connect(now: Instant, plan: Plan) -> Result<State, Failure> {
    let config = match (plan.number, plan.seed.first_chunk()) {
        (Some(number), Some(seed)) => Config::numbered_endpoint(number, u64::from_le_bytes(*seed)),
        _ => Config::endpoint(),
    };
    let mut endpoint = Endpoint::new(config, None, false, Some(plan.seed));
    let connection = endpoint
        .connect(now.into_std(), plan.config, SERVER, &plan.name)
        .map_err(|error| Failure::new(Kind::TARGET, format!("no connection can be made: {error}")))?;
    let endpoint = Rc::new(RefCell::new(endpoint));
    let session = Session::new(endpoint.clone(), connection, Rc::new(Cell::new(0)), plan.bounds);
    Ok(State::Open { endpoint, session: Box::new(session), responses: Vec::new(), discarded: 0 })
}

impl Protocol for Client {
    fn name(&self) -> &'static str {
        "quic"
    }

    fn open(&mut self, now: Instant) {
        self.0 = match std::mem::replace(&mut self.0, State::Over(None)) {
            State::Fresh(plan) => connect(now, *plan).unwrap_or_else(|failure| State::Over(Some(failure))),
            other => other,
        };
        if let Some(session) = self.session() {
            session.open(now);
        }
    }

    fn input(&mut self, now: Instant, datagram: &[u8]) {
        let State::Open { endpoint, session, responses, discarded } = &mut self.0 else { return };
        let mut response = Vec::new();
        let event =
            endpoint.borrow_mut().handle(now.into_std(), SERVER, None, None, BytesMut::from(datagram), &mut response);
        match event {
            Some(DatagramEvent::ConnectionEvent(_, event)) => session.handle(now, event),
            // One waits at most: what it answers will come again.
            Some(DatagramEvent::Response(transmit)) => {
                response.truncate(transmit.size);
                *responses = response;
            }
            // A client accepts nobody.
            Some(DatagramEvent::NewConnection(incoming)) => endpoint.borrow_mut().ignore(incoming),
            None => *discarded += 1,
        }
    }

    fn timeout(&mut self, now: Instant) {
        if let Some(session) = self.session() {
            session.timeout(now);
        }
    }

    fn deadline(&self) -> Option<Instant> {
        match &self.0 {
            State::Open { session, .. } => session.deadline(),
            _ => None,
        }
    }

    fn send(&mut self, now: Instant, channel: Channel, message: &[u8]) -> Result<(), Failure> {
        match self.session() {
            Some(session) => session.send(now, channel, message),
            None => Err(Failure::new(Kind::CLOSED, "the connection is not open")),
        }
    }

    fn poll_transmit(&mut self, now: Instant, packet: &mut Vec<u8>) -> bool {
        let State::Open { session, responses, .. } = &mut self.0 else { return false };
        if !responses.is_empty() {
            packet.append(responses);
            *responses = Vec::new();
            return true;
        }
        session.poll_transmit(now, packet)
    }

    fn poll_event(&mut self) -> Option<Event> {
        match &mut self.0 {
            State::Fresh(_) => None,
            State::Open { session, .. } => session.poll_event(),
            State::Over(failure) => failure.take().map(Event::Closed),
        }
    }

    fn close(&mut self, now: Instant) {
        if let Some(session) = self.session() {
            session.close(now);
        }
    }

    fn abort(&mut self, now: Instant) {
        if let Some(session) = self.session() {
            session.abort(now);
        }
    }

    fn stats(&self) -> Stats {
        match &self.0 {
            State::Open { session, discarded, .. } => Stats { discarded: *discarded, ..session.stats() },
            _ => Stats::default(),
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            State::Fresh(_) => f.write_str("Client(Fresh)"),
            State::Open { session, .. } => f.debug_tuple("Client").field(session).finish(),
            State::Over(_) => f.write_str("Client(Over)"),
        }
    }
}
