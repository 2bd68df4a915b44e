//! The numbers of the game, and its geometry: everything is whole, so every machine agrees.

use std::time::Duration;

use crate::wire::Reason;

/// The authoritative tick: 20 a second.
pub const TICK: Duration = Duration::from_millis(50);
/// The arena goes from 0 to here, in both directions.
pub const SIDE: i32 = 1_000;
/// Nobody goes farther in one move.
pub const STRIDE: i32 = 10;
/// The health of a new life.
pub const FULL_HEALTH: u32 = 100;

/// Moves that a player has in hand at most. After a stall of the network, players catch up with as many at once.
pub(super) const MOVES_IN_HAND: u32 = 100;
/// Moves that each tick gives: twice what the fastest honest client makes.
pub(super) const MOVES_PER_TICK: u32 = 2;
/// Ticks from one shot to the next.
pub(super) const RELOAD_TICKS: u32 = 8;
/// Ticks that a bolt flies.
pub(super) const BOLT_TICKS: u32 = 20;
/// Looks for a hit within a tick: a bolt must not fly through a player between two of them.
pub(super) const BOLT_LOOKS: u32 = 2;
/// How far a bolt flies from one look to the next.
const BOLT_FLIGHT: i32 = 15;
/// How near a bolt must come.
const REACH: i32 = 15;
/// What a hit takes.
pub(super) const DAMAGE: u32 = 25;
/// Ticks without a life.
pub(super) const DEAD_TICKS: u32 = 20;
/// What the last hit earns besides.
pub(super) const LAST_HIT: u32 = 3;
/// What it is worth to have played.
pub(super) const PAY: u32 = 10;

/// What differs from server to server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// How long a match lasts.
    pub match_time: Duration,
    /// How many play in a whole match.
    pub match_players: usize,
    /// How long a player waits for a whole match, before one begins with those there are.
    pub patience: Duration,
}

impl Default for Rules {
    /// Matches of 10 players for 5 seconds; patience of 3 seconds.
    fn default() -> Rules {
        Rules { match_time: Duration::from_secs(5), match_players: 10, patience: Duration::from_secs(3) }
    }
}

/// A place, or a way from one to another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Point {
    pub(super) x: i32,
    pub(super) y: i32,
}

impl Point {
    /// The way of a move, if anybody can go so far.
    pub(super) fn stride(x: i32, y: i32) -> Result<Point, Reason> {
        let far = length_squared(x, y) > i64::from(STRIDE).pow(2);
        if far { Err(Reason::TooFar) } else { Ok(Point { x, y }) }
    }

    /// The place at the end of a way from here. Walls hold.
    pub(super) fn walk(self, way: Point) -> Point {
        let inside = |from: i32, by: i32| from.saturating_add(by).clamp(0, SIDE);
        Point { x: inside(self.x, way.x), y: inside(self.y, way.y) }
    }

    /// The place at the end of a way from here, unless it lies in the wall.
    pub(super) fn fly(self, way: Point) -> Option<Point> {
        let free = 0..=SIDE;
        let to = Point { x: self.x.saturating_add(way.x), y: self.y.saturating_add(way.y) };
        (free.contains(&to.x) && free.contains(&to.y)).then_some(to)
    }

    /// A bolt's flight from one look to the next, in the direction of this way; `None` if it has no direction.
    pub(super) fn flight(self) -> Option<Point> {
        let length = length_squared(self.x, self.y).isqrt();
        let scale = |part: i32| i32::try_from(i64::from(part) * i64::from(BOLT_FLIGHT) / length).unwrap_or(0);
        (length > 0).then(|| Point { x: scale(self.x), y: scale(self.y) })
    }

    /// Whether a bolt here hits who stands there.
    pub(super) fn hits(self, there: Point) -> bool {
        length_squared(self.x.saturating_sub(there.x), self.y.saturating_sub(there.y)) <= i64::from(REACH).pow(2)
    }

    /// Where the n-th player of a match begins, and begins again: on a grid of 5 x 5 places, far enough from each other.
    pub(super) fn start(n: usize) -> Point {
        let cell = |n: usize| i32::try_from(n % 5).unwrap_or(0) * (SIDE / 5) + SIDE / 10;
        // 7 and 25 have no factor in common: the first 25 players have 25 places.
        Point { x: cell(n * 7), y: cell(n * 7 / 5) }
    }
}

fn length_squared(x: i32, y: i32) -> i64 {
    // The largest is 2 * 2^62: it fits, but for the sum of two extremes.
    (i64::from(x) * i64::from(x)).saturating_add(i64::from(y) * i64::from(y))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn strides_are_bounded_whatever_is_sent() {
        assert_eq!(Point::stride(6, -8), Ok(Point { x: 6, y: -8 }));
        for (x, y) in [(11, 0), (8, 7), (i32::MIN, i32::MIN), (i32::MAX, 0), (0, i32::MIN)] {
            assert_eq!(Point::stride(x, y), Err(Reason::TooFar), "{x} {y}");
        }
    }

    #[test]
    fn walls_hold_players_and_end_bolts() {
        let corner = Point { x: 3, y: SIDE - 3 };
        assert_eq!(corner.walk(Point { x: -10, y: 10 }), Point { x: 0, y: SIDE });
        assert_eq!(corner.fly(Point { x: -10, y: 0 }), None);
        assert_eq!(corner.fly(Point { x: 10, y: 0 }), Some(Point { x: 13, y: SIDE - 3 }));
    }

    #[test]
    fn bolts_fly_at_one_speed_in_the_direction_of_the_move() {
        assert_eq!(Point { x: 1, y: 0 }.flight(), Some(Point { x: 15, y: 0 }));
        assert_eq!(Point { x: -6, y: 8 }.flight(), Some(Point { x: -9, y: 12 }));
        assert_eq!(Point::default().flight(), None);
    }

    #[test]
    fn a_match_of_ten_begins_at_ten_places_inside() {
        let places: Vec<Point> = (0..25).map(Point::start).collect();
        assert!(places.iter().all(|place| place.walk(Point::default()) == *place));
        assert_eq!(places.iter().map(|place| (place.x, place.y)).collect::<HashSet<_>>().len(), 25);
    }
}
