//! Datagrams and streams in memory, on one thread: bots and server in one process, also in virtual time.
//!
//! A target is written `mem://NAME`, or `mem:NAME` for short. Names belong to a thread, as shards do: each shard of a simulation has its own server of that name.

mod streams;

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};

use tokio::time::Instant;

use crate::link::{Link, MAX_DATAGRAM, Received};

pub(crate) use streams::{MemStreams, connect_stream, has_streams, listen_streams};

/// Datagrams that wait for a listener, at most. What comes then is lost and counted, as in a kernel's buffer.
const LISTENER_QUEUE: usize = 16_384;
/// Datagrams that wait for a bot, at most.
const LINK_QUEUE: usize = 256;

/// What waits at one end, with what it needs to be woken.
#[derive(Debug)]
struct Queue<T> {
    waiting: VecDeque<(Instant, T, Box<[u8]>)>,
    waker: Option<Waker>,
    bound: usize,
    dropped: u64,
}

impl<T> Queue<T> {
    fn new(bound: usize) -> Rc<RefCell<Queue<T>>> {
        Rc::new(RefCell::new(Queue { waiting: VecDeque::new(), waker: None, bound, dropped: 0 }))
    }

    fn push(&mut self, from: T, bytes: &[u8]) {
        if self.waiting.len() >= self.bound {
            self.dropped += 1;
            return;
        }
        self.waiting.push_back((Instant::now(), from, bytes.into()));
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<(Received, T)> {
        let Some((at, from, bytes)) = self.waiting.pop_front() else {
            self.waiting = VecDeque::new();
            if !self.waker.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
                self.waker = Some(cx.waker().clone());
            }
            return Poll::Pending;
        };
        // As with a socket, what is longer than the buffer is cut.
        let len = bytes.len().min(buf.len());
        buf[..len].copy_from_slice(&bytes[..len]);
        Poll::Ready((Received { len, at: Some(at) }, from))
    }
}

/// A listener, as its links see it.
#[derive(Debug)]
struct Hub {
    queue: Rc<RefCell<Queue<SocketAddr>>>,
    links: RefCell<HashMap<SocketAddr, Weak<RefCell<Queue<()>>>>>,
    next: RefCell<u64>,
}

thread_local! {
    static HUBS: RefCell<HashMap<String, Weak<Hub>>> = RefCell::new(HashMap::new());
}

/// The server's end: datagrams of many links.
#[derive(Debug)]
pub struct MemListener {
    hub: Rc<Hub>,
    name: String,
}

/// The name in a target of the form `mem://NAME` or `mem:NAME`; `None` for all other targets.
pub(crate) fn name_in(target: &str) -> Option<&str> {
    let name = target.strip_prefix("mem:")?;
    Some(name.strip_prefix("//").unwrap_or(name))
}

/// Listens under a name on this thread; `arena` and `mem://arena` are the same.
///
/// # Errors
/// `AddrInUse` when there is a listener of this name already.
pub fn listen(name: &str) -> io::Result<MemListener> {
    let name = name_in(name).unwrap_or(name);
    HUBS.with_borrow_mut(|hubs| {
        if hubs.get(name).is_some_and(|hub| hub.strong_count() > 0) {
            return Err(io::Error::new(io::ErrorKind::AddrInUse, format!("mem://{name} is taken on this thread")));
        }
        let queue = Queue::new(LISTENER_QUEUE);
        let hub = Rc::new(Hub { queue, links: RefCell::default(), next: RefCell::new(1) });
        hubs.insert(name.to_owned(), Rc::downgrade(&hub));
        Ok(MemListener { hub, name: name.to_owned() })
    })
}

impl MemListener {
    /// The next datagram and where it came from.
    pub fn poll_recv_from(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<(Received, SocketAddr)> {
        self.hub.queue.borrow_mut().poll(cx, buf)
    }

    /// Sends a datagram to a link. Nobody may be there any more: then it is lost.
    pub fn send_to(&mut self, datagram: &[u8], to: SocketAddr) {
        let link = self.hub.links.borrow().get(&to).and_then(Weak::upgrade);
        if let Some(link) = link {
            link.borrow_mut().push((), datagram);
        }
    }

    /// Datagrams lost because too many were waiting.
    pub fn dropped(&self) -> u64 {
        self.hub.queue.borrow().dropped
    }
}

impl Drop for MemListener {
    fn drop(&mut self) {
        // A thread that ends may have lost the table before the listener.
        let _ = HUBS.try_with(|hubs| hubs.borrow_mut().remove(&self.name));
    }
}

/// A bot's end.
#[derive(Debug)]
pub struct Mem {
    hub: Weak<Hub>,
    queue: Rc<RefCell<Queue<()>>>,
    addr: SocketAddr,
}

impl Mem {
    /// Connects to the listener of this name on this thread; `arena` and `mem://arena` are the same.
    ///
    /// # Errors
    /// `ConnectionRefused` when there is none.
    pub fn connect(name: &str) -> io::Result<Mem> {
        let name = name_in(name).unwrap_or(name);
        let hub = HUBS.with_borrow(|hubs| hubs.get(name).and_then(Weak::upgrade));
        Ok(Mem::of(&hub.ok_or(io::ErrorKind::ConnectionRefused)?, None))
    }

    /// A new end, at this address or at one that is made up.
    fn of(hub: &Rc<Hub>, from: Option<IpAddr>) -> Mem {
        let number = hub.next.replace_with(|next| *next + 1);
        // Made up, and unique for the listener: fd00::/8 is for local use (RFC 4193).
        let made_up = || (IpAddr::V6(Ipv6Addr::from_bits(0xFD00 << 112 | u128::from(number))), 1);
        // Of one address each end has a port of its own, as long as there are ports.
        let addr = SocketAddr::from(from.map_or_else(made_up, |from| (from, number as u16)));
        let queue = Queue::new(LINK_QUEUE);
        hub.links.borrow_mut().insert(addr, Rc::downgrade(&queue));
        Mem { hub: Rc::downgrade(hub), queue, addr }
    }

    /// Datagrams lost because too many were waiting for the bot.
    pub fn dropped(&self) -> u64 {
        self.queue.borrow().dropped
    }
}

impl Link for Mem {
    fn name(&self) -> &'static str {
        "mem"
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<Received>> {
        self.queue.borrow_mut().poll(cx, buf).map(|(received, ())| Ok(received))
    }

    fn try_send(&mut self, message: &[u8]) -> io::Result<()> {
        if message.len() > MAX_DATAGRAM {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let hub = self.hub.upgrade().ok_or(io::ErrorKind::ConnectionRefused)?;
        hub.queue.borrow_mut().push(self.addr, message);
        Ok(())
    }

    fn rebind(&mut self, from: Option<IpAddr>) -> io::Result<()> {
        let hub = self.hub.upgrade().ok_or(io::ErrorKind::ConnectionRefused)?;
        *self = Mem::of(&hub, from);
        Ok(())
    }
}

impl Drop for Mem {
    fn drop(&mut self) {
        if let Some(hub) = self.hub.upgrade() {
            hub.links.borrow_mut().remove(&self.addr);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn datagrams_go_both_ways_and_bounds_hold() {
        let mut server = listen("arena").unwrap();
        assert_eq!(listen("arena").unwrap_err().kind(), io::ErrorKind::AddrInUse);
        assert_eq!(Mem::connect("other").unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        let mut link = Mem::connect("arena").unwrap();
        let mut buf = [0; 10];
        link.try_send(b"ping").unwrap();
        let (received, from) = poll_fn(|cx| server.poll_recv_from(cx, &mut buf)).await;
        assert_eq!(&buf[..received.len], b"ping");
        server.send_to(b"a long pong", from);
        let received = poll_fn(|cx| link.poll_recv(cx, &mut buf)).await.unwrap();
        assert_eq!((&buf[..received.len], received.at), (b"a long pon".as_slice(), Some(Instant::now())));
        for _ in 0..LINK_QUEUE + 5 {
            server.send_to(b"x", from);
        }
        assert_eq!(link.dropped(), 5);
        drop(link);
        server.send_to(b"gone", from);
        assert!(server.hub.links.borrow().is_empty());
        let mut link = Mem::connect("arena").unwrap();
        drop(server);
        assert_eq!(link.try_send(b"x").unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        listen("mem://arena").unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_address_is_another_one_to_the_same_listener() {
        let mut server = listen("arena").unwrap();
        let (mut link, mut buf, mut seen) = (Mem::connect("arena").unwrap(), [0; 10], Vec::new());
        for from in [None, None, Some("10.0.0.1".parse().unwrap())] {
            link.try_send(b"ping").unwrap();
            seen.push(poll_fn(|cx| server.poll_recv_from(cx, &mut buf)).await.1);
            link.rebind(from).unwrap();
            seen.iter().for_each(|gone| server.send_to(b"too late", *gone));
        }
        link.try_send(b"ping").unwrap();
        let (_, from) = poll_fn(|cx| server.poll_recv_from(cx, &mut buf)).await;
        assert!(from.ip().to_string() == "10.0.0.1" && !seen.contains(&from) && seen[1] != seen[0]);
        server.send_to(b"pong", from);
        let received = poll_fn(|cx| link.poll_recv(cx, &mut buf)).await.unwrap();
        assert_eq!(&buf[..received.len], b"pong");
        assert_eq!(server.hub.links.borrow().len(), 1);
    }

    #[test]
    fn names_come_with_and_without_their_scheme() {
        let names = ["mem://arena", "mem:arena", "mem:", "arena", "udp://arena"].map(name_in);
        assert_eq!(names, [Some("arena"), Some("arena"), Some(""), None, None]);
        let _server = listen("mem://arena").unwrap();
        for name in ["arena", "mem:arena", "mem://arena"] {
            assert!(Mem::connect(name).is_ok());
            assert_eq!(listen(name).unwrap_err().to_string(), "mem://arena is taken on this thread");
        }
    }
}
