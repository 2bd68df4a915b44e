//! Chosen figures of the latest runs, so that a slow drift over weeks is seen.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use loadkit_core::{Report, RunId, Verdict};
use serde::Deserialize;
use serde_json::{Value, json};

use super::frame::{Sorry, Visitor};
use super::packed::json;
use crate::api::Front;
use crate::api::fault::Fault;
use crate::api::service::{Filter, Service};
use crate::record::RunState;

/// At most so many runs.
const MAX_RUNS: usize = 120;
/// So many lists of runs are looked through for them.
const MAX_LISTS: usize = 5;
/// Figures of so many runs are kept.
const MAX_KNOWN: usize = 2_000;
/// Steps of a run of which figures are kept.
const MAX_STEPS: usize = 64;

/// Figures of a run, by name: `p99 of login`.
type Figures = Arc<BTreeMap<String, f64>>;

/// Figures of runs that have ended: they do not change any more.
#[derive(Debug, Default)]
pub(super) struct Known(Mutex<BTreeMap<RunId, Figures>>);

impl Known {
    async fn of(&self, service: &dyn Service, run: RunId) -> Result<Figures, Fault> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&run).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let figures = match service.file(run, "report.json").await {
            Ok(bytes) => figures(&String::from_utf8_lossy(&bytes)),
            // It never began, or its report is not kept any more.
            Err(Fault::Missing(_)) => BTreeMap::new(),
            Err(fault) => return Err(fault),
        };
        let figures = Arc::new(figures);
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MAX_KNOWN {
            all.pop_first();
        }
        all.insert(run, figures.clone());
        Ok(figures)
    }
}

/// The figures of a report that can be looked at.
fn figures(report: &str) -> BTreeMap<String, f64> {
    let Ok(report) = Report::parse(report) else { return BTreeMap::new() };
    let mut figures = BTreeMap::new();
    let whole = report.steps.iter().filter(|(name, _)| !name.contains('{'));
    for (name, step) in whole.take(MAX_STEPS) {
        if let Some(times) = &step.response {
            let times =
                [("p50", times.p50_us), ("p95", times.p95_us), ("p99", times.p99_us), ("p99.9", times.p99_9_us)];
            figures.extend(times.map(|(figure, us)| (format!("{figure} of {name}"), us as f64)));
        }
        figures.insert(format!("failures of {name}"), step.error_share);
        figures.insert(format!("rate of {name}"), step.rate_per_s);
    }
    figures
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    scenario: String,
    build: String,
    figure: String,
    runs: Option<usize>,
}

/// The figure of the latest runs, the oldest first.
pub(super) async fn data(
    State(front): State<Front>,
    _: Visitor,
    headers: HeaderMap,
    Query(asked): Query<Asked>,
) -> Result<Response, Sorry> {
    let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let wanted = asked.runs.unwrap_or(60).clamp(1, MAX_RUNS);
    let mut filter = Filter {
        state: Some(RunState::Ended),
        scenario: text(&asked.scenario),
        build: text(&asked.build),
        limit: Some(200),
        ..Filter::default()
    };
    let mut lines = Vec::new();
    for _ in 0..MAX_LISTS {
        let list = front.service.list(&filter).await?;
        for line in list.runs {
            // One scenario's figures mean nothing beside another's.
            let scenario = filter.scenario.get_or_insert_with(|| line.scenario.clone());
            if *scenario == line.scenario {
                lines.push(line);
            }
        }
        if lines.len() >= wanted || list.next.is_none() {
            break;
        }
        filter.after = list.next;
    }
    lines.truncate(wanted);
    let (mut names, mut runs) = (BTreeSet::new(), Vec::new());
    for line in lines.iter().rev() {
        let figures = front.web.trend.of(&*front.service, line.id).await?;
        names.extend(figures.keys().cloned());
        runs.push((line, figures));
    }
    let latest = runs.iter().rev().map(|(_, figures)| figures).find(|figures| !figures.is_empty());
    let figure = if names.contains(&asked.figure) { Some(asked.figure) } else { latest.and_then(|one| usual(one)) };
    let rows: Vec<Value> = runs
        .into_iter()
        .map(|(line, figures)| {
            let value = figure.as_ref().and_then(|figure| figures.get(figure));
            let verdict = line.verdict.map(Verdict::name);
            json!({ "id": line.id.to_string(), "at_ms": line.created_at_ms, "build": line.build, "verdict": verdict, "value": value })
        })
        .collect();
    let answer = json!({ "scenario": filter.scenario, "figures": names, "figure": figure, "runs": rows });
    Ok(json(&headers, &answer))
}

/// What is looked at first: the slowest step of the latest run.
fn usual(figures: &BTreeMap<String, f64>) -> Option<String> {
    let slow = figures.iter().filter(|(name, _)| name.starts_with("p99 of "));
    slow.max_by(|one, other| one.1.total_cmp(other.1)).or_else(|| figures.iter().next()).map(|(name, _)| name.clone())
}
