//! `Report -> report.md`: for a comment on a pull request. The verdict first, then thresholds, steps and the comparison.
//!
//! Texts that a user could have named are escaped: they neither format nor link, and notify nobody.

use std::fmt::Write as _;
use std::time::Duration;

use super::compare::{Beside, Change};
use super::failures::failure_rows;
use super::{Report, StepFigures, Times, format};
use crate::gate::{Decision, Gate, cells};
use crate::verdict::{Check, Verdict};

/// At most so many rows in a table, and so many reasons: a comment is to be read.
const MAX_ROWS: usize = 30;
const MAX_NAME_CHARS: usize = 60;
const MAX_TEXT_CHARS: usize = 500;

/// The file's text.
pub(super) fn write(report: &Report) -> String {
    let mut text = String::new();
    head(report, &mut text);
    thresholds(report, &mut text);
    if let Some(gate) = &report.gate {
        gated(gate, &mut text);
    }
    if let Some(beside) = &report.beside {
        compared(beside, &mut text);
    }
    steps(report, &mut text);
    failures(report, &mut text);
    let _ = writeln!(text, "The whole report is `report.html`, beside this file; all figures are in `report.json`.");
    text
}

fn head(report: &Report, text: &mut String) {
    let (run, judgement) = (&report.run, &report.judgement);
    let against = if run.target.is_empty() { String::new() } else { format!(" against {}", name(&run.target)) };
    let build = if run.build.is_empty() { String::new() } else { format!(", build {}", name(&run.build)) };
    let _ = writeln!(text, "## {}: {}{against}{build}\n", judgement.verdict, name(&run.scenario));
    if judgement.verdict == Verdict::Pass {
        let _ = writeln!(text, "{}.\n", escaped(&judgement.headline()));
    }
    let _ = list(judgement.reasons.iter().map(|reason| &reason.text), text);
    if !judgement.warnings.is_empty() {
        let _ = writeln!(text, "To know:\n");
        let _ = list(&judgement.warnings, text);
    }
    let players = &report.players;
    let lasted = format::clock(Duration::try_from_secs_f64(report.lasted_s).unwrap_or_default());
    let _ = writeln!(
        text,
        "{} started, {} failed ({}), at most {} at once; lasted {lasted}, seed {}.\n",
        format::counted(players.started, "player", "players"),
        format::count(players.failed),
        format::share(players.error_share),
        format::count(players.peak_active),
        name(&run.seed)
    );
}

fn list<'a>(texts: impl IntoIterator<Item = &'a String>, text: &mut String) -> std::fmt::Result {
    let texts: Vec<&String> = texts.into_iter().collect();
    for one in texts.iter().take(MAX_ROWS) {
        writeln!(text, "- {}", escaped(one))?;
    }
    if texts.len() > MAX_ROWS {
        writeln!(text, "- and {} more", texts.len() - MAX_ROWS)?;
    }
    if texts.is_empty() { Ok(()) } else { writeln!(text) }
}

fn thresholds(report: &Report, text: &mut String) {
    let rows = report.judgement.thresholds.iter().map(|row| {
        let outcome = match row.outcome {
            Check::Met => "met",
            Check::Missed => "**missed**",
            Check::NoData => "**no data**",
        };
        vec![name(&row.threshold), row.measured.clone().map_or("–".into(), |text| escaped(&text)), outcome.to_owned()]
    });
    table("Thresholds", &["must be", "measured", ""], rows, text);
}

/// What the gate says: figures that have changed, or of which it is not sure.
fn gated(gate: &Gate, text: &mut String) {
    let (same, other): (Vec<_>, Vec<_>) = gate.figures.iter().partition(|one| one.decision == Decision::Same);
    let rows = other.iter().map(|one| {
        let [step, rest @ ..] = cells(one);
        [vec![name(&step)], rest.iter().map(|cell| escaped(cell)).collect()].concat()
    });
    table("Against the build before", &["step", "figure", "old", "new", "change", "is"], rows, text);
    let of = if gate.paired { "of both at once" } else { "of each run" };
    let _ = writeln!(
        text,
        "The regression gate compared {} {of}: {} of {} {} the same.\n",
        format::micros(gate.compared_s * 1e6),
        same.len(),
        format::counted(gate.figures.len() as u64, "figure", "figures"),
        if same.len() == 1 { "is" } else { "are" }
    );
}

fn compared(beside: &Beside, text: &mut String) {
    let run = &beside.run;
    let build = if run.build.is_empty() { name(&run.id) } else { name(&run.build) };
    let title = format!("Beside {build} of {}", format::moment(run.started_at_unix_s));
    let is_decided = beside.steps.values().any(|step| step.decision.is_some());
    let head = ["step", "p50", "p95", "p99", "failed", "a second", "decision"];
    let head = if is_decided { &head[..] } else { &head[..6] };
    let rows = beside.steps.iter().map(|(step, changes)| {
        let time = |change| of_change(change, format::micros);
        let mut row = vec![name(step), time(changes.p50_us), time(changes.p95_us), time(changes.p99_us)];
        row.extend([of_change(changes.error_share, format::share), of_change(changes.rate_per_s, format::rate)]);
        if is_decided {
            row.push(changes.decision.as_deref().map_or("–".into(), escaped));
        }
        row
    });
    table(&title, head, rows, text);
    let _ = list(&beside.cautions, text);
}

/// `12.3 ms → 14 ms (+14 %)`.
fn of_change(change: Change, write: fn(f64) -> String) -> String {
    let figure = |figure: Option<f64>| figure.map_or_else(|| "–".to_owned(), write);
    let by = super::compare::by(change).map(|by| format!(" ({by})")).unwrap_or_default();
    escaped(&format!("{} → {}{by}", figure(change.old), figure(change.new)))
}

fn steps(report: &Report, text: &mut String) {
    let time = |times: &Option<Times>, of: fn(&Times) -> u64| {
        times.as_ref().map_or("–".to_owned(), |times| format::micros(of(times) as f64))
    };
    let row = |(step, figures): (&String, &StepFigures)| {
        vec![
            name(step),
            format::count(figures.succeeded),
            format::rate(figures.rate_per_s),
            format::count(figures.failed),
            time(&figures.response, |t| t.p50_us),
            time(&figures.response, |t| t.p95_us),
            time(&figures.response, |t| t.p99_us),
            time(&figures.service, |t| t.p99_us),
        ]
    };
    let head = ["step", "succeeded", "a second", "failed", "p50", "p95", "p99", "service p99"];
    table("Steps", &head, report.steps.iter().map(row), text);
}

fn failures(report: &Report, text: &mut String) {
    let rows = failure_rows(report);
    let rows = rows.iter().map(|row| {
        let step = if row.step.is_empty() { "outside of steps".to_owned() } else { name(row.step) };
        let message = row.sample.map_or(String::new(), |sample| escaped(&format::fit(&sample.message, 200)));
        vec![step, name(row.kind), format::count(row.count), message]
    });
    table("Failures", &["step", "kind", "times", "the first"], rows, text);
}

/// A table with a title; nothing if it has no rows. All but the first column and the last of words stand right.
fn table(title: &str, head: &[&str], rows: impl ExactSizeIterator<Item = Vec<String>>, text: &mut String) {
    if rows.len() == 0 {
        return;
    }
    let more = rows.len().saturating_sub(MAX_ROWS);
    let _ = writeln!(text, "### {title}\n\n| {} |", head.join(" | "));
    let _ = writeln!(text, "|{}", "---|".repeat(head.len()));
    for row in rows.take(MAX_ROWS) {
        let _ = writeln!(text, "| {} |", row.join(" | "));
    }
    if more > 0 {
        let _ = writeln!(text, "\nAnd {more} more in the report.");
    }
    text.push('\n');
}

/// A name as code. In a table, a bar ends a cell even there.
fn name(text: &str) -> String {
    let text = format::name(text, MAX_NAME_CHARS).replace('|', "\\|");
    // A fence of more backticks than there are in a row.
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    if longest > 0 { format!("{fence} {text} {fence}") } else { format!("{fence}{text}{fence}") }
}

/// A text as it is: each sign that could format has a backslash before it, and `@` and what begins a link are broken up by
/// a space of no width.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in format::fit(text, MAX_TEXT_CHARS).chars() {
        if matches!(c, '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '<' | '>' | '#' | '|' | '~' | '!' | '&' | '$') {
            safe.push('\\');
        }
        safe.push(c);
        if c == '@' {
            safe.push('\u{200b}');
        }
    }
    safe.replace("://", ":\u{200b}//").replace("www.", "www\u{200b}.")
}

#[cfg(test)]
mod tests {
    use super::super::tests::{empty, hostile, made_up, passing};
    use super::*;
    use crate::gate::{Compared, Figure};

    #[test]
    fn the_verdict_comes_first_and_tables_are_whole() {
        let mut report = made_up();
        report.run.build = "1.2.3".into();
        report.compare_with(&made_up());
        let text = write(&report);
        assert!(text.starts_with("## FAIL: `arena` against `127.0.0.1:7777`, build `1.2.3`\n"), "{text}");
        let order = ["### Thresholds", "### Beside", "### Steps", "### Failures", "`report.html`"];
        let at: Vec<usize> =
            order.iter().map(|part| text.find(part).unwrap_or_else(|| panic!("{part}:\n{text}"))).collect();
        assert!(at.is_sorted(), "{at:?}");
        assert!(text.contains("| `p99(login) < 250ms` | ") && text.contains("**missed**"), "{text}");
        for report in [report, hostile(), empty(), passing()] {
            for table in write(&report).split("\n\n").filter(|part| part.starts_with("| ")) {
                let bars = |line: &str| line.replace("\\|", "").matches('|').count();
                let columns = bars(table.lines().next().unwrap());
                assert!(table.lines().all(|line| bars(line) == columns), "{table}");
            }
        }
    }

    #[test]
    fn what_the_gate_says_is_a_table_of_what_changed() {
        let figure = |step: &str, decision: Decision| Compared {
            step: step.to_owned(),
            figure: Figure::P50,
            old: 20_000.0,
            new: 30_000.0,
            change: 0.5,
            low: 0.4,
            high: 0.6,
            p: 0.001,
            p_corrected: 0.002,
            steady: None,
            decision,
        };
        let gate = Gate {
            verdict: Verdict::Fail,
            reasons: vec!["p50(login) is slower".into()],
            notes: Vec::new(),
            figures: vec![figure("login", Decision::Worse), figure("move", Decision::Same)],
            too_rare: Vec::new(),
            baselines: vec!["old".into()],
            candidates: vec!["new".into()],
            from_s: 1.0,
            compared_s: 60.0,
            paired: true,
        };
        let mut report = passing();
        report.compare_with(&passing());
        report.take_gate(Ok(gate));
        let decision = |step: &str| report.beside.as_ref().unwrap().steps[step].decision.clone();
        assert_eq!((decision("login").as_deref(), decision("move").as_deref()), (Some("p50 SLOWER"), Some("same")));
        let text = write(&report);
        assert!(text.starts_with("## FAIL") && text.contains("- p50(login) is slower\n"), "{text}");
        assert!(
            text.contains("### Against the build before\n\n| step | figure | old | new | change | is |\n"),
            "{text}"
        );
        assert!(text.contains("| `login` | p50 | 20 ms | 30 ms | +50.0% | SLOWER |\n"), "{text}");
        assert!(text.contains("compared 1m00s of both at once: 1 of 2 figures is the same.\n"), "{text}");
    }

    #[test]
    fn names_neither_format_nor_link_nor_notify() {
        let mut report = hostile();
        let step = report.steps["login"].clone();
        report.steps.insert("a`b``c|d".into(), step);
        let text = write(&report);
        assert!(text.contains("``` a`b``c\\|d ```"), "{text}");
        assert!(text.contains("`<script>alert(1)</script>`"), "as code: {text}");
        assert_eq!(
            escaped("<b> @all *x* https://x.y www.z|"),
            "\\<b\\> @\u{200b}all \\*x\\* https:\u{200b}//x.y www\u{200b}.z\\|"
        );
        assert_eq!(name(""), "`(no name)`");
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'));
    }
}
