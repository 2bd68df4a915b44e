//! A reliable UDP server among strangers, true clients that move about, and liars at the same addresses.

use std::net::SocketAddr;
use std::time::Duration;

use loadkit_transport::rudp::{Client, Config, Server};
use loadkit_transport::{Channel, Protocol};
use tokio::time::Instant;

use crate::input::Input;

/// True clients, one at an address.
const ADDRESSES: usize = 3;
/// Fewer than addresses, so that the server is full.
const PEERS: usize = 2;

pub(crate) fn target(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut world = World::new(input.byte() & 1 != 0);
    while let Some(op) = input.next() {
        let which = usize::from(op >> 3) % ADDRESSES;
        match op & 7 {
            0 | 1 => world.server.input(world.now, addr(which), input.piece()),
            2 => world.clients[which].open(world.now),
            3 => {
                world.moved = which;
                world.exchange();
            }
            4 => world.wait(Duration::from_millis(1 << (op >> 4))),
            // Whether it is taken is not the question here.
            5 => drop(world.clients[which].send(world.now, Channel::ORDERED, input.piece())),
            6 => {
                let ids: Vec<_> = world.server.ids().collect();
                for id in ids {
                    match op >> 3 & 3 {
                        0 | 1 => drop(world.server.send(world.now, id, Channel::ORDERED, &[op])),
                        2 => drop(world.server.admit(id, &[op; 200])),
                        _ => world.server.deny(world.now, id, op.into(), "no"),
                    }
                }
            }
            _ => world.again(which),
        }
        world.drain();
        assert!(world.server.peers() <= PEERS);
    }
    world.server.disconnect_all(world.now, "");
    (0..100).for_each(|_| world.wait(Duration::from_secs(1)));
    assert_eq!((world.server.peers(), world.server.deadline()), (0, None));
}

struct World {
    now: Instant,
    server: Server,
    config: Config,
    clients: [Client; ADDRESSES],
    /// By how many addresses the clients have moved on.
    moved: usize,
    salt: u64,
}

fn addr(which: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], 1_000 + which as u16))
}

impl World {
    fn new(ask: bool) -> World {
        let now = Instant::now();
        let config = Config { ask, payload: ask.then(|| [7; 20].as_slice().into()), ..Config::DEFAULT };
        let clients = std::array::from_fn(|which| Client::new(&config, which as u64));
        let server = Server::new(config.clone(), PEERS, [1, 2], now);
        World { now, server, config, clients, moved: 0, salt: ADDRESSES as u64 }
    }

    /// Another client comes to this address.
    fn again(&mut self, which: usize) {
        self.salt += 1;
        self.clients[which] = Client::new(&self.config, self.salt);
        self.clients[which].open(self.now);
    }

    /// What the clients have to send arrives.
    fn exchange(&mut self) {
        let mut packet = Vec::new();
        for (which, client) in self.clients.iter_mut().enumerate() {
            while client.poll_transmit(self.now, &mut packet) {
                self.server.input(self.now, addr((which + self.moved) % ADDRESSES), &packet);
                packet.clear();
            }
        }
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
        self.server.timeout(self.now);
        self.clients.iter_mut().for_each(|client| client.timeout(self.now));
        self.drain();
    }

    /// What the server has to send arrives.
    fn drain(&mut self) {
        let mut packet = Vec::new();
        while let Some(to) = self.server.poll_transmit(self.now, &mut packet) {
            assert!(!packet.is_empty() && packet.len() <= Config::DEFAULT.packet, "{} bytes", packet.len());
            // As on a shared socket: it is for the client that it names, if that is there.
            let id = self.config.client_id_of(&packet);
            for (which, client) in self.clients.iter_mut().enumerate() {
                if Some(client.id()) == id && addr((which + self.moved) % ADDRESSES) == to {
                    client.input(self.now, &packet);
                }
            }
            packet.clear();
        }
        while self.server.poll_event().is_some() {}
        for client in &mut self.clients {
            while client.poll_event().is_some() {}
        }
    }
}
