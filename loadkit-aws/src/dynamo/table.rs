//! The table itself: its making, and the version of what lies in it.

use std::time::Duration;

use loadkit_worker::{Expect, Item, Key, Store, StoreError};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{DynamoDb, failed};
use crate::client::Client;

/// The version of the keys and values that this build writes.
const SCHEMA: u32 = 1;
/// A table is made within this time, or something is wrong.
const MAKING: Duration = Duration::from_secs(120);
/// So often is asked whether it is there.
const ASKING: Duration = Duration::from_millis(500);

fn schema_key() -> Key {
    Key::new("meta", "schema")
}

impl DynamoDb {
    /// The store in this table, if what lies there is of this build's version; an empty table becomes that.
    ///
    /// # Errors
    /// If it is of another version, it says so; else see [`StoreError`].
    pub async fn open(client: Client, table: impl Into<String>) -> Result<DynamoDb, StoreError> {
        let store = DynamoDb::new(client, table);
        let there = match store.get(&schema_key()).await? {
            Some(there) => there,
            None => match store.put(Item::new(schema_key(), SCHEMA.to_string()), Expect::Absent).await {
                Ok(_) => return Ok(store),
                Err(StoreError::Conflict(Some(there))) => *there,
                Err(error) => return Err(error),
            },
        };
        store.compare(&there)?.map_or(Ok(store), |why| Err(StoreError::Failed(why)))
    }

    /// Looks whether what lies in the table is of this build's version, with one read: in words, what to do if not. A table
    /// in which nobody has written is left as it is.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn another_version(&self) -> Result<Option<String>, StoreError> {
        match self.get(&schema_key()).await? {
            Some(there) => self.compare(&there),
            None => Ok(None),
        }
    }

    fn compare(&self, there: &Item) -> Result<Option<String>, StoreError> {
        let version = std::str::from_utf8(&there.body).ok().and_then(|text| text.parse::<u32>().ok());
        let version = version.ok_or_else(|| super::malformed(&there.key, "it is no version"))?;
        let table = &self.table;
        Ok(match version.cmp(&SCHEMA) {
            std::cmp::Ordering::Equal => None,
            std::cmp::Ordering::Less => Some(format!(
                "table {table:?} is of version {version}, and this build writes {SCHEMA}: deploy to a new table, or use the \
                 build of loadkit that wrote it"
            )),
            std::cmp::Ordering::Greater => Some(format!(
                "table {table:?} is of version {version}, and this build knows {SCHEMA}: update loadkit in what uses it, \
                 clients included"
            )),
        })
    }

    /// Makes the table, paid for by the request, and waits until it is there. One that is there already is fine.
    ///
    /// A stack of CloudFormation does the same: see `deploy`. This is for tests, and for who deploys by hand.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn create_table(&self) -> Result<(), StoreError> {
        let half = |name: &str| json!({ "AttributeName": name, "AttributeType": "S" });
        let key = |name: &str, kind: &str| json!({ "AttributeName": name, "KeyType": kind });
        let body = json!({
            "AttributeDefinitions": [half("pk"), half("sk")],
            "KeySchema": [key("pk", "HASH"), key("sk", "RANGE")],
            "BillingMode": "PAY_PER_REQUEST",
        });
        match self.ask("CreateTable", body).await {
            Err(error) if error.code != "ResourceInUseException" => return Err(failed(error)),
            _ => {}
        }
        let began = Instant::now();
        while !self.is_there().await? {
            if began.elapsed() > MAKING {
                return Err(StoreError::Failed(format!("table {:?} is not there after {MAKING:?}", self.table)));
            }
            sleep(ASKING).await;
        }
        let body = json!({ "TimeToLiveSpecification": { "AttributeName": "x", "Enabled": true } });
        match self.ask("UpdateTimeToLive", body).await {
            // It has been done before.
            Err(error) if error.code == "ValidationException" && error.message.contains("already enabled") => Ok(()),
            Err(error) => Err(failed(error)),
            Ok(_) => Ok(()),
        }
    }

    async fn is_there(&self) -> Result<bool, StoreError> {
        match self.ask("DescribeTable", json!({})).await {
            Ok(answer) => {
                let status = answer.get("Table").and_then(|table| table.get("TableStatus")).and_then(Value::as_str);
                Ok(status == Some("ACTIVE"))
            }
            // It is not seen at once.
            Err(error) if error.code == "ResourceNotFoundException" => Ok(false),
            Err(error) => Err(failed(error)),
        }
    }
}
