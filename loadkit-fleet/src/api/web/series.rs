//! A run's figures over its time so far, in as many points as a chart can show.
//!
//! **However long a run is, the answer has a bound**: neighbours are joined, distributions bucket for bucket, before percentiles
//! are taken of them. **So has what is read for it**: the width of windows that fits the run, and for what they do not have,
//! the last minutes mostly, the next narrower ones. Of a run that has ended it is its report's series, so that page and
//! report say the same.

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
use crate::rollup::{CHANGING, WIDTHS};

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

/// The number of the narrowest width of which a run of so many seconds has few enough windows, and how many of them make a point.
fn width_for(seconds: u64) -> (usize, u64) {
    let windows = |nth: usize| WIDTHS.get(nth).map_or(0, |(width, _)| seconds / width.as_secs().max(1));
    let nth = (0..WIDTHS.len()).find(|nth| windows(*nth) <= MAX_POINTS).unwrap_or(WIDTHS.len() - 1);
    (nth, windows(nth).div_ceil(MAX_POINTS).max(1))
}

async fn rolled_up(service: &dyn Service, record: &RunRecord) -> Result<Value, Fault> {
    let until_ms = record.ended_at_ms.unwrap_or_else(|| service.now_ms());
    let (nth, each) = width_for(until_ms.saturating_sub(record.start_at_ms) / 1_000);
    let width = width(nth);
    let mut points = Points { point_us: (micros(width) * each).max(1), ..Points::default() };
    read(service, record, nth, (0, u64::MAX), &mut points).await?;
    let (to_s, points) = (points.to_us as f64 / 1e6, points.done());
    Ok(json!({ "from": "rollups", "width_s": width.as_secs() * each, "to_s": to_s, "points": points }))
}

fn width(nth: usize) -> Duration {
    WIDTHS.get(nth).map_or(Duration::ZERO, |(width, _)| *width)
}

/// Reads the windows of a width between two times; what it does not have, of the next narrower one that is not written for good.
async fn read(
    service: &dyn Service,
    record: &RunRecord,
    nth: usize,
    (mut from_us, until_us): (u64, u64),
    points: &mut Points,
) -> Result<(), Fault> {
    let is_whole = nth < CHANGING;
    let width = width(nth);
    while from_us < until_us {
        let many = usize::try_from((until_us - from_us) / micros(width).max(1) + 1).unwrap_or(PAGE).min(PAGE);
        let windows = service.windows(record.id, width, Duration::from_micros(from_us), many).await?;
        let is_last = windows.len() < many;
        for window in windows.into_iter().filter(|window| window.from_us < until_us) {
            if !is_whole && from_us < window.from_us {
                Box::pin(read(service, record, nth - 1, (from_us, window.from_us), points)).await?;
            }
            from_us = window.to_us;
            points.add(window);
        }
        if is_last {
            break;
        }
    }
    if !is_whole && from_us < until_us {
        Box::pin(read(service, record, nth - 1, (from_us, until_us), points)).await?;
    }
    Ok(())
}

/// Windows, joined to points.
#[derive(Default)]
struct Points {
    point_us: u64,
    to_us: u64,
    done: Vec<Value>,
    open: Option<(u64, Interval)>,
}

impl Points {
    /// Points begin at whole multiples of their width, wherever windows are missing.
    fn add(&mut self, window: Interval) {
        self.to_us = window.to_us;
        let at = window.from_us / self.point_us;
        match &mut self.open {
            Some((open, before)) if *open == at => before.go_on(&window),
            _ => {
                let before = self.open.replace((at, window));
                self.done.extend(before.map(|(_, before)| of_interval(&before)));
            }
        }
    }

    fn done(self) -> Vec<Value> {
        let Points { mut done, open, .. } = self;
        done.extend(open.map(|(_, last)| of_interval(&last)));
        done
    }
}

fn micros(width: Duration) -> u64 {
    u64::try_from(width.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_run_has_wide_points() {
        let of = |seconds| {
            let (nth, each) = width_for(seconds);
            (width(nth).as_secs(), each)
        };
        assert_eq!(of(0), (1, 1));
        assert_eq!(of(300), (1, 1));
        assert_eq!(of(3_000), (10, 1));
        assert_eq!(of(20_000), (60, 1));
        assert_eq!(of(86_400), (300, 1));
        assert_eq!(of(7 * 86_400), (3_600, 1));
        assert_eq!(of(30 * 86_400), (4 * 3_600, 1));
        assert_eq!(of(365 * 86_400), (4 * 3_600, 7));
    }

    #[test]
    fn each_width_is_made_of_whole_windows_of_the_one_before() {
        for pair in WIDTHS.windows(2) {
            assert_eq!(pair[1].0.as_secs() % pair[0].0.as_secs(), 0, "{pair:?}");
        }
    }
}
