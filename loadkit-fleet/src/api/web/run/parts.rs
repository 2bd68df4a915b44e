//! Verdict, facts, controls and events of a run's page.

use std::time::Duration;

use loadkit_core::{Check, Judgement, Stamp, Verdict, format};
use maud::{Markup, html};

use super::{MAX_NAME, MAX_ROWS, MAX_TEXT, Shown};
use crate::api::service::FileEntry;
use crate::fleet::DIAL;
use crate::record::{Ending, RunRecord};

/// What came out, with its evidence.
pub(super) fn verdict(judgement: &Judgement) -> Markup {
    let class = match judgement.verdict {
        Verdict::Pass => "verdict pass",
        Verdict::Fail => "verdict fail",
        Verdict::Invalid => "verdict invalid",
    };
    html! {
        section class=(class) aria-label="Verdict" {
            p class="word" { (judgement.verdict.name()) }
            @if judgement.reasons.is_empty() { p { (format::fit(&judgement.headline(), MAX_TEXT)) "." } }
            @else { ul { @for reason in judgement.reasons.iter().take(MAX_ROWS) { li { (format::fit(&reason.text, MAX_TEXT)) } } } }
        }
        @if !judgement.thresholds.is_empty() {
            section { h2 { "Thresholds" }
                div class="scroll" tabindex="0" role="region" aria-label="Thresholds" { table class="short" {
                    thead { tr { th { "Must be" } th class="n" { "Measured" } th { "" } th { "Of what" } } }
                    tbody { @for row in judgement.thresholds.iter().take(MAX_ROWS) {
                        @let (class, word) = match row.outcome {
                            Check::Met => ("met", "✓ met"),
                            Check::Missed => ("missed", "✗ missed"),
                            Check::NoData => ("missed", "? no data"),
                        };
                        tr {
                            td class="name" { (format::fit(&row.threshold, MAX_NAME)) }
                            td class="n" { (row.measured.as_deref().unwrap_or("–")) }
                            td class=(class) { (word) }
                            td { (format::fit(row.evidence.as_deref().unwrap_or(""), MAX_TEXT)) }
                        }
                    } }
                } }
            }
        }
        @if !judgement.warnings.is_empty() {
            section class="warnings" { h2 { "To know" }
                ul { @for warning in judgement.warnings.iter().take(MAX_ROWS) { li { (format::fit(warning, MAX_TEXT)) } } }
            }
        }
    }
}

/// The files of the report.
pub(super) fn artifacts(record: &RunRecord, files: &[FileEntry]) -> Markup {
    html! {
        section { h2 { "The report" }
            ul class="files" { @for file in files.iter().take(MAX_ROWS) {
                li { a href=(format!("/runs/{}/report/{}", record.id, file.name)) { (file.name) }
                    " " span class="note" { (format::bytes(file.bytes as f64)) } }
            } }
        }
    }
}

/// What is tested, by whom, and what it costs.
pub(super) fn facts(run: &Shown) -> Markup {
    let record = &run.record;
    let named = |text: &str| if text.is_empty() { "–".to_owned() } else { format::fit(text, MAX_NAME) };
    let moment = |ms: u64| format::moment(ms / 1_000);
    let planned = Duration::from_millis(record.ends_at_ms.saturating_sub(record.start_at_ms));
    let lasts = match record.ended_at_ms {
        Some(ended) => format!(
            "{}, planned {}",
            format::clock(Duration::from_millis(ended.saturating_sub(record.start_at_ms))),
            format::clock(planned)
        ),
        None => format!("planned {}", format::clock(planned)),
    };
    let client = run
        .report
        .as_ref()
        .map(|report| report.run.stamp.as_ref().map_or_else(|| report.run.client.clone(), Stamp::id));
    let ending = record.ending.map(|ending| match ending {
        Ending::Complete => "complete: all figures of all workers are in".to_owned(),
        Ending::Partial => format!(
            "partial: {} lost, {} missing",
            format::counted(u64::from(record.workers_lost), "worker", "workers"),
            format::counted(record.parcels_missing, "parcel", "parcels")
        ),
        Ending::Failed => "it never began".to_owned(),
    });
    let players = run.report.as_ref().map(|report| {
        let players = &report.players;
        format!(
            "{} started, {} finished, {} failed ({}); at most {} at once",
            format::count(players.started),
            format::count(players.finished),
            format::count(players.failed),
            format::share(players.error_share),
            format::count(players.peak_active)
        )
    });
    let rows = [
        ("Server", Some(named(&record.target))),
        ("Build", Some(named(&record.request.build))),
        ("Client", client.map(|client| named(&client))),
        ("Launched", Some(format!("{} by {}", moment(record.created_at_ms), named(&record.by.name)))),
        ("Starts", Some(moment(record.start_at_ms))),
        ("Lasts", Some(lasts)),
        ("Players", players),
        ("Workers", Some(format!("{} on {}: {}", record.workers, record.home, format::fit(&record.why, MAX_TEXT)))),
        ("Ended", ending),
        ("Seed", Some(record.seed.clone())),
    ];
    html! {
        dl class="facts" {
            @for (name, value) in rows { @if let Some(value) = value { div { dt { (name) } dd { (value) } } } }
            @if let Some(cost) = &run.cost { div { dt { "Cost so far" } dd {
                span id="cost" data-low=(cost.low) data-high=(cost.high) { (spent(run, cost.low, cost.high)) }
                " " span class="note" { (cost.prices) }
            } } }
        }
    }
}

/// What has been spent by now: as much of the whole as of the time.
fn spent(run: &Shown, low: f64, high: f64) -> String {
    let record = &run.record;
    let whole_ms = record.ends_at_ms.saturating_sub(record.start_at_ms).max(1);
    let now_ms = record.ended_at_ms.unwrap_or(run.now_ms);
    let share = (now_ms.saturating_sub(record.start_at_ms) as f64 / whole_ms as f64).clamp(0.0, 1.0);
    format!("${:.2} to ${:.2} of ${low:.2} to ${high:.2}", low * share, high * share)
}

/// What can be done with a run that goes on. Each is asked for twice.
pub(super) fn controls(record: &RunRecord) -> Markup {
    let path = |what: &str| format!("/runs/{}/{what}", record.id);
    html! {
        section id="controls" class="controls" aria-label="What you can do" {
            details id="stop" { summary { "Stop…" }
                form method="post" action=(path("stop")) {
                    p { "All players of this run leave. It cannot be taken back." }
                    label { input type="checkbox" name="now" value="yes"; " at once, without the plan's grace time" }
                    button type="submit" class="danger" { "Yes, stop the run" }
                }
            }
            details id="dial" { summary { "Turn the load…" }
                form method="post" action=(path("dial")) {
                    label { "Load, as a part of the plan's "
                        input type="number" name="dial" value="1" step="0.05" min=(DIAL.start()) max=(DIAL.end()) required;
                    }
                    p class="note" { "1 is the plan's own load; players come and go within seconds." }
                    button type="submit" { "Yes, turn the load" }
                }
            }
            details id="mark" { summary { "Put a marker…" }
                form method="post" action=(path("marker")) {
                    label { "What happened " input type="text" name="text" maxlength="200" required; }
                    button type="submit" { "Put it on the time axis" }
                }
            }
        }
    }
}

/// What happened, on the time axis and as a list.
pub(super) fn events(run: &Shown) -> Markup {
    let record = &run.record;
    let notes = record.notes.iter().map(|note| (note.at_ms, "note", note.text.clone(), String::new()));
    let markers = run.standing.markers.iter().map(|one| (one.at_ms, "marker", one.text.clone(), one.by.clone()));
    let launched = (record.created_at_ms, "note", format!("launched by {}", record.by.name), String::new());
    let verdict = record.judgement.as_ref().zip(record.ended_at_ms);
    let verdict =
        verdict.map(|(judgement, at)| (at, "note", format!("verdict: {}", judgement.verdict.name()), String::new()));
    let mut all: Vec<_> = std::iter::once(launched).chain(notes).chain(markers).chain(verdict).collect();
    all.sort();
    html! {
        section { h2 { "Events" }
            ol id="events" class="events" {
                @for (at_ms, kind, text, by) in &all {
                    li data-at-ms=(at_ms) data-kind=(kind) {
                        span class="at" { (at(record, *at_ms)) } " "
                        span class="what" { (format::fit(text, MAX_TEXT)) }
                        @if !by.is_empty() { " " span class="note" { "(" (format::fit(by, MAX_NAME)) ")" } }
                    }
                }
            }
            @if record.notes_left_out > 0 {
                p class="note" { (format::counted(record.notes_left_out, "note", "notes")) " had no room." }
            }
        }
    }
}

/// A time of the run, as people write it.
fn at(record: &RunRecord, at_ms: u64) -> String {
    let clock = |ms: u64| format::clock(Duration::from_millis(ms));
    match at_ms.checked_sub(record.start_at_ms) {
        Some(since) => clock(since),
        None => format!("-{}", clock(record.start_at_ms - at_ms)),
    }
}
