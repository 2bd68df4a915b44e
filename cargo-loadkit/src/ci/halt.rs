//! Ctrl-C, SIGTERM and SIGHUP, as words to whoever waits.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::exit::Failure;

/// What asks this process to end.
#[derive(Debug)]
pub(super) struct Halt {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl Halt {
    /// Listens from now on.
    pub(super) fn listen() -> Result<Halt, Failure> {
        let of = |kind: SignalKind| {
            signal(kind).map_err(|error| Failure::missing(format!("the system gives no signals: {error}")))
        };
        Ok(Halt {
            interrupt: of(SignalKind::interrupt())?,
            terminate: of(SignalKind::terminate())?,
            hang_up: of(SignalKind::hangup())?,
        })
    }

    /// The next one's name.
    pub(super) async fn said(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "Ctrl-C",
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.hang_up.recv() => "SIGHUP",
        }
    }

    /// That it has ended for that.
    pub(super) fn stopped(by: &str, during: &str) -> Failure {
        Failure::invalid(format!("stopped by {by} {during}: nothing was judged, and the servers have ended"))
    }
}
