//! The engine on a thread of its own, and the way of its snapshots to the worker.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use loadkit_core as core;
use loadkit_core::{Control, Ended, Failure, Kind, MetricSink, Snapshot, Window};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::client::Client;
use super::keep::Keep;
use crate::lease::WorkerEnd;

/// How the engine ended: or in words, why it never began.
pub(super) type Played = Result<WorkerEnd, String>;

/// An engine on a thread of its own.
pub(super) struct Engine {
    /// Comes when it is set up; none once that has come, or it has ended before.
    set_up: Option<oneshot::Receiver<()>>,
    is_set_up: bool,
    /// When it is to begin: it waits for that.
    go: Option<oneshot::Sender<Duration>>,
    /// Comes when it has ended; none once that has come.
    ended: Option<oneshot::Receiver<Played>>,
}

impl Engine {
    /// Starts it: it does its set-up, and waits.
    pub(super) fn start(
        client: Arc<dyn Client>,
        job: core::Job,
        control: Control,
        snapshots: mpsc::Sender<Snapshot>,
    ) -> io::Result<Engine> {
        let (sender, ended) = oneshot::channel();
        let (done, set_up) = oneshot::channel();
        let (go, begin) = oneshot::channel();
        std::thread::Builder::new().name("engine".into()).spawn(move || {
            let mut sink = Gather { snapshots, keep: Keep::of(&job) };
            let mut waits = Some((done, begin));
            let mut start = || {
                let (done, begin) = waits.take()?;
                // If the worker has gone, so has the time to begin.
                let _ = done.send(());
                begin.blocking_recv().ok().map(|from| Window { from, ..job.window })
            };
            let played = catch_unwind(AssertUnwindSafe(|| client.play(&job, &control, &mut sink, &mut start)));
            // The worker knows by the end of the channel that all snapshots are out.
            drop(sink);
            let _ = sender.send(match played {
                Ok(played) => played.map(of).map_err(|error| error.to_string()),
                Err(panic) => Err(format!("the client panicked: {}", message(&*panic))),
            });
        })?;
        Ok(Engine { set_up: Some(set_up), is_set_up: false, go: Some(go), ended: Some(ended) })
    }

    /// Whether it is set up, and waits.
    pub(super) fn is_set_up(&self) -> bool {
        self.is_set_up
    }

    /// Waits until it is; in words, why it has ended before. May be dropped and called again until it is.
    pub(super) async fn set_up(&mut self) -> Result<(), String> {
        if let Some(set_up) = &mut self.set_up {
            self.is_set_up = set_up.await.is_ok();
            self.set_up = None;
        }
        if self.is_set_up {
            return Ok(());
        }
        Err(self.ended().await.err().unwrap_or_else(|| "the client ended before it began".into()))
    }

    /// Has it begin, at this time of the run.
    pub(super) fn begin(&mut self, from: Duration) {
        // One that has ended meanwhile says so.
        let _ = self.go.take().map(|go| go.send(from));
    }

    /// Waits for its end. May be dropped and called again until it comes.
    pub(super) async fn ended(&mut self) -> Played {
        let died = || Err("the engine's thread died".to_owned());
        let Some(ended) = &mut self.ended else { return died() };
        let played = ended.await.unwrap_or_else(|_| died());
        self.ended = None;
        played
    }

    /// Nobody is to play: waits until it has ended, at most so long. Whether it has not.
    pub(super) async fn call_off(mut self, most: Duration) -> bool {
        drop(self.go.take());
        self.ended.is_some() && timeout(most, self.ended()).await.is_err()
    }
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
