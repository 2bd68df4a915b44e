//! Shared addresses, new addresses, forgotten sessions, and the handshake's own words.

use super::*;
use crate::rudp::path::Stray;

/// Some clients behind addresses of their choice, and one server; nothing is lost and nothing takes time.
struct Crowd {
    now: Instant,
    config: Config,
    server: Server,
    clients: Vec<(SocketAddr, Client)>,
    to_server: Vec<(PeerId, Event)>,
}

fn addr(n: u16) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], n))
}

impl Crowd {
    fn new(config: Config) -> Crowd {
        let now = Instant::now();
        let server = Server::new(config.clone(), 100, [1, 2], now);
        Crowd { now, config, server, clients: Vec::new(), to_server: Vec::new() }
    }

    fn join(&mut self, from: SocketAddr, salt: u64) -> usize {
        let mut client = Client::new(&self.config, salt);
        client.open(self.now);
        self.clients.push((from, client));
        self.exchange();
        self.clients.len() - 1
    }

    /// Until nobody has anything to say. Packets go to the client that they name, as on a shared socket.
    fn exchange(&mut self) {
        let mut packet = Vec::new();
        for _ in 0..100 {
            for (from, client) in &mut self.clients {
                while client.poll_transmit(self.now, &mut packet) {
                    self.server.input(self.now, *from, &packet);
                    packet.clear();
                }
            }
            let mut is_over = true;
            while let Some(to) = self.server.poll_transmit(self.now, &mut packet) {
                is_over = false;
                let id = self.config.client_id_of(&packet).unwrap();
                for (from, client) in &mut self.clients {
                    if *from == to && client.id() == id {
                        client.input(self.now, &packet);
                    }
                }
                packet.clear();
            }
            self.to_server.extend(std::iter::from_fn(|| self.server.poll_event()));
            if is_over {
                return;
            }
        }
        panic!("they never stop");
    }

    fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now += ms(50);
            self.clients.iter_mut().for_each(|(_, client)| client.timeout(self.now));
            self.server.timeout(self.now);
            self.exchange();
        }
    }

    fn events(&mut self, client: usize) -> Vec<Event> {
        std::iter::from_fn(|| self.clients[client].1.poll_event()).collect()
    }

    fn say(&mut self, client: usize, word: &'static [u8]) {
        let now = self.now;
        self.clients[client].1.send(now, Channel::ORDERED, word).unwrap();
        self.exchange();
    }

    fn heard(&mut self) -> Vec<(PeerId, Bytes)> {
        let messages = self.to_server.drain(..).filter_map(|(id, event)| match event {
            Event::Message { payload, .. } => Some((id, payload)),
            _ => None,
        });
        messages.collect()
    }
}

#[test]
fn many_clients_share_an_address() {
    let mut crowd = Crowd::new(Config { magic: Magic::new(b"LK"), ..Config::DEFAULT });
    for n in 0..20 {
        crowd.join(addr(1), n << 32 | (n + 5));
    }
    assert_eq!((crowd.server.peers(), crowd.server.stats().accepted), (20, 20));
    let ids: Vec<PeerId> = crowd.server.ids().collect();
    assert_eq!(ids.len(), 20);
    for n in 0..20 {
        crowd.events(n);
        crowd.say(n, b"hello");
        let heard = crowd.heard();
        assert_eq!(heard.len(), 1);
        crowd.server.send(crowd.now, heard[0].0, Channel::ORDERED, &[n as u8]).unwrap();
        crowd.exchange();
        let news = crowd.events(n);
        let message =
            news.iter().any(|event| matches!(event, Event::Message { payload, .. } if payload[..] == [n as u8]));
        assert!(message, "{news:?}");
    }
    // One goes, the others stay.
    let now = crowd.now;
    crowd.clients[3].1.close(now);
    crowd.exchange();
    assert_eq!(crowd.server.peers(), 19);
    crowd.wait(ms(12_000));
    assert_eq!(crowd.server.peers(), 19);
}

#[test]
fn the_id_of_a_client_is_in_every_packet_to_it() {
    let magic = Magic::new(b"Magic");
    let config = Config { magic, ..Config::DEFAULT };
    let salt = 0xAAAA_BBBB_CCCC_DDDD_u64;
    assert_eq!(Client::new(&config, salt).id(), 0xCCCC_DDDD);
    let mut packet = Vec::new();
    write_path_challenge(&mut packet, magic, 0xCCCC_DDDD, 1);
    assert_eq!(config.client_id_of(&packet), Some(0xCCCC_DDDD));
    packet.clear();
    write_reset(&mut packet, magic, 0xCCCC_DDDD, 1);
    assert_eq!(config.client_id_of(&packet), Some(0xCCCC_DDDD));
    assert_eq!(config.client_id_of(b"Magic"), None);
    assert_eq!(config.client_id_of(b"Mag"), None);
    assert_eq!(Config::DEFAULT.client_id_of(&packet), None, "without its magic it is no packet");
    // The client's own packets are not for clients.
    packet.clear();
    write_request(&mut packet, magic, 0, salt);
    assert_eq!(config.client_id_of(&packet), None);
    packet.clear();
    write_probe(&mut packet, magic, 1, 2);
    assert_eq!(config.client_id_of(&packet), None);
}

#[test]
fn a_repeated_handshake_finds_its_session_again() {
    let mut crowd = Crowd::new(Config::DEFAULT);
    let now = crowd.now;
    let mut client = Client::new(&crowd.config, 9);
    client.open(now);
    let (mut request, mut packet) = (Vec::new(), Vec::new());
    assert!(client.poll_transmit(now, &mut request));
    crowd.server.input(now, addr(1), &request);
    assert!(crowd.server.poll_transmit(now, &mut packet).is_some());
    client.input(now, &packet);
    let mut response = Vec::new();
    assert!(client.poll_transmit(now, &mut response));
    let mut accepts = Vec::new();
    for _ in 0..3 {
        crowd.server.input(now, addr(1), &response);
        packet.clear();
        assert_eq!(crowd.server.poll_transmit(now, &mut packet), Some(addr(1)));
        accepts.push(packet.clone());
    }
    assert!(accepts.iter().all(|accept| *accept == accepts[0]));
    assert_eq!((crowd.server.peers(), crowd.server.stats().accepted), (1, 1));
    // From elsewhere the cookie is worth nothing.
    crowd.server.input(now, addr(2), &response);
    assert_eq!((crowd.server.peers(), crowd.server.stats().discarded), (1, 1));
}

#[test]
fn a_client_moves_to_a_new_address() {
    let mut crowd = Crowd::new(Config::DEFAULT);
    let client = crowd.join(addr(1), 7);
    crowd.say(client, b"here");
    let (id, _) = crowd.heard()[0];
    crowd.clients[client].0 = addr(2);
    crowd.say(client, b"there");
    assert_eq!((crowd.server.addr(id), crowd.server.stats().moved), (Some(addr(2)), 1));
    crowd.wait(ms(1_000));
    assert_eq!(crowd.heard(), [(id, Bytes::from_static(b"there"))]);
    crowd.server.send(crowd.now, id, Channel::ORDERED, b"welcome").unwrap();
    crowd.exchange();
    assert!(crowd.events(client).iter().any(|event| matches!(event, Event::Message { .. })));
    crowd.wait(ms(60_000));
    assert_eq!((crowd.server.peers(), crowd.server.stats().moved), (1, 1));
}

#[test]
fn a_flood_from_forged_addresses_moves_nothing() {
    let mut crowd = Crowd::new(Config::DEFAULT);
    let client = crowd.join(addr(1), 7);
    crowd.say(client, b"here");
    let (id, _) = crowd.heard()[0];
    let session = crowd.clients[client].1.session().unwrap().ids.other;
    let before = crowd.server.peer_stats(id);
    let mut packet = Vec::new();
    for n in 2..20_000_u16 {
        // Packets that an eavesdropper may have made, and guesses at the echo.
        let genuine = data(session, n, |out| {
            Frame { channel: Channel::ORDERED, piece: None, id: 1, bytes: b"forged" }.write(out);
        });
        crowd.server.input(crowd.now, addr(n), &genuine);
        let mut guess = Vec::new();
        Envelope::write(&mut guess, Magic::NONE, kinds::PATH_RESPONSE, session, n);
        guess.extend_from_slice(&[1; 12]);
        crowd.server.input(crowd.now, addr(n), &guess);
        crowd.server.check_bounds();
        if n % 2 == 0 {
            while crowd.server.poll_transmit(crowd.now, &mut packet).is_some() {
                assert!(packet.len() <= 11, "never more than came");
                packet.clear();
            }
        }
    }
    assert_eq!((crowd.server.addr(id), crowd.server.stats().moved), (Some(addr(1)), 0));
    assert_eq!((crowd.server.peer_stats(id), crowd.server.poll_event()), (before, None));
    crowd.exchange();
    crowd.say(client, b"still here");
    assert_eq!(crowd.heard(), [(id, Bytes::from_static(b"still here"))]);

    // Whoever is there and has the token, but not the secret.
    let (forger, mut guess) = (addr(3), Vec::new());
    let mut ping = data(session, 30_000, |_| ());
    crowd.server.input(crowd.now, forger, &ping);
    ping.clear();
    assert_eq!(crowd.server.poll_transmit(crowd.now, &mut ping), Some(forger));
    let Some(Packet::PathChallenge { token, .. }) = Packet::read(Magic::NONE, &ping) else { panic!("{ping:?}") };
    Envelope::write(&mut guess, Magic::NONE, kinds::PATH_RESPONSE, session, 9);
    guess.extend_from_slice(&token.to_le_bytes());
    guess.extend_from_slice(&[7; 8]);
    assert!(matches!(crowd.server.session_mut(id).unwrap().stray(&guess), Stray::Response { .. }));
    crowd.server.input(crowd.now, forger, &guess);
    assert_eq!((crowd.server.addr(id), crowd.server.stats().moved), (Some(addr(1)), 0));
}

#[test]
fn a_session_that_the_server_has_forgotten_ends_soon() {
    let mut crowd = Crowd::new(Config::DEFAULT);
    let client = crowd.join(addr(1), 7);
    crowd.say(client, b"here");
    let (id, _) = crowd.heard()[0];
    crowd.events(client);
    // Gone, and its goodbyes get lost.
    let now = crowd.now;
    crowd.server.disconnect(now, id, "");
    let mut packet = Vec::new();
    while crowd.server.poll_transmit(now, &mut packet).is_some() {
        packet.clear();
    }
    assert_eq!(crowd.server.peers(), 0);
    // A forged reset does not end it.
    let mut forged = Vec::new();
    write_reset(&mut forged, Magic::NONE, 7, 0xBAD);
    crowd.clients[client].1.input(now, &forged);
    assert_eq!(crowd.events(client), []);
    crowd.wait(ms(1_100));
    let news = crowd.events(client);
    assert_eq!(kind(news.last()), Some(Kind::CLOSED), "{news:?}");
    assert_eq!(crowd.server.stats().resets, 1);

    // One with another key cannot know it: silence ends it.
    let client = crowd.join(addr(1), 8);
    crowd.events(client);
    crowd.server = Server::new(Config::DEFAULT, 100, [3, 4], crowd.now);
    crowd.wait(ms(9_000));
    assert_eq!(kind(crowd.events(client).last()), None);
    crowd.wait(ms(1_600));
    assert_eq!(kind(crowd.events(client).last()), Some(Kind::TIMED_OUT));
}

#[test]
fn newcomers_say_a_word_and_are_admitted_or_denied() {
    let asking = Config { ask: true, ..Config::DEFAULT };
    let mut crowd = Crowd::new(asking);
    crowd.config.payload = Some(b"build 7".as_slice().into());
    let first = crowd.join(addr(1), 1);
    let (id, event) = crowd.to_server.pop().unwrap();
    assert_eq!((event, crowd.events(first)), (Event::Connected, vec![]));
    assert_eq!(crowd.server.take_hello(id).payload, b"build 7"[..]);
    assert_eq!(crowd.server.take_hello(id).payload, b""[..], "it was taken");
    // It repeats itself until it is answered; that changes nothing.
    crowd.wait(ms(2_000));
    assert_eq!((crowd.to_server.len(), crowd.server.peers(), crowd.server.stats().accepted), (0, 1, 0));
    assert_eq!(crowd.server.admit(id, &[0; MAX_ANSWER + 1]).unwrap_err().kind(), Kind::TOO_LARGE);
    crowd.server.admit(id, &[5; MAX_ANSWER]).unwrap();
    crowd.server.admit(id, b"only the first counts").unwrap();
    crowd.exchange();
    assert_eq!(crowd.events(first), [Event::Connected]);
    assert_eq!((crowd.clients[first].1.answer(), crowd.server.stats().accepted), (&[5; MAX_ANSWER][..], 1));
    crowd.say(first, b"in");
    assert_eq!(crowd.heard(), [(id, Bytes::from_static(b"in"))]);

    let second = crowd.join(addr(1), 2);
    let (id, _) = crowd.to_server.pop().unwrap();
    crowd.server.deny(crowd.now, id, 17, "an old build");
    crowd.exchange();
    let news = crowd.events(second);
    let Some(Event::Closed(failure)) = news.last() else { panic!("{news:?}") };
    assert_eq!((failure.kind(), crowd.clients[second].1.code()), (Kind::REFUSED, Some(17)));
    assert!(failure.message().contains("code 17") && failure.message().contains("an old build"), "{failure}");
    assert_eq!((crowd.server.peers(), crowd.server.stats().denied), (1, 1));
    assert_eq!(kind(crowd.to_server.last().map(|(_, event)| event)), Some(Kind::CLOSED));

    // One that is never answered goes in time, and costs nothing until then.
    crowd.join(addr(1), 3);
    crowd.clients.pop();
    crowd.wait(ms(9_900));
    assert_eq!(crowd.server.peers(), 2);
    crowd.wait(ms(200));
    assert_eq!(crowd.server.peers(), 1);

    // A word that no packet holds is refused here.
    let config = Config { payload: Some(vec![0; 1_175].into()), ..Config::DEFAULT };
    let mut client = Client::new(&config, 4);
    client.open(crowd.now);
    assert!(matches!(client.poll_event(), Some(Event::Closed(failure)) if failure.kind() == Kind::TOO_LARGE));
    let config = Config { payload: Some(vec![9; 1_174].into()), ..Config::DEFAULT };
    let mut crowd = Crowd::new(config);
    crowd.join(addr(1), 5);
    let (id, _) = crowd.to_server[0];
    assert_eq!(crowd.server.take_hello(id).payload.len(), 1_174);
}

#[test]
fn goodbyes_have_codes() {
    let mut crowd = Crowd::new(Config::DEFAULT);
    let client = crowd.join(addr(1), 7);
    let (id, _) = crowd.to_server[0];
    let now = crowd.now;
    crowd.server.disconnect_with(now, id, 42, "the match is over");
    crowd.exchange();
    let news = crowd.events(client);
    let Some(Event::Closed(failure)) = news.last() else { panic!("{news:?}") };
    assert!(failure.message().ends_with("(code 42): the match is over"), "{failure}");
    assert_eq!(crowd.clients[client].1.code(), Some(42));

    let client = crowd.join(addr(1), 8);
    let (id, _) = *crowd.to_server.last().unwrap();
    assert_eq!(crowd.server.code(id), None);
    crowd.clients[client].1.disconnect(now, 43, "tired");
    crowd.exchange();
    assert_eq!((crowd.server.peers(), crowd.server.code(id)), (0, Some(43)));

    // A full server has a code of its own.
    crowd.server = Server::new(Config::DEFAULT, 0, [1, 2], now);
    let client = crowd.join(addr(1), 9);
    assert_eq!(kind(crowd.events(client).last()), Some(Kind::REFUSED));
    assert_eq!(crowd.clients[client].1.code(), Some(CODE_FULL));
}
