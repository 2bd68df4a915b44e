//! A connection to the byte: what the server sends goes in, and what must be sent comes out.

use std::time::Duration;

use loadkit_core::Kind;
use loadkit_transport::{Channel, Codec, Event, Protocol};
use tokio::time::Instant;

use crate::protocol::{Driftwood, FromServer, Messages, Place, ToServer};

/// Milliseconds; then `>` and a packet of ours, `<` and one of the server's, or `!` and what the player says.
const TRANSCRIPT: &str = "
    0    > 44 57 01  44 33 22 11  00 00 00 00 00 00 00 00 00
    250  > 44 57 01  44 33 22 11  00 00 00 00 00 00 00 00 00
    290  < 44 57 02  45 33 22 11  ef be ad de
    291  < 44 57 02  44 33 22 11  ef be ad de
    300  ! shout ahoy
    300  ! steer
    300  > 44 57 03  ef be ad de  00 00  01 04 61 68 6f 79
    300  > 44 57 05  ef be ad de  02 06
    340  < 44 57 03  ef be ad de  00 00  01 07
    340  > 44 57 04  ef be ad de  00 00
    350  < 44 57 05  ef be ad de  02 02  07 01 20 00  08 ff ff ff
    500  > 44 57 03  ef be ad de  00 00  01 04 61 68 6f 79
    510  < 44 57 03  ef be ad de  00 00  01 07
    510  > 44 57 04  ef be ad de  00 00
    540  < 44 57 04  ef be ad de  00 00
    541  < 44 57 04  ef be ad de  00 00
    600  ! shout land
    600  > 44 57 03  ef be ad de  01 00  01 04 6c 61 6e 64
    640  < 44 57 04  ef be ad de  01 00
    1600 > 44 57 06  ef be ad de
    1700 ! bye
    1700 > 44 57 07  ef be ad de
";

fn bytes(hex: &str) -> Vec<u8> {
    hex.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}

fn says(end: &mut Driftwood, now: Instant, what: &str) {
    let message = match what.split_once(' ').unwrap_or((what, "")) {
        ("shout", text) => ToServer::Shout(text.to_owned()),
        ("steer", _) => ToServer::Steer { turn: 1, paddle: true },
        ("bye", _) => return end.close(now),
        other => panic!("{other:?}"),
    };
    let mut out = Vec::new();
    Messages.encode(&message, &mut out).unwrap();
    end.send(now, Messages.channel(&message), &out).unwrap();
}

#[test]
fn a_connection_has_these_bytes() {
    let began = Instant::now();
    let mut end = Driftwood::new(0x1122_3344);
    let mut events = Vec::new();
    end.open(began);
    for line in TRANSCRIPT.trim().lines().map(str::trim) {
        let (time, what) = line.split_once(' ').unwrap();
        let now = began + Duration::from_millis(time.parse().unwrap());
        let (kind, what) = what.trim().split_at(1);
        // Nothing is sent but what the transcript has.
        while let Some(due) = end.deadline().filter(|due| *due < now) {
            end.timeout(due);
            assert!(!end.poll_transmit(due, &mut Vec::new()), "something is sent before {line}");
            assert!(end.deadline() > Some(due), "a deadline stays");
        }
        let mut packet = Vec::new();
        match kind {
            "<" => end.input(now, &bytes(what)),
            "!" => says(&mut end, now, what.trim()),
            _ => {
                end.timeout(now);
                assert!(end.poll_transmit(now, &mut packet), "nothing is sent: {line}");
                assert_eq!(packet, bytes(what), "{line}");
            }
        }
        events.extend(std::iter::from_fn(|| end.poll_event()));
    }

    let mut heard = Vec::new();
    let mut others = Vec::new();
    for event in events {
        match event {
            Event::Message { channel, payload } => heard.push((channel, Messages.decode(&payload).unwrap())),
            other => others.push(other),
        }
    }
    let river = [Place { raft: 7, x: 1, y: 2 }, Place { raft: 8, x: 4_095, y: 4_095 }];
    let expected = [(Channel::ORDERED, FromServer::Raft(7)), (Channel::UNRELIABLE, FromServer::River(river.into()))];
    assert_eq!(heard, expected, "what came twice is heard once");
    // The first shout was sent twice, so only the second is measured.
    assert_eq!(others[..2], [Event::Connected, Event::RoundTrip(Duration::from_millis(40))]);
    assert!(matches!(&others[2..], [Event::Closed(failure)] if failure.kind() == Kind::CLOSED), "{others:?}");
    // A welcome for somebody else, and an ack that came twice.
    assert_eq!((end.stats().discarded, end.stats().resends), (2, 1));
    assert_eq!((end.deadline(), end.poll_transmit(began, &mut Vec::new())), (None, false));
}

#[test]
fn a_server_that_says_nothing_is_given_up() {
    for welcome in [None, Some("44 57 02  44 33 22 11  ef be ad de")] {
        let began = Instant::now();
        let mut end = Driftwood::new(0x1122_3344);
        end.open(began);
        if let Some(welcome) = welcome {
            end.input(began, &bytes(welcome));
        }
        let mut sent = 0;
        while let Some(due) = end.deadline() {
            end.timeout(due);
            sent += u32::from(end.poll_transmit(due, &mut Vec::new()));
            assert!(due <= began + Duration::from_secs(5));
        }
        let last = std::iter::from_fn(|| end.poll_event()).last();
        assert!(matches!(last, Some(Event::Closed(failure)) if failure.kind() == Kind::TIMED_OUT));
        assert_eq!(sent, if welcome.is_some() { 4 } else { 20 }, "pings, or hellos");
    }
}

#[test]
fn what_cannot_be_sent_is_an_error() {
    let now = Instant::now();
    let mut end = Driftwood::new(0x1122_3344);
    let kind =
        |end: &mut Driftwood, channel, len| end.send(now, channel, &vec![0; len]).err().map(|error| error.kind());
    assert_eq!(kind(&mut end, Channel::ORDERED, 1), Some(Kind::CLOSED));
    end.open(now);
    end.input(now, &bytes("44 57 02  44 33 22 11  ef be ad de"));
    assert_eq!(kind(&mut end, Channel::ORDERED, 1_001), Some(Kind::TOO_LARGE));
    assert_eq!(kind(&mut end, Channel::SEQUENCED, 1), Some(Kind::TARGET));
    for _ in 0..64 {
        assert_eq!(kind(&mut end, Channel::ORDERED, 1_000), None);
    }
    assert_eq!(kind(&mut end, Channel::ORDERED, 1), Some(Kind::BACKLOG));
    assert_eq!(Messages.decode(&[2, 1, 0]).unwrap_err().kind(), Kind::MALFORMED);
}
