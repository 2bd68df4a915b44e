//! `POST /v1/workers/{claim,beat,report,close}`: a [`Line`] over HTTP, to a fleet that listens.
//!
//! Here is what both ends say, and the fleet's half as a function: bytes in, status and bytes out. The worker's half,
//! `HttpLine`, is behind the feature `http`. Requests carry the run's token for workers as a bearer token, which whoever
//! serves checks before it calls [`answer`].

#[cfg(feature = "http")]
mod client;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

#[cfg(feature = "http")]
pub use client::HttpLine;

use crate::job::{Address, Job};
use crate::lease::{Phase, WorkerEnd, WorkerStatus};
use crate::line::{Line, LineError};
use loadkit_core::RunId;

/// No request has a longer body.
pub const MAX_REQUEST: usize = 1_500_000;
/// Texts of one report, at most.
pub const MAX_TEXTS: usize = 100;

/// What a worker can ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// [`ClaimRequest`], answered by a [`Claim`](crate::Claim).
    Claim,
    /// [`BeatRequest`], answered by a [`Beat`](crate::Beat).
    Beat,
    /// [`ReportRequest`], answered by a [`ReportAnswer`].
    Report,
    /// [`CloseRequest`], answered by nothing: `{}`.
    Close,
}

impl Call {
    /// `claim`, `beat`, `report` or `close`: the last part of the path.
    pub fn name(self) -> &'static str {
        match self {
            Call::Claim => "claim",
            Call::Beat => "beat",
            Call::Report => "report",
            Call::Close => "close",
        }
    }

    /// The call of this name.
    pub fn named(name: &str) -> Option<Call> {
        [Call::Claim, Call::Beat, Call::Report, Call::Close].into_iter().find(|call| call.name() == name)
    }
}

/// Which worker asks: its job, without the way to the fleet and its token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Who {
    /// The run.
    pub run: RunId,
    /// The worker.
    pub worker: u32,
    /// Its attempt.
    pub attempt: u32,
    /// The time of the run at which it begins, ms.
    #[serde(default)]
    pub from_ms: u64,
    /// The time of the run at which it hands over, ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<u64>,
}

impl Who {
    /// Who has this job.
    pub fn of(job: &Job) -> Who {
        let Job { run, worker, attempt, from_ms, until_ms, .. } = *job;
        Who { run, worker, attempt, from_ms, until_ms }
    }

    /// Its job, for the fleet's own line.
    pub fn job(&self) -> Job {
        let nowhere = Address::Http { url: String::new(), token: String::new() };
        let Who { run, worker, attempt, from_ms, until_ms } = *self;
        Job { attempt, from_ms, until_ms, ..Job::new(run, worker, nowhere) }
    }
}

/// A worker claims its lease.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ClaimRequest {
    /// Who asks.
    pub who: Who,
    /// What it says of itself.
    pub status: WorkerStatus,
}

/// A worker renews its lease.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct BeatRequest {
    /// Who asks.
    pub who: Who,
    /// How far it has come.
    pub phase: Phase,
    /// What it says of itself.
    pub status: WorkerStatus,
}

/// A worker sends its figures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ReportRequest {
    /// Who asks.
    pub who: Who,
    /// The parcels, as texts.
    pub texts: Vec<String>,
}

/// How much of a report was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ReportAnswer {
    /// So many of the first texts: send the others again.
    pub taken: usize,
}

/// A worker gives its lease back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct CloseRequest {
    /// Who asks.
    pub who: Who,
    /// What it says of itself.
    pub status: WorkerStatus,
    /// How it ended.
    pub end: WorkerEnd,
}

/// The body of every answer that is none of 200.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorAnswer {
    /// What went wrong, in words.
    pub error: String,
}

/// The status that says so.
pub fn status_of(error: &LineError) -> u16 {
    match error {
        LineError::UnknownRun => 404,
        LineError::Refused(_) => 409,
        LineError::Away(_) => 503,
    }
}

/// What a status and its words say to a worker.
pub fn error_of(status: u16, words: String) -> LineError {
    match status {
        404 => LineError::UnknownRun,
        // Too many requests, or too late: the next time may be better.
        408 | 425 | 429 => LineError::Away(words),
        400..=499 => LineError::Refused(words),
        _ => LineError::Away(format!("it answered {status}: {words}")),
    }
}

/// Answers a worker's request over the fleet's own line: a status and a body in JSON.
pub async fn answer(line: &dyn Line, call: Call, body: &[u8]) -> (u16, Vec<u8>) {
    match dispatch(line, call, body).await {
        Ok(body) => (200, body),
        Err((status, error)) => (status, serde_json::to_vec(&ErrorAnswer { error }).unwrap_or_default()),
    }
}

type Refusal = (u16, String);

async fn dispatch(line: &dyn Line, call: Call, body: &[u8]) -> Result<Vec<u8>, Refusal> {
    if body.len() > MAX_REQUEST {
        return Err((413, format!("the request has {} bytes, and none has more than {MAX_REQUEST}", body.len())));
    }
    let away = |error: LineError| {
        let status = status_of(&error);
        let words = match error {
            LineError::UnknownRun => error.to_string(),
            LineError::Refused(words) | LineError::Away(words) => words,
        };
        (status, words)
    };
    match call {
        Call::Claim => {
            let ClaimRequest { who, status } = read(body)?;
            write(&line.claim(&who.job(), &status).await.map_err(away)?)
        }
        Call::Beat => {
            let BeatRequest { who, phase, status } = read(body)?;
            write(&line.beat(&who.job(), phase, &status).await.map_err(away)?)
        }
        Call::Report => {
            let ReportRequest { who, texts } = read(body)?;
            if texts.len() > MAX_TEXTS {
                return Err((413, format!("{} parcels are more than the {MAX_TEXTS} of a request", texts.len())));
            }
            let taken = line.report(&who.job(), &texts).await.map_err(away)?;
            write(&ReportAnswer { taken })
        }
        Call::Close => {
            let CloseRequest { who, status, end } = read(body)?;
            line.close(&who.job(), &status, &end).await.map_err(away)?;
            Ok(b"{}".to_vec())
        }
    }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| (400, format!("this is no request of a worker: {error}")))
}

fn write<T: Serialize>(value: &T) -> Result<Vec<u8>, Refusal> {
    serde_json::to_vec(value).map_err(|error| (500, error.to_string()))
}

#[cfg(all(test, feature = "http"))]
mod tests;
