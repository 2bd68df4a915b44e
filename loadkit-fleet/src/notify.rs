//! Tells others what happens to runs: EventBridge, a webhook, or nobody.

use std::fmt;

use async_trait::async_trait;
use loadkit_core::{RunId, Verdict};
use serde::{Deserialize, Serialize};

/// What others can subscribe to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Happening {
    /// A run was launched.
    Launched {
        /// The run.
        run: RunId,
        /// By whom.
        by: String,
        /// The server under test.
        target: String,
        /// How many workers.
        workers: u32,
        /// The most players at once.
        players: u64,
    },
    /// A run was told to stop.
    Stopped {
        /// The run.
        run: RunId,
        /// By whom, or by which rule.
        by: String,
    },
    /// A run has ended.
    Judged {
        /// The run.
        run: RunId,
        /// What it says about the server.
        verdict: Verdict,
        /// Why, in a sentence.
        headline: String,
    },
    /// A guard-rail refused a launch.
    Refused {
        /// Who asked.
        by: String,
        /// The rule.
        rule: String,
        /// In words.
        why: String,
    },
}

impl Happening {
    /// `launched`, `stopped`, `judged` or `refused`.
    pub fn name(&self) -> &'static str {
        match self {
            Happening::Launched { .. } => "launched",
            Happening::Stopped { .. } => "stopped",
            Happening::Judged { .. } => "judged",
            Happening::Refused { .. } => "refused",
        }
    }
}

/// Tells others. Whoever does not listen harms no run.
#[async_trait]
pub trait Notifier: Send + Sync + fmt::Debug {
    /// Tells it.
    ///
    /// # Errors
    /// In words, which go into the run's record.
    async fn tell(&self, happening: &Happening) -> Result<(), String>;
}

/// Tells nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

#[async_trait]
impl Notifier for Silent {
    async fn tell(&self, _: &Happening) -> Result<(), String> {
        Ok(())
    }
}
