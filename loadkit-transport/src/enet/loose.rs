//! Unreliable commands that wait for the next flush.

use super::wire::Command;
use crate::pool::Pool;

/// Larger buffers are not kept.
const KEPT_BYTES: usize = 4_096;
/// What a command has before its bytes: its place among all that was queued (u32), whether a message begins with it
/// (u8), its length (u16).
pub(super) const PREFIX: usize = 7;

thread_local! {
    static BUFFERS: Pool<Vec<u8>> = const { Pool::new() };
}

/// Commands as they go on the wire, in the order of queueing. Without a buffer when none waits.
#[derive(Debug, Default)]
pub(super) struct Loose {
    bytes: Vec<u8>,
    /// So many of the bytes have gone.
    gone: usize,
}

/// The command that is next.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Waiting<'a> {
    pub(super) order: u32,
    /// A message begins with it.
    pub(super) is_first: bool,
    pub(super) bytes: &'a [u8],
}

impl Loose {
    /// Bytes that wait.
    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.gone
    }

    pub(super) fn push(&mut self, order: u32, is_first: bool, command: &Command) {
        if self.bytes.capacity() == 0 {
            self.bytes = BUFFERS.with(Pool::take);
        }
        let len = u16::try_from(command.len()).unwrap_or(u16::MAX);
        self.bytes.reserve(PREFIX + usize::from(len));
        self.bytes.extend_from_slice(&order.to_le_bytes());
        self.bytes.push(is_first.into());
        self.bytes.extend_from_slice(&len.to_le_bytes());
        command.write(&mut self.bytes);
    }

    pub(super) fn next(&self) -> Option<Waiting<'_>> {
        let (order, rest) = self.bytes.get(self.gone..)?.split_first_chunk()?;
        let ([first, low, high], rest) = rest.split_first_chunk()?;
        let bytes = rest.get(..u16::from_le_bytes([*low, *high]).into())?;
        Some(Waiting { order: u32::from_le_bytes(*order), is_first: *first != 0, bytes })
    }

    /// Takes the next one away.
    pub(super) fn pop(&mut self) {
        let len = self.next().map_or(0, |next| next.bytes.len());
        self.gone += PREFIX + len;
        if self.gone >= self.bytes.len() {
            self.gone = 0;
            let mut empty = std::mem::take(&mut self.bytes);
            if (1..=KEPT_BYTES).contains(&empty.capacity()) {
                empty.clear();
                BUFFERS.with(|pool| pool.leave(empty));
            }
        } else if self.gone > self.bytes.len() / 2 {
            self.bytes.drain(..self.gone);
            self.gone = 0;
        }
    }

    /// Takes the next message away, all pieces of it.
    pub(super) fn drop_message(&mut self) {
        self.pop();
        while self.next().is_some_and(|next| !next.is_first) {
            self.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::wire::Body;
    use super::*;

    #[test]
    fn commands_come_out_as_they_went_in_and_messages_go_as_a_whole() {
        let mut loose = Loose::default();
        let command = |number| Command {
            channel: 1,
            sequence: 7,
            acknowledge: false,
            unsequenced: false,
            body: Body::Unreliable { number, bytes: b"snapshot" },
        };
        for number in 0..100 {
            loose.push(number.into(), number % 10 == 0, &command(number));
        }
        for number in 0..100 {
            if number == 50 {
                loose.drop_message();
            }
            if (50..60).contains(&number) {
                continue;
            }
            let mut expected = Vec::new();
            command(number).write(&mut expected);
            let next = Waiting { order: number.into(), is_first: number % 10 == 0, bytes: &expected };
            assert_eq!(loose.next(), Some(next));
            loose.pop();
        }
        assert_eq!((loose.next(), loose.len(), loose.bytes.capacity()), (None, 0, 0));
    }
}
