//! KCP's server: datagrams from a few addresses in a few conversations.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use loadkit_transport::kcp::{Config, Server, conv_of};
use loadkit_transport::{Channel, Event, Serve};
use tokio::time::Instant;

use crate::input::Input;

const MAX_PEERS: usize = 3;

pub(crate) fn target(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut now = Instant::now();
    let mut server = Server::new(Config { message: 2_000, ..Config::FAST }, MAX_PEERS, [1, 2]);
    while let Some(op) = input.next() {
        let from = SocketAddr::from((Ipv4Addr::LOCALHOST, u16::from(op >> 3 & 3)));
        match op & 7 {
            0 => server.input(now, from, input.piece()),
            // A segment that could be one: its number, its una, its command and its data are near what is due.
            1..5 => {
                let [conv, sn, una, command, frg] = [0; 5].map(|_: u8| input.byte());
                let piece = input.piece();
                let mut datagram = vec![conv & 3, 0, 0, 0, 81 + command % 5, frg, 128, 0, 1, 0, 0, 0];
                datagram.extend_from_slice(&[sn, 0, 0, 0, una & 7, 0, 0, 0]);
                datagram.extend_from_slice(&(piece.len() as u32).to_le_bytes());
                datagram.extend_from_slice(piece);
                for _ in 0..=op >> 6 {
                    server.input(now, from, &datagram);
                }
            }
            5 => {
                now += Duration::from_millis(1 << (op >> 3 & 0xF));
                server.timeout(now);
            }
            6 => {
                for id in server.ids().collect::<Vec<_>>() {
                    let _ = server.send(now, id, Channel::ORDERED, &vec![op; usize::from(input.byte()) * 16]);
                }
            }
            _ => {
                let first = server.ids().next();
                if let Some(id) = first {
                    server.disconnect(now, id, &());
                }
            }
        }
        drain(&mut server, now);
    }
    // Nobody says anything any more: all are forgotten.
    let mut steps = 0;
    while let Some(due) = server.deadline() {
        assert!(due > now && steps < 2_000, "a deadline stays, or peers do");
        (now, steps) = (due, steps + 1);
        server.timeout(now);
        drain(&mut server, now);
    }
    assert_eq!(server.peers(), 0);
}

fn drain(server: &mut Server, now: Instant) {
    let mut packet = Vec::new();
    while server.poll_transmit(now, &mut packet).is_some() {
        assert!(conv_of(&packet).is_some(), "{packet:?}");
        packet.clear();
    }
    while let Some((id, event)) = server.poll_event() {
        assert!(server.conv(id).is_some() || !matches!(event, Event::Connected), "a number is never given twice");
        if let Event::Message { payload, .. } = event {
            assert!(payload.len() <= 2_000);
        }
    }
    assert!(server.peers() <= MAX_PEERS);
}
