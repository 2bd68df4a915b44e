//! One datagram with its kernel's stamp, where the system has stamps; one without, elsewhere.

use std::io;

use socket2::Socket;
use tokio::net::UdpSocket;

use crate::link::Received;

/// Asks the kernel to stamp what arrives. Where it cannot, datagrams arrive when they are read.
pub(crate) fn stamp(socket: &Socket) {
    #[cfg(target_os = "linux")]
    let _ = nix::sys::socket::setsockopt(socket, nix::sys::socket::sockopt::ReceiveTimestampns, &true);
    #[cfg(not(target_os = "linux"))]
    let _ = socket;
}

/// Asks for kernel buffers of so many bytes: beyond the system's limit where the process may, else up to it.
pub(crate) fn enlarge(socket: &Socket, bytes: usize) {
    #[cfg(target_os = "linux")]
    {
        use nix::sys::socket::{setsockopt, sockopt};
        let forced =
            setsockopt(socket, sockopt::RcvBufForce, &bytes).and(setsockopt(socket, sockopt::SndBufForce, &bytes));
        if forced.is_ok() {
            return;
        }
    }
    // The system cuts what is over its limit and calls it done; where it refuses, its default stays.
    let _ = socket.set_recv_buffer_size(bytes).and(socket.set_send_buffer_size(bytes));
}

/// The next datagram of a connected socket.
pub(crate) fn one(socket: &UdpSocket, buf: &mut [u8]) -> io::Result<Received> {
    #[cfg(target_os = "linux")]
    return socket.try_io(tokio::io::Interest::READABLE, || linux::one(socket, buf));
    #[cfg(not(target_os = "linux"))]
    socket.try_recv(buf).map(|len| Received { len, at: None })
}

/// recvmsg through nix: it allocates nothing, and the control buffer lies on the stack.
#[cfg(target_os = "linux")]
mod linux {
    use std::io::{self, IoSliceMut};
    use std::os::fd::AsRawFd;
    use std::time::Duration;

    use nix::sys::socket::{ControlMessageOwned, MsgFlags, cmsg_space, recvmsg};
    use nix::sys::time::TimeSpec;
    use tokio::net::UdpSocket;
    use tokio::time::Instant;

    use crate::arrival;
    use crate::link::Received;

    /// Room for one stamp, aligned as the kernel's headers are (cmsg(3)).
    #[repr(align(8))]
    struct Control([u8; cmsg_space::<TimeSpec>()]);

    pub(super) fn one(socket: &UdpSocket, buf: &mut [u8]) -> io::Result<Received> {
        let mut control = Control([0; cmsg_space::<TimeSpec>()]);
        let mut iov = [IoSliceMut::new(buf)];
        let message = recvmsg::<()>(socket.as_raw_fd(), &mut iov, Some(&mut control.0), MsgFlags::empty())?;
        let stamp = message.cmsgs().ok().and_then(|mut all| {
            all.find_map(|one| match one {
                ControlMessageOwned::ScmTimestampns(stamp) => Some(stamp),
                _ => None,
            })
        });
        let at = stamp.map(|stamp| {
            let secs = Duration::from_secs(stamp.tv_sec().try_into().unwrap_or(0));
            arrival::arrival(secs + Duration::from_nanos(stamp.tv_nsec().try_into().unwrap_or(0)), Instant::now())
        });
        Ok(Received { len: message.bytes, at })
    }
}
