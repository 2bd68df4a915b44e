//! The file: items by key, and keys by when they may be forgotten.

use std::ops::Bound;
use std::path::Path;

use loadkit_worker::{Expect, Item, Key, Page, StoreError};
use redb::{Builder, Database, DatabaseError, ReadableTable, Table, TableDefinition};

use super::Change;

/// The version of what is in the file.
const SCHEMA: u64 = 1;
/// Pages kept in memory, bytes.
const CACHE: usize = 64 << 20;
/// Version and end, eight bytes each, stand before a body.
const HEAD: usize = 16;
/// The end of what does not end.
const NEVER: u64 = u64::MAX;

type Items<'t> = Table<'t, (&'static str, &'static str), &'static [u8]>;
type Ends<'t> = Table<'t, (u64, &'static str, &'static str), ()>;

const META: TableDefinition<&str, u64> = TableDefinition::new("meta");
const ITEMS: TableDefinition<(&str, &str), &[u8]> = TableDefinition::new("items");
const ENDS: TableDefinition<(u64, &str, &str), ()> = TableDefinition::new("ends");

/// Why the file cannot be opened.
#[derive(Debug)]
pub(super) enum OpenError {
    /// Another has it.
    Taken,
    /// It is of another version.
    Version(u64),
    /// In redb's or the system's words.
    Failed(String),
}

impl OpenError {
    pub(super) fn words(&self, path: &Path) -> String {
        let path = path.display();
        match self {
            OpenError::Taken => format!(
                "{path} is open in another process, and only one can have it: end the fleet that runs there, or give this one \
                 another directory"
            ),
            OpenError::Version(version) => format!(
                "{path} is of version {version}, and this build knows {SCHEMA}: use the build of loadkit that wrote it, or \
                 another directory"
            ),
            OpenError::Failed(why) => format!("{path} cannot be opened: {why}"),
        }
    }
}

pub(super) struct File(Database);

fn failed(error: impl Into<redb::Error>) -> StoreError {
    StoreError::Failed(error.into().to_string())
}

fn boxed(error: impl Into<redb::Error>) -> Box<redb::Error> {
    Box::new(error.into())
}

impl File {
    pub(super) fn open(path: &Path) -> Result<File, OpenError> {
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory).map_err(|error| OpenError::Failed(error.to_string()))?;
        }
        let mut builder = Builder::new();
        let opened = builder.set_cache_size(CACHE).create_with_file_format_v3(true).create(path);
        let file = match opened {
            Ok(file) => File(file),
            Err(DatabaseError::DatabaseAlreadyOpen) => return Err(OpenError::Taken),
            Err(error) => return Err(OpenError::Failed(error.to_string())),
        };
        match file.version().map_err(|error| OpenError::Failed(error.to_string()))? {
            SCHEMA => Ok(file),
            other => Err(OpenError::Version(other)),
        }
    }

    /// The version of what is in it: in a new file, this build's.
    fn version(&self) -> Result<u64, Box<redb::Error>> {
        let writing = self.0.begin_write().map_err(boxed)?;
        let version = {
            let mut meta = writing.open_table(META).map_err(boxed)?;
            let there = meta.get("schema").map_err(boxed)?.map(|there| there.value());
            if there.is_none() {
                meta.insert("schema", SCHEMA).map_err(boxed)?;
            }
            there.unwrap_or(SCHEMA)
        };
        // So that they are there for whoever reads.
        if version == SCHEMA {
            writing.open_table(ITEMS).map_err(boxed)?;
            writing.open_table(ENDS).map_err(boxed)?;
        }
        writing.commit().map_err(boxed)?;
        Ok(version)
    }

    pub(super) fn get(&self, key: &Key) -> Result<Option<Item>, StoreError> {
        let reading = self.0.begin_read().map_err(failed)?;
        let items = reading.open_table(ITEMS).map_err(failed)?;
        let there = items.get((key.part.as_str(), key.sort.as_str())).map_err(failed)?;
        there.map(|there| read(key.clone(), there.value())).transpose()
    }

    pub(super) fn list(&self, part: &str, prefix: &str, after: Option<&str>, limit: usize) -> Result<Page, StoreError> {
        let reading = self.0.begin_read().map_err(failed)?;
        let items = reading.open_table(ITEMS).map_err(failed)?;
        let from = after.map_or(Bound::Included((part, prefix)), |after| Bound::Excluded((part, after)));
        let found = items.range::<(&str, &str)>((from, Bound::Unbounded)).map_err(failed)?;
        let mut page = Page::default();
        for found in found {
            let (key, value) = found.map_err(failed)?;
            let (its_part, sort) = key.value();
            if its_part != part || !sort.starts_with(prefix) {
                break;
            }
            if page.items.len() >= limit {
                page.more = page.items.last().map(|last| last.key.sort.clone());
                break;
            }
            page.items.push(read(Key::new(part, sort), value.value())?);
        }
        Ok(page)
    }

    /// Items that may be forgotten by then, with their ends; at most so many.
    pub(super) fn over(&self, now_s: u64, most: usize) -> Result<Vec<(u64, Key)>, StoreError> {
        let reading = self.0.begin_read().map_err(failed)?;
        let ends = reading.open_table(ENDS).map_err(failed)?;
        let over = ends.range::<(u64, &str, &str)>(..(now_s.saturating_add(1), "", "")).map_err(failed)?;
        let mut keys = Vec::new();
        for found in over.take(most) {
            let (key, _) = found.map_err(failed)?;
            let (end, part, sort) = key.value();
            keys.push((end, Key::new(part, sort)));
        }
        Ok(keys)
    }

    /// Writes changes together, one after the other. What becomes of each is known when the disk has all of them.
    pub(super) fn write(&self, changes: Vec<Change>) -> Result<Vec<Result<u64, StoreError>>, StoreError> {
        let writing = self.0.begin_write().map_err(failed)?;
        let done = {
            let items = writing.open_table(ITEMS).map_err(failed)?;
            let ends = writing.open_table(ENDS).map_err(failed)?;
            let mut tables = Tables { items, ends, bytes: Vec::new() };
            changes.into_iter().map(|change| tables.apply(change)).collect::<Result<_, _>>().map_err(failed)?
        };
        writing.commit().map_err(failed)?;
        Ok(done)
    }
}

/// The tables while they are written.
struct Tables<'t> {
    items: Items<'t>,
    ends: Ends<'t>,
    bytes: Vec<u8>,
}

impl Tables<'_> {
    /// Applies a change. The outer error is the file's, the inner one the asker's.
    fn apply(&mut self, change: Change) -> Result<Result<u64, StoreError>, redb::StorageError> {
        match change {
            Change::Put(item, expect) => return self.put(item, expect),
            Change::PutAll(items) => items.into_iter().try_for_each(|item| self.set(&Item { version: 1, ..item }))?,
            Change::Delete(keys) => keys.iter().try_for_each(|key| self.remove(key))?,
            Change::Purge(over) => {
                let mut purged = 0;
                for (end, key) in over {
                    // It may have been put again since, with another end.
                    if self.ends.get((end, key.part.as_str(), key.sort.as_str()))?.is_some() {
                        self.remove(&key)?;
                        purged += 1;
                    }
                }
                return Ok(Ok(purged));
            }
        }
        Ok(Ok(0))
    }

    fn put(&mut self, item: Item, expect: Expect) -> Result<Result<u64, StoreError>, redb::StorageError> {
        let there = self.items.get((item.key.part.as_str(), item.key.sort.as_str()))?;
        let there = there.map(|there| read(item.key.clone(), there.value())).transpose();
        let there = match there {
            Ok(there) => there,
            Err(malformed) => return Ok(Err(malformed)),
        };
        let version = there.as_ref().map(|there| there.version);
        let expected = match expect {
            Expect::Any => true,
            Expect::Absent => version.is_none(),
            Expect::Version(wanted) => version == Some(wanted),
        };
        if !expected {
            return Ok(Err(StoreError::Conflict(there.map(Box::new))));
        }
        let version = version.unwrap_or(0) + 1;
        self.set(&Item { version, ..item })?;
        Ok(Ok(version))
    }

    fn set(&mut self, item: &Item) -> Result<(), redb::StorageError> {
        let (part, sort) = (item.key.part.as_str(), item.key.sort.as_str());
        let end = item.expires_s.unwrap_or(NEVER);
        self.bytes.clear();
        self.bytes.extend_from_slice(&item.version.to_le_bytes());
        self.bytes.extend_from_slice(&end.to_le_bytes());
        self.bytes.extend_from_slice(&item.body);
        let before = self.items.insert((part, sort), self.bytes.as_slice())?;
        let ended = before.and_then(|before| end_of(before.value())).unwrap_or(NEVER);
        if ended != end && ended != NEVER {
            self.ends.remove((ended, part, sort))?;
        }
        if ended != end && end != NEVER {
            self.ends.insert((end, part, sort), ())?;
        }
        Ok(())
    }

    fn remove(&mut self, key: &Key) -> Result<(), redb::StorageError> {
        let (part, sort) = (key.part.as_str(), key.sort.as_str());
        let ended = self.items.remove((part, sort))?.and_then(|before| end_of(before.value()));
        if let Some(end) = ended.filter(|end| *end != NEVER) {
            self.ends.remove((end, part, sort))?;
        }
        Ok(())
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes)
}

fn end_of(bytes: &[u8]) -> Option<u64> {
    number(bytes, 8)
}

fn read(key: Key, bytes: &[u8]) -> Result<Item, StoreError> {
    match (number(bytes, 0), end_of(bytes), bytes.get(HEAD..)) {
        (Some(version), Some(end), Some(body)) => {
            Ok(Item { key, version, body: body.to_vec(), expires_s: Some(end).filter(|end| *end != NEVER) })
        }
        _ => Err(StoreError::Malformed { key, why: "it is cut short".into() }),
    }
}
