//! An ENet client, told anything in any state of its handshake, and after it.

use std::time::Duration;

use loadkit_transport::enet::{Client, Config};
use loadkit_transport::{Channel, Delivery, Protocol};
use tokio::time::Instant;

use crate::input::Input;

const CONNECT_ID: u32 = 7;
/// What a server answers: session 0, its number 0 for the client, 4 channels, and the rest as it was asked for.
const VERIFIED: &[u8] = b"\x80\0\0\x01\x83\xFF\0\x01\0\0\0\0\0\0\x05\x70\0\x01\0\0\0\0\0\x04\0\0\0\0\0\0\0\0\
    \0\0\x13\x88\0\0\0\x02\0\0\0\x02\0\0\0\x07";

pub(crate) fn target(bytes: &[u8]) {
    let mut now = Instant::now();
    let mut input = Input::new(bytes);
    let config = Config { channels: 4, ..Config::DEFAULT };
    let mut client = Client::new(&config, CONNECT_ID);
    client.open(now);
    drain(&mut client, now);
    if input.byte() & 1 == 0 {
        client.input(now, VERIFIED);
        drain(&mut client, now);
        assert!(client.send(now, Channel::ORDERED, b"hello").is_ok(), "an undisturbed handshake succeeds");
    }
    while let Some(op) = input.next() {
        match op & 3 {
            // The right number and session, and a time: else hardly anything would pass.
            0 => client.input(now, &[b"\x80\0\0\x01", input.piece()].concat()),
            1 => client.input(now, input.piece()),
            2 => {
                now += Duration::from_millis(1 << (op >> 4));
                client.timeout(now);
            }
            _ => {
                let delivery = [Delivery::Ordered, Delivery::Sequenced, Delivery::Unreliable][usize::from(op >> 2) % 3];
                let len = usize::from(input.byte()) << (op >> 5);
                // Whether it is taken is not the question here.
                drop(client.send(now, Channel::new(delivery, op >> 4 & 3), &vec![op; len]));
            }
        }
        drain(&mut client, now);
    }
    client.close(now);
    drain(&mut client, now);
    client.timeout(now + Duration::from_secs(1));
    drain(&mut client, now + Duration::from_secs(1));
    assert_eq!(client.deadline(), None);
}

fn drain(client: &mut Client, now: Instant) {
    let mut packet = Vec::new();
    while client.poll_transmit(now, &mut packet) {
        assert!(!packet.is_empty() && packet.len() <= Config::DEFAULT.mtu.into(), "{} bytes", packet.len());
        packet.clear();
    }
    while client.poll_event().is_some() {}
}
