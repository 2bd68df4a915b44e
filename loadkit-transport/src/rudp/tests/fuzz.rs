//! Arbitrary, mutated, cut, repeated and late datagrams at both ends in every state: no panic, and bounded memory.

use super::*;
use crate::rudp::config::MIN_PACKET;
use crate::rudp::frame::Piece;

/// Valid packets that are kept to be mutated.
const KEPT: usize = 64;

/// What happens to a connection.
#[derive(Clone, Debug)]
enum Deed {
    /// Anything arrives, perhaps with the right beginning.
    Noise {
        to_server: bool,
        kind: u8,
        named: bool,
        bytes: Vec<u8>,
    },
    /// One of the packets that have been sent arrives (again), changed.
    Mutant {
        to_server: bool,
        which: usize,
        edits: Vec<(usize, u8)>,
        cut: usize,
        more: Vec<u8>,
        copies: u8,
    },
    /// Somebody sends.
    Send {
        from_server: bool,
        channel: usize,
        len: usize,
    },
    /// Nobody fetches anything meanwhile.
    Burst {
        to_server: bool,
        bytes: Vec<u8>,
        copies: u16,
    },
    Wait(u64),
    Cut([bool; 2]),
    Close {
        server: bool,
        abort: bool,
    },
    Reopen,
}

fn bytes(max: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..max)
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        4 => (any::<bool>(), any::<u8>(), any::<bool>(), bytes(1_300))
            .prop_map(|(to_server, kind, named, bytes)| Deed::Noise { to_server, kind, named, bytes }),
        8 => (
            any::<bool>(),
            0..KEPT,
            prop::collection::vec((0..40_usize, any::<u8>()), 0..4),
            prop_oneof![3 => Just(usize::MAX), 1 => 0..60_usize],
            prop_oneof![3 => Just(Vec::new()), 1 => bytes(30)],
            1..4_u8,
        )
            .prop_map(|(to_server, which, edits, cut, more, copies)| {
                Deed::Mutant { to_server, which, edits, cut, more, copies }
            }),
        4 => (any::<bool>(), 0..4_usize, prop_oneof![3 => 0..200_usize, 1 => 0..70_000_usize])
            .prop_map(|(from_server, channel, len)| Deed::Send { from_server, channel, len }),
        1 => (any::<bool>(), bytes(60), 1..600_u16)
            .prop_map(|(to_server, bytes, copies)| Deed::Burst { to_server, bytes, copies }),
        4 => (0..400_u64).prop_map(Deed::Wait),
        1 => (0..20_000_u64).prop_map(Deed::Wait),
        1 => any::<[bool; 2]>().prop_map(Deed::Cut),
        1 => any::<(bool, bool)>().prop_map(|(server, abort)| Deed::Close { server, abort }),
        1 => Just(Deed::Reopen),
    ]
}

/// A world whose packets are noted, so that they can come back changed.
struct Fuzz {
    world: World,
    kept: Vec<(bool, Vec<u8>)>,
    config: Config,
}

impl Fuzz {
    fn note(&mut self) {
        self.world.drain();
        let flying = self.world.flying.values().take(KEPT).cloned();
        self.kept.extend(flying);
        let over = self.kept.len().saturating_sub(KEPT);
        self.kept.drain(..over);
    }

    fn input(&mut self, to_server: bool, bytes: &[u8]) {
        let world = &mut self.world;
        if to_server {
            world.server.input(world.now, world.addr, bytes);
        } else {
            world.client.input(world.now, bytes);
        }
    }

    /// The number of the session, as an attacker on the way knows it.
    fn session(&self) -> u32 {
        self.world.client.session().map_or(0, |session| session.ids.other)
    }

    fn play(&mut self, deed: Deed) {
        match deed {
            Deed::Noise { to_server, kind, named, mut bytes } => {
                if let Some(first) = bytes.first_mut() {
                    *first = (*first & 0xF0) | (kind % 14);
                }
                if named && bytes.len() >= 5 {
                    let id = if to_server { self.session() } else { self.world.client.id() };
                    bytes[1..5].copy_from_slice(&id.to_le_bytes());
                }
                self.input(to_server, &bytes);
            }
            Deed::Mutant { to_server, which, edits, cut, more, copies } => {
                let Some((_, bytes)) = self.kept.get(which % self.kept.len().max(1)) else { return };
                let mut bytes = bytes.clone();
                bytes.truncate(cut);
                bytes.extend(more);
                for (at, byte) in edits {
                    if let Some(place) = bytes.get_mut(at) {
                        *place = byte;
                    }
                }
                for _ in 0..copies {
                    self.input(to_server, &bytes);
                }
            }
            Deed::Send { from_server, channel, len } => {
                let channel = Channel { lane: (len % 3) as u8, ..PROMISES[channel] };
                let (world, message) = (&mut self.world, vec![7; len]);
                let peer = world.server.ids().next();
                // Whether it is taken is not the question here.
                if !from_server {
                    let _ = world.client.send(world.now, channel, &message);
                } else if let Some(id) = peer {
                    let _ = world.server.send(world.now, id, channel, &message);
                }
            }
            Deed::Burst { to_server, bytes, copies } => {
                // Good data packets, each of them new: a header of this session, then whatever frames.
                let dice = bytes.first().map_or(0, |&byte| u16::from(byte));
                for sequence in 0..copies {
                    let id = if to_server { self.session() } else { self.world.client.id() };
                    let packet = data(id, sequence, |out| {
                        // In order three pieces make a message; elsewhere anything goes.
                        let three = Some(Piece { index: (sequence % 3) as u8, last: 2 });
                        Frame { channel: Channel::ORDERED, piece: three, id: sequence, bytes: &bytes }.write(out);
                        Frame { channel: Channel::UNORDERED, piece: None, id: sequence * 2, bytes: &bytes }.write(out);
                        let channel = PROMISES[usize::from(dice + sequence) % 4];
                        let last = 1 + (dice % 200) as u8;
                        let piece = Some(Piece { index: (sequence % (u16::from(last) + 1)) as u8, last });
                        let channel = Channel { lane: 1 + (dice / 16 % 7) as u8, ..channel };
                        Frame { channel, piece, id: sequence / (dice % 9 + 1), bytes: &bytes }.write(out);
                    });
                    self.input(to_server, &packet);
                }
            }
            Deed::Wait(millis) => self.world.run(ms(millis)),
            Deed::Cut(cut) => self.world.cut = cut,
            Deed::Close { server: false, abort: false } => self.world.client.close(self.world.now),
            Deed::Close { server: false, abort: true } => self.world.client.abort(self.world.now),
            Deed::Close { server: true, .. } => self.world.server.disconnect_all(self.world.now, "away"),
            Deed::Reopen => {
                self.world.client = Client::new(&self.config, self.world.thrown);
                self.world.client.open(self.world.now);
            }
        }
    }

    fn check(&mut self) {
        if let Some(session) = self.world.client.session_mut() {
            session.check_bounds();
        }
        let ids: Vec<_> = self.world.server.ids().collect();
        assert!(ids.len() <= 100);
        for id in ids {
            self.world.server.session_mut(id).unwrap().check_bounds();
        }
        self.world.server.check_bounds();
        self.world.to_client.clear();
        self.world.to_server.clear();
        self.world.flying.retain(|&(at, _), _| at <= self.world.now + ms(200));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn nothing_that_arrives_panics_or_grows(
        deeds in prop::collection::vec(deed(), 1..60),
        connected in prop::bool::weighted(0.8),
        stormy in any::<bool>(),
        small in any::<bool>(),
    ) {
        let config = Config { packet: if small { MIN_PACKET } else { 1_200 }, ..Config::DEFAULT };
        let mut world = World::new(CALM, 3, &config);
        if connected {
            world.connect();
        }
        world.weather = if stormy { STORM } else { CALM };
        let mut fuzz = Fuzz { world, kept: Vec::new(), config };
        for deed in deeds {
            fuzz.note();
            fuzz.play(deed);
            fuzz.check();
        }
        // And whatever has happened, it comes to an end.
        fuzz.world.client.close(fuzz.world.now);
        fuzz.world.server.disconnect_all(fuzz.world.now, "");
        fuzz.world.run(ms(20_000));
        prop_assert_eq!((fuzz.world.server.peers(), fuzz.world.client.deadline()), (0, None));
    }

    #[test]
    fn strangers_cost_a_server_nothing(packets in prop::collection::vec((any::<u16>(), 0..14_u8, bytes(300)), 0..300)) {
        let mut server = Server::new(Config::DEFAULT, 10, [1, 2], Instant::now());
        for (port, kind, mut bytes) in packets {
            if kind == 1 || kind == 3 {
                bytes.resize(REQUEST_LEN, 0);
                bytes[..6].copy_from_slice(&[0, 1, 0, 0, 0, 0]);
            }
            if let Some(first) = bytes.first_mut() {
                *first = kind;
            }
            server.input(Instant::now(), SocketAddr::from(([10, 0, 0, 9], port)), &bytes);
            server.check_bounds();
        }
        prop_assert_eq!((server.peers(), server.deadline()), (0, None));
    }
}

#[test]
fn datagrams_longer_than_agreed_are_dropped() {
    let (mut world, _) = World::connected(CALM, 1);
    world.client.send(world.now, Channel::ORDERED, b"so that there is a packet to ack").unwrap();
    world.run(ms(100));
    let before = world.client.stats().discarded;
    for (sequence, len, discarded) in [(900, 1_180, 0), (901, 1_181, 1), (902, 30_000, 2)] {
        let packet = data(world.client.id(), sequence, |out| {
            Frame { channel: Channel::ORDERED, piece: None, id: sequence - 800, bytes: &[7; 30_000][..len] }.write(out);
        });
        world.client.input(world.now, &packet);
        assert_eq!(world.client.stats().discarded, before + discarded, "{len}");
    }
    world.client.session_mut().unwrap().check_bounds();
}

#[test]
fn no_knob_is_too_large_for_a_clock() {
    let config = Config {
        retry: Duration::MAX,
        keep_alive: Duration::MAX,
        time_out: Duration::MAX,
        ack_delay: Duration::MAX,
        tick: Duration::MAX,
        rto_min: Duration::MAX,
        rto_max: Duration::MAX,
        rto_first: Duration::MAX,
        linger: Duration::MAX,
        ..Config::DEFAULT
    };
    let mut world = World::new(CALM, 1, &config);
    world.connect();
    world.client.send(world.now, Channel::ORDERED, b"x").unwrap();
    world.run(ms(1_000));
    world.client.close(world.now);
    world.run(ms(1_000));
    assert_eq!(world.server_messages().len(), 1);
}
