//! The server's end of datagrams: one UDP socket for all peers, or an in-memory listener.

use std::io;
use std::net::{Ipv6Addr, SocketAddr};
use std::task::{Context, Poll, ready};

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::UdpSocket;

use crate::link::Received;
use crate::mem::{self, MemListener};
use crate::recv;

/// The kernel's buffers of a server's socket, in bytes: ten thousand peers may send at once.
const BUFFER: usize = 8 << 20;

/// The server's end of datagrams: one UDP socket for all peers, or an in-memory listener.
#[derive(Debug)]
pub struct Endpoint(Way);

#[derive(Debug)]
enum Way {
    Udp(UdpSocket),
    Mem(Box<MemListener>),
}

impl Endpoint {
    /// Binds a UDP socket, with kernel buffers of 8 MiB or as much as the system allows.
    ///
    /// # Errors
    /// As the system has them.
    pub fn bind_udp(addr: SocketAddr) -> io::Result<Endpoint> {
        let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_nonblocking(true)?;
        recv::enlarge(&socket, BUFFER);
        recv::stamp(&socket);
        socket.bind(&addr.into())?;
        Ok(Endpoint(Way::Udp(UdpSocket::from_std(socket.into())?)))
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
        let socket = match &mut self.0 {
            Way::Udp(socket) => socket,
            Way::Mem(listener) => return listener.poll_recv_from(cx, buf).map(Ok),
        };
        loop {
            match recv::one_from(socket, buf) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready!(socket.poll_recv_ready(cx))?,
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
                result => return Poll::Ready(result),
            }
        }
    }

    /// Sends a datagram; it never waits.
    ///
    /// # Errors
    /// `WouldBlock` when the kernel has no room: the datagram is lost. Others as the system has them.
    pub fn try_send_to(&mut self, datagram: &[u8], to: SocketAddr) -> io::Result<()> {
        match &mut self.0 {
            // Past the runtime's readiness: nobody waits for room.
            Way::Udp(socket) => SockRef::from(&*socket).send_to(datagram, &to.into()).map(|_| ()),
            Way::Mem(listener) => {
                listener.send_to(datagram, to);
                Ok(())
            }
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
