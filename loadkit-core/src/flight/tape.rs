//! A ring of a player's last events, as bytes: written in a few nanoseconds, read when its life is over, if at all.

use tokio::time::Instant;

use super::read::{Record, decode};
use super::ring::Ring;
use super::{Describe, FlightEvent, Way};
use crate::failure::{Error, Failure};
use crate::metrics::micros;

/// The tape's room for an event, on average.
pub(super) const BYTES_PER_EVENT: u32 = 64;
/// Of a message so many bytes are kept.
const MAX_MESSAGE: usize = 256;
/// Of the name of a step, a kind or a protocol.
const MAX_NAME: usize = 60;
/// Of what a failure says.
const MAX_REASON: usize = 200;
/// Codecs of one player, at most; messages of further ones are shown as bytes.
const MAX_CODECS: usize = 16;

pub(super) const BEGUN: u8 = 1;
pub(super) const DONE: u8 = 2;
pub(super) const FAILED: u8 = 3;
pub(super) const CONNECTED: u8 = 4;
pub(super) const CLOSED: u8 = 5;
pub(super) const SENT: u8 = 6;
pub(super) const RECEIVED: u8 = 7;

/// What one player did last. See [`Cx::record`](crate::Cx::record).
#[derive(Debug)]
pub struct Tape {
    /// The start of the run.
    start: Instant,
    /// Records: two bytes of length, one of what it is, eight of its time, and the rest.
    ring: Ring,
    events: u32,
    max_events: u32,
    max_bytes: u32,
    /// Connections begun.
    connections: u32,
    pub(super) left_out: u64,
    pub(super) began: Instant,
    pub(super) asked: Option<Instant>,
    codecs: Vec<Describe>,
    /// The steps that failed, the last one's name and kind.
    failed: Option<Box<(String, String)>>,
}

impl Tape {
    /// An empty tape for so many events.
    pub(super) fn new(start: Instant, max_events: u32) -> Tape {
        Tape {
            start,
            ring: Ring::default(),
            events: 0,
            max_events,
            // One message must fit, however few events are wanted.
            max_bytes: bytes_for(max_events),
            connections: 0,
            left_out: 0,
            began: Instant::now(),
            asked: None,
            codecs: Vec::new(),
            failed: None,
        }
    }

    /// The number of a connection that is begun, among the player's own, from 1.
    pub fn dial(&mut self) -> u32 {
        self.connections = self.connections.wrapping_add(1);
        self.connections
    }

    /// A connection is there.
    pub fn connected(&mut self, at: Instant, connection: u32, protocol: &str) {
        let protocol = cut(protocol, MAX_NAME);
        self.put(CONNECTED, at, &[&connection.to_le_bytes(), &[protocol.len() as u8], protocol.as_bytes()]);
    }

    /// A connection, or the attempt at one, is over.
    pub fn closed(&mut self, at: Instant, connection: u32, why: &Failure) {
        let (kind, message) = (cut(why.kind().name(), MAX_NAME), cut(why.message(), MAX_REASON));
        let lens = [kind.len() as u8, message.len() as u8];
        self.put(CLOSED, at, &[&connection.to_le_bytes(), &lens, kind.as_bytes(), message.as_bytes()]);
    }

    /// A message went by: on which connection and channel (a code for its promise, and its lane; 0 for none), its bytes,
    /// and how to read them.
    #[inline]
    pub fn message(
        &mut self,
        at: Instant,
        way: Way,
        (connection, channel): (u32, [u8; 2]),
        bytes: &[u8],
        describe: Describe,
    ) {
        let tag = if way == Way::Sent { SENT } else { RECEIVED };
        let codec = self.codec(describe);
        let kept = bytes.get(..MAX_MESSAGE).unwrap_or(bytes);
        let mut head = [0; 13];
        head[..4].copy_from_slice(&connection.to_le_bytes());
        head[4..6].copy_from_slice(&channel);
        head[6] = codec;
        head[7..11].copy_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
        head[11..].copy_from_slice(&(kept.len() as u16).to_le_bytes());
        self.put(tag, at, &[&head, kept]);
    }

    /// A step begins.
    #[inline]
    pub(crate) fn begun(&mut self, at: Instant, intended: Instant, step: &str) {
        let step = cut(step, MAX_NAME);
        self.put(BEGUN, at, &[&self.time(intended), &[step.len() as u8], step.as_bytes()]);
    }

    /// A step has succeeded.
    #[inline]
    pub(crate) fn done(&mut self, at: Instant, began: Instant, intended: Instant, step: &str) {
        let step = cut(step, MAX_NAME);
        let (began, intended) = (self.time(began), self.time(intended));
        self.put(DONE, at, &[&began, &intended, &[step.len() as u8], step.as_bytes()]);
    }

    /// A step has failed.
    #[cold]
    pub(crate) fn failed(&mut self, at: Instant, began: Instant, intended: Instant, step: &str, why: &Error) {
        let message = why.message();
        let (step, kind, message) = (cut(step, MAX_NAME), cut(why.kind(), MAX_NAME), cut(&message, MAX_REASON));
        let (began, intended) = (self.time(began), self.time(intended));
        let lens = [step.len() as u8, kind.len() as u8, message.len() as u8];
        let texts = [step, kind, message].map(str::as_bytes);
        self.put(FAILED, at, &[&began, &intended, &lens, texts[0], texts[1], texts[2]]);
        self.failed = Some(Box::new((step.to_owned(), kind.to_owned())));
    }

    /// The player is asked to leave.
    #[cold]
    pub(crate) fn asked(&mut self) {
        self.asked.get_or_insert_with(Instant::now);
    }

    /// The step in which a failure of this kind came up last.
    pub(super) fn failed_step(&self, kind: &str) -> &str {
        self.failed.as_deref().filter(|(_, known)| known == cut(kind, MAX_NAME)).map_or("", |(step, _)| step)
    }

    /// All that is on the tape.
    pub(super) fn into_events(mut self) -> Vec<FlightEvent> {
        let codecs = std::mem::take(&mut self.codecs);
        let bytes = self.ring.bytes();
        let mut rest: &[u8] = &bytes;
        let mut events = Vec::with_capacity(self.events as usize);
        while let Some(record) = Record::next(&mut rest) {
            events.extend(decode(record, &codecs));
        }
        events
    }

    /// Which of the codecs this is. A bot's connections have the same one most of the time.
    fn codec(&mut self, describe: Describe) -> u8 {
        let known = self.codecs.iter().position(|known| std::ptr::fn_addr_eq(*known, describe));
        let at = known.unwrap_or_else(|| {
            if self.codecs.len() < MAX_CODECS {
                self.codecs.reserve_exact(1);
                self.codecs.push(describe);
                return self.codecs.len() - 1;
            }
            usize::from(u8::MAX)
        });
        at as u8
    }

    fn time(&self, at: Instant) -> [u8; 8] {
        micros(at.saturating_duration_since(self.start)).to_le_bytes()
    }

    /// Appends a record; the oldest make room for it.
    #[inline]
    fn put(&mut self, tag: u8, at: Instant, parts: &[&[u8]]) {
        let len = 11 + parts.iter().map(|part| part.len()).sum::<usize>();
        let max = self.max_bytes as usize;
        while self.events >= self.max_events || self.ring.len() + len > max {
            let Some(oldest) = self.ring.first_number() else { break };
            self.ring.pop(oldest.into());
            self.events -= 1;
            self.left_out += 1;
        }
        self.ring.reserve(len, max);
        let [low, high] = (len as u16).to_le_bytes();
        let mut head = [low, high, tag, 0, 0, 0, 0, 0, 0, 0, 0];
        head[3..].copy_from_slice(&self.time(at));
        self.ring.push(&head);
        parts.iter().for_each(|part| self.ring.push(part));
        self.events += 1;
    }

    #[cfg(test)]
    pub(super) fn heap(&self) -> usize {
        self.ring.room()
    }
}

/// What a tape of so many events takes at most.
pub(super) fn bytes_for(events: u32) -> u32 {
    // A longest record must fit.
    events.saturating_mul(BYTES_PER_EVENT).max(512)
}

/// The beginning of a text, of at most `max` bytes.
fn cut(text: &str, max: usize) -> &str {
    if text.len() <= max {
        return text;
    }
    let end = (0..=max).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    text.get(..end).unwrap_or("")
}
