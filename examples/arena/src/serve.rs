//! The server's loop, over UDP or in memory, and its command.

use std::future::{Future, poll_fn};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::task::Poll;
use std::thread;
use std::time::Duration;

use loadkit::transport::{Endpoint, Received};
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

/// The server at its endpoint: a UDP socket, or memory.
///
/// ```text
/// wait for a datagram or a deadline -> take what has come -> do what is due -> send what came of it
/// ```
pub struct Service {
    endpoint: Endpoint,
    server: Server,
    options: Options,
    began: Instant,
    buffer: Box<[u8]>,
    packet: Vec<u8>,
}

impl Service {
    /// A server that begins now.
    pub fn new(endpoint: Endpoint, options: Options) -> Service {
        let began = Instant::now();
        Service {
            endpoint,
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
    /// When the endpoint fails.
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
            let (received, from) = datagram?;
            let datagram = self.buffer.get(..received.len).unwrap_or_default();
            let now = Instant::now();
            self.server.input(now, received.at.unwrap_or(now), from, datagram);
            taken += 1;
            if taken < BATCH {
                next = self.receive_now().await;
            }
        }
        self.server.timeout(Instant::now());
        self.flush();
        Ok(())
    }

    async fn receive(&mut self) -> io::Result<(Received, SocketAddr)> {
        poll_fn(|cx| self.endpoint.poll_recv_from(cx, &mut self.buffer)).await
    }

    /// The next datagram, if it is there already.
    async fn receive_now(&mut self) -> Option<io::Result<(Received, SocketAddr)>> {
        poll_fn(|cx| match self.endpoint.poll_recv_from(cx, &mut self.buffer) {
            Poll::Ready(next) => Poll::Ready(Some(next)),
            Poll::Pending => Poll::Ready(None),
        })
        .await
    }

    fn flush(&mut self) {
        let now = Instant::now();
        while let Some(to) = self.server.poll_transmit(now, &mut self.packet) {
            self.endpoint.send_to(&self.packet, to);
            self.packet.clear();
        }
        // What the system does not take is lost, as datagrams are.
        self.endpoint.flush();
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
        let addr = options.listen;
        let cannot = |error: io::Error| io::Error::new(error.kind(), format!("cannot listen on {addr}: {error}"));
        let endpoint = Endpoint::bind_udp(addr).map_err(cannot)?;
        println!("the arena listens on {}", endpoint.local_addr()?);
        let until_eof = options.until_eof;
        let stop = async {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                () = input_ends(until_eof) => {}
            }
        };
        let mut service = Service::new(endpoint, options);
        service.run(stop).await?;
        io::Result::Ok(service.counts())
    })?;
    print!("{counts}");
    Ok(())
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
