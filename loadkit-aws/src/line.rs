//! A worker's line over a table and a queue.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use loadkit_worker::{Beat, Claim, Job, Line, LineError, Phase, StoreError, StoreLine, WorkerEnd, WorkerStatus};

use crate::{Client, Config, ConfigError, DynamoDb, Sqs};

/// The line over the table of this name and the queue at this URL, with the region and the credentials of the environment. Its
/// clock is AWS's own.
///
/// # Errors
/// See [`ConfigError`].
pub fn line(table: &str, queue: &str) -> Result<AwsLine, ConfigError> {
    Ok(AwsLine::new(&Client::new(Config::from_env()?), table, queue))
}

/// A worker's line over a table and a queue. It claims nothing in a table of another version than this build writes: its first
/// claim looks, with one read.
#[derive(Debug)]
pub struct AwsLine {
    table: DynamoDb,
    line: StoreLine,
    is_of_this_version: AtomicBool,
}

impl AwsLine {
    /// Over this table and this queue.
    pub fn new(client: &Client, table: &str, queue: &str) -> AwsLine {
        let (table, outbox) = (DynamoDb::new(client.clone(), table), Sqs::new(client.clone(), queue));
        let line = StoreLine::new(Arc::new(table.clone()), Arc::new(outbox), Arc::new(client.clock()));
        AwsLine { table, line, is_of_this_version: AtomicBool::new(false) }
    }

    async fn check_version(&self) -> Result<(), LineError> {
        if self.is_of_this_version.load(Ordering::Relaxed) {
            return Ok(());
        }
        match self.table.another_version().await {
            Ok(None) => {
                self.is_of_this_version.store(true, Ordering::Relaxed);
                Ok(())
            }
            // The next time will be no better.
            Ok(Some(why)) => Err(LineError::Refused(why)),
            Err(error @ StoreError::Malformed { .. }) => Err(LineError::Refused(error.to_string())),
            Err(error) => Err(error.into()),
        }
    }
}

#[async_trait]
impl Line for AwsLine {
    async fn claim(&self, job: &Job, status: &WorkerStatus) -> Result<Claim, LineError> {
        self.check_version().await?;
        self.line.claim(job, status).await
    }

    async fn beat(&self, job: &Job, phase: Phase, status: &WorkerStatus) -> Result<Beat, LineError> {
        self.line.beat(job, phase, status).await
    }

    async fn report(&self, job: &Job, texts: &[String]) -> Result<usize, LineError> {
        self.line.report(job, texts).await
    }

    async fn close(&self, job: &Job, status: &WorkerStatus, end: &WorkerEnd) -> Result<(), LineError> {
        self.line.close(job, status, end).await
    }
}
