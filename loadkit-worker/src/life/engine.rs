//! The engine on a thread of its own, and the way of its snapshots to the worker.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use async_trait::async_trait;
use loadkit_core as core;
use loadkit_core::{Control, Ended, Failure, Kind, MetricSink, Snapshot};
use tokio::sync::{mpsc, oneshot};

use super::client::Client;
use super::keep::Keep;
use crate::lease::WorkerEnd;

/// How the engine ended: or in words, why it never began.
pub(super) type Played = Result<WorkerEnd, String>;

/// Starts it. Nothing comes back if the thread dies.
pub(super) fn start(
    client: Arc<dyn Client>,
    job: core::Job,
    control: Control,
    snapshots: mpsc::Sender<Snapshot>,
) -> io::Result<oneshot::Receiver<Played>> {
    let (sender, ended) = oneshot::channel();
    std::thread::Builder::new().name("engine".into()).spawn(move || {
        let mut sink = Gather { snapshots, keep: Keep::of(&job) };
        let played = catch_unwind(AssertUnwindSafe(|| client.play(&job, &control, &mut sink)));
        // The worker knows by the end of the channel that all snapshots are out.
        drop(sink);
        let _ = sender.send(match played {
            Ok(played) => played.map(of).map_err(|error| error.to_string()),
            Err(panic) => Err(format!("the client panicked: {}", message(&*panic))),
        });
    })?;
    Ok(ended)
}

/// Hands snapshots to the worker, and waits when it has enough of them: meanwhile the shards join their intervals, and
/// nothing is lost. When the worker takes no more, they are.
struct Gather {
    snapshots: mpsc::Sender<Snapshot>,
    keep: Keep,
}

#[async_trait]
impl MetricSink for Gather {
    async fn publish(&mut self, snapshot: &Snapshot) -> Result<(), Failure> {
        self.keep.write(snapshot);
        let sent = self.snapshots.send(snapshot.clone()).await;
        sent.map_err(|_| Failure::new(Kind::CLOSED, "the worker takes no more snapshots"))
    }
}

fn of(ended: Ended) -> WorkerEnd {
    WorkerEnd {
        snapshots_lost: ended.snapshots_lost,
        shards_lost: ended.shards_lost,
        teardown: ended.teardown.map(|error| error.to_string()),
        ..WorkerEnd::default()
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a message")
}
