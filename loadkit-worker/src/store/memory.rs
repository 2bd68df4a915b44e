//! A store that lives as long as the process: for tests, simulations, and runs that nobody asks about later.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;

use super::{Expect, Item, Key, Page, Store, StoreError, check_size};

/// Items in memory.
#[derive(Debug, Default)]
pub struct MemoryStore(Mutex<BTreeMap<Key, Item>>);

impl MemoryStore {
    /// An empty one.
    pub fn new() -> MemoryStore {
        MemoryStore::default()
    }

    fn items(&self) -> std::sync::MutexGuard<'_, BTreeMap<Key, Item>> {
        // Nothing panics while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn get(&self, key: &Key) -> Result<Option<Item>, StoreError> {
        Ok(self.items().get(key).cloned())
    }

    async fn put(&self, item: Item, expect: Expect) -> Result<u64, StoreError> {
        check_size(&item)?;
        let mut items = self.items();
        let there = items.get(&item.key);
        let version = there.map_or(0, |there| there.version);
        let expected = match expect {
            Expect::Any => true,
            Expect::Absent => there.is_none(),
            Expect::Version(wanted) => there.is_some() && version == wanted,
        };
        if !expected {
            return Err(StoreError::Conflict(there.cloned().map(Box::new)));
        }
        items.insert(item.key.clone(), Item { version: version + 1, ..item });
        Ok(version + 1)
    }

    async fn put_all(&self, all: Vec<Item>) -> Result<(), StoreError> {
        all.iter().try_for_each(check_size)?;
        let mut items = self.items();
        items.extend(all.into_iter().map(|item| (item.key.clone(), Item { version: 1, ..item })));
        Ok(())
    }

    async fn list(&self, part: &str, prefix: &str, after: Option<&str>, limit: usize) -> Result<Page, StoreError> {
        let items = self.items();
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded(Key::new(part, after)),
            _ => Bound::Included(Key::new(part, prefix)),
        };
        let behind = items.range((from, Bound::Unbounded));
        let mut found = behind.take_while(|(key, _)| key.part == part && key.sort.starts_with(prefix));
        let page: Vec<Item> = found.by_ref().take(limit).map(|(_, item)| item.clone()).collect();
        let more = found.next().and_then(|_| page.last()).map(|last| last.key.sort.clone());
        Ok(Page { items: page, more })
    }

    async fn delete_all(&self, keys: Vec<Key>) -> Result<(), StoreError> {
        let mut items = self.items();
        keys.iter().for_each(|key| drop(items.remove(key)));
        Ok(())
    }
}
