//! What the gate says, for a screen of 80 columns: the verdict, why, and every figure with its interval.

use std::time::Duration;

use super::{Compared, Decision, Figure, Gate, GateOptions, Steady, TooRare};
use crate::report::format;
use crate::verdict::Verdict;

/// The screen's width, in characters.
const WIDTH: usize = 80;
/// What stands before a line's text.
const INDENT: usize = 10;

/// The gate's answer, each line ended by a line feed. The first starts with the verdict.
pub fn gate_summary(gate: &Gate) -> String {
    let mut lines = Vec::new();
    let headline = match gate.verdict {
        Verdict::Pass => vec!["no figure that was judged has become worse".to_owned()],
        _ => gate.reasons.clone(),
    };
    for (i, reason) in headline.iter().enumerate() {
        push(&mut lines, if i == 0 { gate.verdict.name() } else { "" }, reason);
    }
    push(&mut lines, "Old", &gate.baselines.join(", "));
    push(&mut lines, "New", &gate.candidates.join(", "));
    let from = format::clock(Duration::from_secs_f64(gate.from_s.clamp(0.0, 1e9)));
    let of = if gate.paired { "both at once" } else { "each run" };
    push(&mut lines, "Compared", &format!("{} of {of}, from {from} on", format::micros(gate.compared_s * 1e6)));
    if !gate.figures.is_empty() {
        lines.push(String::new());
        lines.push(row(["step", "figure", "old", "new", "change", "", "is"]));
        for one in &gate.figures {
            lines.push(figure_row(one));
            lines
                .extend(one.steady.as_ref().filter(|steady| steady.worse).map(|steady| steady_row(one.figure, steady)));
        }
        lines.push(String::new());
    }
    if !gate.too_rare.is_empty() {
        push(&mut lines, "Too rare", &too_rare(&gate.too_rare));
    }
    for note in &gate.notes {
        push(&mut lines, "Note", note);
    }
    lines.iter().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// Adds a text with a word in front, broken at spaces.
fn push(lines: &mut Vec<String>, word: &str, text: &str) {
    for (i, part) in format::wrap(text, WIDTH - INDENT).into_iter().enumerate() {
        let word = if i == 0 { word } else { "" };
        lines.push(format!("{word:<INDENT$}{part}"));
    }
}

fn row([step, figure, old, new, change, interval, is]: [&str; 7]) -> String {
    format!("{:<14} {figure:<6} {old:>9} {new:>9} {change:>8} {interval:>17}  {is}", format::name(step, 14))
}

fn figure_row(one: &Compared) -> String {
    let [old, new] = [one.old, one.new].map(|value| value_of(one.figure, value));
    let interval = format!("{} to {}", signed(one.figure, one.low), signed(one.figure, one.high));
    row([&one.step, one.figure.name(), &old, &new, &signed(one.figure, one.change), &interval, &word(one)])
}

/// The figure of steady seconds, if those have decided where the whole did not.
fn by_steady(one: &Compared) -> Option<&Steady> {
    one.steady.as_ref().filter(|steady| steady.worse && one.low <= 0.0)
}

/// It stands below the figure's own row.
fn steady_row(figure: Figure, one: &Steady) -> String {
    let [old, new] = [one.old, one.new].map(|value| value_of(figure, value));
    let interval = format!("{} to {}", signed(figure, one.low), signed(figure, one.high));
    row(["  steady", figure.name(), &old, &new, &signed(figure, one.change), &interval, "SLOWER"])
}

/// Figures as Markdown has them: step, figure, old, new, change, what it is; of steady seconds where only those have decided.
pub(crate) fn cells(one: &Compared) -> [String; 6] {
    let (seconds, [old, new], change) = match by_steady(one) {
        Some(of) => (", steady seconds", [of.old, of.new], of.change),
        None => ("", [one.old, one.new], one.change),
    };
    let [old, new] = [old, new].map(|value| value_of(one.figure, value));
    [one.step.clone(), format!("{}{seconds}", one.figure), old, new, signed(one.figure, change), word(one)]
}

/// What the gate makes of a step, in words: `p50 SLOWER, p95 SLOWER`, `p99 unsure`, `same`. None if it has not judged it.
pub(crate) fn of_step(gate: &Gate, step: &str) -> Option<String> {
    let figures: Vec<&Compared> = gate.figures.iter().filter(|one| one.step == step).collect();
    let with = |is: fn(&Decision) -> bool| {
        let named = figures.iter().filter(|one| is(&one.decision)).map(|one| format!("{} {}", one.figure, word(one)));
        Some(named.collect::<Vec<_>>().join(", ")).filter(|text| !text.is_empty())
    };
    let worse = with(|decision| *decision == Decision::Worse);
    let other = worse.or_else(|| with(|decision| *decision != Decision::Same));
    other.or_else(|| (!figures.is_empty()).then(|| "same".to_owned()))
}

fn value_of(figure: Figure, value: f64) -> String {
    match figure {
        Figure::Errors => format::share(value),
        Figure::Rate => format::rate(value),
        Figure::P50 | Figure::P95 | Figure::P99 => format::micros(value),
    }
}

/// `+5.2 %`, `-0.03`: of shares of failures, in percentage points.
fn signed(figure: Figure, change: f64) -> String {
    let percent = change * 100.0;
    let unit = if figure.is_relative() { "%" } else { "pp" };
    match percent.abs() {
        size if size >= 999.5 => format!("{}>999{unit}", if percent < 0.0 { "-" } else { "+" }),
        size if size >= 99.95 => format!("{percent:+.0}{unit}"),
        size if size < 0.005 => format!("0{unit}"),
        size if !figure.is_relative() && size < 0.95 => format!("{percent:+.2}{unit}"),
        _ => format!("{percent:+.1}{unit}"),
    }
}

/// What a figure is, in a word or a few.
fn word(one: &Compared) -> String {
    match (one.decision, one.figure) {
        (Decision::Same, _) => "same".to_owned(),
        (Decision::Worse, Figure::Rate) => "LOWER".to_owned(),
        (Decision::Worse, Figure::Errors) => "MORE".to_owned(),
        (Decision::Worse, _) => "SLOWER".to_owned(),
        (Decision::Better, Figure::Rate) => "higher".to_owned(),
        (Decision::Better, Figure::Errors) => "fewer".to_owned(),
        (Decision::Better, _) => "faster".to_owned(),
        (Decision::NotEnoughData { .. }, _) => "unsure".to_owned(),
    }
}

/// `p95(tick) is slower: 1.31 ms → 1.42 ms, +8.2% (+5.1% to +11.4%)`; by the steady seconds where only they say so.
pub(super) fn said(one: &Compared) -> String {
    let is = match one.figure {
        Figure::Rate => "is lower",
        Figure::Errors => "are more",
        Figure::P50 | Figure::P95 | Figure::P99 => "is slower",
    };
    let (seconds, [old, new], changes) = match by_steady(one) {
        Some(of) => (" in steady seconds", [of.old, of.new], [of.change, of.low, of.high]),
        None => ("", [one.old, one.new], [one.change, one.low, one.high]),
    };
    let [old, new] = [old, new].map(|value| value_of(one.figure, value));
    let [change, low, high] = changes.map(|change| signed(one.figure, change));
    format!("{}({}) {is}{seconds}: {old} → {new}, {change} ({low} to {high})", one.figure, one.step)
}

/// Why there is no answer, and what would give one.
pub(super) fn not_enough(unsure: &[&Compared], options: &GateOptions) -> String {
    let names: Vec<String> = unsure.iter().take(4).map(|one| format!("{}({})", one.figure, one.step)).collect();
    let more = unsure.len().saturating_sub(names.len());
    let and = if more > 0 { format!(" and {more} more") } else { String::new() };
    let advice = match super::decide::longest(unsure.iter().copied()) {
        Some(seconds) => format!("run both sides {} longer", format::micros(seconds as f64 * 1e6)),
        None => "the runs differ by more than their own noise: longer ones would too; give more baselines with \
                 --base, or use a quieter machine"
            .to_owned(),
    };
    let limit = if unsure.iter().any(|one| one.figure.is_relative()) { options.detect } else { options.detect_errors };
    format!("not enough data: {}{and} could be worse by {} unseen; {advice}", names.join(", "), format::share(limit))
}

fn too_rare(rare: &[TooRare]) -> String {
    let mut steps: Vec<String> = Vec::new();
    for one in rare {
        let of = format!("{}({}): {} of {}", one.figure, one.step, format::count(one.ran), format::count(one.needed));
        steps.push(of);
    }
    let shown = steps.iter().take(8).cloned().collect::<Vec<_>>().join(", ");
    let more = steps.len().saturating_sub(8);
    let and = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{shown}{and}")
}
