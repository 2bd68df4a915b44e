//! The server with clients that speak its protocol, without a socket, on a clock of the test's own.

use std::net::Ipv4Addr;
use std::time::Duration;

use loadkit::transport::protobuf::Envelope;
use loadkit::transport::{Calls, Channel, Protocol, Request};

use super::*;
use crate::wire::{self, FindMatch, Leave, Login, Move};

/// The clients' codec.
type Wire = Enveloped<FromServer>;

const MS: Duration = Duration::from_millis(1);

struct World {
    server: Server,
    now: Instant,
    clients: Vec<Client>,
}

struct Client {
    addr: SocketAddr,
    protocol: rudp::Client,
    mail: Vec<(Instant, Envelope<FromServer>)>,
    last_id: u32,
}

impl World {
    /// A server, and clients that have connected to it.
    fn new(options: Options, clients: u16) -> World {
        let now = Instant::now();
        let client = |n| {
            let mut protocol = rudp::Client::new(&rudp::Config::DEFAULT, u64::from(n));
            protocol.open(now);
            Client { addr: (Ipv4Addr::LOCALHOST, n).into(), protocol, mail: Vec::new(), last_id: 0 }
        };
        let server = Server::new(options, [1, 2], now);
        let mut world = World { server, now, clients: (1..=clients).map(client).collect() };
        world.pass(MS);
        assert_eq!(world.server.counts().connections, u64::from(clients));
        world
    }

    /// Lets time pass in steps of a millisecond.
    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while self.now < until {
            self.now += MS;
            self.server.timeout(self.now);
            self.exchange();
        }
    }

    fn exchange(&mut self) {
        let (now, mut packet, mut quiet) = (self.now, Vec::new(), false);
        while !std::mem::replace(&mut quiet, true) {
            for client in &mut self.clients {
                client.protocol.timeout(now);
                while client.protocol.poll_transmit(now, &mut packet) {
                    self.server.input(now, now, client.addr, &std::mem::take(&mut packet));
                    quiet = false;
                }
            }
            while let Some(to) = self.server.poll_transmit(now, &mut packet) {
                let packet = std::mem::take(&mut packet);
                self.clients.iter_mut().filter(|client| client.addr == to).for_each(|client| client.take(now, &packet));
                quiet = false;
            }
        }
    }

    fn ask<R: Request<Wire>>(&mut self, n: usize, request: R) -> Result<R::Reply, Failure> {
        let client = &mut self.clients[n];
        let mut message = request.into_out();
        client.last_id += 1;
        Wire::new().stamp(&mut message, client.last_id);
        let mut bytes = Vec::new();
        Wire::new().encode(&message, &mut bytes).unwrap();
        client.protocol.send(self.now, Wire::new().channel(&message), &bytes).unwrap();
        self.exchange();
        let Client { mail, last_id, .. } = &self.clients[n];
        let answer = mail.iter().find(|(_, message)| message.reply_to == u64::from(*last_id));
        let (_, message) = answer.ok_or_else(|| Failure::new(loadkit::Kind::TIMED_OUT, "no answer"))?;
        R::reply(message.clone())
    }
}

impl Client {
    fn take(&mut self, now: Instant, packet: &[u8]) {
        self.protocol.input(now, packet);
        while let Some(event) = self.protocol.poll_event() {
            if let Event::Message { payload, .. } = event {
                self.mail.push((now, Wire::new().decode(&payload).unwrap()));
            }
        }
    }
}

fn login(n: usize) -> Login {
    Login { account: format!("p{n}") }
}

#[test]
fn everything_is_counted_once() {
    let mut world = World::new(Options::default(), 10);
    for n in 0..10 {
        world.ask(n, login(n)).unwrap();
        let found = world.ask(n, FindMatch { party: 0, party_size: 0 });
        assert_eq!(found.is_ok(), n == 9);
    }
    for seq in 1..=3 {
        world.ask(0, Move { seq, dx: 1, dy: 1, fire: true }).unwrap();
    }
    let kind = world.ask(0, Move { seq: 3, dx: 1, dy: 1, fire: true }).unwrap_err().kind();
    assert_eq!(kind.name(), "refused-stale-move");
    world.ask(0, wire::Buy { item: 0 }).unwrap();
    world.ask(0, Leave {}).unwrap();
    world.pass(50 * MS);
    for n in 0..2 {
        let now = world.now;
        world.clients[n].protocol.close(now);
    }
    world.pass(1_000 * MS);
    let counts = world.server.counts();
    // One snapshot went to nine players, and another twenty to the eight who stayed.
    let snapshots = 9 + 20 * 8;
    let expected = Counts {
        connections: 10,
        logins: 10,
        matches: 1,
        matches_found: 10,
        moves: 3,
        purchases: 1,
        refusals: 1,
        leaves: 1,
        disconnects: 1,
        snapshots,
        ..Counts::default()
    };
    assert_eq!(counts, expected);
}

#[test]
fn garbage_is_counted_and_changes_nothing() {
    let mut world = World::new(Options::default(), 1);
    let now = world.now;
    for junk in [&b"\xff\xff\xff"[..], b"\x0a", b"\x12\xff\xff\xff\xff\x0f"] {
        world.clients[0].protocol.send(now, Channel::ORDERED, junk).unwrap();
        world.server.input(now, now, (Ipv4Addr::LOCALHOST, 9).into(), junk);
    }
    world.exchange();
    assert_eq!(world.server.counts().malformed, 3);
    world.ask(0, login(0)).unwrap();
}

#[test]
fn a_delay_delays_everything() {
    let mut world = World::new(Options { delay: 50 * MS, ..Options::default() }, 1);
    assert!(world.ask(0, login(0)).is_err());
    let asked = world.now;
    world.pass(49 * MS);
    assert!(world.clients[0].mail.is_empty());
    world.pass(MS);
    assert_eq!(world.clients[0].mail.first().map(|(at, _)| *at - asked), Some(50 * MS));
}

#[test]
fn a_delay_of_matchmaking_delays_that_alone() {
    let mut options = Options { delay_matchmaking: 15 * MS, ..Options::default() };
    options.rules.patience = 20 * MS;
    let mut world = World::new(options, 1);
    world.ask(0, login(0)).unwrap();
    let (asked, news) = (world.now, world.clients[0].mail.len());
    assert!(world.ask(0, FindMatch { party: 0, party_size: 0 }).is_err());
    world.pass(34 * MS);
    assert_eq!((world.clients[0].mail.len(), world.server.counts().matches), (news, 0));
    world.pass(MS);
    assert_eq!(world.clients[0].mail.get(news).map(|(at, _)| *at - asked), Some(35 * MS));
    world.ask(0, Move { seq: 1, dx: 1, dy: 1, fire: true }).unwrap();
}

#[test]
fn logins_are_dropped_by_chance_and_the_same_ones_each_time() {
    let dropped = || {
        let mut world = World::new(Options { drop_logins: 0.25, ..Options::default() }, 200);
        let mut dropped = Vec::new();
        for n in 0..200 {
            let before = world.server.counts().logins_dropped;
            let _ = world.ask(n, login(n));
            dropped.push(world.server.counts().logins_dropped > before);
        }
        dropped
    };
    let once = dropped();
    assert_eq!(once, dropped());
    let share = once.iter().filter(|dropped| **dropped).count();
    assert!((35..=65).contains(&share), "{share} of 200 at 25 %");
}
