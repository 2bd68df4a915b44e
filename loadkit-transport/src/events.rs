//! Events that wait to be fetched. Without a queue while none does.

use std::collections::VecDeque;

use crate::pool::Pool;
use crate::protocol::Event;

/// Larger queues are not kept.
const KEPT_EVENTS: usize = 64;

thread_local! {
    static QUEUES: Pool<VecDeque<Event>> = const { Pool::new() };
}

/// Events that wait to be fetched, in the order of happening.
#[derive(Debug, Default)]
pub(crate) struct Events(VecDeque<Event>);

impl Events {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn push(&mut self, event: Event) {
        if self.0.capacity() == 0 {
            self.0 = QUEUES.with(Pool::take);
        }
        self.0.push_back(event);
    }

    pub(crate) fn pop(&mut self) -> Option<Event> {
        let event = self.0.pop_front();
        if event.is_none() && self.0.capacity() > 0 {
            let empty = std::mem::take(&mut self.0);
            if empty.capacity() <= KEPT_EVENTS {
                QUEUES.with(|pool| pool.leave(empty));
            }
        }
        event
    }
}
