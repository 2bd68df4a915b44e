//! The end of a run: when everything is in, or cannot come any more, it is judged and its report kept.

use std::collections::BTreeMap;
use std::path::Path;

use loadkit_core::{
    Conditions, Job, Judgement, Report, RunFacts, Seed, Stamp, Stop, Target, Verdict, format, names, write_report,
};
use loadkit_worker::{Key, StopWord, Store, StoreError, WorkerStatus, blob};

use super::Keeper;
use crate::error::FleetError;
use crate::fleet::ms;
use crate::record::{Ending, RunRecord, RunState};

/// Reports are kept so long: 400 days.
const KEPT_S: u64 = 400 * 86_400;
/// No report has more files.
const MAX_FILES: usize = 500;

/// The partition of a report's files.
pub(crate) fn report_part(run: loadkit_core::RunId) -> String {
    format!("report/{run}")
}

/// What the workers' ends add up to.
#[derive(Debug, Default)]
struct Sum {
    attempts_lost: u32,
    workers_lost: u32,
    missing: u64,
    snapshots_lost: u64,
    shards_lost: u32,
    cores: u32,
    teardown: Option<String>,
}

impl Keeper<'_> {
    /// Ends the run if nobody plays any more and all figures are in, or if its time is over.
    pub(super) async fn end_if_done(&mut self, now_ms: u64) -> Result<Option<RunRecord>, FleetError> {
        let over = self.has_started(now_ms) && self.run_ms(now_ms) >= self.whole_ms();
        let stopping = self.stopping_since_ms.is_some();
        let open = self.attempts.values().any(|attempt| attempt.is_open());
        let is_due = now_ms >= self.deadline_ms();
        let all_have_played = !self.attempts.is_empty() && !open && self.unplayed() == 0;
        if !is_due && (open || !(over || stopping || all_have_played)) {
            self.done_since_ms = None;
            if (over || stopping) && self.record.state == RunState::Running {
                self.record = self.fleet.change(self.run, |record| record.state = RunState::Draining).await?;
                self.fleet.list_run(&self.record).await?;
            }
            return Ok(None);
        }
        let since = *self.done_since_ms.get_or_insert(now_ms);
        if self.missing() > 0 {
            self.collation.sweep(&*self.fleet.store, now_ms).await?;
            self.take_faults();
        }
        let waited = now_ms.saturating_sub(since) >= ms(self.fleet.settings.tail);
        if self.missing() > 0 && !waited && !is_due {
            return Ok(None);
        }
        self.finish(now_ms).await.map(Some)
    }

    /// When the run is ended whatever has become of its workers, ms since 1970.
    fn deadline_ms(&self) -> u64 {
        let ending = ms(self.plan.grace() + self.fleet.settings.tail) + self.order.terms.lease_ms * 2;
        let stopped = self.stopping_since_ms.map_or(u64::MAX, |since| since + ending);
        self.record.deadline_ms.min(stopped)
    }

    /// Parcels that were sent, by all that is known, and have not come.
    fn missing(&self) -> u64 {
        let of = |((worker, number), attempt): (&(u32, u32), &super::Attempt)| {
            let end = attempt.lease.as_ref()?.end.as_ref()?;
            let came = self.collation.arrived(*worker, *number).map_or(0, |arrived| arrived.count());
            Some(u64::from(end.parcels.saturating_sub(end.parcels_lost)).saturating_sub(came))
        };
        self.attempts.iter().filter_map(of).sum()
    }

    /// Workers whose segment was not played to the end of each of its stretches.
    fn unplayed(&self) -> u32 {
        let has_played = |worker: u32| {
            self.staffing.generations.iter().all(|generation| {
                let of = self.attempts.range((worker, 0)..=(worker, u32::MAX));
                of.into_iter().any(|(_, attempt)| attempt.until_is(generation.until_ms) && attempt.has_played())
            })
        };
        (0..self.order.workers).filter(|&worker| !has_played(worker)).count() as u32
    }

    fn sum(&self) -> Sum {
        let mut sum = Sum { missing: self.missing(), cores: 1, ..Sum::default() };
        // A run that was told to stop ends early, and nobody is to blame.
        sum.workers_lost = if self.stopping_since_ms.is_some() { self.lost_while_stopping() } else { self.unplayed() };
        for attempt in self.attempts.values() {
            sum.attempts_lost += u32::from(attempt.was_lost_at_work());
            let Some(lease) = &attempt.lease else { continue };
            sum.cores = sum.cores.max(lease.status.cores);
            if let Some(end) = &lease.end {
                sum.snapshots_lost += end.snapshots_lost + u64::from(end.parcels_lost);
                sum.shards_lost += end.shards_lost;
                sum.teardown = sum.teardown.or_else(|| end.teardown.clone());
            }
        }
        sum
    }

    /// Workers whose latest attempt did not end by itself.
    fn lost_while_stopping(&self) -> u32 {
        let latest = (0..self.order.workers).filter_map(|worker| {
            self.attempts.range((worker, 0)..=(worker, u32::MAX)).next_back().map(|(_, attempt)| attempt)
        });
        latest.filter(|attempt| !attempt.has_played()).count() as u32
    }

    async fn finish(&mut self, now_ms: u64) -> Result<RunRecord, FleetError> {
        self.collation.sweep(&*self.fleet.store, now_ms).await?;
        self.take_faults();
        let sum = self.sum();
        let judgement = self.judge(&sum);
        let mut job = Job::whole(
            self.run,
            self.plan.clone(),
            // Its addresses are the workers' matter.
            Target::new(self.plan.target().unwrap_or_default(), Vec::new()),
            Seed::parse(&self.order.seed).unwrap_or(Seed(0)),
        );
        job.shards = self.order.shards.unwrap_or(sum.cores).saturating_mul(self.order.workers);
        let (client, scenario) = self.played_by();
        let mut facts = RunFacts::new(&job, scenario.as_str(), self.command.start_at_ms / 1_000);
        facts.client = client;
        facts.stamp = self.stamped();
        facts.build = self.record.request.build.clone();
        let report = Report::new(facts, self.collation.judge().collector(), judgement.clone());
        if let Err(why) = self.keep_report(report, now_ms).await {
            self.notes.insert(format!("the report could not be kept: {why}"));
        }
        for poison in self.fleet.poison(self.run).await? {
            self.notes.insert(format!("a message that named this run was no parcel: {}", poison.why));
        }
        self.write_notes(now_ms).await?;
        let (refused, _) = self.refused();
        let is_whole = sum.missing == 0 && sum.attempts_lost == 0 && sum.workers_lost == 0 && sum.snapshots_lost == 0;
        let ending = if is_whole { Ending::Complete } else { Ending::Partial };
        self.fleet
            .end(self.run, ending, |record| {
                record.scenario.clone_from(&scenario);
                record.judgement = Some(judgement.clone());
                record.attempts_lost = sum.attempts_lost;
                record.workers_lost = sum.workers_lost;
                record.workers_refused = refused;
                record.parcels_missing = sum.missing;
            })
            .await
    }

    /// The stamp of the workers' client. If they were of several builds, because the request allows it or because they are older
    /// than that rule, it is noted.
    fn stamped(&mut self) -> Option<Stamp> {
        let played = self.attempts.values().filter(|attempt| attempt.refused().is_none());
        let (stamp, mixed) = stamp_of(played.filter_map(|attempt| attempt.lease.as_ref()?.status.stamp.as_ref()));
        self.notes.extend(mixed);
        self.record.stamp.clone().or(stamp)
    }

    /// The client and its scenario, as the workers say, or else as the request does.
    fn played_by(&self) -> (String, String) {
        let said = || self.attempts.values().filter_map(|attempt| Some(&attempt.lease.as_ref()?.status));
        let first = |of: fn(&WorkerStatus) -> &String, else_: &str| {
            said().map(of).find(|text| !text.is_empty()).map_or_else(|| else_.to_owned(), String::clone)
        };
        (first(|one| &one.client, &self.order.client), first(|one| &one.scenario, &self.record.scenario))
    }

    fn judge(&self, sum: &Sum) -> Judgement {
        let judge = self.collation.judge();
        let totals = judge.collector().totals();
        let asked = match self.command.stop {
            // The run ended itself.
            _ if self.aborted => Stop::No,
            StopWord::No => Stop::No,
            StopWord::Drain => Stop::Drain,
            StopWord::Now => Stop::Now,
        };
        let conditions = Conditions {
            planned: self.plan.duration(),
            asked,
            snapshots_lost: sum.snapshots_lost + sum.missing,
            shards_lost: sum.shards_lost,
            teardown: sum.teardown.clone(),
            cores: sum.cores,
            sharp_timers: totals.count(names::COARSE_TIMERS) == 0,
        };
        let mut judgement = judge.judgement(&conditions);
        let (lost, workers) = (sum.workers_lost, self.order.workers);
        let allowed = self.allow_lost();
        let share = f64::from(lost) / f64::from(workers.max(1));
        let what =
            format!("{lost} of {} did not play to the end", format::counted(u64::from(workers), "worker", "workers"));
        if share > allowed {
            let text = format!(
                "{what}, and the run allows {}: the server had less load than it seems",
                format::share(allowed)
            );
            judgement.add(Verdict::Invalid, text);
        } else if lost > 0 {
            judgement.warnings.push(format!("{what}, which the run allows"));
        }
        let (refused, why) = self.refused();
        if refused > 0 {
            judgement.warnings.push(format!(
                "{} refused; of one {why}",
                format::counted(u64::from(refused), "worker was", "workers were")
            ));
        }
        if sum.attempts_lost > 0 {
            let lost = format::counted(u64::from(sum.attempts_lost), "attempt", "attempts");
            judgement
                .warnings
                .push(format!("{lost} of workers were lost on the way; the run's record says what is missing"));
        }
        judgement
    }

    /// Writes the report as everywhere, and keeps its files.
    async fn keep_report(&self, report: Report, now_ms: u64) -> Result<(), String> {
        let written = tokio::task::spawn_blocking(move || {
            let dir = tempfile::tempdir().map_err(|error| error.to_string())?;
            write_report(dir.path(), &report).map_err(|error| error.to_string())?;
            let mut files = Vec::new();
            read_files(dir.path(), "", &mut files).map_err(|error| error.to_string())?;
            Ok::<_, String>(files)
        });
        let files = written.await.map_err(|error| error.to_string())??;
        let part = report_part(self.run);
        for (name, bytes) in files {
            let key = Key::new(part.clone(), name);
            let kept = blob::put(&*self.fleet.store, &key, &bytes, Some(now_ms / 1_000 + KEPT_S)).await;
            kept.map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// Ends a run that never began.
    pub(super) async fn fail(&mut self, why: String) -> Result<RunRecord, FleetError> {
        let now_ms = self.fleet.clock.now_ms();
        self.fleet.say(self.run, |command| command.stop = StopWord::Now).await?;
        self.write_notes(now_ms).await?;
        let mut judgement =
            Judgement { verdict: Verdict::Pass, reasons: Vec::new(), warnings: Vec::new(), thresholds: Vec::new() };
        judgement.add(Verdict::Invalid, why);
        let (refused, _) = self.refused();
        let played = self.came().saturating_sub(refused);
        let lost = self.order.workers.saturating_sub(played);
        self.fleet
            .end(self.run, Ending::Failed, |record| {
                record.judgement = Some(judgement.clone());
                record.workers_lost = lost;
                record.workers_refused = refused;
            })
            .await
    }
}

fn read_files(dir: &Path, prefix: &str, into: &mut Vec<(String, Vec<u8>)>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            read_files(&entry.path(), &format!("{name}/"), into)?;
        } else if into.len() < MAX_FILES {
            into.push((name, std::fs::read(entry.path())?));
        }
    }
    Ok(())
}

/// A file of a run's report.
///
/// # Errors
/// See [`StoreError`].
pub async fn report_file(
    store: &dyn Store,
    run: loadkit_core::RunId,
    name: &str,
) -> Result<Option<Vec<u8>>, StoreError> {
    blob::get(store, &Key::new(report_part(run), name)).await
}

/// The stamp that clients have, and what to say if they have several.
fn stamp_of<'a>(stamps: impl Iterator<Item = &'a Stamp>) -> (Option<Stamp>, Option<String>) {
    let builds: BTreeMap<String, &Stamp> = stamps.map(|stamp| (stamp.id(), stamp)).collect();
    let mixed = (builds.len() > 1).then(|| {
        let ids: Vec<&str> = builds.keys().map(String::as_str).collect();
        format!("workers of several builds have played: {}", ids.join(", "))
    });
    (builds.into_values().next().cloned(), mixed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_builds_are_told() {
        let of = |build: &str| Stamp { client: "arena 1.0.0".into(), build: build.into(), ..Stamp::default() };
        let [one, same, other] = ["7", "7", "8"].map(of);
        assert_eq!(stamp_of([].into_iter()), (None, None));
        assert_eq!(stamp_of([&one, &same].into_iter()), (Some(one.clone()), None));
        let (_, mixed) = stamp_of([&one, &other].into_iter());
        let mixed = mixed.unwrap();
        assert!([&one, &other].iter().all(|stamp| mixed.contains(&stamp.id())), "{mixed}");
    }
}
