//! `stream of bytes <-> frames`: how messages are told apart where only bytes flow, without I/O.

use std::io;

use loadkit_core::{Failure, Kind};

use crate::codec::malformed;
use crate::link::STREAM_QUEUE;

/// Bytes that wait for the kernel, at most; a message beyond that is refused.
const MAX_QUEUED: usize = 512 * 1024;
/// A buffer that is mostly empty is given back from this size on.
const LARGE: usize = 64 * 1024;
/// A variable-length integer of 64 bits has at most so many bytes (Protobuf, "Base 128 Varints").
const MAX_VARINT: usize = 10;

/// A length of fixed size, and its byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prefix {
    /// Two bytes, big-endian.
    U16Be,
    /// Two bytes, little-endian.
    U16Le,
    /// Four bytes, big-endian.
    U32Be,
    /// Four bytes, little-endian.
    U32Le,
}

/// Where a frame ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Boundary {
    /// A length goes before it, which counts the bytes that follow the length.
    Length(Prefix),
    /// A length goes before it, which counts its own bytes too.
    LengthOfAll(Prefix),
    /// A variable-length integer (LEB128) goes before it, as in Protobuf's delimited messages.
    Varint,
    /// A line feed follows it. A carriage return before that is stripped; none is sent.
    Line,
    /// A carriage return and a line feed follow it. On arrival the line feed alone will do.
    CrLf,
    /// This byte follows it, and nothing is stripped.
    Byte(u8),
}

/// How messages are told apart in a stream: `Framing { boundary: Boundary::Varint, ..Framing::default() }`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Framing {
    /// Where a frame ends.
    pub boundary: Boundary,
    /// The longest frame sent and taken, in bytes, without its length or its end. A connection holds so much while a
    /// frame arrives in parts.
    pub max: usize,
}

impl Default for Framing {
    /// Four bytes of length, big-endian, and frames of at most 1 MiB.
    fn default() -> Framing {
        Framing { boundary: Boundary::Length(Prefix::U32Be), max: 1 << 20 }
    }
}

impl Framing {
    /// The longest frame: what is allowed, and what the length can say.
    pub fn limit(&self) -> usize {
        let sayable = match self.boundary {
            Boundary::Length(prefix) => prefix.greatest(),
            Boundary::LengthOfAll(prefix) => prefix.greatest() - prefix.len(),
            Boundary::Varint | Boundary::Line | Boundary::CrLf | Boundary::Byte(_) => u32::MAX as usize,
        };
        self.max.min(sayable)
    }

    /// Whether a message can be a frame.
    ///
    /// # Errors
    /// `TOO_LARGE` when it is longer than allowed; `MALFORMED` when it holds what would end it.
    pub fn check(&self, message: &[u8]) -> Result<(), Failure> {
        if message.len() > self.limit() {
            return Err(too_large(message.len(), self.limit()));
        }
        let end = match self.boundary {
            Boundary::Length(_) | Boundary::LengthOfAll(_) | Boundary::Varint => return Ok(()),
            Boundary::Line | Boundary::CrLf => b'\n',
            Boundary::Byte(end) => end,
        };
        // A carriage return at the end of a line would be taken for a part of its end.
        if message.contains(&end) || self.boundary == Boundary::Line && message.ends_with(b"\r") {
            return Err(Failure::new(
                Kind::MALFORMED,
                format!("a frame that ends with {end:#04x} cannot hold its end"),
            ));
        }
        Ok(())
    }

    /// Appends a frame.
    ///
    /// # Errors
    /// As [`Framing::check`].
    pub fn write(&self, message: &[u8], out: &mut Vec<u8>) -> Result<(), Failure> {
        self.check(message)?;
        match self.boundary {
            Boundary::Length(prefix) => prefix.write(message.len(), out),
            Boundary::LengthOfAll(prefix) => prefix.write(prefix.len() + message.len(), out),
            Boundary::Varint => write_varint(message.len(), out),
            Boundary::Line | Boundary::CrLf | Boundary::Byte(_) => {}
        }
        out.extend_from_slice(message);
        match self.boundary {
            Boundary::Line => out.push(b'\n'),
            Boundary::CrLf => out.extend_from_slice(b"\r\n"),
            Boundary::Byte(end) => out.push(end),
            Boundary::Length(_) | Boundary::LengthOfAll(_) | Boundary::Varint => {}
        }
        Ok(())
    }

    /// The first frame in `bytes`, and how many of them it takes with its length or its end; `None` until it is whole.
    ///
    /// # Errors
    /// `TOO_LARGE` as soon as that is certain, `MALFORMED` for a length that cannot be.
    pub fn read<'a>(&self, bytes: &'a [u8]) -> Result<Option<(&'a [u8], usize)>, Failure> {
        let found = self.find(bytes, 0)?;
        Ok(found.and_then(|found| bytes.get(found.start..found.end).map(|frame| (frame, found.used))))
    }

    /// The first frame in `bytes`; in the first `searched` of them is no end.
    fn find(&self, bytes: &[u8], searched: usize) -> Result<Option<Found>, Failure> {
        let counted = match self.boundary {
            Boundary::Length(prefix) => prefix.read(bytes),
            Boundary::LengthOfAll(prefix) => match prefix.read(bytes) {
                Some((header, len)) if len < header => {
                    let why = format!("{len} bytes, its own {header} included");
                    return Err(malformed("a frame's length", why));
                }
                Some((header, len)) => Some((header, len - header)),
                None => None,
            },
            Boundary::Varint => read_varint(bytes)?,
            Boundary::Line | Boundary::CrLf => return self.find_end(bytes, searched, b'\n', true),
            Boundary::Byte(end) => return self.find_end(bytes, searched, end, false),
        };
        let Some((start, len)) = counted else { return Ok(None) };
        if len > self.limit() {
            return Err(too_large(len, self.limit()));
        }
        let end = start + len;
        Ok((end <= bytes.len()).then_some(Found { start, end, used: end }))
    }

    fn find_end(&self, bytes: &[u8], searched: usize, end: u8, strip: bool) -> Result<Option<Found>, Failure> {
        let unsearched = bytes.get(searched..).unwrap_or_default();
        let at = unsearched.iter().position(|&byte| byte == end).map(|at| searched + at);
        let frame = bytes.get(..at.unwrap_or(bytes.len())).unwrap_or_default();
        let len = frame.len() - usize::from(strip && frame.ends_with(b"\r"));
        if len > self.limit() {
            return Err(Failure::new(Kind::TOO_LARGE, format!("a frame of more than {} bytes", self.limit())));
        }
        Ok(at.map(|at| Found { start: 0, end: len, used: at + 1 }))
    }
}

/// Where a frame lies, and how many bytes it takes with its length or its end.
struct Found {
    start: usize,
    end: usize,
    used: usize,
}

impl Prefix {
    const fn len(self) -> usize {
        match self {
            Prefix::U16Be | Prefix::U16Le => 2,
            Prefix::U32Be | Prefix::U32Le => 4,
        }
    }

    const fn greatest(self) -> usize {
        match self {
            Prefix::U16Be | Prefix::U16Le => u16::MAX as usize,
            Prefix::U32Be | Prefix::U32Le => u32::MAX as usize,
        }
    }

    fn write(self, len: usize, out: &mut Vec<u8>) {
        let [a, b, c, d] = u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes();
        match self {
            Prefix::U16Be => out.extend_from_slice(&[c, d]),
            Prefix::U16Le => out.extend_from_slice(&[d, c]),
            Prefix::U32Be => out.extend_from_slice(&[a, b, c, d]),
            Prefix::U32Le => out.extend_from_slice(&[d, c, b, a]),
        }
    }

    /// Its own length, and the length that it says.
    fn read(self, bytes: &[u8]) -> Option<(usize, usize)> {
        let len = match (self, bytes) {
            (Prefix::U16Be, [a, b, ..]) => u16::from_be_bytes([*a, *b]).into(),
            (Prefix::U16Le, [a, b, ..]) => u16::from_le_bytes([*a, *b]).into(),
            (Prefix::U32Be, [a, b, c, d, ..]) => u32::from_be_bytes([*a, *b, *c, *d]),
            (Prefix::U32Le, [a, b, c, d, ..]) => u32::from_le_bytes([*a, *b, *c, *d]),
            _ => return None,
        };
        Some((self.len(), usize::try_from(len).unwrap_or(usize::MAX)))
    }
}

fn write_varint(mut value: usize, out: &mut Vec<u8>) {
    while value > 0x7F {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Its own length, and the length that it says.
fn read_varint(bytes: &[u8]) -> Result<Option<(usize, usize)>, Failure> {
    let mut value = 0_u64;
    for (at, &byte) in bytes.iter().take(MAX_VARINT).enumerate() {
        let bits = u64::from(byte & 0x7F);
        if at == MAX_VARINT - 1 && byte > 1 {
            return Err(malformed("a frame's length", "more than 64 bits"));
        }
        value |= bits << (7 * at);
        if byte < 0x80 {
            return Ok(Some((at + 1, usize::try_from(value).unwrap_or(usize::MAX))));
        }
    }
    Ok(None)
}

fn too_large(len: usize, max: usize) -> Failure {
    Failure::new(Kind::TOO_LARGE, format!("a frame of {len} bytes, of at most {max}"))
}

/// Bytes in, frames out, however the stream is cut.
///
/// Each byte is looked at and moved a bounded number of times, also when they come one by one. It holds what has come
/// of a frame that is not whole yet, and no buffer when there is none. **Take frames until there is none, then put.**
///
/// ```
/// use loadkit_transport::{Boundary, FrameDecoder, Framing};
///
/// let mut decoder = FrameDecoder::new(Framing { boundary: Boundary::Line, max: 100 });
/// decoder.put(b"hello\r\nwor");
/// assert_eq!(decoder.take()?, Some(&b"hello"[..]));
/// assert_eq!(decoder.take()?, None);
/// decoder.put(b"ld\n");
/// assert_eq!(decoder.take()?, Some(&b"world"[..]));
/// # Ok::<(), loadkit_core::Failure>(())
/// ```
#[derive(Debug)]
pub struct FrameDecoder {
    framing: Framing,
    /// Frames up to `taken` have been handed out.
    held: Vec<u8>,
    taken: usize,
    /// So many bytes after that have been searched for the frame's end.
    searched: usize,
}

impl FrameDecoder {
    /// At the beginning of a stream.
    pub fn new(framing: Framing) -> FrameDecoder {
        FrameDecoder { framing, held: Vec::new(), taken: 0, searched: 0 }
    }

    /// Takes in what was read.
    pub fn put(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
    }

    /// The next frame, if it is whole.
    ///
    /// # Errors
    /// As [`Framing::read`]. Where the next frame begins is then unknown: the error stays.
    pub fn take(&mut self) -> Result<Option<&[u8]>, Failure> {
        let waiting = self.held.get(self.taken..).unwrap_or_default();
        let Some(found) = self.framing.find(waiting, self.searched)? else {
            self.searched = waiting.len();
            self.tidy();
            return Ok(None);
        };
        let frame = self.taken + found.start..self.taken + found.end;
        self.taken += found.used;
        self.searched = 0;
        Ok(self.held.get(frame))
    }

    /// Bytes that it holds of a frame that is not whole.
    pub fn held(&self) -> usize {
        self.held.len() - self.taken
    }

    /// Gives back the room of what was handed out.
    fn tidy(&mut self) {
        if self.taken == 0 && !self.held.is_empty() {
            return;
        }
        self.held.drain(..self.taken);
        self.taken = 0;
        if self.held.is_empty() {
            self.held = Vec::new();
        } else if self.held.capacity() >= LARGE && self.held.len() < self.held.capacity() / 4 {
            self.held.shrink_to_fit();
        }
    }
}

/// Both directions of a framed stream, whatever carries its bytes: what of a link is the same over TCP and over TLS.
#[derive(Debug)]
pub(crate) struct FrameBuffers {
    decoder: FrameDecoder,
    /// Waits for the kernel from `sent` on.
    outgoing: Vec<u8>,
    sent: usize,
}

impl FrameBuffers {
    pub(crate) fn new(framing: Framing) -> FrameBuffers {
        FrameBuffers { decoder: FrameDecoder::new(framing), outgoing: Vec::new(), sent: 0 }
    }

    /// The longest message.
    pub(crate) fn limit(&self) -> usize {
        self.decoder.framing.limit()
    }

    /// Takes in what was read.
    pub(crate) fn received(&mut self, bytes: &[u8]) {
        self.decoder.put(bytes);
    }

    /// Hands out the next whole message into `buf`: its length.
    pub(crate) fn take(&mut self, buf: &mut [u8]) -> io::Result<Option<usize>> {
        let found = self.decoder.take().map_err(|failure| io::Error::new(io::ErrorKind::InvalidData, failure))?;
        let Some(frame) = found else { return Ok(None) };
        let len = frame.len().min(buf.len());
        buf[..len].copy_from_slice(&frame[..len]);
        Ok(Some(len))
    }

    /// Queues a message, unless too much waits already.
    pub(crate) fn push(&mut self, message: &[u8]) -> io::Result<()> {
        // While little waits any message goes, however long it is: the driver offers none otherwise.
        if self.queued() + message.len() > MAX_QUEUED && self.queued() >= STREAM_QUEUE {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let written = self.decoder.framing.write(message, &mut self.outgoing);
        written.map_err(|failure| io::Error::new(io::ErrorKind::InvalidInput, failure))
    }

    /// What waits to be written.
    pub(crate) fn outgoing(&self) -> &[u8] {
        self.outgoing.get(self.sent..).unwrap_or_default()
    }

    /// So much of it has been written.
    pub(crate) fn sent(&mut self, len: usize) {
        self.sent += len;
        if self.sent >= self.outgoing.len() {
            (self.outgoing, self.sent) = (Vec::new(), 0);
        } else if self.sent > self.outgoing.len() / 2 {
            // What was sent makes room once it is the larger part: each byte is moved once in the mean.
            self.outgoing.drain(..self.sent);
            self.sent = 0;
        }
    }

    /// Bytes that wait to be written.
    pub(crate) fn queued(&self) -> usize {
        self.outgoing.len() - self.sent
    }

    /// No buffer is held.
    #[cfg(test)]
    pub(crate) fn is_idle(&self) -> bool {
        self.decoder.held.capacity() == 0 && self.outgoing.capacity() == 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: [Boundary; 12] = [
        Boundary::Length(Prefix::U16Be),
        Boundary::Length(Prefix::U16Le),
        Boundary::Length(Prefix::U32Be),
        Boundary::Length(Prefix::U32Le),
        Boundary::LengthOfAll(Prefix::U16Be),
        Boundary::LengthOfAll(Prefix::U16Le),
        Boundary::LengthOfAll(Prefix::U32Be),
        Boundary::LengthOfAll(Prefix::U32Le),
        Boundary::Varint,
        Boundary::Line,
        Boundary::CrLf,
        Boundary::Byte(0),
    ];

    fn framing() -> impl Strategy<Value = Framing> {
        (prop::sample::select(&ALL[..]), 0..300_usize).prop_map(|(boundary, max)| Framing { boundary, max })
    }

    /// All frames of a stream that comes in these parts, and how it ends.
    fn frames<'a>(framing: Framing, parts: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Vec<u8>>, Option<Failure>) {
        let mut decoder = FrameDecoder::new(framing);
        let mut frames = Vec::new();
        for part in parts {
            decoder.put(part);
            loop {
                match decoder.take() {
                    Ok(Some(frame)) => frames.push(frame.to_vec()),
                    Ok(None) => break,
                    Err(failure) => return (frames, Some(failure)),
                }
            }
            assert!(decoder.held() <= framing.limit() + MAX_VARINT, "{} of {framing:?}", decoder.held());
            assert!(decoder.held() > 0 || decoder.held.capacity() == 0, "an idle decoder holds no buffer");
        }
        (frames, None)
    }

    #[test]
    fn each_form_looks_as_its_document_says() {
        let forms: [&[u8]; 12] = [
            b"\0\x03abc",
            b"\x03\0abc",
            b"\0\0\0\x03abc",
            b"\x03\0\0\0abc",
            b"\0\x05abc",
            b"\x05\0abc",
            b"\0\0\0\x07abc",
            b"\x07\0\0\0abc",
            b"\x03abc",
            b"abc\n",
            b"abc\r\n",
            b"abc\0",
        ];
        for (boundary, form) in ALL.into_iter().zip(forms) {
            let framing = Framing { boundary, max: 3 };
            let mut out = Vec::new();
            framing.write(b"abc", &mut out).unwrap();
            assert_eq!(out, form, "{boundary:?}");
            assert_eq!(framing.read(form).unwrap(), Some((&b"abc"[..], form.len())), "{boundary:?}");
            assert_eq!(framing.write(b"abcd", &mut out).unwrap_err().kind(), Kind::TOO_LARGE);
        }
        let mut out = Vec::new();
        let long = Framing { boundary: Boundary::Varint, max: 300 };
        long.write(&[7; 300], &mut out).unwrap();
        assert_eq!((&out[..2], out.len()), (&[0xAC, 0x02][..], 302), "300 is AC 02, as Protobuf's guide has it");
    }

    #[test]
    fn lengths_that_cannot_be_are_refused_as_soon_as_they_are_known() {
        fn kind(boundary: Boundary, bytes: &[u8]) -> Result<Option<(&[u8], usize)>, Kind> {
            Framing { boundary, max: 100 }.read(bytes).map_err(|failure| failure.kind())
        }
        let short = [
            (Boundary::LengthOfAll(Prefix::U16Be), &[0, 1][..]),
            (Boundary::LengthOfAll(Prefix::U32Le), &[3, 0, 0, 0]),
        ];
        for (boundary, bytes) in short {
            assert_eq!(kind(boundary, bytes), Err(Kind::MALFORMED));
        }
        assert_eq!(kind(Boundary::Varint, &[0xFF; 9]), Ok(None));
        assert_eq!(kind(Boundary::Varint, &[0xFF; 10]), Err(Kind::MALFORMED));
        assert_eq!(
            kind(Boundary::Varint, &[0x80, 0x80, 0x00]),
            Ok(Some((&[][..], 3))),
            "overlong, as Protobuf takes it"
        );
        let large = [
            (Boundary::Length(Prefix::U16Be), &[0, 101][..]),
            (Boundary::LengthOfAll(Prefix::U16Le), &[103, 0]),
            (Boundary::Length(Prefix::U32Be), &[0xFF; 4]),
            (Boundary::Varint, &[0x65]),
            (Boundary::Line, &[b'x'; 101]),
            (Boundary::CrLf, &[b'x'; 101]),
            (Boundary::Byte(b';'), &[b'\r'; 101]),
        ];
        for (boundary, bytes) in large {
            assert_eq!(kind(boundary, bytes), Err(Kind::TOO_LARGE), "{boundary:?}");
            assert_eq!(kind(boundary, &bytes[..bytes.len() - 1]), Ok(None), "{boundary:?}");
        }
        assert_eq!(Framing { boundary: ALL[4], max: usize::MAX }.limit(), 65_533);
    }

    #[test]
    fn a_line_of_the_greatest_length_may_have_its_carriage_return_in_another_part() {
        let framing = Framing { boundary: Boundary::Line, max: 3 };
        assert_eq!(frames(framing, [&b"abc\r"[..], b"\n"]), (vec![b"abc".to_vec()], None));
        let (taken, failure) = frames(framing, [&b"abc\r"[..], b"d"]);
        assert_eq!((taken.len(), failure.map(|failure| failure.kind())), (0, Some(Kind::TOO_LARGE)));
    }

    #[test]
    fn what_would_end_a_frame_cannot_be_in_it() {
        let kind = |boundary, message: &[u8]| Framing { boundary, max: 9 }.check(message).err().map(|f| f.kind());
        let wrong = Some(Kind::MALFORMED);
        assert_eq!(
            (kind(Boundary::Line, b"a\nb"), kind(Boundary::CrLf, b"\n"), kind(Boundary::Byte(7), b"\x07")),
            (wrong, wrong, wrong)
        );
        assert_eq!(
            (kind(Boundary::Line, b"a\r"), kind(Boundary::CrLf, b"a\r"), kind(Boundary::Byte(7), b"\r\n")),
            (wrong, None, None)
        );
    }

    #[test]
    fn what_was_handed_out_is_not_kept_for_what_is_to_come() {
        let mut decoder = FrameDecoder::new(Framing::default());
        let mut bytes = Vec::new();
        Framing::default().write(&vec![1; 1 << 20], &mut bytes).unwrap();
        bytes.extend_from_slice(&[0, 0]);
        decoder.put(&bytes);
        assert_eq!(decoder.take().unwrap().map(<[u8]>::len), Some(1 << 20));
        assert_eq!(decoder.take().unwrap(), None);
        assert_eq!((decoder.held(), decoder.held.capacity() < LARGE), (2, true));
    }

    /// 1 MiB that comes byte by byte: were each byte searched or moved again with the next, these would be 2^39 steps.
    #[test]
    fn slow_drip_costs_no_more_than_its_bytes() {
        for boundary in [Boundary::Line, Boundary::Varint] {
            let mut bytes = Vec::new();
            let framing = Framing { boundary, ..Framing::default() };
            framing.write(&vec![b'x'; 1 << 20], &mut bytes).unwrap();
            let (taken, failure) = frames(framing, bytes.chunks(1));
            assert_eq!((taken.len(), taken[0].len(), failure), (1, 1 << 20, None));
        }
    }

    #[test]
    fn what_waits_is_bounded_and_makes_room() {
        let mut buffers = FrameBuffers::new(Framing::default());
        let mut sent = 0;
        while buffers.push(&[3; 10_000]).is_ok() {
            sent += 10_004;
        }
        assert_eq!((buffers.queued(), sent), (sent, 10_004 * 52));
        while buffers.queued() > 0 {
            buffers.sent(1_448.min(buffers.queued()));
            assert_eq!(buffers.outgoing().len(), buffers.queued());
        }
        assert!(buffers.is_idle());
        buffers.push(&vec![0; 1 << 20]).unwrap();
        assert_eq!(buffers.push(b"").unwrap_err().kind(), io::ErrorKind::WouldBlock, "one that is too long goes alone");
    }

    proptest! {
        #[test]
        fn any_split_of_a_stream_gives_the_same_frames(
            framing in framing(),
            messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..12),
            cuts in prop::collection::vec(0..2_000_usize, 0..20),
        ) {
            let mut bytes = Vec::new();
            let kept: Vec<_> = messages.into_iter().filter(|message| framing.write(message, &mut bytes).is_ok()).collect();
            let (whole, failure) = frames(framing, [&bytes[..]]);
            prop_assert_eq!((&whole, failure), (&kept, None));
            prop_assert_eq!(&frames(framing, split(&bytes, cuts)).0, &kept);
            prop_assert_eq!(&frames(framing, bytes.chunks(1)).0, &kept);
        }

        #[test]
        fn any_bytes_give_the_same_frames_and_the_same_end_however_they_are_cut(
            framing in framing(),
            bytes in prop::collection::vec(prop_oneof![Just(0), Just(2), Just(b'\n'), Just(b'\r'), any::<u8>()], 0..600),
            cuts in prop::collection::vec(0..600_usize, 0..20),
        ) {
            let whole = frames(framing, [&bytes[..]]);
            prop_assert_eq!(&frames(framing, bytes.chunks(1)), &whole);
            prop_assert_eq!(&frames(framing, split(&bytes, cuts)), &whole);
            let mut rest = &bytes[..];
            for frame in &whole.0 {
                let (read, used) = framing.read(rest).unwrap().unwrap();
                prop_assert_eq!(read, frame);
                rest = &rest[used..];
            }
        }
    }

    fn split(bytes: &[u8], mut cuts: Vec<usize>) -> Vec<&[u8]> {
        cuts.extend([0, bytes.len()]);
        cuts.iter_mut().for_each(|cut| *cut = (*cut).min(bytes.len()));
        cuts.sort_unstable();
        cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
    }
}
