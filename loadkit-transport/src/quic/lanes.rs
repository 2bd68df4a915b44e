//! `ordered lane n <-> bidirectional stream n`.

use loadkit_core::{Failure, Kind};
use quinn_proto::{Connection, Dir, StreamId, WriteError};

use crate::framing::{FrameDecoder, Framing};

/// What a lane has to send.
#[derive(Debug)]
struct Lane {
    number: u8,
    stream: StreamId,
    /// Frames that the stream has not taken yet.
    outgoing: Vec<u8>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// All has been said, and is not acknowledged yet.
    Finishing,
    /// Nothing more goes there: all has arrived, or the other side wants no more.
    Over,
}

/// The lanes in use.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    lanes: Vec<Lane>,
    /// Streams of this side's own, opened in their order.
    opened: u16,
    /// Streams of which a part of a frame has come.
    partial: Vec<(StreamId, FrameDecoder)>,
}

impl Lanes {
    /// Bytes that wait for their streams.
    pub(super) fn queued(&self) -> usize {
        self.lanes.iter().map(|lane| lane.outgoing.len()).sum()
    }

    /// The other side has opened a stream: what is said on its lane goes there, unless this side has opened its own.
    pub(super) fn opened_by_peer(&mut self, stream: StreamId) {
        if let Ok(number) = u8::try_from(stream.index())
            && self.lanes.iter().all(|lane| lane.number != number)
        {
            self.lanes.push(Lane { number, stream, outgoing: Vec::new(), state: State::Open });
        }
    }

    /// Queues a message.
    pub(super) fn send(
        &mut self,
        connection: &mut Connection,
        number: u8,
        framing: &Framing,
        message: &[u8],
    ) -> Result<(), Failure> {
        framing.check(message)?;
        if self.lanes.iter().all(|lane| lane.number != number) {
            let stream = self.open(connection, number)?;
            self.lanes.push(Lane { number, stream, outgoing: Vec::new(), state: State::Open });
        }
        let Some(lane) = self.lanes.iter_mut().find(|lane| lane.number == number) else { return Ok(()) };
        if lane.state != State::Open {
            return Err(Failure::new(Kind::CLOSED, format!("the other side takes nothing more on lane {number}")));
        }
        framing.write(message, &mut lane.outgoing)?;
        lane.pump(connection);
        Ok(())
    }

    /// Stream `number` of this side's own: those before it are opened along with it.
    fn open(&mut self, connection: &mut Connection, number: u8) -> Result<StreamId, Failure> {
        loop {
            let Some(stream) = connection.streams().open(Dir::Bi) else {
                let what = format!("there is no lane {number}: the other side allows {} streams", self.opened);
                return Err(Failure::new(Kind::TARGET, what));
            };
            self.opened += 1;
            if stream.index() >= number.into() {
                return Ok(stream);
            }
        }
    }

    /// Gives the streams what they take now.
    pub(super) fn pump(&mut self, connection: &mut Connection) {
        for lane in &mut self.lanes {
            lane.pump(connection);
        }
    }

    /// Nothing more will be said: ends the streams as soon as all was taken. Whether all has arrived.
    pub(super) fn finish(&mut self, connection: &mut Connection) -> bool {
        for lane in &mut self.lanes {
            if lane.state == State::Open && lane.outgoing.is_empty() {
                let is_ended = connection.send_stream(lane.stream).finish().is_ok();
                lane.state = if is_ended { State::Finishing } else { State::Over };
            }
        }
        self.lanes.iter().all(|lane| lane.state == State::Over)
    }

    /// Nothing more goes to this stream: all has arrived, or the other side wants no more.
    pub(super) fn over(&mut self, stream: StreamId) {
        if let Some(lane) = self.lanes.iter_mut().find(|lane| lane.stream == stream) {
            lane.outgoing = Vec::new();
            lane.state = State::Over;
        }
    }

    /// Reads what has come on a stream; `take` is given each message with its lane.
    pub(super) fn read(
        &mut self,
        connection: &mut Connection,
        stream: StreamId,
        framing: &Framing,
        mut take: impl FnMut(u8, &[u8]),
    ) -> Result<(), Failure> {
        let known = self.partial.iter().position(|(known, _)| *known == stream);
        let mut decoder = known.map_or_else(|| FrameDecoder::new(*framing), |at| self.partial.swap_remove(at).1);
        // Streams beyond the lanes, of which there are 256, are all the last one.
        let lane = u8::try_from(stream.index()).unwrap_or(u8::MAX);
        let mut is_open = false;
        if let Ok(mut chunks) = connection.recv_stream(stream).read(true) {
            is_open = loop {
                match chunks.next(usize::MAX) {
                    Ok(Some(chunk)) => decoder.put(&chunk.bytes),
                    Ok(None) => break false,
                    Err(error) => break error == quinn_proto::ReadError::Blocked,
                }
                while let Some(message) = decoder.take()? {
                    take(lane, message);
                }
            };
            // Credit goes to the other side with the next packet.
            let _ = chunks.finalize();
        }
        if is_open && decoder.held() > 0 {
            self.partial.push((stream, decoder));
        }
        Ok(())
    }
}

impl Lane {
    fn pump(&mut self, connection: &mut Connection) {
        let mut written = 0;
        while let Some(rest) = self.outgoing.get(written..).filter(|rest| !rest.is_empty()) {
            match connection.send_stream(self.stream).write(rest) {
                Ok(len) => written += len,
                Err(WriteError::Blocked) => break,
                Err(WriteError::Stopped(_) | WriteError::ClosedStream) => {
                    self.state = State::Over;
                    written = self.outgoing.len();
                }
            }
        }
        self.outgoing.drain(..written);
        if self.outgoing.is_empty() {
            self.outgoing = Vec::new();
        }
    }
}
