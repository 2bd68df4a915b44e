//! What went wrong, as data: every failure has a kind to count by and a message to read.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;

/// The result of what a bot does; `?` turns any error into an [`Error`].
pub type Result<T = (), E = Error> = std::result::Result<T, E>;

/// What a failure is counted by. Kinds are few and fixed; what differs from case to case belongs in the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind(&'static str);

impl Kind {
    /// Nothing came in the time allowed.
    pub const TIMED_OUT: Kind = Kind("timed-out");
    /// The server, or its machine, refused the connection.
    pub const REFUSED: Kind = Kind("refused");
    /// The other side closed the connection.
    pub const CLOSED: Kind = Kind("closed");
    /// Bytes that the protocol or the codec does not allow.
    pub const MALFORMED: Kind = Kind("malformed");
    /// A frame or a message over the allowed size.
    pub const TOO_LARGE: Kind = Kind("too-large");
    /// A queue is full: the peer, or the bot, does not keep up.
    pub const BACKLOG: Kind = Kind("backlog");
    /// The target cannot be used with this connection.
    pub const TARGET: Kind = Kind("target");
    /// The server answered, but not with what was asked for.
    pub const UNEXPECTED: Kind = Kind("unexpected-reply");
    /// Not all members of a party came to a rendezvous in time.
    pub const RENDEZVOUS: Kind = Kind("rendezvous-unmet");
    /// The process, or the system, has no descriptor left. The load generator's fault: it makes the run invalid.
    pub const DESCRIPTORS: Kind = Kind("descriptors");
    /// No port is free at a source address. The load generator's fault: it makes the run invalid.
    pub const SOURCE_PORTS: Kind = Kind("source-ports");
    /// A seat has no row of the plan's accounts or data: the load was dialled above the rows of the file.
    pub const NO_ROW: Kind = Kind("no-row");
    /// A wait ended because the bot was asked to leave. Never counted as a failure.
    pub const STOPPED: Kind = Kind("stopped");
    /// The bot's own code panicked.
    pub const PANIC: Kind = Kind("panic");

    /// A kind of the caller's own, in kebab case: `Kind::new("login-refused")`.
    pub const fn new(name: &'static str) -> Kind {
        Kind(name)
    }

    /// The kind's name, as reports show it.
    pub const fn name(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// A failure of the kit or of a bot, of a known kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    kind: Kind,
    message: Cow<'static, str>,
}

impl Failure {
    /// A failure of `kind`; `message` says what happened, where, and if possible what to do.
    pub fn new(kind: Kind, message: impl Into<Cow<'static, str>>) -> Failure {
        Failure { kind, message: message.into() }
    }

    /// What it is counted by.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What happened.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Failure {}

/// Why a bot, or a step of it, failed. Made from any error by `?`.
///
/// It is counted by [`Error::kind`]: the kind of the first [`Failure`] in the chain of sources, the kind of an
/// [`std::io::Error`], or else the name of the error's type.
pub struct Error(Box<Inner>);

/// Boxed, so that a result is one word: bots keep results in their futures.
struct Inner {
    kind: Cow<'static, str>,
    source: Box<dyn StdError>,
    /// A step has kept its message already.
    sampled: bool,
}

impl Error {
    /// An error with a kind of the caller's own.
    pub fn new(kind: &'static str, message: impl Into<Cow<'static, str>>) -> Error {
        Error::from(Failure::new(Kind::new(kind), message))
    }

    /// What it is counted by.
    pub fn kind(&self) -> &str {
        &self.0.kind
    }

    /// Whether it only says that the bot was asked to leave while it waited. It is not counted as a failure.
    pub fn is_stopped(&self) -> bool {
        self.kind() == Kind::STOPPED.name()
    }

    /// Its message. An error of a bot's own may panic as it is shown.
    pub(crate) fn message(&self) -> String {
        crate::engine::contain(|| self.to_string()).unwrap_or_else(|panic| panic.to_string())
    }

    /// Whether its message is still to be kept as a sample; only the first who asks is told so.
    pub(crate) fn take_sample(&mut self) -> bool {
        !std::mem::replace(&mut self.0.sampled, true)
    }

    /// The error as a type of its own, if it is one.
    pub fn downcast_ref<E: StdError + 'static>(&self) -> Option<&E> {
        self.0.source.downcast_ref()
    }
}

impl<E: StdError + 'static> From<E> for Error {
    fn from(error: E) -> Error {
        Error(Box::new(Inner { kind: kind_of(&error), source: Box::new(error), sampled: false }))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.source)?;
        let mut cause = self.0.source.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {self}", self.0.kind)
    }
}

fn kind_of<E: StdError + 'static>(error: &E) -> Cow<'static, str> {
    let mut link: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = link {
        if let Some(failure) = error.downcast_ref::<Failure>() {
            return Cow::Borrowed(failure.kind().name());
        }
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            return Cow::Owned(kebab(&format!("{:?}", io.kind())));
        }
        link = error.source();
    }
    let name = std::any::type_name::<E>();
    Cow::Owned(kebab(name.rsplit("::").next().unwrap_or(name)))
}

/// `ConnectionRefused` as `connection-refused`.
pub(crate) fn kebab(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 4);
    for (i, c) in name.chars().enumerate() {
        if c.is_uppercase() && i > 0 {
            out.push('-');
        }
        out.extend(c.to_lowercase());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Outer(Failure);
    impl fmt::Display for Outer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("outer")
        }
    }
    impl StdError for Outer {
        fn source(&self) -> Option<&(dyn StdError + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn kinds_come_from_the_chain_from_io_or_from_the_type() {
        let chained = Error::from(Outer(Failure::new(Kind::CLOSED, "bye")));
        assert_eq!((chained.kind(), chained.to_string().as_str()), ("closed", "outer: bye"));
        let io = Error::from(std::io::Error::from(std::io::ErrorKind::ConnectionRefused));
        assert_eq!(io.kind(), "connection-refused");
        let parse = Error::from("x".parse::<i32>().unwrap_err());
        assert_eq!(parse.kind(), "parse-int-error");
        assert_eq!(Error::new("no-gold", "12 missing").kind(), "no-gold");
    }
}
