//! The players whose last steps and messages were recorded.

use maud::{Markup, html};

use super::super::{Report, format};
use super::{MAX_NAME_CHARS, MAX_TEXT_CHARS};
use crate::flight::{FlightEntry, MAX_FAILED, MAX_FINE, last_lines};

/// At most so many are shown: all that a run keeps.
const MAX_FLIGHTS: usize = MAX_FAILED + MAX_FINE;
/// At most so many of a player's last events.
const MAX_EVENTS: usize = 12;

/// A row for each player, and below it what it did last. What lies open needs no script; what is folded opens without one.
pub(super) fn flights(report: &Report) -> Markup {
    let entries = &report.flights;
    html! {
        @if !entries.is_empty() {
            section {
                h2 { "Flights" }
                p class="note" {
                    "What single players did last: some that failed, and a few that did not. The client's command "
                    code { "replay FILE" } " plays one of them again."
                }
                div class="scroll" { table class="flights" {
                    thead { tr {
                        th { "seat" } th { "kept because" } th class="n" { "ended at" } th { "last step" } th { "recording" }
                    } }
                    tbody { @for entry in entries.iter().take(MAX_FLIGHTS) { (flight(entry)) } }
                } }
                @if entries.len() > MAX_FLIGHTS {
                    p class="note" { "And " (entries.len() - MAX_FLIGHTS) " more in report.json." }
                }
            }
        }
    }
}

fn flight(entry: &FlightEntry) -> Markup {
    let ended = format::clock(std::time::Duration::from_micros(entry.ended_us));
    let events = entry.flight.as_deref().map(|flight| last_lines(flight, MAX_EVENTS)).unwrap_or_default();
    html! {
        tr {
            td class="name" {
                (entry.seat)
                @if entry.life > 0 { " " span class="note" { "(life " (entry.life) ")" } }
            }
            td {
                @match &entry.failure {
                    Some(ending) => {
                        span class="missed" { "it failed" } ": "
                        (format::fit(&ending.kind, MAX_NAME_CHARS)) ": " (format::fit(&ending.message, MAX_TEXT_CHARS))
                    }
                    None => { span class="met" { "it did well" } ", to compare with" }
                }
            }
            td class="n" { (ended) }
            td {
                @match last_step(entry) {
                    Some(step) => { (format::name(step, MAX_NAME_CHARS)) }
                    None => { i { "outside of steps" } }
                }
            }
            td {
                // Only what is written with this page is linked.
                @if entry.flight.is_some() { a href=(entry.file) { (entry.file) } } @else { (entry.file) }
            }
        }
        @if !events.is_empty() {
            tr { td class="events" colspan="5" {
                details open[entry.failure.is_some()] {
                    summary { "its last " (format::counted(events.len() as u64, "event", "events")) }
                    pre { @for line in &events { (line) "\n" } }
                }
            } }
        }
    }
}

/// The step that failed, or else the last that there was.
fn last_step(entry: &FlightEntry) -> Option<&str> {
    let failed = entry.failure.as_ref().map(|ending| ending.step.as_str()).filter(|step| !step.is_empty());
    failed.or_else(|| entry.flight.as_deref()?.last_step())
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::made_up;
    use super::*;
    use crate::flight::{Ending, Flight, FlightEvent, Reason};

    fn flown(seat: u64, failure: Option<Ending>) -> FlightEntry {
        let begun = |at_us| FlightEvent::Begun { at_us, intended_us: at_us, step: "buy <b>".into() };
        let mut events: Vec<FlightEvent> = (0..40).map(|i| begun(1_000_000 + i)).collect();
        events.push(FlightEvent::Closed {
            at_us: 2_000_000,
            connection: 1,
            reason: Reason { kind: "lost".into(), message: "<script>alert(1)</script>".into() },
        });
        FlightEntry::new(&Flight {
            seat,
            life: 1,
            account: "bot".into(),
            persona: String::new(),
            network: String::new(),
            began_us: 500_000,
            asked_us: None,
            ended_us: 2_000_000,
            failure,
            left_out: 0,
            events,
        })
    }

    #[test]
    fn players_are_listed_with_what_they_did_last() {
        let failure = Ending { step: String::new(), kind: "closed".into(), message: "\"<i>gone</i>\"".into() };
        let mut report = made_up();
        report.flights = vec![flown(17, Some(failure)), flown(3, None)];
        let page = flights(&report).into_string();
        for text in ["<h2>Flights</h2>", "href=\"flights/17-1.json\"", "it failed", "it did well", "buy &lt;b&gt;"] {
            assert!(page.contains(text), "{text}: {page}");
        }
        assert!(!page.contains("<script") && !page.contains("<i>gone") && !page.contains("style="), "{page}");
        assert_eq!(page.matches("buy &lt;b&gt; begins").count(), 2 * (MAX_EVENTS - 1), "the last few");
        assert_eq!(page.matches("<details open>").count(), 1, "what failed is seen at once: {page}");
    }

    #[test]
    fn they_are_bounded_and_those_of_a_stored_report_have_no_link() {
        let mut report = made_up();
        report.flights.clear();
        assert_eq!(flights(&report).into_string(), "");
        report.flights = (0..100).map(|seat| FlightEntry { flight: None, ..flown(seat, None) }).collect();
        let page = flights(&report).into_string();
        assert_eq!(page.matches("<tr>").count(), 1 + MAX_FLIGHTS);
        assert!(page.contains("And 77 more") && !page.contains("href"), "{page}");
    }
}
