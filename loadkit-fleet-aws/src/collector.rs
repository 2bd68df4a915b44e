//! `SQS's event -> the table -> the messages that failed`.

use loadkit_fleet::{Fleet, collect};
use loadkit_worker::life::Log;
use serde_json::{Value, json};

/// Stores a batch. What is no parcel is named as failed, so that SQS sets it aside when it has come a few times; if the table
/// does not take the batch, all of it is, and comes again.
pub(crate) async fn answer(fleet: &Fleet, event: &Value) -> Value {
    let records = event.get("Records").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let text = |record: &'_ Value, name: &str| record.get(name).and_then(Value::as_str).map(str::to_owned);
    let bodies: Vec<String> = records.iter().map(|record| text(record, "body").unwrap_or_default()).collect();
    let texts: Vec<&str> = bodies.iter().map(String::as_str).collect();
    let failed: Vec<usize> = match collect(&**fleet.store(), &texts, fleet.clock().now_ms()).await {
        Ok(collected) => collected.poison.into_iter().map(|(place, _)| place).collect(),
        Err(error) => {
            Log::stderr().say(None, "error", &format!("a batch of {} is to come again: {error}", texts.len()));
            (0..records.len()).collect()
        }
    };
    let id = |place: &usize| records.get(*place).and_then(|record| text(record, "messageId"));
    let failures: Vec<Value> = failed.iter().filter_map(id).map(|id| json!({ "itemIdentifier": id })).collect();
    json!({ "batchItemFailures": failures })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use loadkit_core::{RunId, Snapshot, SnapshotKey};
    use loadkit_fleet::{Settings, Silent, Unguarded, WorkerLine};
    use loadkit_worker::{MemoryStore, Parcels, SystemClock};

    use super::*;

    #[tokio::test]
    async fn what_is_no_parcel_is_named() {
        let line = WorkerLine::Aws { table: "t".into(), queue: "q".into() };
        let store = Arc::new(MemoryStore::new());
        let (silent, clock) = (Arc::new(Silent), Arc::new(SystemClock));
        let fleet = Fleet::new(store, [], silent, Arc::new(Unguarded), clock, Settings::new(line));
        let key = SnapshotKey { run: RunId(7), worker: 0, shard: 0, attempt: 0, seq: 0 };
        let parcels = Parcels::new(RunId(7), 0, 0).pack(&[Snapshot::empty(key, 0, 1_000_000)]).unwrap();
        let record = |id: &str, body: &str| json!({ "messageId": id, "body": body });
        let records = [record("a", &parcels[0].to_text()), record("b", "lk1.7.poison"), record("c", "")];
        let answer = answer(&fleet, &json!({ "Records": records })).await;
        let failures = json!([{ "itemIdentifier": "b" }, { "itemIdentifier": "c" }]);
        assert_eq!(answer, json!({ "batchItemFailures": failures }));
        let poison = fleet.poison(RunId(7)).await.unwrap();
        assert_eq!(poison.len(), 1, "what names the run is in the run's record");
        assert_eq!(super::answer(&fleet, &json!({})).await, json!({ "batchItemFailures": [] }));
    }
}
