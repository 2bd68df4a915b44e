//! The counts of a bad network, as figures of the run.

use loadkit_core::Cx;

use super::Counts;

/// What of a connection's counts, both ways together, the recorder has.
#[derive(Debug, Default)]
pub(super) struct Reported([u64; FIGURES]);

const FIGURES: usize = 10;

const NAMES: [&str; FIGURES] = [
    "net.conditions.sent",
    "net.conditions.lost",
    "net.conditions.duplicated",
    "net.conditions.reordered",
    "net.conditions.queue_drops",
    "net.conditions.mtu_drops",
    "net.conditions.oversized",
    "net.conditions.outage_drops",
    "net.conditions.address_changes",
    "net.conditions.address_changes_failed",
];

impl Reported {
    /// What is new goes to the recorder.
    pub(super) fn report(&mut self, cx: &Cx, ways: [&Counts; 2], [changes, failed]: [u64; 2]) {
        let both = |count: fn(&Counts) -> u64| ways.into_iter().map(count).sum::<u64>();
        let totals = [
            both(|counts| counts.sent),
            both(|counts| counts.lost),
            both(|counts| counts.duplicated),
            both(|counts| counts.reordered),
            both(|counts| counts.dropped_by_queue),
            both(|counts| counts.dropped_by_mtu),
            both(|counts| counts.oversized),
            both(|counts| counts.dropped_by_outage),
            changes,
            failed,
        ];
        for ((total, reported), name) in totals.into_iter().zip(&mut self.0).zip(NAMES) {
            let fresh = total.saturating_sub(std::mem::replace(reported, total));
            if fresh > 0 {
                cx.count(name, fresh);
            }
        }
    }
}
