//! Our end of QUIC under a client that keeps quinn's rules and none of ours: streams, datagrams and packets of any bytes.
//!
//! Its keys and its server's are random, because TLS makes them: an input does the same each time, in other bytes.

#![expect(clippy::panic, reason = "a target that cannot be set up has failed")]

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use loadkit_transport::quic::{Config, Goodbye, Identity, Server};
use loadkit_transport::{Bytes, Channel, Delivery, Event, Framing, Serve};
use quinn_proto::crypto::rustls::QuicClientConfig;
use quinn_proto::{
    ClientConfig, Connection, ConnectionHandle, DatagramEvent, Dir, Endpoint, EndpointConfig, Side, StreamId, VarInt,
};
use rustls::pki_types::CertificateDer;
use tokio::time::Instant;

use crate::input::Input;

const NAME: &str = "game.test";
/// The longest message.
const MAX: usize = 2_000;
const STREAMS: usize = 8;
/// Packets that one act may lead to.
const PACKETS: usize = 10_000;

pub(crate) fn target(bytes: &[u8]) {
    let mut world = World::new();
    world.settle();
    assert!(!world.connection.is_handshaking(), "nobody has disturbed the handshake");
    let mut input = Input::new(bytes);
    while let Some(op) = input.next() {
        match op & 7 {
            0..4 => world.on_stream(op, &mut input),
            4 => {
                let payload = Bytes::copy_from_slice(input.piece());
                drop(world.connection.datagrams().send(payload, true));
            }
            5 => world.server.input(world.now, client(op), input.piece()),
            6 => world.pass(Duration::from_millis(1 << (op >> 4))),
            _ => world.serve(op, &mut input),
        }
        world.settle();
    }
    // Nothing comes any more: nobody stays.
    world.is_cut = true;
    while let Some(due) = world.server.deadline() {
        world.pass(due.saturating_duration_since(world.now).max(Duration::from_millis(1)));
        world.settle();
    }
    assert_eq!(world.server.peers(), 0);
}

/// The client's address; it may change.
fn client(op: u8) -> SocketAddr {
    ([10, 0, 0, 1 + (op >> 7)], 1_000).into()
}

struct World {
    now: Instant,
    server: Server,
    endpoint: Endpoint,
    handle: ConnectionHandle,
    connection: Connection,
    streams: Vec<StreamId>,
    is_cut: bool,
}

impl World {
    fn new() -> World {
        let now = Instant::now();
        let (cert, key, tls) = certificate();
        let config = Config {
            framing: Framing { max: MAX, ..Framing::default() },
            messages: 4,
            send_buffer: 16 * 1024,
            ..Config::default()
        };
        let identity = Identity::from_pem(cert, key).unwrap_or_else(|failure| panic!("{failure}"));
        let server = Server::new(&config, identity, 2, [1, 2]).unwrap_or_else(|failure| panic!("{failure}"));
        let mut endpoint = Endpoint::new(Arc::new(EndpointConfig::default()), None, false, Some([7; 32]));
        let (handle, connection) = endpoint
            .connect(now.into_std(), tls.clone(), ([10, 0, 0, 9], 1).into(), NAME)
            .unwrap_or_else(|error| panic!("{error}"));
        World { now, server, endpoint, handle, connection, streams: Vec::new(), is_cut: false }
    }

    /// The client does something to a stream, its own or one that the server has opened.
    fn on_stream(&mut self, op: u8, input: &mut Input<'_>) {
        let dir = if op & 8 == 0 { Dir::Bi } else { Dir::Uni };
        let at = usize::from(op >> 5);
        if op & 3 == 0 && self.streams.len() < STREAMS {
            let opened = if op & 16 == 0 { self.connection.streams().open(dir) } else { None };
            let opened = opened.or_else(|| self.connection.streams().accept(dir));
            self.streams.extend(opened);
        }
        let Some(stream) = self.streams.get(at.min(self.streams.len().saturating_sub(1))).copied() else { return };
        let code = VarInt::from_u32(op.into());
        // quinn's rules: it cannot send on a stream that is the server's alone, nor stop one that is its own.
        let [may_send, may_stop] =
            [Side::Client, Side::Server].map(|side| stream.dir() == Dir::Bi || stream.initiator() == side);
        match op & 3 {
            0 | 1 if may_send => drop(self.connection.send_stream(stream).write(input.piece())),
            2 if may_send && op & 16 == 0 => drop(self.connection.send_stream(stream).finish()),
            2 if may_send => drop(self.connection.send_stream(stream).reset(code)),
            3 if op & 16 == 0 => self.connection.close(self.now.into_std(), code, Bytes::from_static(b"bye")),
            _ if may_stop => drop(self.connection.recv_stream(stream).stop(code)),
            _ => {}
        }
    }

    /// The server says something to its peers, or goodbye.
    fn serve(&mut self, op: u8, input: &mut Input<'_>) {
        for id in self.server.ids().collect::<Vec<_>>() {
            let delivery = [Delivery::Ordered, Delivery::Unordered, Delivery::Unreliable][usize::from(op >> 4) % 3];
            if op >> 3 == 0x1F {
                self.server.disconnect(self.now, id, &Goodbye::default());
            } else {
                // Whether it is taken is not the question here.
                let message = vec![op; usize::from(input.byte()) * 16];
                drop(self.server.send(self.now, id, Channel::new(delivery, 0), &message));
            }
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.server.timeout(self.now);
        if !self.is_cut {
            self.connection.handle_timeout(self.now.into_std());
        }
    }

    /// Everything under way arrives, both ways, until nothing is; with the server's promises looked after.
    fn settle(&mut self) {
        let now = self.now;
        for _ in 0..PACKETS {
            let mut packet = Vec::new();
            let sent = self.connection.poll_transmit(now.into_std(), 1, &mut packet).is_some();
            if sent && !self.is_cut {
                self.server.input(now, client(0), &packet);
            }
            let mut answer = Vec::new();
            let answered = self.server.poll_transmit(now, &mut answer);
            assert!(answer.len() <= 1_200, "{} bytes", answer.len());
            if answered.is_some() && !self.is_cut {
                self.take(&answer);
            }
            while let Some((_, event)) = self.server.poll_event() {
                if let Event::Message { payload, .. } = event {
                    assert!(payload.len() <= MAX, "{} bytes", payload.len());
                }
            }
            while self.connection.poll().is_some() {}
            while let Some(event) = self.connection.poll_endpoint_events() {
                if let Some(event) = self.endpoint.handle_event(self.handle, event) {
                    self.connection.handle_event(event);
                }
            }
            assert!(self.server.peers() <= 2);
            if !sent && answered.is_none() {
                return;
            }
        }
        panic!("one act led to more than {PACKETS} packets");
    }

    fn take(&mut self, packet: &[u8]) {
        let from = ([10, 0, 0, 9], 1).into();
        let mut response = Vec::new();
        let came = self.endpoint.handle(self.now.into_std(), from, None, None, packet.into(), &mut response);
        if let Some(DatagramEvent::ConnectionEvent(_, event)) = came {
            self.connection.handle_event(event);
        }
    }
}

/// The server's certificate and key, and a client that trusts it; made once.
fn certificate() -> &'static (String, String, ClientConfig) {
    static MADE: OnceLock<(String, String, ClientConfig)> = OnceLock::new();
    MADE.get_or_init(|| {
        let made = rcgen::generate_simple_self_signed([NAME.to_owned()]).unwrap_or_else(|error| panic!("{error}"));
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from(made.cert.der().to_vec())).unwrap_or_else(|error| panic!("{error}"));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap_or_else(|error| panic!("{error}"))
            .with_root_certificates(roots)
            .with_no_client_auth();
        let crypto = QuicClientConfig::try_from(tls).unwrap_or_else(|error| panic!("{error}"));
        (made.cert.pem(), made.signing_key.serialize_pem(), ClientConfig::new(Arc::new(crypto)))
    })
}
