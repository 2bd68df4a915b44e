//! The fleet: what it is made of, and what can be asked of it.
//!
//! **A launch only writes.** It checks the request, writes the run, and answers; the run's keeper ([`crate::Keeper`]) does the
//! rest. So a caller that dies, or a launch that is cut off half way, leaves nothing that is not taken up.

mod launch;
mod standing;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use loadkit_core::{RunId, Verdict};
use loadkit_worker::{Address, Clock, Command, Expect, Key, StopWord, Store, StoreError, get_json, keys, put_json};
use serde::{Deserialize, Serialize};

use crate::collect::poison_part;
use crate::error::FleetError;
use crate::guard::Guard;
use crate::launcher::{Home, Launcher};
use crate::notify::{Happening, Notifier};
use crate::patient::Patient;
use crate::record::{Ending, RunRecord, RunState};
use crate::settings::{Settings, WorkerLine};

/// The partition of all runs, the latest first.
const RUNS: &str = "runs";
/// A run's worker token.
const TOKEN: &str = "token";
/// How often a change of a record is tried anew when somebody else was faster.
const TRIES: usize = 20;
/// How far the load can be turned up and down.
pub const DIAL: std::ops::RangeInclusive<f64> = 0.5..=2.0;

/// A run in the list of all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "api", derive(utoipa::ToSchema))]
pub struct RunLine {
    /// The run.
    pub id: RunId,
    /// When it was asked for, ms since 1970.
    pub created_at_ms: u64,
    /// The scenario.
    pub scenario: String,
    /// The server under test.
    pub target: String,
    /// The build of the server under test.
    pub build: String,
    /// By whom.
    pub by: String,
    /// How far it has come.
    pub state: RunState,
    /// What it said about the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
}

/// A fleet: clones are the same one.
#[derive(Clone, Debug)]
pub struct Fleet {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) launchers: Arc<BTreeMap<Home, Arc<dyn Launcher>>>,
    pub(crate) notifier: Arc<dyn Notifier>,
    pub(crate) guard: Arc<dyn Guard>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) settings: Arc<Settings>,
}

impl Fleet {
    /// A fleet over this store, with these launchers.
    pub fn new(
        store: Arc<dyn Store>,
        launchers: impl IntoIterator<Item = Arc<dyn Launcher>>,
        notifier: Arc<dyn Notifier>,
        guard: Arc<dyn Guard>,
        clock: Arc<dyn Clock>,
        settings: Settings,
    ) -> Fleet {
        let store = Arc::new(Patient(store));
        let launchers = launchers.into_iter().map(|launcher| (launcher.home(), launcher)).collect();
        Fleet { store, launchers: Arc::new(launchers), notifier, guard, clock, settings: Arc::new(settings) }
    }

    /// The store.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// The clock.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Runs, the latest first, at most `limit` of them behind this one.
    ///
    /// # Errors
    /// See [`FleetError`].
    pub async fn list(&self, after: Option<&RunLine>, limit: usize) -> Result<Vec<RunLine>, FleetError> {
        let after = after.map(|line| place_in_list(line.created_at_ms, line.id));
        let page = self.store.list(RUNS, "", after.as_deref(), limit).await?;
        let read = |item: &loadkit_worker::Item| {
            serde_json::from_slice(&item.body)
                .map_err(|error| StoreError::Malformed { key: item.key.clone(), why: error.to_string() }.into())
        };
        page.items.iter().map(read).collect()
    }

    /// A run's record.
    ///
    /// # Errors
    /// See [`FleetError`].
    pub async fn show(&self, run: RunId) -> Result<RunRecord, FleetError> {
        let record = get_json::<RunRecord>(&*self.store, &keys::record(run)).await?;
        record.map(|(record, _)| record).ok_or(FleetError::UnknownRun(run))
    }

    /// The latest word to a run's workers.
    ///
    /// # Errors
    /// See [`FleetError`].
    pub async fn command(&self, run: RunId) -> Result<Command, FleetError> {
        let command = get_json::<Command>(&*self.store, &keys::command(run)).await?;
        command.map(|(command, _)| command).ok_or(FleetError::UnknownRun(run))
    }

    /// Tells a run to stop: players are asked to leave, or are gone at once.
    ///
    /// # Errors
    /// See [`FleetError`].
    pub async fn stop(&self, run: RunId, word: StopWord, by: &str) -> Result<Command, FleetError> {
        let command = self.say(run, |command| command.stop = command.stop.max(word)).await?;
        let now_ms = self.clock.now_ms();
        self.change(run, |record| record.note(now_ms, format!("told to stop by {by}"))).await?;
        let _ = self.notifier.tell(&Happening::Stopped { run, by: by.to_owned() }).await;
        Ok(command)
    }

    /// Turns a run's load up or down: 1.0 is the plan's.
    ///
    /// # Errors
    /// See [`FleetError`].
    pub async fn dial(&self, run: RunId, dial: f64, by: &str) -> Result<Command, FleetError> {
        if !DIAL.contains(&dial) {
            let (least, most) = (DIAL.start(), DIAL.end());
            return Err(FleetError::Request(format!("the dial goes from {least} to {most} of the plan's load")));
        }
        let command = self.say(run, |command| command.dial = dial).await?;
        let now_ms = self.clock.now_ms();
        self.change(run, |record| record.note(now_ms, format!("load turned to {dial} by {by}"))).await?;
        Ok(command)
    }

    /// Changes the latest word.
    pub(crate) async fn say(&self, run: RunId, change: impl Fn(&mut Command)) -> Result<Command, FleetError> {
        let key = keys::command(run);
        for _ in 0..TRIES {
            let Some((mut command, version)) = get_json::<Command>(&*self.store, &key).await? else {
                return Err(FleetError::UnknownRun(run));
            };
            if command.over {
                return Err(FleetError::Ended(run));
            }
            change(&mut command);
            match put_json(&*self.store, key.clone(), &command, Expect::Version(version)).await {
                Ok(_) => return Ok(command),
                Err(StoreError::Conflict(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(FleetError::Store(StoreError::Conflict(None)))
    }

    /// Changes a run's record.
    pub(crate) async fn change(&self, run: RunId, change: impl Fn(&mut RunRecord)) -> Result<RunRecord, FleetError> {
        let key = keys::record(run);
        for _ in 0..TRIES {
            let Some((mut record, version)) = get_json::<RunRecord>(&*self.store, &key).await? else {
                return Err(FleetError::UnknownRun(run));
            };
            change(&mut record);
            match put_json(&*self.store, key.clone(), &record, Expect::Version(version)).await {
                Ok(_) => return Ok(record),
                Err(StoreError::Conflict(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(FleetError::Store(StoreError::Conflict(None)))
    }

    /// Writes a run's line in the list of all.
    pub(crate) async fn list_run(&self, record: &RunRecord) -> Result<(), FleetError> {
        self.put_in_list(record, Expect::Any).await?;
        Ok(())
    }

    async fn put_in_list(&self, record: &RunRecord, expect: Expect) -> Result<u64, StoreError> {
        let line = RunLine {
            id: record.id,
            created_at_ms: record.created_at_ms,
            scenario: record.scenario.clone(),
            target: record.target.clone(),
            build: record.request.build.clone(),
            by: record.by.name.clone(),
            state: record.state,
            verdict: record.judgement.as_ref().map(|judgement| judgement.verdict),
        };
        let key = Key::new(RUNS, place_in_list(record.created_at_ms, record.id));
        put_json(&*self.store, key, &line, expect).await
    }

    /// Runs that have not ended, of the latest so many.
    ///
    /// # Errors
    /// See [`FleetError`].
    pub async fn unended(&self, of_latest: usize) -> Result<Vec<RunId>, FleetError> {
        let lines = self.list(None, of_latest).await?;
        Ok(lines.into_iter().filter(|line| line.state != RunState::Ended).map(|line| line.id).collect())
    }

    /// The token with which a run's workers show that they are its workers.
    ///
    /// # Errors
    /// See [`FleetError`].
    pub async fn worker_token(&self, run: RunId) -> Result<String, FleetError> {
        let token = get_json::<String>(&*self.store, &keys::of_run(run, TOKEN)).await?;
        token.map(|(token, _)| token).ok_or(FleetError::UnknownRun(run))
    }

    /// How a run's workers reach the fleet.
    pub(crate) async fn address(&self, run: RunId) -> Result<Address, FleetError> {
        Ok(match &self.settings.line {
            WorkerLine::Http { url } => Address::Http { url: url.clone(), token: self.worker_token(run).await? },
            WorkerLine::Aws { table, queue } => Address::Aws { table: table.clone(), queue: queue.clone() },
        })
    }

    /// Messages that were no parcels but name this run.
    ///
    /// # Errors
    /// See [`FleetError`].
    pub async fn poison(&self, run: RunId) -> Result<Vec<crate::collect::Poison>, FleetError> {
        let page = self.store.list(&poison_part(Some(run)), "", None, 20).await?;
        Ok(page.items.iter().filter_map(|item| serde_json::from_slice(&item.body).ok()).collect())
    }

    /// Ends a run in the record: the last that is written about it.
    pub(crate) async fn end(
        &self,
        run: RunId,
        ending: Ending,
        change: impl Fn(&mut RunRecord),
    ) -> Result<RunRecord, FleetError> {
        let now_ms = self.clock.now_ms();
        let record = self
            .change(run, |record| {
                change(record);
                record.state = RunState::Ended;
                record.ending = Some(ending);
                record.ended_at_ms = Some(now_ms);
            })
            .await?;
        match self.say(run, |command| command.over = true).await {
            Ok(_) | Err(FleetError::Ended(_)) => {}
            Err(error) => return Err(error),
        }
        self.list_run(&record).await?;
        if let Some(judgement) = &record.judgement {
            let (verdict, headline) = (judgement.verdict, judgement.headline());
            let told = self.notifier.tell(&Happening::Judged { run, verdict, headline }).await;
            if let Err(why) = told {
                let note = format!("others could not be told of the verdict: {why}");
                return self.change(run, |record| record.note(now_ms, note.as_str())).await;
            }
        }
        Ok(record)
    }
}

pub(crate) fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The latest first.
fn place_in_list(created_at_ms: u64, run: RunId) -> String {
    format!("{:020}/{run}", u64::MAX - created_at_ms)
}
