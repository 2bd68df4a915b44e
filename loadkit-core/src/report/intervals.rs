//! The histograms behind a report: response times interval by interval, service times of the whole run.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::metrics::{Collector, HistogramDelta};

/// At most so many buckets in all, 256 MiB of them: 64 steps of 300 intervals with 870 different times each.
pub(super) const MAX_BUCKETS: usize = 1 << 24;

/// The histograms of a run's steps over time. They are not in `report.json` but beside it, in `histograms.hlog`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Intervals {
    /// The time that an interval covers: as the series' points do. The last may cover less.
    pub width: Duration,
    /// By step.
    pub steps: BTreeMap<String, StepIntervals>,
}

/// The histograms of one step, of those times that it succeeded.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StepIntervals {
    /// Response times, µs: interval `i` is point `i` of the series, and empty where the step never succeeded. Behind the last
    /// that is not empty there are none.
    pub response: Vec<HistogramDelta>,
    /// Service times of the whole run, µs.
    pub service: HistogramDelta,
}

impl Intervals {
    /// The histograms of these steps, as long as there is room for them, and how many steps there was none for. Those that
    /// come first have it first.
    pub(super) fn new<'a>(collector: &Collector, steps: impl IntoIterator<Item = &'a str>) -> (Intervals, u64) {
        let mut intervals = Intervals { width: collector.width(), steps: BTreeMap::new() };
        let (mut room, mut left_out) = (MAX_BUCKETS, 0);
        for name in steps {
            let step = StepIntervals::of(collector, name);
            match room.checked_sub(step.buckets()) {
                Some(rest) => {
                    room = rest;
                    intervals.steps.insert(name.to_owned(), step);
                }
                None => left_out += 1,
            }
        }
        (intervals, left_out)
    }
}

impl StepIntervals {
    fn of(collector: &Collector, name: &str) -> StepIntervals {
        let response = collector.points().map(|point| point.step(name).map(|step| step.response));
        let mut response: Vec<HistogramDelta> = response.map(Option::unwrap_or_default).collect();
        let used = response.iter().rposition(|interval| !interval.buckets.is_empty()).map_or(0, |last| last + 1);
        response.truncate(used);
        let service = collector.totals().steps.get(name).map(|step| step.service.to_delta()).unwrap_or_default();
        StepIntervals { response, service }
    }

    fn buckets(&self) -> usize {
        self.response.iter().chain([&self.service]).map(|interval| interval.buckets.len()).sum()
    }

    /// The response times of the whole run.
    pub fn whole_response(&self) -> HistogramDelta {
        let mut whole = HistogramDelta::default();
        self.response.iter().for_each(|interval| whole.merge(interval));
        whole
    }
}
