//! Tells EventBridge: each happening is an event, to which rules can subscribe.

use async_trait::async_trait;
use loadkit_fleet::{Happening, Notifier};
use serde_json::{Value, json};

use crate::client::Client;
use crate::service;

/// Puts each happening on an event bus: source `loadkit`, detail type `launched`, `stopped`, `judged` or `refused`.
#[derive(Clone, Debug)]
pub struct EventBridge {
    client: Client,
    bus: String,
}

impl EventBridge {
    /// On this bus: `default`, a name or an ARN.
    pub fn new(client: Client, bus: impl Into<String>) -> EventBridge {
        EventBridge { client, bus: bus.into() }
    }
}

#[async_trait]
impl Notifier for EventBridge {
    async fn tell(&self, happening: &Happening) -> Result<(), String> {
        let detail = serde_json::to_string(happening).map_err(|error| error.to_string())?;
        let entry = json!({
            "Source": "loadkit",
            "DetailType": happening.name(),
            "Detail": detail,
            "EventBusName": self.bus,
        });
        let answer = self.client.json(&service::EVENTBRIDGE, "PutEvents", &json!({ "Entries": [entry] })).await;
        let answer = answer.map_err(|error| error.to_string())?;
        if answer.get("FailedEntryCount").and_then(Value::as_u64).unwrap_or(0) == 0 {
            return Ok(());
        }
        let failed = answer.get("Entries").and_then(Value::as_array).and_then(|entries| entries.first());
        let text = |name| failed.and_then(|entry| entry.get(name)).and_then(Value::as_str).unwrap_or_default();
        Err(format!("EventBridge PutEvents: {}: {}", text("ErrorCode"), text("ErrorMessage")))
    }
}
