//! A connection, either end of it: channels over quinn's streams and datagrams.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use loadkit_core::{Failure, Kind};
use quinn_proto::{
    Connection, ConnectionEvent, ConnectionHandle, Dir, Endpoint, EndpointEvent, Event as Came, SendDatagramError,
    Side, StreamEvent, StreamId, VarInt,
};
use tokio::time::Instant;

use super::failure;
use super::lanes::Lanes;
use super::messages::Messages;
use crate::events::Events;
use crate::framing::Framing;
use crate::protocol::{Channel, Delivery, Event, Protocol, Stats};

/// The code of a goodbye to whoever broke the rules of channels; 0 is one in peace.
const RULES_BROKEN: u32 = 1;

/// The bounds of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) framing: Framing,
    pub(super) send_buffer: usize,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    Handshake,
    Open,
    /// The last messages are on their way; then this is said.
    Finishing {
        code: VarInt,
        reason: Bytes,
    },
    /// Goodbye is said with the next packet, for which the pacing may ask to wait; then this is why it ended.
    Goodbye(Failure),
    /// It is said.
    Said(Failure),
    Over,
}

/// A connection, either end of it.
pub(super) struct Session {
    endpoint: Rc<RefCell<Endpoint>>,
    handle: ConnectionHandle,
    connection: Connection,
    /// Counts those of an endpoint that are in their handshake, as this one is as long as it has the count.
    handshakes: Option<Rc<Cell<usize>>>,
    bounds: Bounds,
    lanes: Lanes,
    messages: Messages,
    events: Events,
    state: State,
    deadline: Option<Instant>,
    rtt: Duration,
    /// After the goodbye it stays a little, for packets that are under way: a server's, which would answer them otherwise
    /// that it knows nothing of the connection, and the other side might hear that first. A client's link is gone.
    lingers: bool,
    is_drained: bool,
}

impl Session {
    pub(super) fn new(
        endpoint: Rc<RefCell<Endpoint>>,
        (handle, mut connection): (ConnectionHandle, Connection),
        handshakes: Rc<Cell<usize>>,
        bounds: Bounds,
    ) -> Session {
        handshakes.set(handshakes.get() + 1);
        let rtt = connection.rtt();
        let deadline = connection.poll_timeout().map(Instant::from_std);
        Session {
            endpoint,
            handle,
            lingers: connection.side() == Side::Server,
            connection,
            handshakes: Some(handshakes),
            bounds,
            lanes: Lanes::default(),
            messages: Messages::default(),
            events: Events::default(),
            state: State::Handshake,
            deadline,
            rtt,
            is_drained: false,
        }
    }

    /// The other side's address, as it is now.
    pub(super) fn remote(&self) -> std::net::SocketAddr {
        self.connection.remote_address()
    }

    /// Takes what the endpoint has for it.
    pub(super) fn handle(&mut self, now: Instant, event: ConnectionEvent) {
        self.connection.handle_event(event);
        let rtt = self.connection.rtt();
        if self.rtt != rtt && self.state != State::Handshake {
            self.events.push(Event::RoundTrip(rtt));
        }
        self.rtt = rtt;
        self.settle(now);
    }

    /// Says goodbye when all that was sent has arrived.
    pub(super) fn disconnect(&mut self, now: Instant, code: VarInt, reason: Bytes) {
        match self.state {
            State::Open => self.state = State::Finishing { code, reason },
            State::Handshake => self.say_goodbye(now, code, reason, failure::by_this_side()),
            _ => {}
        }
        self.settle(now);
    }

    /// Says goodbye with the next packet.
    fn say_goodbye(&mut self, now: Instant, code: VarInt, reason: Bytes, why: Failure) {
        if !matches!(self.state, State::Goodbye(_) | State::Said(_) | State::Over) {
            self.connection.close(now.into_std(), code, reason);
            self.state = State::Goodbye(why);
        }
    }

    fn end(&mut self, why: Failure) {
        if self.state != State::Over {
            self.state = State::Over;
            self.leave_handshake();
            self.events.push(Event::Closed(why));
        }
    }

    fn leave_handshake(&mut self) {
        if let Some(handshakes) = self.handshakes.take() {
            handshakes.set(handshakes.get().saturating_sub(1));
        }
    }

    /// After every change: what came of it.
    fn settle(&mut self, now: Instant) {
        while let Some(came) = self.connection.poll() {
            if let Err(broken) = self.take(came) {
                let reason = Bytes::copy_from_slice(broken.message().as_bytes());
                self.say_goodbye(now, VarInt::from_u32(RULES_BROKEN), reason, broken);
            }
        }
        while let Some(event) = self.connection.poll_endpoint_events() {
            self.is_drained |= event.is_drained();
            let answer = self.endpoint.borrow_mut().handle_event(self.handle, event);
            if let Some(answer) = answer {
                self.connection.handle_event(answer);
            }
        }
        // It was repeated for as long as it may be needed (RFC 9000, section 10.2), or was not to be said at all.
        if let (true, State::Goodbye(why) | State::Said(why)) = (self.is_drained, &self.state) {
            let why = why.clone();
            self.end(why);
        }
        if let State::Finishing { code, reason } = &self.state
            && self.messages.is_done()
            && self.lanes.finish(&mut self.connection)
        {
            let (code, reason) = (*code, reason.clone());
            self.say_goodbye(now, code, reason, failure::by_this_side());
        }
        self.deadline = self.connection.poll_timeout().map(Instant::from_std);
    }

    fn take(&mut self, came: Came) -> Result<(), Failure> {
        match came {
            Came::HandshakeDataReady => {}
            Came::Connected => {
                self.leave_handshake();
                if self.state == State::Handshake {
                    self.state = State::Open;
                    self.events.push(Event::Connected);
                }
            }
            Came::ConnectionLost { reason } => self.end(failure::lost(&reason)),
            Came::DatagramReceived => {
                while let Some(payload) = self.connection.datagrams().recv() {
                    self.deliver(Channel::UNRELIABLE, payload);
                }
            }
            Came::DatagramsUnblocked => {}
            Came::Stream(event) => return self.take_stream(event),
        }
        Ok(())
    }

    fn take_stream(&mut self, event: StreamEvent) -> Result<(), Failure> {
        match event {
            StreamEvent::Opened { dir } => {
                while let Some(stream) = self.connection.streams().accept(dir) {
                    if dir == Dir::Bi {
                        self.lanes.opened_by_peer(stream);
                    }
                    self.read(stream)?;
                }
            }
            StreamEvent::Readable { id } => self.read(id)?,
            StreamEvent::Writable { .. } | StreamEvent::Available { .. } => {
                self.lanes.pump(&mut self.connection);
                self.messages.pump(&mut self.connection);
            }
            StreamEvent::Finished { id } | StreamEvent::Stopped { id, .. } => match id.dir() {
                Dir::Bi => self.lanes.over(id),
                Dir::Uni => self.messages.over(id),
            },
        }
        Ok(())
    }

    fn read(&mut self, stream: StreamId) -> Result<(), Failure> {
        let framing = self.bounds.framing;
        if stream.dir() == Dir::Uni {
            let whole = self.messages.read(&mut self.connection, stream, framing.limit())?;
            if let Some(message) = whole {
                self.deliver(Channel::UNORDERED, message.into());
            }
            return Ok(());
        }
        let events = &mut self.events;
        self.lanes.read(&mut self.connection, stream, &framing, |lane, message| {
            let channel = Channel::new(Delivery::Ordered, lane);
            events.push(Event::Message { channel, payload: Bytes::copy_from_slice(message) });
        })
    }

    fn deliver(&mut self, channel: Channel, payload: Bytes) {
        self.events.push(Event::Message { channel, payload });
    }

    fn send_datagram(&mut self, message: &[u8]) -> Result<(), Failure> {
        let sent = self.connection.datagrams().send(Bytes::copy_from_slice(message), false);
        sent.map_err(|error| match error {
            SendDatagramError::TooLarge => {
                let max = self.connection.datagrams().max_size().unwrap_or(0);
                let what = format!("an unreliable message of {} bytes, of at most {max}", message.len());
                Failure::new(Kind::TOO_LARGE, what)
            }
            SendDatagramError::Blocked(_) => {
                Failure::new(Kind::BACKLOG, format!("{} bytes wait already to be sent", self.bounds.send_buffer))
            }
            SendDatagramError::UnsupportedByPeer | SendDatagramError::Disabled => {
                Failure::new(Kind::TARGET, "the other side takes no datagrams: nothing can be sent unreliably")
            }
        })
    }

    fn check_room(&self, message: &[u8]) -> Result<(), Failure> {
        let max = self.bounds.framing.limit();
        if message.len() > max {
            let what = format!("a message of {} bytes, of at most {max}", message.len());
            return Err(Failure::new(Kind::TOO_LARGE, what));
        }
        let queued = self.lanes.queued() + self.messages.queued();
        if queued > 0 && queued + message.len() > self.bounds.send_buffer {
            return Err(Failure::new(Kind::BACKLOG, format!("{queued} bytes wait already to be sent")));
        }
        Ok(())
    }
}

impl Protocol for Session {
    fn name(&self) -> &'static str {
        "quic"
    }

    fn open(&mut self, now: Instant) {
        self.settle(now);
    }

    /// Datagrams go to the endpoint first, which says whose they are: [`Session::handle`].
    fn input(&mut self, _: Instant, _: &[u8]) {}

    fn timeout(&mut self, now: Instant) {
        self.connection.handle_timeout(now.into_std());
        self.settle(now);
    }

    fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    fn send(&mut self, now: Instant, channel: Channel, message: &[u8]) -> Result<(), Failure> {
        if self.state != State::Open {
            return Err(Failure::new(Kind::CLOSED, "the connection is not open"));
        }
        let sent = match (channel.delivery, channel.lane) {
            (Delivery::Unreliable, 0) => self.send_datagram(message),
            (Delivery::Ordered, lane) => self
                .check_room(message)
                .and_then(|()| self.lanes.send(&mut self.connection, lane, &self.bounds.framing, message)),
            (Delivery::Unordered, 0) => {
                self.check_room(message).and_then(|()| self.messages.send(&mut self.connection, message))
            }
            (Delivery::Sequenced, _) => Err(Failure::new(Kind::TARGET, "QUIC has no sequenced channel")),
            (_, lane) => Err(Failure::new(Kind::TARGET, format!("QUIC has only ordered channels with a lane {lane}"))),
        };
        self.settle(now);
        sent
    }

    fn poll_transmit(&mut self, now: Instant, packet: &mut Vec<u8>) -> bool {
        let sent = self.connection.poll_transmit(now.into_std(), 1, packet).is_some();
        match (sent, &self.state) {
            (true, State::Goodbye(why)) => self.state = State::Said(why.clone()),
            (false, State::Said(why)) if !self.lingers => {
                let why = why.clone();
                self.end(why);
            }
            _ => {}
        }
        self.settle(now);
        sent
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.events.pop()
    }

    fn close(&mut self, now: Instant) {
        self.disconnect(now, VarInt::from_u32(0), Bytes::new());
    }

    fn abort(&mut self, now: Instant) {
        self.say_goodbye(now, VarInt::from_u32(0), Bytes::new(), failure::by_this_side());
        self.settle(now);
    }

    fn stats(&self) -> Stats {
        let path = self.connection.stats().path;
        let is_known = self.state != State::Handshake;
        Stats {
            srtt: is_known.then_some(path.rtt),
            min_rtt: is_known.then_some(path.min_rtt),
            lost: path.lost_packets,
            ..Stats::default()
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.leave_handshake();
        // The endpoint forgets its connection ids.
        if !self.is_drained
            && let Ok(mut endpoint) = self.endpoint.try_borrow_mut()
        {
            endpoint.handle_event(self.handle, EndpointEvent::drained());
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("remote", &self.remote()).field("state", &self.state).finish_non_exhaustive()
    }
}
