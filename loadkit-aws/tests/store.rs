//! The store in DynamoDB: the contract against two emulators, and what a table says of itself.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::sync::Arc;

use common::{Emulator, client};
use loadkit_aws::DynamoDb;
use loadkit_worker::contract::{self, Extent};
use loadkit_worker::{Clock as _, Expect, Item, Key, Store, StoreError};

async fn keeps_to_the_contract(emulator: &Emulator, extent: Extent) {
    let client = client(emulator.at);
    let store = DynamoDb::new(client.clone(), "loadkit");
    store.create_table().await.unwrap();
    store.create_table().await.unwrap();
    contract::check_within(Arc::new(store), "contract", extent).await;
    let (ahead, within) = client.clock().ahead_ms().unwrap();
    assert!(ahead.unsigned_abs() <= within + 50, "the emulator's clock is this machine's: {ahead} of {within} ms");
    assert!(client.clock().now_ms() > 1_700_000_000_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ministack_says_that_it_keeps_to_the_contract() {
    let Some(emulator) = Emulator::ministack() else { return };
    keeps_to_the_contract(&emulator, Extent::WHOLE).await;
    a_table_tells_its_version(&emulator).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn moto_says_so_too() {
    let Some(emulator) = Emulator::moto() else { return };
    // It counts a body's base64 where DynamoDB counts its bytes, and the old one with the new one; and of two who write at once
    // under a condition it lets both.
    keeps_to_the_contract(&emulator, Extent { longest: 140_000, racers: 1 }).await;
}

async fn a_table_tells_its_version(emulator: &Emulator) {
    let client = client(emulator.at);
    let error = DynamoDb::open(client.clone(), "nowhere").await.unwrap_err();
    assert!(matches!(&error, StoreError::Failed(why) if why.contains("ResourceNotFoundException")), "{error}");

    DynamoDb::new(client.clone(), "versions").create_table().await.unwrap();
    let store = DynamoDb::open(client.clone(), "versions").await.unwrap();
    DynamoDb::open(client.clone(), "versions").await.unwrap();
    let key = Key::new("meta", "schema");
    assert_eq!(store.get(&key).await.unwrap().unwrap().body, b"1");
    for (version, remedy) in [("0", "deploy to a new table"), ("2", "update loadkit")] {
        store.put(Item::new(key.clone(), version), Expect::Any).await.unwrap();
        let error = DynamoDb::open(client.clone(), "versions").await.unwrap_err().to_string();
        assert!(error.contains(&format!("of version {version}")) && error.contains(remedy), "{error}");
    }
    store.put(Item::new(key.clone(), "one"), Expect::Any).await.unwrap();
    let error = DynamoDb::open(client, "versions").await.unwrap_err();
    assert!(matches!(error, StoreError::Malformed { .. }), "{error}");
}
