//! `unordered message <-> unidirectional stream`: a stream a message.

use std::collections::VecDeque;

use bytes::Bytes;
use loadkit_core::{Failure, Kind};
use quinn_proto::{Connection, Dir, ReadError, StreamId, WriteError};

/// Messages that wait for a stream, at most.
const MAX_WAITING: usize = 4_096;

/// A message on its way out.
#[derive(Debug)]
struct Outgoing {
    /// None while the other side allows no more streams.
    stream: Option<StreamId>,
    rest: Bytes,
}

/// Unordered messages under way.
#[derive(Debug, Default)]
pub(super) struct Messages {
    outgoing: VecDeque<Outgoing>,
    /// Bytes in them.
    queued: usize,
    /// Streams that hold a whole message, which has not arrived yet.
    arriving: Vec<StreamId>,
    /// Messages of which a part has come.
    incoming: Vec<(StreamId, Vec<u8>)>,
}

impl Messages {
    /// Bytes that wait for their streams.
    pub(super) fn queued(&self) -> usize {
        self.queued
    }

    /// Whether all has arrived.
    pub(super) fn is_done(&self) -> bool {
        self.outgoing.is_empty() && self.arriving.is_empty()
    }

    /// Queues a message.
    pub(super) fn send(&mut self, connection: &mut Connection, message: &[u8]) -> Result<(), Failure> {
        if self.outgoing.len() >= MAX_WAITING {
            return Err(Failure::new(Kind::BACKLOG, format!("{MAX_WAITING} messages wait already to be sent")));
        }
        self.queued += message.len();
        self.outgoing.push_back(Outgoing { stream: None, rest: Bytes::copy_from_slice(message) });
        self.pump(connection);
        Ok(())
    }

    /// Gives the streams what they take now.
    pub(super) fn pump(&mut self, connection: &mut Connection) {
        while let Some(first) = self.outgoing.front_mut() {
            let Some(stream) = first.stream.or_else(|| connection.streams().open(Dir::Uni)) else { return };
            first.stream = Some(stream);
            let mut send = connection.send_stream(stream);
            let is_taken = loop {
                if first.rest.is_empty() {
                    break send.finish().is_ok();
                }
                match send.write(&first.rest) {
                    Ok(len) => {
                        self.queued = self.queued.saturating_sub(len);
                        let _ = first.rest.split_to(len);
                    }
                    Err(WriteError::Blocked) => return,
                    Err(WriteError::Stopped(_) | WriteError::ClosedStream) => break false,
                }
            };
            self.queued = self.queued.saturating_sub(first.rest.len());
            self.outgoing.pop_front();
            if is_taken {
                self.arriving.push(stream);
            }
        }
        self.outgoing = VecDeque::new();
    }

    /// Nothing more goes to this stream: all has arrived, or the other side wants no more.
    pub(super) fn over(&mut self, stream: StreamId) {
        if let Some(at) = self.arriving.iter().position(|known| *known == stream) {
            self.arriving.swap_remove(at);
        }
        if self.arriving.is_empty() {
            self.arriving = Vec::new();
        }
    }

    /// Reads what has come on a stream: the message, if it is whole with that.
    pub(super) fn read(
        &mut self,
        connection: &mut Connection,
        stream: StreamId,
        max: usize,
    ) -> Result<Option<Vec<u8>>, Failure> {
        let known = self.incoming.iter().position(|(known, _)| *known == stream);
        let mut message = known.map_or_else(Vec::new, |at| self.incoming.swap_remove(at).1);
        if self.incoming.is_empty() {
            self.incoming = Vec::new();
        }
        let mut recv = connection.recv_stream(stream);
        let Ok(mut chunks) = recv.read(true) else { return Ok(None) };
        let whole = loop {
            match chunks.next(usize::MAX) {
                Ok(Some(chunk)) => message.extend_from_slice(&chunk.bytes),
                Ok(None) => break Some(message),
                Err(ReadError::Blocked) => {
                    self.incoming.push((stream, message));
                    break None;
                }
                // Given up by the other side: then it is no message.
                Err(ReadError::Reset(_)) => break None,
            }
            if message.len() > max {
                let what = format!("a message of {} bytes or more, of at most {max}", message.len());
                return Err(Failure::new(Kind::TOO_LARGE, what));
            }
        };
        // Credit goes to the other side with the next packet.
        let _ = chunks.finalize();
        Ok(whole)
    }
}
