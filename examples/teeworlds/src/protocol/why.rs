//! Why a connection is over, in words.

use super::{HANDSHAKE_TIMEOUT, TIMEOUT};
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
    Failure::new(
        Kind::TIMED_OUT,
        format!("no Teeworlds 0.7 server answered within {HANDSHAKE_TIMEOUT:?}"),
    )
}

pub(super) fn silence() -> Failure {
    Failure::new(
        Kind::TIMED_OUT,
        format!("the server was silent, or acknowledged nothing, for {TIMEOUT:?}"),
    )
}

pub(super) fn goodbye() -> Failure {
    Failure::new(Kind::CLOSED, "closed by this end")
}
