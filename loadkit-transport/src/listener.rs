//! The server's end of streams: a TCP listener, or one in memory.

use std::future::poll_fn;
use std::io;
use std::net::{Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

use crate::mem::{MemStreams, listen_streams};

/// The server's end of streams: a TCP listener, or one in memory, as [`Endpoint`](crate::Endpoint) is of datagrams. So the
/// same game server plays over sockets and in virtual time.
#[derive(Debug)]
pub struct Listener(Way);

#[derive(Debug)]
enum Way {
    Tcp(TcpListener),
    Mem(MemStreams),
}

impl Listener {
    /// Binds a TCP socket. It needs a runtime around it.
    ///
    /// # Errors
    /// As the system has them.
    pub async fn bind_tcp(addr: SocketAddr) -> io::Result<Listener> {
        Ok(Listener(Way::Tcp(TcpListener::bind(addr).await?)))
    }

    /// Listens in memory under this name (`arena` or `mem://arena`), on this thread.
    ///
    /// # Errors
    /// `AddrInUse` when the name is taken.
    pub fn listen_mem(name: &str) -> io::Result<Listener> {
        listen_streams(name).map(|streams| Listener(Way::Mem(streams)))
    }

    /// The address at which it listens; in memory an unspecified one.
    ///
    /// # Errors
    /// As the system has them.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        match &self.0 {
            Way::Tcp(listener) => listener.local_addr(),
            Way::Mem(_) => Ok((Ipv6Addr::UNSPECIFIED, 0).into()),
        }
    }

    /// The next client's stream. Dropping the future loses none.
    ///
    /// # Errors
    /// As the system has them; in memory never.
    pub async fn accept(&mut self) -> io::Result<Stream> {
        match &self.0 {
            Way::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                // Games send small messages that must not wait for company.
                stream.set_nodelay(true)?;
                Ok(Stream(Bytes::Tcp(stream)))
            }
            Way::Mem(streams) => Ok(Stream(Bytes::Mem(poll_fn(|cx| streams.poll_accept(cx)).await))),
        }
    }
}

/// A client's stream, from the server's end.
#[derive(Debug)]
pub struct Stream(Bytes);

#[derive(Debug)]
enum Bytes {
    Tcp(TcpStream),
    Mem(DuplexStream),
}

macro_rules! each {
    ($stream:expr, $inner:ident => $call:expr) => {
        match &mut $stream.0 {
            Bytes::Tcp(stream) => {
                let $inner = Pin::new(stream);
                $call
            }
            Bytes::Mem(stream) => {
                let $inner = Pin::new(stream);
                $call
            }
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => stream.poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        each!(self, stream => stream.poll_write(cx, bytes))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => stream.poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => stream.poll_shutdown(cx))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::mem::connect_stream;

    #[tokio::test(start_paused = true)]
    async fn bytes_go_both_ways_in_memory() {
        let mut listener = Listener::listen_mem("mem://arena").unwrap();
        assert_eq!(Listener::listen_mem("arena").unwrap_err().kind(), io::ErrorKind::AddrInUse);
        assert_eq!(connect_stream("other").unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        let (server, client) = tokio::join!(listener.accept(), async { connect_stream("arena").unwrap() });
        let (mut server, mut client) = (server.unwrap(), client);
        client.write_all(b"ping").await.unwrap();
        let mut buf = [0; 4];
        server.read_exact(&mut buf).await.unwrap();
        server.write_all(&buf).await.unwrap();
        client.read_exact(&mut buf).await.unwrap();
        assert_eq!(&buf, b"ping");
        drop(client);
        assert_eq!(server.read(&mut buf).await.unwrap(), 0);
        drop(listener);
        assert_eq!(connect_stream("arena").unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }

    #[test]
    fn a_backlog_has_an_end() {
        let _listener = Listener::listen_mem("arena").unwrap();
        let streams: Vec<_> = (0..2_000).map_while(|_| connect_stream("arena").ok()).collect();
        assert_eq!(streams.len(), 1_024);
    }
}
