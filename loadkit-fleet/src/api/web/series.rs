//! A run's figures over its time so far, in as many points as a chart can show.
//!
//! **However long a run is, the answer has a bound**: neighbours are joined, distributions bucket for bucket, before percentiles
//! are taken of them. Of a run that has ended it is its report's series, so that page and report say the same.

use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use loadkit_core::Report;
use loadkit_sinks::Interval;
use serde_json::{Value, json};

use super::figures::{of_interval, of_point};
use super::frame::{Named, Sorry, Visitor};
use super::packed::json;
use crate::api::Front;
use crate::api::fault::Fault;
use crate::api::service::Service;
use crate::record::{RunRecord, RunState};
use crate::rollup::WIDTHS;

/// No answer has more points, about.
const MAX_POINTS: u64 = 360;
/// Windows read at a time.
const PAGE: usize = 120;

/// The figures of a run so far.
pub(super) async fn data(
    State(front): State<Front>,
    _: Visitor,
    Named(run): Named,
    headers: HeaderMap,
) -> Result<Response, Sorry> {
    let record = front.service.show(run).await?;
    let series = match reported(&*front.service, &record).await? {
        Some(series) => series,
        None => rolled_up(&*front.service, &record).await?,
    };
    Ok(json(&headers, &series))
}

/// Of the report, if there is one.
async fn reported(service: &dyn Service, record: &RunRecord) -> Result<Option<Value>, Fault> {
    if record.state != RunState::Ended {
        return Ok(None);
    }
    let bytes = match service.file(record.id, "report.json").await {
        Ok(bytes) => bytes,
        Err(Fault::Missing(_)) => return Ok(None),
        Err(fault) => return Err(fault),
    };
    let Ok(report) = Report::parse(&String::from_utf8_lossy(&bytes)) else { return Ok(None) };
    let points: Vec<Value> = report.series.points.iter().map(of_point).collect();
    let to_s = report.series.points.last().map_or(0.0, |point| point.to_s);
    Ok(Some(json!({ "from": "report", "width_s": report.series.width_s, "to_s": to_s, "points": points })))
}

/// The narrowest width of which a run of so many seconds has few enough windows, and how many of them make a point.
fn width_for(seconds: u64) -> (Duration, u64) {
    let widths = WIDTHS.map(|(width, _)| width);
    let fits = |width: &Duration| seconds / width.as_secs().max(1) <= MAX_POINTS;
    let widest = widths.last().copied().unwrap_or(Duration::from_secs(1));
    let width = widths.into_iter().find(fits).unwrap_or(widest);
    (width, (seconds / width.as_secs().max(1)).div_ceil(MAX_POINTS).max(1))
}

async fn rolled_up(service: &dyn Service, record: &RunRecord) -> Result<Value, Fault> {
    let until_ms = record.ended_at_ms.unwrap_or_else(|| service.now_ms());
    let (width, each) = width_for(until_ms.saturating_sub(record.start_at_ms) / 1_000);
    let (mut points, mut joined): (Vec<Value>, Option<(u64, Interval)>) = (Vec::new(), None);
    let (mut from, mut to_us) = (Duration::ZERO, 0);
    loop {
        let windows = service.windows(record.id, width, from, PAGE).await?;
        let is_last = windows.len() < PAGE;
        for window in windows {
            to_us = window.to_us;
            // Points begin at whole multiples of their width, wherever windows are missing.
            let point = window.from_us / (micros(width) * each).max(1);
            joined = Some(match joined.take() {
                Some((at, mut before)) if at == point => {
                    before.join(&window);
                    let (started, finished) = (before.players.started, before.players.finished);
                    let failed = std::mem::take(&mut before.players.failed);
                    // Who is there is a state: the last counts.
                    before.players = window.players;
                    (before.players.started, before.players.finished, before.players.failed) =
                        (started, finished, failed);
                    (at, before)
                }
                other => {
                    points.extend(other.map(|(_, done)| of_interval(&done)));
                    (point, window)
                }
            });
        }
        from = Duration::from_micros(to_us);
        if is_last {
            break;
        }
    }
    points.extend(joined.map(|(_, done)| of_interval(&done)));
    let (width_s, to_s) = (width.as_secs() * each, to_us as f64 / 1e6);
    Ok(json!({ "from": "rollups", "width_s": width_s, "to_s": to_s, "points": points }))
}

fn micros(width: Duration) -> u64 {
    u64::try_from(width.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_run_has_wide_points() {
        let secs = Duration::from_secs;
        assert_eq!(width_for(0), (secs(1), 1));
        assert_eq!(width_for(300), (secs(1), 1));
        assert_eq!(width_for(3_000), (secs(10), 1));
        assert_eq!(width_for(20_000), (secs(60), 1));
        assert_eq!(width_for(86_400), (secs(60), 4));
        assert_eq!(width_for(7 * 86_400), (secs(60), 28));
    }
}
