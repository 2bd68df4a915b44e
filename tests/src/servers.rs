//! Servers on loopback, on threads that last as long as the test: those that answer, and those that do not.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use loadkit::transport::{Endpoint, Event, rudp};
use tokio::time::Instant;

/// What a server on the way of a test is asked to be.
pub type Peer = fn(TcpStream);

/// A frame as the kit's TCP link has it: four bytes of length, and then so many.
pub fn frame(message: &[u8]) -> Vec<u8> {
    let mut frame = u32::try_from(message.len()).unwrap().to_be_bytes().to_vec();
    frame.extend(message);
    frame
}

/// A TCP server that does `serve` with each connection, on a thread of its own.
pub fn tcp_server(serve: Peer) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || serve(stream));
        }
    });
    addr
}

/// A UDP socket that counts what comes, and answers it or not.
#[derive(Debug)]
pub struct Datagrams {
    /// Where it listens.
    pub addr: SocketAddr,
    count: Arc<AtomicU64>,
}

impl Datagrams {
    /// Answers each datagram with what `answer` makes of it, if it makes anything.
    pub fn serve(answer: impl Fn(&[u8]) -> Option<Vec<u8>> + Send + 'static) -> Datagrams {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let (addr, count) = (socket.local_addr().unwrap(), Arc::new(AtomicU64::new(0)));
        let counted = count.clone();
        std::thread::spawn(move || {
            let mut buf = [0; 2_048];
            while let Ok((len, from)) = socket.recv_from(&mut buf) {
                counted.fetch_add(1, Ordering::SeqCst);
                if let Some(answer) = answer(&buf[..len]) {
                    // A client that has gone needs none.
                    let _ = socket.send_to(&answer, from);
                }
            }
        });
        Datagrams { addr, count }
    }

    /// Datagrams so far.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::SeqCst)
    }
}

/// What a server over reliable UDP has seen.
#[derive(Clone, Debug, Default)]
pub struct Seen(Arc<[AtomicU64; 3]>);

impl Seen {
    /// Clients that came.
    pub fn joined(&self) -> u64 {
        self.0[0].load(Ordering::SeqCst)
    }

    /// Clients that said goodbye.
    pub fn left(&self) -> u64 {
        self.0[1].load(Ordering::SeqCst)
    }

    /// Messages answered.
    pub fn messages(&self) -> u64 {
        self.0[2].load(Ordering::SeqCst)
    }
}

/// An echo server over reliable UDP. `heard` is told the number of each message as it comes.
pub fn rudp_server(heard: impl Fn(u64) + Send + 'static) -> (SocketAddr, Seen) {
    let (tell, told) = sync_channel(1);
    let seen = Seen::default();
    let seeing = seen.clone();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let server = rudp::Server::new(rudp::Config::DEFAULT, 10_000, [1, 2], Instant::now());
            let mut host = rudp::Host::new(server, Endpoint::bind_udp("127.0.0.1:0".parse().unwrap()).unwrap());
            tell.send(host.local_addr().unwrap()).unwrap();
            while let Ok((peer, event)) = host.next().await {
                match event {
                    Event::Connected => drop(seeing.0[0].fetch_add(1, Ordering::SeqCst)),
                    Event::Closed(_) => drop(seeing.0[1].fetch_add(1, Ordering::SeqCst)),
                    Event::Message { channel, payload } => {
                        heard(seeing.0[2].fetch_add(1, Ordering::SeqCst) + 1);
                        let _ = host.send(peer, channel, &payload);
                    }
                    _ => {}
                }
            }
        });
    });
    (told.recv_timeout(Duration::from_secs(10)).unwrap(), seen)
}

/// Answers every frame with itself.
pub fn echo_frames(mut stream: TcpStream) {
    let mut len = [0; 4];
    while stream.read_exact(&mut len).is_ok() {
        let mut message = vec![0; u32::from_be_bytes(len) as usize];
        if stream.read_exact(&mut message).is_err() || stream.write_all(&frame(&message)).is_err() {
            return;
        }
    }
}
