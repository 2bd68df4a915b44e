//! A queue of SQS: where workers send their parcels, and, for a collector that is no Lambda, where they come from.

#[cfg(feature = "fleet")]
mod inbox;

use async_trait::async_trait;
use loadkit_worker::{LineError, Outbox};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::client::Client;
use crate::error::AwsError;
use crate::service;

/// Texts of a call: SQS's own bound.
const BATCH: usize = 10;
/// Bytes of all texts of a call: what queues take that were not told otherwise.
const BATCH_BYTES: usize = 256 << 10;

/// A queue of SQS, a standard one. Clones share connections.
#[derive(Clone, Debug)]
pub struct Sqs {
    client: Client,
    queue: String,
}

impl Sqs {
    /// The queue at this URL.
    pub fn new(client: Client, queue: impl Into<String>) -> Sqs {
        Sqs { client, queue: queue.into() }
    }

    async fn ask(&self, action: &str, mut body: Value) -> Result<Value, AwsError> {
        if let Some(fields) = body.as_object_mut() {
            fields.insert("QueueUrl".into(), self.queue.as_str().into());
        }
        self.client.json(&service::SQS, action, &body).await
    }

    /// Has entries of a batch done, each with an `Id` that is its place. Those that fail and are not to blame are asked
    /// again. Returns those that failed in the end, with why.
    async fn batch(&self, action: &str, mut entries: Vec<Value>) -> Result<Vec<(usize, String)>, AwsError> {
        let (began, mut tried, mut given_up) = (Instant::now(), 0, Vec::new());
        loop {
            tried += 1;
            let answer = self.ask(action, json!({ "Entries": entries })).await?;
            let mut again = Vec::new();
            let pause = self.client.pause(tried, false);
            let may_try_again = self.client.may_try_again(tried, began.elapsed() + pause);
            for failure in answer.get("Failed").and_then(Value::as_array).into_iter().flatten() {
                let text = |name| failure.get(name).and_then(Value::as_str).unwrap_or_default();
                let to_blame = failure.get("SenderFault").and_then(Value::as_bool).unwrap_or(false);
                let id = text("Id");
                match entries.iter().find(|entry| entry.get("Id").and_then(Value::as_str) == Some(id)) {
                    Some(entry) if may_try_again && !to_blame => again.push(entry.clone()),
                    _ => {
                        let why = format!("SQS {action}: {}: {}", text("Code"), text("Message"));
                        given_up.push((id.parse().unwrap_or(0), why));
                    }
                }
            }
            if again.is_empty() {
                given_up.sort_unstable();
                return Ok(given_up);
            }
            entries = again;
            sleep(pause).await;
        }
    }
}

#[async_trait]
impl Outbox for Sqs {
    async fn send(&self, texts: &[String]) -> Result<usize, LineError> {
        let mut sent = 0;
        while let Some(batch) = texts.get(sent..).map(fitting).filter(|batch| !batch.is_empty()) {
            let entry = |(id, text): (usize, &String)| json!({ "Id": id.to_string(), "MessageBody": text });
            let failed = match self.batch("SendMessageBatch", batch.iter().enumerate().map(entry).collect()).await {
                Ok(failed) => failed.into_iter().next(),
                Err(error) => Some((0, error.to_string())),
            };
            match failed {
                None => sent += batch.len(),
                // Those behind it may have been taken. They are harmless twice.
                Some((place, why)) if sent + place == 0 => return Err(LineError::Away(why)),
                Some((place, _)) => return Ok(sent + place),
            }
        }
        Ok(sent)
    }
}

/// The first texts that fit in a call: one at least.
fn fitting(texts: &[String]) -> &[String] {
    let mut bytes = 0;
    let fits = |text: &&String| {
        bytes += text.len();
        bytes <= BATCH_BYTES
    };
    let count = texts.iter().take(BATCH).take_while(fits).count().max(texts.len().min(1));
    texts.get(..count).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_bounded_by_number_and_by_length() {
        let texts = |lengths: &[usize]| lengths.iter().map(|length| "x".repeat(*length)).collect::<Vec<_>>();
        let count = |lengths: &[usize]| fitting(&texts(lengths)).len();
        assert_eq!((count(&[]), count(&[5; 9]), count(&[5; 11])), (0, 9, 10));
        assert_eq!(count(&[200_000, 60_000, 3_000]), 2);
        assert_eq!(count(&[300_000, 1]), 1, "what fits nowhere is refused by SQS, in its words");
    }
}
