//! A run's page: while it goes on and when it is done, the same. What came out stands first.

mod failed;
mod parts;
mod tables;

use axum::extract::{Path, State};
use axum::response::Response;
use loadkit_core::{Report, format};
use loadkit_worker::Lease;
use maud::{Markup, html};

use super::frame::{Named, Sorry, Visitor, mark, shown};
use super::screen::grid;
use crate::api::Front;
use crate::api::fault::Fault;
use crate::api::runs::send_file;
use crate::api::service::{FileEntry, Service, Standing};
use crate::estimate::Dollars;
use crate::record::{RunRecord, RunState};

/// The longest name that is shown whole.
const MAX_NAME: usize = 80;
/// The longest reason, message or note.
const MAX_TEXT: usize = 1_000;
/// At most so many rows of a table.
const MAX_ROWS: usize = 100;

/// All that a page shows.
struct Shown {
    record: RunRecord,
    standing: Standing,
    leases: Vec<Lease>,
    report: Option<Report>,
    files: Vec<FileEntry>,
    cost: Option<Dollars>,
    now_ms: u64,
}

/// The page.
pub(super) async fn page(State(front): State<Front>, visitor: Visitor, Named(run): Named) -> Result<Response, Sorry> {
    let service = &*front.service;
    let record = service.show(run).await?;
    let files = match service.files(run).await {
        Err(Fault::Missing(_)) => Vec::new(),
        files => files?,
    };
    let report = match files.iter().any(|file| file.name == "report.json") {
        true => report_of(service, &record).await?,
        false => None,
    };
    let shown_run = Shown {
        standing: service.standing(run).await?,
        leases: service.leases(&record).await?,
        report,
        files,
        // What it costs is no reason not to show the rest.
        cost: service.cost(&record).await.ok(),
        now_ms: service.now_ms(),
        record,
    };
    let title = title(&shown_run.record);
    Ok(shown(&visitor, &title, "", &["run.js"], body(&shown_run, visitor.may_launch())))
}

/// A file of the report, for whom the API is out of reach.
pub(super) async fn file(
    State(front): State<Front>,
    _: Visitor,
    Named(run): Named,
    Path((_, name)): Path<(String, String)>,
) -> Result<Response, Sorry> {
    Ok(send_file(&front, run, &name).await?)
}

/// The report of a run, if it can be read.
pub(super) async fn report_of(service: &dyn Service, record: &RunRecord) -> Result<Option<Report>, Fault> {
    match service.file(record.id, "report.json").await {
        Ok(bytes) => Ok(Report::parse(&String::from_utf8_lossy(&bytes)).ok()),
        Err(Fault::Missing(_)) => Ok(None),
        Err(fault) => Err(fault),
    }
}

/// `arena against 127.0.0.1:4000`.
pub(super) fn title(record: &RunRecord) -> String {
    let scenario = format::name(&record.scenario, MAX_NAME);
    match record.target.as_str() {
        "" => scenario,
        target => format!("{scenario} against {}", format::name(target, MAX_NAME)),
    }
}

fn body(run: &Shown, may_launch: bool) -> Markup {
    let record = &run.record;
    let is_live = record.state != RunState::Ended;
    let verdict = record.judgement.as_ref().map(|judgement| judgement.verdict);
    html! {
        div id="run" data-run=(record.id.to_string()) data-live[is_live] data-start-ms=(record.start_at_ms)
            data-ends-ms=(record.ends_at_ms) data-now-ms=(run.now_ms) {
            h1 { (title(record)) " " span id="state" { (mark(record.state, verdict)) } }
            @if is_live {
                p id="age" class="age" role="status" { "Connecting…" }
                p id="trouble" class="trouble" role="alert" hidden {}
            }
            @if let Some(judgement) = &record.judgement { (parts::verdict(judgement)) }
            @if !run.files.is_empty() { (parts::artifacts(record, &run.files)) }
            (parts::facts(run))
            @if is_live && may_launch { (parts::controls(record)) }
            (charts(is_live))
            div class="panels" {
                (tables::steps(run.report.as_ref(), is_live))
                (failed::failures(run))
                (workers(run, is_live))
                (parts::events(run))
            }
            details class="plan" { summary { "The plan" } pre tabindex="0" { (record.request.plan) } }
        }
    }
}

fn charts(is_live: bool) -> Markup {
    let figures = [
        ("p50", "median"),
        ("p95", "95th percentile"),
        ("p99", "99th percentile"),
        ("p999", "99.9th percentile"),
        ("s50", "median, service time"),
        ("s99", "99th percentile, service time"),
    ];
    let charts = [
        ("players", "Players", "as planned, at work, connected"),
        ("rate", "Steps a second", "those that succeeded"),
        ("arrivals", "Coming and going", "players a second: arrived, finished, failed"),
        (
            "times",
            "Times of steps",
            "from the intended start, which is what players feel; service times from when it was asked",
        ),
        ("failures", "Failures a second", "steps that failed"),
        ("lag", "The kit's own lag", "how late it was itself, 99th percentile: none of it is the server's"),
        ("cpu", "CPU of the busiest worker", "cores in use, by others of its machine, and kept by its host"),
        ("memory", "Memory of the largest worker", "resident, without pages of files"),
        (
            "drops",
            "Dropped and behind, a second",
            "datagrams that the kernels threw away or refused, and ticks that began late",
        ),
    ];
    html! {
        section id="over-time" {
            h2 { "Over time" }
            div class="toolbar" role="group" aria-label="The time that is shown" {
                button type="button" id="zoom-in" { "Zoom in" }
                button type="button" id="zoom-out" { "Zoom out" }
                button type="button" id="earlier" { "Earlier" }
                button type="button" id="later" { "Later" }
                button type="button" id="whole" { "The whole run" }
                @if is_live { label { input type="checkbox" id="follow" checked; " follow" } }
                label { input type="checkbox" id="logarithmic"; " logarithmic times" }
                label { "Time of steps "
                    select id="figure" { @for (value, name) in figures { option value=(value) selected[value == "p99"] { (name) } } }
                }
            }
            p class="note" { "Drag over a chart to zoom all of them; a double click shows the whole run." }
            p id="coarse" class="note" role="status" {}
            p id="no-figures" class="empty" hidden { "There are no figures in this time." }
            div class="charts" {
                @for (id, name, what) in charts {
                    figure class="chart" {
                        figcaption { b { (name) } " " span class="note" { (what) } }
                        p class="nothing empty" { "Nothing of this was recorded." }
                        div class="legend" id=(format!("legend-{id}")) {}
                        div class="canvas" { canvas id=(format!("chart-{id}")) role="img" aria-label=(format!("{name} over time: {what}")) {} }
                    }
                }
            }
        }
    }
}

fn workers(run: &Shown, is_live: bool) -> Markup {
    let crew = &run.standing.crew;
    let counts = [("claimed", crew.claimed), ("playing", crew.playing), ("ended", crew.ended), ("lost", crew.lost)];
    // The same that comes live, so that there is one way to draw it.
    let grid = grid(&run.record, &run.leases, run.now_ms);
    let (again, grid) = (grid["again"].as_u64().unwrap_or(0), grid.to_string());
    html! {
        section id="workers" data-grid=(grid) {
            h2 { "Workers" }
            p class="counts" {
                b id="crew-workers" { (run.record.workers) } " workers: "
                @for (name, count) in counts { span class="count" { b id=(format!("crew-{name}")) { (count) } " " (name) } " " }
                span class="count" { b id="crew-again" { (again) } " leased again" }
            }
            ul class="key" aria-label="What the signs mean" {
                @for (sign, class, name) in SIGNS { li { span class=(format!("cell {class}")) aria-hidden="true" { (sign) } " " (name) } }
            }
            div id="grid" class="grid" role="img" aria-label="A sign for each worker; those that are odd are listed below" {}
            div id="odd" {}
            @if !is_live && run.leases.is_empty() { p class="empty" { "What its workers told is not kept any more." } }
        }
    }
}

/// Signs, classes and names of how far workers have come.
const SIGNS: [(&str, &str, &str); 6] = [
    ("·", "none", "not claimed"),
    ("w", "waiting", "waiting"),
    ("▪", "playing", "playing"),
    ("▾", "draining", "leaving"),
    ("✓", "over", "ended"),
    ("✗", "lost", "lost"),
];
