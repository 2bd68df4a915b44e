//! A run's record: all that is known about it but its figures.

use loadkit_core::{Judgement, RunId, Stamp};
use serde::{Deserialize, Serialize};

use crate::launcher::Home;
use crate::request::{Caller, RunRequest};

/// At most so many notes; the earliest half of them stays, of the rest the latest.
const MAX_NOTES: usize = 200;
/// No note is longer, bytes.
const MAX_NOTE: usize = 500;

/// How far a run has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "api", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum RunState {
    /// Its workers are being started, and wait for the common start.
    Assembling,
    /// Players play.
    Running,
    /// They are leaving, and the last figures come in.
    Draining,
    /// It has ended.
    Ended,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "api", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Ending {
    /// All figures of all workers are in.
    Complete,
    /// Some are missing: the record says how many of which workers.
    Partial,
    /// It never began.
    Failed,
}

/// Something that happened to a run, in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "api", derive(utoipa::ToSchema))]
pub struct Note {
    /// When, ms since 1970.
    pub at_ms: u64,
    /// What.
    pub text: String,
}

/// All that is known about a run but its figures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "api", derive(utoipa::ToSchema))]
pub struct RunRecord {
    /// `loadkit.run/1`.
    pub schema: String,
    /// The run.
    pub id: RunId,
    /// What was asked for. Live events leave it out.
    #[serde(default)]
    #[cfg_attr(feature = "api", schema(required = true))]
    pub request: RunRequest,
    /// By whom.
    pub by: Caller,
    /// The scenario and target, as the plan has them.
    pub scenario: String,
    /// The server under test.
    pub target: String,
    /// The seed, in decimal.
    pub seed: String,
    /// Where the workers run.
    pub home: Home,
    /// Why there.
    pub why: String,
    /// How many workers.
    pub workers: u32,
    /// How far it has come.
    pub state: RunState,
    /// When it was asked for, ms since 1970.
    pub created_at_ms: u64,
    /// When it starts or started.
    pub start_at_ms: u64,
    /// When its load is through, by its plan.
    pub ends_at_ms: u64,
    /// When it is ended, whatever has become of its workers.
    pub deadline_ms: u64,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at_ms: Option<u64>,
    /// How.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ending: Option<Ending>,
    /// What it says about the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judgement: Option<Judgement>,
    /// Which build plays it: that of the worker that came first, unless the request allows several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stamp: Option<Stamp>,
    /// Workers that do not play because they are of another build.
    #[serde(default)]
    pub workers_refused: u32,
    /// Attempts that were given up.
    #[serde(default)]
    pub attempts_lost: u32,
    /// Workers whose segment was not played to its end.
    #[serde(default)]
    pub workers_lost: u32,
    /// Parcels that were sent and have not arrived.
    #[serde(default)]
    pub parcels_missing: u64,
    /// What happened: errors of the cloud in its own words, workers lost, what was commanded.
    #[serde(default)]
    pub notes: Vec<Note>,
    /// Notes for which there was no room.
    #[serde(default)]
    pub notes_left_out: u64,
}

impl RunRecord {
    /// Notes that something happened.
    pub fn note(&mut self, at_ms: u64, text: impl Into<String>) {
        let mut text: String = text.into();
        if text.len() > MAX_NOTE {
            let end = (0..=MAX_NOTE).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
            text.truncate(end);
            text.push('…');
        }
        if self.notes.len() >= MAX_NOTES {
            self.notes.remove(MAX_NOTES / 2);
            self.notes_left_out += 1;
        }
        self.notes.push(Note { at_ms, text });
    }

    /// The notes behind the first so many that were made, each with its number, from 1. Those for which there was no room have
    /// numbers too.
    pub fn notes_behind(&self, heard: u64) -> impl Iterator<Item = (u64, &Note)> {
        let number = |at: usize| at as u64 + 1 + if at < MAX_NOTES / 2 { 0 } else { self.notes_left_out };
        let numbered = self.notes.iter().enumerate().map(move |(at, note)| (number(at), note));
        numbered.filter(move |(number, _)| *number > heard)
    }
}
