//! `RunRequest -> RunRecord`: the launch, which only writes.

use std::time::Duration;

use loadkit_core::{Plan, RunId, Seed};
use loadkit_worker::{Command, Expect, Order, StoreError, get_json, keys, put_json};
use rand::Rng as _;

use super::{Fleet, TOKEN, ms};
use crate::error::FleetError;
use crate::guard::{Asked, Refusal};
use crate::launcher::Home;
use crate::notify::Happening;
use crate::record::{RunRecord, RunState};
use crate::request::{Caller, RunRequest};
use crate::staff::most_players;

/// The version of a run's record.
const SCHEMA: &str = "loadkit.run/1";
/// No launch has a longer name.
const MAX_ONCE: usize = 200;

impl Fleet {
    /// Launches a run: it is written, and its keeper has to be woken. Under a name ([`RunRequest::once`]) that its caller has
    /// used before it is the run of then.
    ///
    /// # Errors
    /// See [`FleetError`].
    pub async fn launch(&self, request: RunRequest, by: Caller) -> Result<RunRecord, FleetError> {
        let (plan, staffing) = self.prepare(&request)?;
        let id = id_of(&request, &by)?;
        if let Some(record) = self.launched(id, &request).await? {
            return Ok(record);
        }
        let quotas = self.quotas(&staffing).await;
        let asked =
            Asked { request: &request, plan: &plan, staffing: &staffing, quotas: quotas.as_ref().ok(), by: &by };
        if let Err(refusal) = self.guard.check(&asked).await {
            let Refusal { rule, why } = refusal.clone();
            let _ = self.notifier.tell(&Happening::Refused { by: by.name, rule, why }).await;
            return Err(FleetError::Refused(refusal));
        }
        let seed = plan.seed().unwrap_or(Seed(id.0));
        let now_ms = self.clock.now_ms();
        let lead = request.start_in_ms.unwrap_or_else(|| ms(staffing.usual.lead));
        let order = Order {
            run: id,
            plan: plan.to_toml(),
            seed: seed.to_string(),
            workers: staffing.workers,
            shards: (staffing.plays_at() == Home::Local).then_some(1),
            one_machine: staffing.plays_at() == Home::Local,
            client: request.client.clone(),
            mixed_builds: request.mixed_builds,
            terms: self.settings.terms,
        };
        // Whoever launches the same at the same time writes the same, but for the time: there the first is right.
        let store = &*self.store;
        if !first(put_json(store, keys::order(id), &order, Expect::Absent).await)?
            && get_json::<Order>(store, &keys::order(id)).await?.is_none_or(|(theirs, _)| theirs != order)
        {
            return Err(taken(id, &request));
        }
        let command = Command::starting(now_ms.saturating_add(lead));
        first(put_json(store, keys::command(id), &command, Expect::Absent).await)?;
        let start_at_ms = self.command(id).await?.start_at_ms;
        let mut record = RunRecord {
            schema: SCHEMA.to_owned(),
            id,
            by,
            scenario: plan.scenario().unwrap_or_default().to_owned(),
            target: plan.target().unwrap_or_default().to_owned(),
            seed: seed.to_string(),
            home: staffing.home,
            why: staffing.why.clone(),
            workers: staffing.workers,
            state: RunState::Assembling,
            created_at_ms: now_ms,
            start_at_ms,
            ends_at_ms: start_at_ms + ms(plan.duration()),
            deadline_ms: self.deadline(&plan, now_ms, lead),
            ended_at_ms: None,
            ending: None,
            judgement: None,
            stamp: None,
            workers_refused: 0,
            attempts_lost: 0,
            workers_lost: 0,
            parcels_missing: 0,
            notes: Vec::new(),
            notes_left_out: 0,
            request,
        };
        if let Err(why) = quotas {
            record.note(now_ms, format!("what {} has room for is not known: {why}", staffing.plays_at()));
        }
        let token: [u64; 4] = std::array::from_fn(|_| rand::rng().next_u64());
        let token = token.map(|word| format!("{word:016x}")).concat();
        first(put_json(store, keys::of_run(id, TOKEN), &token, Expect::Absent).await)?;
        if !first(put_json(store, keys::record(id), &record, Expect::Absent).await)? {
            return self.show(id).await;
        }
        self.list_run(&record).await?;
        let happening = Happening::Launched {
            run: id,
            by: record.by.name.clone(),
            target: record.target.clone(),
            workers: record.workers,
            players: most_players(&plan),
        };
        if let Err(why) = self.notifier.tell(&happening).await {
            self.change(id, |record| record.note(now_ms, format!("others could not be told of the launch: {why}")))
                .await?;
        }
        Ok(record)
    }

    /// The run that was launched under this id, if there is one.
    async fn launched(&self, id: RunId, request: &RunRequest) -> Result<Option<RunRecord>, FleetError> {
        if request.once.is_empty() {
            return Ok(None);
        }
        match self.show(id).await {
            Ok(record) if record.request == *request => {
                // The first time may have been cut off before this. Where it was not, what the list says is newer.
                first(self.put_in_list(&record, Expect::Absent).await)?;
                Ok(Some(record))
            }
            Ok(_) => Err(taken(id, request)),
            Err(FleetError::UnknownRun(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// When a run is ended, whatever has become of its workers.
    fn deadline(&self, plan: &Plan, now_ms: u64, lead: u64) -> u64 {
        let settings = &self.settings;
        let slack =
            settings.assembling + plan.grace() + settings.tail * 2 + Duration::from_millis(settings.terms.lease_ms);
        now_ms.saturating_add(lead).saturating_add(ms(plan.duration() + slack))
    }
}

/// The id of a launch: a new one, or that of its name.
fn id_of(request: &RunRequest, by: &Caller) -> Result<RunId, FleetError> {
    match request.once.len() {
        0 => Ok(RunId(rand::rng().next_u64())),
        1..=MAX_ONCE => Ok(RunId(Seed(0).stream(&by.name, Seed(0).stream(&request.once, 0, 0), 0))),
        long => Err(FleetError::Request(format!("`once` has {long} bytes: a launch's name has at most {MAX_ONCE}"))),
    }
}

/// The name stands for another run.
fn taken(id: RunId, request: &RunRequest) -> FleetError {
    FleetError::Request(format!(
        "another run, {id}, was launched as {:?}: give this one a name of its own in `once`",
        request.once
    ))
}

/// Whether this one was the first to write it.
fn first(put: Result<u64, StoreError>) -> Result<bool, StoreError> {
    match put {
        Ok(_) => Ok(true),
        Err(StoreError::Conflict(_)) => Ok(false),
        Err(error) => Err(error),
    }
}
