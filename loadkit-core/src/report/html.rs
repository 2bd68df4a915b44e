//! `Report -> report.html`, its style sheet and its charts.
//!
//! **The page is for a content-security policy that forbids scripts, inline styles, fonts and `data:`** (Jenkins serves
//! archived reports under one), and for a file opened from a disk without a network. So it has a style sheet and images
//! beside it, by relative address, and nothing else. All that a user could have named is escaped by maud.

use std::time::Duration;

use maud::{DOCTYPE, Markup, html};

use super::charts::{Chart, Charts, charts};
use super::compare::{Beside, Change, by};
use super::failures::failure_rows;
use super::health::health;
use super::{Distribution, Figures, Report, StepFigures, Times, format, plot};
use crate::metrics::TrendUnit;
use crate::plan::format_duration;
use crate::verdict::{Check, Verdict};

/// At most so many rows are in a table; the page says how many there are more.
const MAX_ROWS: usize = 100;
/// The longest name in a table.
const MAX_NAME_CHARS: usize = 80;
/// The longest reason, warning or message.
const MAX_TEXT_CHARS: usize = 1_000;

/// The files of the page: name and text. The page itself comes last, so that all it refers to is there before it.
pub(super) fn files(report: &Report) -> Vec<(String, String)> {
    let charts = charts(report);
    let page = page(report, &charts).into_string();
    let mut files: Vec<(String, String)> = charts.into_all().map(|chart| (chart.file, chart.svg)).collect();
    files.push(("report.css".to_owned(), include_str!("report.css").to_owned()));
    files.push(("report.html".to_owned(), page));
    files
}

fn page(report: &Report, charts: &Charts) -> Markup {
    let name = |text: &str| format::fit(text, MAX_NAME_CHARS);
    let title = match report.run.target.as_str() {
        "" => name(&report.run.scenario),
        target => format!("{} against {}", name(&report.run.scenario), name(target)),
    };
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (report.judgement.verdict.name()) ": " (title) }
                link rel="stylesheet" href="report.css";
            }
            body {
                main {
                    h1 { (title) }
                    (verdict(report))
                    (facts(report))
                    (thresholds(report))
                    @if let Some(beside) = &report.beside { (compared(beside)) }
                    (steps(report))
                    (over_time(charts))
                    @if !charts.distributions.is_empty() {
                        section {
                            h2 { "Distributions" }
                            p class="note" { "Each percentile is as far to the right as it has nines, so that the tail is seen." }
                            (pictures(&charts.distributions))
                        }
                    }
                    (failures(report))
                    (figures("What the game measured", "", &report.game, html! {}))
                    (figures(
                        "Connections",
                        "The kit's own figures of all connections together.",
                        &report.connections,
                        pictures(&charts.connections),
                    ))
                    (figures(
                        "The load generator",
                        "How this kit and its machine were doing. None of it is about the server: where it is bad, the run is invalid.",
                        &report.generator,
                        html! { (health_table(report)) (pictures(&charts.generator)) },
                    ))
                    footer {
                        (beside_the_page())
                        p { "Made by loadkit " (report.run.version) "." }
                    }
                }
            }
        }
    }
}

fn verdict(report: &Report) -> Markup {
    let judgement = &report.judgement;
    let class = match judgement.verdict {
        Verdict::Pass => "verdict pass",
        Verdict::Fail => "verdict fail",
        Verdict::Invalid => "verdict invalid",
    };
    html! {
        section class=(class) {
            p class="word" { (judgement.verdict.name()) }
            @if judgement.reasons.is_empty() {
                p { (format::fit(&judgement.headline(), MAX_TEXT_CHARS)) "." }
            } @else {
                ul { @for reason in judgement.reasons.iter().take(MAX_ROWS) { li { (format::fit(&reason.text, MAX_TEXT_CHARS)) } } }
            }
        }
        @if !judgement.warnings.is_empty() {
            section class="warnings" {
                h2 { "To know" }
                ul { @for warning in &judgement.warnings { li { (format::fit(warning, MAX_TEXT_CHARS)) } } }
            }
        }
    }
}

fn facts(report: &Report) -> Markup {
    let (run, players) = (&report.run, &report.players);
    let seconds = |s: f64| format::clock(Duration::from_secs_f64(s.clamp(0.0, 1e9)));
    let ended = format!(
        "{} started, {} finished, {} failed ({}), {} cut off",
        format::count(players.started),
        format::count(players.finished),
        format::count(players.failed),
        format::share(players.error_share),
        format::count(players.cut_off)
    );
    let at_once = format!(
        "{} planned, {} at work, {} connected",
        format::count(players.peak_planned),
        format::count(players.peak_active),
        format::count(players.peak_connected)
    );
    let parties = if run.plan.party > 1 { format!("; parties of {}", run.plan.party) } else { String::new() };
    let networks = run.plan.networks.iter().map(|network| {
        let players = players.by_network.get(&network.name).copied().unwrap_or(0);
        let adds = Duration::from_secs_f64(network.round_trip_us.clamp(0.0, 1e12) / 1e6);
        let lost = [network.loss_up, network.loss_down].map(format::share);
        let mut text = format!(
            "{}: {}, {} more a round trip, {} lost up and {} down",
            network.name,
            format::counted(players, "player", "players"),
            format_duration(adds),
            lost[0],
            lost[1]
        );
        if network.outage_share > 0.0 {
            text.push_str(&format!(", none for {} of the time", format::share(network.outage_share)));
        }
        text
    });
    let networks: Vec<String> = networks.collect();
    let networks = (!networks.is_empty()).then(|| ("Networks", networks.join("; ")));
    let named =
        |text: &str, none: &str| if text.is_empty() { none.to_owned() } else { format::fit(text, MAX_NAME_CHARS) };
    let rows = [
        ("Server", named(&run.target, "–")),
        ("Build", named(&run.build, "not named (--build NAME names it)")),
        ("Client", format!("{}, scenario {}", named(&run.client, "–"), format::name(&run.scenario, MAX_NAME_CHARS))),
        ("Players", ended),
        ("At most at once", at_once),
        ("Load", run.plan.stages.iter().take(20).cloned().collect::<Vec<_>>().join(", then ") + &parties),
        ("Lasted", format!("{} ({} planned)", seconds(report.lasted_s), seconds(run.plan.duration_s))),
        ("Started", format::moment(run.started_at_unix_s)),
        (
            "Run",
            format!("{}, seed {}, {}", run.id, run.seed, format::counted(u64::from(run.shards), "shard", "shards")),
        ),
    ];
    html! { dl class="facts" { @for (name, value) in rows.iter().chain(&networks) { div { dt { (name) } dd { (value) } } } } }
}

fn thresholds(report: &Report) -> Markup {
    let rows = &report.judgement.thresholds;
    html! {
        @if !rows.is_empty() {
            section {
                h2 { "Thresholds" }
                div class="scroll" { table class="short" {
                    thead { tr { th { "must be" } th class="n" { "measured" } th { "" } } }
                    tbody {
                        @for row in rows.iter().take(MAX_ROWS) {
                            @let (class, word) = match row.outcome {
                                Check::Met => ("met", "met"),
                                Check::Missed => ("missed", "missed"),
                                Check::NoData => ("missed", "no data"),
                            };
                            tr {
                                td class="name" { (format::fit(&row.threshold, MAX_NAME_CHARS)) }
                                td class="n" { (row.measured.as_deref().unwrap_or("–")) }
                                td class=(class) { (word) }
                            }
                        }
                    }
                } }
                (more(rows.len()))
            }
        }
    }
}

/// What the step table shows of both times.
const STEP_TIMES: [(&str, fn(&Times) -> u64); 5] = [
    ("p50", |times| times.p50_us),
    ("p95", |times| times.p95_us),
    ("p99", |times| times.p99_us),
    ("p99.9", |times| times.p99_9_us),
    ("max", |times| times.max_us),
];

fn steps(report: &Report) -> Markup {
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
fn compared(beside: &Beside) -> Markup {
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

/// The files beside the page, for those who want more than it shows.
fn beside_the_page() -> Markup {
    let files = [
        ("report.json", "all figures, exact and over time"),
        ("steps.csv", "a line for each step"),
        ("series.csv", "a line for each step and point in time"),
        ("report.md", "in short, for a pull request"),
    ];
    // Only what is written with this page is linked.
    let archived = [("histograms.hlog", "HdrHistogram's log of all times"), ("junit.xml", "thresholds as tests")];
    let archived = if cfg!(feature = "archive") { &archived[..] } else { &[] };
    html! {
        ul class="files" {
            @for (file, what) in files.iter().chain(archived) { li { a href=(file) { (file) } ": " (what) } }
        }
    }
}

fn health_table(report: &Report) -> Markup {
    let rows = health(report);
    html! {
        @if !rows.is_empty() {
            div class="scroll" { table class="health" {
                thead { tr { th { "health" } th { "measured" } th { "must be" } th { "" } } }
                tbody { @for row in &rows { tr {
                    td class="name" { (row.what) }
                    td { (row.measured) }
                    td { (row.limit) }
                    @if row.limit.is_empty() { td {} }
                    @else if row.is_well { td class="met" { "well" } }
                    @else { td class="missed" { "sick" } }
                } } }
            } }
        }
    }
}

fn over_time(charts: &Charts) -> Markup {
    html! {
        @if !charts.over_time.is_empty() {
            section {
                h2 { "Over time" }
                (pictures(&charts.over_time))
                @if !charts.left_out.is_empty() {
                    @let names = charts.left_out.iter().take(20).map(|name| format::name(name, 30)).collect::<Vec<_>>();
                    p class="note" {
                        "Not drawn, because they ran least: " (names.join(", "))
                        @if charts.left_out.len() > names.len() { " and " (charts.left_out.len() - names.len()) " more" }
                        "."
                    }
                }
            }
        }
    }
}

/// Charts, each in a frame of its own: on a narrow screen it scrolls there, so that its letters stay large enough.
fn pictures(charts: &[Chart]) -> Markup {
    let (width, least_height) = plot::SIZE;
    html! {
        @for chart in charts {
            div class="chart" {
                img src=(chart.file) alt=(chart.description) width=(width) height=(least_height + chart.legend_px);
            }
        }
    }
}

fn failures(report: &Report) -> Markup {
    let rows = failure_rows(report);
    html! {
        section {
            h2 { "Failures" }
            @if rows.is_empty() {
                p { "None." }
            } @else {
                div class="scroll" { table class="failures" {
                    thead { tr { th { "step" } th { "kind" } th class="n" { "times" } th { "the first" } } }
                    tbody {
                        @for row in rows.iter().take(MAX_ROWS) {
                            tr {
                                td class="name" {
                                    @if row.step.is_empty() { i { "outside of steps" } }
                                    @else { (format::name(row.step, MAX_NAME_CHARS)) }
                                }
                                td { (format::fit(row.kind, MAX_NAME_CHARS)) }
                                td class="n" { (format::count(row.count)) }
                                td {
                                    @if let Some(sample) = row.sample {
                                        @let at = format::clock(Duration::from_micros(sample.at_us));
                                        (format::fit(&sample.message, MAX_TEXT_CHARS))
                                        " " span class="note" { "(at " (at) ", seat " (sample.seat) ")" }
                                    }
                                }
                            }
                        }
                    }
                } }
                (more(rows.len()))
            }
        }
    }
}

/// A section of figures; what stands before their tables is given.
fn figures(title: &str, note: &str, figures: &Figures, before: Markup) -> Markup {
    let Figures { trends, counts, gauges } = figures;
    let empty = trends.is_empty() && counts.is_empty() && gauges.is_empty();
    let gauge = |name: &str, value: Option<f64>| match value {
        None => "–".to_owned(),
        Some(size) if name == crate::metrics::names::MEMORY => format::bytes(size),
        Some(value) => format::number(value),
    };
    html! {
        @if !empty {
            section {
                h2 { (title) }
                @if !note.is_empty() { p class="note" { (note) } }
                (before)
                @if !trends.is_empty() {
                    div class="scroll" { table {
                        thead { tr {
                            th { "trend" }
                            @for head in ["samples", "mean", "p50", "p95", "p99", "max"] { th class="n" { (head) } }
                        } }
                        tbody { @for (name, trend) in trends.iter().take(MAX_ROWS) { (trend_row(name, trend)) } }
                    } }
                    (more(trends.len()))
                }
                @if !counts.is_empty() {
                    div class="scroll" { table {
                        thead { tr { th { "count" } th class="n" { "in all" } th class="n" { "a second" } } }
                        tbody { @for (name, count) in counts.iter().take(MAX_ROWS) { tr {
                            td class="name" { (format::name(name, MAX_NAME_CHARS)) }
                            td class="n" { (format::count(count.total)) }
                            td class="n" { (format::rate(count.rate_per_s)) }
                        } } }
                    } }
                    (more(counts.len()))
                }
                @if !gauges.is_empty() {
                    div class="scroll" { table {
                        thead { tr { th { "gauge" } @for head in ["last", "smallest", "largest"] { th class="n" { (head) } } } }
                        tbody { @for (name, values) in gauges.iter().take(MAX_ROWS) { tr {
                            td class="name" { (format::name(name, MAX_NAME_CHARS)) }
                            @for value in [values.last, values.min, values.max] { td class="n" { (gauge(name, value)) } }
                        } } }
                    } }
                    (more(gauges.len()))
                }
            }
        }
    }
}

fn trend_row(name: &str, trend: &Distribution) -> Markup {
    let value = |value: f64| match trend.unit {
        TrendUnit::Micros => format::micros(value),
        TrendUnit::Number => format::number(value),
    };
    let whole = [trend.p50, trend.p95, trend.p99, trend.max].map(|n| value(n as f64));
    html! {
        tr {
            td class="name" { (format::name(name, MAX_NAME_CHARS)) }
            td class="n" { (format::count(trend.count)) }
            td class="n" { (value(trend.mean)) }
            @for text in whole { td class="n" { (text) } }
        }
    }
}

fn more(rows: usize) -> Markup {
    html! { @if rows > MAX_ROWS { p class="note" { "And " (rows - MAX_ROWS) " more in report.json." } } }
}
