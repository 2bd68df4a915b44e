//! Two ends of a protocol and the wire between them, with the fuzz input as the fate that befalls them.

use std::collections::VecDeque;
use std::time::Duration;

use loadkit_transport::{Channel, Protocol};
use tokio::time::Instant;

use crate::input::Input;

/// Packets that are on the way to an end, at most; the oldest are lost.
const FLYING: usize = 64;
/// Packets that are kept to be changed and repeated.
const KEPT: usize = 16;
/// Steps of time in one wait, at most.
const STEPS: usize = 60;

const CHANNELS: [Channel; 4] = [Channel::ORDERED, Channel::UNORDERED, Channel::UNRELIABLE, Channel::SEQUENCED];

/// One end. Every [`Protocol`] is one.
pub(crate) trait End {
    fn open(&mut self, now: Instant);
    fn input(&mut self, now: Instant, packet: &[u8]);
    fn timeout(&mut self, now: Instant);
    fn deadline(&self) -> Option<Instant>;
    /// Whether it is taken is its own affair.
    fn send(&mut self, now: Instant, channel: Channel, message: &[u8]);
    fn poll_transmit(&mut self, now: Instant, packet: &mut Vec<u8>) -> bool;
    /// Takes out an event, if there is one.
    fn poll_event(&mut self) -> bool;
    fn close(&mut self, now: Instant, abort: bool);
}

impl<P: Protocol> End for P {
    fn open(&mut self, now: Instant) {
        Protocol::open(self, now);
    }

    fn input(&mut self, now: Instant, packet: &[u8]) {
        Protocol::input(self, now, packet);
    }

    fn timeout(&mut self, now: Instant) {
        Protocol::timeout(self, now);
    }

    fn deadline(&self) -> Option<Instant> {
        Protocol::deadline(self)
    }

    fn send(&mut self, now: Instant, channel: Channel, message: &[u8]) {
        let _ = Protocol::send(self, now, channel, message);
    }

    fn poll_transmit(&mut self, now: Instant, packet: &mut Vec<u8>) -> bool {
        Protocol::poll_transmit(self, now, packet)
    }

    fn poll_event(&mut self) -> bool {
        Protocol::poll_event(self).is_some()
    }

    fn close(&mut self, now: Instant, abort: bool) {
        if abort { Protocol::abort(self, now) } else { Protocol::close(self, now) }
    }
}

/// A connection under attack.
pub(crate) struct Pair<A, B> {
    pub(crate) now: Instant,
    pub(crate) client: A,
    pub(crate) server: B,
    /// On the way to the client, to the server.
    flying: [VecDeque<Vec<u8>>; 2],
    kept: VecDeque<Vec<u8>>,
}

impl<A: End, B: End> Pair<A, B> {
    /// The client opens.
    pub(crate) fn new(mut client: A, mut server: B, now: Instant) -> Self {
        client.open(now);
        server.open(now);
        let mut pair =
            Pair { now, client, server, flying: [const { VecDeque::new() }; 2], kept: VecDeque::with_capacity(KEPT) };
        pair.drain();
        pair
    }

    /// Does what the input says, to its end.
    pub(crate) fn play(&mut self, input: &mut Input<'_>) {
        while let Some(op) = input.next() {
            let to_server = op & 0x80 != 0;
            let flags = op >> 3 & 0xF;
            match op & 7 {
                0 => self.input(to_server, input.piece()),
                1 => {
                    let packet = self.mutant(flags, input);
                    self.input(to_server, &packet);
                }
                2 => self.deliver(),
                3 => self.flying[usize::from(to_server)].clear(),
                4 => self.wait(Duration::from_millis(1 << flags)),
                5 => {
                    let len = usize::from(input.byte()) * if flags & 4 == 0 { 1 } else { 32 };
                    let (channel, message) = (CHANNELS[usize::from(flags & 3)], vec![op; len]);
                    if to_server {
                        self.client.send(self.now, channel, &message);
                    } else {
                        self.server.send(self.now, channel, &message);
                    }
                }
                6 => {
                    let flying = &mut self.flying[usize::from(to_server)];
                    flying.rotate_left(usize::from(flags).min(flying.len()));
                }
                _ if to_server => self.server.close(self.now, flags & 1 != 0),
                _ => self.client.close(self.now, flags & 1 != 0),
            }
            self.drain();
        }
    }

    /// Both ends close, and the world goes on for so long without any further evil.
    pub(crate) fn finish(&mut self, time: Duration) {
        self.client.close(self.now, false);
        self.server.close(self.now, false);
        self.drain();
        let parts = 20;
        (0..parts).for_each(|_| self.wait(time / parts));
    }

    /// Lets `time` pass on a good network, in at most [`STEPS`] steps.
    pub(crate) fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        for _ in 0..STEPS {
            self.deliver();
            let due = [self.client.deadline(), self.server.deadline()].into_iter().flatten().min();
            let Some(due) = due.filter(|due| *due <= end) else { break };
            self.now = self.now.max(due);
            self.client.timeout(self.now);
            self.server.timeout(self.now);
            self.drain();
        }
        self.now = self.now.max(end);
    }

    /// All that flies arrives, and so do its answers.
    fn deliver(&mut self) {
        for _ in 0..4 {
            for to_server in [true, false] {
                for packet in std::mem::take(&mut self.flying[usize::from(to_server)]) {
                    self.input(to_server, &packet);
                }
            }
            self.drain();
            if self.flying.iter().all(VecDeque::is_empty) {
                break;
            }
        }
    }

    fn input(&mut self, to_server: bool, packet: &[u8]) {
        if to_server { self.server.input(self.now, packet) } else { self.client.input(self.now, packet) }
    }

    /// The beginning of a packet that was really sent, with some bytes changed and others after it.
    fn mutant(&self, flags: u8, input: &mut Input<'_>) -> Vec<u8> {
        let which = usize::from(input.byte()) % KEPT;
        let mut packet = self.kept.get(which).cloned().unwrap_or_default();
        if flags & 4 != 0 {
            packet.truncate(usize::from(input.byte()));
        }
        for _ in 0..flags & 3 {
            let (at, change) = (usize::from(input.byte()), input.byte());
            if let Some(byte) = packet.get_mut(at) {
                *byte ^= change;
            }
        }
        if flags & 8 != 0 {
            packet.extend_from_slice(input.piece());
        }
        packet
    }

    fn drain(&mut self) {
        let mut packet = Vec::new();
        while self.client.poll_transmit(self.now, &mut packet) {
            self.fly(true, std::mem::take(&mut packet));
        }
        while self.server.poll_transmit(self.now, &mut packet) {
            self.fly(false, std::mem::take(&mut packet));
        }
        while self.client.poll_event() {}
        while self.server.poll_event() {}
    }

    fn fly(&mut self, to_server: bool, packet: Vec<u8>) {
        assert!(!packet.is_empty(), "an empty packet was sent");
        if self.kept.len() == KEPT {
            self.kept.pop_back();
        }
        self.kept.push_front(packet.clone());
        let flying = &mut self.flying[usize::from(to_server)];
        if flying.len() == FLYING {
            flying.pop_front();
        }
        flying.push_back(packet);
    }
}
