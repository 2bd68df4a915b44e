//! Tells of failures while the run goes on.

use loadkit_worker::{Expect, keys, put_json};

use super::Keeper;
use crate::error::FleetError;
use crate::failures::{FAILURES, Failures, Flown};

/// What was told last: how many messages and flights there were, and of which time the latest of them was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    samples: usize,
    flights: usize,
    latest_us: u64,
}

impl Keeper<'_> {
    /// Writes the earliest failures, if they are not those that were written last.
    pub(super) async fn tell_failures(&mut self) -> Result<(), FleetError> {
        let totals = self.collation.judge().collector().totals();
        let samples = totals.samples.iter().map(|sample| sample.at_us);
        let latest_us = samples.chain(totals.flights.iter().map(|flight| flight.ended_us)).max().unwrap_or(0);
        let told = Told { samples: totals.samples.len(), flights: totals.flights.len(), latest_us };
        if told == self.told_failures {
            return Ok(());
        }
        let failures = Failures {
            samples: totals.samples.iter().cloned().collect(),
            flights: totals.flights.iter().filter_map(Flown::of).collect(),
        };
        put_json(&*self.fleet.store, keys::of_run(self.run, FAILURES), &failures, Expect::Any).await?;
        self.told_failures = told;
        Ok(())
    }
}
