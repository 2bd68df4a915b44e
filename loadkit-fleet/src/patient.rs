//! A store that is asked again when it is asked for too much: with full jitter, so that those who wait do not come together.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use loadkit_worker::{Expect, Item, Key, Page, Store, StoreError};
use rand::RngExt as _;

/// So often it is asked.
const TRIES: u32 = 6;
/// The longest of the first pauses; each further one may be twice as long.
const FIRST: Duration = Duration::from_millis(50);

/// Another store, asked patiently.
#[derive(Clone, Debug)]
pub(crate) struct Patient(pub(crate) Arc<dyn Store>);

/// Asks until it is not throttled, or for the last time.
macro_rules! patiently {
    ($call:expr) => {{
        let mut tries = 1;
        loop {
            match $call.await {
                Err(StoreError::Throttled(_)) if tries < TRIES => pause(tries).await,
                answer => return answer,
            }
            tries += 1;
        }
    }};
}

async fn pause(tries: u32) {
    let longest = FIRST * 2_u32.saturating_pow(tries - 1);
    let pause = longest.mul_f64(rand::rng().random());
    tokio::time::sleep(pause).await;
}

#[async_trait]
impl Store for Patient {
    async fn get(&self, key: &Key) -> Result<Option<Item>, StoreError> {
        patiently!(self.0.get(key))
    }

    async fn put(&self, item: Item, expect: Expect) -> Result<u64, StoreError> {
        patiently!(self.0.put(item.clone(), expect))
    }

    async fn put_all(&self, items: Vec<Item>) -> Result<(), StoreError> {
        patiently!(self.0.put_all(items.clone()))
    }

    async fn list(&self, part: &str, prefix: &str, after: Option<&str>, limit: usize) -> Result<Page, StoreError> {
        patiently!(self.0.list(part, prefix, after, limit))
    }

    async fn delete_all(&self, keys: Vec<Key>) -> Result<(), StoreError> {
        patiently!(self.0.delete_all(keys.clone()))
    }
}
