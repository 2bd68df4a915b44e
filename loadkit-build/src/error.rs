//! Why there are no messages.

use std::fmt;
use std::io;

/// Why nothing was generated. Its text says what is wrong where, one line for each fault; `Debug` is the same text,
/// because that is what a `build.rs` shows that returns it from `main`.
pub enum Error {
    /// A file is missing, or it is not Protobuf.
    Compile(protox::Error),
    /// The options make no sense: each line names the messages, their files and lines, and what to do.
    Schema(Vec<String>),
    /// What was generated could not be written, or `prost-build` refused.
    Io(io::Error),
    /// The generated code could not be put together: a fault of this crate.
    Generated(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Only its debug form says where.
            Error::Compile(error) => write!(f, "{error:?}"),
            Error::Schema(faults) => f.write_str(&faults.join("\n")),
            Error::Io(error) => write!(f, "{error}"),
            Error::Generated(what) => write!(f, "the generated code makes no sense, which is a fault of ours: {what}"),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the schema cannot be compiled:\n{self}")
    }
}

impl std::error::Error for Error {}

impl From<protox::Error> for Error {
    fn from(error: protox::Error) -> Error {
        Error::Compile(error)
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Error {
        Error::Io(error)
    }
}

impl From<syn::Error> for Error {
    fn from(error: syn::Error) -> Error {
        Error::Generated(error.to_string())
    }
}
