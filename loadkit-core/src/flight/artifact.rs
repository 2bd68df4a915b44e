//! `flights/SEAT-LIFE.json`: a flight and all that it takes to play it again.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Ending, Flight, MAX_EVENTS, plain};
use crate::metrics::RunId;
use crate::plan::Plan;
use crate::seed::Seed;

/// The version of the file. A change that readers could stumble over changes the number.
const SCHEMA: &str = "loadkit.flight/1";
/// What stands before the number.
const FAMILY: &str = "loadkit.flight/";
/// The folder in a report's.
pub(crate) const FOLDER: &str = "flights";
/// Larger files are none of ours: 4,096 events with 256 bytes each and their texts have room.
const MAX_BYTES: u64 = 16 << 20;

/// A flight with what was run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Artifact {
    /// `loadkit.flight/1`.
    pub schema: String,
    /// What was run.
    pub run: FlightRun,
    /// What the player did.
    pub flight: Flight,
}

/// What was run, as far as a replay needs it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlightRun {
    /// The run's name among all runs: 16 hexadecimal digits.
    pub id: String,
    /// The scenario.
    pub scenario: String,
    /// The server under test, as the user wrote it.
    pub target: String,
    /// The run's seed, in decimal.
    pub seed: String,
    /// The version of loadkit that played it.
    pub version: String,
    /// The plan in TOML, with all that the command line has put into it.
    pub plan: String,
}

impl FlightRun {
    /// The run's name as a number.
    ///
    /// # Errors
    /// If it is none.
    pub fn run_id(&self) -> Result<RunId, ArtifactError> {
        let id = u64::from_str_radix(&self.id, 16);
        id.map(RunId).map_err(|_| ArtifactError::Wrong(format!("the run's id `{}` is no number", self.id)))
    }

    /// The run's seed.
    ///
    /// # Errors
    /// If it is none.
    pub fn seed(&self) -> Result<Seed, ArtifactError> {
        Seed::parse(&self.seed).map_err(|error| ArtifactError::Wrong(error.to_string()))
    }

    /// The run's plan.
    ///
    /// # Errors
    /// If it is none that this version of loadkit can play.
    pub fn plan(&self) -> Result<Plan, ArtifactError> {
        Plan::parse(&self.plan, "plan").map_err(|error| ArtifactError::Wrong(format!("its plan is none:\n{error}")))
    }
}

impl Artifact {
    /// A flight of this run.
    pub fn new(run: FlightRun, flight: Flight) -> Artifact {
        Artifact { schema: SCHEMA.to_owned(), run, flight }
    }

    /// Reads the file of a flight, of at most 16 MiB.
    ///
    /// # Errors
    /// What is wrong with the file; see [`ArtifactError`].
    pub fn load(path: impl AsRef<Path>) -> Result<Artifact, ArtifactError> {
        let mut bytes = Vec::new();
        let read = File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes));
        read.map_err(ArtifactError::Unread)?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(ArtifactError::Wrong("it is larger than 16 MiB".into()));
        }
        Artifact::parse(&bytes)
    }

    /// Reads the text of such a file.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(json: &[u8]) -> Result<Artifact, ArtifactError> {
        #[derive(Deserialize)]
        struct Head {
            #[serde(default)]
            schema: String,
        }
        let wrong = |error: serde_json::Error| match error.classify() {
            serde_json::error::Category::Eof => ArtifactError::CutShort,
            _ => ArtifactError::Wrong(error.to_string()),
        };
        let Head { schema } = serde_json::from_slice(json).map_err(wrong)?;
        if schema != SCHEMA {
            return Err(match schema.strip_prefix(FAMILY).and_then(|number| number.parse::<u32>().ok()) {
                Some(_) => ArtifactError::Newer(schema),
                None => ArtifactError::Another(schema),
            });
        }
        let artifact: Artifact = serde_json::from_slice(json).map_err(wrong)?;
        if artifact.flight.events.len() > MAX_EVENTS as usize {
            let count = artifact.flight.events.len();
            return Err(ArtifactError::Wrong(format!(
                "it has {count} events; the most that is recorded is {MAX_EVENTS}"
            )));
        }
        Ok(artifact)
    }
}

/// A flight in a report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FlightEntry {
    /// Its file in the report's folder: `flights/17-0.json`.
    pub file: String,
    /// The player's seat.
    pub seat: u64,
    /// How often the seat had been filled before.
    pub life: u32,
    /// When its life ended, µs since the start of the run.
    pub ended_us: u64,
    /// How it ended; nothing if it ended well.
    pub failure: Option<Ending>,
    /// All of it, where the report has just been made. In a report that was read, only the file has it.
    #[serde(skip)]
    pub flight: Option<Box<Flight>>,
}

impl FlightEntry {
    /// The entry of a flight.
    pub fn new(flight: &Flight) -> FlightEntry {
        FlightEntry {
            file: format!("{FOLDER}/{}-{}.json", flight.seat, flight.life),
            seat: flight.seat,
            life: flight.life,
            ended_us: flight.ended_us,
            failure: flight.failure.clone(),
            flight: Some(Box::new(flight.clone())),
        }
    }
}

/// Whether a file of this name in [`FOLDER`] is one of ours.
pub(crate) fn is_file_name(name: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let numbers = name.strip_suffix(".json").and_then(|stem| stem.split_once('-'));
    numbers.is_some_and(|(seat, life)| is_number(seat) && is_number(life))
}

/// Why a file is no flight that can be used.
#[derive(Debug)]
#[non_exhaustive]
pub enum ArtifactError {
    /// It cannot be read: check the path.
    Unread(io::Error),
    /// It ends before its end: copy it again.
    CutShort,
    /// It was written by a newer loadkit, with this schema: use the client that wrote it.
    Newer(String),
    /// It is a file of another kind, with this schema, or with none: a flight is in the report's folder `flights`.
    Another(String),
    /// Something in it makes no sense.
    Wrong(String),
}

impl fmt::Display for ArtifactError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ArtifactError::Unread(error) => write!(f, "it cannot be read: {error}"),
            ArtifactError::CutShort => {
                f.write_str("it is cut short: it ends in the middle of the recording; copy it again")
            }
            ArtifactError::Newer(schema) => write!(
                f,
                "it is of another version ({}, and this client reads {SCHEMA}): replay it with the client that wrote it",
                plain(schema)
            ),
            ArtifactError::Another(schema) => {
                let what = if schema.is_empty() { "without a schema".to_owned() } else { plain(schema) };
                write!(f, "it is no flight ({what}): those are in the folder `flights` of a report")
            }
            ArtifactError::Wrong(why) => write!(f, "it is no sound flight: {}", plain_lines(why)),
        }
    }
}

impl std::error::Error for ArtifactError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            ArtifactError::Unread(error) => Some(error),
            _ => None,
        }
    }
}

/// Text of several lines without what a terminal would obey.
fn plain_lines(text: &str) -> String {
    text.lines().map(plain).collect::<Vec<_>>().join("\n")
}
