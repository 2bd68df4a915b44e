//! Reading and writing the fields of a message: integers, strings, raw bytes.
//!
//! **A reader never goes beyond its bytes: each read gives the field or [`Malformed`].** Strings are ended by a zero
//! byte.

use crate::varint;
use std::fmt;

/// A message that does not have the fields it should have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// The field at which reading stopped.
    pub field: &'static str,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the field `{}` is missing or malformed", self.field)
    }
}

impl std::error::Error for Malformed {}

/// Takes fields from the front of a message.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads from the start of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// An integer. `field` names it in the error.
    ///
    /// # Errors
    /// The bytes end within it, or it is malformed.
    pub fn int(&mut self, field: &'static str) -> Result<i32, Malformed> {
        let (value, len) = varint::decode(self.rest).ok_or(Malformed { field })?;
        self.rest = self.rest.get(len..).unwrap_or_default();
        Ok(value)
    }

    /// A string without its closing zero. Bytes that are not UTF-8 are replaced.
    ///
    /// # Errors
    /// There is no closing zero.
    pub fn string(&mut self, field: &'static str) -> Result<String, Malformed> {
        let len = self.rest.iter().position(|&byte| byte == 0).ok_or(Malformed { field })?;
        let (text, rest) = self.rest.split_at(len);
        self.rest = rest.get(1..).unwrap_or_default();
        Ok(String::from_utf8_lossy(text).into_owned())
    }

    /// Exactly `len` bytes.
    ///
    /// # Errors
    /// There are fewer left.
    pub fn bytes(&mut self, len: usize, field: &'static str) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(Malformed { field })?;
        self.rest = rest;
        Ok(taken)
    }

    /// Bytes with their number before them as an integer.
    ///
    /// # Errors
    /// The number is negative, or there are fewer bytes left.
    pub fn sized_bytes(&mut self, field: &'static str) -> Result<&'a [u8], Malformed> {
        let len = usize::try_from(self.int(field)?).map_err(|_| Malformed { field })?;
        self.bytes(len, field)
    }

    /// All that was not read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

/// Appends fields to a message.
#[derive(Debug)]
pub struct Writer<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> Writer<'a> {
    /// Writes behind what is in `out`.
    pub fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out }
    }

    /// An integer.
    pub fn int(&mut self, value: i32) -> &mut Self {
        varint::encode(value, self.out);
        self
    }

    /// A string with its closing zero; it ends at the first zero within `text`, if there is one.
    pub fn string(&mut self, text: &str) -> &mut Self {
        let end = text.find('\0').unwrap_or(text.len());
        self.out.extend_from_slice(&text.as_bytes()[..end]);
        self.out.push(0);
        self
    }

    /// Raw bytes, without their number.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.out.extend_from_slice(bytes);
        self
    }

    /// Bytes with their number before them.
    pub fn sized_bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.int(i32::try_from(bytes.len()).unwrap_or(i32::MAX)).bytes(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn reads_what_it_wrote(number: i32, text in "[^\0]*", raw: Vec<u8>) {
            let mut bytes = Vec::new();
            Writer::new(&mut bytes).int(number).string(&text).sized_bytes(&raw).bytes(&raw);
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(reader.int("a"), Ok(number));
            prop_assert_eq!(reader.string("b"), Ok(text));
            prop_assert_eq!(reader.sized_bytes("c"), Ok(&raw[..]));
            prop_assert_eq!(reader.rest(), &raw[..]);
        }

        #[test]
        fn any_bytes_are_taken(bytes: Vec<u8>, len: usize) {
            let mut reader = Reader::new(&bytes);
            let _ = reader.int("a");
            let _ = reader.sized_bytes("b");
            let _ = reader.bytes(len, "c");
            let _ = reader.string("d");
            prop_assert!(reader.rest().len() <= bytes.len());
        }
    }
}
