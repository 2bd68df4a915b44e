//! A fleet for worker processes: a run in a store in memory, its line over HTTP, and what arrived.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use loadkit::Plan;
use loadkit::core::{Collector, RunId};
use loadkit_worker::http::{Call, answer};
use loadkit_worker::{
    Address, Clock, Command, Expect, Job, Lease, LineError, MemoryStore, Order, Outbox, Parcel, StoreLine, SystemClock,
    Terms, get_json, keys, put_json,
};

use crate::answers::{Answer, serve_http};

const RUN: RunId = RunId(0xA);
const TOKEN: &str = "token-of-the-run";

/// A queue that keeps everything.
#[derive(Debug, Default)]
struct Kept(Mutex<Vec<String>>);

#[async_trait]
impl Outbox for Kept {
    async fn send(&self, texts: &[String]) -> Result<usize, LineError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(texts.iter().cloned());
        Ok(texts.len())
    }
}

/// A run that waits for its workers.
pub struct Army {
    store: Arc<MemoryStore>,
    kept: Arc<Kept>,
    url: String,
}

impl Army {
    /// Of this plan and so many workers, that starts as soon as they are there.
    pub fn new(plan: &Plan, workers: u32, client: &str) -> Army {
        let (store, kept) = (Arc::new(MemoryStore::new()), Arc::new(Kept::default()));
        let order = Order {
            run: RUN,
            plan: plan.to_toml(),
            seed: "5".into(),
            workers,
            shards: Some(1),
            one_machine: false,
            client: client.to_owned(),
            mixed_builds: false,
            terms: Terms { beat_ms: 300, report_ms: 300, ..Terms::default() },
        };
        now(put_json(&*store, keys::order(RUN), &order, Expect::Any)).unwrap();
        let line = StoreLine::new(store.clone(), kept.clone(), Arc::new(SystemClock));
        let addr = serve_http(move |asked| {
            if asked.header("authorization") != Some(&format!("Bearer {TOKEN}")) {
                return Answer::new(401, r#"{"error":"this token is not known"}"#);
            }
            let call = asked.path.strip_prefix("/v1/workers/").and_then(Call::named);
            let Some(call) = call else { return Answer::new(404, "{}") };
            let (status, body) = now(answer(&line, call, &asked.body));
            Answer::new(status, body)
        });
        let army = Army { store, kept, url: format!("http://{addr}") };
        army.command(Command::starting(SystemClock.now_ms()));
        army
    }

    /// The job of a worker.
    pub fn job(&self, worker: u32) -> Job {
        Job::new(RUN, worker, Address::Http { url: self.url.clone(), token: TOKEN.into() })
    }

    /// Says this to all workers from now on.
    pub fn command(&self, command: Command) {
        now(put_json(&*self.store, keys::command(RUN), &command, Expect::Any)).unwrap();
    }

    /// The latest word.
    pub fn commanded(&self) -> Command {
        now(get_json::<Command>(&*self.store, &keys::command(RUN))).unwrap().unwrap().0
    }

    /// The lease of a worker's attempt, if it was claimed.
    pub fn lease(&self, worker: u32, attempt: u32) -> Option<Lease> {
        now(get_json(&*self.store, &keys::lease(RUN, worker, attempt))).unwrap().map(|(lease, _)| lease)
    }

    /// All figures that have arrived.
    pub fn figures(&self) -> Collector {
        let mut pieces: BTreeMap<(u32, u32, u32), Vec<u8>> = BTreeMap::new();
        for text in self.kept.0.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let Parcel { worker, attempt, number, bytes, .. } = Parcel::parse(text).unwrap();
            pieces.entry((worker, attempt, number)).or_default().extend(bytes);
        }
        let mut collector = Collector::new(Duration::from_secs(1));
        for snapshot in pieces.values().flat_map(|bytes| Parcel::open(bytes).unwrap()) {
            collector.apply(&snapshot);
        }
        collector
    }
}

/// A store in memory answers at once.
fn now<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.unwrap().block_on(future)
}
