//! Many bots on one UDP socket, told apart by the number that their protocol writes into each datagram.
//!
//! One task a socket reads by the batch and hands each datagram to its bot; what the bots send in a turn of their
//! shard leaves in one flush, when all of them have had their turn. A bot does not see that it shares.

use std::any::TypeId;
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};

use rustc_hash::FxHashMap;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::time::Instant;

use crate::batch::Batch;
use crate::link::{Link, Losses, Received};
use crate::pool::Pool;

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
                        match (self.route_of)(datagram.bytes).and_then(|number| bots.get(&number)) {
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
    std::future::poll_fn(|cx| {
        let Some(hub) = hub.upgrade() else { return Poll::Ready(()) };
        hub.waker.set(Some(cx.waker().clone()));
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

    /// What the socket lost for others too is told to whoever asks first.
    fn take_losses(&mut self) -> Losses {
        Losses {
            refused: self.hub.refused.take(),
            dropped: self.inbox.dropped.take(),
            strays: self.hub.strays.take(),
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.hub.bots.borrow_mut().remove(&self.number);
    }
}
