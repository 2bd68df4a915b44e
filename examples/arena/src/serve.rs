//! The server's loop, over UDP or in memory, and its command.

use std::future::{Future, poll_fn};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::pin::pin;
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use loadkit::transport::mem::MemListener;
use tokio::io::ReadBuf;
use tokio::net::UdpSocket;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use crate::counts::Counts;
use crate::options::Options;
use crate::server::Server;

/// Datagrams taken at once before their answers leave.
const BATCH: usize = 64;
/// What the loop waits for when the server has nothing due.
const IDLE: Duration = Duration::from_secs(1);
/// Longer datagrams are none of the game's; what is cut off makes them unreadable.
const MAX_DATAGRAM: usize = 2_048;
/// What the kernel may keep for the server while it does something else: some thousand datagrams.
const KERNEL_BUFFER: usize = 4 << 20;

/// Where the server's datagrams come from and go to.
pub trait Socket {
    /// The next datagram, into `buf`: its length, and from where it came.
    ///
    /// # Errors
    /// As the system has them.
    fn poll_recv_from(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<(usize, SocketAddr)>>;

    /// Sends a datagram. What the system does not take is lost, as datagrams are.
    fn send_to(&mut self, datagram: &[u8], to: SocketAddr);
}

impl Socket for UdpSocket {
    fn poll_recv_from(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<(usize, SocketAddr)>> {
        let mut buf = ReadBuf::new(buf);
        UdpSocket::poll_recv_from(self, cx, &mut buf).map_ok(|from| (buf.filled().len(), from))
    }

    fn send_to(&mut self, datagram: &[u8], to: SocketAddr) {
        let _ = self.try_send_to(datagram, to);
    }
}

impl Socket for MemListener {
    fn poll_recv_from(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<(usize, SocketAddr)>> {
        MemListener::poll_recv_from(self, cx, buf).map(|(received, from)| Ok((received.len, from)))
    }

    fn send_to(&mut self, datagram: &[u8], to: SocketAddr) {
        MemListener::send_to(self, datagram, to);
    }
}

/// The server at its socket.
///
/// ```text
/// wait for a datagram or a deadline -> take what has come -> do what is due -> send what came of it
/// ```
pub struct Service<S> {
    socket: S,
    server: Server,
    options: Options,
    began: Instant,
    buffer: Box<[u8]>,
    packet: Vec<u8>,
}

impl<S: Socket> Service<S> {
    /// A server that begins now.
    pub fn new(socket: S, options: Options) -> Service<S> {
        let began = Instant::now();
        Service {
            socket,
            server: Server::new(options.clone(), random_key(), began),
            options,
            began,
            buffer: [0; MAX_DATAGRAM].into(),
            packet: Vec::new(),
        }
    }

    /// What it has done so far.
    pub fn counts(&self) -> Counts {
        self.server.counts()
    }

    /// Plays until `stop`, and sends home who is there then.
    ///
    /// # Errors
    /// When the socket fails.
    pub async fn run(&mut self, stop: impl Future<Output = ()>) -> io::Result<()> {
        let mut stop = pin!(stop);
        loop {
            tokio::select! {
                biased;
                () = &mut stop => break,
                done = self.take_turn() => done?,
            }
        }
        self.server.close(Instant::now());
        self.flush();
        Ok(())
    }

    /// Waits for something to do, and does it.
    async fn take_turn(&mut self) -> io::Result<()> {
        let due = self.server.deadline().unwrap_or_else(|| Instant::now() + IDLE);
        let mut next = tokio::select! {
            biased;
            next = self.receive() => Some(next),
            () = sleep_until(due) => None,
        };
        if let Some(until) = self.options.stall.and_then(|stall| stall.until(self.began, Instant::now())) {
            sleep_until(until).await;
        }
        let mut taken = 0;
        while let Some(datagram) = next.take() {
            match datagram {
                Ok((len, from)) => {
                    let datagram = self.buffer.get(..len).unwrap_or_default();
                    self.server.input(Instant::now(), from, datagram);
                }
                // A client is gone, and its machine says so: its connection will time out.
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => {}
                Err(error) => return Err(error),
            }
            taken += 1;
            if taken < BATCH {
                next = self.receive_now().await;
            }
        }
        self.server.timeout(Instant::now());
        self.flush();
        Ok(())
    }

    async fn receive(&mut self) -> io::Result<(usize, SocketAddr)> {
        poll_fn(|cx| self.socket.poll_recv_from(cx, &mut self.buffer)).await
    }

    /// The next datagram, if it is there already.
    async fn receive_now(&mut self) -> Option<io::Result<(usize, SocketAddr)>> {
        poll_fn(|cx| match self.socket.poll_recv_from(cx, &mut self.buffer) {
            Poll::Ready(next) => Poll::Ready(Some(next)),
            Poll::Pending => Poll::Ready(None),
        })
        .await
    }

    fn flush(&mut self) {
        while let Some(to) = self.server.poll_transmit(Instant::now(), &mut self.packet) {
            self.socket.send_to(&self.packet, to);
            self.packet.clear();
        }
    }
}

/// A key that nobody can guess: the standard library seeds its hash tables from the system's randomness.
fn random_key() -> [u64; 2] {
    [(); 2].map(|()| RandomState::new().build_hasher().finish())
}

/// The command `arena server`: plays until Ctrl-C, or until standard input ends, and then prints its counts.
///
/// The first line that it prints ends with the address at which it listens.
///
/// # Errors
/// When it cannot listen there, or the socket fails.
pub fn command(options: Options) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let counts = runtime.block_on(async {
        let socket = bind(options.listen).await?;
        println!("the arena listens on {}", socket.local_addr()?);
        let until_eof = options.until_eof;
        let stop = async {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                () = input_ends(until_eof) => {}
            }
        };
        let mut service = Service::new(socket, options);
        service.run(stop).await?;
        io::Result::Ok(service.counts())
    })?;
    print!("{counts}");
    Ok(())
}

/// Listens with as much memory of the kernel's as it gives.
async fn bind(addr: SocketAddr) -> io::Result<UdpSocket> {
    let cannot = |error: io::Error| io::Error::new(error.kind(), format!("cannot listen on {addr}: {error}"));
    let socket = UdpSocket::bind(addr).await.map_err(cannot)?;
    let kernel = socket2::SockRef::from(&socket);
    // The kernel gives less where less is allowed, and that is fine.
    kernel.set_recv_buffer_size(KERNEL_BUFFER)?;
    kernel.set_send_buffer_size(KERNEL_BUFFER)?;
    Ok(socket)
}

/// Resolves when standard input has ended; never if that is not asked for.
async fn input_ends(asked: bool) {
    let (sender, ended) = oneshot::channel::<()>();
    // The thread stays behind when Ctrl-C comes first; it ends with the process.
    let reader = asked.then(|| {
        thread::spawn(move || {
            let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
            let _ = sender.send(());
        })
    });
    if reader.is_none() {
        std::future::pending::<()>().await;
    }
    let _ = ended.await;
}
