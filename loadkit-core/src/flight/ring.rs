//! A ring of bytes that grows up to a bound.

/// The first room that a ring takes; it doubles from there.
const FIRST_ROOM: usize = 256;

/// Bytes, the oldest first. Whoever appends has made room before.
#[derive(Debug, Default)]
pub(super) struct Ring {
    /// All of its room.
    room: Box<[u8]>,
    head: usize,
    len: usize,
}

impl Ring {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Makes room for so many more bytes, of at most `max` in all, with which those that are there fit.
    #[inline]
    pub(super) fn reserve(&mut self, more: usize, max: usize) {
        if self.len + more > self.room.len() {
            self.grow((self.room.len() * 2).max(FIRST_ROOM).min(max).max(self.len + more));
        }
    }

    #[cold]
    fn grow(&mut self, to: usize) {
        let mut room = Vec::with_capacity(to);
        let (front, back) = self.halves();
        room.extend_from_slice(front);
        room.extend_from_slice(back);
        room.resize(to, 0);
        (self.room, self.head) = (room.into(), 0);
    }

    /// Appends these bytes, for which there is room.
    #[inline]
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let tail = self.wrapped(self.head + self.len);
        let (first, rest) = bytes.split_at(bytes.len().min(self.room.len() - tail));
        self.room[tail..tail + first.len()].copy_from_slice(first);
        self.room[..rest.len()].copy_from_slice(rest);
        self.len += bytes.len();
    }

    /// The first two bytes, as a number.
    #[inline]
    pub(super) fn first_number(&self) -> Option<u16> {
        let at = |n| self.room.get(self.wrapped(self.head + n)).copied();
        if self.len < 2 { None } else { Some(u16::from_le_bytes([at(0)?, at(1)?])) }
    }

    /// Forgets so many of the oldest.
    #[inline]
    pub(super) fn pop(&mut self, count: usize) {
        let count = count.min(self.len);
        self.head = self.wrapped(self.head + count);
        self.len -= count;
    }

    /// All of them.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let (front, back) = self.halves();
        [front, back].concat()
    }

    fn halves(&self) -> (&[u8], &[u8]) {
        let end = self.head + self.len;
        let front = self.room.get(self.head..end.min(self.room.len())).unwrap_or_default();
        let back = self.room.get(..end.saturating_sub(self.room.len())).unwrap_or_default();
        (front, back)
    }

    /// A place that may be beyond the end, by less than the whole.
    #[inline]
    fn wrapped(&self, at: usize) -> usize {
        if at >= self.room.len() { at - self.room.len() } else { at }
    }

    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        self.room.len()
    }
}
