//! The Teeworlds protocol, told anything in any state.

use std::time::Duration;

use loadkit_transport::{Channel, Protocol};
use teeworlds::packet::MAX_PACKET;
use teeworlds::protocol::Teeworlds;
use tokio::time::Instant;

use crate::input::Input;

/// What the server must show: so that a fuzzer finds it.
const TOKEN: [u8; 4] = [1, 2, 3, 4];
/// A control packet's header with the token: the beginning that most packets should have.
const HEADER: [u8; 7] = [0x04, 0, 0, 1, 2, 3, 4];

pub(crate) fn target(bytes: &[u8]) {
    let mut now = Instant::now();
    let mut input = Input::new(bytes);
    let mut client = Teeworlds::new(TOKEN);
    let mut packet = Vec::new();
    client.open(now);
    while let Some(op) = input.next() {
        match op & 7 {
            0 => client.input(now, input.piece()),
            1..=4 => {
                packet.extend_from_slice(&HEADER);
                packet[0] = op & !7 | op >> 7 << 2;
                packet[1] = input.byte();
                packet[2] = input.byte();
                packet.extend_from_slice(input.piece());
                client.input(now, &packet);
                packet.clear();
            }
            5 => {
                now += Duration::from_millis(1 << (op >> 4));
                client.timeout(now);
            }
            // Whether it is taken is not the question here.
            6 => drop(client.send(now, Channel::ORDERED, input.piece())),
            _ => drop(client.send(now, Channel::UNRELIABLE, input.piece())),
        }
        while client.poll_transmit(now, &mut packet) {
            assert!(!packet.is_empty() && packet.len() <= MAX_PACKET, "{} bytes", packet.len());
            packet.clear();
        }
        while client.poll_event().is_some() {}
    }
    client.close(now);
    for _ in 0..100 {
        while client.poll_transmit(now, &mut packet) {
            packet.clear();
        }
        while client.poll_event().is_some() {}
        now += Duration::from_secs(1);
        client.timeout(now);
    }
    assert_eq!(client.deadline(), None);
}
