//! Failures by kind with their first messages, and what the players that failed did last.

use std::collections::BTreeMap;
use std::time::Duration;

use loadkit_core::{FailureSample, Report, format};
use maud::{Markup, html};

use super::{MAX_NAME, MAX_ROWS, MAX_TEXT, Shown};
use crate::failures::Flown;
use crate::record::RunState;

/// Failures of a run; the script keeps them up to date while it goes on.
pub(super) fn failures(run: &Shown) -> Markup {
    let told = &run.standing.failures;
    let samples = run.report.as_ref().map_or(&told.samples, |report| &report.failures);
    let kinds = run.report.as_ref().map(kinds).unwrap_or_default();
    html! {
        section { h2 { "Failures" }
            @let is_known = run.report.is_some() || run.record.state != RunState::Ended;
            p id="no-failures" class="empty" hidden[!(kinds.is_empty() && samples.is_empty())] {
                @if is_known { "None." } @else { "There is no report that has them." }
            }
            div class="scroll" tabindex="0" role="region" aria-label="Failures by kind" { table id="kinds" hidden[kinds.is_empty()] {
                thead { tr { th { "Step" } th { "Kind" } th class="n" { "times" } } }
                tbody { @for ((step, kind), count) in kinds.iter().take(MAX_ROWS) {
                    tr { td class="name" { (step_name(step)) } td { (format::fit(kind, MAX_NAME)) } td class="n" { (format::count(*count)) } }
                } }
            } }
            p id="samples-note" class="note" hidden[samples.is_empty()] { "The first messages; those whose player was recorded open to what it did last." }
            ul id="samples" class="samples" { @for sample in samples.iter().take(MAX_ROWS) { (one(sample, &told.flights)) } }
            @if let Some(report) = run.report.as_ref().filter(|report| !report.flights.is_empty()) {
                p class="note" { "Recordings, which the client's command " code { "replay" } " plays again:" }
                ul class="files" { @for entry in report.flights.iter().take(MAX_ROWS) {
                    li { a href=(format!("/runs/{}/report/{}", run.record.id, entry.file)) { (entry.file) } }
                } }
            }
        }
    }
}

fn step_name(step: &str) -> String {
    if step.is_empty() { "outside of steps".to_owned() } else { format::name(step, MAX_NAME) }
}

fn one(sample: &FailureSample, flights: &[Flown]) -> Markup {
    let at = format::clock(Duration::from_micros(sample.at_us));
    let head = html! {
        span class="at" { (at) } " " b { (step_name(&sample.step)) } " " (format::fit(&sample.kind, MAX_NAME)) ": "
        (format::fit(&sample.message, MAX_TEXT)) " " span class="note" { "(seat " (sample.seat) ")" }
    };
    // The recording of that life: the first that ended at the failure or after it.
    let flown = flights.iter().filter(|one| one.seat == sample.seat && one.ended_us >= sample.at_us);
    let flown = flown.min_by_key(|one| one.ended_us).filter(|one| !one.lines.is_empty());
    html! {
        li { @match flown {
            Some(flown) => { details { summary { (head) } pre tabindex="0" { @for line in &flown.lines { (line) "\n" } } } }
            None => { (head) }
        } }
    }
}

fn kinds(report: &Report) -> BTreeMap<(String, String), u64> {
    let steps = report.steps.iter().filter(|(name, _)| !name.contains('{'));
    let steps = steps.flat_map(|(name, step)| {
        step.failed_by_kind.iter().map(move |(kind, count)| ((name.clone(), kind.clone()), *count))
    });
    let mut kinds: BTreeMap<(String, String), u64> = steps.collect();
    // A player fails by what its step failed by: what is over happened outside of steps.
    for (kind, count) in &report.players.failed_by_kind {
        let in_steps: u64 = kinds.iter().filter(|((_, known), _)| known == kind).map(|(_, count)| count).sum();
        if *count > in_steps {
            kinds.insert((String::new(), kind.clone()), count - in_steps);
        }
    }
    kinds
}
