//! The collector's end of the queue.

use std::time::Duration;

use async_trait::async_trait;
use loadkit_fleet::{Inbox, Received};
use serde_json::{Value, json};

use super::{BATCH, Sqs};

/// SQS holds a question open so long at most, and our own time-out of a call must not come before.
const LONGEST_WAIT: Duration = Duration::from_secs(8);

#[async_trait]
impl Inbox for Sqs {
    async fn receive(&self, most: usize, wait: Duration) -> Result<Vec<Received>, String> {
        let body = json!({
            "MaxNumberOfMessages": most.clamp(1, BATCH),
            "WaitTimeSeconds": wait.min(LONGEST_WAIT).as_secs(),
            "AttributeNames": ["ApproximateReceiveCount"],
        });
        let answer = self.ask("ReceiveMessage", body).await.map_err(|error| error.to_string())?;
        let messages = answer.get("Messages").and_then(Value::as_array);
        let read = |message: &Value| {
            let text = |name: &str| Some(message.get(name)?.as_str()?.to_owned());
            let times = message.get("Attributes").and_then(|all| all.get("ApproximateReceiveCount"));
            let times = times.and_then(Value::as_str).and_then(|times| times.parse().ok()).unwrap_or(1);
            Some(Received { body: text("Body")?, receipt: text("ReceiptHandle")?, times })
        };
        Ok(messages.into_iter().flatten().filter_map(read).collect())
    }

    async fn done(&self, receipts: &[String]) -> Result<(), String> {
        for receipts in receipts.chunks(BATCH) {
            let entry = |(id, receipt): (usize, &String)| json!({ "Id": id.to_string(), "ReceiptHandle": receipt });
            let entries = receipts.iter().enumerate().map(entry).collect();
            let failed = self.batch("DeleteMessageBatch", entries).await.map_err(|error| error.to_string())?;
            if let Some((_, why)) = failed.into_iter().next() {
                return Err(why);
            }
        }
        Ok(())
    }
}
