//! The server's loop over a UDP socket, and its command.

use std::future::Future;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::pin::pin;
use std::thread;
use std::time::Duration;

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

/// Plays on this socket until `stop`; what it has done.
///
/// # Errors
/// When the socket fails.
pub async fn serve(socket: UdpSocket, options: Options, stop: impl Future<Output = ()>) -> io::Result<Counts> {
    let began = Instant::now();
    let stall = options.stall;
    let mut server = Server::new(options, random_key(), began);
    let mut stop = pin!(stop);
    let mut buffer = [0; 2_048];
    loop {
        let due = server.deadline().unwrap_or_else(|| Instant::now() + IDLE);
        tokio::select! {
            biased;
            () = &mut stop => break,
            ready = socket.readable() => ready?,
            () = sleep_until(due) => {}
        }
        if let Some(until) = stall.and_then(|stall| stall.until(began, Instant::now())) {
            sleep_until(until).await;
        }
        for _ in 0..BATCH {
            match socket.try_recv_from(&mut buffer) {
                Ok((len, from)) => server.input(Instant::now(), from, buffer.get(..len).unwrap_or_default()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                // A client is gone, and its machine says so: its connection will time out.
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => {}
                Err(error) => return Err(error),
            }
        }
        server.timeout(Instant::now());
        flush(&mut server, &socket).await;
    }
    server.close(Instant::now());
    flush(&mut server, &socket).await;
    Ok(server.counts())
}

/// Sends what there is to send. What the system does not take is lost, as datagrams are.
async fn flush(server: &mut Server, socket: &UdpSocket) {
    let mut packet = Vec::new();
    while let Some(to) = server.poll_transmit(Instant::now(), &mut packet) {
        let _ = socket.send_to(&packet, to).await;
        packet.clear();
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
        let socket = UdpSocket::bind(options.listen).await.map_err(|error| cannot_listen(options.listen, &error))?;
        println!("the arena listens on {}", socket.local_addr()?);
        let until_eof = options.until_eof;
        let stop = async {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                () = input_ends(until_eof) => {}
            }
        };
        serve(socket, options, stop).await
    })?;
    print!("{counts}");
    Ok(())
}

fn cannot_listen(addr: SocketAddr, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot listen on {addr}: {error}"))
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
