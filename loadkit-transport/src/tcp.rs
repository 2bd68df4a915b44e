//! TCP with frames.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll, ready};

use tokio::net::TcpStream;

use crate::framing::{FrameBuffers, Framing};
use crate::link::{Link, Received};
use crate::wire::{self, Wire};

/// A TCP connection that carries frames, in the clear or under TLS.
#[derive(Debug)]
pub struct Tcp {
    wire: Wire,
    frames: FrameBuffers,
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
        Tcp { wire, frames: FrameBuffers::new(framing) }
    }

    fn read_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        wire::with_scratch(|scratch| {
            let len = ready!(self.wire.poll_read(cx, scratch))?;
            self.frames.received(&scratch[..len]);
            Poll::Ready(if len > 0 { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) })
        })
    }
}

impl Link for Tcp {
    fn name(&self) -> &'static str {
        self.wire.name("tcp", "tls")
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<Received>> {
        loop {
            if let Some(len) = self.frames.take(buf)? {
                return Poll::Ready(Ok(Received { len, at: None }));
            }
            ready!(self.read_more(cx))?;
        }
    }

    fn try_send(&mut self, message: &[u8]) -> io::Result<()> {
        self.frames.push(message)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.frames.outgoing().is_empty() {
            let len = ready!(self.wire.poll_write(cx, self.frames.outgoing()))?;
            self.frames.sent(len);
        }
        self.wire.poll_flush(cx)
    }

    fn queued(&self) -> usize {
        self.frames.queued() + self.wire.queued()
    }

    fn close(&mut self) {
        self.wire.close();
    }

    fn max_message(&self) -> usize {
        self.frames.limit()
    }

    fn is_stream(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::*;
    use crate::framing::{Boundary, Prefix};

    const SMALL: Framing = Framing { boundary: Boundary::Length(Prefix::U16Be), max: 100 };

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
        assert_eq!((end.kind(), link.frames.is_idle()), (io::ErrorKind::UnexpectedEof, true));
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
            assert!(link.queued() <= 512 * 1024 && sent < 10_000);
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
        assert_eq!((reader.await.unwrap(), link.frames.is_idle()), (sent * 60_004, true));
    }
}
