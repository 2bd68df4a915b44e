//! `bytes <-> frames`, without I/O (RFC 6455, section 5).

use std::io::Cursor;

use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};

/// A control frame's payload is not longer (RFC 6455, section 5.5).
const MAX_CONTROL: usize = 125;

/// What has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Came {
    /// A whole message, of so many bytes at the start of the buffer that was lent.
    Message(usize),
    /// A ping with its payload: to be answered.
    Ping(Vec<u8>),
    /// The other side closes; with a code (RFC 6455, section 7.4) and a reason if it gave them.
    Close(Option<(u16, String)>),
}

/// Why what has come cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// It breaks the protocol.
    Protocol(&'static str),
    /// A text is not UTF-8.
    Text,
    /// A message over the limit, which is at least so long.
    TooLarge(u64),
}

/// Frames out of a server's bytes. Without a buffer while nothing has come in part.
#[derive(Debug, Default)]
pub struct Reader {
    /// Has come and is not taken, from `taken` on.
    bytes: Vec<u8>,
    taken: usize,
    /// The frames so far of a message that comes in more than one.
    message: Option<Box<Parts>>,
}

#[derive(Debug)]
struct Parts {
    is_text: bool,
    bytes: Vec<u8>,
}

impl Reader {
    /// Takes what has come.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next message or control frame, `None` until it is whole. `buf` has room for a message of `max` bytes, and what
    /// does not fit into it is cut off.
    ///
    /// # Errors
    /// When what comes next cannot be taken: then nothing more can.
    pub fn next(&mut self, buf: &mut [u8], max: usize) -> Result<Option<Came>, Wrong> {
        loop {
            let waiting = self.bytes.get(self.taken..).unwrap_or_default();
            let Some((header, begin, end)) = frame(waiting, self.message.as_deref(), max)? else {
                self.forget_taken();
                return Ok(None);
            };
            // Room is made as it comes, and not at once as much as a header promises.
            let Some(payload) = waiting.get(begin..end) else {
                self.forget_taken();
                return Ok(None);
            };
            let came = match header.opcode {
                OpCode::Control(Control::Close) => Some(Came::Close(close(payload)?)),
                OpCode::Control(Control::Ping) => Some(Came::Ping(payload.to_vec())),
                OpCode::Control(_) => None,
                OpCode::Data(data) => take_part(&mut self.message, data, header.is_final, payload, buf)?,
            };
            self.taken += end;
            if came.is_some() {
                return Ok(came);
            }
        }
    }

    fn forget_taken(&mut self) {
        self.bytes.drain(..self.taken);
        self.taken = 0;
        if self.bytes.is_empty() {
            self.bytes = Vec::new();
        }
    }

    /// Bytes of heap that it holds.
    pub fn held(&self) -> usize {
        self.bytes.capacity() + self.message.as_ref().map_or(0, |parts| parts.bytes.capacity())
    }
}

/// The header of the first frame in `bytes`, and where its payload begins and ends; `None` until the header is whole.
/// What cannot be taken is refused here, before any of it is kept.
fn frame(bytes: &[u8], parts: Option<&Parts>, max: usize) -> Result<Option<(FrameHeader, usize, usize)>, Wrong> {
    let mut cursor = Cursor::new(bytes);
    let parsed = FrameHeader::parse(&mut cursor).map_err(|_| Wrong::Protocol("a frame of an unknown kind"))?;
    let Some((header, len)) = parsed else { return Ok(None) };
    if header.rsv1 || header.rsv2 || header.rsv3 {
        return Err(Wrong::Protocol("a frame of an extension that was not agreed on"));
    }
    if header.mask.is_some() {
        return Err(Wrong::Protocol("a masked frame, as only clients send them"));
    }
    let held = match header.opcode {
        OpCode::Control(_) if !header.is_final => return Err(Wrong::Protocol("a control frame in parts")),
        OpCode::Control(_) if len > MAX_CONTROL as u64 => {
            return Err(Wrong::Protocol("a control frame over 125 bytes"));
        }
        OpCode::Control(_) => 0,
        OpCode::Data(Data::Continue) => {
            parts.ok_or(Wrong::Protocol("the middle of a message, without its beginning"))?.bytes.len()
        }
        OpCode::Data(_) if parts.is_some() => return Err(Wrong::Protocol("a message in the middle of another")),
        OpCode::Data(_) => 0,
    };
    let whole = len.saturating_add(held as u64);
    if matches!(header.opcode, OpCode::Data(_)) && whole > max as u64 {
        return Err(Wrong::TooLarge(whole));
    }
    let begin = usize::try_from(cursor.position()).unwrap_or(usize::MAX);
    let end = usize::try_from(len).map_or(usize::MAX, |len| begin.saturating_add(len));
    Ok(Some((header, begin, end)))
}

/// A frame of a message: the message, if it is whole with that.
fn take_part(
    message: &mut Option<Box<Parts>>,
    data: Data,
    is_final: bool,
    payload: &[u8],
    buf: &mut [u8],
) -> Result<Option<Came>, Wrong> {
    let whole = match message.take() {
        None if is_final => {
            check_text(data == Data::Text, payload)?;
            return Ok(hand_out(payload, buf));
        }
        None => Box::new(Parts { is_text: data == Data::Text, bytes: payload.to_vec() }),
        Some(mut parts) => {
            parts.bytes.extend_from_slice(payload);
            parts
        }
    };
    if is_final {
        check_text(whole.is_text, &whole.bytes)?;
        return Ok(hand_out(&whole.bytes, buf));
    }
    *message = Some(whole);
    Ok(None)
}

fn hand_out(message: &[u8], buf: &mut [u8]) -> Option<Came> {
    let len = message.len().min(buf.len());
    buf[..len].copy_from_slice(&message[..len]);
    Some(Came::Message(len))
}

fn check_text(is_text: bool, bytes: &[u8]) -> Result<(), Wrong> {
    if is_text && std::str::from_utf8(bytes).is_err() { Err(Wrong::Text) } else { Ok(()) }
}

/// The payload of a close frame.
fn close(payload: &[u8]) -> Result<Option<(u16, String)>, Wrong> {
    let Some((code, reason)) = payload.split_first_chunk() else {
        return if payload.is_empty() { Ok(None) } else { Err(Wrong::Protocol("half a close code")) };
    };
    let code = u16::from_be_bytes(*code);
    if !CloseCode::from(code).is_allowed() {
        return Err(Wrong::Protocol("a close code that may not be sent"));
    }
    let reason = std::str::from_utf8(reason).map_err(|_| Wrong::Text)?;
    Ok(Some((code, reason.to_owned())))
}

/// Appends a client's frame, whole and masked.
pub(super) fn write(opcode: OpCode, payload: &[u8], mask: [u8; 4], out: &mut Vec<u8>) {
    let header = FrameHeader { opcode, mask: Some(mask), ..FrameHeader::default() };
    out.reserve(header.len(payload.len() as u64) + payload.len());
    // Writing into memory does not fail.
    let _ = header.format(payload.len() as u64, out);
    let begin = out.len();
    out.extend_from_slice(payload);
    for chunk in out[begin..].chunks_mut(4) {
        for (byte, mask) in chunk.iter_mut().zip(mask) {
            *byte ^= mask;
        }
    }
}

/// Appends a client's close frame.
pub(super) fn write_close(code: u16, mask: [u8; 4], out: &mut Vec<u8>) {
    write(OpCode::Control(Control::Close), &code.to_be_bytes(), mask, out);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A server's frame.
    fn served(first: u8, payload: &[u8]) -> Vec<u8> {
        let len = payload.len();
        let mut frame = vec![first];
        match len {
            0..=125 => frame.push(len as u8),
            126..=0xFFFF => frame.extend([[126].as_slice(), &(len as u16).to_be_bytes()].concat()),
            _ => frame.extend([[127].as_slice(), &(len as u64).to_be_bytes()].concat()),
        }
        [frame, payload.to_vec()].concat()
    }

    fn read(reader: &mut Reader, max: usize) -> Result<Vec<(Came, Vec<u8>)>, Wrong> {
        let mut buf = vec![0; max];
        let mut all = Vec::new();
        while let Some(came) = reader.next(&mut buf, max)? {
            let bytes = if let Came::Message(len) = came { buf[..len].to_vec() } else { Vec::new() };
            all.push((came, bytes));
        }
        Ok(all)
    }

    #[test]
    fn messages_come_whole_however_they_are_cut() {
        let stream = [
            served(0x82, &[7; 300]),
            served(0x01, b"gr"),
            served(0x89, b"ping"),
            served(0x00, "ü".as_bytes()),
            served(0x8A, b"unasked"),
            served(0x80, b"n"),
            served(0x82, &[9; 70_000]),
            served(0x82, b""),
            served(0x88, &[&1_001_u16.to_be_bytes(), b"off".as_slice()].concat()),
        ]
        .concat();
        for cut in [1, 7, 128, 65_536, stream.len()] {
            let mut reader = Reader::default();
            let mut came = Vec::new();
            for piece in stream.chunks(cut) {
                reader.push(piece);
                came.extend(read(&mut reader, 70_000).unwrap());
            }
            let messages: Vec<_> = came.iter().filter(|(came, _)| matches!(came, Came::Message(_))).collect();
            assert_eq!(messages.len(), 4);
            assert!(messages[0].1 == [7; 300] && messages[1].1 == "grün".as_bytes() && messages[3].1.is_empty());
            assert!(messages[2].1 == [9; 70_000]);
            assert_eq!(came[1].0, Came::Ping(b"ping".to_vec()));
            assert_eq!(came.last().unwrap().0, Came::Close(Some((1_001, "off".into()))));
            assert_eq!(reader.held(), 0);
        }
    }

    #[test]
    fn what_the_protocol_forbids_is_refused_before_it_is_kept() {
        let refused = |bytes: &[u8]| {
            let mut reader = Reader::default();
            reader.push(bytes);
            read(&mut reader, 1_000).unwrap_err()
        };
        for (bytes, part) in [
            (served(0xC2, b"x"), "extension"),
            (served(0x83, b"x"), "unknown kind"),
            (vec![0x82, 0x81, 0, 0, 0, 0, 0], "masked"),
            (served(0x09, b"x"), "control frame in parts"),
            (served(0x89, &[0; 126]), "over 125"),
            (served(0x80, b"x"), "without its beginning"),
            ([served(0x01, b"x"), served(0x81, b"x")].concat(), "middle of another"),
            (served(0x88, b"x"), "half a close code"),
            (served(0x88, &1_005_u16.to_be_bytes()), "may not be sent"),
            (served(0x88, &0_u16.to_be_bytes()), "may not be sent"),
        ] {
            assert!(matches!(refused(&bytes), Wrong::Protocol(what) if what.contains(part)), "{part}");
        }
        assert_eq!(refused(&served(0x81, b"\xFF")), Wrong::Text);
        assert_eq!(refused(&[served(0x01, b"\xC3"), served(0x80, b"x")].concat()), Wrong::Text);
        let largest = [&[0x82, 127][..], &u64::MAX.to_be_bytes()].concat();
        assert_eq!(refused(&largest), Wrong::TooLarge(u64::MAX));
        assert_eq!(refused(&served(0x82, &[0; 1_001])[..4]), Wrong::TooLarge(1_001));
        assert_eq!(refused(&[served(0x02, &[0; 600]), served(0x80, &[0; 600])].concat()), Wrong::TooLarge(1_200));
    }

    #[test]
    fn our_frames_are_masked_as_the_rfc_shows() {
        let mut out = Vec::new();
        write(OpCode::Data(Data::Text), b"Hello", [0x37, 0xFA, 0x21, 0x3D], &mut out);
        // RFC 6455, section 5.7.
        assert_eq!(out, [0x81, 0x85, 0x37, 0xFA, 0x21, 0x3D, 0x7F, 0x9F, 0x4D, 0x51, 0x58]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic_and_within_bounds(
            bytes in prop::collection::vec(prop_oneof![any::<u8>(), Just(0x82), Just(1), Just(0)], 0..400),
            cut in 1_usize..50,
        ) {
            let mut reader = Reader::default();
            for piece in bytes.chunks(cut) {
                reader.push(piece);
                if read(&mut reader, 100).is_err() {
                    break;
                }
                prop_assert!(reader.held() <= 2 * (100 + 14 + 50) + 200);
            }
        }
    }
}
