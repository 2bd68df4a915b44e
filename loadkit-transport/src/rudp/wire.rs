//! The bytes of a packet. All numbers are little-endian.
//!
//! ```text
//! 1 request    protocol u32, salt u64, zeros up to 256 bytes     client -> server
//! 2 challenge  salt u64, cookie u64                              server -> client
//! 3 response   protocol u32, salt u64, cookie u64                client -> server
//! 4 accept     salt u64, session u32                             server -> client
//! 5 data       header, frames; without a frame it is a ping      both ways
//! 6 ack        header                                            both ways
//! 7 goodbye    session u32, reason: u8 length, UTF-8             both ways
//! 8 denied     salt u64, reason: u8 length, UTF-8                server -> client
//!
//! header       session u32, sequence u16, ack u16, delay u16 (of the ack, in 16 µs; 0xFFFF: unknown or longer),
//!              those of the 4 bytes of ack bits that are not 0xFF (bit 4 + i of the first byte: byte i is here)
//! frame        u8: bits 0-1 delivery (unreliable, sequenced, ordered, unordered), bit 2 "more follows", others 0;
//!              id u16 unless unreliable; length: 1 byte below 128, else 2 bytes, the first with the top bit set and
//!              the high bits; the bytes
//! ```
//!
//! A reply is never longer than what asked for it: challenge (17) < request (256), accept (13) and denied (at most
//! 21) <= response (21).

use crate::protocol::Delivery;

/// A request's length: padded, so that nobody can use a server to amplify.
pub(super) const REQUEST_LEN: usize = 256;
/// A response's length, and the most that a reply to it may have.
pub(super) const RESPONSE_LEN: usize = 21;
/// The longest header of a data packet, its kind included.
pub(super) const MAX_HEADER: usize = 15;
/// The longest header of a frame.
pub(super) const MAX_FRAME_HEADER: usize = 5;
/// The longest reason in a goodbye, in bytes.
pub(super) const MAX_REASON: usize = 120;
/// The longest reason in a denial: see the module's last lines.
pub(super) const MAX_DENIAL: usize = RESPONSE_LEN - 10;
/// One unit of the delay field, in µs.
pub(super) const DELAY_UNIT_US: u128 = 16;
/// The delay is not known, or too long to be told.
pub(super) const NO_DELAY: u16 = u16::MAX;

const REQUEST: u8 = 1;
const CHALLENGE: u8 = 2;
const RESPONSE: u8 = 3;
const ACCEPT: u8 = 4;
const DATA: u8 = 5;
const ACK: u8 = 6;
const GOODBYE: u8 = 7;
const DENIED: u8 = 8;

const MORE: u8 = 0b100;

/// What every packet of a session begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) session: u32,
    pub(super) sequence: u16,
    pub(super) ack: u16,
    pub(super) delay: u16,
    /// Bit `i`: `ack - 1 - i` has arrived too.
    pub(super) acks: u32,
}

/// A packet taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Packet<'a> {
    Request { protocol: u32, salt: u64 },
    Challenge { salt: u64, cookie: u64 },
    Response { protocol: u32, salt: u64, cookie: u64 },
    Accept { salt: u64, session: u32 },
    Data { header: Header, frames: Frames<'a> },
    Ack(Header),
    Goodbye { session: u32, reason: &'a str },
    Denied { salt: u64, reason: &'a str },
}

/// Whether the bytes begin like a client's part of the handshake.
pub(super) fn is_handshake(bytes: &[u8]) -> bool {
    matches!(bytes, [REQUEST | RESPONSE, ..])
}

impl<'a> Packet<'a> {
    /// `None` when the bytes are no packet. Frames are checked by whoever walks them.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Packet<'a>> {
        let mut rest = bytes;
        let first = u8::from_le_bytes(take(&mut rest)?);
        let packet = match first & 0xF {
            REQUEST if bytes.len() == REQUEST_LEN => {
                let (protocol, salt) = (u32_of(&mut rest)?, u64_of(&mut rest)?);
                rest = &[];
                Packet::Request { protocol, salt }
            }
            CHALLENGE => Packet::Challenge { salt: u64_of(&mut rest)?, cookie: u64_of(&mut rest)? },
            RESPONSE => {
                Packet::Response { protocol: u32_of(&mut rest)?, salt: u64_of(&mut rest)?, cookie: u64_of(&mut rest)? }
            }
            ACCEPT => Packet::Accept { salt: u64_of(&mut rest)?, session: u32_of(&mut rest)? },
            DATA => {
                let header = Header::read(first, &mut rest)?;
                return Some(Packet::Data { header, frames: Frames(rest) });
            }
            ACK => Packet::Ack(Header::read(first, &mut rest)?),
            GOODBYE => Packet::Goodbye { session: u32_of(&mut rest)?, reason: text_of(&mut rest)? },
            DENIED => Packet::Denied { salt: u64_of(&mut rest)?, reason: text_of(&mut rest)? },
            _ => return None,
        };
        let plain = first & 0xF0 == 0 || matches!(packet, Packet::Ack(_));
        (rest.is_empty() && plain).then_some(packet)
    }
}

pub(super) fn write_request(out: &mut Vec<u8>, protocol: u32, salt: u64) {
    let start = out.len();
    out.push(REQUEST);
    out.extend_from_slice(&protocol.to_le_bytes());
    out.extend_from_slice(&salt.to_le_bytes());
    out.resize(start + REQUEST_LEN, 0);
}

pub(super) fn write_challenge(out: &mut Vec<u8>, salt: u64, cookie: u64) {
    out.push(CHALLENGE);
    out.extend_from_slice(&salt.to_le_bytes());
    out.extend_from_slice(&cookie.to_le_bytes());
}

pub(super) fn write_response(out: &mut Vec<u8>, protocol: u32, salt: u64, cookie: u64) {
    out.push(RESPONSE);
    out.extend_from_slice(&protocol.to_le_bytes());
    out.extend_from_slice(&salt.to_le_bytes());
    out.extend_from_slice(&cookie.to_le_bytes());
}

pub(super) fn write_accept(out: &mut Vec<u8>, salt: u64, session: u32) {
    out.push(ACCEPT);
    out.extend_from_slice(&salt.to_le_bytes());
    out.extend_from_slice(&session.to_le_bytes());
}

pub(super) fn write_goodbye(out: &mut Vec<u8>, session: u32, reason: &str) {
    out.push(GOODBYE);
    out.extend_from_slice(&session.to_le_bytes());
    write_text(out, reason, MAX_REASON);
}

pub(super) fn write_denied(out: &mut Vec<u8>, salt: u64, reason: &str) {
    out.push(DENIED);
    out.extend_from_slice(&salt.to_le_bytes());
    write_text(out, reason, MAX_DENIAL);
}

fn write_text(out: &mut Vec<u8>, text: &str, max: usize) {
    let cut = (0..=max.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    let text = &text[..cut];
    out.push(u8::try_from(text.len()).unwrap_or(0));
    out.extend_from_slice(text.as_bytes());
}

impl Header {
    fn read(first: u8, rest: &mut &[u8]) -> Option<Header> {
        let session = u32_of(rest)?;
        let [sequence, ack, delay] = [u16_of(rest)?, u16_of(rest)?, u16_of(rest)?];
        let mut acks = [0xFF; 4];
        for (i, byte) in acks.iter_mut().enumerate() {
            if first & (0x10 << i) != 0 {
                [*byte] = take(rest)?;
            }
        }
        Some(Header { session, sequence, ack, delay, acks: u32::from_le_bytes(acks) })
    }

    /// Writes a data packet's header, or an ack's.
    pub(super) fn write(&self, is_ack: bool, out: &mut Vec<u8>) {
        let acks = self.acks.to_le_bytes();
        let mut first = if is_ack { ACK } else { DATA };
        for (i, &byte) in acks.iter().enumerate() {
            if byte != 0xFF {
                first |= 0x10 << i;
            }
        }
        out.push(first);
        out.extend_from_slice(&self.session.to_le_bytes());
        out.extend_from_slice(&self.sequence.to_le_bytes());
        out.extend_from_slice(&self.ack.to_le_bytes());
        out.extend_from_slice(&self.delay.to_le_bytes());
        out.extend(acks.into_iter().filter(|&byte| byte != 0xFF));
    }
}

/// One message, or one piece of one, in a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    pub(super) delivery: Delivery,
    pub(super) more: bool,
    /// 0 where there is none.
    pub(super) id: u16,
    pub(super) bytes: &'a [u8],
}

impl Frame<'_> {
    /// Its length on the wire.
    pub(super) fn len(&self) -> usize {
        let id = if self.delivery == Delivery::Unreliable { 0 } else { 2 };
        1 + id + if self.bytes.len() < 0x80 { 1 } else { 2 } + self.bytes.len()
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let delivery = match self.delivery {
            Delivery::Unreliable => 0,
            Delivery::Sequenced => 1,
            Delivery::Ordered => 2,
            Delivery::Unordered => 3,
        };
        out.push(delivery | if self.more { MORE } else { 0 });
        if self.delivery != Delivery::Unreliable {
            out.extend_from_slice(&self.id.to_le_bytes());
        }
        let [high, low] = u16::try_from(self.bytes.len()).unwrap_or(0x7FFF).to_be_bytes();
        if self.bytes.len() >= 0x80 {
            out.push(high | 0x80);
        }
        out.push(low);
        out.extend_from_slice(self.bytes);
    }
}

/// The frames of a packet, one after the other; an `Err` ends them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frames<'a>(&'a [u8]);

impl Frames<'_> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The bytes are no frame.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoFrame;

impl<'a> Iterator for Frames<'a> {
    type Item = Result<Frame<'a>, NoFrame>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let frame = frame_of(&mut self.0);
        if frame.is_none() {
            self.0 = &[];
        }
        Some(frame.ok_or(NoFrame))
    }
}

fn frame_of<'a>(rest: &mut &'a [u8]) -> Option<Frame<'a>> {
    let [first] = take(rest)?;
    let delivery = match first & 0b11 {
        0 => Delivery::Unreliable,
        1 => Delivery::Sequenced,
        2 => Delivery::Ordered,
        _ => Delivery::Unordered,
    };
    let more = first & MORE != 0;
    if first & !0b111 != 0 || more && delivery != Delivery::Ordered {
        return None;
    }
    let id = if delivery == Delivery::Unreliable { 0 } else { u16_of(rest)? };
    let [high] = take(rest)?;
    let len = if high < 0x80 {
        usize::from(high)
    } else {
        let [low] = take(rest)?;
        usize::from(u16::from_be_bytes([high & 0x7F, low]))
    };
    let (bytes, tail) = rest.split_at_checked(len)?;
    *rest = tail;
    Some(Frame { delivery, more, id, bytes })
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk()?;
    *rest = tail;
    Some(*head)
}

fn u16_of(rest: &mut &[u8]) -> Option<u16> {
    take(rest).map(u16::from_le_bytes)
}

fn u32_of(rest: &mut &[u8]) -> Option<u32> {
    take(rest).map(u32::from_le_bytes)
}

fn u64_of(rest: &mut &[u8]) -> Option<u64> {
    take(rest).map(u64::from_le_bytes)
}

fn text_of<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    let [len] = take(rest)?;
    let (text, tail) = rest.split_at_checked(usize::from(len))?;
    *rest = tail;
    std::str::from_utf8(text).ok()
}

/// How far `a` is after `b` on the circle of 16 bits; negative if before.
pub(super) fn after(a: u16, b: u16) -> i16 {
    a.wrapping_sub(b).cast_signed()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn delivery() -> impl Strategy<Value = Delivery> {
        prop_oneof![
            Just(Delivery::Unreliable),
            Just(Delivery::Sequenced),
            Just(Delivery::Ordered),
            Just(Delivery::Unordered),
        ]
    }

    proptest! {
        #[test]
        fn data_packets_survive_the_wire(
            numbers in any::<(u32, u16, u16, u16, u32)>(),
            frames in prop::collection::vec((delivery(), any::<(bool, u16)>(), prop::collection::vec(any::<u8>(), 0..300)), 0..8),
        ) {
            let (session, sequence, ack, delay, acks) = numbers;
            let header = Header { session, sequence, ack, delay, acks };
            let frames: Vec<Frame> = frames
                .iter()
                .map(|(delivery, (more, id), bytes)| Frame {
                    delivery: *delivery,
                    more: *more && *delivery == Delivery::Ordered,
                    id: if *delivery == Delivery::Unreliable { 0 } else { *id },
                    bytes,
                })
                .collect();
            let mut out = Vec::new();
            header.write(false, &mut out);
            prop_assert!(out.len() <= MAX_HEADER);
            for frame in &frames {
                let before = out.len();
                frame.write(&mut out);
                prop_assert_eq!(out.len() - before, frame.len());
            }
            let Some(Packet::Data { header: read, frames: walk }) = Packet::read(&out) else {
                panic!("no data packet")
            };
            prop_assert_eq!(read, header);
            prop_assert_eq!(walk.collect::<Result<Vec<_>, _>>().unwrap(), frames);
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            if let Some(Packet::Data { frames, .. }) = Packet::read(&bytes) {
                prop_assert!(frames.count() <= bytes.len());
            }
        }

        #[test]
        fn handshakes_survive_the_wire(numbers in any::<(u32, u64, u64, u32)>(), reason in ".{0,200}") {
            let (protocol, salt, cookie, session) = numbers;
            let write = |f: &dyn Fn(&mut Vec<u8>)| { let mut out = Vec::new(); f(&mut out); out };
            let request = write(&|out| write_request(out, protocol, salt));
            prop_assert_eq!(Packet::read(&request), Some(Packet::Request { protocol, salt }));
            let challenge = write(&|out| write_challenge(out, salt, cookie));
            prop_assert_eq!(Packet::read(&challenge), Some(Packet::Challenge { salt, cookie }));
            prop_assert!(challenge.len() <= request.len());
            let response = write(&|out| write_response(out, protocol, salt, cookie));
            prop_assert_eq!(Packet::read(&response), Some(Packet::Response { protocol, salt, cookie }));
            prop_assert_eq!(response.len(), RESPONSE_LEN);
            let accept = write(&|out| write_accept(out, salt, session));
            prop_assert_eq!(Packet::read(&accept), Some(Packet::Accept { salt, session }));
            prop_assert!(accept.len() <= RESPONSE_LEN);
            let denied = write(&|out| write_denied(out, salt, &reason));
            let is_denied = matches!(Packet::read(&denied), Some(Packet::Denied { .. }));
            prop_assert!(is_denied && denied.len() <= RESPONSE_LEN);
            let goodbye = write(&|out| write_goodbye(out, session, &reason));
            let is_goodbye = matches!(Packet::read(&goodbye), Some(Packet::Goodbye { .. }));
            prop_assert!(is_goodbye);
        }
    }
}
