//! An ENet server among strangers, true clients and liars at the same addresses.

use std::net::SocketAddr;
use std::time::Duration;

use loadkit_transport::enet::{Client, Config, Server};
use loadkit_transport::{Channel, Protocol, Serve};
use tokio::time::Instant;

use crate::input::Input;

/// True clients, one at an address.
const ADDRESSES: usize = 3;
/// Fewer than addresses, so that the server is full.
const PEERS: usize = 2;

pub(crate) fn target(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut world = World::new();
    while let Some(op) = input.next() {
        let which = usize::from(op >> 3) % ADDRESSES;
        match op & 7 {
            0 => world.server.input(world.now, addr(which), input.piece()),
            // As a peer's, with its number and session.
            1 => {
                let head = [0x80 | op >> 6 << 4, 0, 0, 1].map(|byte| if byte == 0 { op >> 5 & 1 } else { byte });
                world.server.input(world.now, addr(which), &[&head, input.piece()].concat());
            }
            2 => world.clients[which].open(world.now),
            3 => world.exchange(),
            4 => world.wait(Duration::from_millis(1 << (op >> 4))),
            // Whether it is taken is not the question here.
            5 => drop(world.clients[which].send(world.now, Channel::ORDERED, input.piece())),
            6 => {
                let ids: Vec<_> = world.server.ids().collect();
                ids.into_iter().for_each(|id| drop(world.server.send(world.now, id, Channel::SEQUENCED, &[op])));
            }
            _ => world.again(which),
        }
        world.drain();
        assert!(world.server.peers() <= PEERS);
    }
    world.server.disconnect_all(world.now, &7);
    (0..100).for_each(|_| world.wait(Duration::from_secs(1)));
    assert_eq!((world.server.peers(), world.server.deadline()), (0, None));
}

struct World {
    now: Instant,
    server: Server,
    clients: [Client; ADDRESSES],
    connect_id: u32,
}

fn addr(which: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], 1_000 + which as u16))
}

impl World {
    fn new() -> World {
        let now = Instant::now();
        let clients = std::array::from_fn(|which| Client::new(&Config::DEFAULT, which as u32));
        let server = Server::new(Config::DEFAULT, PEERS, [1, 2], now);
        World { now, server, clients, connect_id: ADDRESSES as u32 }
    }

    /// Another client comes to this address.
    fn again(&mut self, which: usize) {
        self.connect_id += 1;
        self.clients[which] = Client::new(&Config::DEFAULT, self.connect_id);
        self.clients[which].open(self.now);
    }

    /// What the clients have to send arrives.
    fn exchange(&mut self) {
        let mut packet = Vec::new();
        for (which, client) in self.clients.iter_mut().enumerate() {
            while client.poll_transmit(self.now, &mut packet) {
                self.server.input(self.now, addr(which), &packet);
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
            assert!(!packet.is_empty() && packet.len() <= Config::DEFAULT.mtu.into(), "{} bytes", packet.len());
            if let Some(which) = (0..ADDRESSES).find(|which| addr(*which) == to) {
                self.clients[which].input(self.now, &packet);
            }
            packet.clear();
        }
        while self.server.poll_event().is_some() {}
        for client in &mut self.clients {
            while client.poll_event().is_some() {}
        }
    }
}
