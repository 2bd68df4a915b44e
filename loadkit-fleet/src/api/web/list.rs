//! The runs: which ones, how they came out, and how chosen figures went from build to build.

use std::time::Duration;

use axum::extract::{Query, State};
use axum::response::Response;
use loadkit_core::{Verdict, format};
use maud::{Markup, html};
use serde::Deserialize;

use super::frame::{Sorry, Visitor, mark, shown};
use crate::api::Front;
use crate::api::service::{Filter, RunList};
use crate::fleet::RunLine;
use crate::record::RunState;

/// Runs on a page.
const PAGE: u32 = 50;
/// The longest name that is shown whole.
const MAX_NAME: usize = 60;
const DAY_MS: u64 = 86_400_000;

/// What the form asks for. Forms send what is empty too.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    outcome: String,
    scenario: String,
    build: String,
    by: String,
    from: String,
    to: String,
    after: String,
}

impl Asked {
    fn filter(&self) -> Filter {
        let text = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        let (state, verdict) = match self.outcome.as_str() {
            "pass" => (None, Some(Verdict::Pass)),
            "fail" => (None, Some(Verdict::Fail)),
            "invalid" => (None, Some(Verdict::Invalid)),
            "assembling" => (Some(RunState::Assembling), None),
            "running" => (Some(RunState::Running), None),
            "draining" => (Some(RunState::Draining), None),
            _ => (None, None),
        };
        Filter {
            state,
            by: text(&self.by),
            scenario: text(&self.scenario),
            build: text(&self.build),
            verdict,
            since_ms: day_ms(&self.from),
            until_ms: day_ms(&self.to).map(|ms| ms + DAY_MS),
            after: text(&self.after),
            limit: Some(PAGE),
        }
    }

    /// The same question, from another place in the list on.
    fn at_place(&self, after: &str) -> String {
        let pairs = [
            ("outcome", &self.outcome),
            ("scenario", &self.scenario),
            ("build", &self.build),
            ("by", &self.by),
            ("from", &self.from),
            ("to", &self.to),
        ];
        let pairs = pairs.into_iter().filter(|(_, value)| !value.is_empty());
        let pairs = pairs.map(|(name, value)| format!("{name}={}", in_address(value)));
        let all: Vec<String> =
            pairs.chain((!after.is_empty()).then(|| format!("after={}", in_address(after)))).collect();
        if all.is_empty() { "/".to_owned() } else { format!("/?{}", all.join("&")) }
    }
}

/// A text as it stands in an address.
pub(super) fn in_address(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// `2026-11-23` as the time at which that day begins (UTC), ms since 1970.
fn day_ms(text: &str) -> Option<u64> {
    let mut parts = text.split('-').map(|part| part.parse::<u64>().ok());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    if !(1970..10_000).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Years begin in March, so that the day that is there only sometimes is their last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1;
    // So many days before 1970.
    Some(days.checked_sub(719_468)? * DAY_MS)
}

/// The list.
pub(super) async fn page(
    State(front): State<Front>,
    visitor: Visitor,
    Query(asked): Query<Asked>,
) -> Result<Response, Sorry> {
    let list = front.service.list(&asked.filter()).await?;
    let body = html! {
        h1 { "Runs" }
        (filters(&asked))
        (table(&asked, &list, front.service.now_ms(), visitor.may_launch()))
        (trend(&asked))
    };
    Ok(shown(&visitor, "Runs", "/", &["trend.js"], body))
}

fn filters(asked: &Asked) -> Markup {
    let outcomes = [
        ("", "any outcome"),
        ("pass", "PASS"),
        ("fail", "FAIL"),
        ("invalid", "INVALID"),
        ("assembling", "assembling"),
        ("running", "running"),
        ("draining", "draining"),
    ];
    let texts = [("scenario", "Scenario", &asked.scenario), ("build", "Build", &asked.build), ("by", "Who", &asked.by)];
    html! {
        form method="get" action="/" class="filters" role="search" aria-label="Which runs" {
            label { "Outcome"
                select name="outcome" {
                    @for (value, name) in outcomes { option value=(value) selected[asked.outcome == value] { (name) } }
                }
            }
            @for (name, label, value) in texts { label { (label) input type="text" name=(name) value=(value) maxlength="200"; } }
            label { "From day (UTC)" input type="date" name="from" value=(asked.from); }
            label { "To day (UTC)" input type="date" name="to" value=(asked.to); }
            button type="submit" { "Show" }
            a href="/" { "All" }
        }
    }
}

fn table(asked: &Asked, list: &RunList, now_ms: u64, may_launch: bool) -> Markup {
    let RunList { runs, next } = list;
    html! {
        @if runs.is_empty() {
            p class="empty" {
                @if next.is_some() { "None of the runs looked at so far is such a one." }
                @else if asked.at_place("") == "/" { "There is no run yet. " @if may_launch { a href="/launch" { "Launch one" } "." } }
                @else { "There is no such run." }
            }
        } @else {
            form method="get" action="/compare" {
                div class="scroll" tabindex="0" role="region" aria-label="The runs" { table class="runs" {
                    thead { tr {
                        th { span class="unseen" { "To compare" } }
                        th { "Outcome" } th { "Run" } th { "Scenario" } th { "Build" } th { "Server" } th { "Who" } th { "When" }
                    } }
                    tbody { @for line in runs { (row(line, now_ms)) } }
                } }
                p class="actions" { button type="submit" { "Compare those marked" } }
            }
        }
        nav aria-label="More runs" class="pages" {
            @if !asked.after.is_empty() { a href=(asked.at_place("")) { "The latest" } }
            @if let Some(next) = next { a href=(asked.at_place(next)) rel="next" { "Earlier runs" } }
        }
    }
}

fn row(line: &RunLine, now_ms: u64) -> Markup {
    let id = line.id.to_string();
    let name = |text: &str| format::name(text, MAX_NAME);
    html! {
        tr {
            td { input type="checkbox" name="run" value=(id) aria-label=(format!("compare run {id}"))
                disabled[line.state != RunState::Ended]; }
            td { (mark(line.state, line.verdict)) }
            td { a href=(format!("/runs/{id}")) { code { (id) } } }
            td { (name(&line.scenario)) }
            td { @if line.build.is_empty() { "–" } @else { a href=(format!("/?build={}", in_address(&line.build))) { (name(&line.build)) } } }
            td { (name(&line.target)) }
            td { (name(&line.by)) }
            td class="when" { time datetime=(iso(line.created_at_ms)) { (format::moment(line.created_at_ms / 1_000)) } " " span class="note" { (ago(now_ms, line.created_at_ms)) } }
        }
    }
}

/// `2026-11-23T18:06:56Z`: what a browser reads as a time.
fn iso(at_ms: u64) -> String {
    let moment = format::moment(at_ms / 1_000);
    let mut parts = moment.split_whitespace();
    match (parts.next(), parts.next()) {
        (Some(day), Some(time)) => format!("{day}T{time}Z"),
        _ => moment,
    }
}

/// `3m12s ago`.
pub(super) fn ago(now_ms: u64, at_ms: u64) -> String {
    let since = Duration::from_millis(now_ms.saturating_sub(at_ms));
    match since.as_secs() {
        0..60 => "just now".to_owned(),
        s @ 60..86_400 => format!("{} ago", format::micros(s as f64 * 1e6)),
        s => format!("{} ago", format::counted(s / 86_400, "day", "days")),
    }
}

fn trend(asked: &Asked) -> Markup {
    html! {
        section id="trend" data-scenario=(asked.scenario) data-build=(asked.build) {
            h2 { "From build to build" }
            p class="note" {
                "A figure of the latest runs that ended, the oldest to the left: of the scenario above, or of the latest run's. \
                 Select a sign to open its run."
            }
            ul class="key" aria-label="What the signs mean" {
                li { span class="met" aria-hidden="true" { "● " } "PASS" }
                li { span class="missed" aria-hidden="true" { "▲ " } "FAIL" }
                li { span aria-hidden="true" { "✕ " } "INVALID" }
            }
            form class="filters" {
                label { "Figure" select id="trend-figure" {} }
                label { "Runs" select id="trend-runs" { option { "30" } option selected { "60" } option { "120" } } }
            }
            div class="chart" { canvas id="trend-chart" role="img" aria-label="The figure, run by run; the table below has its values" {} }
            p id="trend-none" class="empty" hidden { "There are no reports to take it from." }
            details { summary { "As a table" } div class="scroll" { table id="trend-table" {
                thead { tr { th { "When" } th { "Build" } th { "Verdict" } th class="n" { "Value" } } } tbody {}
            } } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_begin_when_they_do() {
        assert_eq!(day_ms("1970-01-01"), Some(0));
        assert_eq!(day_ms("2000-03-01"), Some(951_868_800_000));
        assert_eq!(day_ms("2026-11-23"), Some(1_795_392_000_000));
        for wrong in ["", "today", "2026-13-01", "2026-11", "1969-12-31", "-5-01-01"] {
            assert_eq!(day_ms(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn hostile_names_stay_within_an_address() {
        assert_eq!(in_address("a&b=<ü>"), "a%26b%3D%3C%C3%BC%3E");
    }
}
