//! A WebSocket as a link, from the client's end.

use std::io;
use std::task::{Context, Poll, ready};

use loadkit_core::Kind;
use tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};

use super::frames::{self, Came, Reader, Wrong};
use super::upgrade::Upgrade;
use crate::address::Address;
use crate::failures::told;
use crate::link::{Link, Received, STREAM_QUEUE};
use crate::wire::{self, Wire};

/// Bytes that wait for the kernel, at most; a message beyond that is refused.
const MAX_QUEUED: usize = 512 * 1024;
/// Answers to pings are left out while so many bytes wait: who pings and does not read gets none.
const MAX_BEFORE_PONG: usize = 64 * 1024;

/// Messages and reads in one turn, at most, while the other side's goodbye is waited for.
const READS_PER_TURN: usize = 64;

/// How far the goodbye is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Goodbye {
    Unsaid,
    /// Ours is said; theirs is waited for.
    Said,
    /// Both are said, or nothing can be said any more.
    Done,
}

/// A WebSocket, from the client's end. One message of its is one of the link's.
#[derive(Debug)]
pub(crate) struct WebSocket {
    wire: Wire,
    reader: Reader,
    /// Waits for the kernel.
    outgoing: Vec<u8>,
    max: usize,
    is_text: bool,
    goodbye: Goodbye,
}

impl WebSocket {
    /// Asks for a WebSocket over a stream that is connected.
    pub(crate) async fn open(mut wire: Wire, upgrade: &Upgrade, target: &Address<'_>) -> io::Result<WebSocket> {
        let rest = upgrade.ask(&mut wire, target).await?;
        let mut reader = Reader::default();
        reader.push(&rest);
        let (max, is_text) = (upgrade.max, upgrade.is_text);
        Ok(WebSocket { wire, reader, outgoing: Vec::new(), max, is_text, goodbye: Goodbye::Unsaid })
    }

    fn write(&mut self, opcode: OpCode, payload: &[u8]) {
        frames::write(opcode, payload, rand::random(), &mut self.outgoing);
    }

    /// Says goodbye with this code, as the last that is sent.
    fn say_goodbye(&mut self, code: CloseCode) {
        if self.goodbye == Goodbye::Unsaid {
            frames::write_close(code.into(), rand::random(), &mut self.outgoing);
            self.goodbye = Goodbye::Said;
        }
    }

    /// The end, of which this side is told by `error`: our goodbye goes as far as the kernel takes it.
    fn end(&mut self, cx: &mut Context<'_>, code: CloseCode, error: io::Error) -> Poll<io::Result<Received>> {
        self.say_goodbye(code);
        self.wire.close();
        let _ = self.wire.poll_write_all(cx, &mut self.outgoing);
        self.goodbye = Goodbye::Done;
        Poll::Ready(Err(error))
    }

    fn refuse(&mut self, cx: &mut Context<'_>, wrong: &Wrong) -> Poll<io::Result<Received>> {
        let (code, kind, what) = match wrong {
            Wrong::Protocol(what) => (CloseCode::Protocol, Kind::MALFORMED, format!("the server sent {what}")),
            Wrong::Text => (CloseCode::Invalid, Kind::MALFORMED, "the server sent a text that is not UTF-8".into()),
            Wrong::TooLarge(len) => {
                let what = format!("the server sent a message of {len} bytes, of at most {}", self.max);
                (CloseCode::Size, Kind::TOO_LARGE, what)
            }
        };
        self.end(cx, code, told(kind, what))
    }

    fn closed(&mut self, cx: &mut Context<'_>, why: Option<(u16, String)>) -> Poll<io::Result<Received>> {
        let what = match &why {
            None => "the server closed the WebSocket without a code".to_owned(),
            Some((code, reason)) if reason.is_empty() => format!("the server closed the WebSocket: {code}"),
            Some((code, reason)) => format!("the server closed the WebSocket: {code}, {reason:?}"),
        };
        let code = why.map_or(CloseCode::Normal, |(code, _)| code.into());
        self.end(cx, code, told(Kind::CLOSED, what))
    }

    /// After our goodbye: reads until theirs, and throws away what comes before it.
    fn poll_their_goodbye(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        wire::with_scratch(|scratch| {
            for turn in 0.. {
                if turn >= READS_PER_TURN {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                match self.reader.next(&mut [], self.max) {
                    Ok(Some(Came::Close(_))) | Err(_) => break,
                    Ok(Some(_)) => continue,
                    Ok(None) => {}
                }
                match ready!(self.wire.poll_read(cx, scratch)) {
                    Ok(0) | Err(_) => break,
                    Ok(len) => self.reader.push(&scratch[..len]),
                }
            }
            self.goodbye = Goodbye::Done;
            self.wire.close();
            self.wire.poll_flush(cx)
        })
    }
}

impl Link for WebSocket {
    fn name(&self) -> &'static str {
        self.wire.name("ws", "wss")
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<Received>> {
        loop {
            match self.reader.next(buf, self.max.min(buf.len())) {
                Ok(Some(Came::Message(len))) => return Poll::Ready(Ok(Received { len, at: None })),
                Ok(Some(Came::Ping(payload))) => {
                    if self.outgoing.len() < MAX_BEFORE_PONG && self.goodbye == Goodbye::Unsaid {
                        self.write(OpCode::Control(Control::Pong), &payload);
                    }
                }
                Ok(Some(Came::Close(why))) => return self.closed(cx, why),
                Err(wrong) => return self.refuse(cx, &wrong),
                Ok(None) => {
                    let len = ready!(wire::with_scratch(|scratch| {
                        let len = ready!(self.wire.poll_read(cx, scratch))?;
                        self.reader.push(&scratch[..len]);
                        Poll::Ready(io::Result::Ok(len))
                    }))?;
                    if len == 0 {
                        self.goodbye = Goodbye::Done;
                        return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
                    }
                }
            }
        }
    }

    fn try_send(&mut self, message: &[u8]) -> io::Result<()> {
        if self.goodbye != Goodbye::Unsaid {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        // While little waits any message goes, however long it is: the driver offers none otherwise.
        if self.outgoing.len() + message.len() > MAX_QUEUED && self.outgoing.len() >= STREAM_QUEUE {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        if message.len() > self.max {
            let what = format!("a message of {} bytes, of at most {}", message.len(), self.max);
            return Err(told(Kind::TOO_LARGE, what));
        }
        if self.is_text && std::str::from_utf8(message).is_err() {
            return Err(told(Kind::MALFORMED, "a message to be sent as text is not UTF-8"));
        }
        self.write(OpCode::Data(if self.is_text { Data::Text } else { Data::Binary }), message);
        Ok(())
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.wire.poll_write_all(cx, &mut self.outgoing))?;
        if self.goodbye == Goodbye::Said { self.poll_their_goodbye(cx) } else { Poll::Ready(Ok(())) }
    }

    fn queued(&self) -> usize {
        // What is still to come is counted too: the goodbye that answers ours.
        self.outgoing.len() + self.wire.queued() + usize::from(self.goodbye == Goodbye::Said)
    }

    fn close(&mut self) {
        self.say_goodbye(CloseCode::Normal);
    }

    fn max_message(&self) -> usize {
        self.max
    }

    fn is_stream(&self) -> bool {
        true
    }
}
