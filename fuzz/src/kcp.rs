//! A KCP connection, both ends, in any of its modes.

use std::time::Duration;

use loadkit_transport::kcp::{Config, Mode, NoDelay, Session};
use loadkit_transport::{Boundary, Framing, Protocol};
use tokio::time::Instant;

use crate::input::Input;
use crate::pair::Pair;

pub(crate) fn target(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let now = Instant::now();
    let [one, other] = [input.byte(), input.byte()].map(|flags| Session::new(&config(flags), 0x0102_0304, now));
    let mut pair = Pair::new(one, other, now);
    pair.play(&mut input);
    // KCP has no goodbye: each end closes for itself, within what it lingers.
    pair.finish(Duration::from_secs(1));
    assert!(pair.client.is_closed() && pair.server.is_closed());
    assert_eq!((pair.client.deadline(), pair.server.deadline()), (None, None));
}

fn config(flags: u8) -> Config {
    let base = if flags & 1 == 0 { Config::FAST } else { Config::NORMAL };
    let mode = match flags >> 1 & 3 {
        0 => Mode::Messages,
        1 => Mode::Stream,
        2 => Mode::Frames(Framing { boundary: Boundary::Varint, max: 3_000 }),
        _ => Mode::Frames(Framing { boundary: Boundary::Line, max: 3_000 }),
    };
    let keep_alive = (flags & 0x20 != 0).then_some(Duration::from_millis(300));
    let time_out = (flags & 0x40 != 0).then_some(Duration::from_secs(10));
    let nodelay = if flags & 0x80 == 0 { base.nodelay } else { NoDelay::Flat };
    let mtu = if flags & 0x10 == 0 { base.mtu } else { 60 };
    Config { mode, at_once: flags & 8 != 0, mtu, keep_alive, time_out, nodelay, dead_link: 5, ..base }
}
