//! The steps of a run, and those of an earlier one beside them.

use maud::{Markup, html};

use super::super::compare::{Beside, Change, by};
use super::super::{Report, StepFigures, Times, format};
use super::{MAX_NAME_CHARS, MAX_ROWS, MAX_TEXT_CHARS, more};

/// A head, and what stands below it.
type Column = (&'static str, fn(&Times) -> u64);

/// What the step table shows of both times.
const STEP_TIMES: [Column; 5] = [
    ("p50", |times| times.p50_us),
    ("p95", |times| times.p95_us),
    ("p99", |times| times.p99_us),
    ("p99.9", |times| times.p99_9_us),
    ("max", |times| times.max_us),
];

pub(super) fn steps(report: &Report) -> Markup {
    let heads = ["succeeded", "a second", "failed", "share"].into_iter();
    let times = || STEP_TIMES.into_iter().map(|(head, _)| head);
    html! {
        section {
            h2 { "Steps" }
            @if report.steps.is_empty() {
                p { "No step was run." }
            } @else {
                div class="scroll" { table {
                    thead {
                        tr {
                            th { "" }
                            th class="group" colspan="4" { "how often" }
                            th class="group" colspan="5" { "response time" }
                            th class="group" colspan="5" { "service time" }
                        }
                        tr { th { "step" } @for head in heads.chain(times()).chain(times()) { th class="n" { (head) } } }
                    }
                    tbody { @for (name, step) in report.steps.iter().take(MAX_ROWS) { (step_row(name, step)) } }
                } }
                (more(report.steps.len()))
                p class="note" {
                    b { "Response time" }
                    " counts from when a step should have begun, so it holds all that a player would have waited, also while the "
                    "server kept its bot from acting. "
                    b { "Service time" }
                    " counts from when it did begin: what the server took for that one step."
                }
            }
        }
    }
}

fn step_row(name: &str, step: &StepFigures) -> Markup {
    let time = |times: &Option<Times>, of: fn(&Times) -> u64| {
        times.as_ref().map_or("–".to_owned(), |times| format::micros(of(times) as f64))
    };
    html! {
        tr {
            td class="name" { (format::name(name, MAX_NAME_CHARS)) }
            td class="n" { (format::count(step.succeeded)) }
            td class="n" { (format::rate(step.rate_per_s)) }
            td class=(if step.failed > 0 { "n missed" } else { "n" }) { (format::count(step.failed)) }
            td class="n" { (format::share(step.error_share)) }
            @for (_, of) in STEP_TIMES { td class="n" { (time(&step.response, of)) } }
            @for (_, of) in STEP_TIMES { td class="n" { (time(&step.service, of)) } }
        }
    }
}

/// The figures of an earlier run beside those of this one.
pub(super) fn compared(beside: &Beside) -> Markup {
    let run = &beside.run;
    let build =
        if run.build.is_empty() { "no build named".to_owned() } else { format::fit(&run.build, MAX_NAME_CHARS) };
    let is_decided = beside.steps.values().any(|step| step.decision.is_some());
    html! {
        section {
            h2 { "Beside an earlier run" }
            p {
                "The baseline: " (build) ", " (format::moment(run.started_at_unix_s)) ", " (beside.verdict.name()) ", run "
                (format::fit(&run.id, MAX_NAME_CHARS)) ", seed " (format::fit(&run.seed, MAX_NAME_CHARS)) "."
            }
            @if !beside.cautions.is_empty() {
                ul class="cautions" {
                    @for caution in beside.cautions.iter().take(MAX_ROWS) { li { (format::fit(caution, MAX_TEXT_CHARS)) } }
                }
            }
            div class="scroll" { table {
                thead {
                    tr {
                        th { "" }
                        @for group in ["p50", "p95", "p99", "failed", "a second"] { th class="group" colspan="3" { (group) } }
                        @if is_decided { th { "" } }
                    }
                    tr {
                        th { "step" }
                        @for _ in 0..5 { @for head in ["then", "now", "change"] { th class="n" { (head) } } }
                        @if is_decided { th { "decision" } }
                    }
                }
                tbody { @for (name, step) in beside.steps.iter().take(MAX_ROWS) {
                    tr {
                        td class="name" { (format::name(name, MAX_NAME_CHARS)) }
                        @for change in [step.p50_us, step.p95_us, step.p99_us] { (change_cells(change, format::micros)) }
                        (change_cells(step.error_share, format::share))
                        (change_cells(step.rate_per_s, format::rate))
                        @if is_decided {
                            td { (step.decision.as_deref().map_or("–".to_owned(), |text| format::fit(text, MAX_TEXT_CHARS))) }
                        }
                    }
                } }
            } }
            (more(beside.steps.len()))
            p class="note" { "Times are response times. A change says what is different, not whether that is more than noise." }
        }
    }
}

fn change_cells(change: Change, write: fn(f64) -> String) -> Markup {
    let figure = |figure: Option<f64>| figure.map_or_else(|| "–".to_owned(), write);
    html! {
        td class="n" { (figure(change.old)) }
        td class="n" { (figure(change.new)) }
        td class="n change" { (by(change).unwrap_or_else(|| "–".to_owned())) }
    }
}
