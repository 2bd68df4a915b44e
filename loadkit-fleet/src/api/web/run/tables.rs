//! The steps: of the report when there is one, and of the last second before.

use loadkit_core::{Report, Times, format};
use maud::{Markup, html};

use super::{MAX_NAME, MAX_ROWS};

/// The steps.
pub(super) fn steps(report: Option<&Report>, is_live: bool) -> Markup {
    html! {
        section { h2 { "Steps" }
            @match report {
                Some(report) => { (of_report(report)) }
                None if !is_live => { p class="empty" { "There is no report that has them." } }
                None => {
                    p class="note" { "Of the last second; how many since this run began. Service times are from when it was asked, the others from when it was intended." }
                    div class="scroll" tabindex="0" role="region" aria-label="Steps" { table id="steps" {
                        thead { tr {
                            th { "Step" } th class="n" { "done" } th class="n" { "failed" } th class="n" { "a second" }
                            th class="n" { "p50" } th class="n" { "p95" } th class="n" { "p99" } th class="n" { "p99.9" }
                            th class="n" { "service p50" } th class="n" { "service p99" }
                        } }
                        tbody {}
                    } }
                }
            }
        }
    }
}

fn of_report(report: &Report) -> Markup {
    let whole = report.steps.iter().filter(|(name, _)| !name.contains('{'));
    let us = |times: Option<&Times>, of: fn(&Times) -> u64| match times {
        Some(times) => format::micros(of(times) as f64),
        None => "–".to_owned(),
    };
    html! {
        p class="note" { "Of the whole run, as the report has it. Service times are from when it was asked, the others from when it was intended." }
        div class="scroll" tabindex="0" role="region" aria-label="Steps" { table id="steps" class="final" {
            thead { tr {
                th { "Step" } th class="n" { "done" } th class="n" { "failed" } th class="n" { "a second" }
                th class="n" { "p50" } th class="n" { "p95" } th class="n" { "p99" } th class="n" { "p99.9" } th class="n" { "max" }
                th class="n" { "service p50" } th class="n" { "service p95" } th class="n" { "service p99" } th class="n" { "service p99.9" }
            } }
            tbody { @for (name, step) in whole.take(MAX_ROWS) {
                @let (response, service) = (step.response.as_ref(), step.service.as_ref());
                tr {
                    td class="name" { (format::name(name, MAX_NAME)) }
                    td class="n" { (format::count(step.succeeded)) }
                    td class="n" { (format::count(step.failed)) }
                    td class="n" { (format::number(step.rate_per_s)) }
                    td class="n" { (us(response, |times| times.p50_us)) }
                    td class="n" { (us(response, |times| times.p95_us)) }
                    td class="n" { (us(response, |times| times.p99_us)) }
                    td class="n" { (us(response, |times| times.p99_9_us)) }
                    td class="n" { (us(response, |times| times.max_us)) }
                    td class="n" { (us(service, |times| times.p50_us)) }
                    td class="n" { (us(service, |times| times.p95_us)) }
                    td class="n" { (us(service, |times| times.p99_us)) }
                    td class="n" { (us(service, |times| times.p99_9_us)) }
                }
            } }
        } }
    }
}
