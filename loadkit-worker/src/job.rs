//! What a worker is started with: a Lambda's event, or a variable of a container's environment.

use std::fmt;
use std::time::Duration;

use loadkit_core::RunId;
use serde::{Deserialize, Serialize};

/// The version of a job's JSON.
const SCHEMA: &str = "loadkit.job/1";
/// No job is longer: it names a run, it does not hold it.
pub const MAX_JOB_BYTES: usize = 16 << 10;

/// Who a worker is, and where the fleet can be reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// `loadkit.job/1`.
    pub schema: String,
    /// The run.
    pub run: RunId,
    /// The worker's number: the index of its segment.
    pub worker: u32,
    /// Which attempt at the segment this is, from 0. Each attempt has a lease of its own.
    pub attempt: u32,
    /// The time of the run at which it begins, ms: 0 but for who takes over from another.
    #[serde(default)]
    pub from_ms: u64,
    /// The time of the run at which it hands over to the next, ms. None if it plays to the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<u64>,
    /// Whoever gets this job hands it on to a task of this kind and ends: how a Lambda starts what outlasts it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hand_over_to: Option<String>,
    /// Where the fleet can be reached.
    pub line: Address,
}

/// Where the fleet can be reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Address {
    /// A service that speaks HTTP.
    Http {
        /// `http://127.0.0.1:8080`.
        url: String,
        /// The run's own token for workers.
        token: String,
    },
    /// A table and a queue, by the names that the worker's environment has permission for.
    Aws {
        /// The name of the table.
        table: String,
        /// The queue's URL.
        queue: String,
    },
}

/// Why a job cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobError {
    /// It is longer than [`MAX_JOB_BYTES`].
    TooLong(usize),
    /// It is not JSON, or not a job's.
    Malformed(String),
    /// It is of another version: the fleet and the client were built from different versions of loadkit.
    Version(String),
    /// Its times contradict each other.
    Window {
        /// From here, ms.
        from: u64,
        /// To here, ms.
        until: u64,
    },
}

impl fmt::Display for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JobError::TooLong(bytes) => write!(f, "the job has {bytes} bytes, and none has more than {MAX_JOB_BYTES}"),
            JobError::Malformed(why) => write!(f, "this is no job: {why}"),
            JobError::Version(found) => write!(
                f,
                "the job is of version {found:?} and this client takes {SCHEMA:?}: build the client with the fleet's \
                 version of loadkit, or update the fleet"
            ),
            JobError::Window { from, until } => write!(f, "the job ends at {until} ms, before it begins at {from} ms"),
        }
    }
}

impl std::error::Error for JobError {}

impl Job {
    /// A job for a whole segment, first attempt.
    pub fn new(run: RunId, worker: u32, line: Address) -> Job {
        Job { schema: SCHEMA.to_owned(), run, worker, attempt: 0, from_ms: 0, until_ms: None, hand_over_to: None, line }
    }

    /// Reads a job. Whatever it holds is hostile until then.
    ///
    /// # Errors
    /// See [`JobError`].
    pub fn parse(text: &[u8]) -> Result<Job, JobError> {
        if text.len() > MAX_JOB_BYTES {
            return Err(JobError::TooLong(text.len()));
        }
        let malformed = |error: serde_json::Error| JobError::Malformed(error.to_string());
        let value: serde_json::Value = serde_json::from_slice(text).map_err(malformed)?;
        match value.get("schema").and_then(serde_json::Value::as_str) {
            None => return Err(JobError::Malformed("it has no schema".into())),
            Some(SCHEMA) => {}
            Some(other) => return Err(JobError::Version(other.chars().take(40).collect())),
        }
        let job: Job = serde_json::from_value(value).map_err(malformed)?;
        match job.until_ms {
            Some(until) if until <= job.from_ms => Err(JobError::Window { from: job.from_ms, until }),
            _ => Ok(job),
        }
    }

    /// As JSON.
    pub fn to_json(&self) -> String {
        // A struct of texts and numbers is always JSON.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The time of the run at which it begins.
    pub fn from(&self) -> Duration {
        Duration::from_millis(self.from_ms)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn job() -> Job {
        Job::new(RunId(7), 3, Address::Http { url: "http://127.0.0.1:8080".into(), token: "t".into() })
    }

    #[test]
    fn a_job_is_read_as_it_was_written() {
        let relay = Job { attempt: 2, from_ms: 840_000, until_ms: Some(1_680_000), ..job() };
        let aws = Job { line: Address::Aws { table: "t".into(), queue: "q".into() }, ..job() };
        for job in [job(), relay, aws] {
            assert_eq!(Job::parse(job.to_json().as_bytes()), Ok(job));
        }
    }

    #[test]
    fn a_bad_job_says_what_is_wrong_with_it() {
        let long = vec![b' '; MAX_JOB_BYTES + 1];
        assert_eq!(Job::parse(&long), Err(JobError::TooLong(MAX_JOB_BYTES + 1)));
        assert!(matches!(Job::parse(b"{"), Err(JobError::Malformed(_))));
        assert!(matches!(Job::parse(b"{}"), Err(JobError::Malformed(_))));
        assert_eq!(Job::parse(br#"{"schema":"loadkit.job/9"}"#), Err(JobError::Version("loadkit.job/9".into())));
        let text = Job { from_ms: 5, until_ms: Some(5), ..job() }.to_json();
        assert_eq!(Job::parse(text.as_bytes()), Err(JobError::Window { from: 5, until: 5 }));
        let text = job().to_json().replace("\"worker\"", "\"wroker\"");
        assert!(matches!(Job::parse(text.as_bytes()), Err(JobError::Malformed(why)) if why.contains("wroker")));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Job::parse(&bytes);
        }
    }
}
