//! What waits for the bot: messages in the order of arrival, and each reply for the call that it answers.

use std::collections::VecDeque;

use loadkit_core::{Failure, Kind};
use tokio::time::Instant;

use crate::codec::{Calls, Codec};

/// Calls of a connection that wait for their replies, at most.
const MAX_CALLS: usize = 1_024;
/// Calls given up whose replies are still recognised, at most; with more, the oldest are forgotten.
const MAX_GIVEN_UP: usize = 64;

/// Something that has arrived.
pub(super) struct Arrived<T> {
    pub(super) at: Instant,
    /// It came for the turn in which it is handed out.
    pub(super) is_fresh: bool,
    pub(super) what: T,
}

/// A message, or why it could not be read.
type Message<C> = Result<<C as Codec>::In, Failure>;

/// [`Calls::reply_to`].
type ReplyTo<C> = fn(&C, &<C as Codec>::In) -> Option<u32>;

/// A call that waits for its reply, or for its caller to fetch it.
struct Pending<T> {
    id: u32,
    reply: Option<Arrived<T>>,
}

/// What became of a message that has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Put {
    /// It waits for the bot.
    Kept,
    /// It waits, and the oldest has made room for it.
    Displaced,
    /// It answers a call that was given up; it is gone.
    Late,
}

/// What waits for the bot. It exists only while there is something, or a call is under way.
pub(super) struct Inbox<C: Codec> {
    /// The oldest message: most of the time there is no other, and no queue is needed for it.
    first: Option<Arrived<Message<C>>>,
    rest: VecDeque<Arrived<Message<C>>>,
    /// So many of the messages, the oldest, have been waiting since an earlier turn.
    stale: usize,
    calls: Vec<Pending<C::In>>,
    given_up: Vec<u32>,
    /// Known once a call has been made: only then the codec is known to number its replies.
    reply_to: Option<ReplyTo<C>>,
}

impl<C: Codec> Default for Inbox<C> {
    fn default() -> Self {
        Inbox { first: None, rest: VecDeque::new(), stale: 0, calls: Vec::new(), given_up: Vec::new(), reply_to: None }
    }
}

impl<C: Codec> Inbox<C> {
    /// Whether it can be thrown away.
    pub(super) fn is_empty(&self) -> bool {
        self.first.is_none() && self.calls.is_empty() && self.given_up.is_empty()
    }

    /// Takes what has arrived. At most `bound` messages wait, beside the replies.
    pub(super) fn put(&mut self, codec: &C, arrived: Arrived<Message<C>>, bound: u16) -> Put {
        let Some(arrived) = self.put_reply(codec, arrived) else { return Put::Kept };
        if self.is_late(codec, &arrived.what) {
            return Put::Late;
        }
        if self.first.is_none() {
            self.first = Some(arrived);
            return Put::Kept;
        }
        self.rest.push_back(arrived);
        if self.rest.len() < usize::from(bound) {
            return Put::Kept;
        }
        self.next();
        Put::Displaced
    }

    /// Keeps a reply for its caller; hands back what is none.
    fn put_reply(&mut self, codec: &C, arrived: Arrived<Message<C>>) -> Option<Arrived<Message<C>>> {
        let id = match &arrived.what {
            Ok(message) if !self.calls.is_empty() => self.reply_to.and_then(|reply_to| reply_to(codec, message)),
            _ => None,
        };
        let call = id.and_then(|id| self.calls.iter_mut().find(|call| call.id == id && call.reply.is_none()));
        match (call, arrived.what) {
            (Some(call), Ok(what)) => {
                call.reply = Some(Arrived { at: arrived.at, is_fresh: arrived.is_fresh, what });
                None
            }
            (_, what) => Some(Arrived { what, ..arrived }),
        }
    }

    fn is_late(&mut self, codec: &C, message: &Message<C>) -> bool {
        if self.given_up.is_empty() {
            return false;
        }
        let id = message.as_ref().ok().and_then(|message| self.reply_to?(codec, message));
        let known = id.and_then(|id| self.given_up.iter().position(|&given_up| given_up == id));
        known.map(|at| self.given_up.remove(at)).is_some()
    }

    /// The oldest message.
    pub(super) fn next(&mut self) -> Option<Arrived<Message<C>>> {
        let next = self.first.take()?;
        self.first = self.rest.pop_front();
        let is_fresh = self.stale == 0;
        self.stale = self.stale.saturating_sub(1);
        Some(Arrived { is_fresh, ..next })
    }

    /// The bot has had its turn: what waits now has not come for the next one.
    pub(super) fn turn_over(&mut self) {
        self.stale = usize::from(self.first.is_some()) + self.rest.len();
        for reply in self.calls.iter_mut().filter_map(|call| call.reply.as_mut()) {
            reply.is_fresh = false;
        }
    }

    /// From now on, the reply to this call is kept for it.
    pub(super) fn call(&mut self, id: u32) -> Result<(), Failure>
    where
        C: Calls,
    {
        if self.calls.len() >= MAX_CALLS {
            return Err(Failure::new(Kind::BACKLOG, format!("{MAX_CALLS} calls wait already for their replies")));
        }
        // Most bots make one call at a time.
        self.calls.reserve_exact(1);
        self.calls.push(Pending { id, reply: None });
        self.reply_to = Some(C::reply_to);
        Ok(())
    }

    /// The reply to a call, if it has come: then the call is over.
    pub(super) fn reply(&mut self, id: u32) -> Option<Arrived<C::In>> {
        let at = self.calls.iter().position(|call| call.id == id && call.reply.is_some())?;
        self.calls.swap_remove(at).reply
    }

    /// Nobody waits for this reply any more. With `comes` it may still come.
    pub(super) fn give_up(&mut self, id: u32, comes: bool) {
        let Some(at) = self.calls.iter().position(|call| call.id == id) else { return };
        let call = self.calls.swap_remove(at);
        if comes && call.reply.is_none() {
            if self.given_up.len() >= MAX_GIVEN_UP {
                self.given_up.remove(0);
            }
            self.given_up.push(id);
        }
    }
}
