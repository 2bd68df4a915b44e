//! Many peers on one socket.

use std::net::SocketAddr;

use super::*;
use crate::kcp::{PeerId, Server};
use crate::serve::Serve;

fn addr(n: u16) -> SocketAddr {
    ([10, 0, 0, 1], n).into()
}

fn server(max: usize) -> Server {
    Server::new(Config::FAST, max, [1, 2])
}

/// A peer's datagrams for one message.
fn datagrams(session: &mut Session, now: Instant, message: &[u8]) -> Vec<Vec<u8>> {
    session.send(now, Channel::ORDERED, message).unwrap();
    transmits(session, now + ms(10))
}

fn transmits(session: &mut Session, now: Instant) -> Vec<Vec<u8>> {
    std::iter::from_fn(|| {
        let mut packet = Vec::new();
        session.poll_transmit(now, &mut packet).then_some(packet)
    })
    .collect()
}

fn peer(conv: u32, now: Instant) -> Session {
    let mut session = Session::new(&Config::FAST, conv, now);
    session.open(now);
    assert_eq!(session.poll_event(), Some(Event::Connected));
    session
}

fn messages(server: &mut Server) -> Vec<(PeerId, Bytes)> {
    let events = std::iter::from_fn(|| server.poll_event());
    let messages = events.filter_map(|(id, event)| match event {
        Event::Message { payload, .. } => Some((id, payload)),
        _ => None,
    });
    messages.collect()
}

#[test]
fn conversations_of_one_address_are_told_apart_and_answered() {
    let now = Instant::now();
    let mut server = server(10);
    let mut peers: Vec<_> = [(1, 7), (1, 8), (2, 7)].map(|(from, conv)| (addr(from), peer(conv, now))).into();
    for (from, session) in &mut peers {
        let hello = format!("{from} {}", session.conv());
        for datagram in datagrams(session, now, hello.as_bytes()) {
            server.input(now, *from, &datagram);
        }
    }
    assert_eq!((server.peers(), server.stats().accepted), (3, 3));
    let heard = messages(&mut server);
    assert_eq!(heard.len(), 3);
    for (id, hello) in heard {
        assert_eq!(hello, format!("{} {}", server.addr(id).unwrap(), server.conv(id).unwrap()));
        server.send(now, id, Channel::ORDERED, &hello).unwrap();
    }
    let mut packet = Vec::new();
    while let Some(to) = server.poll_transmit(now, &mut packet) {
        let conv = crate::kcp::conv_of(&packet).unwrap();
        let (_, session) = peers.iter_mut().find(|(addr, session)| *addr == to && session.conv() == conv).unwrap();
        session.input(now + ms(20), &packet);
        packet.clear();
    }
    for (from, session) in &mut peers {
        let events: Vec<_> = std::iter::from_fn(|| session.poll_event()).collect();
        let payload = Bytes::from(format!("{from} {}", session.conv()));
        assert!(events.contains(&Event::Message { channel: Channel::ORDERED, payload }), "{events:?}");
    }
    server.check_bounds();
}

#[test]
fn a_silent_peer_is_forgotten_and_its_place_is_given_again() {
    let now = Instant::now();
    let mut server = server(1);
    let mut first = peer(1, now);
    for datagram in datagrams(&mut first, now, b"hello") {
        server.input(now, addr(1), &datagram);
    }
    let id = messages(&mut server)[0].0;
    let late = now + Duration::from_secs(50);
    for datagram in datagrams(&mut peer(2, late), late, b"no room") {
        server.input(late, addr(2), &datagram);
    }
    assert_eq!((server.stats().denied, server.peers()), (1, 1));
    let (mut packet, mut at) = (Vec::new(), now);
    while server.peers() > 0 {
        while server.poll_transmit(at, &mut packet).is_some() {
            first.input(at, &packet);
            packet.clear();
        }
        at = server.deadline().unwrap();
        server.timeout(at);
    }
    assert_eq!(at, now + Duration::from_secs(60));
    let (of, event) = server.poll_event().unwrap();
    assert!(of == id && matches!(event, Event::Closed(failure) if failure.kind() == Kind::TIMED_OUT));
    assert_eq!((server.poll_event(), server.deadline()), (None, None));
    assert_eq!(server.send(at, id, Channel::ORDERED, b"x").unwrap_err().kind(), Kind::CLOSED);

    // What the first goes on sending begins nothing; its place is another's now.
    for datagram in
        datagrams(&mut first, at, b"I am still here").iter().chain(&datagrams(&mut peer(3, at), at, b"hello"))
    {
        server.input(at, addr(1), datagram);
    }
    assert_eq!((server.peers(), server.stats().accepted), (1, 2));
    assert_eq!(server.conv(server.ids().next().unwrap()), Some(3));
    assert_eq!((server.conv(id), server.peer_stats(id)), (None, None), "a number is never given twice");
}

#[test]
fn only_the_beginning_of_a_conversation_makes_a_peer() {
    let now = Instant::now();
    let mut server = server(100);
    let push = Segment { conv: 5, command: Command::Push, frg: 0, wnd: 128, ts: 9, sn: 0, una: 0, data: b"x" };
    let others = [
        Segment { command: Command::Ack, data: &[], ..push },
        Segment { command: Command::Ask, data: &[], ..push },
        Segment { command: Command::Tell, data: &[], ..push },
        Segment { sn: 1, ..push },
        Segment { sn: u32::MAX, ..push },
        Segment { una: 1, ..push },
    ];
    for other in others {
        let mut datagram = Vec::new();
        other.write(&mut datagram);
        server.input(now, addr(1), &datagram);
    }
    server.input(now, addr(1), b"");
    server.input(now, addr(1), &[0x51; 24]);
    assert_eq!((server.peers(), server.stats().discarded), (0, 8));
    let mut datagram = Vec::new();
    Segment { sn: 1, ..push }.write(&mut datagram);
    push.write(&mut datagram);
    server.input(now, addr(1), &datagram);
    assert_eq!((server.peers(), server.poll_transmit(now, &mut Vec::new())), (1, Some(addr(1))));
}

/// Any address can send any datagram: what comes back is never longer, and what is held has its bound.
#[test]
fn a_flood_of_made_up_peers_is_bounded_and_not_amplified() {
    let now = Instant::now();
    let mut server = server(500);
    let push = Segment { conv: 0, command: Command::Push, frg: 0, wnd: 128, ts: 9, sn: 0, una: 0, data: b"" };
    let (mut came, mut went, mut packet) = (0, 0, Vec::new());
    for n in 0..20_000_u32 {
        let mut datagram = Vec::new();
        Segment { conv: n, ..push }.write(&mut datagram);
        came += datagram.len();
        server.input(now, addr(n as u16), &datagram);
        while server.poll_event().is_some() {}
        while server.poll_transmit(now, &mut packet).is_some() {
            went += packet.len();
            packet.clear();
        }
    }
    assert_eq!((server.peers(), server.stats().denied), (500, 19_500));
    assert!(went <= came / 40, "{went} of {came}");
    server.check_bounds();
    server.disconnect_all(now, &());
    while server.poll_transmit(now, &mut packet).is_some() {}
    assert_eq!(server.peers(), 0);
}
