//! Why there is no answer.

use std::fmt;
use std::time::Duration;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HttpError {
    /// The URL is none, or not of a kind that this was built with.
    Url(String),
    /// Nobody could be reached there.
    Connect {
        /// Where.
        to: String,
        /// Why not.
        why: String,
    },
    /// It was sent, in part at least, and then the connection broke.
    Broken {
        /// Where.
        to: String,
        /// How.
        why: String,
    },
    /// There was no answer in time.
    TimedOut {
        /// Where.
        to: String,
        /// In which time.
        limit: Duration,
    },
    /// The answer is longer than it may be.
    TooLong {
        /// From where.
        from: String,
        /// How many bytes it may have.
        limit: usize,
    },
}

impl HttpError {
    /// Whether the server may have done what was asked.
    pub fn may_be_done(&self) -> bool {
        !matches!(self, HttpError::Url(_) | HttpError::Connect { .. })
    }

    /// Whether another try may help.
    pub fn may_pass(&self) -> bool {
        !matches!(self, HttpError::Url(_) | HttpError::TooLong { .. })
    }
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HttpError::Url(why) => write!(f, "this is no URL to call: {why}"),
            HttpError::Connect { to, why } => write!(f, "{to} cannot be reached: {why}"),
            HttpError::Broken { to, why } => write!(f, "the connection to {to} broke: {why}"),
            HttpError::TimedOut { to, limit } => write!(f, "{to} did not answer within {limit:?}"),
            HttpError::TooLong { from, limit } => write!(f, "{from} answers with more than {limit} bytes"),
        }
    }
}

impl std::error::Error for HttpError {}
