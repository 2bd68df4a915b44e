//! TLS over a TCP stream, by rustls's connection without buffers: the buffers are here, and only while something is
//! under way.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use rustls::ClientConfig;
use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncryptError, InsufficientSizeError, UnbufferedStatus, WriteTraffic,
};
use tokio::net::TcpStream;

use crate::wire;

/// Bytes encrypted at once: what fits into a record (RFC 8446, section 5.1).
const RECORD: usize = 16 * 1024;

/// A client's TLS connection.
pub(crate) struct TlsStream {
    stream: TcpStream,
    tls: UnbufferedClientConnection,
    /// Has come, and is not a whole record.
    incoming: Vec<u8>,
    /// Decrypted, and from `taken` on not handed out.
    plain: Vec<u8>,
    taken: usize,
    /// Encrypted, and waits for the kernel.
    outgoing: Vec<u8>,
    /// The handshake is done.
    is_open: bool,
    /// The other side has said its goodbye.
    is_ended: bool,
    /// So have we.
    is_closed: bool,
    /// An error has ended it.
    is_broken: bool,
}

/// What is to be done once the connection is open.
enum Task<'a> {
    Nothing,
    Encrypt(&'a [u8]),
    SayGoodbye,
}

impl fmt::Debug for TlsStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsStream").field("stream", &self.stream).finish_non_exhaustive()
    }
}

impl TlsStream {
    pub(crate) fn new(
        stream: TcpStream,
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> Result<TlsStream, rustls::Error> {
        Ok(TlsStream {
            stream,
            tls: UnbufferedClientConnection::new(config, name)?,
            incoming: Vec::new(),
            plain: Vec::new(),
            taken: 0,
            outgoing: Vec::new(),
            is_open: false,
            is_ended: false,
            is_closed: false,
            is_broken: false,
        })
    }

    /// Ready when the handshake is done. `buf` is to read into.
    pub(crate) fn poll_handshake(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<()>> {
        loop {
            self.work(Task::Nothing)?;
            ready!(self.poll_flush(cx))?;
            if self.is_open {
                return Poll::Ready(Ok(()));
            }
            ready!(self.read_more(cx, buf))?;
        }
    }

    /// As [`Wire::poll_read`](wire::Wire::poll_read).
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            let waiting = self.plain.get(self.taken..).unwrap_or_default();
            if !waiting.is_empty() {
                let len = waiting.len().min(buf.len());
                buf[..len].copy_from_slice(&waiting[..len]);
                self.taken += len;
                if self.taken == self.plain.len() {
                    (self.plain, self.taken) = (Vec::new(), 0);
                }
                return Poll::Ready(Ok(len));
            }
            if self.is_ended {
                return Poll::Ready(Ok(0));
            }
            ready!(self.read_more(cx, buf))?;
            self.work(Task::Nothing)?;
            // What TLS itself has to answer. Where the kernel has no room, the next flush or write takes it along.
            let _ = self.poll_flush(cx)?;
        }
    }

    /// As [`Wire::poll_write`](wire::Wire::poll_write).
    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_flush(cx))?;
        let some = &bytes[..bytes.len().min(RECORD)];
        if self.is_closed || !self.work(Task::Encrypt(some))? {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let _ = self.poll_flush(cx)?;
        Poll::Ready(Ok(some.len()))
    }

    /// Moves on what is encrypted.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        wire::write_all(&mut self.outgoing, |bytes| wire::poll_write(&self.stream, cx, bytes))
    }

    /// Bytes that wait for the kernel.
    pub(crate) fn queued(&self) -> usize {
        self.outgoing.len()
    }

    /// Queues the goodbye (close_notify, RFC 8446, section 6.1).
    pub(crate) fn close(&mut self) {
        if self.is_open && !self.is_closed {
            self.is_closed = true;
            // A connection that is broken has no goodbye.
            let _ = self.work(Task::SayGoodbye);
        }
    }

    /// Reads what has come. `buf` only lends the room.
    fn read_more(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<()>> {
        let len = ready!(wire::poll_read(&self.stream, cx, buf))?;
        self.incoming.extend_from_slice(&buf[..len]);
        // An end without a goodbye: somebody may have cut the rest off.
        Poll::Ready(if len > 0 { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) })
    }

    /// Works on what has come until more must come, then on `task`. Whether that is done; it is not while the
    /// connection is not open (any more).
    fn work(&mut self, task: Task<'_>) -> io::Result<bool> {
        if self.is_broken {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let result = self.advance(task);
        if self.incoming.is_empty() {
            self.incoming = Vec::new();
        }
        result.map_err(|error| {
            self.is_broken = true;
            // The other side is told why, as far as the kernel takes it.
            self.queue_alert();
            let _ = self.poll_flush(&mut Context::from_waker(Waker::noop()));
            io::Error::other(super::failure(&error))
        })
    }

    fn advance(&mut self, mut task: Task<'_>) -> Result<bool, rustls::Error> {
        let mut is_done = false;
        loop {
            let UnbufferedStatus { mut discard, state, .. } = self.tls.process_tls_records(&mut self.incoming);
            let is_last = match state? {
                ConnectionState::ReadTraffic(mut traffic) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record?;
                        discard += record.discard;
                        self.plain.extend_from_slice(record.payload);
                    }
                    false
                }
                ConnectionState::EncodeTlsData(mut data) => {
                    grow(&mut self.outgoing, |room| data.encode(room))?;
                    false
                }
                // It goes with all that waits for the kernel.
                ConnectionState::TransmitTlsData(data) => {
                    data.done();
                    false
                }
                ConnectionState::PeerClosed => {
                    self.is_ended = true;
                    false
                }
                ConnectionState::WriteTraffic(mut traffic) => {
                    self.is_open = true;
                    is_done = true;
                    carry_out(std::mem::replace(&mut task, Task::Nothing), &mut traffic, &mut self.outgoing)?;
                    true
                }
                _ => true,
            };
            self.incoming.drain(..discard.min(self.incoming.len()));
            if is_last {
                return Ok(is_done);
            }
        }
    }

    /// After an error: what TLS has to say about it, which is one alert. It is not asked again: it would stumble over the
    /// same bytes once more.
    fn queue_alert(&mut self) {
        if let UnbufferedStatus { state: Ok(ConnectionState::EncodeTlsData(mut data)), .. } =
            self.tls.process_tls_records(&mut self.incoming)
        {
            // Without it, the other side sees the end all the same.
            let _ = grow(&mut self.outgoing, |room| data.encode(room));
        }
    }
}

fn carry_out<D>(
    task: Task<'_>,
    traffic: &mut WriteTraffic<'_, D>,
    outgoing: &mut Vec<u8>,
) -> Result<(), rustls::Error> {
    match task {
        Task::Nothing => Ok(()),
        Task::Encrypt(bytes) => grow(outgoing, |room| traffic.encrypt(bytes, room)),
        Task::SayGoodbye => grow(outgoing, |room| traffic.queue_close_notify(room)),
    }
}

/// What is written into a buffer may need more room than there is.
trait NeedsRoom: std::fmt::Display {
    fn room(&self) -> Option<usize>;
}

impl NeedsRoom for EncodeError {
    fn room(&self) -> Option<usize> {
        match self {
            EncodeError::InsufficientSize(InsufficientSizeError { required_size }) => Some(*required_size),
            EncodeError::AlreadyEncoded => None,
        }
    }
}

impl NeedsRoom for EncryptError {
    fn room(&self) -> Option<usize> {
        match self {
            EncryptError::InsufficientSize(InsufficientSizeError { required_size }) => Some(*required_size),
            EncryptError::EncryptExhausted => None,
        }
    }
}

/// Has `write` append to `out`, with as much room as it says it needs.
fn grow<E: NeedsRoom>(
    out: &mut Vec<u8>,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, E>,
) -> Result<(), rustls::Error> {
    let begin = out.len();
    let mut room = 0;
    loop {
        out.resize(begin + room, 0);
        match write(&mut out[begin..]) {
            Ok(len) => {
                out.truncate(begin + len);
                return Ok(());
            }
            Err(error) => match error.room() {
                Some(needed) if needed > room => room = needed,
                _ => {
                    out.truncate(begin);
                    return Err(rustls::Error::General(error.to_string()));
                }
            },
        }
    }
}
