//! `players and parties, as they come -> matches`: parties stay whole, and nobody waits for ever.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::{Peer, rules::Rules};
use crate::wire::Reason;

/// The largest party.
pub const MAX_PARTY: u32 = 3;

/// Who waits together, and since when the first of them does.
#[derive(Debug)]
struct Group {
    members: Vec<Peer>,
    since: Instant,
}

/// Who plays the next match.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) players: Vec<Peer>,
    /// Whether enough waited for a whole match. Parties stay whole, so that there may be one or two fewer in it.
    pub(super) full: bool,
}

/// Where players wait for a match.
///
/// It holds no whole match: every change is followed by [`Lobby::next_match`] until that has no more. So fewer than
/// `match_players` wait in `ready`, and looking through it costs next to nothing.
#[derive(Debug)]
pub(super) struct Lobby {
    match_players: usize,
    patience: Duration,
    /// Whole groups, in the order in which they became whole.
    ready: VecDeque<Group>,
    /// Parties that lack members, by their token, with the size that they shall have.
    gathering: HashMap<u64, (Group, usize)>,
    /// The tokens of `gathering` by age. Those that are whole by now are skipped.
    by_age: VecDeque<(Instant, u64)>,
}

impl Lobby {
    pub(super) fn new(rules: &Rules) -> Lobby {
        Lobby {
            match_players: rules.match_players.max(MAX_PARTY as usize),
            patience: rules.patience,
            ready: VecDeque::new(),
            gathering: HashMap::new(),
            by_age: VecDeque::new(),
        }
    }

    /// A player comes, alone (token 0) or as one of a party of `size`.
    pub(super) fn enter(&mut self, peer: Peer, token: u64, size: u32, now: Instant) -> Result<(), Reason> {
        if token == 0 || size == 1 {
            self.ready.push_back(Group { members: vec![peer], since: now });
            return Ok(());
        }
        if !(2..=MAX_PARTY).contains(&size) {
            return Err(Reason::BadParty);
        }
        let size = size as usize;
        let (group, of) = self.gathering.entry(token).or_insert_with(|| {
            self.by_age.push_back((now, token));
            (Group { members: Vec::with_capacity(size), since: now }, size)
        });
        if *of != size {
            return Err(Reason::BadParty);
        }
        group.members.push(peer);
        if group.members.len() == size {
            self.party_is_ready(token);
        }
        Ok(())
    }

    /// A player who waited leaves.
    pub(super) fn leave(&mut self, peer: Peer, token: u64) {
        if let Some((group, _)) = self.gathering.get_mut(&token) {
            group.members.retain(|&member| member != peer);
            if group.members.is_empty() {
                self.gathering.remove(&token);
            }
        }
        for group in &mut self.ready {
            group.members.retain(|&member| member != peer);
        }
        self.ready.retain(|group| !group.members.is_empty());
    }

    /// When somebody's patience ends.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let ready = self.ready.iter().map(|group| group.since).min();
        let gathering = self.by_age.front().map(|&(since, _)| since);
        let oldest = ready.into_iter().chain(gathering).min()?;
        Some(oldest + self.patience)
    }

    /// The players of the next match, if it can begin.
    ///
    /// It can when a whole match waits; it takes the groups in the order of their coming, as long as they fit. Or when
    /// the patience of a group is over; then it takes who is there.
    pub(super) fn next_match(&mut self, now: Instant) -> Option<Found> {
        self.end_gathering(now);
        let waiting: usize = self.ready.iter().map(|group| group.members.len()).sum();
        let overdue = self.ready.iter().any(|group| group.since + self.patience <= now);
        let full = waiting >= self.match_players;
        if !full && !overdue {
            return None;
        }
        let mut players = Vec::with_capacity(self.match_players);
        self.ready.retain(|group| {
            let fits = players.len() + group.members.len() <= self.match_players;
            if fits {
                players.extend_from_slice(&group.members);
            }
            !fits
        });
        (!players.is_empty()).then_some(Found { players, full })
    }

    /// Parties whose patience is over play without those who did not come.
    fn end_gathering(&mut self, now: Instant) {
        while let Some(&(since, token)) = self.by_age.front() {
            let known = self.gathering.get(&token).is_some_and(|(group, _)| group.since == since);
            if known && since + self.patience > now {
                return;
            }
            self.by_age.pop_front();
            if known {
                self.party_is_ready(token);
            }
        }
    }

    fn party_is_ready(&mut self, token: u64) {
        self.ready.extend(self.gathering.remove(&token).map(|(group, _)| group));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn lobby() -> Lobby {
        Lobby::new(&Rules::default())
    }

    fn full(numbers: impl IntoIterator<Item = u64>) -> Option<Found> {
        Some(Found { players: peers(numbers), full: true })
    }

    fn peers(numbers: impl IntoIterator<Item = u64>) -> Vec<Peer> {
        numbers.into_iter().map(Peer).collect()
    }

    #[test]
    fn ten_who_came_alone_make_a_match() {
        let (mut lobby, now) = (lobby(), Instant::now());
        for n in 0..10 {
            assert_eq!(lobby.next_match(now), None);
            lobby.enter(Peer(n), 0, 0, now).unwrap();
        }
        assert_eq!(lobby.next_match(now), full(0..10));
        assert_eq!((lobby.next_match(now), lobby.deadline()), (None, None));
    }

    #[test]
    fn parties_stay_whole_and_others_go_first_if_they_do_not_fit() {
        let (mut lobby, now) = (lobby(), Instant::now());
        for n in 0..8 {
            lobby.enter(Peer(n), 0, 0, now).unwrap();
        }
        for n in 8..11 {
            assert_eq!(lobby.next_match(now), None, "a party that gathers is not there yet");
            lobby.enter(Peer(n), 77, 3, now).unwrap();
        }
        assert_eq!(lobby.next_match(now), full(0..8), "11 wait, and the three do not fit beside the eight");
        for n in 11..18 {
            lobby.enter(Peer(n), 0, 0, now).unwrap();
        }
        assert_eq!(lobby.next_match(now), full(8..18));
    }

    #[test]
    fn patience_ends_for_the_alone_and_for_parties_that_do_not_get_whole() {
        let (mut lobby, start) = (lobby(), Instant::now());
        lobby.enter(Peer(1), 5, 3, start).unwrap();
        lobby.enter(Peer(2), 5, 3, start + SECOND).unwrap();
        lobby.enter(Peer(3), 0, 0, start + 2 * SECOND).unwrap();
        assert_eq!(lobby.deadline(), Some(start + 3 * SECOND));
        assert_eq!(lobby.next_match(start + 2 * SECOND), None);
        let found = lobby.next_match(start + 3 * SECOND);
        assert_eq!(found, Some(Found { players: peers([3, 1, 2]), full: false }));
        assert_eq!(lobby.deadline(), None);
    }

    #[test]
    fn those_who_leave_are_forgotten() {
        let (mut lobby, start) = (lobby(), Instant::now());
        lobby.enter(Peer(1), 5, 2, start).unwrap();
        lobby.enter(Peer(2), 0, 0, start).unwrap();
        lobby.leave(Peer(1), 5);
        lobby.leave(Peer(2), 0);
        assert_eq!(lobby.next_match(start + 9 * SECOND), None);
        assert_eq!(lobby.deadline(), None);
        // The token is free again.
        lobby.enter(Peer(3), 5, 3, start).unwrap();
        assert_eq!(lobby.enter(Peer(4), 5, 2, start), Err(Reason::BadParty));
        assert_eq!(lobby.enter(Peer(4), 6, u32::MAX, start), Err(Reason::BadParty));
    }

    #[test]
    fn nothing_but_parties_of_three_plays_in_nines() {
        let (mut lobby, now) = (lobby(), Instant::now());
        for n in 0..12 {
            assert_eq!(lobby.next_match(now), None);
            lobby.enter(Peer(n), 1 + n / 3, 3, now).unwrap();
        }
        assert_eq!(lobby.next_match(now).map(|found| found.players.len()), Some(9));
    }
}
