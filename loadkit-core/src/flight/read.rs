//! `bytes of a tape -> events`, and bytes as text.

use super::tape::{BEGUN, CLOSED, CONNECTED, DONE, FAILED, RECEIVED, SENT};
use super::{Describe, Excerpt, FlightEvent, Message, Reason, Way};
use crate::engine::contain;

/// A message's text has so many characters at most.
const MAX_TEXT: usize = 500;

/// One record of a tape.
#[derive(Clone, Copy)]
pub(super) struct Record<'a> {
    tag: u8,
    at_us: u64,
    rest: &'a [u8],
}

impl<'a> Record<'a> {
    /// Takes the next record from the front.
    pub(super) fn next(bytes: &mut &'a [u8]) -> Option<Record<'a>> {
        let (len, _) = bytes.split_first_chunk::<2>()?;
        let (record, rest) = bytes.split_at_checked(usize::from(u16::from_le_bytes(*len)))?;
        *bytes = rest;
        let mut record = Reader(record.get(2..)?);
        Some(Record { tag: record.byte()?, at_us: record.time()?, rest: record.0 })
    }
}

/// What a record says. The tape has written it, so that there is always something.
pub(super) fn decode(record: Record<'_>, codecs: &[Describe]) -> Option<FlightEvent> {
    let Record { tag, at_us, rest } = record;
    let mut r = Reader(rest);
    Some(match tag {
        BEGUN => {
            let intended_us = r.time()?;
            let len = r.byte()?;
            FlightEvent::Begun { at_us, intended_us, step: r.text(len)? }
        }
        DONE => {
            let (began_us, intended_us) = (r.time()?, r.time()?);
            let len = r.byte()?;
            FlightEvent::Done { at_us, began_us, intended_us, step: r.text(len)?, failure: None }
        }
        FAILED => {
            let (began_us, intended_us) = (r.time()?, r.time()?);
            let (step, kind, message) = (r.byte()?, r.byte()?, r.byte()?);
            let step = r.text(step)?;
            let failure = Some(Reason { kind: r.text(kind)?, message: r.text(message)? });
            FlightEvent::Done { at_us, began_us, intended_us, step, failure }
        }
        CONNECTED => {
            let connection = r.number()?;
            let len = r.byte()?;
            FlightEvent::Connected { at_us, connection, protocol: r.text(len)? }
        }
        CLOSED => {
            let connection = r.number()?;
            let (kind, message) = (r.byte()?, r.byte()?);
            let reason = Reason { kind: r.text(kind)?, message: r.text(message)? };
            FlightEvent::Closed { at_us, connection, reason }
        }
        SENT | RECEIVED => {
            let way = if tag == SENT { Way::Sent } else { Way::Received };
            FlightEvent::Message(message(at_us, way, &mut r, codecs)?)
        }
        _ => return None,
    })
}

fn message(at_us: u64, way: Way, r: &mut Reader<'_>, codecs: &[Describe]) -> Option<Message> {
    let connection = r.number()?;
    let channel = channel([r.byte()?, r.byte()?]);
    let describe = codecs.get(usize::from(r.byte()?));
    let size = r.number()?;
    let _len = [r.byte()?, r.byte()?];
    let bytes = r.0;
    let excerpt = Excerpt { way, bytes, size: size as usize };
    // The code is the game's own, and what it is shown may be what made the player fail.
    let text = describe.and_then(|describe| contain(|| describe(&excerpt)).ok().flatten());
    let text = text.map(|text| short(&text)).filter(|text| !text.is_empty());
    Some(Message { at_us, way, connection, channel, size: u64::from(size), bytes: bytes.to_vec(), text })
}

/// The channel of a code: 0 is none, and then in the order of [`CHANNELS`].
fn channel([promise, lane]: [u8; 2]) -> String {
    let Some(name) = usize::from(promise).checked_sub(1).and_then(|at| CHANNELS.get(at)) else {
        return String::new();
    };
    if lane == 0 { (*name).to_owned() } else { format!("{name} {lane}") }
}

/// What channels promise, by their codes from 1.
pub(super) const CHANNELS: [&str; 4] = ["unreliable", "sequenced", "ordered", "unordered"];

fn short(text: &str) -> String {
    let mut short: String = text.chars().take(MAX_TEXT).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

/// Reads from the front; `None` at the end.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn number(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    fn time(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    fn text(&mut self, len: u8) -> Option<String> {
        Some(String::from_utf8_lossy(self.take(len.into())?).into_owned())
    }
}

/// Bytes as hexadecimal digits.
pub(super) mod hex {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(in crate::flight) fn text(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    pub(in crate::flight) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&text(bytes))
    }

    pub(in crate::flight) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digits: Option<Vec<u8>> = text.chars().map(|c| c.to_digit(16).map(|digit| digit as u8)).collect();
        match digits {
            Some(digits) if digits.len() % 2 == 0 => Ok(digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()),
            _ => Err(D::Error::custom("the bytes of a message are no pairs of hexadecimal digits")),
        }
    }
}
