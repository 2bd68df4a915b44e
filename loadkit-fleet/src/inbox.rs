//! Where parcels come from: the collector's end of the queue.

mod memory;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

pub use memory::MemoryQueue;

/// A text that was delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// The text.
    pub body: String,
    /// By what this delivery of it is named.
    pub receipt: String,
    /// How often it was delivered, this time included.
    pub times: u32,
}

/// The collector's end of a queue that delivers at least once, in any order.
#[async_trait]
pub trait Inbox: Send + Sync + fmt::Debug {
    /// Texts that wait, at most so many; if there are none, what comes within this time. Those that are not done soon
    /// are delivered again, and set aside when that happens too often.
    ///
    /// # Errors
    /// In words.
    async fn receive(&self, most: usize, wait: Duration) -> Result<Vec<Received>, String>;

    /// These have been dealt with, and are not delivered again.
    ///
    /// # Errors
    /// In words; then some of them may be delivered again.
    async fn done(&self, receipts: &[String]) -> Result<(), String>;
}
