//! TCP with frames: a length before each message.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll, ready};

use loadkit_core::{Failure, Kind};
use tokio::net::TcpStream;

use crate::link::{Link, Received};
use crate::wire::{self, Wire};

/// Bytes that wait for the kernel, at most; a message beyond that is refused.
const MAX_QUEUED: usize = 512 * 1024;

/// The length before a frame, big-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prefix {
    /// Two bytes.
    U16,
    /// Four bytes.
    U32,
}

/// How messages are told apart in a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Framing {
    /// The length before a frame. It counts the bytes that follow it.
    pub prefix: Prefix,
    /// The longest frame sent and taken, in bytes. A connection holds so much while a frame arrives in parts.
    pub max: usize,
}

impl Default for Framing {
    /// Four bytes of length, and frames of at most 1 MiB.
    fn default() -> Framing {
        Framing { prefix: Prefix::U32, max: 1 << 20 }
    }
}

impl Framing {
    fn limit(&self) -> usize {
        match self.prefix {
            Prefix::U16 => self.max.min(usize::from(u16::MAX)),
            Prefix::U32 => self.max.min(u32::MAX as usize),
        }
    }

    /// Appends a frame.
    ///
    /// # Errors
    /// `TOO_LARGE` when it is longer than allowed.
    pub fn write(&self, message: &[u8], out: &mut Vec<u8>) -> Result<(), Failure> {
        if message.len() > self.limit() {
            return Err(too_large(message.len(), self.limit()));
        }
        let len = u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes();
        out.extend_from_slice(match self.prefix {
            Prefix::U16 => &len[2..],
            Prefix::U32 => &len,
        });
        out.extend_from_slice(message);
        Ok(())
    }

    /// The first frame in `bytes`, and how many of them it takes with its length; `None` until it is whole.
    ///
    /// # Errors
    /// `TOO_LARGE` as soon as its length says so.
    pub fn read<'a>(&self, bytes: &'a [u8]) -> Result<Option<(&'a [u8], usize)>, Failure> {
        let (len, prefix) = match (self.prefix, bytes) {
            (Prefix::U16, [a, b, ..]) => (u32::from(u16::from_be_bytes([*a, *b])), 2),
            (Prefix::U32, [a, b, c, d, ..]) => (u32::from_be_bytes([*a, *b, *c, *d]), 4),
            _ => return Ok(None),
        };
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        if len > self.limit() {
            return Err(too_large(len, self.limit()));
        }
        Ok(bytes.get(prefix..prefix + len).map(|frame| (frame, prefix + len)))
    }
}

fn too_large(len: usize, max: usize) -> Failure {
    Failure::new(Kind::TOO_LARGE, format!("a frame of {len} bytes, of at most {max}"))
}

/// A TCP connection that carries frames, in the clear or under TLS.
#[derive(Debug)]
pub struct Tcp {
    wire: Wire,
    framing: Framing,
    /// Read and not yet handed out, from `taken` on. Without a buffer when all is handed out.
    partial: Vec<u8>,
    taken: usize,
    /// Waits for the kernel.
    outgoing: Vec<u8>,
}

impl Tcp {
    /// Connects from `from` (any address if there is none) to `to`.
    ///
    /// # Errors
    /// As the system has them.
    pub async fn connect(from: Option<IpAddr>, to: SocketAddr, framing: Framing) -> io::Result<Tcp> {
        wire::connect(from, to).await.map(|stream| Tcp::over(Wire::Tcp(stream), framing))
    }

    /// Takes a stream that is connected, for example one that a listener accepted.
    ///
    /// # Errors
    /// As the system has them.
    pub fn new(stream: TcpStream, framing: Framing) -> io::Result<Tcp> {
        // Games send small messages that must not wait for company.
        stream.set_nodelay(true)?;
        Ok(Tcp::over(Wire::Tcp(stream), framing))
    }

    /// Frames over a stream that is connected.
    pub(crate) fn over(wire: Wire, framing: Framing) -> Tcp {
        Tcp { wire, framing, partial: Vec::new(), taken: 0, outgoing: Vec::new() }
    }

    /// Hands out the next whole frame of what was read.
    fn take_frame(&mut self, buf: &mut [u8]) -> io::Result<Option<usize>> {
        let waiting = self.partial.get(self.taken..).unwrap_or_default();
        let found =
            self.framing.read(waiting).map_err(|failure| io::Error::new(io::ErrorKind::InvalidData, failure))?;
        let Some((frame, used)) = found else {
            if self.taken > 0 {
                self.partial.drain(..self.taken);
                self.taken = 0;
                if self.partial.is_empty() {
                    self.partial = Vec::new();
                }
            }
            return Ok(None);
        };
        let len = frame.len().min(buf.len());
        buf[..len].copy_from_slice(&frame[..len]);
        self.taken += used;
        Ok(Some(len))
    }

    fn read_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        wire::with_scratch(|scratch| {
            let len = ready!(self.wire.poll_read(cx, scratch))?;
            self.partial.extend_from_slice(&scratch[..len]);
            Poll::Ready(if len > 0 { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) })
        })
    }
}

impl Link for Tcp {
    fn poll_recv(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<Received>> {
        loop {
            if let Some(len) = self.take_frame(buf)? {
                return Poll::Ready(Ok(Received { len, at: None }));
            }
            ready!(self.read_more(cx))?;
        }
    }

    fn try_send(&mut self, message: &[u8]) -> io::Result<()> {
        if self.outgoing.len() + message.len() > MAX_QUEUED && !self.outgoing.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let written = self.framing.write(message, &mut self.outgoing);
        written.map_err(|failure| io::Error::new(io::ErrorKind::InvalidInput, failure))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.wire.poll_write_all(cx, &mut self.outgoing)
    }

    fn queued(&self) -> usize {
        self.outgoing.len() + self.wire.queued()
    }

    fn close(&mut self) {
        self.wire.close();
    }

    fn max_message(&self) -> usize {
        self.framing.limit()
    }

    fn is_stream(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use proptest::prelude::*;
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::*;

    const SMALL: Framing = Framing { prefix: Prefix::U16, max: 100 };

    async fn pair(framing: Framing) -> (Tcp, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let link = Tcp::connect(None, listener.local_addr().unwrap(), framing).await.unwrap();
        (link, listener.accept().await.unwrap().0)
    }

    #[tokio::test]
    async fn frames_arrive_whole_however_they_are_cut() {
        let (mut link, mut peer) = pair(SMALL).await;
        let mut buf = [0; 200];
        for part in [&[0][..], &[3, b'a'], b"bc\0\0\0", b"\x01x\0\x64", &[7; 60], &[7; 40]] {
            peer.write_all(part).await.unwrap();
            peer.flush().await.unwrap();
            tokio::task::yield_now().await;
        }
        let mut frames = Vec::new();
        for _ in 0..4 {
            let len = poll_fn(|cx| link.poll_recv(cx, &mut buf)).await.unwrap().len;
            frames.push(buf[..len].to_vec());
        }
        assert_eq!(frames, [b"abc".to_vec(), vec![], b"x".to_vec(), vec![7; 100]]);
        drop(peer);
        let end = poll_fn(|cx| link.poll_recv(cx, &mut buf)).await.unwrap_err();
        assert_eq!((end.kind(), link.partial.capacity()), (io::ErrorKind::UnexpectedEof, 0));
    }

    #[tokio::test]
    async fn an_oversized_frame_is_refused_at_its_length() {
        let (mut link, mut peer) = pair(SMALL).await;
        peer.write_all(&[0, 101]).await.unwrap();
        let error = poll_fn(|cx| link.poll_recv(cx, &mut [0; 200])).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert_eq!(link.try_send(&[0; 101]).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }

    #[tokio::test]
    async fn a_slow_reader_is_never_waited_for() {
        let (mut link, mut peer) = pair(Framing::default()).await;
        let chunk = [5; 60_000];
        let mut sent = 0;
        loop {
            match link.try_send(&chunk) {
                Ok(()) => sent += 1,
                Err(error) => break assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
            }
            let _ = poll_fn(|cx| Poll::Ready(link.poll_flush(cx))).await;
            assert!(link.queued() <= MAX_QUEUED && sent < 10_000);
        }
        let reader = tokio::spawn(async move {
            let mut bytes = 0;
            let mut scratch = vec![0; 100_000];
            while bytes < sent * 60_004 {
                peer.readable().await.unwrap();
                bytes += peer.try_read(&mut scratch).unwrap_or(0);
            }
            peer.shutdown().await.unwrap();
            bytes
        });
        poll_fn(|cx| link.poll_flush(cx)).await.unwrap();
        assert_eq!((reader.await.unwrap(), link.outgoing.capacity()), (sent * 60_004, 0));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..40), wide in any::<bool>()) {
            let framing = Framing { prefix: if wide { Prefix::U32 } else { Prefix::U16 }, max: 30 };
            if let Ok(Some((frame, used))) = framing.read(&bytes) {
                let mut again = Vec::new();
                framing.write(frame, &mut again).unwrap();
                prop_assert_eq!(&again, &bytes[..used]);
            }
        }
    }
}
