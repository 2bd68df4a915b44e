//! A queue as AWS gives it: at least once, in any order, at some time.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use loadkit::core::Seed;
use loadkit_fleet::collect;
use loadkit_worker::{Clock, LineError, Outbox, Store};
use rand::RngExt as _;
use rand::seq::SliceRandom as _;

/// What a queue does to messages.
#[derive(Clone, Copy, Debug, Default)]
pub struct Trouble {
    /// Each is delivered so many times more.
    pub repeats: u32,
    /// Batches are mixed.
    pub shuffles: bool,
    /// Each is late by up to so long.
    pub late: Duration,
    /// The collector dies on every so-many-th batch, before it has said that it is done.
    pub dies_every: u64,
}

/// A queue.
#[derive(Debug)]
pub struct Queue {
    trouble: Trouble,
    waiting: Mutex<Vec<(tokio::time::Instant, String)>>,
    /// Messages sent.
    pub sent: AtomicU64,
    /// Messages that the collector could not read.
    pub poison: AtomicU64,
    rng: Mutex<Dice>,
}

struct Dice(loadkit::core::Rng);

impl fmt::Debug for Dice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Dice")
    }
}

impl Queue {
    pub(super) fn new(trouble: Trouble) -> Queue {
        let rng = Mutex::new(Dice(Seed(1).rng("queue", 0, 0)));
        Queue { trouble, waiting: Mutex::default(), sent: AtomicU64::new(0), poison: AtomicU64::new(0), rng }
    }

    /// Puts a message in, whatever it is.
    pub fn put(&self, text: &str) {
        let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..=self.trouble.repeats {
            let late = self.trouble.late.mul_f64(rng.0.random());
            waiting.push((tokio::time::Instant::now() + late, text.to_owned()));
        }
    }

    /// Up to so many that are due.
    fn take(&self, most: usize) -> Vec<String> {
        let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if self.trouble.shuffles {
            waiting.shuffle(&mut rng.0);
        }
        let now = tokio::time::Instant::now();
        let (mut due, mut left) = (Vec::new(), Vec::new());
        for (at, text) in waiting.drain(..) {
            if at <= now && due.len() < most { due.push(text) } else { left.push((at, text)) }
        }
        *waiting = left;
        due
    }
}

#[async_trait]
impl Outbox for Queue {
    async fn send(&self, texts: &[String]) -> Result<usize, LineError> {
        self.sent.fetch_add(texts.len() as u64, Ordering::Relaxed);
        texts.iter().for_each(|text| self.put(text));
        Ok(texts.len())
    }
}

/// The collector: takes what is due, ten batches a second and as many messages as there are.
pub(super) async fn collecting(queue: Arc<Queue>, store: Arc<dyn Store>, clock: Arc<dyn Clock>) {
    for batch in 1_u64.. {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let texts = queue.take(500);
        let whole: Vec<&str> = texts.iter().map(String::as_str).collect();
        let dies = queue.trouble.dies_every > 0 && batch % queue.trouble.dies_every == 0;
        let done = if dies { &whole[..whole.len() / 2] } else { &whole[..] };
        match collect(&*store, done, clock.now_ms()).await {
            Ok(collected) if !dies => {
                queue.poison.fetch_add(collected.poison.len() as u64, Ordering::Relaxed);
            }
            // Nothing was said to be done: all of it is delivered again.
            _ => {
                let mut waiting = queue.waiting.lock().unwrap_or_else(PoisonError::into_inner);
                let again = tokio::time::Instant::now() + Duration::from_secs(2);
                waiting.extend(texts.into_iter().map(|text| (again, text)));
            }
        }
    }
}
