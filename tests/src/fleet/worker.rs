//! A worker that keeps all of a worker's agreements, and whose players are arithmetic.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use loadkit::core::{Histogram, HistogramDelta, Plan, Segment, Snapshot, SnapshotKey, Stamp, StepDelta};
use loadkit_worker::{
    Beat, Claim, Clock, Command, Job, Line, LineError, Order, Parcel, Parcels, Phase, StopWord, StoreLine,
    VirtualClock, WorkerEnd, WorkerStatus,
};
use tokio::time::Instant;

use super::{Ledger, Metered, Moving, Queue, Style};

/// What goes wrong with an attempt.
#[derive(Clone, Copy, Debug, Default)]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// The cloud does not start it, and says why.
    Refused(&'static str),
    /// The cloud does not start it so many times, and says why; then it does.
    RefusedAtFirst(u32, &'static str),
    /// The cloud says that it was started, and it never comes.
    NeverStarts,
    /// It is started twice.
    Twice,
    /// It is killed at this time of the run.
    Killed(Duration),
    /// Its home ends it at this time of the run, as SIGTERM does: its players leave, it sends everything, and says so.
    CutShort(Duration),
    /// It is killed when it has this many parcels unsent in its memory, by not sending any more from then on.
    Mute(Duration),
    /// Its clock is ahead by so much.
    ClockAhead(Duration),
    /// It is of this build, and all others are of another.
    Build(&'static str),
}

pub(super) struct Life {
    pub(super) job: Job,
    pub(super) order: Order,
    pub(super) fault: Fault,
    pub(super) style: Style,
    pub(super) store: Arc<Metered<Moving>>,
    pub(super) queue: Arc<Queue>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) clock: VirtualClock,
}

impl Life {
    pub(super) async fn live(self) {
        if matches!(self.fault, Fault::NeverStarts) {
            return;
        }
        let clock: Arc<dyn Clock> = match self.fault {
            Fault::ClockAhead(by) => Arc::new(self.clock.fast_by(by)),
            _ => Arc::new(self.clock),
        };
        let line = StoreLine::new(self.store.clone(), self.queue.clone(), clock);
        let Ok(plan) = Plan::parse(&self.order.plan, "the plan") else { return };
        let mut command = loop {
            match line.claim(&self.job, &self.status()).await {
                Ok(Claim::Granted { command, .. }) => break command,
                Ok(_) | Err(LineError::Refused(_)) => return,
                Err(_) => tokio::time::sleep(Duration::from_millis(300)).await,
            }
        };
        let beat = Duration::from_millis(self.order.terms.beat_ms);
        // By the fleet's time: a real worker corrects its clock.
        let now_ms = || self.clock.now_ms();
        while now_ms() < command.start_at_ms + self.job.from_ms {
            let left = Duration::from_millis(command.start_at_ms + self.job.from_ms - now_ms());
            tokio::time::sleep(beat.min(left)).await;
            match self.beat(&line, Phase::Waiting, &self.status()).await {
                Ok(Beat::Held { command: newer, .. }) => command = newer,
                Ok(Beat::Lost) => return,
                Err(_) => {}
            }
            if command.stop > StopWord::No {
                let _ = line.close(&self.job, &self.status(), &WorkerEnd::default()).await;
                return;
            }
        }
        self.play(&line, &plan, command).await;
    }

    fn status(&self) -> WorkerStatus {
        let build = if let Fault::Build(build) = self.fault { build } else { BUILD };
        let stamp = Stamp { client: "made up 1.0.0".into(), build: build.into(), ..Stamp::default() };
        WorkerStatus { client: stamp.client.clone(), stamp: Some(stamp), ..WorkerStatus::default() }
    }

    /// Renews the lease; tries again where the store is asked for too much, as a real line does.
    async fn beat(&self, line: &StoreLine, phase: Phase, status: &WorkerStatus) -> Result<Beat, LineError> {
        let mut beat = line.beat(&self.job, phase, status).await;
        for _ in 0..3 {
            if beat.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
                beat = line.beat(&self.job, phase, status).await;
            }
        }
        beat
    }

    async fn play(&self, line: &StoreLine, plan: &Plan, mut command: Command) {
        let begin_ms = self.clock.now_ms().saturating_sub(command.start_at_ms);
        let start = Instant::now() - Duration::from_millis(begin_ms);
        let until = Duration::from_millis(self.job.until_ms.unwrap_or(u64::MAX)).min(plan.duration());
        let mut parcels = Parcels::new(self.job.run, self.job.worker, self.job.attempt);
        let mut players = Players::new(self, plan, Duration::from_millis(begin_ms));
        let (mut held, mut unsent): (Vec<Snapshot>, Vec<(String, Vec<Snapshot>)>) = (Vec::new(), Vec::new());
        let mut next = Duration::from_millis(begin_ms);
        let (mut sent_at, mut beat_at) = (next, next);
        let mut ends = until;
        let mut cut_short = None;
        loop {
            next = self.style.after(next);
            tokio::time::sleep_until(start + next).await;
            let at = start.elapsed();
            match self.fault {
                Fault::Killed(when) if at >= when => return,
                Fault::CutShort(when) if at >= when && cut_short.is_none() => {
                    cut_short = Some(CUT_SHORT.to_owned());
                    ends = ends.min(at);
                }
                _ => {}
            }
            held.push(players.until(next, next > ends));
            if at >= sent_at + Duration::from_millis(self.order.terms.report_ms) || next > ends {
                sent_at = at;
                if let Ok(pieces) = parcels.pack(&held) {
                    let texts: Vec<String> = pieces.iter().map(Parcel::to_text).collect();
                    let last = texts.len().saturating_sub(1);
                    for (i, text) in texts.into_iter().enumerate() {
                        unsent.push((text, if i == last { std::mem::take(&mut held) } else { Vec::new() }));
                    }
                }
                let mute = matches!(self.fault, Fault::Mute(when) if at >= when);
                while !mute && !unsent.is_empty() {
                    let texts: Vec<String> = unsent.iter().map(|(text, _)| text.clone()).collect();
                    match line.report(&self.job, &texts).await {
                        Ok(taken) => {
                            for (_, snapshots) in unsent.drain(..taken).filter(|_| self.style.game.is_none()) {
                                self.ledger.add((self.job.worker, self.job.attempt), snapshots);
                            }
                        }
                        Err(_) => break,
                    }
                }
            }
            if next > ends {
                break;
            }
            if at >= beat_at + Duration::from_millis(self.order.terms.beat_ms) {
                beat_at = at;
                let status =
                    WorkerStatus { active: players.active, planned: players.planned, cores: 2, ..self.status() };
                match self.beat(line, Phase::Playing, &status).await {
                    Ok(Beat::Held { command: newer, .. }) => command = newer,
                    Ok(Beat::Lost) => return,
                    Err(_) => {}
                }
                players.dial = command.dial;
                if command.stop > StopWord::No {
                    ends = ends.min(at);
                }
            }
        }
        let end = WorkerEnd {
            parcels: parcels.count(),
            parcels_lost: unsent.len() as u32,
            handed_over: self.job.until_ms.is_some(),
            cut_short,
            ..WorkerEnd::default()
        };
        while line.close(&self.job, &self.status(), &end).await.is_err() {
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }
}

/// A segment's players: all that the plan wants are there, and each takes a step a second.
struct Players {
    key: SnapshotKey,
    plan: Plan,
    segment: Segment,
    style: Style,
    told: Duration,
    planned: u64,
    active: u64,
    dial: f64,
}

impl Players {
    fn new(life: &Life, plan: &Plan, begin: Duration) -> Players {
        let key =
            SnapshotKey { run: life.job.run, worker: life.job.worker, shard: 0, attempt: life.job.attempt, seq: 0 };
        let segment = Segment::new(u64::from(life.job.worker), u64::from(life.order.workers)).unwrap_or(Segment::WHOLE);
        let (told, style) = (begin, life.style.clone());
        Players { key, plan: plan.clone(), segment, style, told, planned: 0, active: 0, dial: 1.0 }
    }

    /// What is told of the time up to then.
    fn until(&mut self, to: Duration, over: bool) -> Snapshot {
        let from = std::mem::replace(&mut self.told, to);
        let micros = |time: Duration| time.as_micros() as u64;
        let mut snapshot = Snapshot::empty(self.key, micros(from), micros(to));
        self.key.seq += 1;
        let all = if over { 0 } else { self.plan.shape().population(from) };
        let planned = (self.segment.seat_count(all, self.plan.party()) as f64 * self.dial) as u64;
        snapshot.started = planned.saturating_sub(self.active);
        snapshot.finished = self.active.saturating_sub(planned);
        self.active = planned;
        self.planned = planned;
        (snapshot.planned, snapshot.active, snapshot.connected) = (planned, planned, planned);
        if let Some(game) = &self.style.game {
            game.play(&mut snapshot);
            self.active = snapshot.active;
            return snapshot;
        }
        for step in 0..STEPS {
            // Times that depend on who, what and when, and are the same each time.
            let of =
                |i: u64| 1_000 + (i * 7_919 + u64::from(self.key.worker) * 104_729 + self.key.seq * 31 + step) % 5_000;
            let response = delta((0..planned.min(PLAYERS_TIMED)).map(of));
            let service = response.clone();
            snapshot.steps.push((format!("step-{step}"), StepDelta { service, response, ..StepDelta::default() }));
        }
        snapshot.counts.push(("loadkit.ticks".into(), planned));
        snapshot
    }
}

/// The delta of these times, as a recorder has it.
pub(super) fn delta(times: impl Iterator<Item = u64>) -> HistogramDelta {
    let (mut buckets, mut sum): (BTreeMap<u64, u64>, u128) = (BTreeMap::new(), 0);
    let (mut min, mut max) = (u64::MAX, 0);
    for time in times {
        *buckets.entry(bucket_of(time)).or_default() += 1;
        sum += u128::from(time);
        (min, max) = (min.min(time), max.max(time));
    }
    HistogramDelta { buckets: buckets.into_iter().collect(), sum, min, max }
}

/// The value of the bucket that holds a time. A histogram is asked once for each.
fn bucket_of(time: u64) -> u64 {
    static BUCKETS: OnceLock<Vec<u64>> = OnceLock::new();
    let buckets = BUCKETS.get_or_init(|| {
        let mut histogram = Histogram::new();
        (0..LONGEST).for_each(|time| histogram.record(time));
        let all = histogram.buckets().flat_map(|(value, count)| std::iter::repeat_n(value, count as usize));
        all.collect()
    });
    buckets.get(time as usize).copied().unwrap_or(time)
}

/// All times are below, microseconds.
const LONGEST: u64 = 8_192;

/// The build of all that are not said to be of another.
const BUILD: &str = "7";
/// What a worker says that its home has ended.
const CUT_SHORT: &str = "its home told it to leave";
/// Steps of each player.
const STEPS: u64 = 3;
/// So many players' times are in the figures of a second: enough for a histogram of a busy worker.
const PLAYERS_TIMED: u64 = 20;
