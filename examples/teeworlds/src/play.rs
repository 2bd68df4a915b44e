//! `server messages -> answers, news; time -> inputs`: what a client does besides carrying messages.
//!
//! [`Player`] takes in what the server says and knows from it what to answer on the way into the game, which snapshot
//! to acknowledge, which tick an input is for, and how long the server took to react.
//!
//! ```text
//! -> Info  <- MapChange  -> Ready  <- ConReady  -> StartInfo  <- ReadyToEnter  -> EnterGame  <- Snapshot …
//! ```

use crate::messages::{ClientMessage, PlayerInput, ServerMessage, SnapshotPart, TICKS_PER_SECOND};
use crate::snapshot::{History, Kind, Snapshot, SnapshotError};
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// How long the server's tick takes.
pub const TICK: Duration = Duration::from_millis(1000 / TICKS_PER_SECOND as u64);
/// Inputs whose reception the server has not told yet: more than are under way in a second.
const MAX_INPUTS: usize = 64;
/// How long before its tick an input should reach the server.
const AHEAD_MS: std::ops::Range<i32> = 5..25;
/// The furthest that inputs are sent ahead: no server takes them from further.
const MAX_LEAD: Duration = Duration::from_millis(500);
/// Where a character's integers tell its place and where it walks.
const CHARACTER_PLACE: std::ops::Range<usize> = 1..3;
const CHARACTER_DIRECTION: usize = 6;

/// What a server message told about the server's service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// A newer snapshot is complete.
    Snapshot {
        /// The server's tick.
        tick: i32,
        /// Time since the snapshot before.
        gap: Option<Duration>,
        /// How much later it came than the promptest one so far, by the server's own ticks.
        age: Duration,
        /// If it is the first to show the newest turn of the own tee: time since that input was sent.
        turned: Option<Duration>,
    },
    /// A snapshot could not be read.
    Broken(SnapshotError),
    /// The server has told how an input came in time: time since it was sent.
    InputTimed(Duration),
}

/// The client's knowledge of the game.
#[derive(Debug, Default)]
pub struct Player {
    history: History,
    /// The own client id.
    own: Option<u16>,
    last_snapshot: Option<Instant>,
    /// When tick 0 would have been told, had it been told as promptly as the promptest snapshot.
    epoch: Option<Instant>,
    /// How far ahead of that inputs are sent.
    lead: Duration,
    last_tick: i32,
    /// Sent, not yet told of: tick and time.
    inputs: VecDeque<(i32, Instant)>,
    direction: i32,
    turned: Option<Instant>,
}

impl Player {
    /// A player who has not heard anything yet.
    pub fn new() -> Self {
        Self {
            lead: TICK * 2,
            ..Self::default()
        }
    }

    /// The newest snapshot.
    pub fn world(&self) -> Option<&Snapshot> {
        self.history.world()
    }

    /// Where the own tee is, if it is alive and plays.
    pub fn place(&self) -> Option<(i32, i32)> {
        match *self.character()?.get(CHARACTER_PLACE)? {
            [x, y] => Some((x, y)),
            _ => None,
        }
    }

    /// Takes in a message that arrived at `at`; says what to answer.
    pub fn answer(&mut self, message: &ServerMessage, name: &str) -> Option<ClientMessage> {
        match message {
            ServerMessage::MapChange { .. } => {
                *self = Self {
                    own: self.own,
                    ..Self::new()
                };
                Some(ClientMessage::Ready)
            }
            ServerMessage::ConReady => Some(ClientMessage::StartInfo {
                name: name.to_owned(),
                clan: "loadkit".to_owned(),
            }),
            ServerMessage::ReadyToEnter => Some(ClientMessage::EnterGame),
            ServerMessage::Ping => Some(ClientMessage::PingReply),
            _ => None,
        }
    }

    /// Takes in a message that arrived at `at`; says what it tells about the server's service.
    pub fn learn(&mut self, at: Instant, message: ServerMessage) -> Option<News> {
        match message {
            ServerMessage::ClientInfo {
                client, own: true, ..
            } => {
                self.own = u16::try_from(client).ok();
                None
            }
            ServerMessage::Snapshot(part) => self.learn_snapshot(at, part),
            ServerMessage::InputTiming { tick, time_left_ms } => {
                self.learn_timing(at, tick, time_left_ms)
            }
            _ => None,
        }
    }

    /// The message that carries `input`, sent at `now`.
    pub fn act(&mut self, now: Instant, input: PlayerInput) -> ClientMessage {
        let ack_tick = self.history.newest().unwrap_or(-1);
        let tick = self
            .tick_at(now + self.lead)
            .max(self.last_tick.saturating_add(1));
        self.last_tick = tick;
        if self.inputs.len() == MAX_INPUTS {
            self.inputs.pop_front();
        }
        self.inputs.push_back((tick, now));
        if input.direction != self.direction {
            self.direction = input.direction;
            self.turned = Some(now);
        }
        ClientMessage::Input {
            ack_tick,
            tick,
            input,
        }
    }

    fn learn_snapshot(&mut self, at: Instant, part: SnapshotPart) -> Option<News> {
        let tick = match self.history.take(part) {
            Ok(tick) => tick?,
            Err(error) => return Some(News::Broken(error)),
        };
        let gap = self
            .last_snapshot
            .replace(at)
            .map(|last| at.saturating_duration_since(last));
        let since_zero = TICK * u32::try_from(tick).unwrap_or(0);
        let epoch = at.checked_sub(since_zero).unwrap_or(at);
        let epoch = *self
            .epoch
            .insert(self.epoch.map_or(epoch, |old| old.min(epoch)));
        let age = at.saturating_duration_since(epoch + since_zero);
        let direction = self
            .character()
            .and_then(|ints| ints.get(CHARACTER_DIRECTION).copied());
        let turned = self.turned.take_if(|_| direction == Some(self.direction));
        let turned = turned.map(|sent| at.saturating_duration_since(sent));
        Some(News::Snapshot {
            tick,
            gap,
            age,
            turned,
        })
    }

    /// Inputs that come too late are sent further ahead, those that come too early less so.
    fn learn_timing(&mut self, at: Instant, tick: i32, time_left_ms: i32) -> Option<News> {
        if time_left_ms < AHEAD_MS.start {
            let late = (AHEAD_MS.start.saturating_sub(time_left_ms)).clamp(1, 20);
            self.lead = (self.lead + Duration::from_millis(late as u64)).min(MAX_LEAD);
        } else if time_left_ms >= AHEAD_MS.end {
            self.lead = self.lead.saturating_sub(Duration::from_millis(1));
        }
        while let Some(&(sent_for, sent)) = self.inputs.front() {
            if sent_for > tick {
                break;
            }
            self.inputs.pop_front();
            if sent_for == tick {
                return Some(News::InputTimed(at.saturating_duration_since(sent)));
            }
        }
        None
    }

    fn character(&self) -> Option<&[i32]> {
        self.history.world()?.item(Kind::CHARACTER, self.own?)
    }

    /// The server's tick at a time, as far as snapshots tell.
    fn tick_at(&self, now: Instant) -> i32 {
        let since_zero = self
            .epoch
            .map_or(Duration::ZERO, |epoch| now.saturating_duration_since(epoch));
        i32::try_from(since_zero.as_millis() / TICK.as_millis()).unwrap_or(i32::MAX)
    }
}
