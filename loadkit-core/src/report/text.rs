//! The summary at the end of a run: plain text for a screen of 80 by 24.

use std::cmp::Reverse;

use super::failures::failure_rows;
use super::{Report, StepFigures, Times, format};
use crate::metrics::names;
use crate::verdict::Verdict;

/// The screen's width, in characters.
const WIDTH: usize = 80;
/// Lines of the summary; one is left for the prompt.
const LINES: usize = 23;
/// At most so many lines for reasons, for warnings and for failures.
const MAX_REASON_LINES: usize = 5;
const MAX_WARNING_LINES: usize = 2;
const MAX_FAILURES: usize = 3;
/// Steps are shown at least so many, whatever else there is to say.
const MIN_STEPS: usize = 3;
/// What stands before a line's text.
const INDENT: usize = 11;

/// The summary of a run, each line ended by a line feed. The first starts with the verdict.
///
/// `place` says where the whole report is.
pub fn summary(report: &Report, place: Option<&str>) -> String {
    let mut above = verdict_lines(report);
    above.push(line("", &facts(report)));
    above.push(String::new());
    above.push(line("Players", &players(report)));
    if let Some(networks) = networks(report) {
        above.push(line("Networks", &networks));
    }
    let mut below = failure_lines(report);
    below.extend(health_lines(report));
    if let Some(place) = place {
        below.push(line("Report", place));
    }
    let room = LINES.saturating_sub(above.len() + below.len() + 2).max(MIN_STEPS + 1);
    let mut text = String::new();
    for line in above.iter().chain(&step_lines(report, room)).chain(&below) {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// A line with a word in front, cut where the screen ends.
fn line(word: &str, text: &str) -> String {
    let room = WIDTH - INDENT;
    // A path that is cut leads nowhere.
    let text = if word == "Report" { text.to_owned() } else { format::fit(text, room) };
    format!("{word:<INDENT$}{text}")
}

fn verdict_lines(report: &Report) -> Vec<String> {
    let judgement = &report.judgement;
    let reasons = match judgement.verdict {
        Verdict::Pass => vec![judgement.headline()],
        _ => judgement.reasons.iter().map(|reason| reason.text.clone()).collect(),
    };
    let mut lines: Vec<String> = Vec::new();
    for (i, reason) in reasons.iter().enumerate() {
        let wrapped = format::wrap(reason, WIDTH - INDENT);
        // A reason is cut only if it is the first; one line is kept for how many there are more.
        let room = MAX_REASON_LINES.saturating_sub(lines.len() + usize::from(i + 1 < reasons.len()));
        if wrapped.len() > room && i > 0 {
            let more = format::counted((reasons.len() - i) as u64, "more reason", "more reasons");
            lines.push(line("", &format!("and {more}")));
            break;
        }
        let word = if i == 0 { judgement.verdict.name() } else { "" };
        for (n, part) in wrapped.iter().take(room).enumerate() {
            let cut = if n + 1 == room && wrapped.len() > room { " …" } else { "" };
            lines.push(line(if n == 0 { word } else { "" }, &format!("{part}{cut}")));
        }
    }
    lines
}

fn facts(report: &Report) -> String {
    let run = &report.run;
    let lasted = format::clock(std::time::Duration::from_secs_f64(report.lasted_s.clamp(0.0, 1e9)));
    let target =
        if run.target.is_empty() { String::new() } else { format!(" against {}", format::fit(&run.target, 28)) };
    format!("{}{target}, lasted {lasted}, seed {}", format::fit(&run.scenario, 16), run.seed)
}

fn players(report: &Report) -> String {
    let players = &report.players;
    let mut text = format!(
        "{} started, {} finished, {} failed",
        format::count(players.started),
        format::count(players.finished),
        format::count(players.failed)
    );
    if players.failed > 0 {
        text.push_str(&format!(" ({})", format::share(players.error_share)));
    }
    if players.cut_off > 0 {
        text.push_str(&format!(", {} cut off", format::count(players.cut_off)));
    }
    text + &format!("; {} at once", format::count(players.peak_active))
}

/// How many players each network had.
pub(super) fn networks(report: &Report) -> Option<String> {
    let networks = report.players.by_network.iter().map(|(name, count)| format!("{name} {}", format::count(*count)));
    let networks: Vec<String> = networks.collect();
    (!networks.is_empty()).then(|| networks.join(", "))
}

/// The table of steps within so many lines, with an empty line on both sides.
fn step_lines(report: &Report, room: usize) -> Vec<String> {
    if report.steps.is_empty() {
        return vec![String::new()];
    }
    let rows = room.saturating_sub(1);
    let shown = rows.min(report.steps.len()) - usize::from(report.steps.len() > rows);
    let mut by_weight: Vec<(&String, &StepFigures)> = report.steps.iter().collect();
    by_weight.sort_by_key(|(_, step)| Reverse((step.failed > 0, step.count)));
    by_weight.truncate(shown);
    by_weight.sort_by_key(|(name, _)| *name);
    let head = ["count", "rate", "failed", "p50", "p95", "p99", "max"].map(str::to_owned);
    let mut lines = vec![String::new(), row("step", head)];
    for (name, step) in by_weight {
        let time = |of: fn(&Times) -> u64| step.response.as_ref().map_or("–".into(), |t| format::micros(of(t) as f64));
        let times = [time(|t| t.p50_us), time(|t| t.p95_us), time(|t| t.p99_us), time(|t| t.max_us)];
        let [p50, p95, p99, max] = times;
        let cells = [short(step.count, 9), format::rate(step.rate_per_s), short(step.failed, 6), p50, p95, p99, max];
        lines.push(row(name, cells));
    }
    if report.steps.len() > shown {
        lines.push(format!("and {} more in the report", report.steps.len() - shown));
    }
    lines.push(String::new());
    lines
}

fn row(name: &str, [count, rate, failed, p50, p95, p99, max]: [String; 7]) -> String {
    let name = format::name(name, 16);
    format!("{name:<16} {count:>9} {rate:>9} {failed:>6} {p50:>8} {p95:>8} {p99:>8} {max:>8}")
}

/// A count in so many characters: in millions where it is too long.
fn short(n: u64, width: usize) -> String {
    let text = format::count(n);
    if text.len() <= width { text } else { format!("{}M", format::number(n as f64 / 1e6)) }
}

fn failure_lines(report: &Report) -> Vec<String> {
    let rows = failure_rows(report);
    let mut lines = Vec::new();
    for row in rows.iter().take(MAX_FAILURES) {
        let place = if row.step.is_empty() { "outside of steps".to_owned() } else { format::name(row.step, 18) };
        let message = row.sample.map_or(String::new(), |sample| format!(": {}", sample.message));
        let word = if lines.is_empty() { "Failures" } else { "" };
        lines.push(line(
            word,
            &format!("{} × {place} {}{message}", format::count(row.count), format::fit(row.kind, 24)),
        ));
    }
    if rows.len() > MAX_FAILURES {
        let kinds = format::counted((rows.len() - MAX_FAILURES) as u64, "more kind", "more kinds");
        lines.push(line("", &format!("and {kinds} in the report")));
    }
    lines
}

fn health_lines(report: &Report) -> Vec<String> {
    let mut health = Vec::new();
    let lags = [(names::TICK_LAG, "ticks"), (names::WAKE_LAG, "replies"), (names::START_LAG, "starts")];
    for (name, what) in lags {
        if let Some(lag) = report.generator.trends.get(name) {
            health.push(format!("{what} {}", format::micros(lag.p99 as f64)));
        }
    }
    let mut text = if health.is_empty() { String::new() } else { format!("lag p99: {}", health.join(", ")) };
    if let Some(cores) = report.generator.gauges.get(names::CPU).and_then(|cpu| cpu.max) {
        text.push_str(if text.is_empty() { "" } else { "; " });
        text.push_str(&format!("CPU at most {} cores", format::number(cores)));
    }
    let mut lines = Vec::new();
    if !text.is_empty() {
        lines.push(line("Generator", &text));
    }
    let warnings = report.judgement.warnings.iter().flat_map(|text| format::wrap(text, WIDTH - INDENT));
    for (i, text) in warnings.take(MAX_WARNING_LINES).enumerate() {
        lines.push(line(if i == 0 { "Warning" } else { "" }, &text));
    }
    lines
}
