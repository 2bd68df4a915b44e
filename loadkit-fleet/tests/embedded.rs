//! The store in a file: the contract, its own promises, and what it carries.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::Arc;

use loadkit_fleet::EmbeddedStore;
use loadkit_worker::{Expect, Item, Key, Store, StoreError, contract};

fn item(sort: &str) -> Item {
    Item::new(Key::new("part", sort), sort)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn it_keeps_to_the_contract() {
    let dir = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(dir.path()).await.unwrap();
    contract::check(Arc::new(store.clone()), "many threads").await;
}

#[tokio::test(start_paused = true)]
async fn on_one_thread_and_in_virtual_time_too() {
    let dir = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(dir.path()).await.unwrap();
    let began = tokio::time::Instant::now();
    contract::check(Arc::new(store), "one thread").await;
    assert_eq!(began.elapsed(), std::time::Duration::ZERO, "the disk takes no virtual time");
}

#[tokio::test]
async fn what_was_answered_is_there_after_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("made/when/needed");
    let store = EmbeddedStore::open(&folder).await.unwrap();
    store.put(item("a"), Expect::Absent).await.unwrap();
    store.put_all(vec![item("b"), item("c")]).await.unwrap();
    drop(store);
    let store = EmbeddedStore::open(&folder).await.unwrap();
    let found = store.list("part", "", None, 10).await.unwrap().items;
    assert_eq!(found.iter().map(|item| item.key.sort.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
}

#[tokio::test(start_paused = true)]
async fn only_one_can_have_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let _store = EmbeddedStore::open(dir.path()).await.unwrap();
    let error = EmbeddedStore::open(dir.path()).await.unwrap_err().to_string();
    assert!(error.contains("open in another process") && error.contains("another directory"), "{error}");
}

#[tokio::test]
async fn what_is_no_store_is_named() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("fleet.redb"), "something else").unwrap();
    let error = EmbeddedStore::open(dir.path()).await.unwrap_err();
    assert!(matches!(&error, StoreError::Failed(why) if why.contains("fleet.redb cannot be opened")), "{error}");
}

#[tokio::test]
async fn what_may_be_forgotten_is_purged() {
    let dir = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(dir.path()).await.unwrap();
    let many = (0..5_000).map(|i| item(&format!("{i:05}")).expiring(100 + i / 1_000)).collect();
    store.put_all(many).await.unwrap();
    // Put again: with a later end, with none, and forgotten by hand.
    store.put(item("00000").expiring(900), Expect::Any).await.unwrap();
    store.put(item("00001"), Expect::Any).await.unwrap();
    store.delete_all(vec![Key::new("part", "00002")]).await.unwrap();
    assert_eq!(store.purge(99).await, Ok(0));
    assert_eq!(store.purge(100).await, Ok(997));
    assert_eq!(store.purge(103).await, Ok(3_000));
    let left = store.list("part", "", None, 10_000).await.unwrap().items;
    assert_eq!(left.len(), 1_002);
    assert_eq!(store.purge(u64::MAX - 1).await, Ok(1_001));
    assert_eq!(store.get(&Key::new("part", "00001")).await.unwrap().unwrap().version, 2);
}

#[tokio::test]
async fn who_gives_up_waiting_has_it_done_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(dir.path()).await.unwrap();
    let first = store.clone();
    let giving_up = tokio::spawn(async move { first.put(item("a"), Expect::Absent).await });
    tokio::task::yield_now().await;
    giving_up.abort();
    let _ = giving_up.await;
    store.put(item("b"), Expect::Absent).await.unwrap();
    assert!(store.get(&item("a").key).await.unwrap().is_some());
}

/// `cargo test --release -p loadkit-fleet --test embedded -- --ignored --nocapture`
#[tokio::test]
#[ignore = "it measures, and asserts nothing"]
async fn measure() {
    let dir = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(dir.path()).await.unwrap();
    let body = vec![7; 4_000];
    for (calls, items) in [(200, 100), (400, 25), (2_000, 1)] {
        let began = std::time::Instant::now();
        let mut calling = tokio::task::JoinSet::new();
        for call in 0..calls {
            let (store, body) = (store.clone(), body.clone());
            let key = move |i| Key::new(format!("p{}", call % 16), format!("{items}/{call:06}/{i:04}"));
            let items = (0..items).map(|i| Item::new(key(i), body.clone()).expiring(4_102_444_800)).collect();
            calling.spawn(async move { store.put_all(items).await.unwrap() });
        }
        calling.join_all().await;
        let s = began.elapsed().as_secs_f64();
        println!("put_all: {calls} calls of {items} items of 4 kB: {:.0} items/s", f64::from(calls * items) / s);
    }
    for writers in [1_u32, 16, 64] {
        let began = std::time::Instant::now();
        let mut writing = tokio::task::JoinSet::new();
        for writer in 0..writers {
            let store = store.clone();
            writing.spawn(async move {
                for i in 0..100 {
                    let item = Item::new(Key::new("leases", format!("{writers}/{writer}/{i}")), vec![7; 400]);
                    store.put(item, Expect::Absent).await.unwrap();
                }
            });
        }
        writing.join_all().await;
        println!("put: {writers} writers: {:.0} items/s", f64::from(writers * 100) / began.elapsed().as_secs_f64());
    }
    let began = std::time::Instant::now();
    for i in 0..2_000 {
        store.get(&Key::new("leases", format!("64/{}/0", i % 64))).await.unwrap().unwrap();
    }
    println!("get: {:.1} us", began.elapsed().as_secs_f64() * 500.0);
    let file = std::fs::metadata(dir.path().join("fleet.redb")).unwrap().len();
    println!("the file: {} MB", file >> 20);
}
