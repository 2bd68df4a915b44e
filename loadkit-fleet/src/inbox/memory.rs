//! A queue within the process: for a fleet on one machine, and for tests of what a queue may do.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use loadkit_worker::{LineError, MAX_TEXT, Outbox};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::{Inbox, Received};

/// Texts that were set aside; of more, the earlier ones go.
const MAX_DEAD: usize = 100;

/// A queue within the process. Clones share it.
#[derive(Clone, Debug)]
pub struct MemoryQueue(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    most: usize,
    unseen: Duration,
    deliveries: u32,
    queue: Mutex<Queue>,
    came: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Text>,
    /// Those that were delivered and are not done, with when they wait again. Later receipts are due later.
    under_way: BTreeMap<u64, (Instant, Text)>,
    receipts: u64,
    dead: VecDeque<String>,
}

#[derive(Debug)]
struct Text {
    body: String,
    times: u32,
}

impl MemoryQueue {
    /// A queue of at most so many texts. What was delivered and is not done within `unseen` is delivered again, but no more
    /// than `deliveries` times; then it is set aside.
    pub fn new(most: usize, unseen: Duration, deliveries: u32) -> MemoryQueue {
        let (queue, came) = (Mutex::default(), Notify::new());
        MemoryQueue(Arc::new(Shared { most, unseen, deliveries: deliveries.max(1), queue, came }))
    }

    /// Texts that were set aside, the latest hundred.
    pub fn dead(&self) -> Vec<String> {
        self.queue().dead.iter().cloned().collect()
    }

    /// How many texts there are, those under way included.
    pub fn len(&self) -> usize {
        self.queue().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn queue(&self) -> std::sync::MutexGuard<'_, Queue> {
        // Nothing panics while it is held.
        self.0.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What waits now, and else when something will wait again.
    fn take(&self, most: usize) -> Result<Vec<Received>, Option<Instant>> {
        let now = Instant::now();
        let mut queue = self.queue();
        while let Some(entry) = queue.under_way.first_entry().filter(|entry| entry.get().0 <= now) {
            let (_, text) = entry.remove();
            queue.waiting.push_back(text);
        }
        let mut taken = Vec::new();
        while taken.len() < most
            && let Some(mut text) = queue.waiting.pop_front()
        {
            if text.times >= self.0.deliveries {
                if queue.dead.len() >= MAX_DEAD {
                    queue.dead.pop_front();
                }
                queue.dead.push_back(text.body);
                continue;
            }
            text.times += 1;
            queue.receipts += 1;
            let receipt = queue.receipts;
            taken.push(Received { body: text.body.clone(), receipt: receipt.to_string(), times: text.times });
            queue.under_way.insert(receipt, (now + self.0.unseen, text));
        }
        if taken.is_empty() && most > 0 {
            return Err(queue.under_way.first_key_value().map(|(_, (due, _))| *due));
        }
        Ok(taken)
    }
}

impl Queue {
    fn len(&self) -> usize {
        self.waiting.len() + self.under_way.len()
    }
}

#[async_trait]
impl Outbox for MemoryQueue {
    async fn send(&self, texts: &[String]) -> Result<usize, LineError> {
        if let Some(long) = texts.iter().find(|text| text.len() > MAX_TEXT) {
            let bytes = long.len();
            return Err(LineError::Refused(format!("a text has {bytes} bytes, and none has more than {MAX_TEXT}")));
        }
        let taken = {
            let mut queue = self.queue();
            let taken = texts.len().min(self.0.most.saturating_sub(queue.len()));
            queue.waiting.extend(texts.iter().take(taken).map(|body| Text { body: body.clone(), times: 0 }));
            taken
        };
        if taken == 0 && !texts.is_empty() {
            return Err(LineError::Away(format!("the queue is full: {} texts wait", self.0.most)));
        }
        self.0.came.notify_waiters();
        Ok(taken)
    }
}

#[async_trait]
impl Inbox for MemoryQueue {
    async fn receive(&self, most: usize, wait: Duration) -> Result<Vec<Received>, String> {
        let until = Instant::now() + wait;
        loop {
            // From here on nothing that comes is missed.
            let came = self.0.came.notified();
            tokio::pin!(came);
            came.as_mut().enable();
            let due = match self.take(most) {
                Ok(taken) => return Ok(taken),
                Err(due) => due,
            };
            if Instant::now() >= until {
                return Ok(Vec::new());
            }
            // Whichever it is: it is looked again.
            let _ = timeout_at(due.map_or(until, |due| due.min(until)), came).await;
        }
    }

    async fn done(&self, receipts: &[String]) -> Result<(), String> {
        let mut queue = self.queue();
        for receipt in receipts.iter().filter_map(|receipt| receipt.parse().ok()) {
            queue.under_way.remove(&receipt);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNSEEN: Duration = Duration::from_secs(30);
    const WAIT: Duration = Duration::from_secs(20);

    fn queue() -> MemoryQueue {
        MemoryQueue::new(5, UNSEEN, 3)
    }

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    fn bodies(received: &[Received]) -> Vec<(&str, u32)> {
        received.iter().map(|received| (received.body.as_str(), received.times)).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_sent_is_delivered_until_it_is_done() {
        let queue = queue();
        assert_eq!(queue.send(&texts(&["a", "b", "c"])).await, Ok(3));
        let first = queue.receive(2, WAIT).await.unwrap();
        assert_eq!(bodies(&first), [("a", 1), ("b", 1)]);
        queue.done(&[first[0].receipt.clone(), "no receipt".into()]).await.unwrap();
        assert_eq!(bodies(&queue.receive(10, WAIT).await.unwrap()), [("c", 1)]);
        let began = Instant::now();
        assert_eq!(queue.receive(10, WAIT).await.unwrap(), []);
        assert_eq!(began.elapsed(), WAIT);
        assert_eq!(bodies(&queue.receive(1, WAIT).await.unwrap()), [("b", 2)]);
        assert_eq!(began.elapsed(), UNSEEN);
        // A receipt of a delivery that is over does nothing.
        queue.done(&[first[1].receipt.clone()]).await.unwrap();
        assert_eq!(queue.len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_never_done_is_set_aside() {
        let queue = queue();
        queue.send(&texts(&["poison"])).await.unwrap();
        for times in 1..=3 {
            assert_eq!(bodies(&queue.receive(10, 2 * UNSEEN).await.unwrap()), [("poison", times)]);
        }
        assert_eq!(queue.receive(10, 2 * UNSEEN).await.unwrap(), []);
        assert_eq!((queue.dead(), queue.is_empty()), (texts(&["poison"]), true));
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_queue_takes_what_fits() {
        let queue = queue();
        assert_eq!(queue.send(&texts(&["a"; 7])).await, Ok(5));
        assert!(matches!(queue.send(&texts(&["a"])).await, Err(LineError::Away(why)) if why.contains("full")));
        assert_eq!(queue.send(&[]).await, Ok(0));
        let all = queue.receive(10, WAIT).await.unwrap();
        assert!(queue.send(&texts(&["a"])).await.is_err(), "what is under way takes room");
        queue.done(&[all[0].receipt.clone()]).await.unwrap();
        assert_eq!(queue.send(&texts(&["a"])).await, Ok(1));
        let long = "x".repeat(MAX_TEXT + 1);
        assert!(matches!(queue.send(&[long]).await, Err(LineError::Refused(_))));
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_is_told() {
        let queue = queue();
        let waiting = {
            let queue = queue.clone();
            tokio::spawn(async move { queue.receive(10, WAIT).await })
        };
        tokio::task::yield_now().await;
        queue.send(&texts(&["a"])).await.unwrap();
        assert_eq!(bodies(&waiting.await.unwrap().unwrap()), [("a", 1)]);
    }
}
