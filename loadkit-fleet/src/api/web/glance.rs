//! A run's page while it goes on, where answers go out when they are whole: behind API Gateway.
//!
//! An answer is what is new since the last one, and the word to come back soon, in the form of server-sent events. **Nothing is
//! kept for a reader**, who may find another function the next time: an event's id says how many seconds of figures and notes its
//! reader has heard of, and has a mark of each state as it was told, so that a state goes over the wire when it has changed.
//!
//! What was read is kept for a second, for others who look at the same run through the same function.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::sse::Sse;
use axum::response::{IntoResponse as _, Response};
use flate2::Crc;
use futures_util::stream;
use loadkit_core::RunId;
use serde_json::json;

use super::live::{Place, Reader};
use super::screen::{Now, look};
use crate::api::Front;
use crate::api::fault::Fault;
use crate::api::service::Service;
use crate::record::RunState;

/// A page comes back after so long. Each time costs two requests to AWS's functions and some to the table: see
/// docs/dashboard.md.
const COME_BACK: Duration = Duration::from_secs(4);
/// What was read is as good as new for so long, ms.
const FRESH_MS: u64 = 1_000;
/// Leases of up to so many workers are read so often, ms.
const LEASES: [(u32, u64); 2] = [(2_000, 4_000), (u32::MAX, 20_000)];
/// Runs of which something is kept.
const MAX_RUNS: usize = 8;
/// The state that is not read each time.
const WORKERS: &str = "workers";

/// What was read last of the runs that are looked at.
#[derive(Debug, Default)]
pub(super) struct Glances(Mutex<BTreeMap<RunId, Arc<tokio::sync::Mutex<Seen>>>>);

#[derive(Debug, Default)]
struct Seen {
    now: Now,
    /// When the leases were read, ms since 1970.
    leases_at_ms: u64,
}

impl Glances {
    fn of(&self, run: RunId) -> Arc<tokio::sync::Mutex<Seen>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MAX_RUNS && !all.contains_key(&run) {
            all.pop_first();
        }
        all.entry(run).or_default().clone()
    }
}

impl Seen {
    /// Reads what one who has come so far does not know.
    async fn look(&mut self, service: &dyn Service, run: RunId, place: &Place) -> Result<(), Fault> {
        let now_ms = service.now_ms();
        let is_fresh = self.now.record.is_some() && now_ms.saturating_sub(self.now.at_ms) < FRESH_MS;
        // Seconds from before what is held have to be read anew.
        let is_behind = place.seconds < self.now.wanted_s;
        if (is_fresh || self.now.over) && !is_behind {
            return Ok(());
        }
        if is_behind || self.now.seconds.is_empty() {
            self.now.seconds.clear();
            self.now.wanted_s = place.seconds;
        }
        let workers = self.now.record.as_ref().map_or(0, |record| record.workers);
        let often_ms = LEASES.iter().find(|(most, _)| workers <= *most).map_or(0, |(_, often_ms)| *often_ms);
        let is_due = now_ms.saturating_sub(self.leases_at_ms) >= often_ms || self.leases_at_ms == 0;
        self.now.fault = None;
        let looked = look(service, run, u64::from(!is_due), &mut self.now).await;
        self.now.at_ms = now_ms;
        match looked {
            Ok(()) if is_due => self.leases_at_ms = now_ms,
            Ok(()) => {}
            // Whoever looks learns why nothing is new, and sees what is known.
            Err(fault) if self.now.record.is_some() => self.now.fault = Some(fault.to_string().into()),
            Err(fault) => return Err(fault),
        }
        Ok(())
    }

    /// Word on all states: a mark of each, and when the workers' was read.
    fn states(&self) -> String {
        let marks: String = self.now.told.values().map(|told| mark(told.whole())).collect();
        format!("{marks}.{}", self.leases_at_ms)
    }

    /// The states that somebody knows by this word.
    fn known(&self, states: &str) -> BTreeMap<&'static str, u64> {
        let (marks, read_at_ms) = states.split_once('.').unwrap_or_default();
        let read_at_ms = read_at_ms.parse::<u64>().unwrap_or(0);
        let mut known = BTreeMap::new();
        for (nth, (name, told)) in self.now.told.iter().enumerate() {
            let is_same = marks.get(nth * MARK..(nth + 1) * MARK) == Some(mark(told.whole()).as_str());
            // Another function has read it later than this one: what was is not told after what is.
            let is_newer = *name == WORKERS && read_at_ms > self.leases_at_ms;
            if is_same || is_newer {
                known.insert(*name, told.changed);
            }
        }
        known
    }
}

/// Digits of a mark.
const MARK: usize = 8;

/// What a text is known by.
fn mark(text: &str) -> String {
    let mut crc = Crc::new();
    crc.update(text.as_bytes());
    format!("{:08x}", crc.sum())
}

/// What is new of a run.
pub(super) async fn answer(front: &Front, run: RunId, place: Place) -> Result<Response, Fault> {
    let seen = front.web.glances.of(run);
    let mut seen = seen.lock().await;
    seen.look(&*front.service, run, &place).await?;
    let has_ended = seen.now.record.as_ref().is_some_and(|record| record.state == RunState::Ended);
    if has_ended && place.seconds == u64::MAX {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let heard = seen.known(&place.states);
    let mut reader = Reader::at(place, COME_BACK);
    (reader.heard, reader.states) = (heard, seen.states());
    // A page that knows this does not take the end of an answer for a loss.
    reader.say("pace", &json!({ "every_ms": COME_BACK.as_millis() as u64 }).to_string());
    reader.take(&seen.now);
    Ok(Sse::new(stream::iter(reader.events.into_iter().map(Ok::<_, Infallible>))).into_response())
}
