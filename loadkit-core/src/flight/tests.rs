//! What must hold of tapes, of the choice of flights, of their files, and of their comparison.

use std::time::Duration;

use proptest::prelude::*;
use tokio::time::Instant;

use super::choice::{Key, admit};
use super::tape::bytes_for;
use super::*;
use crate::failure::{Error, Failure, Kind};

/// What a test writes on a tape.
#[derive(Clone, Debug)]
enum Act {
    Begun(String),
    Done(String),
    Failed(String),
    Closed(String),
    Said(Vec<u8>),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let name = "[a-zé☃]{0,20}|[é☃]{40,80}";
    let act = prop_oneof![
        name.prop_map(Act::Begun),
        name.prop_map(Act::Done),
        name.prop_map(Act::Failed),
        "[a-zé☃]{0,300}".prop_map(Act::Closed),
        proptest::collection::vec(any::<u8>(), 0..600).prop_map(Act::Said),
    ];
    proptest::collection::vec(act, 0..60)
}

fn words(excerpt: &Excerpt<'_>) -> Option<String> {
    Some(format!("Word({})", excerpt.bytes.first()?))
}

fn write(tape: &mut Tape, act: &Act, at: Instant) {
    match act {
        Act::Begun(step) => tape.begun(at, at, step),
        Act::Done(step) => tape.done(at, at, at, step),
        Act::Failed(step) => tape.failed(at, at, at, step, &Error::new("stumbled", step.clone())),
        Act::Closed(why) => tape.closed(at, 7, &Failure::new(Kind::CLOSED, why.clone())),
        Act::Said(bytes) => tape.message(at, Way::Sent, (1, [3, 2]), bytes, words),
    }
}

/// The beginning of a text as a tape keeps it.
fn begins(kept: &str, whole: &str) -> bool {
    whole.starts_with(kept) && (kept == whole || kept.len() > 56)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_tape_holds_the_last_events_and_no_more_than_its_room(acts in acts(), max in 1_u32..40) {
        let start = Instant::now();
        let mut tape = Tape::new(start, max);
        for (n, act) in acts.iter().enumerate() {
            write(&mut tape, act, start + Duration::from_micros(n as u64));
            prop_assert!(tape.heap() <= bytes_for(max) as usize, "{}", tape.heap());
        }
        let left_out = tape.left_out as usize;
        let events = tape.into_events();
        prop_assert_eq!(left_out + events.len(), acts.len());
        prop_assert!(events.len() <= max as usize);
        // A message and a failure fit at any size.
        prop_assert!(acts.is_empty() || !events.is_empty());
        for (n, (event, act)) in events.iter().zip(acts.iter().skip(left_out)).enumerate() {
            prop_assert_eq!(event.at_us(), (left_out + n) as u64);
            match (event, act) {
                (FlightEvent::Begun { step, .. }, Act::Begun(name)) => prop_assert!(begins(step, name)),
                (FlightEvent::Done { step, failure: None, .. }, Act::Done(name)) => prop_assert!(begins(step, name)),
                (FlightEvent::Done { step, failure: Some(why), .. }, Act::Failed(name)) => {
                    prop_assert!(begins(step, name) && why.kind == "stumbled" && begins(&why.message, name));
                }
                (FlightEvent::Closed { reason, connection: 7, .. }, Act::Closed(why)) => {
                    prop_assert!(reason.kind == "closed" && begins(&reason.message, why));
                }
                (FlightEvent::Message(message), Act::Said(bytes)) => {
                    prop_assert_eq!(&message.bytes, &bytes[..bytes.len().min(256)]);
                    prop_assert_eq!((message.size, message.channel.as_str()), (bytes.len() as u64, "ordered 2"));
                    prop_assert_eq!(&message.text, &bytes.first().map(|first| format!("Word({first})")));
                }
                other => return Err(TestCaseError::fail(format!("{other:?}"))),
            }
        }
    }

    #[test]
    fn any_parts_in_any_order_come_to_the_same_choice(
        seeds in proptest::collection::vec((0_u64..40, 0_u32..3, 0_u64..30, 0_usize..9, any::<u8>()), 0..120),
        cuts in proptest::collection::vec(0_usize..4, 120),
    ) {
        let all: Vec<Flight> = seeds.iter().map(|&(seat, life, ended, kind, byte)| made(seat, life, ended, kind, byte)).collect();
        let mut whole = all.clone();
        choose(&mut whole);
        let mut parts: [Vec<Flight>; 4] = Default::default();
        for (flight, &part) in all.iter().rev().zip(&cuts) {
            parts[part].push(flight.clone());
            // As a collector does, which gets them bit by bit.
            if part % 2 == 0 {
                choose(&mut parts[part]);
            }
        }
        let mut merged = Vec::new();
        for mut part in parts {
            choose(&mut part);
            merged.extend(part);
        }
        choose(&mut merged);
        prop_assert_eq!(&merged, &whole);
        let failed = whole.iter().filter(|flight| flight.failure.is_some()).count();
        prop_assert!(failed <= MAX_FAILED && whole.len() - failed <= MAX_FINE);
        for flight in &whole {
            let alike = |other: &&Flight| match (&flight.failure, &other.failure) {
                (Some(a), Some(b)) => (&a.step, &a.kind) == (&b.step, &b.kind),
                _ => false,
            };
            prop_assert!(whole.iter().filter(alike).count() <= MAX_OF_A_KIND);
        }
    }

    #[test]
    fn whoever_is_chosen_in_the_end_was_admitted(
        seeds in proptest::collection::vec((0_u64..400, 0_u64..30, 0_usize..12), 0..120),
    ) {
        let flights: Vec<Flight> = seeds.iter().map(|&(seat, ended, kind)| made(seat, 0, ended, kind, 0)).collect();
        let mut keys: Vec<Key> = Vec::new();
        let mut kept: Vec<Flight> = Vec::new();
        for flight in &flights {
            if admit(&mut keys, &Key::of(flight)) {
                kept.push(flight.clone());
            }
        }
        prop_assert!(keys.len() <= MAX_FAILED + MAX_FINE);
        let mut whole = flights.clone();
        choose(&mut whole);
        choose(&mut kept);
        prop_assert_eq!(kept, whole);
    }

    #[test]
    fn a_comparison_has_every_event_of_both_once(
        left in proptest::collection::vec(0_u8..6, 0..30), right in proptest::collection::vec(0_u8..6, 0..30), cut: bool,
    ) {
        let (mut recorded, replayed) = (flight(events(&left)), flight(events(&right)));
        recorded.left_out = u64::from(cut);
        let comparison = Comparison::new(&recorded, &replayed);
        let both: Vec<&FlightEvent> = comparison.rows.iter().filter_map(|row| row.recorded).collect();
        prop_assert_eq!(both, recorded.events.iter().collect::<Vec<_>>());
        let both: Vec<&FlightEvent> = comparison.rows.iter().filter_map(|row| row.replayed).collect();
        prop_assert_eq!(both, replayed.events[comparison.before..].iter().collect::<Vec<_>>());
        prop_assert_eq!(left == right, comparison.rows.iter().all(|row| row.parting == Parting::None) && comparison.before == 0);
    }

    #[test]
    fn any_bytes_are_a_flight_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Artifact::parse(&bytes).is_err());
    }

    #[test]
    fn nothing_that_a_terminal_obeys_is_printed(text in "\\PC{0,10}[\\x00-\\x1f\\x7f\\u{80}-\\u{9f}\\u{202e}]{1,9}", bytes: Vec<u8>) {
        let mut artifact = sample();
        artifact.flight.account = text.clone();
        artifact.run.scenario = text.clone();
        artifact.flight.failure = Some(Ending { step: text.clone(), kind: text.clone(), message: text.clone() });
        artifact.flight.events.push(said(Way::Received, Some(&text), &bytes));
        artifact.flight.events.push(said(Way::Received, None, text.as_bytes()));
        let reason = Reason { kind: text.clone(), message: text.clone() };
        artifact.flight.events.push(FlightEvent::Closed { at_us: 0, connection: 1, reason });
        let other = sample();
        let comparison = Comparison::new(&artifact.flight, &other.flight);
        for shown in [render(&artifact), render_comparison(&artifact.run, &text, &comparison, true)] {
            prop_assert!(!shown.replace('\n', "").contains(|c: char| c.is_control() || c == '\u{202e}'), "{shown:?}");
        }
    }
}

fn made(seat: u64, life: u32, ended_us: u64, kind: usize, byte: u8) -> Flight {
    let failure = kind.checked_sub(1).map(|kind| Ending {
        step: format!("step-{}", kind % 3),
        kind: format!("kind-{}", kind / 3),
        message: String::new(),
    });
    let events = vec![said(Way::Sent, None, &[byte])];
    Flight { seat, life, ended_us, failure, events, ..flight(Vec::new()) }
}

fn flight(events: Vec<FlightEvent>) -> Flight {
    Flight {
        seat: 17,
        life: 0,
        account: "bot-000017".into(),
        persona: String::new(),
        network: String::new(),
        began_us: 0,
        asked_us: None,
        ended_us: 5_000_000,
        failure: None,
        left_out: 0,
        events,
    }
}

fn said(way: Way, text: Option<&str>, bytes: &[u8]) -> FlightEvent {
    FlightEvent::Message(Message {
        at_us: 10,
        way,
        connection: 1,
        channel: "ordered".into(),
        size: bytes.len() as u64,
        bytes: bytes.to_vec(),
        text: text.map(str::to_owned),
    })
}

/// A few kinds of events, by number.
fn events(kinds: &[u8]) -> Vec<FlightEvent> {
    let event = |kind: u8| match kind {
        0 => FlightEvent::Begun { at_us: 1, intended_us: 1, step: "login".into() },
        1 => done("login", None),
        2 => done("login", Some("timed-out")),
        3 => said(Way::Sent, Some("Login { a }"), b"a"),
        4 => said(Way::Received, Some("Welcome { 1 }"), b"1"),
        _ => said(Way::Received, Some("Welcome { 2 }"), b"2"),
    };
    kinds.iter().map(|&kind| event(kind)).collect()
}

fn done(step: &str, kind: Option<&str>) -> FlightEvent {
    let failure = kind.map(|kind| Reason { kind: kind.into(), message: "no reply".into() });
    FlightEvent::Done { at_us: 5, began_us: 1, intended_us: 1, step: step.into(), failure }
}

fn sample() -> Artifact {
    let run = FlightRun {
        id: "00000000000000ff".into(),
        scenario: "arena".into(),
        target: "127.0.0.1:4000".into(),
        seed: "42".into(),
        version: "0.1.0".into(),
        plan: "bots = 40\n".into(),
    };
    let failure = Some(Ending { step: "login".into(), kind: "timed-out".into(), message: "no reply".into() });
    Artifact::new(run, Flight { failure, ..flight(events(&[0, 3, 2])) })
}

#[test]
fn a_file_reads_back_and_a_bad_one_says_what_is_wrong() {
    let json = serde_json::to_vec_pretty(&sample()).unwrap();
    assert_eq!(Artifact::parse(&json).unwrap(), sample());
    let facts = &sample().run;
    assert_eq!((facts.run_id().unwrap().0, facts.seed().unwrap().0), (255, 42));
    assert_eq!(facts.plan().unwrap().shape().peak(), 40);
    for len in 0..json.len() - 1 {
        let error = Artifact::parse(&json[..len]).unwrap_err();
        assert!(matches!(error, ArtifactError::CutShort), "{len}: {error}");
    }
    let with = |from: &str, to: &str| {
        let text = String::from_utf8(json.clone()).unwrap();
        assert!(text.contains(from), "{text}");
        Artifact::parse(text.replacen(from, to, 1).as_bytes()).unwrap_err().to_string()
    };
    assert!(with("loadkit.flight/1", "loadkit.flight/2").contains("of another version (loadkit.flight/2"));
    assert!(with("loadkit.flight/1", "loadkit.report/1").contains("no flight (loadkit.report/1)"));
    assert!(with("loadkit.flight/1", "\\u001b[31m").contains("no flight (\\u{1b}[31m)"));
    assert!(with("\"61\"", "\"6\"").contains("hexadecimal"));
    assert!(with("\"seat\": 17", "\"seat\": -1").contains("no sound flight"));
    let crowded = Artifact::new(facts.clone(), flight(events(&[0; MAX_EVENTS as usize + 1])));
    let error = Artifact::parse(&serde_json::to_vec(&crowded).unwrap()).unwrap_err().to_string();
    assert!(error.contains("4097 events"), "{error}");
    let wrong = FlightRun { id: "x".into(), seed: "y".into(), plan: "bots = \"z\"".into(), ..facts.clone() };
    assert!(wrong.run_id().unwrap_err().to_string().contains("`x` is no number"));
    assert!(wrong.seed().is_err() && wrong.plan().unwrap_err().to_string().contains("bots"));
    assert!(Artifact::load("/no/such/file").unwrap_err().to_string().contains("cannot be read"));
}

#[test]
fn the_first_difference_is_pointed_at_with_both_sides() {
    let recorded = sample();
    let replayed = flight(events(&[0, 3, 4, 1]));
    let comparison = Comparison::new(&recorded.flight, &replayed);
    assert!(!comparison.ends_alike());
    let partings: Vec<Parting> = comparison.rows.iter().map(|row| row.parting).collect();
    assert_eq!(partings, [Parting::None, Parting::None, Parting::Received, Parting::Path]);
    let text = render_comparison(&recorded.run, "127.0.0.1:9", &comparison, false);
    assert_eq!(
        text,
        "Seat 17, life 0, of arena, seed 42, account bot-000017
recorded  failed after 5 s: login: timed-out: no reply, against 127.0.0.1:4000
replayed  ended well after 5 s, against 127.0.0.1:9

   recorded  replayed
       1 µs      1 µs login begins
      10 µs     10 µs -> Login { a } (1 B, ordered)
+               10 µs <- Welcome { 1 } (1 B, ordered)
!      5 µs           login FAILED after 4 µs: timed-out: no reply
!                5 µs login ok after 4 µs

The first difference, after 2 events:
  recorded      5 µs login FAILED after 4 µs: timed-out: no reply
  replayed     10 µs <- Welcome { 1 } (1 B, ordered)
The first in what the player did, or what became of it, after 3 events:
  recorded      5 µs login FAILED after 4 µs: timed-out: no reply
  replayed      5 µs login ok after 4 µs
NOT REPRODUCED: it did not fail as it had.
"
    );
    let again = Comparison::new(&recorded.flight, &recorded.flight);
    assert!(again.ends_alike() && again.first(Parting::Contents).is_none());
    let text = render_comparison(&recorded.run, "127.0.0.1:9", &again, false);
    assert!(text.ends_with("event by event.\nREPRODUCED: it failed in the same step, in the same way.\n"), "{text}");
}

#[test]
fn other_contents_are_no_other_way() {
    let (recorded, replayed) = (flight(events(&[0, 3, 4, 1])), flight(events(&[0, 3, 5, 1])));
    let comparison = Comparison::new(&recorded, &replayed);
    assert_eq!((comparison.first(Parting::Contents), comparison.first(Parting::Received)), (Some(2), None));
    // Bytes that nobody can read go together too.
    let [a, b] = [b"a", b"b"].map(|bytes| flight(vec![said(Way::Sent, None, bytes)]));
    assert_eq!(Comparison::new(&a, &b).first(Parting::Contents), Some(0));
    assert_eq!(Comparison::new(&a, &b).rows.len(), 1);
}

#[test]
fn the_end_of_a_long_flight_is_compared_with_the_end() {
    // Ticks without end: a step, its message, its answer.
    let ticks = |n: usize| events(&[0, 3, 4, 1].repeat(n));
    let recorded = Flight { left_out: 80, ..flight(ticks(5)) };
    let replayed = flight(ticks(25));
    let comparison = Comparison::new(&recorded, &replayed);
    assert_eq!((comparison.before, comparison.rows.len()), (80, 20));
    assert!(comparison.rows.iter().all(|row| row.parting == Parting::None));
    // One that has nothing in common is there whole.
    let nothing = flight(events(&[2, 2]));
    assert_eq!(Comparison::new(&Flight { left_out: 1, ..flight(events(&[3])) }, &nothing).rows.len(), 3);
}

#[test]
fn a_codec_that_panics_or_talks_without_end_does_no_harm() {
    fn panics(_: &Excerpt<'_>) -> Option<String> {
        panic!("not today")
    }
    fn talks(_: &Excerpt<'_>) -> Option<String> {
        Some("blah ".repeat(10_000))
    }
    let (start, mut tape) = (Instant::now(), Tape::new(Instant::now(), 64));
    tape.message(start, Way::Received, (1, [0, 0]), b"x", panics);
    tape.message(start, Way::Received, (1, [9, 9]), b"x", talks);
    let texts: Vec<Option<usize>> = tape
        .into_events()
        .iter()
        .map(|event| match event {
            FlightEvent::Message(message) => message.text.as_ref().map(|text| text.chars().count()),
            _ => None,
        })
        .collect();
    assert_eq!(texts, [None, Some(501)]);
}

#[test]
fn file_names_are_recognised_and_no_others() {
    assert_eq!(FlightEntry::new(&sample().flight).file, "flights/17-0.json");
    assert!(is_file_name("17-0.json"));
    for name in ["17.json", "17-0.json.part", "a-0.json", "-.json", "17-0", "report.json"] {
        assert!(!is_file_name(name), "{name}");
    }
}
