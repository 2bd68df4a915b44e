//! A run's events as they happen, as server-sent events: `id` counts them, and who comes back with `Last-Event-ID` misses
//! none that the service still has.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream::{self, Stream};
use loadkit_core::RunId;
use serde::Deserialize;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::access::Who;
use super::fault::Fault;
use super::runs::{Faults, OfRun};
use super::service::{LiveEvent, LivePage, Service};
use super::{Front, MAX_LIVE};

/// A stream lasts so long at most; who listens comes back by itself.
const MAX_STREAM: Duration = Duration::from_secs(600);
/// The service waits so long for the next event.
const WAIT: Duration = Duration::from_secs(10);
/// Whoever loses the stream comes back after so long.
const COME_BACK: Duration = Duration::from_secs(2);

#[derive(Debug, Default, Deserialize)]
pub(super) struct Behind {
    after: Option<u64>,
}

/// A run's events, from the first, or from behind `Last-Event-ID` or `after`.
///
/// Behind API Gateway, which does not stream, it is those that are there; whoever listens comes back for more. When the run
/// has ended and all is told, 204 tells a browser not to come back.
#[utoipa::path(get, path = "/v1/runs/{id}/events", tag = "runs",
    params(("id" = String, Path, description = "The run"), ("after" = Option<u64>, Query,
    description = "Only what is behind this"), ("last-event-id" = Option<u64>, Header,
    description = "Only what is behind this")), responses((status = 200,
    description = "LiveEvent each, its kind as `event`", content_type = "text/event-stream"), (status = 204,
    description = "The run has ended, and all is told"), Faults),
    security(("bearer" = []), ("sigv4" = [])))]
pub(super) async fn events(
    State(front): State<Front>,
    _: Who,
    OfRun(run): OfRun,
    query: Result<Query<Behind>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    let Query(behind) = query.map_err(|rejection| Fault::Bad(rejection.body_text()))?;
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok()?.trim().parse::<u64>().ok());
    let after = last.or(behind.after).unwrap_or(0);
    // What is wrong with the run is said with a status, before the stream begins.
    let page = front.service.events(run, after, Duration::ZERO).await?;
    if page.over && page.events.is_empty() && after > 0 {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let permit = front.live.clone().try_acquire_owned();
    let permit = permit.map_err(|_| Fault::Busy(format!("{MAX_LIVE} callers listen already, and may not be more")))?;
    let until = if front.access.streams() { Instant::now() + MAX_STREAM } else { Instant::now() };
    let LivePage { events, over } = page;
    let live =
        Live { service: front.service, run, after, events: events.into(), over, until, first: true, _permit: permit };
    let keep = KeepAlive::new().interval(Duration::from_secs(15));
    Ok(Sse::new(live.stream()).keep_alive(keep).into_response())
}

struct Live {
    service: Arc<dyn Service>,
    run: RunId,
    after: u64,
    /// Those that were asked for and not sent.
    events: VecDeque<LiveEvent>,
    over: bool,
    until: Instant,
    first: bool,
    _permit: OwnedSemaphorePermit,
}

impl Live {
    fn stream(self) -> impl Stream<Item = Result<Event, Infallible>> {
        stream::unfold(self, |mut live| async move {
            let event = live.next().await?;
            Some((Ok(event), live))
        })
    }

    async fn next(&mut self) -> Option<Event> {
        if std::mem::take(&mut self.first) {
            return Some(Event::default().retry(COME_BACK).comment("loadkit"));
        }
        loop {
            if let Some(event) = self.events.pop_front() {
                self.after = self.after.max(event.id);
                return Some(shown(&event));
            }
            let now = Instant::now();
            if self.over || now >= self.until {
                return None;
            }
            let wait = WAIT.min(self.until - now);
            match self.service.events(self.run, self.after, wait).await {
                Ok(page) => {
                    // A service that answers at once with nothing must not make us spin.
                    if page.events.is_empty() && !page.over && now.elapsed() < Duration::from_millis(100) {
                        tokio::time::sleep(Duration::from_millis(500)).await;
                    }
                    self.over = page.over;
                    self.events = page.events.into();
                }
                Err(fault) => {
                    self.until = Instant::now();
                    self.over = true;
                    return Some(Event::default().event("fault").data(fault.to_string().replace('\r', " ")));
                }
            }
        }
    }
}

/// JSON has no line break of its own, so an event is a line.
fn shown(event: &LiveEvent) -> Event {
    Event::default().id(event.id.to_string()).event(event.kind.name()).data(event.data.to_string())
}
