//! What became of a sink's intervals, as figures and in words.

use loadkit_core::{RunId, Snapshot, SnapshotKey};

/// Count: intervals that a sink was not given, because it was slow. By sink too: `loadkit.sink_dropped{sink=otlp}`.
pub const SINK_DROPPED: &str = "loadkit.sink_dropped";
/// Count: intervals that a sink was given and could not deliver. By sink too.
pub const SINK_ERRORS: &str = "loadkit.sink_errors";

/// The shard whose figures the losses are: none that plays has this number.
const NO_SHARD: u32 = u32::MAX;

/// What became of the intervals that were for one sink.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delivery {
    /// Which sink.
    pub sink: &'static str,
    /// Where its figures went.
    pub place: String,
    /// All intervals of the run.
    pub intervals: u64,
    /// Those it did not take in time: its queue was full, or the run was over.
    pub dropped: u64,
    /// Those it could not deliver.
    pub errors: u64,
    /// Figures that it had to leave out of the others.
    pub figures_left_out: u64,
    /// What it said last of what went wrong.
    pub last_error: Option<String>,
}

impl Delivery {
    /// How many intervals arrived.
    pub fn delivered(&self) -> u64 {
        self.intervals.saturating_sub(self.dropped).saturating_sub(self.errors)
    }

    /// What the reader of the report should know, if anything was lost.
    pub fn warning(&self) -> Option<String> {
        let Delivery { sink, place, intervals, dropped, errors, figures_left_out, last_error } = self;
        let last = last_error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
        let mut said = Vec::new();
        if dropped + errors > 0 {
            let lost = dropped + errors;
            said.push(format!(
                "lost {lost} of {intervals} intervals ({errors} undelivered, {dropped} because it was slow){last}"
            ));
        } else if !last.is_empty() {
            said.push(format!("has every interval, but said{last}"));
        }
        if *figures_left_out > 0 {
            said.push(format!(
                "left out {figures_left_out} figures: there are more than it keeps, or two have one name there"
            ));
        }
        (!said.is_empty())
            .then(|| format!("the sink {sink} {}; it went to {place}, and this report has all", said.join(", and it ")))
    }
}

/// The losses as a snapshot, to be applied to the run's collector: so they are in the report like any other count.
/// `to_us` is the end of the run.
pub fn losses(deliveries: &[Delivery], run: RunId, worker: u32, to_us: u64) -> Snapshot {
    let mut counts = std::collections::BTreeMap::<String, u64>::new();
    for delivery in deliveries {
        for (name, n) in [(SINK_DROPPED, delivery.dropped), (SINK_ERRORS, delivery.errors)] {
            counted(name, delivery.sink, n, |name, n| *counts.entry(name).or_default() += n);
        }
    }
    let key = SnapshotKey { run, worker, shard: NO_SHARD, attempt: 0, seq: 0 };
    Snapshot { counts: counts.into_iter().collect(), ..Snapshot::empty(key, to_us, to_us) }
}

/// A count as a whole and as a sink's part of it.
pub(crate) fn counted(name: &str, sink: &str, n: u64, mut add: impl FnMut(String, u64)) {
    add(name.to_owned(), n);
    add(format!("{name}{{sink={sink}}}"), n);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_told_in_words_and_in_figures() {
        let whole = Delivery { sink: "otlp", place: "http://x".into(), intervals: 60, ..Delivery::default() };
        assert_eq!(whole.warning(), None);
        let lossy = Delivery { dropped: 10, errors: 2, last_error: Some("status 500".into()), ..whole.clone() };
        assert_eq!(lossy.delivered(), 48);
        assert_eq!(
            lossy.warning().unwrap(),
            "the sink otlp lost 12 of 60 intervals (2 undelivered, 10 because it was slow): status 500; it went to \
             http://x, and this report has all"
        );
        let left_out = Delivery { figures_left_out: 3, ..whole.clone() };
        assert!(left_out.warning().unwrap().contains("the sink otlp left out 3 figures"), "{left_out:?}");

        let other = Delivery { sink: "statsd", errors: 1, ..lossy.clone() };
        let snapshot = losses(&[lossy, other], RunId(1), 0, 9);
        let counts: Vec<_> = snapshot.counts.iter().map(|(name, n)| (name.as_str(), *n)).collect();
        assert_eq!(
            counts,
            [
                ("loadkit.sink_dropped", 20),
                ("loadkit.sink_dropped{sink=otlp}", 10),
                ("loadkit.sink_dropped{sink=statsd}", 10),
                ("loadkit.sink_errors", 3),
                ("loadkit.sink_errors{sink=otlp}", 2),
                ("loadkit.sink_errors{sink=statsd}", 1),
            ]
        );
    }
}
