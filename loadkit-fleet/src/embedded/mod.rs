//! A store in one file: what a fleet on one machine has in place of DynamoDB.
//!
//! **Nothing that was answered is lost**, whether the process dies or the machine: an answer comes after the disk has it. What
//! is asked while the disk is busy is written together, so that many writers wait for one sync and not for one each. After
//! a crash the file is checked when it is opened, which reads it once.
//!
//! The file is [redb]'s (format 3): B-trees with copy on write. It does not shrink; room that was freed is used again.
//!
//! [redb]: https://www.redb.org

mod file;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use loadkit_worker::{Expect, Item, Key, Page, Store, StoreError, check_item};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};

use file::File;

/// The file in the store's directory.
const FILE: &str = "fleet.redb";
/// Changes that wait; whoever comes then waits too.
const MAX_WAITING: usize = 1_024;
/// Changes that are written together.
const MAX_TOGETHER: usize = 256;
/// Bytes of bodies that are written together, but for the last change of them.
const MAX_TOGETHER_BYTES: usize = 16 << 20;
/// A process that is about to end gets so long to let go of the file.
const HANDOVER: Duration = Duration::from_secs(2);
/// So often is tried again meanwhile.
const AGAIN: Duration = Duration::from_millis(20);
/// Items that are purged at a time.
const PURGED_AT_ONCE: usize = 2_000;

/// A store in one file. Clones share it. No other process can have it.
#[derive(Clone, Debug)]
pub struct EmbeddedStore(Arc<Shared>);

struct Shared {
    file: File,
    path: PathBuf,
    waiting: Mutex<Waiting>,
    room: Arc<Semaphore>,
}

#[derive(Default)]
struct Waiting {
    asked: Vec<Asked>,
    /// Somebody is writing, and will write these too.
    busy: bool,
}

/// A change of what is in the store.
enum Change {
    Put(Item, Expect),
    PutAll(Vec<Item>),
    Delete(Vec<Key>),
    /// These, if they still end then.
    Purge(Vec<(u64, Key)>),
}

struct Asked {
    change: Change,
    answer: oneshot::Sender<Result<u64, StoreError>>,
    /// Its place in the queue.
    _room: tokio::sync::OwnedSemaphorePermit,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("path", &self.path).finish_non_exhaustive()
    }
}

impl EmbeddedStore {
    /// The store in this directory, which is made if it is not there.
    ///
    /// # Errors
    /// [`StoreError::Failed`], also if another process has it.
    pub async fn open(directory: &Path) -> Result<EmbeddedStore, StoreError> {
        let path = directory.join(FILE);
        let began = Instant::now();
        loop {
            let opening = path.clone();
            match blocking(move || File::open(&opening)).await? {
                Err(file::OpenError::Taken) if began.elapsed() < HANDOVER => sleep(AGAIN).await,
                Err(error) => return Err(StoreError::Failed(error.words(&path))),
                Ok(file) => {
                    let (waiting, room) = (Mutex::default(), Arc::new(Semaphore::new(MAX_WAITING)));
                    return Ok(EmbeddedStore(Arc::new(Shared { file, path, waiting, room })));
                }
            }
        }
    }

    /// Forgets what may be forgotten by now, seconds since 1970; how many items that were.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn purge(&self, now_s: u64) -> Result<u64, StoreError> {
        let mut purged = 0;
        loop {
            let shared = self.0.clone();
            let over = blocking(move || shared.file.over(now_s, PURGED_AT_ONCE)).await??;
            if over.is_empty() {
                return Ok(purged);
            }
            purged += self.change(Change::Purge(over)).await?;
        }
    }

    /// Has a change written, together with what others want changed.
    async fn change(&self, change: Change) -> Result<u64, StoreError> {
        let closed = || StoreError::Failed("the store was closed meanwhile".into());
        let room = self.0.room.clone().acquire_owned().await.map_err(|_| closed())?;
        let (answer, answered) = oneshot::channel();
        let first = {
            let mut waiting = self.0.waiting();
            waiting.asked.push(Asked { change, answer, _room: room });
            !std::mem::replace(&mut waiting.busy, true)
        };
        if first {
            // It ends when nothing waits any more. Nobody has to wait for it.
            let writer = Writer(Some(self.0.clone()));
            drop(spawn_blocking(move || writer.write()));
        }
        answered.await.map_err(|_| closed())?
    }
}

impl Shared {
    fn waiting(&self) -> std::sync::MutexGuard<'_, Waiting> {
        // Nothing panics while it is held.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is to be written next. None if nothing is, and then nobody writes any more.
    fn next(&self) -> Option<Vec<Asked>> {
        let mut waiting = self.waiting();
        let mut bytes = 0;
        let fits = |asked: &Asked| {
            let fits = bytes < MAX_TOGETHER_BYTES;
            bytes += asked.change.bytes();
            fits
        };
        let count = waiting.asked.iter().take(MAX_TOGETHER).map(fits).take_while(|fits| *fits).count();
        waiting.busy = count > 0;
        waiting.busy.then(|| waiting.asked.drain(..count).collect())
    }
}

impl Change {
    fn bytes(&self) -> usize {
        match self {
            Change::Put(item, _) => item.body.len(),
            Change::PutAll(items) => items.iter().map(|item| item.body.len()).sum(),
            Change::Delete(_) | Change::Purge(_) => 0,
        }
    }
}

/// Writes as long as something waits. If it never begins, because the runtime ends, those who wait are told.
struct Writer(Option<Arc<Shared>>);

impl Writer {
    fn write(mut self) {
        let Some(shared) = self.0.take() else { return };
        let guard = Writer(Some(shared.clone()));
        while let Some(asked) = shared.next() {
            let (changes, answers): (Vec<Change>, Vec<_>) =
                asked.into_iter().map(|asked| (asked.change, (asked.answer, asked._room))).unzip();
            match shared.file.write(changes) {
                Ok(done) => {
                    for ((answer, _), done) in answers.into_iter().zip(done) {
                        // Who does not wait any more has it done all the same.
                        let _ = answer.send(done);
                    }
                }
                Err(error) => answers.into_iter().for_each(|(answer, _)| drop(answer.send(Err(error.clone())))),
            }
        }
        guard.done();
    }

    /// Nothing waits, and nobody is to be told.
    fn done(mut self) {
        self.0 = None;
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Some(shared) = &self.0 {
            let mut waiting = shared.waiting();
            waiting.asked.clear();
            waiting.busy = false;
        }
    }
}

#[async_trait]
impl Store for EmbeddedStore {
    async fn get(&self, key: &Key) -> Result<Option<Item>, StoreError> {
        let (shared, key) = (self.0.clone(), key.clone());
        blocking(move || shared.file.get(&key)).await?
    }

    async fn put(&self, item: Item, expect: Expect) -> Result<u64, StoreError> {
        check_item(&item)?;
        self.change(Change::Put(item, expect)).await
    }

    async fn put_all(&self, items: Vec<Item>) -> Result<(), StoreError> {
        items.iter().try_for_each(check_item)?;
        self.change(Change::PutAll(items)).await.map(drop)
    }

    async fn list(&self, part: &str, prefix: &str, after: Option<&str>, limit: usize) -> Result<Page, StoreError> {
        let (shared, part, prefix) = (self.0.clone(), part.to_owned(), prefix.to_owned());
        let after = after.filter(|after| *after >= prefix.as_str()).map(str::to_owned);
        blocking(move || shared.file.list(&part, &prefix, after.as_deref(), limit)).await?
    }

    async fn delete_all(&self, keys: Vec<Key>) -> Result<(), StoreError> {
        self.change(Change::Delete(keys)).await.map(drop)
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, StoreError> {
    spawn_blocking(work).await.map_err(|error| StoreError::Failed(error.to_string()))
}
