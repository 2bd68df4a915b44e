//! `input(peer, request, now); timeout(now) -> answers and news`: the game's server as a state machine without I/O.

mod lobby;
mod matches;
mod rules;
mod shop;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use loadkit::transport::protobuf::{Envelope, Wire};
use rustc_hash::FxHashMap;
use tokio::time::Instant;

pub use lobby::MAX_PARTY;
pub use rules::{FULL_HEALTH, Rules, SIDE, STRIDE, TICK};
pub use shop::ITEMS;

use crate::wire::{self, FromClient, FromServer, Reason};
use lobby::Lobby;
use matches::Match;
use rules::Point;
use shop::{Accounts, Player};

/// A connection, by a number that the server's loop gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Peer(pub u64);

/// What is to be sent: one message to all of these.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// To whom.
    pub to: Vec<Peer>,
    /// What.
    pub message: Envelope<FromServer>,
}

/// The game of all players.
///
/// **After every change, drain [`poll_output`](Game::poll_output), then wait for a request or for
/// [`deadline`](Game::deadline), whichever comes first.** It never panics, whatever it is told by clients.
#[derive(Debug)]
pub struct Game {
    rules: Rules,
    accounts: Accounts,
    /// By numbers that are given here: no client chooses its place in the table.
    sessions: FxHashMap<Peer, Session>,
    /// Where each player who is here is.
    online: FxHashMap<Player, Peer>,
    lobby: Lobby,
    matches: BTreeMap<u32, Match>,
    /// When which match has something to do. Each has its own ticks, so that their snapshots do not leave all at once.
    due: BTreeSet<(Instant, u32)>,
    last_match: u32,
    outputs: VecDeque<Output>,
}

#[derive(Debug, Default)]
struct Session {
    player: Option<Player>,
    place: Place,
}

/// What a player does.
#[derive(Clone, Copy, Debug, Default)]
enum Place {
    #[default]
    Idle,
    /// Waits for a match, and for an answer to this request.
    Waits { request: u64, party: u64 },
    /// Plays as this fighter.
    Plays { game: u32, fighter: usize },
    /// Has played. Moves that were under way when the match ended are answered from here.
    Played { at: Point },
    /// Has taken leave.
    Left,
}

impl Game {
    /// A game without players.
    pub fn new(rules: Rules) -> Game {
        Game {
            rules,
            accounts: Accounts::default(),
            sessions: FxHashMap::default(),
            online: FxHashMap::default(),
            lobby: Lobby::new(&rules),
            matches: BTreeMap::new(),
            due: BTreeSet::new(),
            last_match: 0,
            outputs: VecDeque::new(),
        }
    }

    /// How many matches have begun.
    pub fn matches_begun(&self) -> u32 {
        self.last_match
    }

    /// How many players are logged in.
    pub fn players_online(&self) -> usize {
        self.online.len()
    }

    /// A client has connected.
    pub fn connected(&mut self, peer: Peer) {
        self.sessions.insert(peer, Session::default());
    }

    /// A client's connection has ended; whether its player had taken leave.
    pub fn disconnected(&mut self, peer: Peer) -> bool {
        let left = self.sessions.get(&peer).is_some_and(|session| matches!(session.place, Place::Left));
        self.part(peer);
        self.sessions.remove(&peer);
        left
    }

    /// Takes a request that arrived at `now`. Every request is answered, most of them at once.
    pub fn input(&mut self, peer: Peer, request: Envelope<FromClient>, now: Instant) {
        let id = request.seq;
        let done = match request.body {
            FromClient::Login(login) => self.login(peer, &login).map(|welcome| self.answer(peer, id, welcome)),
            FromClient::FindMatch(wish) => self.find_match(peer, id, &wish, now).map(|()| self.begin_matches(now)),
            FromClient::Move(order) => self.make_move(peer, &order).map(|moved| self.answer(peer, id, moved)),
            FromClient::Buy(buy) => self.buy(peer, &buy).map(|bought| self.answer(peer, id, bought)),
            FromClient::Leave(_) => self.leave(peer).map(|goodbye| self.answer(peer, id, goodbye)),
            FromClient::Unknown(_) => Err(Reason::NotUnderstood),
        };
        if let Err(reason) = done {
            self.answer(peer, id, wire::Refused { reason: reason.into() });
        }
    }

    /// When something is due.
    pub fn deadline(&self) -> Option<Instant> {
        let due = self.due.first().map(|&(at, _)| at);
        due.into_iter().chain(self.lobby.deadline()).min()
    }

    /// Does what is due at `now`.
    pub fn timeout(&mut self, now: Instant) {
        while let Some(&(at, number)) = self.due.first()
            && at <= now
        {
            self.due.pop_first();
            self.run_match(number, now);
        }
        self.begin_matches(now);
    }

    /// What is to be sent next.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn login(&mut self, peer: Peer, login: &wire::Login) -> Result<wire::Welcome, Reason> {
        let session = self.sessions.get_mut(&peer).ok_or(Reason::NotLoggedIn)?;
        if session.player.is_some() {
            return Err(Reason::AlreadyLoggedIn);
        }
        let player = self.accounts.open(&login.account)?;
        session.player = Some(player);
        session.place = Place::Idle;
        // Who logs in again has lost the connection of before, even if the server has not noticed yet.
        if let Some(before) = self.online.insert(player, peer) {
            self.part(before);
            self.online.insert(player, peer);
        }
        let gold = self.accounts.gold(player);
        Ok(wire::Welcome { player, gold, protocol: wire::PROTOCOL.to_owned() })
    }

    fn find_match(&mut self, peer: Peer, request: u64, wish: &wire::FindMatch, now: Instant) -> Result<(), Reason> {
        let (_, session) = self.player(peer)?;
        if matches!(session.place, Place::Waits { .. } | Place::Plays { .. }) {
            return Err(Reason::AlreadyPlaying);
        }
        self.lobby.enter(peer, wish.party, wish.party_size, now)?;
        let (_, session) = self.player(peer)?;
        session.place = Place::Waits { request, party: wish.party };
        Ok(())
    }

    fn make_move(&mut self, peer: Peer, order: &wire::Move) -> Result<wire::Moved, Reason> {
        let (_, session) = self.player(peer)?;
        match session.place {
            Place::Plays { game, fighter } => {
                let game = self.matches.get_mut(&game).ok_or(Reason::NotPlaying)?;
                game.make_move(fighter, order)
            }
            Place::Played { at } => Ok(wire::Moved { seq: order.seq, x: at.x, y: at.y, hp: 0 }),
            _ => Err(Reason::NotPlaying),
        }
    }

    fn buy(&mut self, peer: Peer, buy: &wire::Buy) -> Result<wire::Bought, Reason> {
        let (player, _) = self.player(peer)?;
        let gold = self.accounts.buy(player, buy.item)?;
        Ok(wire::Bought { item: buy.item, gold })
    }

    fn leave(&mut self, peer: Peer) -> Result<wire::Goodbye, Reason> {
        self.player(peer)?;
        self.part(peer);
        if let Some(session) = self.sessions.get_mut(&peer) {
            session.place = Place::Left;
        }
        Ok(wire::Goodbye {})
    }

    /// Who has logged in on this connection.
    fn player(&mut self, peer: Peer) -> Result<(Player, &mut Session), Reason> {
        let session = self.sessions.get_mut(&peer).ok_or(Reason::NotLoggedIn)?;
        Ok((session.player.ok_or(Reason::NotLoggedIn)?, session))
    }

    /// Takes a player out of everything. The session stays, as that of a stranger.
    fn part(&mut self, peer: Peer) {
        let Some(session) = self.sessions.get_mut(&peer) else { return };
        let Some(player) = session.player.take() else { return };
        match std::mem::take(&mut session.place) {
            Place::Waits { party, .. } => self.lobby.leave(peer, party),
            Place::Plays { game, fighter } => {
                if let Some(game) = self.matches.get_mut(&game) {
                    game.leave(fighter);
                }
            }
            Place::Idle | Place::Played { .. } | Place::Left => {}
        }
        self.online.remove(&player);
    }

    /// Begins the matches for which enough players wait, or have waited long enough.
    fn begin_matches(&mut self, now: Instant) {
        while let Some(found) = self.lobby.next_match(now) {
            self.last_match = self.last_match.wrapping_add(1);
            let number = self.last_match;
            let players: Vec<(Peer, Player)> =
                found.players.into_iter().filter_map(|peer| Some((peer, self.sessions.get(&peer)?.player?))).collect();
            let game = Match::new(players.iter().copied(), &self.rules, now);
            for (fighter, &(peer, _)) in players.iter().enumerate() {
                let Some(session) = self.sessions.get_mut(&peer) else { continue };
                let Place::Waits { request, .. } = session.place else { continue };
                session.place = Place::Plays { game: number, fighter };
                let at = game.place(fighter);
                let found = wire::MatchFound {
                    r#match: number,
                    players: u32::try_from(players.len()).unwrap_or(u32::MAX),
                    full: found.full,
                    x: at.x,
                    y: at.y,
                    lasts_ms: u32::try_from(self.rules.match_time.as_millis()).unwrap_or(u32::MAX),
                };
                self.answer(peer, request, found);
            }
            self.due.insert((game.deadline(), number));
            self.matches.insert(number, game);
        }
    }

    /// Does what is due in a match.
    fn run_match(&mut self, number: u32, now: Instant) {
        let Some(game) = self.matches.get_mut(&number) else { return };
        if let Some(snapshot) = game.timeout(now) {
            self.outputs.push_back(Output { to: game.peers().collect(), message: snapshot.into() });
        }
        if !game.is_over(now) {
            self.due.insert((game.deadline(), number));
            return;
        }
        let Some(game) = self.matches.remove(&number) else { return };
        for outcome in game.outcomes() {
            let gold = self.accounts.earn(outcome.player, outcome.earned);
            if let Some(session) = self.sessions.get_mut(&outcome.peer)
                && let Place::Plays { fighter, .. } = session.place
            {
                session.place = Place::Played { at: game.place(fighter) };
            }
            let over = wire::MatchOver {
                r#match: number,
                place: outcome.place,
                score: outcome.score,
                earned: outcome.earned,
                gold,
            };
            self.outputs.push_back(Output { to: vec![outcome.peer], message: over.into() });
        }
    }

    fn answer(&mut self, peer: Peer, request: u64, message: impl Wire + Into<FromServer>) {
        self.outputs.push_back(Output { to: vec![peer], message: Envelope::answering(request, message) });
    }
}

#[cfg(test)]
mod tests;
