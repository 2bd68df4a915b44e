//! A launch wakes the keeper; everything is told to EventBridge.

use async_trait::async_trait;
use loadkit_aws::{Client, EventBridge, invoke};
use loadkit_core::RunId;
use loadkit_fleet::{Happening, Notifier};
use serde_json::json;

/// Wakes a run's keeper when it is launched, and tells EventBridge.
#[derive(Debug)]
pub(crate) struct Waking {
    events: EventBridge,
    client: Client,
    keeper: String,
}

impl Waking {
    pub(crate) fn new(events: EventBridge, client: Client, keeper: String) -> Waking {
        Waking { events, client, keeper }
    }
}

/// Invokes the keeper for a run.
///
/// # Errors
/// What was answered, in words. The next tick takes the run up.
pub(crate) async fn wake(client: &Client, keeper: &str, run: RunId) -> Result<(), String> {
    invoke(client, keeper, json!({ "run": run.to_string() }).to_string()).await.map(drop)
}

#[async_trait]
impl Notifier for Waking {
    async fn tell(&self, happening: &Happening) -> Result<(), String> {
        let woken = match happening {
            Happening::Launched { run, .. } => wake(&self.client, &self.keeper, *run).await,
            _ => Ok(()),
        };
        let told = self.events.tell(happening).await;
        woken.map_err(|why| format!("the keeper, which its tick wakes within a minute: {why}")).and(told)
    }
}
