//! What has arrived goes to the bot: messages to whoever receives, replies to their callers.

use std::time::Duration;

use loadkit_core::Failure;
use loadkit_core::flight::Way;
use tokio::time::Instant;

use super::Core;
use super::inbox::{Arrived, Put};
use crate::codec::{Calls, Codec};
use crate::link::Link;
use crate::protocol::{Channel, Protocol};

impl<P: Protocol, C: Codec> Core<P, C> {
    /// Puts a message on the bot's flight recorder.
    pub(super) fn record(&self, at: Instant, way: Way, channel: Channel, bytes: &[u8]) {
        let place = (self.number.into(), channel.code());
        self.cx.record(|tape| tape.message(at, way, place, bytes, C::describe));
    }

    /// What it speaks.
    pub(super) fn name(&self) -> &'static str {
        let name = self.protocol.name();
        if name.is_empty() { self.link.name() } else { name }
    }

    /// Takes a message that arrived `at`. Whether the bot may wait for it.
    pub(super) fn deliver(&mut self, at: Instant, what: Result<C::In, Failure>) -> bool {
        let inbox = self.inbox.get_or_insert_default();
        match inbox.put(&self.codec, Arrived { at, is_fresh: true, what }, self.inbox_bound) {
            Put::Kept => {}
            Put::Displaced => self.cx.count("net.inbox_dropped", 1),
            Put::Late => {
                self.cx.count("net.late_replies", 1);
                self.tidy();
                return false;
            }
        }
        self.wake();
        true
    }

    /// The next message for the bot.
    pub(crate) fn next(&mut self) -> Option<Result<C::In, Failure>> {
        let next = self.inbox.as_mut()?.next()?;
        Some(self.hand_out(next))
    }

    /// How long a call waits for its reply.
    pub(crate) fn call_time_out(&self) -> Duration {
        Duration::from_millis(self.call_time_out.into())
    }

    /// A number for a call, whose reply is kept for it from now on.
    pub(crate) fn begin_call(&mut self) -> Result<u32, Failure>
    where
        C: Calls,
    {
        self.calls = self.calls.wrapping_add(1).max(1);
        self.inbox.get_or_insert_default().call(self.calls)?;
        Ok(self.calls)
    }

    /// The reply to a call, if it has come.
    pub(crate) fn reply(&mut self, call: u32) -> Option<C::In> {
        let reply = self.inbox.as_mut()?.reply(call)?;
        Some(self.hand_out(reply))
    }

    /// Nobody waits for the reply any more. With `comes` it may still come.
    pub(crate) fn give_up(&mut self, call: u32, comes: bool) {
        if let Some(inbox) = &mut self.inbox {
            inbox.give_up(call, comes && self.ended.is_none());
            self.tidy();
        }
    }

    fn hand_out<T>(&mut self, arrived: Arrived<T>) -> T {
        self.tidy();
        self.last_arrival = Some(arrived.at);
        // What the bot has left waiting is late by the bot's own doing.
        if arrived.is_fresh {
            self.cx.arrived(arrived.at);
        }
        arrived.what
    }

    fn tidy(&mut self) {
        if self.inbox.as_ref().is_some_and(|inbox| inbox.is_empty()) {
            self.inbox = None;
        }
    }
}
