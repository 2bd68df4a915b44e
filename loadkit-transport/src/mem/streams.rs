//! Streams of bytes in memory, on one thread: what TCP is to a listener, in virtual time.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};

use tokio::io::DuplexStream;

use super::name_in;

/// Streams that wait to be accepted, at most. Who comes then is refused, as by a full backlog.
const BACKLOG: usize = 1_024;
/// Bytes under way in a stream, each direction.
const WINDOW: usize = 64 * 1024;

#[derive(Debug, Default)]
struct Waiting {
    streams: VecDeque<DuplexStream>,
    waker: Option<Waker>,
}

thread_local! {
    static LISTENERS: RefCell<HashMap<String, Weak<RefCell<Waiting>>>> = RefCell::new(HashMap::new());
}

/// The server's end: streams that come, one after the other.
#[derive(Debug)]
pub(crate) struct MemStreams {
    waiting: Rc<RefCell<Waiting>>,
    name: String,
}

/// Listens for streams under a name on this thread.
///
/// # Errors
/// `AddrInUse` when there is such a listener already.
pub(crate) fn listen_streams(name: &str) -> io::Result<MemStreams> {
    let name = name_in(name).unwrap_or(name);
    LISTENERS.with_borrow_mut(|listeners| {
        if listeners.get(name).is_some_and(|listener| listener.strong_count() > 0) {
            return Err(io::Error::new(io::ErrorKind::AddrInUse, format!("mem://{name} is taken on this thread")));
        }
        let waiting = Rc::default();
        listeners.insert(name.to_owned(), Rc::downgrade(&waiting));
        Ok(MemStreams { waiting, name: name.to_owned() })
    })
}

/// Whether there is a listener for streams of this name on this thread.
pub(crate) fn has_streams(name: &str) -> bool {
    LISTENERS.with_borrow(|listeners| listeners.get(name).is_some_and(|listener| listener.strong_count() > 0))
}

/// A stream to the listener of this name on this thread.
///
/// # Errors
/// `ConnectionRefused` when there is none, or too many wait already.
pub(crate) fn connect_stream(name: &str) -> io::Result<DuplexStream> {
    let listener = LISTENERS.with_borrow(|listeners| listeners.get(name).and_then(Weak::upgrade));
    let listener = listener.ok_or(io::ErrorKind::ConnectionRefused)?;
    let mut waiting = listener.borrow_mut();
    if waiting.streams.len() >= BACKLOG {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    let (ours, theirs) = tokio::io::duplex(WINDOW);
    waiting.streams.push_back(theirs);
    if let Some(waker) = waiting.waker.take() {
        waker.wake();
    }
    Ok(ours)
}

impl MemStreams {
    /// The next stream; registers the waker when there is none.
    pub(crate) fn poll_accept(&self, cx: &Context<'_>) -> Poll<DuplexStream> {
        let mut waiting = self.waiting.borrow_mut();
        if let Some(stream) = waiting.streams.pop_front() {
            return Poll::Ready(stream);
        }
        waiting.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for MemStreams {
    fn drop(&mut self) {
        // A thread that ends may have lost the table before the listener.
        let _ = LISTENERS.try_with(|listeners| listeners.borrow_mut().remove(&self.name));
    }
}
