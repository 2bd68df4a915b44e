//! The server's end of datagrams: one UDP socket for all peers, or an in-memory listener.

use std::io;
use std::net::{Ipv6Addr, SocketAddr};
use std::task::{Context, Poll, ready};

use socket2::{Domain, Protocol, Socket, Type};

use crate::batch::Batch;
use crate::link::Received;
use crate::mem::{self, MemListener};

/// The server's end of datagrams: one UDP socket for all peers, or an in-memory listener.
///
/// Datagrams are taken and sent by the batch. **What was queued goes with [`Endpoint::flush`], or when
/// [`Endpoint::poll_recv_from`] has nothing more to hand out.**
#[derive(Debug)]
pub struct Endpoint(Way);

#[derive(Debug)]
enum Way {
    Udp(Box<Batch>),
    Mem(Box<MemListener>),
}

impl Endpoint {
    /// Binds a UDP socket, with kernel buffers of 8 MiB or as much as the system allows.
    ///
    /// # Errors
    /// As the system has them.
    pub fn bind_udp(addr: SocketAddr) -> io::Result<Endpoint> {
        let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))?;
        socket.bind(&addr.into())?;
        Ok(Endpoint(Way::Udp(Box::new(Batch::new(socket, false)?))))
    }

    /// Listens in memory under this name (`arena` or `mem://arena`), on this thread.
    ///
    /// # Errors
    /// `AddrInUse` when the name is taken.
    pub fn listen_mem(name: &str) -> io::Result<Endpoint> {
        mem::listen(name).map(|listener| Endpoint(Way::Mem(Box::new(listener))))
    }

    /// The address at which it listens; in memory an unspecified one.
    ///
    /// # Errors
    /// As the system has them.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        match &self.0 {
            Way::Udp(socket) => socket.local_addr(),
            Way::Mem(_) => Ok((Ipv6Addr::UNSPECIFIED, 0).into()),
        }
    }

    /// The next datagram, and where it came from; registers the waker when there is none.
    ///
    /// # Errors
    /// As the system has them. That a peer's machine refused what was sent to it is no error here.
    pub fn poll_recv_from(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<(Received, SocketAddr)>> {
        let batch = match &mut self.0 {
            Way::Udp(batch) => batch,
            Way::Mem(listener) => return listener.poll_recv_from(cx, buf).map(Ok),
        };
        loop {
            if let Some(datagram) = batch.next() {
                // As with a socket, what is longer than the buffer is cut.
                let len = datagram.bytes.len().min(buf.len());
                buf[..len].copy_from_slice(&datagram.bytes[..len]);
                return Poll::Ready(Ok((Received { len, at: datagram.at }, datagram.from)));
            }
            let filled = batch.poll_fill(cx);
            if filled.is_pending() {
                batch.flush();
            }
            match ready!(filled) {
                Err(error) if error.kind() != io::ErrorKind::ConnectionRefused => return Poll::Ready(Err(error)),
                _ => {}
            }
        }
    }

    /// Queues a datagram; it never waits. In memory it goes at once.
    pub fn send_to(&mut self, datagram: &[u8], to: SocketAddr) {
        match &mut self.0 {
            Way::Udp(batch) => batch.push(to, None, datagram),
            Way::Mem(listener) => listener.send_to(datagram, to),
        }
    }

    /// Sends what is queued. Datagrams that the kernel had no room for, which are lost, since the last call.
    pub fn flush(&mut self) -> u64 {
        match &mut self.0 {
            Way::Udp(batch) => {
                batch.flush();
                batch.take_refused()
            }
            Way::Mem(_) => 0,
        }
    }

    /// Datagrams lost in memory because too many were waiting. Of a socket the kernel knows.
    pub fn dropped(&self) -> u64 {
        match &self.0 {
            Way::Udp(_) => 0,
            Way::Mem(listener) => listener.dropped(),
        }
    }
}
