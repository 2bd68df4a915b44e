//! `Key -> Item`: the little that the fleet asks of a database, so that DynamoDB and a file can both be it.
//!
//! **All state of a run is in the store; every change that depends on what was there names the version it depends on.** Items
//! lie in partitions, sorted by the second half of their key. Whoever loses a race gets [`StoreError::Conflict`] with what
//! is there now. There are no transactions and no queries but by key.

mod memory;

use std::fmt;

use async_trait::async_trait;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use memory::MemoryStore;

/// No body is longer: DynamoDB takes 400 KB an item, its names included. Longer values are [`blob`]s.
pub const MAX_BODY: usize = 350_000;

/// No partition's name is longer, bytes: DynamoDB's bound.
const MAX_PART: usize = 2_048;
/// No sort key is longer, bytes: DynamoDB's bound.
const MAX_SORT: usize = 1_024;

/// Where an item lies.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The partition: what is written often must be spread over several.
    pub part: String,
    /// The place within it.
    pub sort: String,
}

impl Key {
    /// A key of these halves.
    pub fn new(part: impl Into<String>, sort: impl Into<String>) -> Key {
        Key { part: part.into(), sort: sort.into() }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.part, self.sort)
    }
}

/// A value with its version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Where it lies.
    pub key: Key,
    /// Counts its changes, from 1. The store sets it.
    pub version: u64,
    /// The value.
    pub body: Vec<u8>,
    /// When it may be forgotten, seconds since 1970. Until somebody does, it may still be found.
    pub expires_s: Option<u64>,
}

impl Item {
    /// An item to be put.
    pub fn new(key: Key, body: impl Into<Vec<u8>>) -> Item {
        Item { key, version: 0, body: body.into(), expires_s: None }
    }

    /// The same, which may be forgotten then, seconds since 1970.
    #[must_use]
    pub fn expiring(self, expires_s: u64) -> Item {
        Item { expires_s: Some(expires_s), ..self }
    }
}

/// On what a change depends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// On nothing.
    Any,
    /// There must be no such item.
    Absent,
    /// It must be of this version.
    Version(u64),
}

/// Some items of a partition, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The items.
    pub items: Vec<Item>,
    /// There may be more behind this sort key: ask again with it as `after`.
    pub more: Option<String>,
}

/// Why the store did not do it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// Somebody else was faster. This is what is there now.
    Conflict(Option<Box<Item>>),
    /// A body is longer than [`MAX_BODY`].
    TooLarge {
        /// Whose.
        key: Key,
        /// How long it is.
        bytes: usize,
    },
    /// The store is asked for more than it gives at a time; it was tried again for a while.
    Throttled(String),
    /// The store cannot be reached or refuses, in its own words.
    Failed(String),
    /// What lies there is not what should: written by another version, or by somebody else.
    Malformed {
        /// Where.
        key: Key,
        /// What is wrong.
        why: String,
    },
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreError::Conflict(Some(item)) => write!(f, "{} was changed by somebody else", item.key),
            StoreError::Conflict(None) => f.write_str("the item is gone"),
            StoreError::TooLarge { key, bytes } => {
                write!(f, "{key} has {bytes} bytes, and an item holds at most {MAX_BODY}")
            }
            StoreError::Throttled(why) => write!(f, "the store is asked for more than it gives: {why}"),
            StoreError::Failed(why) => write!(f, "the store does not do it: {why}"),
            StoreError::Malformed { key, why } => write!(f, "{key} cannot be read: {why}"),
        }
    }
}

impl std::error::Error for StoreError {}

/// A store. All implementations pass one suite of tests.
#[async_trait]
pub trait Store: Send + Sync + fmt::Debug {
    /// The item at this key, as it is after all writes that have been answered.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn get(&self, key: &Key) -> Result<Option<Item>, StoreError>;

    /// Puts an item; its new version. With [`Expect::Absent`] that is 1, otherwise one more than it was.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if it is not as expected.
    async fn put(&self, item: Item, expect: Expect) -> Result<u64, StoreError>;

    /// Puts many items that depend on nothing, in any order. After an error some may be there: put them all again. Their
    /// version is 1.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn put_all(&self, items: Vec<Item>) -> Result<(), StoreError>;

    /// Items of a partition whose sort keys start with `prefix` and are behind `after`, at most `limit` of them, in order.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn list(&self, part: &str, prefix: &str, after: Option<&str>, limit: usize) -> Result<Page, StoreError>;

    /// Forgets these items; those that are not there are forgotten already.
    ///
    /// # Errors
    /// See [`StoreError`].
    async fn delete_all(&self, keys: Vec<Key>) -> Result<(), StoreError>;
}

/// Refuses what is no item of any store: whoever implements [`Store`] asks it first.
///
/// # Errors
/// [`StoreError::TooLarge`] for its body, [`StoreError::Malformed`] for its key.
pub fn check_item(item: &Item) -> Result<(), StoreError> {
    let Item { key, body, .. } = item;
    if body.len() > MAX_BODY {
        return Err(StoreError::TooLarge { key: key.clone(), bytes: body.len() });
    }
    for (half, bytes, most) in [("partition", key.part.len(), MAX_PART), ("sort key", key.sort.len(), MAX_SORT)] {
        if bytes == 0 || bytes > most {
            let why = format!("its {half} has {bytes} bytes, and must have 1 to {most}");
            return Err(StoreError::Malformed { key: key.clone(), why });
        }
    }
    Ok(())
}

/// Reads a value in JSON, with its version.
///
/// # Errors
/// See [`StoreError`].
pub async fn get_json<T: DeserializeOwned>(store: &dyn Store, key: &Key) -> Result<Option<(T, u64)>, StoreError> {
    let Some(item) = store.get(key).await? else { return Ok(None) };
    let value = serde_json::from_slice(&item.body)
        .map_err(|error| StoreError::Malformed { key: key.clone(), why: error.to_string() })?;
    Ok(Some((value, item.version)))
}

/// Puts a value in JSON; its new version.
///
/// # Errors
/// See [`StoreError`].
pub async fn put_json<T: Serialize + Sync>(
    store: &dyn Store,
    key: Key,
    value: &T,
    expect: Expect,
) -> Result<u64, StoreError> {
    let body = serde_json::to_vec(value)
        .map_err(|error| StoreError::Malformed { key: key.clone(), why: error.to_string() })?;
    store.put(Item::new(key, body), expect).await
}

pub mod blob {
    //! Values of any length, in several items.
    //!
    //! A blob is an item that says how many parts there are, put last, and the parts, named by a tag that is new each time:
    //! whoever reads sees the old value or the new one. **Each part has a partition of its own**, so that a long value is not
    //! more than a partition takes in a second.

    use serde::{Deserialize, Serialize};

    use super::{Expect, Item, Key, Store, StoreError, get_json, put_json};

    /// Bytes of a part: a fifth of what a partition takes in a second, and as much again when it is forgotten.
    const PART: usize = 200_000;
    /// No blob has more parts.
    const MAX_PARTS: usize = 900;

    #[derive(Debug, Serialize, Deserialize)]
    struct Head {
        tag: u64,
        parts: usize,
        bytes: usize,
        /// Each part has a partition of its own; before, all lay in that of the head.
        #[serde(default)]
        spread: bool,
    }

    impl Head {
        fn part(&self, key: &Key, part: usize) -> Key {
            let Key { part: partition, sort } = key;
            let tag = self.tag;
            if self.spread {
                Key::new(format!("{partition}/{sort}~{part:04}"), format!("{tag:016x}"))
            } else {
                Key::new(partition.clone(), format!("{sort}~{tag:016x}~{part:04}"))
            }
        }
    }

    /// Puts a value; the parts of the one before are forgotten.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn put(store: &dyn Store, key: &Key, bytes: &[u8], expires_s: Option<u64>) -> Result<(), StoreError> {
        let parts = bytes.len().div_ceil(PART);
        if parts > MAX_PARTS {
            return Err(StoreError::TooLarge { key: key.clone(), bytes: bytes.len() });
        }
        let before = get_json::<Head>(store, key).await?;
        let tag = before.as_ref().map_or(0, |(head, _)| head.tag.wrapping_add(1));
        let head = Head { tag, parts, bytes: bytes.len(), spread: true };
        let items = bytes.chunks(PART).enumerate();
        let items = items.map(|(i, part)| Item { expires_s, ..Item::new(head.part(key, i), part) }).collect();
        store.put_all(items).await?;
        let expect = before.as_ref().map_or(Expect::Absent, |(_, version)| Expect::Version(*version));
        put_json(store, key.clone(), &head, expect).await?;
        if let Some((old, _)) = before {
            let keys = (0..old.parts.min(MAX_PARTS)).map(|i| old.part(key, i)).collect();
            store.delete_all(keys).await?;
        }
        Ok(())
    }

    /// Reads a value.
    ///
    /// # Errors
    /// See [`StoreError`]; also if it changed on the way.
    pub async fn get(store: &dyn Store, key: &Key) -> Result<Option<Vec<u8>>, StoreError> {
        let Some((head, _)) = get_json::<Head>(store, key).await? else { return Ok(None) };
        let torn = |why: &str| StoreError::Malformed { key: key.clone(), why: why.to_owned() };
        if head.parts > MAX_PARTS || head.bytes > MAX_PARTS * PART {
            return Err(torn("it says that it is longer than anything may be"));
        }
        let mut bytes = Vec::with_capacity(head.bytes);
        for i in 0..head.parts {
            let part = store.get(&head.part(key, i)).await?.ok_or_else(|| torn("a part is missing"))?;
            bytes.extend_from_slice(&part.body);
        }
        if bytes.len() == head.bytes { Ok(Some(bytes)) } else { Err(torn("its parts have another length")) }
    }
}
