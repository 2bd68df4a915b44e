//! Our end, theirs, and the network between them.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use loadkit_core::Failure;
use loadkit_core::network::Direction;
use loadkit_transport::conditions::Path;
use loadkit_transport::enet::{Client, Config, PeerId, Server, Session};
use loadkit_transport::{Channel, Delivery, Event, Protocol, Serve, Stats};
use rusty_enet::{self as theirs, Host, HostSettings, Packet, PacketKind, PacketReceived, Peer};
use tokio::time::Instant;

pub(crate) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ours {
    Client,
    Server,
}

/// Who is who, and how.
pub(crate) struct Setting {
    pub(crate) ours: Ours,
    pub(crate) config: Config,
    pub(crate) theirs: HostSettings,
    /// The word with which their client comes.
    pub(crate) data: u32,
    /// Theirs does not throttle either, nor give up.
    pub(crate) is_hardy: bool,
}

impl Default for Setting {
    fn default() -> Setting {
        Setting { ours: Ours::Client, config: Config::DEFAULT, theirs: settings(), data: 0, is_hardy: false }
    }
}

pub(crate) fn settings() -> HostSettings {
    HostSettings { peer_limit: 10, channel_limit: 255, seed: Some(9), ..HostSettings::default() }
}

/// Their socket: queues in memory.
#[derive(Clone, Default)]
pub(crate) struct Port {
    inwards: Rc<RefCell<VecDeque<Vec<u8>>>>,
    outwards: Rc<RefCell<VecDeque<Vec<u8>>>>,
}

fn addr() -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], 1_000))
}

impl theirs::Socket for Port {
    type Address = SocketAddr;
    type Error = Infallible;

    fn send(&mut self, _: SocketAddr, datagram: &[u8]) -> Result<usize, Infallible> {
        self.outwards.borrow_mut().push_back(datagram.to_vec());
        Ok(datagram.len())
    }

    fn receive(&mut self, buf: &mut [u8; theirs::MTU_MAX]) -> Result<Option<(SocketAddr, PacketReceived)>, Infallible> {
        let Some(datagram) = self.inwards.borrow_mut().pop_front() else { return Ok(None) };
        buf[..datagram.len()].copy_from_slice(&datagram);
        Ok(Some((addr(), PacketReceived::Complete(datagram.len()))))
    }
}

enum End {
    Client(Box<Client>),
    Server(Box<Server>, Option<PeerId>),
}

pub(crate) struct World {
    pub(crate) now: Instant,
    pub(crate) network: Direction,
    pub(crate) is_hardy: bool,
    ours: End,
    theirs: Host<Port>,
    port: Port,
    clock: Rc<Cell<Duration>>,
    /// From us to them, and back.
    paths: [Path; 2],
    /// What came to us.
    pub(crate) events: Vec<Event>,
    /// What came to them, and on which channel.
    pub(crate) received: Vec<(u8, Vec<u8>)>,
    /// The word with which their event says that a peer has come, and has gone.
    pub(crate) greeting: Option<u32>,
    pub(crate) ended: Option<u32>,
    /// Nothing gets through.
    pub(crate) is_cut: bool,
    config: Config,
}

impl World {
    pub(crate) fn connected(network: Direction, seed: u64, setting: Setting) -> World {
        let Setting { ours, config, theirs, data, is_hardy } = setting;
        let now = Instant::now();
        let (port, clock) = (Port::default(), Rc::new(Cell::new(Duration::from_secs(1_000))));
        let time = clock.clone();
        let checksum = config.checksum.then(|| Box::new(theirs::crc32) as Box<dyn Fn(&[&[u8]]) -> u32>);
        let theirs = HostSettings { time: Box::new(move || time.get()), checksum, ..theirs };
        let mut theirs = Host::new(port.clone(), theirs).unwrap();
        theirs.set_mtu(if config.checksum { 1_000 } else { 1_392 }).unwrap();
        let ours = match ours {
            Ours::Client => {
                let mut client = Client::new(&config, 0xABCD_EF01);
                client.open(now);
                End::Client(Box::new(client))
            }
            Ours::Server => {
                theirs.connect(addr(), theirs.channel_limit(), data).unwrap();
                End::Server(Box::new(Server::new(config.clone(), 10, [1, 2], now)), None)
            }
        };
        let paths = [Path::new(&network, seed), Path::new(&network, seed + 1_000)];
        let mut world = World {
            now,
            network,
            is_hardy,
            ours,
            theirs,
            port,
            clock,
            paths,
            events: Vec::new(),
            received: Vec::new(),
            greeting: None,
            ended: None,
            is_cut: false,
            config,
        };
        while world.greeting.is_none() || !world.events.contains(&Event::Connected) {
            assert!(world.now < now + Duration::from_secs(20), "no connection");
            world.run(ms(5));
        }
        world.events.retain(|event| !matches!(event, Event::Connected | Event::RoundTrip(_)));
        if is_hardy {
            // Which tells us not to throttle, too.
            world.peer_mut().set_throttle(5_000, 2, 0);
            world.peer_mut().set_timeout(1 << 20, 30_000, 3_600_000);
        }
        world
    }

    /// Lets `time` pass. Their clock counts milliseconds, and they are asked in each.
    pub(crate) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            self.turn();
            if self.now >= end {
                return;
            }
            let ours = match &self.ours {
                End::Client(client) => client.deadline(),
                End::Server(server, _) => server.deadline(),
            };
            let due = self.paths.iter().filter_map(Path::deadline).chain(ours).min();
            // They do not say when something is due: they are asked every 5 ms.
            let next = due.unwrap_or(end).clamp(self.now + Duration::from_micros(10), self.now + ms(5)).min(end);
            self.clock.set(self.clock.get() + (next - self.now));
            self.now = next;
        }
    }

    /// Hands over what is due, and takes what follows.
    fn turn(&mut self) {
        while let Some((_, datagram)) = self.paths[0].poll(self.now) {
            self.port.inwards.borrow_mut().push_back(datagram.to_vec());
        }
        while let Some((_, datagram)) = self.paths[1].poll(self.now) {
            match &mut self.ours {
                End::Client(client) => client.input(self.now, &datagram),
                End::Server(server, _) => server.input(self.now, addr(), &datagram),
            }
        }
        match &mut self.ours {
            End::Client(client) => client.timeout(self.now),
            End::Server(server, _) => server.timeout(self.now),
        }
        self.drain();
        self.serve_theirs();
    }

    fn drain(&mut self) {
        let mut packet = Vec::new();
        loop {
            let is_more = match &mut self.ours {
                End::Client(client) => client.poll_transmit(self.now, &mut packet),
                End::Server(server, _) => server.poll_transmit(self.now, &mut packet).is_some(),
            };
            if !is_more {
                break;
            }
            assert!(packet.len() <= self.config.mtu.into(), "{}", packet.len());
            if !self.is_cut {
                self.paths[0].send(self.now, &packet);
            }
            packet.clear();
        }
        match &mut self.ours {
            End::Client(client) => self.events.extend(std::iter::from_fn(|| client.poll_event())),
            End::Server(server, peer) => {
                while let Some((id, event)) = server.poll_event() {
                    *peer = Some(id);
                    self.events.push(event);
                }
            }
        }
    }

    fn serve_theirs(&mut self) {
        while let Some(event) = self.theirs.service().unwrap() {
            match event {
                theirs::Event::Connect { data, .. } => self.greeting = Some(data),
                theirs::Event::Disconnect { data, .. } => self.ended = Some(data),
                theirs::Event::Receive { channel_id, packet, .. } => {
                    self.received.push((channel_id, packet.data().to_vec()));
                }
            }
        }
        let mut outwards = self.port.outwards.borrow_mut();
        for datagram in outwards.drain(..) {
            if !self.is_cut {
                self.paths[1].send(self.now, &datagram);
            }
        }
    }

    /// We send.
    pub(crate) fn send(&mut self, channel: Channel, bytes: &[u8]) -> Result<(), Failure> {
        match &mut self.ours {
            End::Client(client) => client.send(self.now, channel, bytes),
            End::Server(server, peer) => server.send(self.now, peer.unwrap(), channel, bytes),
        }
    }

    /// They send.
    pub(crate) fn send_theirs(&mut self, delivery: Delivery, lane: u8, bytes: &[u8]) -> Result<(), Failure> {
        let kind = match delivery {
            Delivery::Ordered => PacketKind::Reliable,
            Delivery::Sequenced => PacketKind::AlwaysUnreliable { sequenced: true },
            _ => PacketKind::AlwaysUnreliable { sequenced: false },
        };
        self.peer_mut().send(lane, &Packet::new(bytes, kind)).unwrap();
        Ok(())
    }

    pub(crate) fn disconnect(&mut self, data: u32) {
        match &mut self.ours {
            End::Client(client) => client.session_mut().unwrap().disconnect(self.now, data),
            End::Server(server, peer) => server.disconnect(self.now, peer.unwrap(), &data),
        }
    }

    /// We leave without waiting. A server has no such word: its client does it.
    pub(crate) fn abort(&mut self) {
        match &mut self.ours {
            End::Client(client) => client.abort(self.now),
            End::Server(server, peer) => server.disconnect(self.now, peer.unwrap(), &0),
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        match &self.ours {
            End::Client(client) => client.session().is_some_and(Session::is_closed),
            End::Server(server, _) => server.peers() == 0,
        }
    }

    /// Our session.
    pub(crate) fn session(&self) -> &Session {
        match &self.ours {
            End::Client(client) => client.session().unwrap(),
            End::Server(server, peer) => server.session(peer.unwrap()).unwrap(),
        }
    }

    /// What we measured.
    pub(crate) fn stats(&self) -> Stats {
        self.session().stats()
    }

    /// Their end of the connection.
    pub(crate) fn peer(&self) -> &Peer<Port> {
        self.theirs.peer(theirs::PeerID(0))
    }

    pub(crate) fn peer_mut(&mut self) -> &mut Peer<Port> {
        self.theirs.peer_mut(theirs::PeerID(0))
    }

    /// Another of our clients, opened now.
    pub(crate) fn second_client(&self) -> Client {
        let mut client = Client::new(&self.config, 77);
        client.open(self.now);
        client
    }

    /// Lets `time` pass with another client beside ours. How many datagrams come to it.
    pub(crate) fn run_second(&mut self, client: &mut Client, time: Duration) -> usize {
        self.run(time);
        client.timeout(self.now);
        let mut packet = Vec::new();
        while client.poll_transmit(self.now, &mut packet) {
            self.port.inwards.borrow_mut().push_back(std::mem::take(&mut packet));
        }
        // What is not for the first is for the second.
        while self.theirs.service().unwrap().is_some() {}
        let for_it: Vec<_> = self.port.outwards.borrow_mut().drain(..).collect();
        for_it.iter().for_each(|datagram| client.input(self.now, datagram));
        for_it.len()
    }
}
