//! No protocol at all: a datagram, or a frame, is a message.

use bytes::Bytes;
use loadkit_core::{Failure, Kind};
use tokio::time::Instant;

use crate::framing::{Boundary, Framing};
use crate::pool::Pool;
use crate::protocol::{Channel, Event, Protocol, Stats};

/// Bytes that wait for the next flush, at most.
const MAX_QUEUED: usize = 512 * 1024;

/// Larger buffers are not kept.
const KEPT_BYTES: usize = 4_096;

thread_local! {
    static POOL: Pool<Box<Busy>> = const { Pool::new() };
}

/// No protocol at all: a datagram, or a frame, is a message. Connected at once; all channels are what the link is.
#[derive(Debug, Default)]
pub struct Plain {
    /// What is under way; `None` while idle, which is most of the time.
    busy: Option<Box<Busy>>,
    discarded: u32,
    max: u32,
    /// Not every message can be a frame.
    boundary: Option<Boundary>,
    is_open: bool,
    tell_open: bool,
    tell_closed: bool,
}

#[derive(Debug, Default)]
struct Busy {
    received: Option<Bytes>,
    /// Messages, each behind its length (u32).
    outgoing: Vec<u8>,
    sent: usize,
}

impl Busy {
    /// One that another connection has left behind, or a new one.
    fn take() -> Box<Busy> {
        POOL.with(Pool::take)
    }

    /// For whoever is busy next.
    fn leave(mut self: Box<Busy>) {
        self.outgoing.clear();
        self.sent = 0;
        if self.outgoing.capacity() <= KEPT_BYTES {
            POOL.with(|pool| pool.leave(self));
        }
    }
}

impl Plain {
    /// Messages of at most `max` bytes.
    pub fn new(max: usize) -> Plain {
        Plain { max: u32::try_from(max).unwrap_or(u32::MAX), ..Plain::default() }
    }

    /// Messages that can be such frames.
    pub fn framed(framing: Framing) -> Plain {
        Plain { boundary: Some(framing.boundary), ..Plain::new(framing.limit()) }
    }
}

impl Protocol for Plain {
    fn name(&self) -> &'static str {
        ""
    }

    fn open(&mut self, _: Instant) {
        (self.is_open, self.tell_open) = (true, true);
    }

    fn input(&mut self, _: Instant, datagram: &[u8]) {
        // By the contract the one before has been fetched.
        if self.is_open && self.busy.as_ref().is_none_or(|busy| busy.received.is_none()) {
            self.busy.get_or_insert_with(Busy::take).received = Some(Bytes::copy_from_slice(datagram));
        } else {
            self.discarded = self.discarded.saturating_add(1);
        }
    }

    fn send(&mut self, _: Instant, _: Channel, message: &[u8]) -> Result<(), Failure> {
        if !self.is_open {
            return Err(Failure::new(Kind::CLOSED, "the connection is closed"));
        }
        let Some(len) = u32::try_from(message.len()).ok().filter(|len| *len <= self.max) else {
            let what = format!("a message of {} bytes, of at most {}", message.len(), self.max);
            return Err(Failure::new(Kind::TOO_LARGE, what));
        };
        if let Some(boundary) = self.boundary {
            Framing { boundary, max: message.len() }.check(message)?;
        }
        let busy = self.busy.get_or_insert_with(Busy::take);
        if busy.outgoing.len() - busy.sent + message.len() > MAX_QUEUED.max(message.len()) {
            return Err(Failure::new(Kind::BACKLOG, format!("{MAX_QUEUED} bytes wait already to be sent")));
        }
        busy.outgoing.reserve(4 + message.len());
        busy.outgoing.extend_from_slice(&len.to_le_bytes());
        busy.outgoing.extend_from_slice(message);
        Ok(())
    }

    fn poll_transmit(&mut self, _: Instant, packet: &mut Vec<u8>) -> bool {
        let Some(busy) = &mut self.busy else { return false };
        let waiting = busy.outgoing.get(busy.sent..).and_then(|rest| rest.split_first_chunk());
        let Some((len, rest)) = waiting else {
            if busy.received.is_none()
                && let Some(busy) = self.busy.take()
            {
                busy.leave();
            }
            return false;
        };
        let len = u32::from_le_bytes(*len) as usize;
        packet.extend_from_slice(rest.get(..len).unwrap_or_default());
        busy.sent += 4 + len;
        // What was sent makes room once it is the larger part.
        if busy.sent == busy.outgoing.len() {
            busy.outgoing.clear();
            busy.sent = 0;
        } else if busy.sent > busy.outgoing.len() / 2 {
            busy.outgoing.drain(..busy.sent);
            busy.sent = 0;
        }
        true
    }

    fn poll_event(&mut self) -> Option<Event> {
        if std::mem::take(&mut self.tell_open) {
            return Some(Event::Connected);
        }
        if let Some(payload) = self.busy.as_mut().and_then(|busy| busy.received.take()) {
            return Some(Event::Message { channel: Channel::UNRELIABLE, payload });
        }
        let is_closed = std::mem::take(&mut self.tell_closed);
        is_closed.then(|| Event::Closed(Failure::new(Kind::CLOSED, "closed by this side")))
    }

    fn close(&mut self, _: Instant) {
        self.tell_closed |= self.is_open;
        self.is_open = false;
    }

    fn stats(&self) -> Stats {
        Stats { discarded: self.discarded.into(), ..Stats::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_a_frame_is_refused_at_once() {
        let now = Instant::now();
        let mut plain = Plain::framed(Framing { boundary: Boundary::Line, max: 5 });
        plain.open(now);
        let mut kind = |message| plain.send(now, Channel::ORDERED, message).err().map(|failure| failure.kind());
        assert_eq!(kind(b"a\nb"), Some(Kind::MALFORMED));
        assert_eq!(kind(b"abcdef"), Some(Kind::TOO_LARGE));
        assert_eq!(kind(b"abcde"), None);
        assert!(size_of::<Plain>() <= 24);
    }

    #[test]
    fn messages_go_as_they_are_and_bounds_hold() {
        let now = Instant::now();
        let mut plain = Plain::new(1_000);
        assert_eq!(plain.send(now, Channel::ORDERED, b"x").unwrap_err().kind(), Kind::CLOSED);
        plain.open(now);
        assert_eq!(plain.poll_event(), Some(Event::Connected));
        assert_eq!(plain.send(now, Channel::ORDERED, &[0; 1_001]).unwrap_err().kind(), Kind::TOO_LARGE);
        let mut sent = 0;
        while plain.send(now, Channel::ORDERED, &[sent as u8; 1_000]).is_ok() {
            sent += 1;
        }
        assert_eq!(sent, MAX_QUEUED / 1_004);
        let mut packet = Vec::new();
        for n in 0..sent {
            assert!(plain.poll_transmit(now, &mut packet));
            assert_eq!(packet, [n as u8; 1_000]);
            packet.clear();
        }
        assert!(!plain.poll_transmit(now, &mut packet));
        assert!(plain.busy.is_none());
        assert_eq!(POOL.with(Pool::len), 0, "too large to be kept");
        plain.input(now, b"one");
        plain.input(now, b"too many");
        let payload = Bytes::from_static(b"one");
        assert_eq!(plain.poll_event(), Some(Event::Message { channel: Channel::UNRELIABLE, payload }));
        assert_eq!((plain.poll_event(), plain.stats().discarded), (None, 1));
        assert!(!plain.poll_transmit(now, &mut packet) && plain.busy.is_none());
        assert_eq!(POOL.with(Pool::len), 1);
        plain.close(now);
        assert!(matches!(plain.poll_event(), Some(Event::Closed(_))));
        plain.input(now, b"late");
        assert_eq!(plain.poll_event(), None);
    }
}
