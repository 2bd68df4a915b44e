//! A store that counts what it is asked for, by partition and second, and has its moods.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use async_trait::async_trait;
use loadkit_worker::{Expect, Item, Key, MemoryStore, Page, Store, StoreError};

/// What the store does to whoever asks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Weather {
    /// Every so-many-th call is throttled; 0 for none.
    pub throttles_every: u64,
}

/// A store that can be exchanged for another: at first, memory.
#[derive(Debug)]
pub struct Moving(RwLock<Arc<dyn Store>>);

impl Default for Moving {
    fn default() -> Moving {
        Moving(RwLock::new(Arc::new(MemoryStore::new())))
    }
}

impl Moving {
    fn now(&self) -> Arc<dyn Store> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait]
impl Store for Moving {
    async fn get(&self, key: &Key) -> Result<Option<Item>, StoreError> {
        self.now().get(key).await
    }

    async fn put(&self, item: Item, expect: Expect) -> Result<u64, StoreError> {
        self.now().put(item, expect).await
    }

    async fn put_all(&self, items: Vec<Item>) -> Result<(), StoreError> {
        self.now().put_all(items).await
    }

    async fn list(&self, part: &str, prefix: &str, after: Option<&str>, limit: usize) -> Result<Page, StoreError> {
        self.now().list(part, prefix, after, limit).await
    }

    async fn delete_all(&self, keys: Vec<Key>) -> Result<(), StoreError> {
        self.now().delete_all(keys).await
    }
}

impl Metered<Moving> {
    /// Takes all that was ever written to another store and goes on there. Nobody writes meanwhile; versions begin anew.
    ///
    /// # Errors
    /// Those of the stores.
    pub async fn move_to(&self, store: Arc<dyn Store>) -> Result<(), StoreError> {
        let parts: Vec<String> = self.counts().by_part.keys().cloned().collect();
        for part in parts {
            let mut after: Option<String> = None;
            loop {
                let page = self.store.list(&part, "", after.as_deref(), 200).await?;
                store.put_all(page.items).await?;
                after = page.more;
                if after.is_none() {
                    break;
                }
            }
        }
        *self.store.0.write().unwrap_or_else(PoisonError::into_inner) = store;
        Ok(())
    }
}

/// Counts another store's work.
#[derive(Debug)]
pub struct Metered<S> {
    store: S,
    weather: Weather,
    began: tokio::time::Instant,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    calls: u64,
    /// Write units, by the kind of the partition.
    units: BTreeMap<String, f64>,
    by_part: BTreeMap<String, Hot>,
    read_units: f64,
}

/// Write units of a partition: in its latest second, and the most of any.
#[derive(Debug, Default)]
struct Hot {
    second: u64,
    units: f64,
    most: f64,
}

impl<S> Metered<S> {
    pub(super) fn new(store: S, weather: Weather) -> Metered<S> {
        Metered { store, weather, began: tokio::time::Instant::now(), counts: Mutex::default() }
    }

    fn counts(&self) -> std::sync::MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn call(&self) -> Result<(), StoreError> {
        let mut counts = self.counts();
        counts.calls += 1;
        let every = self.weather.throttles_every;
        if every > 0 && counts.calls.is_multiple_of(every) {
            return Err(StoreError::Throttled("ProvisionedThroughputExceededException".into()));
        }
        Ok(())
    }

    /// DynamoDB counts a write unit for each KiB begun of an item.
    fn wrote(&self, item: &Item) {
        let units = (item.body.len() + item.key.part.len() + item.key.sort.len() + 30).div_ceil(1_024) as f64;
        let second = self.began.elapsed().as_secs();
        let mut counts = self.counts();
        let kind = item.key.part.split('/').next().unwrap_or_default().to_owned();
        *counts.units.entry(kind).or_default() += units;
        let hot = counts.by_part.entry(item.key.part.clone()).or_default();
        hot.units = if hot.second == second { hot.units + units } else { units };
        (hot.second, hot.most) = (second, hot.most.max(hot.units));
    }

    fn read(&self, bytes: usize) {
        self.counts().read_units += bytes.div_ceil(4_096).max(1) as f64;
    }

    /// The most write units of any partition in a second, by the kind of partition.
    pub fn hottest(&self) -> BTreeMap<String, (f64, String)> {
        let mut hottest: BTreeMap<String, (f64, String)> = BTreeMap::new();
        for (part, hot) in &self.counts().by_part {
            let kind = part.split('/').next().unwrap_or_default().to_owned();
            let most = hottest.entry(kind).or_default();
            if hot.most > most.0 {
                *most = (hot.most, part.clone());
            }
        }
        hottest
    }

    /// Write units in all, by the kind of partition.
    pub fn write_units(&self) -> BTreeMap<String, f64> {
        self.counts().units.clone()
    }

    /// Read units in all.
    pub fn read_units(&self) -> f64 {
        self.counts().read_units
    }
}

#[async_trait]
impl<S: Store> Store for Metered<S> {
    async fn get(&self, key: &Key) -> Result<Option<Item>, StoreError> {
        self.call()?;
        let item = self.store.get(key).await?;
        self.read(item.as_ref().map_or(0, |item| item.body.len()));
        Ok(item)
    }

    async fn put(&self, item: Item, expect: Expect) -> Result<u64, StoreError> {
        self.call()?;
        self.wrote(&item);
        self.store.put(item, expect).await
    }

    async fn put_all(&self, items: Vec<Item>) -> Result<(), StoreError> {
        self.call()?;
        items.iter().for_each(|item| self.wrote(item));
        self.store.put_all(items).await
    }

    async fn list(&self, part: &str, prefix: &str, after: Option<&str>, limit: usize) -> Result<Page, StoreError> {
        self.call()?;
        let page = self.store.list(part, prefix, after, limit).await?;
        self.read(page.items.iter().map(|item| item.body.len()).sum());
        Ok(page)
    }

    async fn delete_all(&self, keys: Vec<Key>) -> Result<(), StoreError> {
        self.call()?;
        self.store.delete_all(keys).await
    }
}
