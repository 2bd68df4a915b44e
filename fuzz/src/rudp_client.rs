//! A reliable UDP client, told anything in any state of its handshake, and after it.

use std::time::Duration;

use loadkit_transport::rudp::{Client, Config};
use loadkit_transport::{Channel, Protocol};
use tokio::time::Instant;

use crate::input::Input;

/// Small, so that a fuzzer guesses it.
const SALT: u64 = 7;

pub(crate) fn target(bytes: &[u8]) {
    let mut now = Instant::now();
    let mut input = Input::new(bytes);
    let mut client = Client::new(&Config::DEFAULT, SALT);
    let mut packet = Vec::new();
    client.open(now);
    while let Some(op) = input.next() {
        match op & 3 {
            0 | 1 => client.input(now, input.piece()),
            2 => {
                now += Duration::from_millis(1 << (op >> 4));
                client.timeout(now);
            }
            // Whether it is taken is not the question here.
            _ => drop(client.send(now, Channel::ORDERED, &vec![op; usize::from(op)])),
        }
        while client.poll_transmit(now, &mut packet) {
            assert!(!packet.is_empty() && packet.len() <= Config::DEFAULT.packet, "{} bytes", packet.len());
            packet.clear();
        }
        while client.poll_event().is_some() {}
    }
}
