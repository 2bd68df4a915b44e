//! Many bots on one UDP socket, told apart by the number that their protocol writes into each datagram.
//!
//! One task a socket reads by the batch and hands each datagram to its bot; what the bots send in a turn of their
//! shard leaves in one flush, when all of them have had their turn. A bot does not see that it shares.

use std::any::TypeId;
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};

use rustc_hash::FxHashMap;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::time::Instant;

use crate::batch::Batch;
use crate::link::{Link, Losses, Received};
use crate::pool::Pool;
use crate::udp;

/// Datagrams that wait for a bot, at most. What comes then is lost and counted, as in a kernel's buffer.
const INBOX: usize = 256;
/// Batches read before the bots have their turn, at most.
const READS_PER_TURN: usize = 8;
/// Buffers of this size and below are used again.
const KEPT_BYTES: usize = 2_048;

thread_local! {
    /// The sockets of this thread's shard.
    static SOCKETS: RefCell<HashMap<Place, Weak<Hub>>> = RefCell::new(HashMap::new());
    static BUFFERS: Pool<Vec<u8>> = const { Pool::new() };
}

/// How a datagram says for whom it is: its connection's number, or `None` when it has none.
pub(crate) type RouteOf = Rc<dyn Fn(&[u8]) -> Option<u32>>;

/// Which socket it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    pub(crate) to: SocketAddr,
    /// Which of the shard's sockets to that address.
    pub(crate) number: u32,
    /// It speaks from many addresses, and so is bound to all.
    pub(crate) is_sourced: bool,
    /// Only connections that are told apart in the same way share a socket.
    pub(crate) way: (TypeId, u64),
}

/// A socket and its bots.
struct Hub {
    to: SocketAddr,
    is_connected: bool,
    batch: RefCell<Batch>,
    bots: RefCell<FxHashMap<u32, Rc<Inbox>>>,
    route_of: RouteOf,
    /// Of the task that reads and flushes.
    waker: Cell<Option<Waker>>,
    /// Datagrams for nobody: late, forged, or garbage.
    strays: Cell<u64>,
    refused: Cell<u64>,
}

/// What waits for one bot. Without a buffer while nothing does.
#[derive(Default)]
struct Inbox {
    waiting: RefCell<VecDeque<(Option<Instant>, Vec<u8>)>>,
    fault: Cell<Option<io::ErrorKind>>,
    waker: RefCell<Option<Waker>>,
    dropped: Cell<u64>,
}

impl Inbox {
    fn put(&self, at: Option<Instant>, bytes: &[u8]) {
        let mut waiting = self.waiting.borrow_mut();
        if waiting.len() >= INBOX {
            self.dropped.set(self.dropped.get() + 1);
            return;
        }
        let mut buffer = BUFFERS.with(Pool::take);
        buffer.extend_from_slice(bytes);
        waiting.push_back((at, buffer));
        self.wake();
    }

    fn wake(&self) {
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }
}

impl Hub {
    /// The thread's socket of this place, made when the first bot asks for it.
    fn at(place: Place, route_of: impl FnOnce() -> RouteOf) -> io::Result<Rc<Hub>> {
        if let Some(hub) = SOCKETS.with_borrow(|sockets| sockets.get(&place).and_then(Weak::upgrade)) {
            return Ok(hub);
        }
        let socket = Socket::new(Domain::for_address(place.to), Type::DGRAM, Some(Protocol::UDP))?;
        if place.is_sourced {
            let any: IpAddr =
                if place.to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
            socket.bind(&SocketAddr::new(any, 0).into())?;
        } else {
            socket.connect(&place.to.into())?;
        }
        let hub = Rc::new(Hub {
            to: place.to,
            is_connected: !place.is_sourced,
            batch: Batch::new(socket, !place.is_sourced)?.into(),
            bots: RefCell::default(),
            route_of: route_of(),
            waker: Cell::default(),
            strays: Cell::new(0),
            refused: Cell::new(0),
        });
        SOCKETS.with_borrow_mut(|sockets| {
            sockets.retain(|_, hub| hub.strong_count() > 0);
            sockets.insert(place, Rc::downgrade(&hub));
        });
        tokio::task::spawn_local(serve(Rc::downgrade(&hub)));
        Ok(hub)
    }

    /// Takes in what has arrived.
    fn read(&self, cx: &mut Context<'_>) {
        let mut batch = self.batch.borrow_mut();
        for _ in 0..READS_PER_TURN {
            match batch.poll_fill(cx) {
                Poll::Pending => return,
                Poll::Ready(Err(error)) => self.fail(error.kind()),
                Poll::Ready(Ok(())) => {
                    let bots = self.bots.borrow();
                    while let Some(datagram) = batch.next() {
                        // A connected socket hears nobody else.
                        let is_theirs = self.is_connected || datagram.from == self.to;
                        let number = is_theirs.then(|| (self.route_of)(datagram.bytes)).flatten();
                        match number.and_then(|number| bots.get(&number)) {
                            Some(inbox) => inbox.put(datagram.at, datagram.bytes),
                            None => self.strays.set(self.strays.get() + 1),
                        }
                    }
                }
            }
        }
        cx.waker().wake_by_ref();
    }

    /// All bots of a socket talk to one address: what the system says of it holds for each.
    fn fail(&self, error: io::ErrorKind) {
        for inbox in self.bots.borrow().values() {
            inbox.fault.set(Some(error));
            inbox.wake();
        }
    }

    fn flush(&self) {
        let mut batch = self.batch.borrow_mut();
        batch.flush();
        self.refused.set(self.refused.get() + batch.take_refused());
    }
}

impl Drop for Hub {
    /// The last goodbyes go out, and the task ends.
    fn drop(&mut self) {
        self.batch.get_mut().flush();
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// Reads and flushes for as long as there are bots. Woken by the first datagram that is queued in a turn of the
/// shard, it comes after all tasks that were ready then, and so flushes what all of them have queued.
async fn serve(hub: Weak<Hub>) {
    let faults = || hub.upgrade().map(|hub| hub.batch.borrow().faults());
    let mut fault = pin!(faults());
    std::future::poll_fn(|cx| {
        let Some(hub) = hub.upgrade() else { return Poll::Ready(()) };
        hub.waker.set(Some(cx.waker().clone()));
        while let Some(Poll::Ready(error)) = fault.as_mut().as_pin_mut().map(|fault| fault.poll(cx)) {
            hub.fail(error);
            // Of a runtime that shuts down nothing more is to be heard.
            fault.set(if error == io::ErrorKind::Other { None } else { faults() });
        }
        hub.read(cx);
        hub.flush();
        Poll::Pending
    })
    .await;
}

/// One bot's end of a shared socket.
pub(crate) struct Shared {
    hub: Rc<Hub>,
    inbox: Rc<Inbox>,
    number: u32,
    to: SocketAddr,
    from: Option<IpAddr>,
}

impl Shared {
    /// A bot's end, for datagrams with its number; `begin` gives it one, and another if that is taken.
    ///
    /// # Errors
    /// As the system has them; `AddrInUse` when no number is free.
    pub(crate) fn connect<T>(
        place: Place,
        from: Option<IpAddr>,
        route_of: impl FnOnce() -> RouteOf,
        mut begin: impl FnMut() -> (T, u32),
    ) -> io::Result<(Shared, T)> {
        if let Some(from) = from {
            udp::check_family(from, place.to)?;
        }
        let hub = Hub::at(place, route_of)?;
        for _ in 0..TRIES {
            let (with, number) = begin();
            let inbox = Rc::new(Inbox::default());
            let mut bots = hub.bots.borrow_mut();
            if let std::collections::hash_map::Entry::Vacant(vacant) = bots.entry(number) {
                vacant.insert(inbox.clone());
                drop(bots);
                return Ok((Shared { hub, inbox, number, to: place.to, from }, with));
            }
        }
        Err(io::Error::new(io::ErrorKind::AddrInUse, "no connection number is free on the shared socket"))
    }
}

/// Two of 100,000 bots on a socket take the same of 2^32 numbers once in 40,000 connects; several in a row never do.
const TRIES: u32 = 64;

impl Link for Shared {
    fn name(&self) -> &'static str {
        "udp"
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<Received>> {
        let mut waiting = self.inbox.waiting.borrow_mut();
        if let Some((at, mut bytes)) = waiting.pop_front() {
            let len = bytes.len().min(buf.len());
            buf[..len].copy_from_slice(&bytes[..len]);
            if bytes.capacity() <= KEPT_BYTES {
                bytes.clear();
                BUFFERS.with(|pool| pool.leave(bytes));
            }
            return Poll::Ready(Ok(Received { len, at }));
        }
        *waiting = VecDeque::new();
        if let Some(fault) = self.inbox.fault.take() {
            return Poll::Ready(Err(fault.into()));
        }
        let mut waker = self.inbox.waker.borrow_mut();
        match &mut *waker {
            Some(known) => known.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    fn try_send(&mut self, message: &[u8]) -> io::Result<()> {
        let mut batch = self.hub.batch.borrow_mut();
        let is_first = !batch.is_waiting();
        batch.push(self.to, self.from, message);
        if is_first && let Some(waker) = self.hub.waker.take() {
            waker.wake_by_ref();
            self.hub.waker.set(Some(waker));
        }
        Ok(())
    }

    /// Where each player has an address of its own, it can have another; the socket stays.
    fn rebind(&mut self, from: Option<IpAddr>) -> io::Result<()> {
        match (self.from, from) {
            (Some(_), Some(from)) => {
                udp::check_family(from, self.to)?;
                self.from = Some(from);
                Ok(())
            }
            _ => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// What the socket lost for others too is told to whoever asks first.
    fn take_losses(&mut self) -> Losses {
        Losses { refused: self.hub.refused.take(), dropped: self.inbox.dropped.take(), strays: self.hub.strays.take() }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.hub.bots.borrow_mut().remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::net::UdpSocket;
    use tokio::task::LocalSet;

    use super::*;

    /// The first four bytes are the number.
    fn route_of() -> RouteOf {
        Rc::new(|datagram| datagram.first_chunk().map(|number| u32::from_be_bytes(*number)))
    }

    fn place(to: SocketAddr, is_sourced: bool) -> Place {
        Place { to, number: 0, is_sourced, way: (TypeId::of::<()>(), 0) }
    }

    fn bot(to: SocketAddr, from: Option<IpAddr>, mut numbers: impl Iterator<Item = u32>) -> Shared {
        let begin = || ((), numbers.next().unwrap());
        Shared::connect(place(to, from.is_some()), from, route_of, begin).unwrap().0
    }

    async fn next(bot: &mut Shared) -> io::Result<Vec<u8>> {
        let mut buf = [0; 100];
        let received = poll_fn(|cx| bot.poll_recv(cx, &mut buf)).await?;
        Ok(buf[..received.len].to_vec())
    }

    /// Sends all that comes back, in reverse order of arrival, and tells where it came from.
    async fn echo(server: &UdpSocket, count: usize) -> Vec<SocketAddr> {
        let mut all = Vec::new();
        let mut buf = [0; 100];
        for _ in 0..count {
            let (len, from) = server.recv_from(&mut buf).await.unwrap();
            all.push((buf[..len].to_vec(), from));
        }
        for (bytes, from) in all.iter().rev() {
            server.send_to(bytes, from).await.unwrap();
        }
        all.into_iter().map(|(_, from)| from).collect()
    }

    async fn locally(test: impl Future<Output = ()>) {
        LocalSet::new().run_until(test).await;
    }

    #[tokio::test]
    async fn each_bot_gets_what_is_its_own() {
        locally(async {
            let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let to = server.local_addr().unwrap();
            let mut bots: Vec<Shared> = (0..100).map(|number| bot(to, None, number..)).collect();
            assert!(bots.iter().all(|bot| Rc::ptr_eq(&bot.hub, &bots[0].hub)));
            for bot in &mut bots {
                let message = bot.number.to_be_bytes();
                bot.try_send(&message).unwrap();
            }
            let seen = echo(&server, 100).await;
            assert!(seen.iter().all(|from| *from == seen[0]), "one socket");
            for bot in &mut bots {
                assert_eq!(next(bot).await.unwrap(), bot.number.to_be_bytes());
            }
            server.send_to(b"for nobody", seen[0]).await.unwrap();
            server.send_to(&7_u32.to_be_bytes(), seen[0]).await.unwrap();
            assert_eq!(next(&mut bots[7]).await.unwrap(), 7_u32.to_be_bytes());
            assert_eq!(bots[3].take_losses(), Losses { strays: 1, ..Losses::default() });
        })
        .await;
    }

    #[tokio::test]
    async fn a_number_that_is_taken_is_not_given_twice() {
        locally(async {
            let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let to = server.local_addr().unwrap();
            let first = bot(to, None, 7..);
            assert_eq!(bot(to, None, [7, 7, 9].into_iter()).number, 9);
            let none = Shared::connect(place(to, false), None, route_of, || ((), 7)).map(|_| ());
            assert_eq!(none.unwrap_err().kind(), io::ErrorKind::AddrInUse);
            drop(first);
            assert_eq!(bot(to, None, 7..).number, 7);
        })
        .await;
    }

    #[tokio::test]
    async fn players_come_from_their_own_addresses_over_one_socket() {
        locally(async {
            let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let to = server.local_addr().unwrap();
            let ip = |number| IpAddr::from([127, 0, 9, number as u8]);
            let mut bots: Vec<Shared> = (1..=50).map(|number| bot(to, Some(ip(number)), number..)).collect();
            for bot in &mut bots {
                let message = bot.number.to_be_bytes();
                bot.try_send(&message).unwrap();
            }
            let seen = echo(&server, 50).await;
            assert_eq!(seen.iter().map(SocketAddr::ip).collect::<Vec<_>>(), (1..=50).map(ip).collect::<Vec<_>>());
            for bot in &mut bots {
                assert_eq!(next(bot).await.unwrap(), bot.number.to_be_bytes());
            }
        })
        .await;
    }

    #[tokio::test]
    async fn a_dead_server_is_told_to_all_and_goodbyes_go_out() {
        locally(async {
            let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let to = server.local_addr().unwrap();
            let mut leaving = bot(to, None, 1..);
            leaving.try_send(b"goodbye").unwrap();
            drop(leaving);
            let mut buf = [0; 100];
            assert_eq!(server.recv_from(&mut buf).await.unwrap().0, 7);
            drop(server);
            let mut bots = [bot(to, None, 1..), bot(to, None, 2..)];
            bots[0].try_send(b"anybody?").unwrap();
            for bot in &mut bots {
                assert_eq!(next(bot).await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
            }
            let hub = Rc::downgrade(&bots[0].hub);
            drop(bots);
            assert_eq!(hub.strong_count(), 0, "the socket closes with its last bot");
        })
        .await;
    }

    #[tokio::test]
    async fn an_inbox_is_bounded() {
        locally(async {
            let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let mut bot = bot(server.local_addr().unwrap(), None, 1..);
            for _ in 0..INBOX + 5 {
                bot.inbox.put(None, b"x");
            }
            assert_eq!(bot.take_losses().dropped, 5);
        })
        .await;
    }
}
