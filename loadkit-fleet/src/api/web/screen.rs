//! A run as it stands now, put together once for everybody who looks at it.
//!
//! **One task a run reads the store, however many look**; it ends when nobody does. What is to be sent is made once and shared.
//! Whoever is slow falls out of the last seconds, is told so, and fetches the series instead: nothing waits for it here.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use loadkit_core::RunId;
use loadkit_worker::{Lease, Phase};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::change::between;
use super::figures::of_interval;
use crate::api::fault::Fault;
use crate::api::service::Service;
use crate::record::{RunRecord, RunState};

/// How often it is looked.
const LOOK: Duration = Duration::from_secs(1);
/// The last so many seconds are held.
const HELD: usize = 120;
/// A second is told so long after its end, when most workers have reported it, ms.
const SETTLED_MS: u64 = 4_000;
/// Leases of up to so many workers are read so often, in looks.
const LEASES: [(u32, u64); 3] = [(100, 2), (2_000, 5), (u32::MAX, 20)];
/// Of no more workers it is told how many players each has.
const MAX_PLAYERS: u32 = 2_000;
/// At most so many workers are named as odd.
const MAX_ODD: usize = 50;
/// What is odd about one is no longer.
const MAX_WHY: usize = 160;
/// A worker that was not heard of for so long is told, ms.
const SILENT_MS: u64 = 10_000;

/// A state as it is told.
#[derive(Clone, Debug)]
pub(super) struct Told {
    /// How often it has changed.
    pub(super) changed: u64,
    value: Arc<Value>,
    whole: Arc<str>,
    /// What is new since the last change, where that is shorter.
    change: Option<Arc<str>>,
}

impl Told {
    fn new(value: Value) -> Told {
        Told { changed: 1, whole: value.to_string().into(), change: None, value: Arc::new(value) }
    }

    fn turn(&mut self, name: &str, value: Value) {
        let whole: Arc<str> = value.to_string().into();
        let change = between(name, &self.value, &value).map(|change| change.to_string());
        let change = change.filter(|change| change.len() < whole.len()).map(Arc::from);
        *self = Told { changed: self.changed + 1, value: Arc::new(value), whole, change };
    }

    /// The text for who knows nothing of it.
    pub(super) fn whole(&self) -> &str {
        &self.whole
    }

    /// The text for who has heard it after so many changes, or never; none for who knows it.
    pub(super) fn text_for(&self, heard: Option<u64>) -> Option<&str> {
        match (heard, &self.change) {
            (Some(heard), _) if heard == self.changed => None,
            (Some(heard), Some(change)) if heard + 1 == self.changed => Some(change),
            _ => Some(&self.whole),
        }
    }
}

/// A second of figures.
#[derive(Clone, Debug)]
pub(super) struct Second {
    pub(super) from_s: u64,
    pub(super) to_s: u64,
    pub(super) text: Arc<str>,
}

/// A run as it stands now.
#[derive(Clone, Debug, Default)]
pub(super) struct Now {
    pub(super) at_ms: u64,
    /// By name of event.
    pub(super) told: BTreeMap<&'static str, Told>,
    pub(super) record: Option<Arc<RunRecord>>,
    pub(super) seconds: VecDeque<Second>,
    /// Nobody asks for what was before this time of the run, s.
    pub(super) wanted_s: u64,
    /// What is held begins at this time of the run, s.
    pub(super) from_s: u64,
    /// Everything has been told.
    pub(super) over: bool,
    /// Why nothing new is known.
    pub(super) fault: Option<Arc<str>>,
}

impl Now {
    fn tell(&mut self, name: &'static str, value: Value) {
        match self.told.get_mut(name) {
            Some(told) if *told.value == value => {}
            Some(told) => told.turn(name, value),
            None => drop(self.told.insert(name, Told::new(value))),
        }
    }
}

type Open = BTreeMap<RunId, watch::Sender<Arc<Now>>>;

/// Runs that somebody looks at.
#[derive(Clone, Debug, Default)]
pub(super) struct Screens(Arc<Mutex<Open>>);

impl Screens {
    /// A run as it stands, from now on.
    pub(super) fn open(&self, service: &Arc<dyn Service>, run: RunId) -> watch::Receiver<Arc<Now>> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = open.get(&run) {
            return sender.subscribe();
        }
        let (sender, receiver) = watch::channel(Arc::default());
        open.insert(run, sender.clone());
        tokio::spawn(self.clone().keep(service.clone(), run, sender));
        receiver
    }

    /// Looks at a run for as long as somebody wants to know.
    async fn keep(self, service: Arc<dyn Service>, run: RunId, sender: watch::Sender<Arc<Now>>) {
        let mut looks = 0;
        loop {
            if self.is_done(run, &sender) {
                return;
            }
            let before = sender.borrow().clone();
            if before.over {
                sender.closed().await;
                continue;
            }
            let mut now = Now { fault: None, ..(*before).clone() };
            if let Err(fault) = look(&*service, run, looks, &mut now).await {
                now.fault = Some(fault.to_string().into());
            }
            now.at_ms = service.now_ms();
            sender.send_replace(Arc::new(now));
            looks += 1;
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = sender.closed() => {}
            }
        }
    }

    /// Whether nobody looks any more. Then it is forgotten, under the lock under which others come.
    fn is_done(&self, run: RunId, sender: &watch::Sender<Arc<Now>>) -> bool {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_done = sender.is_closed();
        if is_done {
            open.remove(&run);
        }
        is_done
    }
}

/// Looks at a run. Leases are read with the first look, and with some later ones.
pub(super) async fn look(service: &dyn Service, run: RunId, looks: u64, now: &mut Now) -> Result<(), Fault> {
    let (now_ms, record) = (service.now_ms(), service.show(run).await?);
    let ended = record.state == RunState::Ended;
    let standing = service.standing(run).await?;
    now.tell("run", shown(&record));
    now.tell("markers", json!(standing.markers));
    now.tell("failures", json!(standing.failures));
    let often = LEASES.iter().find(|(most, _)| record.workers <= *most).map_or(1, |(_, often)| *often);
    if looks.is_multiple_of(often) || ended {
        let leases = service.leases(&record).await?;
        now.tell("workers", json!({ "crew": standing.crew, "grid": grid(&record, &leases, now_ms) }));
    }
    let until_ms = record.ended_at_ms.unwrap_or(now_ms);
    let run_s = until_ms.saturating_sub(record.start_at_ms) / 1_000;
    if now.seconds.is_empty() {
        now.from_s = run_s.saturating_sub(HELD as u64).max(now.wanted_s.min(run_s));
    }
    let from_s = now.seconds.back().map_or(now.from_s, |last| last.to_s);
    let windows = service.windows(run, Duration::from_secs(1), Duration::from_secs(from_s), HELD).await?;
    let read = windows.len();
    for window in windows {
        let ends_ms = record.start_at_ms.saturating_add(window.to_us / 1_000);
        if !ended && ends_ms.saturating_add(SETTLED_MS) > now_ms {
            break;
        }
        let (from_s, to_s) = (window.from_us / 1_000_000, window.to_us / 1_000_000);
        now.seconds.push_back(Second { from_s, to_s, text: of_interval(&window).to_string().into() });
        if now.seconds.len() > HELD {
            now.seconds.pop_front();
            now.from_s = now.seconds.front().map_or(now.from_s, |first| first.from_s);
        }
    }
    now.over = ended && read < HELD;
    now.record = Some(Arc::new(record));
    Ok(())
}

/// A record without what does not change, and without its notes, which are told one by one.
fn shown(record: &RunRecord) -> Value {
    json!({
        "state": record.state, "start_at_ms": record.start_at_ms, "ends_at_ms": record.ends_at_ms,
        "ended_at_ms": record.ended_at_ms, "ending": record.ending, "attempts_lost": record.attempts_lost,
        "workers_lost": record.workers_lost, "verdict": record.judgement.as_ref().map(|judgement| judgement.verdict.name()),
    })
}

/// A sign for each worker, how many players it has, and what is odd about some.
pub(super) fn grid(record: &RunRecord, leases: &[Lease], now_ms: u64) -> Value {
    // Of a worker's attempts the latest counts.
    let latest: BTreeMap<u32, &Lease> = leases.iter().map(|lease| (lease.worker, lease)).collect();
    let sign = |worker| match latest.get(&worker).map(|lease| lease.phase) {
        None => '-',
        Some(Phase::Waiting) => 'w',
        Some(Phase::Playing) => 'p',
        Some(Phase::Draining) => 'd',
        Some(Phase::Ended) => 'e',
        Some(Phase::Lost) => 'l',
        Some(Phase::Absent) => 'a',
    };
    let cells: String = (0..record.workers).map(sign).collect();
    let told = if record.workers <= MAX_PLAYERS { record.workers } else { 0 };
    let active = |worker| latest.get(&worker).map_or(0, |lease| lease.status.active);
    let players: Vec<u64> = (0..told).map(active).collect();
    let is_over = record.state == RunState::Ended;
    let odd: Vec<Value> = latest
        .values()
        .filter_map(|lease| Some(json!([lease.worker, odd(lease, now_ms, is_over)?])))
        .take(MAX_ODD)
        .collect();
    // Who was given up has a successor.
    let again = latest.values().filter(|lease| lease.attempt > 0).count();
    json!({ "cells": cells, "players": players, "odd": odd, "again": again })
}

/// What is odd about a worker, in words.
fn odd(lease: &Lease, now_ms: u64, is_over: bool) -> Option<String> {
    let status = &lease.status;
    let mut said = Vec::new();
    match lease.phase {
        Phase::Lost => said.push("given up: it was silent".to_owned()),
        Phase::Absent => said.push("it was started and never came".to_owned()),
        Phase::Waiting | Phase::Playing | Phase::Draining => {
            let silent_ms = now_ms.saturating_sub(lease.beat_at_ms);
            if silent_ms > SILENT_MS && !is_over {
                said.push(format!("silent for {} s", silent_ms / 1_000));
            }
            if lease.phase == Phase::Playing && status.active * 10 < status.planned * 9 {
                said.push(format!("{} of {} players", status.active, status.planned));
            }
        }
        Phase::Ended => {}
    }
    if lease.attempt > 0 {
        said.push(format!("leased again: attempt {}", lease.attempt));
    }
    if status.late_ms > 1_000 {
        said.push(format!("began {} s late", status.late_ms / 1_000));
    }
    let end = lease.end.as_ref();
    said.extend(end.and_then(|end| end.error.as_ref()).map(|why| format!("could not play: {why}")));
    said.extend(end.and_then(|end| end.cut_short.as_ref()).map(|why| format!("ended before its time: {why}")));
    (!said.is_empty()).then(|| loadkit_core::format::fit(&said.join("; "), MAX_WHY))
}
