//! What went over a connection, counted by it and handed to the recorder now and then.

use loadkit_core::{Cx, Label, names};

use crate::link::Losses;
use crate::protocol::Stats;

/// Packets and bytes, both ways, and what of all figures has been reported.
///
/// A look-up of a metric by its name is dear beside a packet, so counts gather here first. What was reported is kept
/// in its lowest bits only: between two reports there is never more than fits.
#[derive(Default)]
pub(crate) struct Traffic {
    /// Bytes: sent, received.
    bytes: [u64; 2],
    /// Packets: sent, received.
    packets: [u32; 2],
    /// Packets sent, received; bytes sent, received.
    reported: [u32; 4],
    /// What few connections have; made when there is something.
    rare: Option<Box<Rare>>,
}

#[derive(Default)]
struct Rare {
    /// Those of [`PROTOCOL_NAMES`] that have been reported.
    reported: [u64; PROTOCOL_NAMES.len()],
    refused: u64,
}

const NAMES: [&str; 4] = ["net.packets_sent", "net.packets_received", "net.bytes_sent", "net.bytes_received"];
const PROTOCOL_NAMES: [&str; 8] = [
    "net.resends",
    "net.lost",
    "net.lost_received",
    "net.duplicates",
    "net.reordered",
    "net.discarded",
    "net.incomplete",
    "net.held_back",
];

impl Traffic {
    pub(crate) fn sent(&mut self, len: usize) {
        self.count(0, len);
    }

    pub(crate) fn received(&mut self, len: usize) {
        self.count(1, len);
    }

    /// The link had no room.
    pub(crate) fn refused(&mut self) {
        self.rare.get_or_insert_default().refused += 1;
    }

    fn count(&mut self, way: usize, len: usize) {
        self.packets[way] = self.packets[way].wrapping_add(1);
        self.bytes[way] += len as u64;
    }

    /// Counts go to the recorder.
    pub(crate) fn report(&mut self, cx: &Cx, label: &Label, stats: &Stats, losses: Losses) {
        let [sent, received] = self.bytes.map(|bytes| bytes as u32);
        let totals = [self.packets[0], self.packets[1], sent, received];
        for ((total, reported), name) in totals.into_iter().zip(&mut self.reported).zip(NAMES) {
            let fresh = total.wrapping_sub(std::mem::replace(reported, total));
            if fresh > 0 {
                cx.count_part(name, label, fresh.into());
            }
        }
        let totals = [
            stats.resends,
            stats.lost,
            stats.lost_received,
            stats.duplicates,
            stats.reordered,
            stats.discarded,
            stats.incomplete,
            stats.held_back,
        ];
        if totals.iter().any(|&total| total > 0) {
            let rare = self.rare.get_or_insert_default();
            for ((total, reported), name) in totals.into_iter().zip(&mut rare.reported).zip(PROTOCOL_NAMES) {
                let fresh = total.saturating_sub(*reported);
                *reported = total.max(*reported);
                if fresh > 0 {
                    cx.count_part(name, label, fresh);
                }
            }
        }
        for (name, time) in [("net.jitter", stats.jitter), ("net.queue_age", stats.queue_age)] {
            if let Some(time) = time {
                cx.trend_part(name, label, time);
            }
        }
        let refused = self.rare.as_mut().map_or(0, |rare| std::mem::take(&mut rare.refused)) + losses.refused;
        let lost =
            [(names::SENDS_REFUSED, refused), ("net.receive_dropped", losses.dropped), ("net.strays", losses.strays)];
        for (name, n) in lost.into_iter().filter(|&(_, n)| n > 0) {
            cx.count_part(name, label, n);
        }
    }

    /// The protocol's figures with these.
    pub(crate) fn complete(&self, stats: Stats) -> Stats {
        Stats {
            packets_sent: self.packets[0].into(),
            packets_received: self.packets[1].into(),
            bytes_sent: self.bytes[0],
            bytes_received: self.bytes[1],
            ..stats
        }
    }
}
