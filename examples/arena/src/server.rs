//! `datagrams and time in; datagrams and the next deadline out`: the game behind its protocol, and its misbehaviour.

use std::collections::VecDeque;
use std::net::SocketAddr;

use loadkit::Failure;
use loadkit::transport::protobuf::{Envelope, Enveloped};
use loadkit::transport::rudp::{self, PeerId};
use loadkit::transport::{Codec, Event};
use rustc_hash::FxHashMap;
use tokio::time::Instant;

use crate::counts::Counts;
use crate::game::{Game, Output, Peer};
use crate::options::Options;
use crate::wire::{FromClient, FromServer};
use crate::work::Backlog;

/// No more than this play at once; the kernel's memory for them is the larger part.
const MAX_PEERS: usize = 20_000;
/// No more than this is held back by `--delay`, `--delay-matchmaking` and `--max-ticks-ms`: with more, what is oldest goes on
/// early.
const MAX_HELD: usize = 1 << 20;

/// The game behind its protocol, without I/O.
///
/// **After every change, drain [`poll_transmit`](Server::poll_transmit), then wait for a datagram or for
/// [`deadline`](Server::deadline), whichever comes first.**
#[derive(Debug)]
pub struct Server {
    options: Options,
    transport: rudp::Server,
    codec: Enveloped<FromClient>,
    game: Game,
    counts: Counts,
    /// The game's name for each place in the transport's table of peers.
    peers: Vec<Peer>,
    ids: FxHashMap<Peer, PeerId>,
    last_peer: u64,
    /// What leaves later, and when.
    held: VecDeque<(Instant, Output)>,
    /// Who wants a match and has not been heard yet, and when they will be.
    unheard: VecDeque<(Instant, Peer, Envelope<FromClient>)>,
    backlog: Backlog,
    bytes: Vec<u8>,
}

impl Server {
    /// A server that begins at `now`. `key` is random and secret; see [`rudp::Server::new`].
    pub fn new(options: Options, key: [u64; 2], now: Instant) -> Server {
        Server {
            transport: rudp::Server::new(rudp::Config::DEFAULT, MAX_PEERS, key, now),
            codec: Enveloped::new(),
            game: Game::new(options.rules),
            backlog: Backlog::new(options.work, now),
            options,
            counts: Counts::default(),
            peers: Vec::new(),
            ids: FxHashMap::default(),
            last_peer: 0,
            held: VecDeque::new(),
            unheard: VecDeque::new(),
            bytes: Vec::new(),
        }
    }

    /// What it has done so far.
    pub fn counts(&self) -> Counts {
        Counts { matches: u64::from(self.game.matches_begun()), ..self.counts }
    }

    /// Takes a datagram that came from the network at `arrived`, perhaps while the server did something else.
    pub fn input(&mut self, now: Instant, arrived: Instant, from: SocketAddr, datagram: &[u8]) {
        self.transport.input(arrived, from, datagram);
        self.settle(now);
    }

    /// When something is due.
    pub fn deadline(&self) -> Option<Instant> {
        let held = self.held.front().map(|&(at, _)| at);
        let unheard = self.unheard.front().map(|&(at, ..)| at);
        let all = [self.transport.deadline(), self.game.deadline(), held, unheard, self.backlog.deadline()];
        all.into_iter().flatten().min()
    }

    /// Does what is due at `now`.
    pub fn timeout(&mut self, now: Instant) {
        self.transport.timeout(now);
        self.backlog.timeout(now, self.game.players_online());
        while let Some((at, ..)) = self.unheard.front()
            && (*at <= now || self.unheard.len() > MAX_HELD)
        {
            if let Some((_, peer, request)) = self.unheard.pop_front() {
                self.game.input(peer, request, now);
            }
        }
        self.game.timeout(now);
        self.settle(now);
    }

    /// Appends the next datagram to `packet`, which is empty; where it goes.
    pub fn poll_transmit(&mut self, now: Instant, packet: &mut Vec<u8>) -> Option<SocketAddr> {
        self.transport.poll_transmit(now, packet)
    }

    /// Sends everybody home.
    pub fn close(&mut self, now: Instant) {
        self.transport.disconnect_all(now, "the server ends");
        self.settle(now);
    }

    /// Hands on what the transport tells to the game, and what the game says to the transport.
    fn settle(&mut self, now: Instant) {
        while let Some((id, event)) = self.transport.poll_event() {
            match event {
                Event::Connected => self.connected(id),
                Event::Message { payload, .. } => self.message(id, &payload, now),
                Event::Closed(_) => self.closed(id),
                Event::RoundTrip(_) => {}
            }
        }
        let (delay, early) = (self.options.delay + self.backlog.late(), MAX_HELD);
        while let Some(output) = self.game.poll_output() {
            // Nothing overtakes what is held already.
            if delay.is_zero() && self.held.is_empty() {
                self.send(now, &output);
            } else {
                self.held.push_back((now + delay, output));
            }
        }
        while let Some((at, _)) = self.held.front()
            && (*at <= now || self.held.len() > early)
        {
            if let Some((_, output)) = self.held.pop_front() {
                self.send(now, &output);
            }
        }
    }

    fn connected(&mut self, id: PeerId) {
        self.last_peer += 1;
        let peer = Peer(self.last_peer);
        if self.peers.len() <= id.index() {
            self.peers.resize(id.index() + 1, Peer(0));
        }
        self.peers[id.index()] = peer;
        self.ids.insert(peer, id);
        self.game.connected(peer);
        self.counts.connections += 1;
    }

    fn closed(&mut self, id: PeerId) {
        let Some(&peer) = self.peers.get(id.index()) else { return };
        self.ids.remove(&peer);
        if !self.game.disconnected(peer) {
            self.counts.disconnects += 1;
        }
    }

    fn message(&mut self, id: PeerId, payload: &[u8], now: Instant) {
        let Some(&peer) = self.peers.get(id.index()) else { return };
        match self.codec.decode(payload) {
            Ok(request) if self.ignores(&request.body) => self.counts.logins_dropped += 1,
            Ok(request) if self.is_slow_at(&request.body) => {
                self.unheard.push_back((now + self.options.delay_matchmaking, peer, request));
            }
            Ok(request) => self.game.input(peer, request, now),
            Err(_) => self.counts.malformed += 1,
        }
    }

    /// Whether this is one of the logins that are to be ignored.
    fn ignores(&self, request: &FromClient) -> bool {
        let FromClient::Login(login) = request else { return false };
        if self.options.drop_logins == 0.0 {
            return false;
        }
        // The account's own number, so that whoever is ignored once is ignored again: 53 bits, as many as a float holds,
        // taken as a number from 0 to 1.
        let number = self.options.seed.stream(&format!("drop-logins {}", login.account), 0, 0);
        ((number >> 11) as f64 / (1_u64 << 53) as f64) < self.options.drop_logins
    }

    /// Whether this is one of the requests that are to be heard late.
    fn is_slow_at(&self, request: &FromClient) -> bool {
        !self.options.delay_matchmaking.is_zero() && matches!(request, FromClient::FindMatch(_))
    }

    /// Encodes a message once, and sends it to all for whom it is.
    fn send(&mut self, now: Instant, output: &Output) {
        self.bytes.clear();
        if self.codec.encode(&output.message, &mut self.bytes).is_err() {
            return;
        }
        let channel = self.codec.channel(&output.message);
        for peer in &output.to {
            let Some(&id) = self.ids.get(peer) else { continue };
            let sent = self.transport.send(now, id, channel, &self.bytes);
            self.count(&output.message.body, sent);
        }
    }

    fn count(&mut self, message: &FromServer, sent: Result<(), Failure>) {
        let counts = &mut self.counts;
        let count = match message {
            _ if sent.is_err() => &mut counts.unsent,
            FromServer::Refused(_) => &mut counts.refusals,
            FromServer::Welcome(_) => &mut counts.logins,
            FromServer::MatchFound(_) => &mut counts.matches_found,
            FromServer::Moved(_) => &mut counts.moves,
            FromServer::Bought(_) => &mut counts.purchases,
            FromServer::Goodbye(_) => &mut counts.leaves,
            FromServer::Snapshot(_) => &mut counts.snapshots,
            FromServer::MatchOver(_) => &mut counts.results,
            FromServer::Unknown(_) => return,
        };
        *count += 1;
    }
}

#[cfg(test)]
mod tests;
