//! The way of the figures out: `snapshots -> parcels -> texts -> line`, bounded at each step.
//!
//! **What cannot be sent waits; when too much waits, no more snapshots are taken, and the shards join their intervals.** So a
//! fleet that is away for long costs resolution in time, and loses nothing. Figures are lost only when the worker has to go:
//! then they are counted.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use loadkit_core::Snapshot;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};

use super::Worker;
use super::backoff::Backoff;
use super::heart::Said;
use super::play::at;
use crate::line::LineError;
use crate::parcel::{Parcel, Parcels};

/// Snapshots on their way from the engine.
pub(super) const UNDER_WAY: usize = 16;
/// Snapshots of one parcel, at most.
const MAX_GATHERED: usize = 256;
/// Texts that wait, bytes, before no more snapshots are taken.
const MAX_WAITING: usize = 16 << 20;
/// Texts of one call: with the longest of them it is a megabyte.
const MAX_TEXTS: usize = 5;
/// A call gets so long.
const MAX_CALL: Duration = Duration::from_secs(10);

/// What was sent, and what was not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) parcels: u32,
    pub(super) parcels_lost: u32,
    pub(super) snapshots_lost: u64,
}

/// A text of a parcel.
struct Waiting {
    parcel: u32,
    text: String,
}

/// What a call took with it, and what became of it.
type Call = Pin<Box<dyn Future<Output = (Vec<Waiting>, Result<usize, LineError>)> + Send>>;

pub(super) struct Post {
    worker: Worker,
    said: Said,
    every: Duration,
    snapshots: mpsc::Receiver<Snapshot>,
    gathered: Vec<Snapshot>,
    parcels: Parcels,
    waiting: VecDeque<Waiting>,
    waiting_bytes: usize,
    call: Option<Call>,
    /// The parcels of the call that is under way.
    calling: Vec<u32>,
    retry_at: Option<Instant>,
    backoff: Backoff,
    /// Players at work and planned, a shard each.
    players: Vec<(u64, u64)>,
    sent: Sent,
    last_lost: Option<u32>,
}

/// What happened next.
enum Turn {
    Came(Box<Snapshot>),
    AllCame,
    Pack,
    Called(Vec<Waiting>, Result<usize, LineError>),
    Retry,
    Over,
}

impl Post {
    /// Sends what comes until all has been sent, or until the last call, which may be set later.
    pub(super) fn start(
        worker: &Worker,
        said: &Said,
        every: Duration,
        snapshots: mpsc::Receiver<Snapshot>,
        last_call: watch::Receiver<Option<Instant>>,
    ) -> JoinHandle<Sent> {
        let job = &worker.job;
        let post = Post {
            worker: worker.clone(),
            said: said.clone(),
            every,
            snapshots,
            gathered: Vec::new(),
            parcels: Parcels::new(job.run, job.worker, job.attempt),
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            call: None,
            calling: Vec::new(),
            retry_at: None,
            backoff: Backoff::default(),
            players: Vec::new(),
            sent: Sent::default(),
            last_lost: None,
        };
        tokio::spawn(post.run(last_call))
    }

    async fn run(mut self, mut last_call: watch::Receiver<Option<Instant>>) -> Sent {
        let mut pack_at = Instant::now() + self.every;
        let mut all_came = false;
        while !(all_came && self.gathered.is_empty() && self.waiting.is_empty() && self.call.is_none()) {
            let full = self.waiting_bytes >= MAX_WAITING;
            match self.turn(pack_at, all_came, full, &mut last_call).await {
                Turn::Came(snapshot) => {
                    self.look_at(&snapshot);
                    self.gathered.push(*snapshot);
                }
                Turn::AllCame => all_came = true,
                Turn::Pack => {
                    self.pack();
                    pack_at = Instant::now() + self.every;
                }
                Turn::Called(texts, result) => self.called(texts, result),
                Turn::Retry => self.retry_at = None,
                Turn::Over => break,
            }
            self.call_next();
        }
        self.give_up()
    }

    async fn turn(
        &mut self,
        pack_at: Instant,
        all_came: bool,
        full: bool,
        last_call: &mut watch::Receiver<Option<Instant>>,
    ) -> Turn {
        let over_at = *last_call.borrow_and_update();
        let many = self.gathered.len() >= MAX_GATHERED;
        if !full && !self.gathered.is_empty() && (all_came || many) {
            return Turn::Pack;
        }
        let (call, retry_at) = (self.call.as_mut(), self.retry_at);
        tokio::select! {
            biased;
            () = at(over_at) => Turn::Over,
            (texts, result) = called(call) => Turn::Called(texts, result),
            () = at(retry_at) => Turn::Retry,
            came = self.snapshots.recv(), if !full && !many && !all_came => came.map_or(Turn::AllCame, |snapshot| Turn::Came(Box::new(snapshot))),
            () = sleep_until(pack_at), if !full && !self.gathered.is_empty() => Turn::Pack,
            // The last call has been set: look again.
            Ok(()) = last_call.changed() => Turn::Retry,
        }
    }

    fn look_at(&mut self, snapshot: &Snapshot) {
        let shard = snapshot.key.shard as usize;
        // Shards are numbered from 0; a number beyond all machines is nobody's.
        if shard < 4_096 {
            if self.players.len() <= shard {
                self.players.resize(shard + 1, (0, 0));
            }
            if let Some(players) = self.players.get_mut(shard) {
                *players = (snapshot.active, snapshot.planned);
            }
        }
        let sum = |one: fn(&(u64, u64)) -> u64| self.players.iter().map(one).fold(0, u64::saturating_add);
        let (active, planned) = (sum(|players| players.0), sum(|players| players.1));
        self.said.change(|_, status| (status.active, status.planned) = (active, planned));
    }

    fn pack(&mut self) {
        let gathered = std::mem::take(&mut self.gathered);
        self.pack_some(&gathered);
    }

    /// Packs these, in halves if they are too many for a parcel.
    fn pack_some(&mut self, snapshots: &[Snapshot]) {
        let number = self.parcels.count();
        match self.parcels.pack(snapshots) {
            Ok(pieces) => {
                for text in pieces.iter().map(Parcel::to_text) {
                    self.waiting_bytes += text.len();
                    self.waiting.push_back(Waiting { parcel: number, text });
                }
            }
            Err(error) if snapshots.len() < 2 => {
                self.sent.snapshots_lost += snapshots.len() as u64;
                self.worker.log.say(Some(&self.worker.job), "error", &error.to_string());
            }
            Err(_) => {
                let (first, second) = snapshots.split_at(snapshots.len() / 2);
                self.pack_some(first);
                self.pack_some(second);
            }
        }
    }

    fn call_next(&mut self) {
        if self.call.is_some() || self.retry_at.is_some() || self.waiting.is_empty() {
            return;
        }
        let batch: Vec<Waiting> = self.waiting.drain(..self.waiting.len().min(MAX_TEXTS)).collect();
        let worker = self.worker.clone();
        self.calling = batch.iter().map(|text| text.parcel).collect();
        self.call = Some(Box::pin(async move {
            let (numbers, texts): (Vec<u32>, Vec<String>) = batch.into_iter().map(|w| (w.parcel, w.text)).unzip();
            let result = timeout(MAX_CALL, worker.line.report(&worker.job, &texts)).await;
            let result = result.unwrap_or_else(|_| Err(LineError::Away(format!("no answer within {MAX_CALL:?}"))));
            let waiting = numbers.into_iter().zip(texts).map(|(parcel, text)| Waiting { parcel, text });
            (waiting.collect(), result)
        }));
    }

    fn called(&mut self, mut texts: Vec<Waiting>, result: Result<usize, LineError>) {
        self.call = None;
        let gone = match &result {
            Ok(taken) => (*taken).min(texts.len()),
            // What is refused once will be refused again, and would keep all others from being sent.
            Err(LineError::Refused(_) | LineError::UnknownRun) => texts.len().min(1),
            Err(LineError::Away(_)) => 0,
        };
        for text in texts.drain(..gone) {
            self.waiting_bytes = self.waiting_bytes.saturating_sub(text.text.len());
            if result.is_err() {
                self.lose(text.parcel);
            }
        }
        match result {
            Ok(taken) if taken > 0 => self.backoff.reset(),
            _ => self.retry_at = Some(Instant::now() + self.backoff.next()),
        }
        texts.into_iter().rev().for_each(|text| self.waiting.push_front(text));
        let first = self.waiting.front().map_or(self.parcels.count(), |text| text.parcel);
        let sent = first.saturating_sub(self.sent.parcels_lost);
        self.said.change(|_, status| status.parcels = sent);
    }

    /// Counts a parcel of which a piece will not be sent. They come in order.
    fn lose(&mut self, parcel: u32) {
        if self.last_lost.replace(parcel) != Some(parcel) {
            self.sent.parcels_lost += 1;
        }
    }

    /// Counts what is still here.
    fn give_up(mut self) -> Sent {
        // A call under way may have been taken: better to count too much than too little.
        if self.call.take().is_some() {
            std::mem::take(&mut self.calling).into_iter().for_each(|parcel| self.lose(parcel));
        }
        for text in std::mem::take(&mut self.waiting) {
            self.lose(text.parcel);
        }
        self.snapshots.close();
        let mut unpacked = self.gathered.len() as u64;
        while self.snapshots.try_recv().is_ok() {
            unpacked += 1;
        }
        let (parcels, snapshots_lost) = (self.parcels.count(), self.sent.snapshots_lost + unpacked);
        Sent { parcels, snapshots_lost, ..self.sent }
    }
}

/// The end of the call that is under way.
async fn called(call: Option<&mut Call>) -> (Vec<Waiting>, Result<usize, LineError>) {
    match call {
        Some(call) => call.await,
        None => std::future::pending().await,
    }
}
