//! What a sink is: something that takes a run's figures, an interval after the other.

use std::fmt;

use async_trait::async_trait;

use crate::interval::Interval;

/// Where figures go while a run is on. It runs on the sinks' own thread, as a task of its own: it may wait, but must not
/// block.
#[async_trait]
pub trait Sink: Send {
    /// The word by which its losses are told apart: `otlp`.
    fn name(&self) -> &'static str;

    /// Where the figures go, for people: `http://127.0.0.1:4318/v1/metrics`.
    fn place(&self) -> String;

    /// Called once, before the first interval.
    ///
    /// # Errors
    /// When it cannot begin; it is given the intervals all the same.
    async fn begin(&mut self) -> Result<(), SinkError> {
        Ok(())
    }

    /// Takes an interval. How many figures of it had to be left out, because there are more than the sink's bound, or
    /// two have the same name there.
    ///
    /// # Errors
    /// When the interval did not arrive. It is not given again.
    async fn take(&mut self, interval: &Interval) -> Result<u64, SinkError>;

    /// Called once, after the last interval. The time for it is bounded by the [`Fan`](crate::Fan).
    async fn end(&mut self) {}
}

/// Why a sink did not take an interval, or cannot be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkError(String);

impl SinkError {
    /// An error that says what happened and, if possible, what to do.
    pub fn new(message: impl Into<String>) -> SinkError {
        SinkError(message.into())
    }
}

impl fmt::Display for SinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SinkError {}

/// What a run is called in all that goes out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunLabels {
    /// The run's id.
    pub run: String,
    /// The scenario's name.
    pub scenario: String,
    /// The server under test, as the user wrote it.
    pub target: String,
    /// The run's seed.
    pub seed: String,
    /// The client binary's version.
    pub version: String,
}
