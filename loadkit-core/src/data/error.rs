//! What can be wrong with a file of rows.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;

/// Why a file of rows cannot be used.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum DataError {
    /// The file cannot be read: check its path and its rights.
    Read {
        /// The file.
        file: String,
        /// What the operating system says.
        source: Arc<io::Error>,
    },
    /// The name does not say how the rows are written: use `.csv` or `.jsonl`.
    Kind {
        /// The file.
        file: String,
    },
    /// The file is larger than 1 GiB: split it, or leave out columns that the bots do not use.
    TooLarge {
        /// The file.
        file: String,
    },
    /// A part of the file is wrong: mend that line.
    Line {
        /// The file.
        file: String,
        /// The line, from 1.
        line: u64,
        /// What is wrong.
        why: String,
        /// What to do about it.
        help: String,
    },
    /// There are fewer rows than seats: add rows or plan fewer players.
    TooFew {
        /// The file.
        file: String,
        /// How many rows it has.
        rows: u64,
        /// How many are needed.
        wanted: u64,
        /// What they are rows of: accounts, or the name of the data.
        what: String,
    },
}

impl fmt::Display for DataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DataError::Read { file, source } => write!(f, "{file} cannot be read: {source}"),
            DataError::Kind { file } => {
                write!(f, "{file} is of an unknown kind: use a file that ends in .csv or .jsonl")
            }
            DataError::TooLarge { file } => {
                write!(f, "{file} is larger than 1 GiB: split it, or leave out columns that the bots do not use")
            }
            DataError::Line { file, line, why, help } => write!(f, "{file}:{line}: {why}: {help}"),
            DataError::TooFew { file, rows, wanted, what } => {
                let (rows, wanted) = (grouped(*rows), grouped(*wanted));
                write!(f, "the plan seats {wanted} players, {file} has {rows} rows of {what}: add rows or lower `bots`")
            }
        }
    }
}

impl Error for DataError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            DataError::Read { source, .. } => Some(source.as_ref()),
            _ => None,
        }
    }
}

/// `1,000` for 1000.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A line of a file.
pub(super) struct Place<'a> {
    file: &'a str,
    line: u64,
}

impl<'a> Place<'a> {
    /// The line of the byte at `offset`.
    pub(super) fn new(file: &'a str, bytes: &[u8], offset: usize) -> Place<'a> {
        let before = bytes.iter().take(offset).filter(|byte| **byte == b'\n').count();
        Place::line(file, before as u64 + 1)
    }

    pub(super) fn line(file: &'a str, line: u64) -> Place<'a> {
        Place { file, line }
    }

    pub(super) fn refuse(&self, why: impl Into<String>, help: impl Into<String>) -> DataError {
        DataError::Line { file: self.file.to_owned(), line: self.line, why: why.into(), help: help.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_grouped() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }
}
