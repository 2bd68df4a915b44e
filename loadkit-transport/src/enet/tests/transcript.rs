//! The exact bytes of a connection's life, written from the protocol's layout by hand.

use super::*;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().filter_map(|c| c.to_digit(16)).map(|digit| digit as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// What the client sends now, as one datagram.
fn next(end: &mut impl Protocol, now: Instant) -> Vec<u8> {
    let mut packet = Vec::new();
    assert!(end.poll_transmit(now, &mut packet));
    assert!(!end.poll_transmit(now, &mut Vec::new()));
    packet
}

#[test]
fn a_connection_byte_for_byte() {
    let began = Instant::now();
    let at = |millis| began + ms(millis);
    let config = Config { channels: 2, data: 0x0102_0304, ..Config::DEFAULT };
    let mut client = Client::new(&config, 0xCAFE_F00D).with_peer_id(0x321);
    client.open(began);
    let request = hex("8FFF 0000
         82 FF 0001  0321 FF FF  00000570 00010000 00000002  00000000 00000000
         00001388 00000002 00000002  CAFEF00D 01020304");
    assert_eq!(next(&mut client, began), request);

    // Without an answer, again after 500 ms, with the time of this sending.
    client.timeout(at(499));
    assert!(!client.poll_transmit(at(499), &mut Vec::new()));
    client.timeout(at(500));
    let again = next(&mut client, at(500));
    assert_eq!((&again[..4], &again[4..]), (&hex("8FFF 01F4")[..], &request[4..]));

    // A server with 1 channel, MTU 1,000, number 0x005 for the client, sessions 2 and 1.
    let verified = hex("9321 0009
         83 FF 0001  0005 01 02  000003E8 00010000 00000001  00000000 00000000
         00001388 00000002 00000002  CAFEF00D");
    client.input(at(530), &verified);
    assert_eq!(client.poll_event(), Some(Event::Connected));
    // The acknowledgement of that, and a ping, by which a round trip is measured.
    assert_eq!(next(&mut client, at(530)), hex("A005 0212  01 FF 0001 0001 0009  85 FF 0002"));
    let session = client.session().unwrap();
    assert_eq!((session.channels(), session.mtu()), (1, 1_000));

    client.input(at(560), &hex("1321  01 FF 0002 0002 0212"));
    assert_eq!(client.poll_event(), Some(Event::RoundTrip(ms(30))));

    // One of each, in the order of sending.
    client.send(at(600), Channel::ORDERED, b"reliable").unwrap();
    client.send(at(600), Channel::SEQUENCED, b"after").unwrap();
    client.send(at(600), Channel::UNRELIABLE, b"any").unwrap();
    assert_eq!(
        next(&mut client, at(600)),
        hex("A005 0258
             86 00 0001  0008 72656C6961626C65
             07 00 0001  0001 0005 6166746572
             49 00 0000  0001 0003 616E79")
    );
    client.send(at(601), Channel::SEQUENCED, &[7; 1_000]).unwrap();
    let mut packet = Vec::new();
    assert!(client.poll_transmit(at(601), &mut packet));
    let mut piece = hex("2005  0C 00 0001  0002 03CC  00000002 00000000 000003E8 00000000");
    piece.resize(piece.len() + 972, 7);
    assert_eq!(packet, piece);
    packet.clear();
    assert!(client.poll_transmit(at(601), &mut packet));
    piece = hex("2005  0C 00 0001  0002 001C  00000002 00000001 000003E8 000003CC");
    piece.resize(piece.len() + 28, 7);
    assert_eq!(packet, piece);

    // A reliable message to the client, and the server's knowledge of its own.
    client.input(at(610), &hex("9321 0100  01 00 0001 0001 0258  86 00 0001  0002 6869"));
    let payload = Bytes::from_static(b"hi");
    assert_eq!(client.poll_event(), Some(Event::Message { channel: Channel::ORDERED, payload }));
    assert_eq!(client.poll_event(), Some(Event::RoundTrip(ms(10))));
    assert_eq!(next(&mut client, at(610)), hex("2005  01 00 0001 0001 0100"));

    // The server ends it, with a word.
    client.input(at(620), &hex("9321 0200  84 FF 0002  00000063"));
    assert_eq!(client.poll_event(), None);
    assert_eq!(next(&mut client, at(620)), hex("2005  01 FF 0002 0002 0200"));
    assert_eq!(kind(client.poll_event().as_ref()), Some(Kind::CLOSED));
    assert_eq!(client.session().unwrap().goodbye(), 99);
    assert_eq!(client.deadline(), None);
}

/// The server's side of it, with a checksum: CRC-32 with the connect id in the checksum's place, and 0 for the request,
/// of which the server knows no connect id yet.
#[test]
fn a_server_byte_for_byte_with_checksums() {
    let now = Instant::now();
    let from = SocketAddr::from(([10, 0, 0, 1], 1_000));
    let config = Config { channels: 2, checksum: true, ..Config::DEFAULT };
    let mut server = Server::new(config.clone(), 2, [1, 2], now);
    let mut client = Client::new(&config, 0xCAFE_F00D).with_peer_id(7);
    client.open(now);
    let request = next(&mut client, now);
    assert_eq!((request.len(), &request[..4]), (56, &hex("8FFF 0000")[..]));
    // As Python's zlib.crc32 has it.
    assert_eq!(request[4..8], hex("A9F3B784"));
    server.input(now, from, &request);
    // Twice is once.
    server.input(now, from, &request);
    let mut packet = Vec::new();
    assert_eq!(server.poll_transmit(now, &mut packet), Some(from));
    let body = hex("83 FF 0001  0000 00 00  00000570 00010000 00000002  00000000 00000000
         00001388 00000002 00000002  CAFEF00D");
    assert_eq!((&packet[..4], &packet[4..8], &packet[8..]), (&hex("8007 0000")[..], &hex("0DFCB91C")[..], &body[..]));
    assert_eq!(server.poll_transmit(now, &mut Vec::new()), None);
    assert_eq!((server.peers(), server.stats().discarded), (1, 1));
    // A bit is wrong: it is not taken.
    let mut broken = packet.clone();
    broken[20] ^= 4;
    client.input(now, &broken);
    assert_eq!((client.poll_event(), client.stats().discarded), (None, 1));
    client.input(now, &packet);
    assert_eq!(client.poll_event(), Some(Event::Connected));
    server.input(now, from, &next(&mut client, now));
    let events: Vec<_> = std::iter::from_fn(|| server.poll_event()).map(|(_, event)| event).collect();
    assert_eq!(events, [Event::Connected, Event::RoundTrip(Duration::ZERO)]);
}
