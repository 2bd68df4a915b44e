//! What KCP's segments look like: a header of 24 bytes, little-endian, and data.
//!
//! ```text
//! conv u32 | cmd u8 | frg u8 | wnd u16 | ts u32 | sn u32 | una u32 | len u32 | data
//! ```

/// The header's length.
pub(super) const OVERHEAD: usize = 24;

/// What a segment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// Carries data.
    Push = 81,
    /// Acks the segment with its `sn`, and returns its `ts`.
    Ack = 82,
    /// Asks for the other side's window.
    Ask = 83,
    /// Tells one's own.
    Tell = 84,
}

/// One segment; a datagram holds one or more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment<'a> {
    pub(super) conv: u32,
    pub(super) command: Command,
    /// So many fragments of the same message follow.
    pub(super) frg: u8,
    /// So many more segments its sender can take.
    pub(super) wnd: u16,
    /// In ms, of a clock of the pusher's own.
    pub(super) ts: u32,
    pub(super) sn: u32,
    /// All before it have arrived.
    pub(super) una: u32,
    pub(super) data: &'a [u8],
}

impl<'a> Segment<'a> {
    /// How long it is on the wire.
    pub(super) fn len(&self) -> usize {
        OVERHEAD + self.data.len()
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.reserve(self.len());
        out.extend_from_slice(&self.conv.to_le_bytes());
        out.extend_from_slice(&[self.command as u8, self.frg]);
        out.extend_from_slice(&self.wnd.to_le_bytes());
        for word in [self.ts, self.sn, self.una, u32::try_from(self.data.len()).unwrap_or(u32::MAX)] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        out.extend_from_slice(self.data);
    }

    /// The first segment, and what follows it. `None` when it is none.
    fn read(bytes: &'a [u8]) -> Option<(Segment<'a>, &'a [u8])> {
        let (header, rest) = bytes.split_first_chunk::<OVERHEAD>()?;
        let (words, []) = header.as_chunks::<4>() else { return None };
        let [conv, [command, frg, wnd @ ..], ts, sn, una, len] = words else { return None };
        let command = match command {
            81 => Command::Push,
            82 => Command::Ack,
            83 => Command::Ask,
            84 => Command::Tell,
            _ => return None,
        };
        let (data, rest) = rest.split_at_checked(u32::from_le_bytes(*len) as usize)?;
        let [conv, ts, sn, una] = [conv, ts, sn, una].map(|word| u32::from_le_bytes(*word));
        let wnd = u16::from_le_bytes(*wnd);
        Some((Segment { conv, command, frg: *frg, wnd, ts, sn, una, data }, rest))
    }
}

/// The segments of a datagram, each only once the one before is valid. What is too short for a header at the end is
/// left over, as the reference does.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segments<'a>(&'a [u8]);

impl<'a> Segments<'a> {
    /// `None` when the datagram is not KCP's as a whole.
    pub(super) fn read(datagram: &'a [u8]) -> Option<Segments<'a>> {
        let mut rest = datagram;
        (_, rest) = Segment::read(rest)?;
        while rest.len() >= OVERHEAD {
            (_, rest) = Segment::read(rest)?;
        }
        Some(Segments(datagram))
    }
}

impl<'a> Iterator for Segments<'a> {
    type Item = Segment<'a>;

    fn next(&mut self) -> Option<Segment<'a>> {
        let (segment, rest) = Segment::read(self.0)?;
        self.0 = rest;
        Some(segment)
    }
}

/// The conversation to which a datagram belongs, for who shares a socket among many; `None` when it cannot be KCP's.
/// It looks only as far as it must: what it says may still be refused.
pub fn conv_of(datagram: &[u8]) -> Option<u32> {
    let (header, _) = datagram.split_first_chunk::<OVERHEAD>()?;
    let [a, b, c, d, command, ..] = *header;
    (81..=84).contains(&command).then(|| u32::from_le_bytes([a, b, c, d]))
}

/// How far `a` is after `b`, across the wrap-around (RFC 1982).
pub(super) fn after(a: u32, b: u32) -> i32 {
    a.wrapping_sub(b).cast_signed()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn segment() -> impl Strategy<Value = (u32, u8, u8, u16, [u32; 3], Vec<u8>)> {
        let data = prop::collection::vec(any::<u8>(), 0..60);
        (any::<u32>(), 81..=84_u8, any::<u8>(), any::<u16>(), any::<[u32; 3]>(), data)
    }

    #[test]
    fn the_header_lies_as_the_protocol_document_has_it() {
        let segment = Segment {
            conv: 0x0403_0201,
            command: Command::Push,
            frg: 2,
            wnd: 0x0605,
            ts: 0x0A09_0807,
            sn: 0x0E0D_0C0B,
            una: 0x1211_100F,
            data: b"data",
        };
        let mut out = Vec::new();
        segment.write(&mut out);
        let bytes = b"\x01\x02\x03\x04\x51\x02\x05\x06\x07\x08\x09\x0A\x0B\x0C\x0D\x0E\x0F\x10\x11\x12\x04\0\0\0data";
        assert_eq!(out, bytes);
        assert_eq!(Segment::read(bytes), Some((segment, &[][..])));
        assert_eq!(conv_of(bytes), Some(0x0403_0201));
        assert_eq!((conv_of(&bytes[..23]), conv_of(&[0; 24])), (None, None));
        let left_over = Segments::read(&[bytes, &[1; 23][..]].concat()).map(Segments::count);
        assert_eq!(left_over, Some(1));
        for (at, wrong) in [(4, 80), (4, 85), (20, 5)] {
            let mut bytes = bytes.to_vec();
            bytes[at] = wrong;
            assert!(Segments::read(&bytes).is_none());
            assert!(Segments::read(&[out.clone(), bytes].concat()).is_none(), "one bad segment spoils the datagram");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(segments in prop::collection::vec(segment(), 1..6)) {
            let mut out = Vec::new();
            let commands = [Command::Push, Command::Ack, Command::Ask, Command::Tell];
            let segments: Vec<_> = segments.iter().map(|(conv, command, frg, wnd, [ts, sn, una], data)| {
                let command = commands[usize::from(command - 81)];
                Segment { conv: *conv, command, frg: *frg, wnd: *wnd, ts: *ts, sn: *sn, una: *una, data }
            }).collect();
            for segment in &segments {
                segment.write(&mut out);
            }
            prop_assert_eq!(out.len(), segments.iter().map(Segment::len).sum::<usize>());
            prop_assert_eq!(Segments::read(&out).unwrap().collect::<Vec<_>>(), segments);
        }

        #[test]
        fn any_bytes_are_read_without_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..100), lens in any::<[u8; 2]>()) {
            // Commands and lengths that can be true, so that it gets beyond the first header.
            for (at, len) in [0, OVERHEAD + usize::from(lens[0])].into_iter().zip(lens) {
                if let Some(header) = bytes.get_mut(at..at + OVERHEAD) {
                    header[4] = 81 + header[4] % 5;
                    header[20..].copy_from_slice(&[len, 0, 0, 0]);
                }
            }
            let mut again = Vec::new();
            for segment in Segments::read(&bytes).into_iter().flatten() {
                segment.write(&mut again);
            }
            prop_assert_eq!(&bytes[..again.len()], &again[..]);
            prop_assert!(again.is_empty() || bytes.len() - again.len() < OVERHEAD);
        }
    }
}
