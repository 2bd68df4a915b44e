//! `Report -> report.html`, its style sheet and its charts.
//!
//! **The page is for a content-security policy that forbids scripts, inline styles, fonts and `data:`** (Jenkins serves
//! archived reports under one), and for a file opened from a disk without a network. So it has a style sheet and images
//! beside it, by relative address, and nothing else. All that a user could have named is escaped by maud.

mod figures;
mod flights;
mod steps;

use std::time::Duration;

use maud::{DOCTYPE, Markup, html};

use figures::{figures, health_table};
use flights::flights;
use steps::{compared, steps};

use super::charts::{Chart, Charts, charts};
use super::failures::failure_rows;
use super::{Report, format, plot};
use crate::plan::format_duration;
use crate::stamp::Stamp;
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
                    (flights(report))
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
    let client = run.stamp.as_ref().map_or_else(|| run.client.clone(), Stamp::id);
    let rows = [
        ("Server", named(&run.target, "–")),
        ("Build", named(&run.build, "not named (--build NAME names it)")),
        ("Client", format!("{}, scenario {}", named(&client, "–"), format::name(&run.scenario, MAX_NAME_CHARS))),
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

fn more(rows: usize) -> Markup {
    html! { @if rows > MAX_ROWS { p class="note" { "And " (rows - MAX_ROWS) " more in report.json." } } }
}
