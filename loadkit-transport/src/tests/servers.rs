//! Servers of other makers, on a thread of their own each, until the process ends.

use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use tokio::net::TcpStream;

/// What happens at a server, one after the other: whoever takes from it waits for the server.
pub(super) struct Log<T>(Receiver<T>);

impl<T> Log<T> {
    pub(super) fn new() -> (SyncSender<T>, Log<T>) {
        let (told, log) = sync_channel(1_000);
        (told, Log(log))
    }

    pub(super) fn next(&self) -> T {
        self.0.recv_timeout(Duration::from_secs(20)).unwrap()
    }
}

/// Serves each connection by itself.
pub(super) fn serve<F: Future<Output = ()> + 'static>(answer: impl Fn(TcpStream) -> F + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let addr = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        tokio::task::LocalSet::new().block_on(&runtime, async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                tokio::task::spawn_local(answer(stream));
            }
        });
    });
    addr
}
