//! Many datagrams a system call: a UDP socket that takes and sends them by the batch.
//!
//! Datagrams of one size that go the same way leave as one (segmentation offload, on Linux since 4.18); those that a
//! peer sent so are taken as one. Where the system cannot, each goes alone, and nothing else changes.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSocketState};
use socket2::{SockRef, Socket};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::time::Instant;

use crate::arrival;
use crate::recv;

/// Bytes that wait for a flush, at most; more are flushed at once.
const MAX_WAITING: usize = 1 << 20;
/// Bytes that leave as one, at most: a UDP datagram's 65,507, which the kernel cuts (udp(7), `UDP_SEGMENT`).
const MAX_RUN: usize = 65_507;
/// Where one receive may put its bytes: the kernel joins at most 64 KiB.
const SLOT: usize = 1 << 16;
/// The kernel's buffers of a socket, in bytes: ten thousand peers may send at once.
const KERNEL_BUFFER: usize = 8 << 20;

/// A datagram that was received.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Datagram<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) from: SocketAddr,
    /// When it arrived in the kernel, where that is known.
    pub(crate) at: Option<Instant>,
}

/// Datagrams of one size that go the same way.
#[derive(Debug)]
struct Run {
    to: SocketAddr,
    from: Option<IpAddr>,
    /// The size of each; the last may be smaller, and then ends the run.
    size: usize,
    bytes: Range<usize>,
    is_closed: bool,
}

/// A UDP socket that takes and sends datagrams by the batch.
#[derive(Debug)]
pub(crate) struct Batch {
    socket: Rc<UdpSocket>,
    state: UdpSocketState,
    is_connected: bool,
    waiting: Vec<u8>,
    runs: Vec<Run>,
    received: Box<[u8]>,
    metas: [RecvMeta; BATCH_SIZE],
    /// So many of `metas` are filled.
    filled: usize,
    /// Where the next datagram is: the meta's index, and the place in its slot.
    next: (usize, usize),
    refused: u64,
}

impl Batch {
    /// Takes a socket, bound or connected, with kernel buffers of 8 MiB or as much as the system allows.
    pub(crate) fn new(socket: Socket, is_connected: bool) -> io::Result<Batch> {
        socket.set_nonblocking(true)?;
        recv::enlarge(&socket, KERNEL_BUFFER);
        let state = UdpSocketState::new((&socket).into())?;
        Ok(Batch {
            socket: Rc::new(UdpSocket::from_std(socket.into())?),
            state,
            is_connected,
            waiting: Vec::new(),
            runs: Vec::new(),
            received: vec![0; SLOT * BATCH_SIZE].into(),
            metas: [RecvMeta::default(); BATCH_SIZE],
            filled: 0,
            next: (0, 0),
            refused: 0,
        })
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// The next word of the system on what was sent, where nothing is received that would bring it: a port where nobody
    /// listens. It lives apart from the batch.
    pub(crate) fn faults(&self) -> impl Future<Output = io::ErrorKind> + use<> {
        let socket = self.socket.clone();
        async move {
            loop {
                let waited = socket.ready(Interest::ERROR).await.map(|_| ());
                if let Ok(Some(error)) = socket.take_error() {
                    return error.kind();
                }
                if waited.is_err() {
                    return io::ErrorKind::Other;
                }
                // Nothing is wrong any more: wait for the next time.
                let _ = socket.try_io(Interest::ERROR, || io::Result::<()>::Err(io::ErrorKind::WouldBlock.into()));
            }
        }
    }

    /// Datagrams that the kernel had no room for, since the last call.
    pub(crate) fn take_refused(&mut self) -> u64 {
        std::mem::take(&mut self.refused)
    }

    /// Receives a batch, once the one before has been handed out; registers the waker when nothing has come.
    ///
    /// # Errors
    /// As the system has them; `ConnectionRefused` is what a peer's machine says of a datagram sent before.
    pub(crate) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        (self.filled, self.next) = (0, (0, 0));
        let Batch { socket, state, received, metas, .. } = self;
        loop {
            let result = socket.try_io(Interest::READABLE, || {
                let mut slots = received.chunks_exact_mut(SLOT);
                let mut slots: [IoSliceMut<'_>; BATCH_SIZE] =
                    std::array::from_fn(|_| IoSliceMut::new(slots.next().unwrap_or_default()));
                state.recv((&**socket).into(), &mut slots, metas)
            });
            match result {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready!(socket.poll_recv_ready(cx))?,
                Err(error) => return Poll::Ready(Err(error)),
                Ok(filled) => {
                    self.filled = filled;
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }

    /// The next datagram of the batch.
    pub(crate) fn next(&mut self) -> Option<Datagram<'_>> {
        let (index, at) = self.next;
        let meta = self.metas.get(index).filter(|_| index < self.filled)?;
        let end = (at + meta.stride.max(1)).min(meta.len);
        self.next = if end >= meta.len { (index + 1, 0) } else { (index, end) };
        let slot = index * SLOT;
        Some(Datagram {
            bytes: self.received.get(slot + at..slot + end).unwrap_or_default(),
            from: meta.addr,
            at: meta.timestamp.map(|stamp| arrival::arrival(stamp, Instant::now())),
        })
    }

    /// Queues a datagram for the next flush. `from` is the address that it is to come from, of a socket that is bound
    /// to all of them.
    pub(crate) fn push(&mut self, to: SocketAddr, from: Option<IpAddr>, datagram: &[u8]) {
        if self.waiting.len() + datagram.len() > MAX_WAITING {
            self.flush();
        }
        let start = self.waiting.len();
        self.waiting.extend_from_slice(datagram);
        let end = self.waiting.len();
        let segments = self.state.max_gso_segments();
        if let Some(run) = self.runs.last_mut()
            && !run.is_closed
            && (run.to, run.from) == (to, from)
            && !datagram.is_empty()
            && datagram.len() <= run.size
            && end - run.bytes.start <= MAX_RUN
            && run.bytes.len() / run.size.max(1) < segments
        {
            run.bytes.end = end;
            run.is_closed = datagram.len() < run.size;
            return;
        }
        self.runs.push(Run { to, from, size: datagram.len(), bytes: start..end, is_closed: false });
    }

    /// Whether datagrams wait.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.runs.is_empty()
    }

    /// Sends what waits; it never blocks. What the kernel has no room for is lost, and counted.
    pub(crate) fn flush(&mut self) {
        for run in &self.runs {
            let bytes = self.waiting.get(run.bytes.clone()).unwrap_or_default();
            if bytes.len() <= run.size {
                self.refused += u64::from(self.send(run, bytes, None).is_err());
                continue;
            }
            let Err(error) = self.send(run, bytes, Some(run.size)) else { continue };
            let datagrams = bytes.chunks(run.size.max(1));
            if error.kind() == io::ErrorKind::WouldBlock {
                self.refused += datagrams.len() as u64;
                continue;
            }
            // The kernel, or the network card, cannot cut this.
            for datagram in datagrams {
                self.refused += u64::from(self.send(run, datagram, None).is_err());
            }
        }
        self.waiting.clear();
        self.runs.clear();
    }

    fn send(&self, run: &Run, bytes: &[u8], segment_size: Option<usize>) -> io::Result<()> {
        let send = || {
            if self.is_connected && segment_size.is_none() {
                return SockRef::from(&*self.socket).send(bytes).map(|_| ());
            }
            let transmit = Transmit { destination: run.to, ecn: None, contents: bytes, segment_size, src_ip: run.from };
            self.state.try_send((&*self.socket).into(), &transmit)
        };
        // What the system says of an earlier datagram is no word on this one.
        send().or_else(|error| if error.kind() == io::ErrorKind::ConnectionRefused { send() } else { Err(error) })
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use socket2::{Domain, Type};

    use super::*;

    fn batch(addr: &str) -> Batch {
        let addr: SocketAddr = addr.parse().unwrap();
        let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, None).unwrap();
        socket.bind(&addr.into()).unwrap();
        Batch::new(socket, false).unwrap()
    }

    async fn take(batch: &mut Batch, count: usize) -> Vec<(SocketAddr, Vec<u8>)> {
        let mut all = Vec::new();
        while all.len() < count {
            poll_fn(|cx| batch.poll_fill(cx)).await.unwrap();
            while let Some(datagram) = batch.next() {
                all.push((datagram.from, datagram.bytes.to_vec()));
            }
        }
        all
    }

    #[tokio::test]
    async fn datagrams_keep_their_bounds_and_order_whatever_their_sizes() {
        let (mut ours, mut theirs) = (batch("127.0.0.1:0"), batch("127.0.0.1:0"));
        let to = theirs.local_addr().unwrap();
        let sizes = [40; 70].into_iter().chain([20, 50, 50, 0, 0, 1, 1_200, 1_200, 7]).chain([1_000; 130]);
        let sent: Vec<Vec<u8>> = sizes.enumerate().map(|(i, size)| vec![i as u8; size]).collect();
        for datagram in &sent {
            ours.push(to, None, datagram);
        }
        assert!(ours.is_waiting() && ours.runs.len() < 20, "{}", ours.runs.len());
        ours.flush();
        assert!(!ours.is_waiting());
        let from = ours.local_addr().unwrap();
        let received = take(&mut theirs, sent.len()).await;
        assert_eq!(received.iter().map(|(_, bytes)| bytes).collect::<Vec<_>>(), sent.iter().collect::<Vec<_>>());
        assert!(received.iter().all(|(addr, _)| *addr == from));
        assert_eq!(ours.take_refused(), 0);
    }

    #[tokio::test]
    async fn one_socket_speaks_from_many_addresses() {
        let (mut ours, mut theirs) = (batch("0.0.0.0:0"), batch("127.0.0.1:0"));
        let to = theirs.local_addr().unwrap();
        let from: Vec<IpAddr> = (1..=100).map(|i| IpAddr::from([127, 0, 3, i])).collect();
        for ip in &from {
            ours.push(to, Some(*ip), b"hello");
        }
        ours.flush();
        let seen: Vec<IpAddr> = take(&mut theirs, 100).await.into_iter().map(|(from, _)| from.ip()).collect();
        assert_eq!(seen, from);
        let back = SocketAddr::new(from[9], ours.local_addr().unwrap().port());
        theirs.push(back, None, b"you");
        theirs.flush();
        assert_eq!(take(&mut ours, 1).await, [(to, b"you".to_vec())]);
    }

    #[tokio::test]
    async fn what_waits_is_bounded() {
        let (mut ours, theirs) = (batch("127.0.0.1:0"), batch("127.0.0.1:0"));
        let to = theirs.local_addr().unwrap();
        for _ in 0..2_000 {
            ours.push(to, None, &[1; 1_200]);
            assert!(ours.waiting.len() <= MAX_WAITING);
        }
    }
}
