//! `datagram <-> header + control message | chunks`: the packets of Teeworlds 0.7 (libtw2, doc/packet7.md).
//!
//! ```text
//! packet          RRff ffAA  AAAA AAAA  nnnn nnnn  token: 4 bytes
//! chunk           FFss ssss  00ss ssss
//! vital chunk     FFss ssss  SSss ssss  SSSS SSSS
//! ```
//!
//! `f`: connectionless, compressed, resend wanted, control. `A`: all vital chunks
//! up to this sequence have arrived. `n`: number of chunks. `F`: resent, vital. `s`: size. `S`: sequence.

use crate::huffman::{self, HuffmanError};
use std::fmt;

/// The longest datagram that either side sends.
pub const MAX_PACKET: usize = 1400;
/// Bytes before the payload of a packet that belongs to a connection.
pub const HEADER_LEN: usize = 7;
/// The longest payload, before its compression.
pub const MAX_PAYLOAD: usize = MAX_PACKET - HEADER_LEN;
/// Bytes before a vital chunk's data, which is the most that a chunk needs.
pub const CHUNK_HEADER_LEN: usize = 3;
/// The most data that one chunk carries.
pub const MAX_CHUNK: usize = MAX_PAYLOAD - CHUNK_HEADER_LEN;
/// Sequence numbers of vital chunks count modulo this.
pub const SEQUENCES: u16 = 1 << 10;
/// A token request is padded to this payload, so that its answer can never be larger than what asked for it.
const PADDED_PAYLOAD: usize = 512;

const FLAG_CONTROL: u8 = 1;
const FLAG_RESEND: u8 = 2;
const FLAG_COMPRESSED: u8 = 4;
const FLAG_CONNLESS: u8 = 8;
const CHUNK_VITAL: u8 = 0x40;
const CHUNK_RESENT: u8 = 0x80;

const KEEP_ALIVE: u8 = 0;
const CONNECT: u8 = 1;
const ACCEPT: u8 = 2;
const CLOSE: u8 = 4;
const TOKEN: u8 = 5;

/// What an end chooses at random, and the other end must show in each packet: only who can receive at an address can
/// speak for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token(pub [u8; 4]);

impl Token {
    /// Stands where the other's token is not known yet. It is never chosen.
    pub const NONE: Self = Self([0xff; 4]);
}

/// What a packet that belongs to a connection says before its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The token of the packet's receiver.
    pub token: Token,
    /// All vital chunks up to this sequence have arrived.
    pub ack: u16,
    /// Vital chunks behind `ack` are missing: send them again.
    pub resend: bool,
}

/// A message of the connection itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control<'a> {
    /// Nothing but a sign of life.
    KeepAlive,
    /// Asks for a connection; tells the asker's token.
    Connect(Token),
    /// The connection exists.
    Accept,
    /// The connection is over, and why (empty: no reason given).
    Close(&'a [u8]),
    /// Asks for the receiver's token, or answers that; tells the sender's token.
    Token(Token),
}

/// A packet, read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// Outside any connection (server lists); not read further.
    Connless,
    /// A message of the connection itself.
    Control(Header, Control<'a>),
    /// Messages of the game.
    Chunks(Header, Chunks<'a>),
}

/// Why a datagram is no packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketError {
    /// Shorter than a header, or than what its kind needs.
    Short,
    /// Longer than [`MAX_PACKET`].
    Long,
    /// A control message that the protocol does not have.
    UnknownControl(u8),
    /// The payload could not be expanded.
    Huffman(HuffmanError),
}

impl fmt::Display for PacketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short => f.write_str("the packet is cut short"),
            Self::Long => write!(f, "the packet is longer than {MAX_PACKET} bytes"),
            Self::UnknownControl(kind) => write!(f, "control message {kind} does not exist"),
            Self::Huffman(HuffmanError::Truncated) => f.write_str("the compressed payload is cut short"),
            Self::Huffman(HuffmanError::TooLong) => {
                write!(f, "the payload expands beyond {MAX_PAYLOAD} bytes")
            }
        }
    }
}

impl std::error::Error for PacketError {}

impl<'a> Packet<'a> {
    /// Reads a datagram. A compressed payload is expanded into `scratch`, of which the packet then borrows.
    ///
    /// # Errors
    /// The datagram is no packet of this protocol. Any bytes may be given.
    pub fn read(datagram: &'a [u8], scratch: &'a mut Vec<u8>) -> Result<Self, PacketError> {
        if datagram.len() > MAX_PACKET {
            return Err(PacketError::Long);
        }
        let (&[first, ack, _, t0, t1, t2, t3], payload) = datagram.split_first_chunk().ok_or(PacketError::Short)?;
        let flags = first >> 2 & 0xf;
        if flags & FLAG_CONNLESS != 0 {
            return Ok(Self::Connless);
        }
        let header = Header {
            token: Token([t0, t1, t2, t3]),
            ack: u16::from(first & 3) << 8 | u16::from(ack),
            resend: flags & FLAG_RESEND != 0,
        };
        if flags & FLAG_CONTROL != 0 {
            return Ok(Self::Control(header, Control::read(payload)?));
        }
        if flags & FLAG_COMPRESSED == 0 {
            return Ok(Self::Chunks(header, Chunks { rest: payload }));
        }
        scratch.clear();
        huffman::decompress(payload, MAX_PAYLOAD, scratch).map_err(PacketError::Huffman)?;
        Ok(Self::Chunks(header, Chunks { rest: scratch }))
    }
}

impl<'a> Control<'a> {
    fn read(payload: &'a [u8]) -> Result<Self, PacketError> {
        let (&kind, rest) = payload.split_first().ok_or(PacketError::Short)?;
        let token = rest.first_chunk().map(|&bytes| Token(bytes)).ok_or(PacketError::Short);
        match kind {
            KEEP_ALIVE => Ok(Self::KeepAlive),
            CONNECT => token.map(Self::Connect),
            ACCEPT => Ok(Self::Accept),
            CLOSE => Ok(Self::Close(rest.split(|&byte| byte == 0).next().unwrap_or_default())),
            TOKEN => token.map(Self::Token),
            other => Err(PacketError::UnknownControl(other)),
        }
    }

    /// Appends the packet with this message to `out`, which is empty.
    pub fn write(self, header: Header, out: &mut Vec<u8>) {
        header.write(FLAG_CONTROL, 0, out);
        match self {
            Self::KeepAlive => out.push(KEEP_ALIVE),
            Self::Accept => out.push(ACCEPT),
            Self::Close(reason) => {
                out.push(CLOSE);
                if !reason.is_empty() {
                    out.extend_from_slice(&reason[..reason.len().min(MAX_CHUNK)]);
                    out.push(0);
                }
            }
            Self::Connect(token) => {
                out.push(CONNECT);
                out.extend_from_slice(&token.0);
                out.resize(HEADER_LEN + PADDED_PAYLOAD, 0);
            }
            Self::Token(token) => {
                out.push(TOKEN);
                out.extend_from_slice(&token.0);
                // Only who does not know the other's token yet asks; an answer is not padded.
                if header.token == Token::NONE {
                    out.resize(HEADER_LEN + PADDED_PAYLOAD, 0);
                }
            }
        }
    }
}

impl Header {
    fn write(self, flags: u8, chunks: u8, out: &mut Vec<u8>) {
        let resend = if self.resend { FLAG_RESEND } else { 0 };
        out.push((flags | resend) << 2 | (self.ack >> 8 & 3) as u8);
        out.push(self.ack as u8);
        out.push(chunks);
        out.extend_from_slice(&self.token.0);
    }
}

/// One message, as a packet carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk<'a> {
    /// Its place among the vital chunks, if it is one: those arrive all, and in order.
    pub vital: Option<Vital>,
    /// The message.
    pub data: &'a [u8],
}

/// What a vital chunk has besides its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vital {
    /// Below [`SEQUENCES`]; the first chunk of a connection has 1.
    pub sequence: u16,
    /// This is not the first time that it was sent.
    pub resent: bool,
}

impl Chunk<'_> {
    /// Bytes that it takes in a payload.
    pub fn wire_len(&self) -> usize {
        self.data.len() + if self.vital.is_some() { 3 } else { 2 }
    }

    /// Appends it to `out`. Its data is at most [`MAX_CHUNK`] long; more is cut off.
    pub fn write(&self, out: &mut Vec<u8>) {
        let data = &self.data[..self.data.len().min(MAX_CHUNK)];
        let (high, low) = ((data.len() >> 6) as u8, data.len() as u8 & 0x3f);
        match self.vital {
            None => out.extend_from_slice(&[high, low]),
            Some(Vital { sequence, resent }) => {
                let flags = CHUNK_VITAL | if resent { CHUNK_RESENT } else { 0 };
                out.extend_from_slice(&[flags | high, (sequence >> 2) as u8 & 0xc0 | low, sequence as u8]);
            }
        }
        out.extend_from_slice(data);
    }
}

/// The chunks of a payload, in order. Ends at the payload's end, or before a chunk that is cut short.
///
/// The number of chunks in the packet's header is not consulted: it says nothing that the payload does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunks<'a> {
    rest: &'a [u8],
}

impl Chunks<'_> {
    /// Bytes that were not taken. After the last chunk: 0, or the payload was malformed from there on.
    pub fn left(&self) -> usize {
        self.rest.len()
    }
}

impl<'a> Iterator for Chunks<'a> {
    type Item = Chunk<'a>;

    fn next(&mut self) -> Option<Chunk<'a>> {
        let (&[first, second], mut rest) = self.rest.split_first_chunk()?;
        let len = usize::from(first & 0x3f) << 6 | usize::from(second & 0x3f);
        let mut vital = None;
        if first & CHUNK_VITAL != 0 {
            let (&low, behind) = rest.split_first()?;
            rest = behind;
            let sequence = u16::from(second & 0xc0) << 2 | u16::from(low);
            vital = Some(Vital { sequence, resent: first & CHUNK_RESENT != 0 });
        }
        let (data, rest) = rest.split_at_checked(len)?;
        self.rest = rest;
        Some(Chunk { vital, data })
    }
}

/// Appends a packet with `chunks` already written chunks, `payload`, to `out`, which is empty. The payload is
/// compressed if that makes it shorter.
pub fn write_chunks(header: Header, chunks: u8, payload: &[u8], out: &mut Vec<u8>) {
    if huffman::compressed_len(payload) < payload.len() {
        header.write(FLAG_COMPRESSED, chunks, out);
        huffman::compress(payload, out);
    } else {
        header.write(0, chunks, out);
        out.extend_from_slice(payload);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEADER: Header = Header { token: Token([1, 2, 3, 4]), ack: 0x2a5, resend: false };

    fn tokens() -> impl Strategy<Value = Token> {
        any::<[u8; 4]>().prop_map(Token)
    }

    fn headers() -> impl Strategy<Value = Header> {
        (tokens(), 0..SEQUENCES, any::<bool>()).prop_map(|(token, ack, resend)| Header { token, ack, resend })
    }

    fn vitals() -> impl Strategy<Value = Option<Vital>> {
        proptest::option::of((0..SEQUENCES, any::<bool>()).prop_map(|(sequence, resent)| Vital { sequence, resent }))
    }

    /// As the real server sent it: its answer to a token request.
    #[test]
    fn a_recorded_token_answer() {
        let datagram = [0x04, 0x00, 0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x9e, 0x1f, 0xbe, 0xfe];
        let header = Header { token: Token([1, 2, 3, 4]), ack: 0, resend: false };
        let packet = Packet::Control(header, Control::Token(Token([0x9e, 0x1f, 0xbe, 0xfe])));
        assert_eq!(Packet::read(&datagram, &mut Vec::new()), Ok(packet));
    }

    #[test]
    fn requests_are_padded_and_answers_are_not() {
        for (token, control, len) in [
            (Token::NONE, Control::Token(Token([1; 4])), 519),
            (Token([2; 4]), Control::Connect(Token([1; 4])), 519),
            (Token([2; 4]), Control::Token(Token([1; 4])), 12),
            (Token([2; 4]), Control::Close(b""), 8),
            (Token([2; 4]), Control::Close(b"bye"), 12),
        ] {
            let mut out = Vec::new();
            control.write(Header { token, ..HEADER }, &mut out);
            assert_eq!(out.len(), len, "{control:?}");
            let mut scratch = Vec::new();
            let read = Packet::read(&out, &mut scratch);
            assert_eq!(read, Ok(Packet::Control(Header { token, ..HEADER }, control)));
        }
    }

    #[test]
    fn a_cut_chunk_ends_the_payload() {
        let mut payload = Vec::new();
        Chunk { vital: None, data: b"whole" }.write(&mut payload);
        let whole = payload.len();
        Chunk { vital: Some(Vital { sequence: 7, resent: false }), data: b"cut" }.write(&mut payload);
        for len in whole + 1..payload.len() {
            let mut chunks = Chunks { rest: &payload[..len] };
            assert_eq!(chunks.by_ref().count(), 1);
            assert_eq!(chunks.left(), len - whole);
        }
    }

    proptest! {
        #[test]
        fn reads_the_chunks_it_wrote(
            header in headers(),
            chunks in proptest::collection::vec((vitals(), proptest::collection::vec(any::<u8>(), 0..120)), 0..10),
        ) {
            let chunks: Vec<Chunk<'_>> = chunks.iter().map(|(vital, data)| Chunk { vital: *vital, data }).collect();
            let mut payload = Vec::new();
            for chunk in &chunks {
                let before = payload.len();
                chunk.write(&mut payload);
                prop_assert_eq!(payload.len() - before, chunk.wire_len());
            }
            let mut out = Vec::new();
            write_chunks(header, chunks.len() as u8, &payload, &mut out);
            prop_assert!(out.len() <= HEADER_LEN + payload.len());
            let mut scratch = Vec::new();
            let Ok(Packet::Chunks(read, mut found)) = Packet::read(&out, &mut scratch) else {
                return Err(TestCaseError::fail("no chunk packet"));
            };
            prop_assert_eq!(read, header);
            prop_assert_eq!(found.by_ref().collect::<Vec<_>>(), chunks);
            prop_assert_eq!(found.left(), 0);
        }

        #[test]
        fn any_bytes_are_taken(mut bytes: Vec<u8>, flags in 0u8..16) {
            if let Some(first) = bytes.first_mut() {
                *first = *first & 3 | flags << 2;
            }
            let mut scratch = Vec::new();
            if let Ok(Packet::Chunks(_, chunks)) = Packet::read(&bytes, &mut scratch) {
                let left = chunks.left();
                prop_assert!(left <= MAX_PAYLOAD);
                prop_assert!(chunks.map(|chunk| chunk.wire_len()).sum::<usize>() <= left);
            }
        }
    }
}
