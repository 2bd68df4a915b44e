//! A run's page while it goes on, as server-sent events.
//!
//! An event's id is how far its reader has come: seconds of figures, and notes. Whoever comes back with it goes on there, also
//! at another service over the same store. States (workers, markers, failures) are told whole to who comes, and then what
//! changes of them.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::Instant;

use super::frame::{Named, Sorry, Visitor};
use super::glance;
use super::screen::Now;
use crate::api::fault::Fault;
use crate::api::{Front, MAX_LIVE};
use crate::record::RunState;

/// A stream lasts so long at most; the page comes back by itself.
const MAX_STREAM: Duration = Duration::from_secs(600);
/// Whoever loses the stream comes back after so long.
const COME_BACK: Duration = Duration::from_secs(2);
/// So many seconds of figures at a time are held for a reader who has not taken them yet.
const AT_ONCE: usize = 16;
/// The time is told so often, so that a page knows that it is still connected.
const TIME: Duration = Duration::from_secs(5);

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Behind {
    after: String,
}

/// No longer word on states is taken back.
const MAX_STATES: usize = 100;

/// How far a reader has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) seconds: u64,
    notes: u64,
    /// Which states it knows, where nobody else remembers that; see [`glance`].
    pub(super) states: String,
}

impl Place {
    /// What cannot be read is the beginning.
    fn of(id: &str) -> Place {
        let mut parts = id.trim().splitn(3, '-');
        let mut number = || parts.next()?.parse::<u64>().ok();
        let (Some(seconds), Some(notes)) = (number(), number()) else { return Place::default() };
        let states = parts.next().filter(|states| states.len() <= MAX_STATES).unwrap_or_default().to_owned();
        Place { seconds, notes, states }
    }

    fn id(&self) -> String {
        let Place { seconds, notes, states } = self;
        if states.is_empty() { format!("{seconds}-{notes}") } else { format!("{seconds}-{notes}-{states}") }
    }
}

/// What happens in a run, as it happens.
pub(super) async fn stream(
    State(front): State<Front>,
    _: Visitor,
    Named(run): Named,
    Query(behind): Query<Behind>,
    headers: HeaderMap,
) -> Result<Response, Sorry> {
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok());
    let is_back = last.is_some();
    let place = Place::of(last.unwrap_or(&behind.after));
    if !front.access.streams() {
        return Ok(glance::answer(&front, run, place).await?);
    }
    let record = front.service.show(run).await?;
    if is_back && record.state == RunState::Ended && record.ended_at_ms.is_some() && place.seconds == u64::MAX {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let permit = front.live.clone().try_acquire_owned();
    let permit = permit.map_err(|_| Fault::Busy(format!("{MAX_LIVE} pages listen already, and may not be more")))?;
    let viewer = Viewer {
        now: front.web.screens.open(&front.service, run),
        reader: Reader::at(place, COME_BACK),
        until: Instant::now() + MAX_STREAM,
        _permit: permit,
    };
    let events = stream::unfold(viewer, |mut viewer| async move {
        let event = viewer.next().await?;
        Some((Ok::<_, Infallible>(event), viewer))
    });
    Ok(Sse::new(events).into_response())
}

/// One who looks for as long as the stream lasts.
struct Viewer {
    now: watch::Receiver<Arc<Now>>,
    reader: Reader,
    until: Instant,
    _permit: OwnedSemaphorePermit,
}

/// What one who looks has been told, and what is to be sent.
pub(super) struct Reader {
    pub(super) place: Place,
    /// How often each state had changed when it was told last.
    pub(super) heard: BTreeMap<&'static str, u64>,
    /// Word on the states that are told next, for its place.
    pub(super) states: String,
    /// What is to be sent: a bounded part of what one look gives. The rest follows when this has been taken.
    pub(super) events: VecDeque<Event>,
    told_time: Option<Instant>,
    over: bool,
}

impl Viewer {
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.reader.events.pop_front() {
                return Some(event);
            }
            if self.reader.over || Instant::now() >= self.until {
                return None;
            }
            // The first look may have been before this one came.
            let now = self.now.borrow_and_update().clone();
            self.reader.take(&now);
            if self.reader.events.is_empty() && self.now.changed().await.is_err() {
                return None;
            }
        }
    }
}

impl Reader {
    /// One who has come so far, and who is to come back after so long.
    pub(super) fn at(place: Place, come_back: Duration) -> Reader {
        let events = VecDeque::from([Event::default().retry(come_back).comment("loadkit")]);
        Reader { place, heard: BTreeMap::new(), states: String::new(), events, told_time: None, over: false }
    }

    /// Tells what is new.
    pub(super) fn take(&mut self, now: &Now) {
        let Some(record) = now.record.as_ref() else {
            // Nothing is known yet: at least why.
            if let Some(fault) = &now.fault {
                self.say("fault", &json!({ "text": **fault }).to_string());
                self.over = true;
            }
            return;
        };
        for (name, told) in &now.told {
            if let Some(text) = told.text_for(self.heard.insert(name, told.changed)) {
                self.say(name, text);
            }
        }
        // Who has heard of these states knows them.
        self.place.states = std::mem::take(&mut self.states);
        let notes: Vec<_> =
            record.notes_behind(self.place.notes).map(|(number, note)| (number, note.clone())).collect();
        if let Some((number, _)) = notes.last() {
            self.place.notes = *number;
            self.say("notes", &json!(notes).to_string());
        }
        let first_s = if now.seconds.is_empty() { 0 } else { now.from_s };
        if self.place.seconds < first_s {
            self.say("behind", &json!({ "from_s": self.place.seconds, "to_s": first_s }).to_string());
            self.place.seconds = first_s;
        }
        let place_s = self.place.seconds;
        let behind: Vec<_> = now.seconds.iter().filter(|second| second.to_s > place_s).cloned().collect();
        for second in behind.iter().take(AT_ONCE) {
            self.place.seconds = second.to_s;
            self.say("figures", &second.text);
        }
        if self.told_time.is_none_or(|at| at.elapsed() >= TIME) {
            self.told_time = Some(Instant::now());
            let to_s = now.seconds.back().map(|second| second.to_s);
            self.say("time", &json!({ "now_ms": now.at_ms, "to_s": to_s, "fault": now.fault.as_deref() }).to_string());
        }
        if now.over && behind.len() <= AT_ONCE {
            self.over = true;
            self.place.seconds = u64::MAX;
            self.say("over", "{}");
        }
    }

    /// JSON has no line break of its own, so an event is a line.
    pub(super) fn say(&mut self, name: &str, data: &str) {
        self.events.push_back(Event::default().id(self.place.id()).event(name).data(data));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::Semaphore;

    use super::super::screen::Second;
    use super::*;

    #[tokio::test]
    async fn who_does_not_take_what_is_told_holds_a_bounded_part_of_it() {
        let record = json!({
            "schema": "loadkit.run/1", "id": "0000000000000abc", "request": { "plan": "" }, "by": { "name": "ops" },
            "scenario": "", "target": "", "seed": "1", "home": "local", "why": "", "workers": 1, "state": "running",
            "created_at_ms": 1, "start_at_ms": 2, "ends_at_ms": 3, "deadline_ms": 4,
        });
        let record = Arc::new(serde_json::from_value(record).unwrap());
        let second = |at: u64| Second { from_s: at, to_s: at + 1, text: Arc::from("{}") };
        let now = Now { record: Some(record), seconds: (0..120).map(second).collect(), ..Now::default() };
        let (sender, receiver) = watch::channel(Arc::new(now));
        let mut viewer = Viewer {
            now: receiver,
            reader: Reader { events: VecDeque::new(), ..Reader::at(Place::default(), COME_BACK) },
            until: Instant::now() + MAX_STREAM,
            _permit: Arc::new(Semaphore::new(1)).acquire_owned().await.unwrap(),
        };
        // It gets all of it, in parts.
        for heard in 0..=120 {
            assert!(viewer.next().await.is_some());
            assert!(viewer.reader.events.len() <= AT_ONCE + 1, "{} after {heard}", viewer.reader.events.len());
        }
        assert_eq!((viewer.reader.place.seconds, viewer.reader.events.len()), (120, 0));
        drop(sender);
        assert!(viewer.next().await.is_none());
    }
}
