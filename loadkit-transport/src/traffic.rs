//! What went over a connection, counted by it and handed to the recorder now and then.

use loadkit_core::{Cx, names};

use crate::protocol::Stats;

/// Packets and bytes, both ways, and what of the protocol's figures has been reported.
///
/// A look-up of a metric by its name is dear beside a packet, so counts gather here first.
#[derive(Clone, Copy, Default)]
pub(crate) struct Traffic {
    /// Reported: packets sent, packets received, bytes sent, bytes received.
    reported: [u64; 4],
    /// Not yet.
    fresh: [u32; 4],
    refused: u32,
    /// Reported: resends, lost, discarded.
    protocol: [u32; 3],
}

const NAMES: [&str; 4] = ["net.packets_sent", "net.packets_received", "net.bytes_sent", "net.bytes_received"];
const PROTOCOL_NAMES: [&str; 3] = ["net.resends", "net.lost", "net.discarded"];

impl Traffic {
    pub(crate) fn sent(&mut self, len: usize) {
        self.count(0, len);
    }

    pub(crate) fn received(&mut self, len: usize) {
        self.count(1, len);
    }

    /// The link had no room.
    pub(crate) fn refused(&mut self) {
        self.refused = self.refused.saturating_add(1);
    }

    fn count(&mut self, way: usize, len: usize) {
        self.fresh[way] = self.fresh[way].saturating_add(1);
        self.fresh[2 + way] = self.fresh[2 + way].saturating_add(u32::try_from(len).unwrap_or(u32::MAX));
    }

    /// Counts go to the recorder.
    pub(crate) fn report(&mut self, cx: &Cx, stats: &Stats) {
        for ((fresh, reported), name) in self.fresh.iter_mut().zip(&mut self.reported).zip(NAMES) {
            let fresh = u64::from(std::mem::take(fresh));
            if fresh > 0 {
                *reported += fresh;
                cx.count(name, fresh);
            }
        }
        let totals = [stats.resends, stats.lost, stats.discarded];
        for ((total, reported), name) in totals.into_iter().zip(&mut self.protocol).zip(PROTOCOL_NAMES) {
            let total = u32::try_from(total).unwrap_or(u32::MAX);
            if total > *reported {
                cx.count(name, u64::from(total - *reported));
                *reported = total;
            }
        }
        let refused = std::mem::take(&mut self.refused);
        if refused > 0 {
            cx.count(names::SENDS_REFUSED, refused.into());
        }
    }

    /// The protocol's figures with these.
    pub(crate) fn complete(&self, stats: Stats) -> Stats {
        let total = |which: usize| self.reported[which] + u64::from(self.fresh[which]);
        Stats {
            packets_sent: total(0),
            packets_received: total(1),
            bytes_sent: total(2),
            bytes_received: total(3),
            ..stats
        }
    }
}
