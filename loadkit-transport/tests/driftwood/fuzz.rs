//! Any bytes, as packets of the server's and as what else happens: no panic, bounded memory, and an end.

use std::time::Duration;

use loadkit_transport::{Codec, Event, Protocol};
use tokio::time::Instant;

use super::protocol::{Driftwood, Messages, ToServer};

/// The first byte of each step says what happens: a packet arrives, as it is or with the right beginning, the bot sends,
/// time passes, or the bot leaves. The second says how much.
pub(crate) fn target(mut bytes: &[u8]) {
    let mut now = Instant::now();
    let mut end = Driftwood::new(7);
    end.open(now);
    while let [what, how_much, rest @ ..] = bytes {
        let (piece, rest) = rest.split_at(rest.len().min(usize::from(*how_much)));
        bytes = rest;
        match what % 6 {
            0 => end.input(now, piece),
            1 => end.input(now, &[b"DW\x02\x07\0\0\0", piece].concat()),
            // The token of whoever was welcomed with zeros.
            2 => end.input(now, &[b"DW", &[what >> 4][..], &[0; 4], piece].concat()),
            3 => {
                let message = match what & 0x80 {
                    0 => ToServer::Shout(String::from_utf8_lossy(piece).into_owned()),
                    _ => ToServer::Steer { turn: how_much.cast_signed(), paddle: true },
                };
                let mut out = Vec::new();
                if Messages.encode(&message, &mut out).is_ok() {
                    let _ = end.send(now, Messages.channel(&message), &out);
                }
            }
            4 => {
                now += Duration::from_millis(100 * u64::from(*how_much));
                end.timeout(now);
            }
            _ => end.close(now),
        }
        drain(&mut end, now);
    }
    // Whatever happened, it ends when the server falls silent.
    let silent = now + Duration::from_secs(6);
    let mut steps = 0;
    while let Some(due) = end.deadline() {
        assert!(due <= silent && steps < 100, "it goes on without the server");
        now = now.max(due);
        steps += 1;
        end.timeout(now);
        drain(&mut end, now);
    }
}

fn drain(end: &mut Driftwood, now: Instant) {
    let mut packet = Vec::new();
    while end.poll_transmit(now, &mut packet) {
        assert!(packet.starts_with(b"DW") && packet.len() <= 1_100);
        packet.clear();
    }
    while let Some(event) = end.poll_event() {
        if let Event::Message { payload, .. } = event {
            // A message or a failure, and either is well.
            let _ = Messages.decode(&payload);
        }
    }
    assert!(end.deadline().is_none_or(|due| due > now), "a deadline that has come stays");
}
