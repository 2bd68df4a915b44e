//! The bytes of a fuzz input as a sequence of small decisions.

/// What is left of an input. At its end every decision is 0 and every piece is empty.
pub(crate) struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Input(bytes)
    }

    /// The next byte, if there is one: loops end with it.
    pub(crate) fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.next().unwrap_or_default()
    }

    /// The next bytes, at most `len`.
    pub(crate) fn take(&mut self, len: usize) -> &'a [u8] {
        let (piece, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        piece
    }

    /// A piece with its length before it: one byte, or above 250 one more.
    pub(crate) fn piece(&mut self) -> &'a [u8] {
        let len = match self.byte() {
            len @ ..=250 => usize::from(len),
            long => 251 + usize::from(long - 251) * 256 + usize::from(self.byte()),
        };
        self.take(len)
    }
}
