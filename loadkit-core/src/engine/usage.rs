//! What the process and its machine use, as gauges: once an interval, on one shard.

use std::time::Duration;

use tokio::time::Instant;

use super::{Host, Shard, Usage};
use crate::metrics::names;

/// Usage over less time than this says nothing: the system counts CPU time in hundredths of a second.
const MIN_USAGE_TIME: Duration = Duration::from_millis(90);

/// Records what the process uses, on one shard of it.
pub(super) struct UsageMeter<'a> {
    host: Option<&'a dyn Host>,
    watches_machine: bool,
    before: Usage,
    at: Instant,
}

impl UsageMeter<'_> {
    pub(super) fn new(host: &dyn Host, is_first: bool, watches_machine: bool) -> UsageMeter<'_> {
        let before = host.usage().unwrap_or_default();
        UsageMeter { host: is_first.then_some(host), watches_machine, before, at: Instant::now() }
    }

    pub(super) fn record(&mut self, shard: &Shard) {
        let Some(usage) = self.host.and_then(|host| host.usage()) else { return };
        let now = Instant::now();
        let wall = now.saturating_duration_since(self.at);
        // A shard that is late looks twice in a moment, and would see shares of a moment.
        if wall < MIN_USAGE_TIME {
            return;
        }
        let own = usage.cpu.saturating_sub(self.before.cpu);
        let cores = |time: Duration| time.as_secs_f64() / wall.as_secs_f64();
        let mut recorder = shard.recorder.borrow_mut();
        let at = shard.elapsed();
        recorder.gauge(names::CPU, cores(own), at);
        if let (Some(machine), Some(before)) = (usage.machine, self.before.machine) {
            let all = machine.cpu.saturating_sub(before.cpu);
            recorder.gauge(names::CPU_OTHERS, cores(all.saturating_sub(own)), at);
            recorder.gauge(names::CPU_STOLEN, cores(machine.stolen.saturating_sub(before.stolen)), at);
            if self.watches_machine {
                let drops = recorder.count_id(names::KERNEL_DROPS);
                recorder.count(drops, machine.datagrams_dropped.saturating_sub(before.datagrams_dropped));
            }
        }
        recorder.gauge(names::DESCRIPTORS, usage.descriptors as f64, at);
        recorder.gauge(names::MEMORY, usage.memory as f64, at);
        (self.before, self.at) = (usage, now);
    }
}
