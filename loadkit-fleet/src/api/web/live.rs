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

/// How far a reader has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Place {
    seconds: u64,
    notes: u64,
}

impl Place {
    /// What cannot be read is the beginning.
    fn of(id: &str) -> Place {
        let parts =
            id.trim().split_once('-').and_then(|(seconds, notes)| Some((seconds.parse().ok()?, notes.parse().ok()?)));
        parts.map_or(Place::default(), |(seconds, notes)| Place { seconds, notes })
    }

    fn id(self) -> String {
        format!("{}-{}", self.seconds, self.notes)
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
    let record = front.service.show(run).await?;
    if is_back && record.state == RunState::Ended && record.ended_at_ms.is_some() && place.seconds == u64::MAX {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let permit = front.live.clone().try_acquire_owned();
    let permit = permit.map_err(|_| Fault::Busy(format!("{MAX_LIVE} pages listen already, and may not be more")))?;
    let viewer = Viewer {
        now: front.web.screens.open(&front.service, run),
        place,
        heard: BTreeMap::new(),
        events: VecDeque::from([Event::default().retry(COME_BACK).comment("loadkit")]),
        until: Instant::now() + MAX_STREAM,
        told_time: None,
        over: false,
        _permit: permit,
    };
    let events = stream::unfold(viewer, |mut viewer| async move {
        let event = viewer.next().await?;
        Some((Ok::<_, Infallible>(event), viewer))
    });
    Ok(Sse::new(events).into_response())
}

/// One who looks.
struct Viewer {
    now: watch::Receiver<Arc<Now>>,
    place: Place,
    /// How often each state had changed when it was told last.
    heard: BTreeMap<&'static str, u64>,
    /// What is to be sent: a bounded part of what one look gives. The rest follows when this has been taken.
    events: VecDeque<Event>,
    until: Instant,
    told_time: Option<Instant>,
    over: bool,
    _permit: OwnedSemaphorePermit,
}

impl Viewer {
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Some(event);
            }
            if self.over || Instant::now() >= self.until {
                return None;
            }
            // The first look may have been before this one came.
            let now = self.now.borrow_and_update().clone();
            self.take(&now);
            if self.events.is_empty() && self.now.changed().await.is_err() {
                return None;
            }
        }
    }

    fn take(&mut self, now: &Now) {
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
        let notes: Vec<_> =
            record.notes_behind(self.place.notes).map(|(number, note)| (number, note.clone())).collect();
        if let Some((number, _)) = notes.last() {
            self.place.notes = *number;
            self.say("notes", &json!(notes).to_string());
        }
        let first_s = now.seconds.front().map_or(0, |second| second.from_s);
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
    fn say(&mut self, name: &str, data: &str) {
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
            place: Place::default(),
            heard: BTreeMap::new(),
            events: VecDeque::new(),
            until: Instant::now() + MAX_STREAM,
            told_time: None,
            over: false,
            _permit: Arc::new(Semaphore::new(1)).acquire_owned().await.unwrap(),
        };
        // It gets all of it, in parts.
        for heard in 0..=120 {
            assert!(viewer.next().await.is_some());
            assert!(viewer.events.len() <= AT_ONCE + 1, "{} after {heard}", viewer.events.len());
        }
        assert_eq!((viewer.place.seconds, viewer.events.len()), (120, 0));
        drop(sender);
        assert!(viewer.next().await.is_none());
    }
}
