//! UDP with one connected socket per bot: the honest default, each player its own address.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll, ready};

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::UdpSocket;

use crate::link::{Link, Received};
use crate::recv;

/// The kernel's buffers of a socket, in bytes; `None` leaves the system's default. The kernel accounts for its own
/// overhead by doubling them, and takes memory only while datagrams wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SocketBuffers {
    /// For receiving. What does not fit is lost.
    pub recv: Option<usize>,
    /// For sending. What does not fit is refused, and counted as `net.sends_refused`.
    pub send: Option<usize>,
}

/// A connected UDP socket.
#[derive(Debug)]
pub struct Udp(UdpSocket);

impl Udp {
    /// A socket of its own for one bot, from `from` (any address if there is none) to `to`.
    ///
    /// # Errors
    /// As the system has them; `InvalidInput` when the addresses are of different families.
    pub fn connect(from: Option<IpAddr>, to: SocketAddr, buffers: SocketBuffers) -> io::Result<Udp> {
        let socket = Socket::new(Domain::for_address(to), Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_nonblocking(true)?;
        if let Some(from) = from {
            check_family(from, to)?;
            socket.bind(&SocketAddr::new(from, 0).into())?;
        }
        if let Some(size) = buffers.recv {
            socket.set_recv_buffer_size(size)?;
        }
        if let Some(size) = buffers.send {
            socket.set_send_buffer_size(size)?;
        }
        recv::stamp(&socket);
        socket.connect(&to.into())?;
        UdpSocket::from_std(socket.into()).map(Udp)
    }

    /// This end's address.
    ///
    /// # Errors
    /// As the system has them.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// Whether `to` can be reached from there at all.
pub(crate) fn check_family(from: IpAddr, to: SocketAddr) -> io::Result<()> {
    if from.is_ipv4() == to.is_ipv4() {
        return Ok(());
    }
    let what = format!("the source address {from} and the target {to} are of different families");
    Err(io::Error::new(io::ErrorKind::InvalidInput, what))
}

impl Link for Udp {
    fn name(&self) -> &'static str {
        "udp"
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<Received>> {
        loop {
            // It looks before it asks whether it may: that costs no system call when the runtime knows of nothing.
            match recv::one(&self.0, buf) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready!(self.0.poll_recv_ready(cx))?,
                result => return Poll::Ready(result),
            }
        }
    }

    fn try_send(&mut self, message: &[u8]) -> io::Result<()> {
        // Past the runtime's readiness, which is not known before its first look at a new socket: a datagram either goes
        // into the kernel's buffer or is refused, and nobody waits for room.
        SockRef::from(&self.0).send(message).map(|_| ())
    }

    fn rebind(&mut self, from: Option<IpAddr>) -> io::Result<()> {
        let (local, peer) = (self.0.local_addr()?, self.0.peer_addr()?);
        let socket = SockRef::from(&self.0);
        // Linux tells twice what was asked for (socket(7)).
        let asked =
            |size: io::Result<usize>| size.ok().map(|size| if cfg!(target_os = "linux") { size / 2 } else { size });
        let buffers = SocketBuffers { recv: asked(socket.recv_buffer_size()), send: asked(socket.send_buffer_size()) };
        *self = Udp::connect(Some(from.unwrap_or(local.ip())), peer, buffers)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use tokio::time::Instant;

    use super::*;

    #[tokio::test]
    async fn datagrams_carry_the_kernels_time_of_arrival() {
        let server = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let pool: crate::SourcePool = "127.0.0.5".parse().unwrap();
        let to = server.local_addr().unwrap();
        let mut link =
            Udp::connect(Some(pool.addr(0)), to, SocketBuffers { recv: Some(16_384), send: Some(16_384) }).unwrap();
        link.try_send(b"ping").unwrap();
        let mut buf = [0; 100];
        let (len, from) = server.recv_from(&mut buf).unwrap();
        assert_eq!((&buf[..len], from.ip().to_string().as_str()), (b"ping".as_slice(), "127.0.0.5"));
        assert_eq!(from, link.local_addr().unwrap());

        // We are late, and the datagram is not. The kernel begins to stamp a moment after the first socket asked.
        let late = Duration::from_millis(5);
        let mut early = 0;
        for _ in 0..50 {
            server.send_to(b"pong", from).unwrap();
            let sent = Instant::now();
            while sent.elapsed() < late {
                std::hint::spin_loop();
            }
            let received = poll_fn(|cx| link.poll_recv(cx, &mut buf)).await.unwrap();
            assert_eq!(&buf[..received.len], b"pong");
            early += u32::from(received.at.is_none_or(|at| at < sent + late / 2));
        }
        assert!(early > 0);
    }

    #[tokio::test]
    async fn a_new_address_is_another_one_to_the_same_server() {
        let server = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let sizes = SocketBuffers { recv: Some(16_384), send: None };
        let mut link = Udp::connect(None, server.local_addr().unwrap(), sizes).unwrap();
        let size = |link: &Udp| SockRef::from(&link.0).recv_buffer_size().unwrap();
        let (before, size_before) = (link.local_addr().unwrap(), size(&link));
        link.rebind(None).unwrap();
        let after = link.local_addr().unwrap();
        assert!(after.ip() == before.ip() && after.port() != before.port());
        link.rebind(Some("127.0.0.7".parse().unwrap())).unwrap();
        link.try_send(b"moved").unwrap();
        let mut buf = [0; 100];
        let (len, from) = server.recv_from(&mut buf).unwrap();
        assert_eq!((&buf[..len], from.ip().to_string().as_str()), (b"moved".as_slice(), "127.0.0.7"));
        server.send_to(b"welcome", from).unwrap();
        let received = poll_fn(|cx| link.poll_recv(cx, &mut buf)).await.unwrap();
        assert_eq!((&buf[..received.len], size(&link)), (b"welcome".as_slice(), size_before));
        assert_eq!(link.rebind(Some("::1".parse().unwrap())).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        link.try_send(b"still here").unwrap();
        assert_eq!(server.recv_from(&mut buf).unwrap().1, from);
    }

    #[tokio::test]
    async fn a_port_where_nobody_listens_refuses() {
        let to = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut link = Udp::connect(None, to, SocketBuffers::default()).unwrap();
        let refused = (0..1_000).find_map(|_| link.try_send(b"anybody?").err());
        assert_eq!(refused.unwrap().kind(), io::ErrorKind::ConnectionRefused);
        let mixed = Udp::connect(Some("::1".parse().unwrap()), to, SocketBuffers::default()).unwrap_err();
        assert_eq!(mixed.kind(), io::ErrorKind::InvalidInput);
    }
}
