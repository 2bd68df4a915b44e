//! A sink that keeps apart what happened once the load had settled.

use std::time::Duration;

use async_trait::async_trait;

use crate::failure::Failure;
use crate::metrics::{MetricSink, Snapshot};
use crate::verdict::Judge;

/// Hands every snapshot on, and keeps the figures of one part of the run: from when the load had settled to when all were
/// asked to leave. Of what comes after that only how players ended counts: everybody's leaving at one time is no load that
/// was asked for.
///
/// Snapshots must come once and in the order of each shard, as the engine gives them.
#[derive(Debug)]
pub struct Settled<S> {
    inner: S,
    from_us: u64,
    to_us: u64,
    judge: Judge,
    /// Players who started before the first snapshot that is kept: they count as if they had started in it.
    started: u64,
}

impl<S> Settled<S> {
    /// Keeps for this judge what happens between these two times since the start of the run, with times counted from the
    /// first of them; all of it goes to `inner`.
    pub fn new(inner: S, from: Duration, to: Duration, judge: Judge) -> Settled<S> {
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        Settled { inner, from_us: micros(from), to_us: micros(to), judge, started: 0 }
    }

    /// The judge of the part that is kept. All players before it count as started in it.
    pub fn judge(&self) -> &Judge {
        &self.judge
    }

    /// The sink that had all snapshots.
    pub fn inner(&self) -> &S {
        &self.inner
    }

    /// The sink that had all snapshots, and the judge.
    pub fn into_parts(self) -> (S, Judge) {
        (self.inner, self.judge)
    }

    fn keep(&mut self, snapshot: &Snapshot) {
        self.started = self.started.saturating_add(snapshot.started);
        // An interval that began before is not told apart any more.
        if snapshot.from_us < self.from_us {
            return;
        }
        let mut snapshot = Snapshot { started: std::mem::take(&mut self.started), ..snapshot.clone() };
        if snapshot.from_us >= self.to_us {
            snapshot.steps.clear();
            snapshot.trends.clear();
            snapshot.counts.clear();
            snapshot.gauges.clear();
        }
        snapshot.from_us -= self.from_us;
        snapshot.to_us -= self.from_us;
        self.judge.apply(&snapshot);
    }
}

#[async_trait]
impl<S: MetricSink> MetricSink for Settled<S> {
    async fn publish(&mut self, snapshot: &Snapshot) -> Result<(), Failure> {
        self.keep(snapshot);
        self.inner.publish(snapshot).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Collector, RunId, SnapshotKey};

    fn snapshot(seq: u64, from_s: u64, to_s: u64) -> Snapshot {
        let key = SnapshotKey { run: RunId(1), worker: 0, shard: 0, attempt: 0, seq };
        Snapshot {
            started: 1,
            finished: 1,
            counts: vec![("moves".into(), 1 << seq)],
            ..Snapshot::empty(key, from_s * 1_000_000, to_s * 1_000_000)
        }
    }

    #[tokio::test]
    async fn only_what_lies_between_the_two_times_counts() {
        let second = Duration::from_secs(1);
        let mut sink = Settled::new(Collector::new(second), 3 * second, 6 * second, Judge::new(&[], second));
        // The second was joined from several, across the line.
        for (seq, (from, to)) in [(0, 2), (2, 4), (4, 5), (5, 6), (6, 7)].into_iter().enumerate() {
            sink.publish(&snapshot(seq as u64, from, to)).await.unwrap();
        }
        let judged = sink.judge().collector().totals();
        assert_eq!(judged.count("moves"), 0b01100);
        assert_eq!((judged.started, judged.finished, judged.to_us), (5, 3, 4_000_000));
        assert_eq!(sink.inner().totals().count("moves"), 0b11111);
        assert_eq!(sink.into_parts().0.totals().to_us, 7_000_000);
    }
}
