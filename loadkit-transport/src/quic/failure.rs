//! How a connection ended, for whoever reads the report.

use loadkit_core::{Failure, Kind};
use quinn_proto::{ConnectionError, TransportErrorCode};

use crate::tls;

/// Alerts about a certificate are among 42 to 48 (RFC 8446, section 6), and come as errors from 0x100 on (RFC 9001,
/// section 4.8). 47 is about something else.
const CERTIFICATES: [u64; 6] = [0x100 + 42, 0x100 + 43, 0x100 + 44, 0x100 + 45, 0x100 + 46, 0x100 + 48];
const CRYPTO: std::ops::RangeInclusive<u64> = 0x100..=0x1FF;

/// Why the connection was lost.
pub(super) fn lost(why: &ConnectionError) -> Failure {
    match why {
        ConnectionError::ApplicationClosed(close) => {
            let reason = String::from_utf8_lossy(&close.reason);
            let reason = if reason.is_empty() { String::new() } else { format!(", {reason:?}") };
            Failure::new(Kind::CLOSED, format!("closed by the other side: {}{reason}", close.error_code))
        }
        ConnectionError::ConnectionClosed(close) if close.error_code == TransportErrorCode::CONNECTION_REFUSED => {
            Failure::new(Kind::REFUSED, "the server refuses new connections: is it full?")
        }
        ConnectionError::ConnectionClosed(close) => {
            let kind = if CRYPTO.contains(&close.error_code.into()) { tls::TLS } else { Kind::CLOSED };
            Failure::new(kind, format!("ended by the other side: {close}"))
        }
        ConnectionError::TransportError(error) if CERTIFICATES.contains(&error.code.into()) => {
            tls::unverified(&error.reason)
        }
        ConnectionError::TransportError(error) if CRYPTO.contains(&error.code.into()) => {
            Failure::new(tls::TLS, format!("TLS failed: {error}"))
        }
        ConnectionError::TransportError(error) => {
            Failure::new(Kind::MALFORMED, format!("the other side broke the protocol: {error}"))
        }
        ConnectionError::TimedOut => Failure::new(Kind::TIMED_OUT, "nothing has come from the other side any more"),
        ConnectionError::Reset => Failure::new(Kind::CLOSED, "the other side knows nothing of the connection any more"),
        ConnectionError::LocallyClosed => by_this_side(),
        ConnectionError::VersionMismatch | ConnectionError::CidsExhausted => {
            Failure::new(Kind::TARGET, format!("no connection can be made: {why}"))
        }
    }
}

pub(super) fn by_this_side() -> Failure {
    Failure::new(Kind::CLOSED, "closed by this side")
}
