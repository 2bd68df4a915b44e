use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use loadkit_core::{Collector, Snapshot};

use super::*;
use crate::sink::SinkError;
use crate::testing::snapshot;

const SECOND: Duration = Duration::from_secs(1);

/// Tells of each interval that it takes.
struct Good(SyncSender<Arc<Interval>>);

#[async_trait]
impl Sink for Good {
    fn name(&self) -> &'static str {
        "good"
    }

    fn place(&self) -> String {
        "here".into()
    }

    async fn take(&mut self, interval: &Interval) -> Result<u64, SinkError> {
        let _ = self.0.send(Arc::new(interval.clone()));
        Ok(0)
    }
}

/// What a bad sink does with an interval.
#[derive(Clone, Copy)]
enum Bad {
    Hangs,
    Fails,
    Panics,
    BlocksItsThread,
}

#[async_trait]
impl Sink for Bad {
    fn name(&self) -> &'static str {
        "bad"
    }

    fn place(&self) -> String {
        "nowhere".into()
    }

    async fn take(&mut self, _: &Interval) -> Result<u64, SinkError> {
        match self {
            Bad::Hangs => std::future::pending().await,
            Bad::Fails => Err(SinkError::new("no")),
            Bad::Panics => panic!("a sink of a test"),
            Bad::BlocksItsThread => {
                // As a write to a pipe that nobody reads: it does not end while anybody waits for it.
                let (sender, nothing) = sync_channel::<()>(0);
                let waits = tokio::task::spawn_blocking(move || nothing.recv());
                let waited = waits.await;
                drop(sender);
                waited.map(|_| 0).map_err(|error| SinkError::new(error.to_string()))
            }
        }
    }
}

fn options() -> FanOptions {
    let options = FanOptions::new(SECOND, 1, || Duration::from_secs(1_700_000_000));
    FanOptions { queue: 4, flush: Duration::from_millis(50), ..options }
}

fn nth(seq: u64) -> Snapshot {
    Snapshot { counts: vec![("moves".into(), 1)], ..snapshot(0, seq, seq * 1_000, (seq + 1) * 1_000) }
}

/// Plays twenty intervals to a bad sink and to a good one, which is waited for. What became of both.
async fn beside_a_good_one(bad: Bad) -> (Collector, Vec<Delivery>, Vec<Arc<Interval>>) {
    let (tell, told): (_, Receiver<Arc<Interval>>) = sync_channel(20);
    let sinks: Vec<Box<dyn Sink>> = vec![Box::new(bad), Box::new(Good(tell))];
    let mut fan = Fan::start(Collector::new(SECOND), sinks, &options()).unwrap();
    let mut taken = Vec::new();
    for seq in 0..20 {
        fan.publish(&nth(seq)).await.unwrap();
        taken.push(told.recv_timeout(Duration::from_secs(20)).expect("the good sink takes what it is given"));
    }
    let (collector, deliveries) = fan.finish();
    (collector, deliveries, taken)
}

#[tokio::test]
async fn a_sink_that_hangs_holds_up_nobody() {
    for bad in [Bad::Hangs, Bad::BlocksItsThread] {
        let (collector, deliveries, taken) = beside_a_good_one(bad).await;
        assert_eq!(collector.totals().count("moves"), 20, "the collector has all");
        let [hung, good] = deliveries.try_into().unwrap();
        assert_eq!((hung.intervals, hung.dropped, hung.errors), (20, 20, 0));
        assert!(hung.warning().unwrap().contains("the sink bad lost 20 of 20 intervals (0 undelivered, 20 because"));
        assert_eq!((good.delivered(), good.warning()), (20, None));
        // One was in its hands and four in the queue; what was dropped beside is told with the next intervals.
        let told = |name: &str| taken.iter().map(|interval| interval.counts[name]).sum::<u64>();
        assert_eq!((told("loadkit.sink_dropped"), told("loadkit.sink_dropped{sink=bad}")), (14, 14));
        assert_eq!(told("loadkit.sink_dropped{sink=good}"), 0);
    }
}

#[tokio::test]
async fn a_sink_that_fails_is_counted_with_its_last_error() {
    let (_, deliveries, taken) = beside_a_good_one(Bad::Fails).await;
    assert_eq!((deliveries[0].dropped, deliveries[0].errors), (0, 20));
    assert_eq!(deliveries[0].last_error.as_deref(), Some("no"));
    let told: u64 = taken.iter().map(|interval| interval.counts["loadkit.sink_errors{sink=bad}"]).sum();
    assert_eq!(told, 19, "the last has no interval behind it");
}

#[tokio::test]
async fn a_sink_that_panics_is_lost_alone() {
    let (_, deliveries, taken) = beside_a_good_one(Bad::Panics).await;
    assert_eq!((deliveries[0].dropped, deliveries[0].errors), (20, 0));
    assert_eq!((deliveries[1].delivered(), taken.len()), (20, 20));
}

#[tokio::test]
async fn intervals_have_the_time_of_day_and_the_last_comes_at_the_end() {
    let (tell, told) = sync_channel(20);
    let mut fan = Fan::start(Collector::new(SECOND), vec![Box::new(Good(tell))], &options()).unwrap();
    fan.publish(&nth(0)).await.unwrap();
    // Another shard's, of which there should be one alone: nothing is complete before it is two behind.
    fan.publish(&snapshot(0, 1, 1_000, 1_250)).await.unwrap();
    let (_, deliveries) = fan.finish();
    let taken: Vec<_> = told.try_iter().collect();
    assert_eq!(deliveries[0].delivered(), 2);
    assert_eq!(taken[0].ended_us(), 1_700_000_000_000_000, "the first snapshot has come when its interval was over");
    assert_eq!((taken[1].from_us, taken[1].to_us), (1_000_000, 1_250_000));
}

#[tokio::test]
async fn without_sinks_it_only_hands_on() {
    let mut fan = Fan::start(Collector::new(SECOND), Vec::new(), &options()).unwrap();
    fan.publish(&nth(0)).await.unwrap();
    let (collector, deliveries) = fan.finish();
    assert_eq!((collector.totals().count("moves"), deliveries), (1, Vec::new()));
}
