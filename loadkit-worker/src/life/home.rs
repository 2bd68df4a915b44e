//! Where a worker lives, and how its home tells it that it has to go.

use tokio::sync::watch;
use tokio::time::Instant;

/// The home's word: when the process has to be gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Notice {
    /// Then the process is ended, whatever it does. A worker asks its players to leave in time.
    pub gone_by: Option<Instant>,
    /// Players are to be asked to leave now.
    pub leave: bool,
}

/// Where a worker lives.
#[derive(Clone, Debug)]
pub struct Home {
    kind: String,
    name: String,
    notice: watch::Receiver<Notice>,
}

impl Home {
    /// A home of this kind (`lambda`, `fargate`, `process`) that lets its worker live as long as it likes. The name is the
    /// worker's there; two processes never have the same.
    pub fn new(kind: impl Into<String>, name: impl Into<String>) -> Home {
        // A receiver keeps its last value when the sender is gone.
        Home { kind: kind.into(), name: name.into(), notice: watch::channel(Notice::default()).1 }
    }

    /// The same, which gives notice here.
    #[must_use]
    pub fn with_notice(self, notice: watch::Receiver<Notice>) -> Home {
        Home { notice, ..self }
    }

    /// `lambda`, `fargate`, `process`.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The worker's name there.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn notice(&self) -> watch::Receiver<Notice> {
        self.notice.clone()
    }
}

/// The next notice. A home that has gone silent gives none.
pub(super) async fn changed(notice: &mut watch::Receiver<Notice>) {
    if notice.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}
