//! What a bot plays with: messages in and out, requests and replies.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use loadkit_core::{Cx, Failure, Result};
use tokio::time::Instant;

use crate::call::Call;
use crate::codec::{Calls, Codec, Request};
use crate::driver::Driver;
use crate::protocol::{Channel, Protocol, Stats};

/// Closing waits so long at most for the protocol's goodbye.
const CLOSE_WAIT: Duration = Duration::from_secs(1);

/// A connection to the server. It lives on its bot's task and is driven by it, also while the bot waits for
/// something else. Dropping it says goodbye once and waits for nothing.
///
/// What is sent in a turn of the bot leaves together when the turn ends.
pub struct Connection<P: Protocol + 'static, C: Codec + 'static>(pub(crate) Rc<Driver<P, C>>);

impl<P: Protocol, C: Codec> Connection<P, C> {
    /// Sends a message on the channel that its codec chooses. It never waits.
    ///
    /// # Errors
    /// `BACKLOG` when too much waits already, `TOO_LARGE`, or whatever ended the connection.
    pub fn send(&self, message: impl Into<C::Out>) -> Result<(), Failure> {
        self.0.0.borrow_mut().send(&message.into(), None)
    }

    /// Sends a message on this channel.
    ///
    /// # Errors
    /// As [`Connection::send`]; `TARGET` when the protocol has no such channel.
    pub fn send_on(&self, channel: Channel, message: impl Into<C::Out>) -> Result<(), Failure> {
        self.0.0.borrow_mut().send(&message.into(), Some(channel))
    }

    /// The next message, when there is one. Dropping the future loses nothing.
    ///
    /// # Errors
    /// `MALFORMED` for a message that the codec cannot read: the connection goes on. Otherwise what ended it.
    pub fn recv(&self) -> impl Future<Output = Result<C::In, Failure>> + '_ {
        poll_fn(|cx| {
            let mut core = self.0.0.borrow_mut();
            core.catch_up(cx);
            if let Some(message) = core.next() {
                return Poll::Ready(message);
            }
            core.check()?;
            core.wait(cx);
            Poll::Pending
        })
    }

    /// The next message, if there is one.
    ///
    /// # Errors
    /// As [`Connection::recv`].
    pub fn try_recv(&self) -> Result<Option<C::In>, Failure> {
        let mut core = self.0.0.borrow_mut();
        match core.next() {
            Some(message) => message.map(Some),
            None => core.check().map(|()| None),
        }
    }

    /// Sends a request and waits for its reply: `game.call(Buy { item: 3 }).await?`, or with a time-out of its own
    /// `game.call(Buy { item: 3 }).within(Duration::from_secs(2)).await?`.
    ///
    /// Calls may overlap, 1,024 at most. Other messages that come meanwhile wait for [`Connection::recv`]; when too
    /// many wait, the oldest are dropped and counted as `net.inbox_dropped`. The reply itself is for this call alone,
    /// and if it comes after the call was given up, it is dropped and counted as `net.late_replies`.
    ///
    /// # Errors
    /// `TIMED_OUT` with the request's name, `BACKLOG` with too many calls, and those of [`Connection::send`],
    /// [`Connection::recv`] and [`Request::reply`].
    pub fn call<R: Request<C>>(&self, request: R) -> Call<'_, P, C, R>
    where
        C: Calls,
    {
        Call::new(&self.0.0, request)
    }

    /// Says goodbye and waits until that is done, at most a second. Messages sent before still arrive if the protocol
    /// sees to it; no more can be sent. As the last expression of a bot it is the bot's result.
    ///
    /// # Errors
    /// None today: a connection that has ended already is closed.
    pub async fn close(&self) -> Result {
        let timers = {
            let mut core = self.0.0.borrow_mut();
            if core.ended.is_none() {
                core.close(false);
            }
            core.cx.timers().clone()
        };
        let mut time_out = pin!(timers.sleep_until(Instant::now() + CLOSE_WAIT));
        poll_fn(|cx| {
            let mut core = self.0.0.borrow_mut();
            core.catch_up(cx);
            core.flush_link(cx);
            if core.ended.is_some() && core.queued() == 0 {
                return Poll::Ready(());
            }
            core.wait(cx);
            drop(core);
            time_out.as_mut().poll(cx)
        })
        .await;
        self.0.0.borrow_mut().abandon();
        Ok(())
    }

    /// What it measured about itself so far.
    pub fn stats(&self) -> Stats {
        self.0.0.borrow().stats()
    }

    /// When the message that was handed out last, by [`Connection::recv`] or as a reply, had arrived in the kernel.
    pub fn last_arrival(&self) -> Option<Instant> {
        self.0.0.borrow().last_arrival
    }

    /// Whether messages can be sent.
    pub fn is_open(&self) -> bool {
        let core = self.0.0.borrow();
        core.is_connected && core.ended.is_none()
    }

    /// Looks at the protocol, for what only it knows.
    pub fn with_protocol<T>(&self, look: impl FnOnce(&P) -> T) -> T {
        look(self.0.0.borrow().protocol())
    }

    /// Waits for the end of the handshake.
    pub(crate) async fn connected(
        &self,
        cx: &Cx,
        until: Instant,
        time_out: impl FnOnce() -> Failure,
    ) -> Result<(), Failure> {
        let mut sleep = pin!(cx.timers().sleep_until(until));
        poll_fn(|cx| {
            if let Poll::Ready(result) = self.poll_connected(cx) {
                return Poll::Ready(Some(result));
            }
            sleep.as_mut().poll(cx).map(|()| None)
        })
        .await
        .unwrap_or_else(|| Err(time_out()))
    }

    fn poll_connected(&self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        let mut core = self.0.0.borrow_mut();
        core.catch_up(cx);
        core.check()?;
        if core.is_connected {
            return Poll::Ready(Ok(()));
        }
        core.wait(cx);
        Poll::Pending
    }
}

impl<P: Protocol, C: Codec> Drop for Connection<P, C> {
    fn drop(&mut self) {
        if let Ok(mut core) = self.0.0.try_borrow_mut() {
            core.abandon();
        }
    }
}
