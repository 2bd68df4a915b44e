//! A request under way: `connection.call(request)`, with a time-out of its own where the default does not fit.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use loadkit_core::{Failure, Kind, Sleep};
use tokio::time::Instant;

use crate::codec::{Calls, Codec, Request};
use crate::driver::Core;
use crate::protocol::Protocol;

/// Longer than any run: what stands for a time that no clock can express.
pub(crate) const FOR_EVER: Duration = Duration::from_secs(100 * 365 * 24 * 3_600);

/// A request under way, made by [`Connection::call`](crate::Connection::call). It is sent when it is first polled.
/// Dropping it gives the reply up.
#[must_use = "a call is not made unless it is awaited"]
pub struct Call<'a, P: Protocol, C: Codec, R> {
    core: &'a RefCell<Core<P, C>>,
    within: Option<Duration>,
    state: State<R>,
}

enum State<R> {
    Fresh(R),
    Asked(Asked),
    Over,
}

struct Asked {
    id: u32,
    name: &'static str,
    within: Duration,
    time_out: Sleep,
}

/// Nothing in it is pinned.
impl<P: Protocol, C: Codec, R> Unpin for Call<'_, P, C, R> {}

impl<'a, P: Protocol, C: Codec, R> Call<'a, P, C, R> {
    pub(crate) fn new(core: &'a RefCell<Core<P, C>>, request: R) -> Self {
        Call { core, within: None, state: State::Fresh(request) }
    }

    /// Gives up waiting for the reply after `time`, instead of after the connection's own time-out for calls.
    /// [`Duration::MAX`] waits for as long as the connection lives.
    pub fn within(mut self, time: Duration) -> Self {
        self.within = Some(time);
        self
    }
}

impl<P: Protocol, C: Calls, R: Request<C>> Call<'_, P, C, R> {
    fn ask(core: &mut Core<P, C>, request: R, within: Option<Duration>) -> Result<Asked, Failure> {
        let name = request.name();
        let mut out = request.into_out();
        core.check()?;
        let id = core.begin_call()?;
        core.codec.stamp(&mut out, id);
        if let Err(failure) = core.send(&out, None) {
            core.give_up(id, false);
            return Err(failure);
        }
        let within = within.unwrap_or_else(|| core.call_time_out());
        let until = Instant::now() + within.min(FOR_EVER);
        Ok(Asked { id, name, within, time_out: core.cx.timers().sleep_until(until) })
    }
}

impl<P: Protocol, C: Calls, R: Request<C>> Future for Call<'_, P, C, R> {
    type Output = Result<R::Reply, Failure>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let call = &mut *self;
        let mut core = call.core.borrow_mut();
        let mut asked = match std::mem::replace(&mut call.state, State::Over) {
            State::Fresh(request) => Self::ask(&mut core, request, call.within)?,
            State::Asked(asked) => asked,
            // As a future that is over should not be polled: it never becomes ready again.
            State::Over => return Poll::Pending,
        };
        core.catch_up(cx);
        if let Some(reply) = core.reply(asked.id) {
            return Poll::Ready(R::reply(reply));
        }
        if let Err(failure) = core.check() {
            core.give_up(asked.id, false);
            return Poll::Ready(Err(failure));
        }
        core.wait(cx);
        if Pin::new(&mut asked.time_out).poll(cx).is_pending() {
            call.state = State::Asked(asked);
            return Poll::Pending;
        }
        core.give_up(asked.id, true);
        let what = format!("no reply to {} within {} s", asked.name, asked.within.as_secs_f64());
        Poll::Ready(Err(Failure::new(Kind::TIMED_OUT, what)))
    }
}

impl<P: Protocol, C: Codec, R> Drop for Call<'_, P, C, R> {
    fn drop(&mut self) {
        if let State::Asked(asked) = &self.state
            && let Ok(mut core) = self.core.try_borrow_mut()
        {
            core.give_up(asked.id, true);
        }
    }
}
