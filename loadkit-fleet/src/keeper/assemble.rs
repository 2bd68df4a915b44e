//! Before the start: it is put off while workers are still missing or not set up, and called off if too few come.

use std::collections::BTreeSet;

use loadkit_worker::{Lease, Phase};

use super::Keeper;
use crate::error::FleetError;
use crate::fleet::ms;
use crate::record::RunState;

impl Keeper<'_> {
    /// Puts the start off as long as workers are missing. Why the run cannot begin at all, if so.
    pub(super) async fn assemble(&mut self, now_ms: u64) -> Result<Option<String>, FleetError> {
        let (came, workers) = (self.came(), self.order.workers);
        let (refused, why) = self.refused();
        if f64::from(refused) > f64::from(workers) * self.allow_lost() {
            return Ok(Some(format!("{refused} of {workers} workers were refused; of one {why}")));
        }
        // Workers hear of it at their next beat, and must have heard before the time comes.
        let margin = self.order.terms.beat_ms * 2 + ms(self.fleet.settings.pass) + 500;
        if came == workers || now_ms + margin < self.command.start_at_ms {
            return Ok(None);
        }
        let lead = self.record.request.start_in_ms.unwrap_or_else(|| ms(self.staffing.usual.lead));
        let until = self.record.created_at_ms + lead + ms(self.fleet.settings.assembling);
        if now_ms < until {
            let start_at_ms = now_ms + margin * 2;
            self.command = self.fleet.say(self.run, |command| command.start_at_ms = start_at_ms).await?;
            self.notes.insert("the start is put off: workers are missing, or not set up yet".into());
            return Ok(None);
        }
        let quorum = (f64::from(workers) * (1.0 - self.allow_lost())).ceil() as u32;
        if came >= quorum.max(1) {
            return Ok(None);
        }
        Ok(Some(format!("only {came} of {workers} workers came, and {quorum} were needed")))
    }

    /// The time of the start has passed while nobody looked after the run: nobody has begun, so the start can still be put off.
    pub(super) fn nobody_came(&self) -> bool {
        self.record.state == RunState::Assembling && self.came() == 0
    }

    /// How many workers hold a lease, and are ready to begin.
    pub(super) fn came(&self) -> u32 {
        let is_ready = |lease: &Lease| match lease.phase {
            Phase::Waiting => !lease.status.preparing,
            phase => phase < Phase::Lost,
        };
        let all = self.attempts.iter().filter(|(_, attempt)| attempt.lease.as_ref().is_some_and(is_ready));
        let workers: BTreeSet<u32> = all.map(|((worker, _), _)| *worker).collect();
        workers.len() as u32
    }

    /// The share of the workers that may be lost.
    pub(super) fn allow_lost(&self) -> f64 {
        self.record.request.allow_lost.unwrap_or(0.05)
    }
}
