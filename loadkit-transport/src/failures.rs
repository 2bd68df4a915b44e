//! What the network's errors mean to whoever reads the report.

use std::io;

use loadkit_core::{Failure, Kind};

use crate::mem;

/// The network, and nothing that the kit knows more about.
const NETWORK: Kind = Kind::new("network");

/// An error of a link, told so that something can be done about it. `target` is as the user wrote it.
pub(crate) fn failure(error: &io::Error, target: &str) -> Failure {
    // EMFILE and ENFILE have no `ErrorKind` (errno(3)); their numbers are the same on all Unixes.
    if cfg!(unix) && matches!(error.raw_os_error(), Some(23 | 24)) {
        return Failure::new(
            Kind::DESCRIPTORS,
            format!("no more sockets may be opened ({error}): raise the limit (`ulimit -n`) or play fewer bots"),
        );
    }
    if error.kind() == io::ErrorKind::Other
        && let Some(told) = error.get_ref().and_then(|inner| inner.downcast_ref::<Failure>())
    {
        return Failure::new(told.kind(), format!("{target}: {told}"));
    }
    match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            let hint = match mem::name_in(target) {
                Some(_) => "start it on the shard's own thread, in `Scenario::shard`",
                None => "is the server running, and is this its port?",
            };
            Failure::new(Kind::REFUSED, format!("nobody listens at {target}: {hint}"))
        }
        io::ErrorKind::TimedOut => Failure::new(Kind::TIMED_OUT, format!("{target} did not answer")),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
            Failure::new(Kind::CLOSED, format!("{target} closed the connection"))
        }
        io::ErrorKind::InvalidData => {
            // Where a decoder has put its failure in, it knows best.
            let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Failure>());
            Failure::new(inner.map_or(Kind::TOO_LARGE, Failure::kind), format!("{target} sent {error}"))
        }
        io::ErrorKind::AddrInUse | io::ErrorKind::AddrNotAvailable => Failure::new(
            Kind::SOURCE_PORTS,
            format!("no free port to reach {target} from ({error}): give more source addresses, of this machine's own"),
        ),
        io::ErrorKind::InvalidInput | io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => {
            Failure::new(Kind::TARGET, format!("{target} cannot be reached: {error}"))
        }
        _ => Failure::new(NETWORK, format!("{target}: {error}")),
    }
}

/// Whether the kernel has no room now, for this socket or for all (ENOBUFS, which has no `ErrorKind`: 105 on Linux).
pub(crate) fn is_no_room(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock || cfg!(target_os = "linux") && error.raw_os_error() == Some(105)
}

/// An error of a link that knows itself what it means: [`failure`] adds the target's name, and no more.
#[cfg(feature = "ws")]
pub(crate) fn told(kind: Kind, message: impl Into<std::borrow::Cow<'static, str>>) -> io::Error {
    io::Error::other(Failure::new(kind, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_names_the_target_and_what_to_do() {
        let refused = failure(&io::ErrorKind::ConnectionRefused.into(), "localhost:9");
        assert_eq!(refused.kind(), Kind::REFUSED);
        assert_eq!(refused.message(), "nobody listens at localhost:9: is the server running, and is this its port?");
        assert_eq!(failure(&io::Error::from_raw_os_error(24), "x").kind(), Kind::DESCRIPTORS);
        assert_eq!(failure(&io::ErrorKind::UnexpectedEof.into(), "x").kind(), Kind::CLOSED);
        assert_eq!(failure(&io::ErrorKind::Other.into(), "x").kind(), NETWORK);
        let told = failure(&io::Error::other(Failure::new(Kind::MALFORMED, "what is this?")), "x");
        assert_eq!((told.kind(), told.message()), (Kind::MALFORMED, "x: what is this?"));
        let frame = |kind| io::Error::new(io::ErrorKind::InvalidData, Failure::new(kind, "a frame"));
        assert_eq!(failure(&frame(Kind::TOO_LARGE), "x").kind(), Kind::TOO_LARGE);
        assert_eq!(failure(&frame(Kind::MALFORMED), "x").message(), "x sent a frame");
        assert_eq!(failure(&frame(Kind::MALFORMED), "x").kind(), Kind::MALFORMED);
    }
}
