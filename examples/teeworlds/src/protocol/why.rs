//! Why a connection is over, or does not take a message, in words.

use super::{HANDSHAKE_TIMEOUT, MAX_MESSAGE, TIMEOUT};
use loadkit::transport::Channel;
use loadkit::{Failure, Kind};

/// The server has said goodbye; before that, it may have let the client `in`.
pub(super) fn closed_by_server(reason: &[u8], was_in: bool) -> Failure {
    let kind = if was_in { Kind::CLOSED } else { Kind::REFUSED };
    match String::from_utf8_lossy(reason) {
        reason if reason.is_empty() => Failure::new(kind, "the server closed the connection"),
        reason => Failure::new(kind, format!("the server closed the connection: {reason}")),
    }
}

pub(super) fn no_answer() -> Failure {
    Failure::new(Kind::TIMED_OUT, format!("no Teeworlds 0.7 server answered within {HANDSHAKE_TIMEOUT:?}"))
}

pub(super) fn silence() -> Failure {
    Failure::new(Kind::TIMED_OUT, format!("the server was silent, or acknowledged nothing, for {TIMEOUT:?}"))
}

pub(super) fn goodbye() -> Failure {
    Failure::new(Kind::CLOSED, "closed by this end")
}

pub(super) fn not_connected() -> Failure {
    Failure::new(Kind::CLOSED, "there is no connection to send on")
}

pub(super) fn too_long(len: usize) -> Failure {
    Failure::new(Kind::TOO_LARGE, format!("a message of {len} bytes; Teeworlds has none over {MAX_MESSAGE}"))
}

pub(super) fn no_such_channel(channel: Channel) -> Failure {
    Failure::new(Kind::TARGET, format!("Teeworlds has the channels ORDERED and UNRELIABLE, not {channel:?}"))
}

pub(super) fn full() -> Failure {
    Failure::new(Kind::BACKLOG, "the queue is full: the server does not acknowledge")
}
