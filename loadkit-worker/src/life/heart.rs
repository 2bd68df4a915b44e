//! The heart-beat: renews the lease, and hears the fleet's latest word.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::{Log, Worker};
use crate::clock::Clock;
use crate::command::Command;
use crate::lease::{Phase, WorkerStatus};
use crate::line::{Beat, LineError};

/// What is known of the fleet.
#[derive(Clone, Debug)]
pub(super) struct Word {
    pub(super) command: Command,
    /// By how much our clock is ahead of the fleet's, ms.
    pub(super) ahead_ms: i64,
    /// The round trip by which that was found, ms: it is wrong by half of it at most.
    trip_ms: u64,
    /// When the last word that came was asked for: then the lease held.
    pub(super) heard: Instant,
    /// The segment is another's, or the run is gone; in words.
    pub(super) lost: Option<String>,
}

impl Word {
    /// From the answer to what was asked at `asked`, by the worker's clock `asked_ms`.
    pub(super) fn new(command: Command, now_ms: u64, asked: Instant, asked_ms: u64, clock: &dyn Clock) -> Word {
        let trip_ms = clock.now_ms().saturating_sub(asked_ms);
        let middle = asked_ms.saturating_add(trip_ms / 2);
        let ahead = i128::from(middle) - i128::from(now_ms);
        let ahead_ms = i64::try_from(ahead).unwrap_or(0);
        Word { command, ahead_ms, trip_ms, heard: asked, lost: None }
    }

    /// Takes a later word. Its clock counts if it was found by no longer a round trip.
    fn take(&mut self, later: Word) {
        let clock = if later.trip_ms <= self.trip_ms { &later } else { &*self };
        let (ahead_ms, trip_ms) = (clock.ahead_ms, clock.trip_ms);
        *self = Word { ahead_ms, trip_ms, ..later };
    }

    /// Milliseconds from the fleet's now to a time of its, negative if that has passed.
    pub(super) fn until(&self, fleet_ms: u64, clock: &dyn Clock) -> i64 {
        let now = i128::from(clock.now_ms()) - i128::from(self.ahead_ms);
        i64::try_from(i128::from(fleet_ms) - now).unwrap_or(i64::MAX)
    }
}

/// What the worker says of itself, shared by all who change or send it.
#[derive(Clone, Debug)]
pub(super) struct Said(Arc<(Mutex<(Phase, WorkerStatus)>, Notify)>);

impl Said {
    pub(super) fn new(status: WorkerStatus) -> Said {
        Said(Arc::new((Mutex::new((Phase::Waiting, status)), Notify::new())))
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut Phase, &mut WorkerStatus)) {
        // Nothing panics while it is held.
        let mut said = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (phase, status) = &mut *said;
        change(phase, status);
    }

    pub(super) fn now(&self) -> (Phase, WorkerStatus) {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The same, and the fleet hears of it at once.
    pub(super) fn tell(&self, change: impl FnOnce(&mut Phase, &mut WorkerStatus)) {
        self.change(change);
        self.0.1.notify_one();
    }

    async fn is_told(&self) {
        self.0.1.notified().await;
    }
}

/// Beats until it is dropped, or the lease is lost.
#[derive(Debug)]
pub(super) struct Heart {
    pub(super) word: watch::Receiver<Word>,
    task: JoinHandle<()>,
}

impl Heart {
    pub(super) fn start(worker: &Worker, said: &Said, word: Word, every: Duration, lease: Duration) -> Heart {
        let (sender, receiver) = watch::channel(word);
        let (worker, said) = (worker.clone(), said.clone());
        // A call that takes longer than a third of the lease is worth another.
        let limit = (lease / 3).clamp(Duration::from_secs(1), Duration::from_secs(10));
        Heart { word: receiver, task: tokio::spawn(beat(worker, said, sender, every, limit)) }
    }
}

impl Drop for Heart {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn beat(worker: Worker, said: Said, word: watch::Sender<Word>, every: Duration, limit: Duration) {
    let mut away = false;
    loop {
        // It is told again soon enough if that is not heard.
        let _ = timeout(every, said.is_told()).await;
        let (phase, status) = said.now();
        let (asked, asked_ms) = (Instant::now(), worker.clock.now_ms());
        let answer = timeout(limit, worker.line.beat(&worker.job, phase, &status)).await;
        let answer = answer.unwrap_or_else(|_| Err(LineError::Away(format!("no answer within {limit:?}"))));
        match answer {
            Ok(Beat::Held { command, now_ms }) => {
                told(&worker.log, &worker, &mut away, None);
                let later = Word::new(command, now_ms, asked, asked_ms, &*worker.clock);
                word.send_modify(|word| word.take(later));
                let ahead_ms = word.borrow().ahead_ms;
                said.change(|_, status| status.clock_ahead_ms = ahead_ms);
            }
            Ok(Beat::Lost) => return lose(&word, "the fleet has given the segment to another"),
            Err(LineError::UnknownRun) => return lose(&word, &LineError::UnknownRun.to_string()),
            Err(error) => told(&worker.log, &worker, &mut away, Some(&error)),
        }
    }
}

fn lose(word: &watch::Sender<Word>, why: &str) {
    word.send_modify(|word| word.lost = Some(why.to_owned()));
}

/// Says when the fleet is away, and when it is there again.
fn told(log: &Log, worker: &Worker, away: &mut bool, error: Option<&LineError>) {
    if error.is_some() == *away {
        return;
    }
    *away = error.is_some();
    match error {
        Some(error) => log.say(Some(&worker.job), "away", &error.to_string()),
        None => log.say(Some(&worker.job), "back", ""),
    }
}
