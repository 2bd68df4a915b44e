//! Who plays each segment: starts who is missing, gives up who is silent, and has the next generation take over in time.

use std::collections::BTreeMap;

use loadkit_core::format;
use loadkit_worker::{Expect, Job, Lease, Phase, StoreError, WorkerStatus, build_of, keys, put_json};

use super::Keeper;
use crate::crew::Crew;
use crate::error::FleetError;
use crate::fleet::ms;
use crate::staff::Generation;

/// Leases read at a time.
const PAGE: usize = 200;
/// At most so many workers are started in a pass, so that the others are looked after too.
const STARTS_A_PASS: usize = 500;
/// Nobody is started for the last moments of a stretch, ms.
const WORTH_MS: u64 = 5_000;
/// A start that the cloud refused is tried again after so long, and twice as long each time, up to eight times as long, ms.
const RETRY_MS: u64 = 2_000;

/// An attempt at a segment, as the keeper sees it.
#[derive(Debug)]
pub(super) struct Attempt {
    from_ms: u64,
    until_ms: Option<u64>,
    /// When it was started, by this keeper's clock; the cloud said so.
    started_ms: Option<u64>,
    /// Starts that were refused, and when to try again.
    refused: u32,
    retry_ms: u64,
    pub(super) lease: Option<Lease>,
    version: u64,
    /// When the lease was seen to have changed.
    changed_ms: u64,
}

impl Attempt {
    /// One of which nothing is known yet but what it is to play.
    fn new(from_ms: u64, until_ms: Option<u64>, now_ms: u64) -> Attempt {
        let (started_ms, refused, retry_ms, lease, version) = (None, 0, 0, None, 0);
        Attempt { from_ms, until_ms, started_ms, refused, retry_ms, lease, version, changed_ms: now_ms }
    }

    fn is_of(&self, generation: &Generation) -> bool {
        self.until_is(generation.until_ms) && self.from_ms >= generation.from_ms
    }

    pub(super) fn until_is(&self, until_ms: Option<u64>) -> bool {
        self.until_ms == until_ms
    }

    fn phase(&self) -> Option<Phase> {
        self.lease.as_ref().map(|lease| lease.phase)
    }

    /// It does not play its stretch to the end: it never came, was lost, or was ended by its home.
    pub(super) fn is_lost(&self) -> bool {
        matches!(self.phase(), Some(Phase::Lost | Phase::Absent)) || self.cut_short().is_some()
    }

    /// Why it ended before its time, in its own words.
    fn cut_short(&self) -> Option<&str> {
        self.lease.as_ref()?.end.as_ref()?.cut_short.as_deref()
    }

    /// It came, and was lost with what it had not sent.
    pub(super) fn was_lost_at_work(&self) -> bool {
        self.phase() == Some(Phase::Lost)
    }

    /// Why it does not play, if that is because it is of another build.
    pub(super) fn refused(&self) -> Option<&str> {
        let end = self.lease.as_ref()?.end.as_ref()?;
        end.error.as_deref().filter(|_| end.refused)
    }

    /// It lives, or may yet come.
    pub(super) fn is_open(&self) -> bool {
        self.phase().is_none_or(|phase| phase < Phase::Ended)
    }

    /// It played its stretch to the end.
    pub(super) fn has_played(&self) -> bool {
        let end = self.lease.as_ref().and_then(|lease| lease.end.as_ref());
        self.phase() == Some(Phase::Ended) && end.is_some_and(|end| end.error.is_none() && end.cut_short.is_none())
    }
}

impl Keeper<'_> {
    /// Reads what has become of all leases.
    pub(super) async fn read_leases(&mut self) -> Result<(), FleetError> {
        for part in 0..keys::parts(self.order.workers) {
            let part = keys::lease_part(self.run, part);
            let mut after: Option<String> = None;
            loop {
                let page = self.fleet.store.list(&part, "", after.as_deref(), PAGE).await?;
                let now_ms = self.fleet.clock.now_ms();
                for item in page.items {
                    match serde_json::from_slice::<Lease>(&item.body) {
                        Ok(lease) => self.take_lease(lease, item.version, now_ms),
                        Err(error) => {
                            self.notes.insert(format!("the lease {} cannot be read: {error}", item.key));
                        }
                    }
                }
                match page.more {
                    Some(more) => after = Some(more),
                    None => break,
                }
            }
        }
        Ok(())
    }

    fn take_lease(&mut self, lease: Lease, version: u64, now_ms: u64) {
        let new = || Attempt::new(lease.from_ms, lease.until_ms, now_ms);
        let attempt = self.attempts.entry((lease.worker, lease.attempt)).or_insert_with(new);
        if attempt.version != version {
            let error = lease.end.as_ref().and_then(|end| end.error.as_ref());
            if let Some(error) = error {
                let what =
                    if lease.end.as_ref().is_some_and(|end| end.refused) { "was refused" } else { "could not play" };
                self.notes.insert(format!("worker {} {what}: {error}", lease.worker));
            }
            if let Some(why) = lease.end.as_ref().and_then(|end| end.cut_short.as_ref()) {
                self.notes.insert(format!("worker {} ended before its time: {why}", lease.worker));
            }
            (attempt.version, attempt.changed_ms, attempt.lease) = (version, now_ms, Some(lease));
        }
    }

    /// How many workers do not play because they are of another build, and the words of one of them.
    pub(super) fn refused(&self) -> (u32, &str) {
        let mut workers: BTreeMap<u32, &str> = BTreeMap::new();
        workers.extend(self.attempts.iter().filter_map(|((worker, _), attempt)| Some((*worker, attempt.refused()?))));
        (workers.len() as u32, workers.into_values().next().unwrap_or_default())
    }

    /// Writes into the record which build plays, once somebody has claimed.
    pub(super) async fn tell_build(&mut self) -> Result<(), FleetError> {
        let has_claimed = self.attempts.values().any(|attempt| attempt.lease.is_some());
        if !has_claimed || self.record.stamp.is_some() || self.order.mixed_builds {
            return Ok(());
        }
        if let Some(stamp) = build_of(&*self.fleet.store, self.run).await? {
            self.record = self.fleet.change(self.run, |record| record.stamp = Some(stamp.clone())).await?;
        }
        Ok(())
    }

    /// How many workers are where.
    pub(super) fn crew(&self) -> Crew {
        let mut crew = Crew { workers: self.order.workers, ..Crew::default() };
        // Of a worker's attempts the latest that came counts.
        let mut latest: BTreeMap<u32, Phase> = BTreeMap::new();
        for ((worker, _), attempt) in &self.attempts {
            latest.extend(attempt.phase().map(|phase| (*worker, phase)));
            crew.lost += u32::from(attempt.is_lost());
        }
        for phase in latest.into_values() {
            match phase {
                Phase::Waiting => crew.claimed += 1,
                Phase::Playing | Phase::Draining => crew.playing += 1,
                Phase::Ended => crew.ended += 1,
                Phase::Lost | Phase::Absent => {}
            }
        }
        crew
    }

    /// Has someone play each segment in each generation whose time it is.
    pub(super) async fn staff(&mut self, now_ms: u64) -> Result<(), FleetError> {
        self.give_up_the_silent(now_ms).await?;
        let run_ms = self.run_ms(now_ms);
        let lead = ms(self.staffing.usual.lead);
        let last_ms = ms(self.plan.duration());
        let due: Vec<Generation> = self.staffing.generations.clone();
        let due = due.into_iter().filter(|one| {
            let begins = one.from_ms == 0 || one.from_ms <= run_ms + lead;
            begins && run_ms + WORTH_MS < one.until_ms.unwrap_or(last_ms.max(WORTH_MS * 2))
        });
        let mut jobs = Vec::new();
        let line = self.fleet.address(self.run).await?;
        for generation in due {
            for worker in 0..self.order.workers {
                let Some(number) = self.to_start(worker, &generation, now_ms) else { continue };
                let mut job = Job::new(self.run, worker, line.clone());
                job.attempt = number;
                job.from_ms = generation.from_ms.max(if self.has_started(now_ms) { run_ms } else { 0 });
                job.until_ms = generation.until_ms;
                job.hand_over_to = self.staffing.hand_over_to.map(|home| home.to_string());
                jobs.push(job);
            }
        }
        jobs.truncate(STARTS_A_PASS);
        self.start(&jobs, now_ms).await;
        Ok(())
    }

    /// The attempt to be started at this segment in this generation, if one is.
    fn to_start(&self, worker: u32, generation: &Generation, now_ms: u64) -> Option<u32> {
        let mut next = 0;
        let mut tries = 0;
        let mut latest = None;
        for ((_, number), attempt) in self.attempts.range((worker, 0)..=(worker, u32::MAX)) {
            next = number + 1;
            if attempt.is_of(generation) {
                tries += 1;
                latest = Some((*number, attempt));
            }
        }
        match latest {
            None => Some(next),
            Some((number, attempt)) if attempt.lease.is_none() && attempt.started_ms.is_none() => {
                (attempt.retry_ms <= now_ms).then_some(number)
            }
            Some((_, attempt)) => (attempt.is_lost() && tries < self.fleet.settings.attempts).then_some(next),
        }
    }

    async fn start(&mut self, jobs: &[Job], now_ms: u64) {
        let Some(launcher) = self.fleet.launchers.get(&self.staffing.home) else { return };
        if jobs.is_empty() {
            return;
        }
        let answers = launcher.start(jobs).await;
        let started_at = self.fleet.clock.now_ms();
        for (job, answer) in jobs.iter().zip(answers) {
            let new = || Attempt::new(job.from_ms, job.until_ms, now_ms);
            let attempt = self.attempts.entry((job.worker, job.attempt)).or_insert_with(new);
            match answer {
                Ok(_) => attempt.started_ms = Some(started_at),
                Err(why) => {
                    attempt.retry_ms = started_at + (RETRY_MS << attempt.refused.min(3));
                    attempt.refused += 1;
                    self.notes.insert(format!("{} does not start a worker: {why}", self.staffing.home));
                }
            }
            if job.attempt > 0 && job.from_ms == 0 {
                self.notes.insert(format!("worker {} was started again (attempt {})", job.worker, job.attempt));
            } else if job.attempt > 0 {
                let at = format::clock(std::time::Duration::from_millis(job.from_ms));
                self.notes.insert(format!("worker {} goes on at {at} with attempt {}", job.worker, job.attempt));
            }
        }
    }

    /// Gives up attempts that were started and never came, and those that came and are silent.
    async fn give_up_the_silent(&mut self, now_ms: u64) -> Result<(), FleetError> {
        let patience = ms(self.staffing.usual.patience);
        // A beat may be on its way, and the store may be slow.
        let silence = self.order.terms.lease_ms + self.order.terms.beat_ms;
        let silent = self.attempts.iter().filter(|(_, attempt)| match (&attempt.lease, attempt.started_ms) {
            (None, Some(started)) => now_ms.saturating_sub(started) > patience,
            (None, None) => false,
            (Some(_), _) => attempt.is_open() && now_ms.saturating_sub(attempt.changed_ms) > silence,
        });
        let silent: Vec<(u32, u32)> = silent.map(|(key, _)| *key).collect();
        for (worker, number) in silent {
            self.give_up(worker, number, now_ms).await?;
        }
        Ok(())
    }

    async fn give_up(&mut self, worker: u32, number: u32, now_ms: u64) -> Result<(), FleetError> {
        let at = self.clock_of(now_ms);
        let Some(attempt) = self.attempts.get_mut(&(worker, number)) else { return Ok(()) };
        let (expect, lease, note) = match &attempt.lease {
            Some(lease) => {
                let lease = Lease { phase: Phase::Lost, ..lease.clone() };
                let sent = self.collation.arrived(worker, number);
                let (parcels, to_us) = sent.map_or((0, 0), |sent| (sent.count(), sent.to_us));
                let to = format::clock(std::time::Duration::from_micros(to_us));
                let note = format!(
                    "worker {worker} (attempt {number}) was given up at {at}: it was silent. {parcels} of its parcels are \
                     in, up to {to}; what it gathered after that is missing"
                );
                (Expect::Version(attempt.version), lease, note)
            }
            None => {
                let mut job = Job::new(self.run, worker, self.fleet.address(self.run).await?);
                (job.attempt, job.from_ms, job.until_ms) = (number, attempt.from_ms, attempt.until_ms);
                let lease = Lease::new(&job, Phase::Absent, WorkerStatus::default(), now_ms);
                (Expect::Absent, lease, format!("worker {worker} (attempt {number}) was started and never came"))
            }
        };
        match put_json(&*self.fleet.store, keys::lease(self.run, worker, number), &lease, expect).await {
            Ok(version) => {
                (attempt.version, attempt.changed_ms, attempt.lease) = (version, now_ms, Some(lease));
                self.notes.insert(note);
                Ok(())
            }
            // It has just been heard of.
            Err(StoreError::Conflict(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
