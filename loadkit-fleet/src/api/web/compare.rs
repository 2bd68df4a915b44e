//! Two runs or more side by side: what differs between them, and what the gate says of each step.
//!
//! The earliest is the baseline; each of the others is held against it.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;
use loadkit_core::gate::{self, Compared, Decision, Figure, Gate, GateOptions, GateRun};
use loadkit_core::{Report, RunId, StepFigures, Verdict, format};
use maud::{Markup, html};
use serde_json::{Map, Value, json};
use tokio::sync::Semaphore;

use super::frame::{Sorry, Visitor, mark, shown};
use super::packed::json;
use crate::api::Front;
use crate::api::fault::Fault;
use crate::api::service::Service;
use crate::record::RunRecord;

/// At most so many runs are compared.
const MAX_RUNS: usize = 6;
/// At most so many are compared at a time: it takes a core each.
static ROOM: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(2));
/// Where a distribution is taken.
const QUANTILES: [f64; 18] =
    [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.975, 0.99, 0.995, 0.999, 0.9995, 0.9999, 0.99999];
/// Steps of which distributions are shown.
const MAX_STEPS: usize = 64;
/// The longest name that is shown whole.
const MAX_NAME: usize = 60;
const MAX_TEXT: usize = 1_000;

/// A run and its report, with its histograms.
struct Loaded {
    record: RunRecord,
    report: Report,
}

impl Loaded {
    /// What tells it from the others: its build, or else its id.
    fn name(&self) -> String {
        let id = self.record.id.to_string();
        match self.record.request.build.as_str() {
            "" => id,
            build => format!("{} ({})", format::name(build, MAX_NAME), id.get(..6).unwrap_or(&id)),
        }
    }
}

/// The runs that a query names: `run=ID&run=ID`.
fn asked(query: Option<&str>) -> Result<Vec<RunId>, Fault> {
    let mut runs = Vec::new();
    for id in query.unwrap_or_default().split('&').filter_map(|pair| pair.strip_prefix("run=")) {
        let run = u64::from_str_radix(id, 16).ok().filter(|_| id.len() == 16).map(RunId);
        let run = run.ok_or_else(|| {
            let id: String = id.chars().take(40).collect();
            Fault::Missing(format!("there is no run {id:?}: a run's id has 16 hexadecimal digits"))
        })?;
        if !runs.contains(&run) {
            runs.push(run);
        }
    }
    match runs.len() {
        0 | 1 => Err(Fault::Bad("a comparison takes two runs or more: mark them in the list of runs".into())),
        2..=MAX_RUNS => Ok(runs),
        many => Err(Fault::Bad(format!("{many} runs are more than the {MAX_RUNS} that can be compared at once"))),
    }
}

/// The runs, the earliest first.
async fn load(service: &dyn Service, query: Option<&str>) -> Result<Vec<Loaded>, Fault> {
    let mut loaded = Vec::new();
    for run in asked(query)? {
        let record = service.show(run).await?;
        let json = service.file(run, "report.json").await?;
        let histograms = match service.file(run, "histograms.hlog").await {
            Err(Fault::Missing(_)) => None,
            bytes => Some(bytes?),
        };
        let report = blocking(move || read(&json, histograms.as_deref())).await?;
        let report = report.map_err(|why| Fault::Missing(format!("the report of run {run} cannot be read: {why}")))?;
        loaded.push(Loaded { record, report });
    }
    loaded.sort_by_key(|one| (one.record.created_at_ms, one.record.id));
    Ok(loaded)
}

/// Reads a report with its histograms, as it is read everywhere: from a folder.
fn read(json: &[u8], histograms: Option<&[u8]>) -> Result<Report, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let put =
        |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).map_err(|error| error.to_string());
    put("report.json", json)?;
    if let Some(histograms) = histograms {
        put("histograms.hlog", histograms)?;
    }
    Report::load(folder.path()).map_err(|error| error.to_string())
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Fault> {
    let away = |why: String| Fault::Away(format!("the comparison was not done: {why}"));
    let _room = ROOM.acquire().await.map_err(|error| away(error.to_string()))?;
    tokio::task::spawn_blocking(work).await.map_err(|error| away(error.to_string()))
}

/// A candidate beside the baseline: what differs, and what the gate says.
struct Judged {
    name: String,
    differences: Vec<String>,
    gate: Result<Gate, String>,
}

fn judge(base: &Loaded, candidate: &Loaded) -> Judged {
    let (base_name, name) = (base.name(), candidate.name());
    let mut differences = gate::differences((&base_name, &base.report.run), (&name, &candidate.report.run));
    differences.extend(environment(base, candidate));
    let gate = || {
        let base = GateRun::stored(base_name.as_str(), &base.report, None).map_err(|error| error.to_string())?;
        let candidate = GateRun::stored(name.as_str(), &candidate.report, None).map_err(|error| error.to_string())?;
        GateRun::comparable(&[&base, &candidate]).map_err(|error| error.to_string())?;
        Ok(gate::compare(&[base], &[candidate], &GateOptions::default()))
    };
    let gate = gate();
    Judged { name, differences, gate }
}

/// What differs in build and environment.
fn environment(base: &Loaded, candidate: &Loaded) -> Vec<String> {
    let client =
        |one: &Loaded| one.report.run.stamp.as_ref().map_or_else(|| one.report.run.client.clone(), |stamp| stamp.id());
    let pairs = [
        ("build of the server", base.record.request.build.clone(), candidate.record.request.build.clone()),
        ("server", base.record.target.clone(), candidate.record.target.clone()),
        ("client", client(base), client(candidate)),
        ("home of the workers", base.record.home.to_string(), candidate.record.home.to_string()),
        ("number of workers", base.record.workers.to_string(), candidate.record.workers.to_string()),
        ("seed", base.record.seed.clone(), candidate.record.seed.clone()),
        ("version of loadkit", base.report.run.version.clone(), candidate.report.run.version.clone()),
    ];
    let named = |text: &str| if text.is_empty() { "–".to_owned() } else { format::fit(text, MAX_NAME) };
    let differ = pairs.into_iter().filter(|(_, old, new)| old != new);
    differ.map(|(what, old, new)| format!("the {what}: {} became {}", named(&old), named(&new))).collect()
}

/// The comparison.
pub(super) async fn page(
    State(front): State<Front>,
    visitor: Visitor,
    RawQuery(query): RawQuery,
) -> Result<Response, Sorry> {
    let runs = load(&*front.service, query.as_deref()).await?;
    let (runs, judged) = blocking(move || {
        let judged: Vec<Judged> = match runs.split_first() {
            Some((base, candidates)) => candidates.iter().map(|candidate| judge(base, candidate)).collect(),
            None => Vec::new(),
        };
        (runs, judged)
    })
    .await?;
    let body = html! {
        h1 { "Comparison" }
        (overview(&runs))
        @if runs.len() > 2 { (side_by_side(&runs)) }
        @for one in &judged { (candidate(one)) }
        section id="distributions" {
            h2 { "Distributions" }
            form class="filters" { label { "Step" select id="step" {} } }
            p class="note" { "Response times of the whole run. Each percentile is as far to the right as it has nines, so that the tail is seen." }
            div class="legend" id="legend-distribution" {}
            div class="canvas" { canvas id="chart-distribution" role="img" aria-label="Response times of the step by percentile, a line a run" {} }
        }
    };
    Ok(shown(&visitor, "Comparison", "", &["compare.js"], body))
}

fn overview(runs: &[Loaded]) -> Markup {
    html! {
        div class="scroll" tabindex="0" role="region" aria-label="The runs" { table {
            thead { tr { th { "" } th { "Run" } th { "Verdict" } th { "Scenario" } th { "Build" } th { "When" } th class="n" { "players at once" } th class="n" { "lasted" } } }
            tbody { @for (i, run) in runs.iter().enumerate() {
                @let (record, report) = (&run.record, &run.report);
                tr {
                    td { @if i == 0 { b { "baseline" } } @else { "candidate" } }
                    td { a href=(format!("/runs/{}", record.id)) { code { (record.id) } } }
                    td { (mark(record.state, record.judgement.as_ref().map(|judgement| judgement.verdict))) }
                    td { (format::name(&record.scenario, MAX_NAME)) }
                    td { @if record.request.build.is_empty() { "–" } @else { (format::name(&record.request.build, MAX_NAME)) } }
                    td { (format::moment(record.created_at_ms / 1_000)) }
                    td class="n" { (format::count(report.players.peak_active)) }
                    td class="n" { (format::micros(report.lasted_s * 1e6)) }
                }
            } }
        } }
    }
}

/// Figures of all runs in one table: what the gate says of each candidate stands below.
fn side_by_side(runs: &[Loaded]) -> Markup {
    let whole = |run: &Loaded| run.report.steps.keys().filter(|name| !name.contains('{')).cloned().collect::<Vec<_>>();
    let names: BTreeSet<String> = runs.iter().flat_map(whole).collect();
    type Of = fn(&StepFigures) -> Option<String>;
    let figures: [(&str, Of); 4] = [
        ("p50", |step| step.response.as_ref().map(|times| format::micros(times.p50_us as f64))),
        ("p95", |step| step.response.as_ref().map(|times| format::micros(times.p95_us as f64))),
        ("p99", |step| step.response.as_ref().map(|times| format::micros(times.p99_us as f64))),
        ("errors", |step| Some(format::share(step.error_share))),
    ];
    html! {
        section id="side-by-side" {
            h2 { "Side by side" }
            div class="scroll" tabindex="0" role="region" aria-label="Figures of all runs" { table {
                thead { tr { th { "Step" } th { "Figure" } @for run in runs { th class="n" { (run.name()) } } } }
                tbody { @for name in names.iter().take(MAX_STEPS) { @for (figure, of) in figures { tr {
                    td class="name" { (format::name(name, MAX_NAME)) }
                    td { (figure) }
                    @for run in runs { td class="n" { (run.report.steps.get(name).and_then(of).unwrap_or_else(|| "–".to_owned())) } }
                } } } }
            } }
        }
    }
}

fn candidate(judged: &Judged) -> Markup {
    html! {
        section class="candidate" {
            h2 { (judged.name) " against the baseline" }
            @match &judged.gate {
                Err(why) => { div class="sorry" { @for line in why.lines() { p { (format::fit(line, MAX_TEXT)) } } } }
                Ok(gate) => { (of_gate(gate)) }
            }
            h3 { "What else differs" }
            @if judged.differences.is_empty() { p class="empty" { "Nothing that is known of plan, build and environment." } }
            @else {
                ul { @for line in &judged.differences { li { (format::fit(line, MAX_TEXT)) } } }
            }
        }
    }
}

fn of_gate(gate: &Gate) -> Markup {
    let class = match gate.verdict {
        Verdict::Pass => "verdict pass",
        Verdict::Fail => "verdict fail",
        Verdict::Invalid => "verdict invalid",
    };
    html! {
        div class=(class) {
            p class="word" { (gate.verdict.name()) }
            @if gate.reasons.is_empty() { p { "No step has become worse." } }
            @else { ul { @for reason in &gate.reasons { li { (format::fit(reason, MAX_TEXT)) } } } }
        }
        div class="scroll" tabindex="0" role="region" aria-label="Figures of each step" { table class="gate" {
            thead { tr { th { "Step" } th { "Figure" } th class="n" { "old" } th class="n" { "new" } th class="n" { "change" } th class="n" { "between" } th { "the gate says" } } }
            tbody {
                @for row in &gate.figures { (figure(row)) }
            }
        } }
        @if !gate.too_rare.is_empty() {
            details {
                summary { (format::counted(gate.too_rare.len() as u64, "figure", "figures")) " of steps that ran too rarely to judge" }
                div class="scroll" tabindex="0" role="region" aria-label="Steps that ran too rarely" { table {
                    thead { tr { th { "Step" } th { "Figure" } th class="n" { "ran" } th class="n" { "needed" } } }
                    tbody { @for row in &gate.too_rare { tr {
                        td class="name" { (format::name(&row.step, MAX_NAME)) }
                        td { (row.figure.name()) }
                        td class="n" { (format::count(row.ran)) }
                        td class="n" { (format::count(row.needed)) }
                    } } }
                } }
            }
        }
        @for note in &gate.notes { p class="note" { (format::fit(note, MAX_TEXT)) } }
    }
}

fn figure(row: &Compared) -> Markup {
    let value = |value: f64| match row.figure {
        Figure::Errors => format::share(value),
        Figure::Rate => format::rate(value),
        _ => format::micros(value),
    };
    let change = |change: f64| {
        // A thousandth of a per cent is none.
        let change = if change.abs() < 1e-5 { 0.0 } else { change };
        let sign = if change > 0.0 { "+" } else { "" };
        format!("{sign}{} %", format::number(change * 100.0))
    };
    let (class, word) = match row.decision {
        Decision::Same => ("", "same".to_owned()),
        Decision::Worse => ("worse", "✗ worse".to_owned()),
        Decision::Better => ("better", "✓ better".to_owned()),
        Decision::NotEnoughData { more_s: Some(more) } => ("note", format!("? not enough data: {more} s more")),
        Decision::NotEnoughData { more_s: None } => ("note", "? not enough data: more baselines".to_owned()),
    };
    html! {
        tr {
            td class="name" { (format::name(&row.step, MAX_NAME)) }
            td { (row.figure.name()) }
            td class="n" { (value(row.old)) }
            td class="n" { (value(row.new)) }
            td class="n" { (change(row.change)) }
            td class="n" { (change(row.low)) " and " (change(row.high)) }
            td class=(class) { (word) }
        }
    }
}

/// The distributions of all steps of the runs.
pub(super) async fn data(
    State(front): State<Front>,
    _: Visitor,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Sorry> {
    let runs = load(&*front.service, query.as_deref()).await?;
    let runs: Vec<Value> = blocking(move || runs.iter().map(distributions).collect()).await?;
    Ok(json(&headers, &json!({ "runs": runs })))
}

fn distributions(run: &Loaded) -> Value {
    let whole = run.report.intervals.steps.iter().filter(|(name, _)| !name.contains('{'));
    let mut steps = Map::new();
    for (name, step) in whole.take(MAX_STEPS) {
        let all = step.whole_response();
        let count = all.count() as f64;
        // Beyond its last value a percentile says nothing.
        let known = QUANTILES.into_iter().filter(|quantile| count * (1.0 - quantile) >= 1.0);
        let values: Vec<Value> = known.map(|quantile| json!([quantile, all.quantile(quantile)])).collect();
        steps.insert(format::fit(name, MAX_NAME), values.into());
    }
    json!({ "name": run.name(), "steps": steps })
}
