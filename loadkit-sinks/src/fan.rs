//! `MetricSink -> MetricSink + Sink, Sink, …`: every snapshot goes to the collector, and every interval to each sink.
//!
//! **No sink ever makes anybody wait.** Each has a bounded queue of its own, and all have one thread, away from the
//! shards'. An interval for which there is no room is dropped, counted and reported.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use loadkit_core::{Failure, MetricSink, Snapshot};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, oneshot};

use crate::interval::Interval;
use crate::losses::{Delivery, SINK_DROPPED, SINK_ERRORS, counted};
use crate::merge::Merger;
use crate::sink::Sink;

/// How a [`Fan`] treats its sinks.
#[derive(Clone, Copy, Debug)]
pub struct FanOptions {
    /// How often each shard sends a snapshot.
    pub interval: Duration,
    /// How many shards there are.
    pub shards: u32,
    /// Intervals that wait for a sink; each costs the memory of its figures, some 10 KB with 20 steps.
    pub queue: usize,
    /// How long all sinks together may take at the end for what they still have.
    pub flush: Duration,
    /// The time since 1970, read once.
    pub now: fn() -> Duration,
}

impl FanOptions {
    /// Sixteen intervals in the queue, and 5 s at the end.
    pub fn new(interval: Duration, shards: u32, now: fn() -> Duration) -> FanOptions {
        FanOptions { interval, shards, queue: 16, flush: Duration::from_secs(5), now }
    }
}

/// A sink of snapshots with live sinks beside it.
///
/// Hand it to [`loadkit_core::run`] in the place of `inner`, and [`finish`](Fan::finish) it afterwards. Without any sink it
/// only hands on.
#[derive(Debug)]
pub struct Fan<S> {
    inner: S,
    merger: Merger,
    outlets: Vec<Outlet>,
    now: fn() -> Duration,
    epoch_us: Option<u64>,
    flush: Duration,
    /// Says when all sinks have ended.
    ended: Option<Receiver<()>>,
    /// Ends the thread when it goes, whatever the sinks do.
    alive: Option<oneshot::Sender<()>>,
}

/// The way to one sink.
#[derive(Debug)]
struct Outlet {
    name: &'static str,
    place: String,
    queue: Option<mpsc::Sender<Arc<Interval>>>,
    taken: Arc<Taken>,
    given: u64,
    dropped: u64,
    /// Of which the intervals so far have told.
    told_dropped: u64,
    told_errors: u64,
}

/// What a sink's task says of it.
#[derive(Debug, Default)]
struct Taken {
    delivered: AtomicU64,
    errors: AtomicU64,
    figures_left_out: AtomicU64,
    last_error: Mutex<Option<String>>,
}

impl Taken {
    fn failed(&self, error: &impl ToString) {
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
    }
}

impl<S: MetricSink> Fan<S> {
    /// Starts the sinks on a thread of their own, if there are any.
    ///
    /// # Errors
    /// When the system gives no thread or no runtime.
    pub fn start(inner: S, sinks: Vec<Box<dyn Sink>>, options: &FanOptions) -> std::io::Result<Fan<S>> {
        let FanOptions { interval, shards, queue, flush, now } = *options;
        let mut fan = Fan {
            inner,
            merger: Merger::new(interval, shards as usize),
            outlets: Vec::new(),
            now,
            epoch_us: None,
            flush,
            ended: None,
            alive: None,
        };
        if sinks.is_empty() {
            return Ok(fan);
        }
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let mut work = Vec::new();
        for sink in sinks {
            let (sender, intervals) = mpsc::channel(queue.max(1));
            let taken = Arc::<Taken>::default();
            fan.outlets.push(Outlet::new(&*sink, sender, taken.clone()));
            work.push(serve(sink, intervals, taken));
        }
        let (tell_end, ended) = sync_channel(1);
        let (alive, gone) = oneshot::channel();
        std::thread::Builder::new().name("sinks".into()).spawn(move || {
            play(&runtime, work, gone);
            // A write that hangs is left behind with its thread: nobody waits for it.
            runtime.shutdown_background();
            let _ = tell_end.send(());
        })?;
        (fan.ended, fan.alive) = (Some(ended), Some(alive));
        Ok(fan)
    }

    /// Gives out what is left, and waits a bounded time for the sinks. What became of each.
    pub fn finish(mut self) -> (S, Vec<Delivery>) {
        self.merger.end();
        self.give_all();
        for outlet in &mut self.outlets {
            outlet.queue = None;
        }
        if let Some(ended) = &self.ended
            && let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(self.flush)
        {
            drop(self.alive.take());
        }
        (self.inner, self.outlets.iter().map(Outlet::delivery).collect())
    }

    fn give_all(&mut self) {
        while let Some(mut interval) = self.merger.next() {
            interval.epoch_us = self.epoch_us.unwrap_or(0);
            let losses: Vec<_> = self.outlets.iter_mut().map(Outlet::news).collect();
            for (name, dropped, errors) in losses {
                counted(SINK_DROPPED, name, dropped, |name, n| *interval.counts.entry(name).or_default() += n);
                counted(SINK_ERRORS, name, errors, |name, n| *interval.counts.entry(name).or_default() += n);
            }
            let interval = Arc::new(interval);
            for outlet in &mut self.outlets {
                outlet.give(&interval);
            }
        }
    }
}

#[async_trait]
impl<S: MetricSink> MetricSink for Fan<S> {
    async fn publish(&mut self, snapshot: &Snapshot) -> Result<(), Failure> {
        let published = self.inner.publish(snapshot).await;
        if !self.outlets.is_empty() {
            // A snapshot is cut and sent at once, so the run began so long ago.
            let now = self.now;
            self.epoch_us.get_or_insert_with(|| {
                u64::try_from(now().as_micros()).unwrap_or(u64::MAX).saturating_sub(snapshot.to_us)
            });
            self.merger.add(snapshot);
            self.give_all();
        }
        published
    }
}

impl Outlet {
    fn new(sink: &dyn Sink, queue: mpsc::Sender<Arc<Interval>>, taken: Arc<Taken>) -> Outlet {
        Outlet {
            name: sink.name(),
            place: sink.place(),
            queue: Some(queue),
            taken,
            given: 0,
            dropped: 0,
            told_dropped: 0,
            told_errors: 0,
        }
    }

    fn give(&mut self, interval: &Arc<Interval>) {
        self.given += 1;
        // Full: the sink is slow. Closed: it has panicked.
        if self.queue.as_ref().is_none_or(|queue| queue.try_send(interval.clone()).is_err()) {
            self.dropped += 1;
        }
    }

    /// What was lost since the last call: intervals dropped, and intervals not taken.
    fn news(&mut self) -> (&'static str, u64, u64) {
        let errors = self.taken.errors.load(Ordering::Relaxed);
        let news = (self.name, self.dropped - self.told_dropped, errors.saturating_sub(self.told_errors));
        (self.told_dropped, self.told_errors) = (self.dropped, errors);
        news
    }

    fn delivery(&self) -> Delivery {
        let delivered = self.taken.delivered.load(Ordering::Relaxed);
        let errors = self.taken.errors.load(Ordering::Relaxed);
        Delivery {
            sink: self.name,
            place: self.place.clone(),
            intervals: self.given,
            // What still waited at the end is lost as well.
            dropped: self.given.saturating_sub(delivered).saturating_sub(errors),
            errors,
            figures_left_out: self.taken.figures_left_out.load(Ordering::Relaxed),
            last_error: self.taken.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}

/// Runs the sinks until all have ended, or until the fan is gone.
fn play(runtime: &Runtime, work: Vec<impl Future<Output = ()> + Send + 'static>, gone: oneshot::Receiver<()>) {
    let tasks: Vec<_> = work.into_iter().map(|sink| runtime.spawn(sink)).collect();
    let all = async {
        for task in tasks {
            // A sink that panics is lost alone: its queue is closed, and what it misses is counted.
            let _ = task.await;
        }
    };
    runtime.block_on(async {
        tokio::select! {
            () = all => {}
            _ = gone => {}
        }
    });
}

/// A sink's whole life.
async fn serve(mut sink: Box<dyn Sink>, mut intervals: mpsc::Receiver<Arc<Interval>>, taken: Arc<Taken>) {
    if let Err(error) = sink.begin().await {
        taken.failed(&error);
    }
    while let Some(interval) = intervals.recv().await {
        match sink.take(&interval).await {
            Ok(left_out) => {
                taken.figures_left_out.fetch_add(left_out, Ordering::Relaxed);
                taken.delivered.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => {
                taken.failed(&error);
                taken.errors.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
    sink.end().await;
}

#[cfg(test)]
mod tests;
