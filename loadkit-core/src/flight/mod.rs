//! `Cx::record -> Tape -> Flight -> flights/SEAT-LIFE.json -> replay`: what single players did last, above all those that failed.
//!
//! Each recorded player has a [`Tape`]: a ring of its last steps and messages, as bytes. Nothing is decoded while it plays.
//! When its life is over, most tapes are thrown away unread; those of a bounded choice become [`Flight`]s: the earliest
//! failures, the first of every kind before the second of any, and a few players that did well. The choice is the same
//! whichever way a run is split and in whichever order its parts are put together.
//!
//! # Bounds
//! A tape holds [`EVENTS`] events (a plan's key `flight` says otherwise) in 64 bytes each on average, and of a message its
//! first 256 bytes. The tapes of a shard hold 2 MiB together: 512 players with tapes as they come. Of more players, every
//! second, third, … party is recorded, so that the shares are even; of those who arrive beside the population, whoever
//! comes while there is room. Players who were not recorded are counted as `loadkit.flights_left_out`.
//!
//! So one failure among very many players may be missed, and one that befalls a share of them is not. Fewer events leave
//! room for more players.

mod artifact;
mod choice;
mod compare;
mod hangar;
mod read;
mod render;
mod ring;
mod tape;

use serde::{Deserialize, Serialize};

pub use artifact::{Artifact, ArtifactError, FlightEntry, FlightRun};
pub(crate) use artifact::{FOLDER, is_file_name};
pub(crate) use choice::choose;
pub use choice::{MAX_FAILED, MAX_FINE, MAX_OF_A_KIND};
pub use compare::{Comparison, Parting, Row};
pub(crate) use hangar::Hangar;
pub use render::{last_lines, plain, render, render_comparison};
pub use tape::Tape;

/// So many events of a player are kept, unless the plan says otherwise.
pub const EVENTS: u32 = 64;
/// The most that a plan can ask for.
pub const MAX_EVENTS: u32 = 4_096;
/// The kind of failure of a player who was still at it when the grace time was over.
pub const CUT_OFF: &str = "cut-off";

/// Which way a message went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// From the player to the server.
    Sent,
    /// From the server to the player.
    Received,
}

/// What is there of a recorded message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Excerpt<'a> {
    /// Which way it went.
    pub way: Way,
    /// Its bytes, or the first of them.
    pub bytes: &'a [u8],
    /// How many bytes it had.
    pub size: usize,
}

impl Excerpt<'_> {
    /// Whether all of its bytes are there.
    pub fn is_whole(&self) -> bool {
        self.bytes.len() >= self.size
    }
}

/// What a message says, for people, beginning with its name; `None` if its bytes say as much. A panic counts as `None`.
pub type Describe = fn(&Excerpt<'_>) -> Option<String>;

/// What a player did last.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Flight {
    /// The player's seat.
    pub seat: u64,
    /// How often the seat had been filled before.
    pub life: u32,
    /// The account.
    pub account: String,
    /// The persona; empty if the scenario has none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub persona: String,
    /// The network profile; empty if the plan has none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub network: String,
    /// When its life began, µs since the start of the run.
    pub began_us: u64,
    /// When it was asked to leave, µs since the start of the run, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_us: Option<u64>,
    /// When its life ended, µs since the start of the run.
    pub ended_us: u64,
    /// How it ended; nothing if it ended well.
    pub failure: Option<Ending>,
    /// Events before those that are here.
    pub left_out: u64,
    /// What happened, in the order in which the player came to it.
    pub events: Vec<FlightEvent>,
}

/// How a life ended that did not end well.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Ending {
    /// The step that failed; empty if it was none.
    pub step: String,
    /// The kind of failure.
    pub kind: String,
    /// What it said.
    pub message: String,
}

impl Ending {
    /// `login: timed-out: no reply …`, without what a terminal would obey.
    pub fn text(&self) -> String {
        let step = if self.step.is_empty() { "outside of steps" } else { &self.step };
        plain(&format!("{step}: {}: {}", self.kind, self.message))
    }
}

/// Something that happened to a player. Times are µs since the start of the run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "event")]
pub enum FlightEvent {
    /// A step began.
    Begun {
        /// When.
        at_us: u64,
        /// When it should have.
        intended_us: u64,
        /// Its name.
        step: String,
    },
    /// A step was over.
    Done {
        /// When.
        at_us: u64,
        /// When it had begun.
        began_us: u64,
        /// When it should have.
        intended_us: u64,
        /// Its name.
        step: String,
        /// How it failed, if it did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failure: Option<Reason>,
    },
    /// A connection was there.
    Connected {
        /// When.
        at_us: u64,
        /// Which of the player's.
        connection: u32,
        /// Its protocol.
        protocol: String,
    },
    /// A connection, or an attempt at one, was over.
    Closed {
        /// When.
        at_us: u64,
        /// Which of the player's.
        connection: u32,
        /// By what.
        reason: Reason,
    },
    /// A message went by.
    Message(Message),
}

/// What was said when something failed or ended.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Reason {
    /// The kind.
    pub kind: String,
    /// The message.
    pub message: String,
}

/// A message that went by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Message {
    /// When it was sent, or when it had arrived in the kernel.
    pub at_us: u64,
    /// Which way.
    pub way: Way,
    /// On which of the player's connections.
    pub connection: u32,
    /// On which channel: `ordered`, `unreliable 2`; empty if the protocol has none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub channel: String,
    /// How many bytes it had.
    pub size: u64,
    /// Its first bytes, in hexadecimal.
    #[serde(with = "read::hex")]
    pub bytes: Vec<u8>,
    /// What it says, where its codec can tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

impl Flight {
    /// The last step that is recorded.
    pub fn last_step(&self) -> Option<&str> {
        self.events.iter().rev().find_map(|event| match event {
            FlightEvent::Begun { step, .. } | FlightEvent::Done { step, .. } => Some(step.as_str()),
            _ => None,
        })
    }
}

impl Message {
    /// Its name: what its text begins with.
    pub fn name(&self) -> Option<&str> {
        let text = self.text.as_deref()?;
        let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).unwrap_or(text.len());
        text.get(..end).filter(|name| !name.is_empty())
    }
}

impl FlightEvent {
    /// When it happened, µs since the start of the run.
    pub fn at_us(&self) -> u64 {
        match self {
            FlightEvent::Begun { at_us, .. }
            | FlightEvent::Done { at_us, .. }
            | FlightEvent::Connected { at_us, .. }
            | FlightEvent::Closed { at_us, .. }
            | FlightEvent::Message(Message { at_us, .. }) => *at_us,
        }
    }
}

#[cfg(test)]
mod tests;
