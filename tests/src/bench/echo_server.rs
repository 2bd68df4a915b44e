//! The echo server, in a process of its own so that its CPU time is not counted as ours.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::str::FromStr;
use std::time::Duration;

use loadkit::core::Target;
use loadkit::transport::{Endpoint, Event, enet, rudp};
use tokio::time::Instant;

use super::set_up;
use crate::Served;

/// The argument with which a benchmark starts itself as the server; the transport follows.
const ARGUMENT: &str = "echo-server";
/// Where it listens.
const ANY: &str = "127.0.0.1:0";
/// Peers at once, at most.
const PEERS: usize = 200_000;

/// What the server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// Raw datagrams.
    Udp,
    /// Reliable UDP.
    Rudp,
    /// The same for a crowd that mostly waits: see [`HEARTBEATS`].
    Crowd,
    /// ENet.
    Enet,
    /// A stream, or QUIC.
    Stream(Served),
}

/// A heartbeat every ten seconds, and half a minute until a silent peer is given up.
pub const HEARTBEATS: rudp::Config =
    rudp::Config { keep_alive: Duration::from_secs(10), time_out: Duration::from_secs(30), ..rudp::Config::DEFAULT };

impl Over {
    const DATAGRAMS: [Over; 4] = [Over::Udp, Over::Rudp, Over::Crowd, Over::Enet];

    fn name(self) -> &'static str {
        match self {
            Over::Udp => "udp",
            Over::Rudp => "rudp",
            Over::Crowd => "crowd",
            Over::Enet => "enet",
            Over::Stream(served) => served.scheme(),
        }
    }
}

impl FromStr for Over {
    type Err = io::Error;

    fn from_str(name: &str) -> io::Result<Over> {
        let mut all = Over::DATAGRAMS.into_iter().chain(Served::ALL.map(Over::Stream));
        all.find(|over| over.name() == name).ok_or_else(|| io::Error::other(format!("no echo server speaks {name:?}")))
    }
}

/// The echo server, in a process of its own so that its CPU time is not counted as ours.
pub struct EchoServer {
    child: Child,
    addr: SocketAddr,
    over: Over,
}

impl EchoServer {
    /// Starts it. It ends with this value, and with this process.
    pub fn start(over: Over) -> EchoServer {
        set_up("the echo server", EchoServer::spawn(over))
    }

    /// It as a target.
    pub fn target(&self) -> Target {
        match self.over {
            Over::Stream(served) => served.target(self.addr).unverified(),
            _ => Target::new(self.addr.to_string(), vec![self.addr]),
        }
    }

    /// Where it is.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    fn spawn(over: Over) -> io::Result<EchoServer> {
        let mut child = Command::new(std::env::current_exe()?)
            .args([ARGUMENT, over.name()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        let stdout = child.stdout.take().ok_or_else(|| io::Error::other("no output of the echo server"))?;
        BufReader::new(stdout).read_line(&mut line)?;
        let addr = line.trim().parse().map_err(io::Error::other)?;
        Ok(EchoServer { child, addr, over })
    }

    /// The server's own body, if the arguments ask for it: it ends when its standard input does, that is with the process
    /// that started it.
    pub(super) fn serve(args: &[String]) -> Option<io::Result<()>> {
        let [argument, over] = args else { return None };
        (argument == ARGUMENT).then(|| match over.parse()? {
            Over::Udp => udp(),
            Over::Rudp => on_one_thread(rudp(rudp::Config::DEFAULT)),
            Over::Crowd => on_one_thread(rudp(HEARTBEATS)),
            Over::Enet => on_one_thread(enet()),
            Over::Stream(served) => {
                announce(served.serve())?;
                loop {
                    std::thread::park();
                }
            }
        })
    }
}

impl Drop for EchoServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn any() -> io::Result<SocketAddr> {
    ANY.parse().map_err(io::Error::other)
}

/// Tells where the server is, and sees to its end.
fn announce(addr: SocketAddr) -> io::Result<()> {
    println!("{addr}");
    io::stdout().flush()?;
    std::thread::spawn(|| {
        let _ = io::stdin().read_line(&mut String::new());
        std::process::exit(0);
    });
    Ok(())
}

fn on_one_thread(body: impl Future<Output = io::Result<()>>) -> io::Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build_local(Default::default())?.block_on(body)
}

async fn rudp(config: rudp::Config) -> io::Result<()> {
    let server = rudp::Server::new(config, PEERS, [1, 2], Instant::now());
    let mut host = rudp::Host::new(server, Endpoint::bind_udp(any()?)?);
    announce(host.local_addr()?)?;
    loop {
        if let (peer, Event::Message { channel, payload }) = host.next().await? {
            let _ = host.send(peer, channel, &payload);
        }
    }
}

async fn enet() -> io::Result<()> {
    let server = enet::Server::new(enet::Config::default(), PEERS, [1, 2], Instant::now());
    let mut host = enet::Host::new(server, Endpoint::bind_udp(any()?)?);
    announce(host.local_addr()?)?;
    loop {
        if let (peer, Event::Message { channel, payload }) = host.next().await? {
            let _ = host.send(peer, channel, &payload);
        }
    }
}

/// As little as can be: the kernel's work and no other.
fn udp() -> io::Result<()> {
    let socket = UdpSocket::bind(ANY)?;
    announce(socket.local_addr()?)?;
    let mut buffer = [0; 2_048];
    loop {
        if let Ok((len, from)) = socket.recv_from(&mut buffer) {
            let _ = socket.send_to(&buffer[..len], from);
        }
    }
}
