//! Frames in a stream: the same ones however it is cut, and what is held has its bound.

use loadkit_transport::{Boundary, FrameDecoder, Framing, Prefix};

use crate::input::Input;

pub(crate) fn target(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let boundary = match input.byte() % 12 {
        0 => Boundary::Length(Prefix::U16Be),
        1 => Boundary::Length(Prefix::U16Le),
        2 => Boundary::Length(Prefix::U32Be),
        3 => Boundary::Length(Prefix::U32Le),
        4 => Boundary::LengthOfAll(Prefix::U16Be),
        5 => Boundary::LengthOfAll(Prefix::U16Le),
        6 => Boundary::LengthOfAll(Prefix::U32Be),
        7 => Boundary::LengthOfAll(Prefix::U32Le),
        8 => Boundary::Varint,
        9 => Boundary::Line,
        10 => Boundary::CrLf,
        _ => Boundary::Byte(input.byte()),
    };
    let framing = Framing { boundary, max: usize::from(input.byte()) * 4 };
    let mut parts = Vec::new();
    while let Some(len) = input.next() {
        parts.push(input.take(usize::from(len)));
    }

    let stream = parts.concat();
    let whole = frames(framing, &[&stream]);
    assert_eq!(frames(framing, &parts), whole);
    let mut rest = &stream[..];
    for frame in &whole.0 {
        let found = framing.read(rest).ok().flatten();
        assert!(found.is_some_and(|(read, _)| read == frame), "the decoder had a frame here: {found:?}");
        let used = found.map_or(0, |(_, used)| used);
        rest = &rest[used..];
        // What was taken can be sent, unless a line has been stripped of more than it would be sent with.
        let mut again = Vec::new();
        if framing.write(frame, &mut again).is_ok() {
            assert_eq!(framing.read(&again), Ok(Some((&frame[..], again.len()))));
        } else {
            assert!(boundary == Boundary::Line && frame.ends_with(b"\r"));
        }
    }
}

/// The frames of a stream in these parts, and whether it ended well.
fn frames(framing: Framing, parts: &[&[u8]]) -> (Vec<Vec<u8>>, Option<&'static str>) {
    let mut decoder = FrameDecoder::new(framing);
    let mut frames = Vec::new();
    for part in parts {
        decoder.put(part);
        loop {
            match decoder.take() {
                Ok(Some(frame)) => frames.push(frame.to_vec()),
                Ok(None) => break,
                Err(failure) => return (frames, Some(failure.kind().name())),
            }
        }
        // The length of a varint has ten bytes at most.
        assert!(decoder.held() <= framing.limit() + 10, "{} bytes are held", decoder.held());
    }
    (frames, None)
}
