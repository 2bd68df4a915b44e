//! The bytes of a packet. All numbers are little-endian; `docs/rudp.md` tells the same with all that follows from it.
//!
//! ```text
//! every packet begins with the game's magic (0 to 8 bytes) and a kind
//!
//!  1 request         version u8, protocol u32, salt u64, zeros up to 256 bytes       client -> server
//!  2 challenge       salt u64, cookie u64                                            server -> client
//!  3 response        version u8, protocol u32, salt u64, cookie u64, token: u16      client -> server
//!                    length, bytes; payload: u16 length, bytes; zeros up to 256
//!  4 accept          salt u64, welcome                                               server -> client
//!  5 denied          salt u64, code u32, reason: u8 length, UTF-8                    server -> client
//!  6 data            envelope, header, frames; without a frame it is a ping          both ways
//!  7 ack             envelope, header                                                both ways
//!  8 goodbye         envelope, code u32, reason: u8 length, UTF-8                    both ways
//!  9 path challenge  client u32, token u32                                           server -> client
//! 10 path response   envelope, token u32, secret u64                                 client -> server
//! 11 probe           session u32, client u32, zeros u32                              client -> server
//! 12 reset           client u32, secret u64                                          server -> client
//!
//! welcome            session u32, secret u64, answer: u16 length, bytes
//! envelope           the receiver's id u32, sequence u16; what follows it is sealed when the session is
//! header             ack u16, delay u16 (of the ack, in 16 µs; 0xFFFF: unknown or longer), those of the 4 bytes of
//!                    ack bits that are not 0xFF (bit 4 + i of the kind: byte i is here)
//! ```
//!
//! A client's id is the low half of its salt, so that **the four bytes after the kind of every packet to a client are
//! that client's id**: many clients can share a socket.
//!
//! A reply is never longer than what asked for it: challenge (17) < request (256); accept (23 to 239) and denied (14
//! to 134) <= response (256 or more); path challenge (9) < ack (11 or more); reset (13) = probe (13). The magic counts
//! on both sides.

use super::config::Magic;

/// The format described here; a server answers no other.
pub(super) const VERSION: u8 = 1;
/// A request's length: padded, so that nobody can use a server to amplify. A response has at least as much.
pub(super) const REQUEST_LEN: usize = 256;
/// A response's length without magic, token and payload.
pub(super) const RESPONSE_HEADER: usize = 26;
/// What every packet of a session begins with, behind the magic.
pub(super) const ENVELOPE_LEN: usize = 7;
/// The longest header of a data packet, its envelope included.
pub(super) const MAX_HEADER: usize = ENVELOPE_LEN + 8;
/// The longest reason in a goodbye or a denial, in bytes.
pub(super) const MAX_REASON: usize = 120;
/// One unit of the delay field, in µs.
pub(super) const DELAY_UNIT_US: u128 = 16;
/// The delay is not known, or too long to be told.
pub(super) const NO_DELAY: u16 = u16::MAX;

/// The low four bits of a packet's first byte behind the magic.
pub(super) mod kind {
    pub(in super::super) const REQUEST: u8 = 1;
    pub(in super::super) const CHALLENGE: u8 = 2;
    pub(in super::super) const RESPONSE: u8 = 3;
    pub(in super::super) const ACCEPT: u8 = 4;
    pub(in super::super) const DENIED: u8 = 5;
    pub(in super::super) const DATA: u8 = 6;
    pub(in super::super) const ACK: u8 = 7;
    pub(in super::super) const GOODBYE: u8 = 8;
    pub(in super::super) const PATH_CHALLENGE: u8 = 9;
    pub(in super::super) const PATH_RESPONSE: u8 = 10;
    pub(in super::super) const PROBE: u8 = 11;
    pub(in super::super) const RESET: u8 = 12;
}

/// The low half of a salt is the client's id.
pub(super) fn client_id(salt: u64) -> u32 {
    (salt & 0xFFFF_FFFF) as u32
}

/// The kind of a packet, and the id behind it: of a session's packet the receiver's.
pub(super) fn kind_and_id(magic: Magic, bytes: &[u8]) -> Option<(u8, u32)> {
    let mut rest = magic.strip(bytes)?;
    let [first] = take(&mut rest)?;
    Some((first & 0xF, u32_of(&mut rest)?))
}

/// A packet of the handshake, or one without a session, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Packet<'a> {
    Request { protocol: u32, salt: u64 },
    Challenge { salt: u64, cookie: u64 },
    Response(Response<'a>),
    Accept { salt: u64, welcome: &'a [u8], before: &'a [u8] },
    Denied { salt: u64, code: u32, reason: &'a str },
    PathChallenge { client: u32, token: u32 },
    Probe { session: u32, client: u32 },
    Reset { client: u32, secret: u64 },
}

/// A client's last word in the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Response<'a> {
    pub(super) protocol: u32,
    pub(super) salt: u64,
    pub(super) cookie: u64,
    /// Empty where there is no encryption.
    pub(super) token: &'a [u8],
    pub(super) payload: &'a [u8],
    /// All before the payload's bytes, magic included.
    pub(super) before: &'a [u8],
}

impl<'a> Packet<'a> {
    /// `None` when the bytes are no such packet.
    pub(super) fn read(magic: Magic, bytes: &'a [u8]) -> Option<Packet<'a>> {
        let mut rest = magic.strip(bytes)?;
        let packet = match u8_of(&mut rest)? {
            kind::REQUEST if bytes.len() == REQUEST_LEN && u8_of(&mut rest)? == VERSION => {
                let (protocol, salt) = (u32_of(&mut rest)?, u64_of(&mut rest)?);
                rest = &[];
                Packet::Request { protocol, salt }
            }
            kind::CHALLENGE => Packet::Challenge { salt: u64_of(&mut rest)?, cookie: u64_of(&mut rest)? },
            kind::RESPONSE if bytes.len() >= REQUEST_LEN && u8_of(&mut rest)? == VERSION => {
                let (protocol, salt, cookie) = (u32_of(&mut rest)?, u64_of(&mut rest)?, u64_of(&mut rest)?);
                let (token, payload) = (bytes_of(&mut rest)?, bytes_of(&mut rest)?);
                let before = bytes.get(..bytes.len() - rest.len() - payload.len())?;
                rest = &[];
                Packet::Response(Response { protocol, salt, cookie, token, payload, before })
            }
            kind::ACCEPT => {
                let (salt, welcome) = (u64_of(&mut rest)?, std::mem::take(&mut rest));
                Packet::Accept { salt, welcome, before: bytes.get(..bytes.len() - welcome.len())? }
            }
            kind::DENIED => {
                Packet::Denied { salt: u64_of(&mut rest)?, code: u32_of(&mut rest)?, reason: text_of(&mut rest)? }
            }
            kind::PATH_CHALLENGE => Packet::PathChallenge { client: u32_of(&mut rest)?, token: u32_of(&mut rest)? },
            kind::PROBE => {
                let (session, client) = (u32_of(&mut rest)?, u32_of(&mut rest)?);
                u32_of(&mut rest)?;
                Packet::Probe { session, client }
            }
            kind::RESET => Packet::Reset { client: u32_of(&mut rest)?, secret: u64_of(&mut rest)? },
            _ => return None,
        };
        rest.is_empty().then_some(packet)
    }
}

/// What an accept says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Welcome<'a> {
    pub(super) session: u32,
    pub(super) secret: u64,
    pub(super) answer: &'a [u8],
}

impl<'a> Welcome<'a> {
    pub(super) fn read(mut bytes: &'a [u8]) -> Option<Welcome<'a>> {
        let rest = &mut bytes;
        let welcome = Welcome { session: u32_of(rest)?, secret: u64_of(rest)?, answer: bytes_of(rest)? };
        rest.is_empty().then_some(welcome)
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.session.to_le_bytes());
        out.extend_from_slice(&self.secret.to_le_bytes());
        write_bytes(out, self.answer);
    }
}

pub(super) fn write_request(out: &mut Vec<u8>, magic: Magic, protocol: u32, salt: u64) {
    let start = out.len();
    begin(out, magic, kind::REQUEST);
    out.push(VERSION);
    out.extend_from_slice(&protocol.to_le_bytes());
    out.extend_from_slice(&salt.to_le_bytes());
    out.resize(start + REQUEST_LEN, 0);
}

pub(super) fn write_challenge(out: &mut Vec<u8>, magic: Magic, salt: u64, cookie: u64) {
    begin(out, magic, kind::CHALLENGE);
    out.extend_from_slice(&salt.to_le_bytes());
    out.extend_from_slice(&cookie.to_le_bytes());
}

/// A response up to its payload, whose length will be `payload`; [`pad_response`] ends it.
pub(super) fn begin_response(out: &mut Vec<u8>, magic: Magic, of: &Response, payload: usize) {
    begin(out, magic, kind::RESPONSE);
    out.push(VERSION);
    out.extend_from_slice(&of.protocol.to_le_bytes());
    out.extend_from_slice(&of.salt.to_le_bytes());
    out.extend_from_slice(&of.cookie.to_le_bytes());
    write_bytes(out, of.token);
    out.extend_from_slice(&u16::try_from(payload).unwrap_or(u16::MAX).to_le_bytes());
}

/// Pads the response that began at `start`.
pub(super) fn pad_response(out: &mut Vec<u8>, start: usize) {
    out.resize(out.len().max(start + REQUEST_LEN), 0);
}

/// An accept up to its welcome.
pub(super) fn begin_accept(out: &mut Vec<u8>, magic: Magic, salt: u64) {
    begin(out, magic, kind::ACCEPT);
    out.extend_from_slice(&salt.to_le_bytes());
}

pub(super) fn write_denied(out: &mut Vec<u8>, magic: Magic, salt: u64, code: u32, reason: &str) {
    begin(out, magic, kind::DENIED);
    out.extend_from_slice(&salt.to_le_bytes());
    write_ending(out, code, reason);
}

pub(super) fn write_path_challenge(out: &mut Vec<u8>, magic: Magic, client: u32, token: u32) {
    begin(out, magic, kind::PATH_CHALLENGE);
    out.extend_from_slice(&client.to_le_bytes());
    out.extend_from_slice(&token.to_le_bytes());
}

pub(super) fn write_probe(out: &mut Vec<u8>, magic: Magic, session: u32, client: u32) {
    begin(out, magic, kind::PROBE);
    out.extend_from_slice(&session.to_le_bytes());
    out.extend_from_slice(&client.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
}

pub(super) fn write_reset(out: &mut Vec<u8>, magic: Magic, client: u32, secret: u64) {
    begin(out, magic, kind::RESET);
    out.extend_from_slice(&client.to_le_bytes());
    out.extend_from_slice(&secret.to_le_bytes());
}

/// What every packet of a session begins with, and what follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Envelope<'a> {
    /// The kind with its flags.
    pub(super) first: u8,
    /// The receiver's.
    pub(super) id: u32,
    pub(super) sequence: u16,
    pub(super) body: &'a [u8],
    /// All before the body, magic included.
    pub(super) before: &'a [u8],
}

impl<'a> Envelope<'a> {
    /// `None` when the bytes are no packet of a session.
    pub(super) fn read(magic: Magic, bytes: &'a [u8]) -> Option<Envelope<'a>> {
        let mut rest = magic.strip(bytes)?;
        let [first] = take(&mut rest)?;
        if !matches!(first & 0xF, kind::DATA | kind::ACK) && !matches!(first, kind::GOODBYE | kind::PATH_RESPONSE) {
            return None;
        }
        let (id, sequence) = (u32_of(&mut rest)?, u16_of(&mut rest)?);
        Some(Envelope { first, id, sequence, body: rest, before: bytes.get(..bytes.len() - rest.len())? })
    }

    /// Writes all before the body.
    pub(super) fn write(out: &mut Vec<u8>, magic: Magic, first: u8, id: u32, sequence: u16) {
        begin(out, magic, first);
        let ([a, b, c, d], [e, f]) = (id.to_le_bytes(), sequence.to_le_bytes());
        out.extend_from_slice(&[a, b, c, d, e, f]);
    }
}

/// What is known of the other side's packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) ack: u16,
    pub(super) delay: u16,
    /// Bit `i`: `ack - 1 - i` has arrived too.
    pub(super) acks: u32,
}

impl Header {
    /// Takes the header from the beginning of a body; `first` is of the envelope.
    pub(super) fn read(first: u8, rest: &mut &[u8]) -> Option<Header> {
        let [ack, delay] = [u16_of(rest)?, u16_of(rest)?];
        let mut acks = [0xFF; 4];
        for (i, byte) in acks.iter_mut().enumerate() {
            if first & (0x10 << i) != 0 {
                [*byte] = take(rest)?;
            }
        }
        Some(Header { ack, delay, acks: u32::from_le_bytes(acks) })
    }

    /// The flags that go into the envelope's first byte.
    pub(super) fn flags(&self) -> u8 {
        let bytes = self.acks.to_le_bytes().into_iter().enumerate();
        bytes.fold(0, |flags, (i, byte)| if byte == 0xFF { flags } else { flags | 0x10 << i })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let ([a, b], [c, d]) = (self.ack.to_le_bytes(), self.delay.to_le_bytes());
        out.extend_from_slice(&[a, b, c, d]);
        if self.acks != u32::MAX {
            out.extend(self.acks.to_le_bytes().into_iter().filter(|&byte| byte != 0xFF));
        }
    }
}

/// Why one goes: a goodbye's body, and the end of a denial.
pub(super) fn write_ending(out: &mut Vec<u8>, code: u32, reason: &str) {
    out.extend_from_slice(&code.to_le_bytes());
    let cut = (0..=MAX_REASON.min(reason.len())).rev().find(|&at| reason.is_char_boundary(at)).unwrap_or(0);
    let text = &reason[..cut];
    out.push(u8::try_from(text.len()).unwrap_or(0));
    out.extend_from_slice(text.as_bytes());
}

/// Reads what [`write_ending`] wrote.
pub(super) fn ending_of(mut bytes: &[u8]) -> Option<(u32, &str)> {
    let ending = (u32_of(&mut bytes)?, text_of(&mut bytes)?);
    bytes.is_empty().then_some(ending)
}

/// Reads the body of a path response: token and secret.
pub(super) fn path_response_of(mut bytes: &[u8]) -> Option<(u32, u64)> {
    let response = (u32_of(&mut bytes)?, u64_of(&mut bytes)?);
    bytes.is_empty().then_some(response)
}

fn begin(out: &mut Vec<u8>, magic: Magic, first: u8) {
    out.extend_from_slice(magic.as_bytes());
    out.push(first);
}

fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&u16::try_from(bytes.len()).unwrap_or(0).to_le_bytes());
    out.extend_from_slice(bytes);
}

pub(super) fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk()?;
    *rest = tail;
    Some(*head)
}

fn u8_of(rest: &mut &[u8]) -> Option<u8> {
    take(rest).map(u8::from_le_bytes)
}

pub(super) fn u16_of(rest: &mut &[u8]) -> Option<u16> {
    take(rest).map(u16::from_le_bytes)
}

pub(super) fn u32_of(rest: &mut &[u8]) -> Option<u32> {
    take(rest).map(u32::from_le_bytes)
}

pub(super) fn u64_of(rest: &mut &[u8]) -> Option<u64> {
    take(rest).map(u64::from_le_bytes)
}

/// Bytes behind their length.
pub(super) fn bytes_of<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = u16_of(rest)?;
    let (bytes, tail) = rest.split_at_checked(len.into())?;
    *rest = tail;
    Some(bytes)
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

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut out);
        out
    }

    fn magic() -> impl Strategy<Value = Magic> {
        prop::collection::vec(any::<u8>(), 0..9).prop_map(|bytes| Magic::new(&bytes))
    }

    proptest! {
        #[test]
        fn headers_survive_the_wire(
            numbers in any::<(u32, u16, u16, u16, u32)>(),
            magic in magic(),
            body in prop::collection::vec(any::<u8>(), 0..30),
        ) {
            let (id, sequence, ack, delay, acks) = numbers;
            let header = Header { ack, delay, acks };
            let mut packet = written(|out| Envelope::write(out, magic, kind::DATA | header.flags(), id, sequence));
            header.write(&mut packet);
            prop_assert!(packet.len() <= MAX_HEADER + magic.as_bytes().len());
            packet.extend_from_slice(&body);
            let envelope = Envelope::read(magic, &packet).unwrap();
            prop_assert_eq!((envelope.id, envelope.sequence, envelope.first & 0xF), (id, sequence, kind::DATA));
            prop_assert_eq!(envelope.before.len() + envelope.body.len(), packet.len());
            prop_assert_eq!(kind_and_id(magic, &packet), Some((kind::DATA, id)));
            let mut rest = envelope.body;
            prop_assert_eq!(Header::read(envelope.first, &mut rest), Some(header));
            prop_assert_eq!(rest, body);
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), magic in magic()) {
            let _ = (Packet::read(magic, &bytes), Packet::read(Magic::NONE, &bytes), Welcome::read(&bytes));
            if let Some(envelope) = Envelope::read(Magic::NONE, &bytes) {
                let _ = Header::read(envelope.first, &mut { envelope.body });
                let _ = (ending_of(envelope.body), path_response_of(envelope.body));
            }
        }

        #[test]
        fn handshakes_survive_the_wire(
            numbers in any::<(u32, u64, u64, u32, u64)>(),
            reason in ".{0,200}",
            magic in magic(),
            payload in prop::collection::vec(any::<u8>(), 0..400),
        ) {
            let (protocol, salt, cookie, session, secret) = numbers;
            let request = written(|out| write_request(out, magic, protocol, salt));
            prop_assert_eq!(Packet::read(magic, &request), Some(Packet::Request { protocol, salt }));
            prop_assert_eq!(request.len(), REQUEST_LEN);
            let challenge = written(|out| write_challenge(out, magic, salt, cookie));
            prop_assert_eq!(Packet::read(magic, &challenge), Some(Packet::Challenge { salt, cookie }));
            prop_assert_eq!(kind_and_id(magic, &challenge), Some((kind::CHALLENGE, client_id(salt))));

            let response = Response { protocol, salt, cookie, token: b"t", payload: &payload, before: &[] };
            let mut bytes = written(|out| begin_response(out, magic, &response, payload.len()));
            let before = bytes.clone();
            bytes.extend_from_slice(&payload);
            pad_response(&mut bytes, 0);
            prop_assert!(bytes.len() >= REQUEST_LEN);
            let expected = Response { before: &before, ..response };
            prop_assert_eq!(Packet::read(magic, &bytes), Some(Packet::Response(expected)));

            let answer = &payload[..payload.len().min(200)];
            let welcome = Welcome { session, secret, answer };
            let mut accept = written(|out| begin_accept(out, magic, salt));
            welcome.write(&mut accept);
            let Some(Packet::Accept { salt: read, welcome: bytes, .. }) = Packet::read(magic, &accept) else {
                panic!("no accept")
            };
            prop_assert_eq!((read, Welcome::read(bytes)), (salt, Some(welcome)));
            prop_assert!(accept.len() + 16 <= REQUEST_LEN);
            let denied = written(|out| write_denied(out, magic, salt, session, &reason));
            let is_denied = matches!(Packet::read(magic, &denied), Some(Packet::Denied { code, .. }) if code == session);
            prop_assert!(is_denied && denied.len() <= REQUEST_LEN);

            let (client, token) = (client_id(salt), protocol);
            let challenge = written(|out| write_path_challenge(out, magic, client, token));
            prop_assert_eq!(Packet::read(magic, &challenge), Some(Packet::PathChallenge { client, token }));
            prop_assert!(challenge.len() <= magic.as_bytes().len() + ENVELOPE_LEN + 4);
            let probe = written(|out| write_probe(out, magic, session, client));
            prop_assert_eq!(Packet::read(magic, &probe), Some(Packet::Probe { session, client }));
            let reset = written(|out| write_reset(out, magic, client, secret));
            prop_assert_eq!(Packet::read(magic, &reset), Some(Packet::Reset { client, secret }));
            prop_assert_eq!(reset.len(), probe.len());
            let goodbye = written(|out| write_ending(out, session, &reason));
            prop_assert_eq!(ending_of(&goodbye).map(|(code, text)| (code, reason.starts_with(text))), Some((session, true)));
        }
    }
}
