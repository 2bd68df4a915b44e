//! `server messages -> answers, news; time -> inputs`: what a client does besides carrying messages.
//!
//! [`Player`] takes in what the server says and knows from it what to answer on the way into the game, which snapshot
//! to acknowledge, which tick an input is for, and how long network and server took.
//!
//! ```text
//! -> Info  <- MapChange  -> Ready  <- ConReady  -> StartInfo  <- ReadyToEnter  -> EnterGame  <- Snapshot …
//! ```

use crate::messages::{ClientMessage, PlayerInput, ServerMessage, SnapshotPart, TICKS_PER_SECOND};
use crate::snapshot::{History, Kind, Snapshot, SnapshotError};
use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;
use tokio::time::Instant;

/// How long the server's tick takes.
pub const TICK: Duration = Duration::from_millis(1000 / TICKS_PER_SECOND as u64);
/// Inputs whose reception the server has not told yet: more than are under way in a second.
const MAX_INPUTS: usize = 64;
/// How long before its tick an input should reach the server.
const EARLY: Duration = Duration::from_millis(10);
/// The furthest that inputs are sent ahead.
const MAX_LEAD: Duration = Duration::from_millis(500);
/// By so much inputs are sent less far ahead after each one that came too early.
const EASE: Duration = Duration::from_micros(250);
/// The server tells times in whole milliseconds, rounded down: on average, half of one is missing.
const ROUNDING: Duration = Duration::from_micros(500);
/// What arrives within this time came in one datagram: the server's own are 20 ms apart.
const SAME_DATAGRAM: Duration = Duration::from_millis(2);
/// What is known of the server's clock is trusted less by so much with each snapshot: enough for two clocks of which
/// one is fast by 25 millionths, as quartzes are.
const DRIFT: Duration = Duration::from_micros(1);
/// Where a character's integers tell its place, and whither it walks.
const CHARACTER_PLACE: Range<usize> = 1..3;
const CHARACTER_DIRECTION: usize = 6;

/// What a message told about the server's service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// A newer snapshot is complete.
    Snapshot(Told),
    /// A snapshot could not be read.
    Broken(SnapshotError),
    /// The server has taken an input in: time since it was sent. It holds the wait for the server's next snapshot.
    Taken(Duration),
}

/// What a snapshot told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// The server's tick.
    pub tick: i32,
    /// Time since the snapshot before.
    pub gap: Option<Duration>,
    /// How much later it came than the promptest one so far, by the server's own ticks.
    pub age: Duration,
    /// The network's round trip, to a millisecond or so: what a [`News::Taken`] took, without the time for which the
    /// server must have kept the answer by its own ticks. Of the way back it holds the promptest; `age` is the rest.
    pub network: Option<Duration>,
    /// If it is the first to show the newest turn of the own tee: time since that input was sent.
    pub turned: Option<Duration>,
}

/// An input that was sent.
#[derive(Clone, Copy, Debug)]
struct Sent {
    tick: i32,
    at: Instant,
    lead: Duration,
}

/// The answer to an input.
#[derive(Clone, Copy, Debug)]
struct Taken {
    sent: Sent,
    at: Instant,
    left_ms: i32,
}

/// The client's knowledge of the game.
#[derive(Debug)]
pub struct Player {
    name: String,
    /// Has asked to come in. What comes before is of the map before.
    entered: bool,
    history: History,
    /// The own client id.
    own: Option<u16>,
    last_snapshot: Option<Instant>,
    /// When tick 0 would have been told, had it been told as promptly as the promptest snapshot.
    epoch: Option<Instant>,
    /// How far ahead of that inputs are sent.
    lead: Duration,
    last_tick: i32,
    inputs: VecDeque<Sent>,
    taken: Option<Taken>,
    direction: i32,
    turned: Option<Instant>,
}

impl Player {
    /// A player who has not heard anything yet.
    pub fn new(name: String) -> Self {
        Self {
            name,
            entered: false,
            history: History::default(),
            own: None,
            last_snapshot: None,
            epoch: None,
            lead: TICK,
            last_tick: 0,
            inputs: VecDeque::new(),
            taken: None,
            direction: 0,
            turned: None,
        }
    }

    /// The newest snapshot. There is one as soon as the player is in the game.
    pub fn world(&self) -> Option<&Snapshot> {
        self.history.world()
    }

    /// Where the own tee is, in the map's units to the right and down, if it is alive and does not just watch.
    pub fn place(&self) -> Option<(i32, i32)> {
        match *self.character()?.get(CHARACTER_PLACE)? {
            [x, y] => Some((x, y)),
            _ => None,
        }
    }

    /// What a message is to be answered with, if it is.
    ///
    /// A map change leads out of the game; the answers lead back in.
    pub fn answer(&mut self, message: &ServerMessage) -> Option<ClientMessage> {
        match message {
            ServerMessage::MapChange { .. } => {
                *self = Self::new(std::mem::take(&mut self.name));
                Some(ClientMessage::Ready)
            }
            ServerMessage::ConReady => {
                Some(ClientMessage::StartInfo { name: self.name.clone(), clan: "loadkit".to_owned() })
            }
            ServerMessage::ReadyToEnter => {
                self.entered = true;
                Some(ClientMessage::EnterGame)
            }
            ServerMessage::Ping => Some(ClientMessage::PingReply),
            _ => None,
        }
    }

    /// Takes in a message that arrived at `at`.
    pub fn learn(&mut self, at: Instant, message: ServerMessage) -> Option<News> {
        match message {
            ServerMessage::ClientInfo { client, own: true, .. } => {
                self.own = u16::try_from(client).ok();
                None
            }
            ServerMessage::Snapshot(part) if self.entered => self.learn_snapshot(at, part),
            ServerMessage::InputTiming { tick, time_left_ms } => self.learn_timing(at, tick, time_left_ms),
            _ => None,
        }
    }

    /// The message that carries `input`, sent at `now`; `None` before the first snapshot.
    pub fn act(&mut self, now: Instant, input: PlayerInput) -> Option<ClientMessage> {
        let ack_tick = self.history.newest()?;
        let tick = self.tick_at(now + self.lead).max(self.last_tick.saturating_add(1));
        self.last_tick = tick;
        if self.inputs.len() == MAX_INPUTS {
            self.inputs.pop_front();
        }
        self.inputs.push_back(Sent { tick, at: now, lead: self.lead });
        if input.direction != self.direction {
            self.direction = input.direction;
            self.turned = Some(now);
        }
        Some(ClientMessage::Input { ack_tick, tick, input })
    }

    fn learn_snapshot(&mut self, at: Instant, part: SnapshotPart) -> Option<News> {
        let tick = match self.history.take(part) {
            Ok(tick) => tick?,
            Err(error) => return Some(News::Broken(error)),
        };
        let gap = self.last_snapshot.replace(at).map(|last| at.saturating_duration_since(last));
        let since_zero = TICK.saturating_mul(u32::try_from(tick).unwrap_or(0));
        let epoch = at.checked_sub(since_zero).unwrap_or(at);
        let epoch = *self.epoch.insert(self.epoch.map_or(epoch, |old| epoch.min(old + DRIFT)));
        let age = at.saturating_duration_since(epoch + since_zero);
        let network = self.taken.take().and_then(|taken| taken.network(at, tick, age));
        let direction = self.character().and_then(|ints| ints.get(CHARACTER_DIRECTION).copied());
        let turned = self.turned.take_if(|_| direction == Some(self.direction));
        let turned = turned.map(|sent| at.saturating_duration_since(sent));
        Some(News::Snapshot(Told { tick, gap, age, network, turned }))
    }

    fn learn_timing(&mut self, at: Instant, tick: i32, left_ms: i32) -> Option<News> {
        while self.inputs.front().is_some_and(|sent| sent.tick < tick) {
            self.inputs.pop_front();
        }
        let sent = *self.inputs.front().filter(|sent| sent.tick == tick)?;
        self.inputs.pop_front();
        self.taken = Some(Taken { sent, at, left_ms });
        self.steer(sent.lead, left_ms);
        Some(News::Taken(at.saturating_duration_since(sent.at)))
    }

    /// After an input that came late, the next are sent further ahead at once; after an early one, a little less so.
    fn steer(&mut self, lead: Duration, left_ms: i32) {
        let left = Duration::from_millis(left_ms.unsigned_abs().into());
        let needed = if left_ms < 0 { lead + EARLY + left } else { (lead + EARLY).saturating_sub(left) };
        self.lead = needed.max(self.lead.saturating_sub(EASE)).min(MAX_LEAD);
    }

    fn character(&self) -> Option<&[i32]> {
        self.history.world()?.item(Kind::CHARACTER, self.own?)
    }

    /// The server's tick at a time, as far as snapshots tell.
    fn tick_at(&self, now: Instant) -> i32 {
        let since_zero = self.epoch.map_or(Duration::ZERO, |epoch| now.saturating_duration_since(epoch));
        i32::try_from(since_zero.as_millis() / TICK.as_millis()).unwrap_or(i32::MAX)
    }
}

impl Taken {
    /// The network's round trip, given when, for which tick and how late the snapshot came that brought this answer.
    ///
    /// The server took the input `left_ms` before the tick it was for, and should have sent the answer at the
    /// snapshot's tick: between those times it kept it. By how much it was late for its tick is not the network's.
    fn network(&self, at: Instant, snapshot: i32, age: Duration) -> Option<Duration> {
        if at.saturating_duration_since(self.at) > SAME_DATAGRAM {
            return None;
        }
        let ticks = i64::from(snapshot) - i64::from(self.sent.tick);
        let kept_ms = ticks * TICK.as_millis() as i64 + i64::from(self.left_ms);
        let kept = Duration::from_millis(u64::try_from(kept_ms).ok()?) + ROUNDING;
        Some(self.at.saturating_duration_since(self.sent.at).saturating_sub(kept + age))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::varint;

    const WORLD: [i32; 3] = [0, 1, 0];

    fn part(tick: i32, base: i32, ints: &[i32], crc: Option<i32>) -> ServerMessage {
        let mut data = Vec::new();
        ints.iter().for_each(|&int| varint::encode(int, &mut data));
        ServerMessage::Snapshot(SnapshotPart { tick, base, part: 0, parts: 1, crc, data })
    }

    /// A tee with id 4 that stands at (100, 200) and walks whither it is told.
    fn tee(tick: i32, direction: i32) -> ServerMessage {
        let mut ints = [0; 22];
        ints[CHARACTER_PLACE].copy_from_slice(&[100, 200]);
        ints[CHARACTER_DIRECTION] = direction;
        part(tick, -1, &[&WORLD[..], &[10, 4], &ints].concat(), Some(300 + direction))
    }

    fn nothing_new(tick: i32, base: i32) -> ServerMessage {
        part(tick, base, &[], None)
    }

    fn told(news: Option<News>) -> Told {
        match news {
            Some(News::Snapshot(told)) => told,
            other => panic!("no snapshot: {other:?}"),
        }
    }

    fn tick_of(message: Option<ClientMessage>) -> i32 {
        match message {
            Some(ClientMessage::Input { tick, .. }) => tick,
            other => panic!("no input: {other:?}"),
        }
    }

    fn in_game(now: Instant) -> Player {
        let mut player = Player::new("tee".into());
        player.answer(&ServerMessage::ReadyToEnter);
        let team = crate::messages::Team::Red;
        player.learn(now, ServerMessage::ClientInfo { client: 4, own: true, team, name: "tee".into() });
        told(player.learn(now, tee(50, 0)));
        player
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn answers_lead_into_the_game_and_back_in() {
        let mut player = in_game(Instant::now() + ms(60_000));
        let ready = player.answer(&ServerMessage::MapChange { name: "dm2".into() });
        assert_eq!(ready, Some(ClientMessage::Ready));
        assert!(player.world().is_none() && player.place().is_none());
        assert_eq!(player.learn(Instant::now(), tee(240, 0)), None, "of the map before");
        assert_eq!(player.act(Instant::now(), PlayerInput::default()), None);
        let start = player.answer(&ServerMessage::ConReady);
        assert_eq!(start, Some(ClientMessage::StartInfo { name: "tee".into(), clan: "loadkit".into() }));
        assert_eq!(player.answer(&ServerMessage::ReadyToEnter), Some(ClientMessage::EnterGame));
        assert_eq!(player.answer(&ServerMessage::Ping), Some(ClientMessage::PingReply));
        assert_eq!(player.answer(&ServerMessage::PingReply), None);
    }

    #[test]
    fn knows_how_prompt_snapshots_are() {
        let start = Instant::now() + ms(60_000);
        let mut player = in_game(start);
        assert_eq!(player.place(), Some((100, 200)));
        let second = told(player.learn(start + ms(47), nothing_new(52, 50)));
        assert_eq!((second.tick, second.gap, second.age), (52, Some(ms(47)), ms(7) - DRIFT));
        let third = told(player.learn(start + ms(75), nothing_new(54, 52)));
        assert_eq!((third.gap, third.age), (Some(ms(28)), Duration::ZERO), "the promptest so far");
        let fourth = told(player.learn(start + ms(120), nothing_new(56, 54)));
        assert_eq!(fourth.age, ms(5) - DRIFT);
    }

    #[test]
    fn the_servers_waiting_is_not_the_networks() {
        let start = Instant::now() + ms(60_000);
        let mut player = in_game(start);
        let tick = tick_of(player.act(start + ms(3), PlayerInput::default()));
        assert_eq!(tick, 51, "a tick ahead of the newest");
        // It reaches the server after 4 ms, 13 ms before its tick, and the answer leaves with tick 52, but 3 ms late.
        let back = start + ms(43);
        let timing = ServerMessage::InputTiming { tick, time_left_ms: 13 };
        assert_eq!(player.learn(back, timing), Some(News::Taken(ms(40))));
        let snapshot = told(player.learn(back, nothing_new(52, 50)));
        assert_eq!(snapshot.age, ms(3) - DRIFT);
        assert_eq!(snapshot.network, Some(ms(4) + DRIFT - ROUNDING));
        assert_eq!(told(player.learn(back + ms(40), nothing_new(54, 52))).network, None);
    }

    #[test]
    fn late_inputs_are_sent_further_ahead() {
        let start = Instant::now() + ms(60_000);
        let mut player = in_game(start);
        let first = tick_of(player.act(start, PlayerInput::default()));
        player.learn(start + ms(40), ServerMessage::InputTiming { tick: first, time_left_ms: -70 });
        assert_eq!(player.lead, TICK + ms(80));
        assert_eq!(tick_of(player.act(start, PlayerInput::default())), 55);
        player.learn(start + ms(80), ServerMessage::InputTiming { tick: 55, time_left_ms: 30 });
        assert_eq!(player.lead, TICK + ms(80) - EASE);
        assert_eq!(tick_of(player.act(start, PlayerInput::default())), 56, "never for the same tick again");
        player.learn(start, ServerMessage::InputTiming { tick: 56, time_left_ms: i32::MIN });
        assert_eq!(player.lead, MAX_LEAD);
    }

    #[test]
    fn a_turn_is_seen_once() {
        let start = Instant::now() + ms(60_000);
        let mut player = in_game(start);
        player.act(start, PlayerInput { direction: 1, ..PlayerInput::default() });
        assert_eq!(told(player.learn(start + ms(20), nothing_new(52, 50))).turned, None);
        assert_eq!(told(player.learn(start + ms(60), tee(54, 1))).turned, Some(ms(60)));
        assert_eq!(told(player.learn(start + ms(100), tee(56, 1))).turned, None);
    }

    #[test]
    fn remembers_a_bounded_number_of_inputs() {
        let start = Instant::now() + ms(60_000);
        let mut player = in_game(start);
        for _ in 0..1000 {
            player.act(start, PlayerInput::default());
        }
        assert_eq!(player.inputs.len(), MAX_INPUTS);
    }
}
