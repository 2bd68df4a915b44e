//! The game as its clients see it, request by request.

use std::collections::HashMap;
use std::time::Duration;

use loadkit::transport::Bytes;

use super::*;
use FromClient as Ask;
use FromServer as Say;

/// A game with its own clock, and a mailbox for each client.
struct World {
    game: Game,
    now: Instant,
    mail: HashMap<Peer, Vec<Envelope<FromServer>>>,
}

impl World {
    fn new(clients: u64) -> World {
        let mut world = World { game: Game::new(Rules::default()), now: Instant::now(), mail: HashMap::new() };
        (0..clients).for_each(|n| world.game.connected(Peer(n)));
        world
    }

    /// Clients that have logged in.
    fn with_players(clients: u64) -> World {
        let mut world = World::new(clients);
        for n in 0..clients {
            world.ask(n, login(&format!("p{n}")));
        }
        world.mail.clear();
        world
    }

    /// Asks, and takes the answer if it has come.
    fn ask(&mut self, peer: u64, body: Ask) -> Option<Say> {
        self.game.input(Peer(peer), Envelope { opcode: 0, seq: 7, reply_to: 0, body }, self.now);
        self.deliver();
        self.answer(peer)
    }

    fn answer(&mut self, peer: u64) -> Option<Say> {
        let mail = self.mail.get_mut(&Peer(peer))?;
        let answer = mail.iter().position(|message| message.reply_to == 7)?;
        Some(mail.remove(answer).body)
    }

    fn deliver(&mut self) {
        while let Some(output) = self.game.poll_output() {
            for peer in output.to {
                self.mail.entry(peer).or_default().push(output.message.clone());
            }
        }
    }

    /// Lets time pass, from deadline to deadline.
    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(at) = self.game.deadline().filter(|&at| at <= until) {
            self.now = at;
            self.game.timeout(at);
            self.deliver();
        }
        self.now = until;
    }

    fn news(&self, peer: u64) -> impl Iterator<Item = &Say> {
        self.mail.get(&Peer(peer)).into_iter().flatten().map(|message| &message.body)
    }
}

fn login(account: &str) -> Ask {
    Ask::Login(wire::Login { account: account.to_owned() })
}

fn alone() -> Ask {
    Ask::FindMatch(wire::FindMatch { party: 0, party_size: 1 })
}

fn go(seq: u32) -> Ask {
    Ask::Move(wire::Move { seq, dx: 3, dy: 4, fire: false })
}

fn refused(reason: Reason) -> Option<Say> {
    Some(Say::Refused(wire::Refused { reason: reason.into() }))
}

#[test]
fn nothing_goes_without_a_login_and_one_is_enough() {
    let mut world = World::new(1);
    for ask in [alone(), go(1), Ask::Buy(wire::Buy { item: 0 }), Ask::Leave(wire::Leave {})] {
        assert_eq!(world.ask(0, ask), refused(Reason::NotLoggedIn));
    }
    assert_eq!(world.ask(0, login("")), refused(Reason::BadAccount));
    let welcome = wire::Welcome { player: 0, gold: 20, protocol: wire::PROTOCOL.to_owned() };
    assert_eq!(world.ask(0, login("ann")), Some(Say::Welcome(welcome)));
    assert_eq!(world.ask(0, login("ann")), refused(Reason::AlreadyLoggedIn));
    assert_eq!(world.ask(9, login("bob")), refused(Reason::NotLoggedIn), "a peer that never connected");
    assert_eq!(world.ask(0, Ask::Unknown(Bytes::from_static(b"?"))), refused(Reason::NotUnderstood));
}

#[test]
fn ten_play_a_match_from_its_first_snapshot_to_its_result() {
    let mut world = World::with_players(10);
    for n in 0..9 {
        assert_eq!(world.ask(n, alone()), None);
        assert_eq!(world.ask(n, alone()), refused(Reason::AlreadyPlaying));
    }
    let Some(Say::MatchFound(found)) = world.ask(9, alone()) else { panic!("ten are enough") };
    assert_eq!((found.players, found.full, found.lasts_ms), (10, true, 5_000));
    let Some(Say::MatchFound(first)) = world.answer(0) else { panic!("all are told") };
    let Some(Say::Moved(moved)) = world.ask(0, go(1)) else { panic!("moves are answered at once") };
    assert_eq!((moved.x, moved.y), (first.x + 3, first.y + 4));
    world.pass(Duration::from_secs(5));
    let snapshots = world.news(0).filter(|news| matches!(news, Say::Snapshot(_))).count();
    let over = world.news(0).find_map(|news| if let Say::MatchOver(over) = news { Some(over) } else { None });
    assert_eq!(snapshots, 100);
    assert_eq!(over.map(|over| (over.place, over.earned, over.gold)), Some((1, 10, 30)));
    let Some(Say::Moved(late)) = world.ask(0, go(2)) else { panic!("late moves are answered too") };
    assert_eq!((late.x, late.y, late.hp), (moved.x, moved.y, 0));
    assert_eq!((world.game.deadline(), world.game.matches_begun()), (None, 1));
}

#[test]
fn those_who_are_left_play_among_themselves() {
    let mut world = World::with_players(3);
    for n in 0..3 {
        assert_eq!(world.ask(n, alone()), None);
    }
    world.pass(Duration::from_millis(2_999));
    assert_eq!(world.answer(0), None);
    world.pass(Duration::from_millis(1));
    for n in 0..3 {
        let Some(Say::MatchFound(found)) = world.answer(n) else { panic!("player {n} waits for ever") };
        assert_eq!((found.players, found.full), (3, false));
    }
}

#[test]
fn whoever_leaves_or_vanishes_is_out_of_queue_and_match() {
    let mut world = World::with_players(11);
    world.ask(0, alone());
    assert_eq!(world.ask(0, Ask::Leave(wire::Leave {})), Some(Say::Goodbye(wire::Goodbye {})));
    assert_eq!(world.ask(0, alone()), refused(Reason::NotLoggedIn));
    assert!(world.game.disconnected(Peer(0)), "it took leave");
    for n in 1..11 {
        world.ask(n, alone());
    }
    assert_eq!(world.game.matches_begun(), 1);
    assert!(!world.game.disconnected(Peer(1)), "it did not");
    assert!(!world.game.disconnected(Peer(1)), "it is unknown by now");
    world.mail.clear();
    world.pass(TICK);
    let Some(Say::Snapshot(snapshot)) = world.news(2).next() else { panic!("the rest plays on") };
    assert_eq!(snapshot.fighters.len(), 9);
    assert_eq!(world.news(1).count(), 0);
}

#[test]
fn an_empty_match_ends_and_leaves_nothing_behind() {
    let mut world = World::with_players(10);
    for n in 0..10 {
        world.ask(n, alone());
    }
    for n in 0..10 {
        world.game.disconnected(Peer(n));
    }
    world.pass(TICK);
    assert_eq!(world.game.deadline(), None);
    assert!(world.game.matches.is_empty() && world.game.sessions.is_empty() && world.game.online.is_empty());
}

#[test]
fn a_second_login_takes_the_place_of_the_first() {
    let mut world = World::new(2);
    world.ask(0, login("ann"));
    world.ask(0, alone());
    assert!(matches!(world.ask(1, login("ann")), Some(Say::Welcome(wire::Welcome { player: 0, .. }))));
    assert_eq!(world.ask(0, go(1)), refused(Reason::NotLoggedIn));
    assert_eq!(world.game.lobby.deadline(), None, "the first waits no more");
    world.game.disconnected(Peer(0));
    assert_eq!(world.ask(1, alone()), None);
    world.pass(Duration::from_secs(3));
    assert!(matches!(world.answer(1), Some(Say::MatchFound(_))));
}

#[test]
fn gold_that_was_earned_buys() {
    let mut world = World::with_players(1);
    world.ask(0, alone());
    world.pass(Duration::from_secs(8));
    world.mail.clear();
    assert_eq!(world.ask(0, Ask::Buy(wire::Buy { item: 2 })), refused(Reason::NotEnoughGold));
    assert_eq!(world.ask(0, Ask::Buy(wire::Buy { item: 1 })), Some(Say::Bought(wire::Bought { item: 1, gold: 15 })));
    assert_eq!(world.ask(0, Ask::Buy(wire::Buy { item: 99 })), refused(Reason::NoSuchItem));
}
