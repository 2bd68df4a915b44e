//! Flights as text, for a terminal or a page: one line an event, and nothing in it that a terminal would obey.

use std::fmt::Write as _;

use super::read::hex;
use super::{Artifact, Comparison, Flight, FlightEvent, FlightRun, Message, Parting, Reason, Row, Way};
use crate::report::format;

/// So many characters of an event's text are shown.
const MAX_TEXT: usize = 160;
/// Bytes of a message that nobody can read.
const MAX_HEX: usize = 24;
/// Events that are the same before a difference, and after it.
const CONTEXT: usize = 4;
/// Rows that are shown of a comparison, unless all are asked for.
const MAX_ROWS: usize = 40;

/// A flight as text, each line ended by a line feed.
pub fn render(artifact: &Artifact) -> String {
    let Artifact { run, flight, .. } = artifact;
    let mut text = format!("{}\n{}\n", who(run, flight), ended(flight));
    if flight.left_out > 0 {
        let _ = writeln!(text, "  … {} before", format::counted(flight.left_out, "event", "events"));
    }
    for event in &flight.events {
        let _ = writeln!(text, "{} {}", since(flight, event), line(event, flight));
    }
    text
}

/// The last events of a flight, so many of them at most: each with its time since the flight began, on a line.
pub fn last_lines(flight: &Flight, count: usize) -> Vec<String> {
    let last = flight.events.iter().skip(flight.events.len().saturating_sub(count));
    last.map(|event| format!("{} {}", since(flight, event), line(event, flight))).collect()
}

/// A comparison as text, each line ended by a line feed. Without `all` only what is near a difference is shown.
///
/// Rows begin with ` ` where both are alike, `~` where a message is the same but not its contents, `-` for what was only
/// recorded, `+` for what came only in the replay, and `!` for the same step with another outcome.
pub fn render_comparison(run: &FlightRun, target: &str, comparison: &Comparison<'_>, all: bool) -> String {
    let Comparison { recorded, replayed, rows, before } = comparison;
    let mut text = format!("{}\n", who(run, recorded));
    let _ = writeln!(text, "recorded  {}, against {}", ended(recorded), plain(&run.target));
    let _ = writeln!(text, "replayed  {}, against {}\n", ended(replayed), plain(target));
    let _ = writeln!(text, "  {:>9} {:>9}", "recorded", "replayed");
    if *before > 0 {
        let _ = writeln!(text, "  … {} before the recording", format::counted(*before as u64, "event", "events"));
    }
    let mut hidden = 0;
    let shown = if all { vec![true; rows.len()] } else { shown(rows) };
    for (row, is_shown) in rows.iter().zip(shown) {
        if !is_shown {
            hidden += 1;
            continue;
        }
        flush(&mut text, &mut hidden);
        rows_of(&mut text, comparison, row);
    }
    flush(&mut text, &mut hidden);
    text.push('\n');
    text + &conclusion(comparison)
}

fn flush(text: &mut String, hidden: &mut u64) {
    if *hidden > 0 {
        let _ = writeln!(text, "  … {} (--all shows them)", format::counted(*hidden, "event", "events"));
    }
    *hidden = 0;
}

/// Which rows are near the first differences.
fn shown(rows: &[Row<'_>]) -> Vec<bool> {
    let mut shown = vec![false; rows.len()];
    let mut count = 0;
    let anchors = [Parting::Path, Parting::Contents].into_iter().filter_map(|worst| {
        let first = rows.iter().position(|row| row.parting >= worst)?;
        Some((first, if worst == Parting::Path { MAX_ROWS / 4 } else { CONTEXT }))
    });
    let ends = [(rows.len().saturating_sub(1), CONTEXT)];
    let anchors: Vec<_> = anchors.chain(ends).collect();
    for (anchor, after) in anchors {
        let first = anchor.saturating_sub(CONTEXT);
        for is_shown in shown.iter_mut().take(anchor + after + 1).skip(first).filter(|is_shown| !**is_shown) {
            *is_shown = count < MAX_ROWS;
            count += 1;
        }
    }
    shown
}

/// One row, in two lines where both sides have something of their own to say.
fn rows_of(text: &mut String, comparison: &Comparison<'_>, row: &Row<'_>) {
    let Comparison { recorded, replayed, .. } = comparison;
    let left = row.recorded.map(|event| (since(recorded, event), line(event, recorded)));
    let right = row.replayed.map(|event| (since(replayed, event), line(event, replayed)));
    match (left, right, row.parting) {
        (Some((was, _)), Some((is, line)), Parting::None) => {
            let _ = writeln!(text, "  {was} {is} {line}");
        }
        (Some((was, before)), Some((is, after)), parting) => {
            let sign = if parting == Parting::Contents { '~' } else { '!' };
            let _ = writeln!(text, "{sign} {was} {:>9} {before}", "");
            let _ = writeln!(text, "{sign} {:>9} {is} {after}", "");
        }
        (Some((was, line)), None, _) => {
            let _ = writeln!(text, "- {was} {:>9} {line}", "");
        }
        (None, Some((is, line)), _) => {
            let _ = writeln!(text, "+ {:>9} {is} {line}", "");
        }
        (None, None, _) => {}
    }
}

/// Where they part, with both sides, and whether that matters.
fn conclusion(comparison: &Comparison<'_>) -> String {
    let mut text = String::new();
    let first = comparison.first(Parting::Contents);
    match first {
        None => text.push_str("It went the same way, event by event.\n"),
        Some(at) => point_at(&mut text, comparison, at, "The first difference"),
    }
    if let Some(at) = comparison.first(Parting::Path).filter(|at| Some(*at) != first) {
        point_at(&mut text, comparison, at, "The first in what the player did, or what became of it");
    }
    let verdict = match (comparison.ends_alike(), &comparison.recorded.failure) {
        (true, Some(_)) => "REPRODUCED: it failed in the same step, in the same way.",
        (true, None) => "REPRODUCED: it ended well, as before.",
        (false, Some(_)) => "NOT REPRODUCED: it did not fail as it had.",
        (false, None) => "NOT REPRODUCED: it had ended well, and failed.",
    };
    text + verdict + "\n"
}

fn point_at(text: &mut String, comparison: &Comparison<'_>, at: usize, what: &str) {
    let rest = comparison.rows.get(at..).unwrap_or_default();
    let (recorded, replayed) = (comparison.recorded, comparison.replayed);
    // Where one side has nothing, what it did next stands for it.
    let side = |flight: &Flight, event: Option<&FlightEvent>| match event {
        Some(event) => format!("{} {}", since(flight, event), line(event, flight)),
        None => format!("{:>9} the end: {}", "", ended(flight)),
    };
    let _ = writeln!(text, "{what}, after {}:", format::counted(at as u64, "event", "events"));
    let _ = writeln!(text, "  recorded {}", side(recorded, rest.iter().find_map(|row| row.recorded)));
    let _ = writeln!(text, "  replayed {}", side(replayed, rest.iter().find_map(|row| row.replayed)));
}

fn who(run: &FlightRun, flight: &Flight) -> String {
    let mut text = format!("Seat {}, life {}, of {}, seed {}", flight.seat, flight.life, run.scenario, run.seed);
    for (word, what) in [("account", &flight.account), ("persona", &flight.persona), ("network", &flight.network)] {
        if !what.is_empty() {
            let _ = write!(text, ", {word} {what}");
        }
    }
    plain(&text)
}

/// How a flight ended, and after how long.
fn ended(flight: &Flight) -> String {
    let lasted = format::micros(flight.ended_us.saturating_sub(flight.began_us) as f64);
    let asked = if flight.asked_us.is_some() { ", asked to leave" } else { "" };
    match &flight.failure {
        None => format!("ended well after {lasted}{asked}"),
        Some(ending) => format!("failed after {lasted}{asked}: {}", ending.text()),
    }
}

/// The time of an event since the beginning of its flight, in a column of its own.
fn since(flight: &Flight, event: &FlightEvent) -> String {
    format!("{:>9}", format::micros(event.at_us().saturating_sub(flight.began_us) as f64))
}

/// An event on a line.
fn line(event: &FlightEvent, flight: &Flight) -> String {
    let late = |at: u64, intended: u64| match at.saturating_sub(intended) {
        0..1_000 => String::new(),
        late => format!(", {} late", format::micros(late as f64)),
    };
    let reason = |reason: &Reason| format!("{}: {}", reason.kind, reason.message);
    let text = match event {
        FlightEvent::Begun { at_us, intended_us, step } => {
            // A life that begins late begins with its first step; the time before it was nobody's.
            format!("{step} begins{}", late(*at_us, (*intended_us).max(flight.began_us)))
        }
        FlightEvent::Done { at_us, began_us, step, failure, .. } => {
            let took = format::micros(at_us.saturating_sub(*began_us) as f64);
            match failure {
                None => format!("{step} ok after {took}"),
                Some(why) => format!("{step} FAILED after {took}: {}", reason(why)),
            }
        }
        FlightEvent::Connected { connection, protocol, .. } => format!("connection {connection} is there ({protocol})"),
        FlightEvent::Closed { connection, reason: why, .. } => {
            format!("connection {connection} is over: {}", reason(why))
        }
        FlightEvent::Message(message) => return said(message),
    };
    format::fit(&plain(&text), MAX_TEXT)
}

fn said(message: &Message) -> String {
    let sign = if message.way == Way::Sent { "->" } else { "<-" };
    let mut place = format!("{} B", message.size);
    if !message.channel.is_empty() {
        let _ = write!(place, ", {}", message.channel);
    }
    if message.connection > 1 {
        let _ = write!(place, ", connection {}", message.connection);
    }
    let text = message.text.clone().unwrap_or_else(|| {
        let cut = message.bytes.get(..MAX_HEX).unwrap_or(&message.bytes);
        let rest = if (cut.len() as u64) < message.size { "…" } else { "" };
        let letters: String = cut.iter().map(|&b| if b.is_ascii_graphic() { char::from(b) } else { '.' }).collect();
        format!("{}{rest} |{letters}|", hex::text(cut))
    });
    format!("{sign} {} ({})", format::fit(&plain(&text), MAX_TEXT), plain(&place))
}

/// The text with everything escaped that a terminal would obey, or that turns the direction of a line.
pub fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        if format::is_unprintable(c) {
            plain.extend(c.escape_unicode());
        } else {
            plain.push(c);
        }
    }
    plain
}
