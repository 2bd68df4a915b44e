//! A worker's line over a table and a queue.

use std::sync::Arc;

use loadkit_worker::StoreLine;

use crate::{Client, Config, ConfigError, DynamoDb, Sqs};

/// The line over the table of this name and the queue at this URL, with the region and the credentials of the environment. Its
/// clock is AWS's own.
///
/// # Errors
/// See [`ConfigError`].
pub fn line(table: &str, queue: &str) -> Result<StoreLine, ConfigError> {
    let client = Client::new(Config::from_env()?);
    let clock = Arc::new(client.clock());
    let store = Arc::new(DynamoDb::new(client.clone(), table));
    Ok(StoreLine::new(store, Arc::new(Sqs::new(client, queue)), clock))
}
