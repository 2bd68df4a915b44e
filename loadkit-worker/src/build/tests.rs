//! Who sets a run's build, and who is refused by it.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use loadkit_core::Stamp;
use tokio::task::{JoinSet, yield_now};

use super::*;
use crate::{
    Address, Claim, Command, Item, Job, Key, Lease, Line, LineError, MemoryStore, Outbox, Page, Phase, StoreLine,
    Terms, VirtualClock,
};

const RUN: RunId = RunId(9);

/// A store in which others come between whatever one does.
#[derive(Debug, Default)]
struct Busy(MemoryStore);

#[async_trait]
impl Store for Busy {
    async fn get(&self, key: &Key) -> Result<Option<Item>, StoreError> {
        yield_now().await;
        let item = self.0.get(key).await;
        yield_now().await;
        item
    }

    async fn put(&self, item: Item, expect: Expect) -> Result<u64, StoreError> {
        yield_now().await;
        let version = self.0.put(item, expect).await;
        yield_now().await;
        version
    }

    async fn put_all(&self, items: Vec<Item>) -> Result<(), StoreError> {
        self.0.put_all(items).await
    }

    async fn list(&self, part: &str, prefix: &str, after: Option<&str>, limit: usize) -> Result<Page, StoreError> {
        self.0.list(part, prefix, after, limit).await
    }

    async fn delete_all(&self, keys: Vec<Key>) -> Result<(), StoreError> {
        self.0.delete_all(keys).await
    }
}

#[derive(Debug)]
struct Nowhere;

#[async_trait]
impl Outbox for Nowhere {
    async fn send(&self, texts: &[String]) -> Result<usize, LineError> {
        Ok(texts.len())
    }
}

fn order() -> Order {
    Order {
        run: RUN,
        plan: String::new(),
        seed: "1".into(),
        workers: 64,
        shards: None,
        one_machine: false,
        client: String::new(),
        mixed_builds: false,
        terms: Terms::default(),
    }
}

async fn store(order: &Order) -> Arc<Busy> {
    let store = Arc::new(Busy::default());
    put_json(&*store, keys::order(RUN), order, Expect::Absent).await.unwrap();
    put_json(&*store, keys::command(RUN), &Command::starting(0), Expect::Absent).await.unwrap();
    store
}

fn line(store: &Arc<Busy>) -> StoreLine {
    let clock = VirtualClock::new(std::time::Duration::from_secs(1_800_000_000));
    StoreLine::new(store.clone(), Arc::new(Nowhere), Arc::new(clock))
}

fn job(worker: u32) -> Job {
    Job::new(RUN, worker, Address::Aws { table: "t".into(), queue: "q".into() })
}

fn of_build(worker: u32, build: &str) -> WorkerStatus {
    let stamp = Stamp { client: "arena 1.0.0".into(), build: build.into(), ..Stamp::default() };
    WorkerStatus {
        home: "test".into(),
        name: format!("here/{worker}"),
        client: stamp.client.clone(),
        stamp: Some(stamp),
        ..WorkerStatus::default()
    }
}

async fn lease(store: &Busy, worker: u32) -> Option<Lease> {
    get_json::<Lease>(store, &keys::lease(RUN, worker, 0)).await.unwrap().map(|(lease, _)| lease)
}

/// Workers of these builds claim at the same time: the builds of those that may play, and of the others with why.
async fn race(store: &Arc<Busy>, builds: &[&str]) -> (BTreeSet<String>, Vec<(u32, String)>) {
    let mut claims = JoinSet::new();
    for (worker, build) in (0..).zip(builds) {
        let (line, status) = (line(store), of_build(worker, build));
        claims.spawn(async move { (worker, status.clone(), line.claim(&job(worker), &status).await) });
    }
    let (mut playing, mut refused) = (BTreeSet::new(), Vec::new());
    for (worker, status, claim) in claims.join_all().await {
        match claim {
            Ok(Claim::Granted { .. }) => drop(playing.insert(status.stamp.unwrap().build)),
            Err(LineError::Refused(why)) => refused.push((worker, why)),
            other => unreachable!("{other:?}"),
        }
    }
    (playing, refused)
}

#[tokio::test(start_paused = true)]
async fn of_many_that_claim_at_once_one_build_plays() {
    let builds: Vec<String> = (0..64).map(|worker| format!("{}", worker % 3)).collect();
    let builds: Vec<&str> = builds.iter().map(String::as_str).collect();
    let store = store(&order()).await;
    let (playing, refused) = race(&store, &builds).await;
    let first = build_of(&*store, RUN).await.unwrap().unwrap().build;
    assert_eq!(playing, BTreeSet::from([first.clone()]));
    assert_eq!(refused.len(), builds.iter().filter(|build| **build != first).count());
    for (worker, why) in refused {
        assert!(why.contains(&format!("build {first}\", which came first")), "{why}");
        let lease = lease(&store, worker).await.unwrap();
        let end = lease.end.unwrap();
        assert_eq!((lease.phase, end.refused, end.error.as_deref()), (Phase::Ended, true, Some(why.as_str())));
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_refused_hears_it_as_often_as_it_asks() {
    let store = store(&order()).await;
    assert!(matches!(line(&store).claim(&job(0), &of_build(0, "7")).await, Ok(Claim::Granted { .. })));
    for _ in 0..2 {
        let refused = line(&store).claim(&job(1), &of_build(1, "8")).await.unwrap_err().to_string();
        assert!(refused.contains("its client is \"arena 1.0.0, build 8\""), "{refused}");
        assert!(refused.contains("say `mixed_builds` in the request"), "{refused}");
    }
    // And who claims again because the answer was lost has its lease still.
    assert!(matches!(line(&store).claim(&job(0), &of_build(0, "7")).await, Ok(Claim::Granted { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_request_may_allow_it() {
    let store = store(&Order { mixed_builds: true, ..order() }).await;
    let (playing, refused) = race(&store, &["7", "8"]).await;
    assert_eq!((playing.len(), refused.len(), build_of(&*store, RUN).await.unwrap()), (2, 0, None));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_was_not_asked_for_sets_nothing() {
    let store = store(&Order { client: "8".into(), ..order() }).await;
    // It is granted, and will find out by itself: it says more of it.
    assert!(matches!(line(&store).claim(&job(0), &of_build(0, "7")).await, Ok(Claim::Granted { .. })));
    assert_eq!(build_of(&*store, RUN).await.unwrap(), None);
    assert!(matches!(line(&store).claim(&job(1), &of_build(1, "8")).await, Ok(Claim::Granted { .. })));
    assert_eq!(build_of(&*store, RUN).await.unwrap().unwrap().build, "8");
}

#[tokio::test(start_paused = true)]
async fn without_stamps_names_and_versions_must_be_the_same() {
    let store = store(&order()).await;
    let bare = |worker, client: &str| WorkerStatus { stamp: None, client: client.into(), ..of_build(worker, "") };
    assert!(line(&store).claim(&job(0), &bare(0, "arena 1.0.0")).await.is_ok());
    assert!(line(&store).claim(&job(1), &bare(1, "arena 1.0.0")).await.is_ok());
    // A stamp of nothing but the name says no more.
    assert!(line(&store).claim(&job(2), &of_build(2, "")).await.is_ok());
    let refused = line(&store).claim(&job(3), &bare(3, "arena 1.0.1")).await.unwrap_err();
    assert!(matches!(refused, LineError::Refused(_)), "{refused}");
}

#[test]
fn two_builds_of_one_commit_for_two_machines_are_one() {
    let of = |target: &str| {
        stamp(&WorkerStatus {
            stamp: Some(Stamp { commit: "0123456789abcdef".into(), target: target.into(), ..Stamp::default() }),
            ..WorkerStatus::default()
        })
    };
    assert_eq!(of("x86_64-unknown-linux-musl").id(), of("aarch64-unknown-linux-musl").id());
}

#[test]
fn orders_and_ends_of_before_are_read() {
    let mut order = serde_json::to_value(order()).unwrap();
    assert_eq!(order.get("mixed_builds"), None, "who knows nothing of it can still read it");
    order["client"] = "arena".into();
    assert!(!serde_json::from_value::<Order>(order).unwrap().mixed_builds);
    assert!(!serde_json::from_str::<crate::WorkerEnd>("{\"parcels\":3}").unwrap().refused);
}
