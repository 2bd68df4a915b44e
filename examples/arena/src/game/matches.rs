//! One match: moves are judged as they arrive, and all else happens at the tick.

use tokio::time::Instant;

use super::rules::{
    BOLT_LOOKS, BOLT_TICKS, DAMAGE, DEAD_TICKS, FULL_HEALTH, LAST_HIT, MOVES_IN_HAND, MOVES_PER_TICK, PAY, Point,
    RELOAD_TICKS, Rules, TICK,
};
use super::{Peer, shop::Player};
use crate::wire::{self, Reason};

/// Missed ticks that are made up for at once; with more, the game stands still for the rest.
const MAX_MISSED_TICKS: u32 = 40;

/// A match under way.
#[derive(Debug)]
pub(super) struct Match {
    fighters: Vec<Fighter>,
    bolts: Vec<Bolt>,
    tick: u32,
    next_tick: Instant,
    ends: Instant,
}

/// A player in a match. They stay in it when they leave the game, so that places and numbers stay.
#[derive(Debug)]
struct Fighter {
    player: Player,
    /// `None` when they have left.
    peer: Option<Peer>,
    at: Point,
    /// The flight of the next bolt.
    aim: Point,
    hp: u32,
    score: u32,
    last_seq: u32,
    moves_in_hand: u32,
    may_fire: u32,
    lives_again: u32,
}

#[derive(Debug)]
struct Bolt {
    at: Point,
    flight: Point,
    owner: usize,
    ends: u32,
}

/// How a match ended for one who stayed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) peer: Peer,
    pub(super) player: Player,
    pub(super) place: u32,
    pub(super) score: u32,
    pub(super) earned: u32,
}

impl Match {
    pub(super) fn new(players: impl IntoIterator<Item = (Peer, Player)>, rules: &Rules, now: Instant) -> Match {
        let fighter = |(n, (peer, player))| Fighter {
            player,
            peer: Some(peer),
            at: Point::start(n),
            aim: Point::default(),
            hp: FULL_HEALTH,
            score: 0,
            last_seq: 0,
            moves_in_hand: MOVES_IN_HAND,
            may_fire: 0,
            lives_again: 0,
        };
        Match {
            fighters: players.into_iter().enumerate().map(fighter).collect(),
            bolts: Vec::new(),
            tick: 0,
            next_tick: now + TICK,
            ends: now + rules.match_time,
        }
    }

    /// Who is still there.
    pub(super) fn peers(&self) -> impl Iterator<Item = Peer> + '_ {
        self.fighters.iter().filter_map(|fighter| fighter.peer)
    }

    /// Where a fighter stands.
    pub(super) fn place(&self, fighter: usize) -> Point {
        self.fighters.get(fighter).map_or(Point::default(), |fighter| fighter.at)
    }

    /// A fighter's player leaves the game.
    pub(super) fn leave(&mut self, fighter: usize) {
        if let Some(fighter) = self.fighters.get_mut(fighter) {
            fighter.peer = None;
        }
    }

    /// Judges a move, and makes it.
    pub(super) fn make_move(&mut self, n: usize, order: &wire::Move) -> Result<wire::Moved, Reason> {
        let fighter = self.fighters.get_mut(n).ok_or(Reason::NotPlaying)?;
        let way = Point::stride(order.dx, order.dy)?;
        if order.seq <= fighter.last_seq {
            return Err(Reason::StaleMove);
        }
        fighter.moves_in_hand = fighter.moves_in_hand.checked_sub(1).ok_or(Reason::TooManyMoves)?;
        fighter.last_seq = order.seq;
        fighter.aim = way.flight().unwrap_or(fighter.aim);
        if fighter.hp > 0 {
            fighter.at = fighter.at.walk(way);
            let aims = fighter.aim != Point::default();
            if order.fire && aims && self.tick >= fighter.may_fire {
                fighter.may_fire = self.tick + RELOAD_TICKS;
                // Not more than BOLT_TICKS / RELOAD_TICKS of them fly at once.
                self.bolts.push(Bolt { at: fighter.at, flight: fighter.aim, owner: n, ends: self.tick + BOLT_TICKS });
            }
        }
        Ok(wire::Moved { seq: order.seq, x: fighter.at.x, y: fighter.at.y, hp: fighter.hp })
    }

    /// When something is due.
    pub(super) fn deadline(&self) -> Instant {
        self.next_tick.min(self.ends)
    }

    /// Whether it has come to its end.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.ends <= now || self.peers().next().is_none()
    }

    /// Makes the ticks that are due; what is to be seen after the last of them.
    pub(super) fn timeout(&mut self, now: Instant) -> Option<wire::Snapshot> {
        let mut due = 0;
        while self.next_tick <= now && due < MAX_MISSED_TICKS {
            self.next_tick += TICK;
            self.make_tick();
            due += 1;
        }
        self.next_tick = self.next_tick.max(now);
        (due > 0).then(|| self.snapshot())
    }

    fn make_tick(&mut self) {
        self.tick += 1;
        for (n, fighter) in self.fighters.iter_mut().enumerate() {
            fighter.moves_in_hand = (fighter.moves_in_hand + MOVES_PER_TICK).min(MOVES_IN_HAND);
            if fighter.hp == 0 && self.tick >= fighter.lives_again {
                fighter.hp = FULL_HEALTH;
                fighter.at = Point::start(n);
            }
        }
        for _ in 0..BOLT_LOOKS {
            let (tick, fighters) = (self.tick, &mut self.fighters);
            self.bolts.retain_mut(|bolt| bolt.ends > tick && bolt.flies_on(fighters, tick));
        }
    }

    fn snapshot(&self) -> wire::Snapshot {
        let fighters = self.fighters.iter().filter(|fighter| fighter.peer.is_some()).map(|fighter| wire::Fighter {
            player: fighter.player,
            x: fighter.at.x,
            y: fighter.at.y,
            hp: fighter.hp,
            score: fighter.score,
        });
        let bolts = self.bolts.iter().map(|bolt| wire::Bolt { x: bolt.at.x, y: bolt.at.y });
        wire::Snapshot { tick: self.tick, fighters: fighters.collect(), bolts: bolts.collect() }
    }

    /// How it ended, for those who are there. Who has as many points as another shares the place.
    pub(super) fn outcomes(&self) -> Vec<Outcome> {
        let outcome = |fighter: &Fighter| {
            let better = self.fighters.iter().filter(|other| other.score > fighter.score).count();
            Some(Outcome {
                peer: fighter.peer?,
                player: fighter.player,
                place: u32::try_from(better + 1).unwrap_or(u32::MAX),
                score: fighter.score,
                earned: PAY + fighter.score,
            })
        };
        self.fighters.iter().filter_map(outcome).collect()
    }
}

impl Bolt {
    /// Flies to where it is looked at next; false if it ends there, in the wall or in somebody else.
    fn flies_on(&mut self, fighters: &mut [Fighter], tick: u32) -> bool {
        let Some(at) = self.at.fly(self.flight) else { return false };
        self.at = at;
        let hit = |(n, fighter): &(usize, &mut Fighter)| {
            *n != self.owner && fighter.hp > 0 && fighter.peer.is_some() && at.hits(fighter.at)
        };
        let Some((_, victim)) = fighters.iter_mut().enumerate().find(hit) else { return true };
        victim.hp = victim.hp.saturating_sub(DAMAGE);
        let last = victim.hp == 0;
        if last {
            victim.lives_again = tick + DEAD_TICKS;
        }
        if let Some(owner) = fighters.get_mut(self.owner) {
            owner.score += if last { 1 + LAST_HIT } else { 1 };
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn duel() -> (Match, Instant) {
        let now = Instant::now();
        (Match::new([(Peer(1), 10), (Peer(2), 20)], &Rules::default(), now), now)
    }

    fn order(seq: u32, dx: i32, dy: i32, fire: bool) -> wire::Move {
        wire::Move { seq, dx, dy, fire }
    }

    /// Puts the second fighter 100 to the right of the first.
    fn face_to_face(game: &mut Match) {
        game.fighters[0].at = Point { x: 400, y: 500 };
        game.fighters[1].at = Point { x: 500, y: 500 };
    }

    #[test]
    fn a_move_leads_where_it_says_and_is_judged() {
        let (mut game, _) = duel();
        let start = game.place(0);
        let moved = game.make_move(0, &order(1, 6, -8, false)).unwrap();
        assert_eq!((moved.seq, moved.x, moved.y, moved.hp), (1, start.x + 6, start.y - 8, 100));
        assert_eq!(game.make_move(0, &order(1, 0, 0, false)), Err(Reason::StaleMove));
        assert_eq!(game.make_move(0, &order(2, 100, 0, false)), Err(Reason::TooFar));
        assert_eq!(game.make_move(7, &order(1, 0, 0, false)), Err(Reason::NotPlaying));
    }

    #[test]
    fn moves_in_hand_run_out_and_come_again_with_the_ticks() {
        let (mut game, now) = duel();
        for seq in 1..=MOVES_IN_HAND {
            game.make_move(0, &order(seq, 0, 1, false)).unwrap();
        }
        assert_eq!(game.make_move(0, &order(101, 0, 1, false)), Err(Reason::TooManyMoves));
        game.timeout(now + TICK);
        assert!(game.make_move(0, &order(101, 0, 1, false)).is_ok());
        assert!(game.make_move(0, &order(102, 0, 1, false)).is_ok());
        assert_eq!(game.make_move(0, &order(103, 0, 1, false)), Err(Reason::TooManyMoves));
    }

    #[test]
    fn four_hits_take_a_life_and_it_comes_again() {
        let (mut game, start) = duel();
        face_to_face(&mut game);
        let mut seq = 0;
        let mut deaths = 0;
        for tick in 1..=60 {
            seq += 1;
            game.fighters[0].at = Point { x: 400, y: 500 };
            game.make_move(0, &order(seq, 1, 0, true)).unwrap();
            let was = game.fighters[1].hp;
            game.timeout(start + tick * TICK).unwrap();
            deaths += u32::from(was > 0 && game.fighters[1].hp == 0);
        }
        assert_eq!((deaths, game.fighters[0].score), (1, 4 + LAST_HIT));
        assert_eq!((game.fighters[1].hp, game.place(1)), (FULL_HEALTH, Point::start(1)));
        let outcomes = game.outcomes();
        assert_eq!((outcomes[0].place, outcomes[0].earned), (1, 17));
        assert_eq!((outcomes[1].place, outcomes[1].earned), (2, 10));
    }

    #[test]
    fn the_dead_do_not_move_and_do_not_fire() {
        let (mut game, _) = duel();
        game.fighters[0].hp = 0;
        let moved = game.make_move(0, &order(1, 5, 5, true)).unwrap();
        assert_eq!((moved.x, moved.y, moved.hp), (Point::start(0).x, Point::start(0).y, 0));
        assert!(game.bolts.is_empty());
    }

    #[test]
    fn a_stall_is_made_up_for_within_bounds_and_shown_once() {
        let (mut game, start) = duel();
        let late = start + Duration::from_secs(1);
        assert_eq!(game.timeout(late).unwrap().tick, 20);
        assert_eq!(game.timeout(late), None);
        let later = start + Duration::from_secs(3_600);
        assert_eq!(game.timeout(later).unwrap().tick, 20 + MAX_MISSED_TICKS);
        assert!(game.deadline() <= later);
    }

    #[test]
    fn whoever_left_is_neither_seen_nor_paid_and_an_empty_match_is_over() {
        let (mut game, start) = duel();
        game.leave(0);
        let snapshot = game.timeout(start + TICK).unwrap();
        assert_eq!(snapshot.fighters.iter().map(|fighter| fighter.player).collect::<Vec<_>>(), [20]);
        assert_eq!(game.outcomes().len(), 1);
        assert!(!game.is_over(start + TICK));
        game.leave(1);
        assert!(game.is_over(start + TICK));
    }
}
