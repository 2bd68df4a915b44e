//! A store in a DynamoDB table.
//!
//! | attribute | is |
//! |---|---|
//! | `pk`, `sk` | the two halves of the key |
//! | `v` | the version |
//! | `b` | the body |
//! | `x` | when it may be forgotten, seconds since 1970; DynamoDB's own time to live |
//! | `w` | a number of who wrote it last under a condition, so that who asks again after a broken connection knows its own writing |

mod item;
mod table;

use std::collections::BTreeMap;

use async_trait::async_trait;
use futures_util::stream::{FuturesUnordered, StreamExt};
use loadkit_worker::{Expect, Item, Key, Page, Store, StoreError, check_item};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::client::Client;
use crate::error::AwsError;
use crate::random;
use crate::service::DYNAMODB;

/// Items of a call, which is DynamoDB's own bound.
const BATCH_ITEMS: usize = 25;
/// Bytes of bodies of a call, so that it is through in time; DynamoDB takes 16 MB.
const BATCH_BYTES: usize = 2 << 20;
/// Calls at a time.
const PARALLEL: usize = 8;

/// A store in a DynamoDB table. Clones share connections.
#[derive(Clone, Debug)]
pub struct DynamoDb {
    client: Client,
    table: String,
}

impl DynamoDb {
    /// The store in this table, unseen: see [`DynamoDb::open`].
    pub fn new(client: Client, table: impl Into<String>) -> DynamoDb {
        DynamoDb { client, table: table.into() }
    }

    async fn ask(&self, action: &str, mut body: Value) -> Result<Value, AwsError> {
        if let Some(fields) = body.as_object_mut() {
            fields.insert("TableName".into(), self.table.as_str().into());
        }
        self.client.json(&DYNAMODB, action, &body).await
    }

    /// Puts an item whatever is there.
    async fn put_any(&self, item: Item) -> Result<u64, StoreError> {
        let mut values = json!({ ":b": item::bytes(&item.body), ":one": { "N": "1" } });
        let change = match (item.expires_s, values.as_object_mut()) {
            (Some(expires), Some(values)) => {
                values.insert(":x".into(), item::number(expires));
                "SET b = :b, x = :x REMOVE w ADD v :one"
            }
            _ => "SET b = :b REMOVE x, w ADD v :one",
        };
        let body = json!({
            "Key": item::key(&item.key),
            "UpdateExpression": change,
            "ExpressionAttributeValues": values,
            "ReturnValues": "UPDATED_NEW",
        });
        let answer = self.ask("UpdateItem", body).await.map_err(failed)?;
        item::version(answer.get("Attributes")).ok_or_else(|| malformed(&item.key, "it has no version"))
    }

    /// Puts an item if what is there has this version; if there is nothing, with none.
    async fn put_if(&self, item: Item, there: Option<u64>) -> Result<u64, StoreError> {
        let (writer, version) = (random::number(), there.map_or(1, |version| version.saturating_add(1)));
        let key = item.key.clone();
        let mut body = json!({
            "Item": item::write(&Item { version, ..item }, Some(writer)),
            "ConditionExpression": if there.is_some() { "v = :v" } else { "attribute_not_exists(pk)" },
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        });
        if let (Some(version), Some(fields)) = (there, body.as_object_mut()) {
            fields.insert("ExpressionAttributeValues".into(), json!({ ":v": item::number(version) }));
        }
        let error = match self.ask("PutItem", body).await {
            Ok(_) => return Ok(version),
            Err(error) if error.code == "ConditionalCheckFailedException" => error,
            Err(error) => return Err(failed(error)),
        };
        let there = match error.answer.get("Item") {
            Some(attributes) => Some(attributes.clone()),
            // An emulator, or nothing there.
            None => self.attributes(&key).await?,
        };
        // The first try was answered by nobody, and was done: the second finds what it wrote.
        if error.may_be_done && there.as_ref().is_some_and(|there| item::writer(there) == Some(writer)) {
            return Ok(version);
        }
        let there = there.map(|there| item::read(&there)).transpose()?;
        Err(StoreError::Conflict(there.map(Box::new)))
    }

    async fn attributes(&self, key: &Key) -> Result<Option<Value>, StoreError> {
        let body = json!({ "Key": item::key(key), "ConsistentRead": true });
        let mut answer = self.ask("GetItem", body).await.map_err(failed)?;
        Ok(answer.get_mut("Item").map(Value::take))
    }

    /// Writes requests of [`BatchWriteItem`] in calls of a few, several at a time.
    ///
    /// [`BatchWriteItem`]: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchWriteItem.html
    async fn write(&self, requests: impl Iterator<Item = (usize, Value)> + Send) -> Result<(), StoreError> {
        let mut batches = batches(requests).into_iter();
        let mut under_way: FuturesUnordered<_> =
            batches.by_ref().take(PARALLEL).map(|batch| self.batch(batch)).collect();
        while let Some(done) = under_way.next().await {
            done?;
            under_way.extend(batches.next().map(|batch| self.batch(batch)));
        }
        Ok(())
    }

    /// One of them. What DynamoDB leaves undone is asked again, as after a throttle.
    async fn batch(&self, mut requests: Value) -> Result<(), StoreError> {
        let (began, mut tried) = (Instant::now(), 0);
        loop {
            tried += 1;
            let body = json!({ "RequestItems": { self.table.as_str(): requests } });
            let mut answer = self.client.json(&DYNAMODB, "BatchWriteItem", &body).await.map_err(failed)?;
            let undone =
                answer.get_mut("UnprocessedItems").and_then(|undone| undone.get_mut(&self.table)).map(Value::take);
            let left = undone.as_ref().and_then(Value::as_array).map_or(0, Vec::len);
            let Some(undone) = undone.filter(|_| left > 0) else { return Ok(()) };
            requests = undone;
            let pause = self.client.pause(tried, true);
            if !self.client.may_try_again(tried, began.elapsed() + pause) {
                return Err(StoreError::Throttled(format!(
                    "DynamoDB BatchWriteItem left {left} items (tried {tried} times)"
                )));
            }
            sleep(pause).await;
        }
    }
}

#[async_trait]
impl Store for DynamoDb {
    async fn get(&self, key: &Key) -> Result<Option<Item>, StoreError> {
        self.attributes(key).await?.map(|attributes| item::read(&attributes)).transpose()
    }

    async fn put(&self, item: Item, expect: Expect) -> Result<u64, StoreError> {
        check_item(&item)?;
        match expect {
            Expect::Any => self.put_any(item).await,
            Expect::Absent => self.put_if(item, None).await,
            Expect::Version(version) => self.put_if(item, Some(version)).await,
        }
    }

    async fn put_all(&self, items: Vec<Item>) -> Result<(), StoreError> {
        items.iter().try_for_each(check_item)?;
        // A batch must not name a key twice; the last one counts.
        let items: BTreeMap<Key, Item> = items.into_iter().map(|item| (item.key.clone(), item)).collect();
        let put = |item: Item| {
            let item = Item { version: 1, ..item };
            (item.body.len(), json!({ "PutRequest": { "Item": item::write(&item, None) } }))
        };
        self.write(items.into_values().map(put)).await
    }

    async fn list(&self, part: &str, prefix: &str, after: Option<&str>, limit: usize) -> Result<Page, StoreError> {
        // DynamoDB starts only within what is asked for.
        let after = after.filter(|after| *after >= prefix);
        if limit == 0 || after.is_some_and(|after| !after.starts_with(prefix)) {
            return Ok(Page::default());
        }
        let mut values = json!({ ":p": { "S": part } });
        let mut condition = "pk = :p";
        if let (false, Some(values)) = (prefix.is_empty(), values.as_object_mut()) {
            values.insert(":s".into(), json!({ "S": prefix }));
            condition = "pk = :p AND begins_with(sk, :s)";
        }
        let mut start = after.map(|after| item::key(&Key::new(part, after)));
        let mut page = Page::default();
        loop {
            let mut body = json!({
                "KeyConditionExpression": condition,
                "ExpressionAttributeValues": values,
                "ConsistentRead": true,
                "Limit": limit - page.items.len(),
            });
            if let (Some(start), Some(fields)) = (start.take(), body.as_object_mut()) {
                fields.insert("ExclusiveStartKey".into(), start);
            }
            let mut answer = self.ask("Query", body).await.map_err(failed)?;
            for attributes in answer.get("Items").and_then(Value::as_array).into_iter().flatten() {
                page.items.push(item::read(attributes)?);
            }
            // A page of DynamoDB's has 1 MB.
            start = answer.get_mut("LastEvaluatedKey").map(Value::take).filter(|key| !key.is_null());
            if start.is_none() || page.items.len() >= limit {
                page.more = start.and_then(|key| item::read_key(&key)).map(|key| key.sort);
                return Ok(page);
            }
        }
    }

    async fn delete_all(&self, mut keys: Vec<Key>) -> Result<(), StoreError> {
        keys.sort_unstable();
        keys.dedup();
        self.write(keys.iter().map(|key| (0, json!({ "DeleteRequest": { "Key": item::key(key) } })))).await
    }
}

/// Requests with their lengths, by the call.
fn batches(requests: impl Iterator<Item = (usize, Value)>) -> Vec<Value> {
    let (mut batches, mut batch, mut bytes) = (Vec::new(), Vec::new(), 0);
    for (length, request) in requests {
        if batch.len() >= BATCH_ITEMS || (bytes + length > BATCH_BYTES && !batch.is_empty()) {
            batches.push(Value::Array(std::mem::take(&mut batch)));
            bytes = 0;
        }
        bytes += length;
        batch.push(request);
    }
    if !batch.is_empty() {
        batches.push(Value::Array(batch));
    }
    batches
}

fn failed(error: AwsError) -> StoreError {
    if error.throttled { StoreError::Throttled(error.to_string()) } else { StoreError::Failed(error.to_string()) }
}

fn malformed(key: &Key, why: &str) -> StoreError {
    StoreError::Malformed { key: key.clone(), why: why.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_bounded_by_number_and_by_length() {
        let lengths = |items: &[usize]| -> Vec<usize> {
            let requests = items.iter().map(|length| (*length, Value::Null));
            batches(requests).iter().map(|batch| batch.as_array().unwrap().len()).collect()
        };
        assert_eq!(lengths(&[]), [0; 0]);
        assert_eq!(lengths(&[1; 60]), [25, 25, 10]);
        assert_eq!(lengths(&[350_000; 13]), [5, 5, 3]);
        assert_eq!(lengths(&[BATCH_BYTES + 1, 1]), [1, 1]);
    }
}
