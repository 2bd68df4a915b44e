//! What a session's segments say, both ways.

use loadkit_core::Failure;
use tokio::time::Instant;

use super::Session;
use crate::kcp::config::Config;
use crate::kcp::wire::{Command, OVERHEAD, Segment, Segments, after};

impl Session {
    /// Writes as much of the flush as fits into a packet.
    pub(super) fn fill(&mut self, now: Instant, packet: &mut Vec<u8>) {
        let config = self.config.as_deref().unwrap_or(&Config::FAST);
        let limit = packet.len() + config.mtu;
        let bare = Segment {
            conv: self.conv,
            command: Command::Ack,
            frg: 0,
            wnd: self.incoming.window(config),
            ts: 0,
            sn: 0,
            una: self.incoming.next(),
            data: &[],
        };
        while packet.len() + OVERHEAD <= limit
            && let Some((sn, ts)) = self.incoming.next_ack()
        {
            Segment { sn, ts, ..bare }.write(packet);
            self.incoming.acked();
        }
        for (flag, command) in [(&mut self.asks, Command::Ask), (&mut self.tells, Command::Tell)] {
            if *flag && packet.len() + OVERHEAD <= limit {
                Segment { command, ..bare }.write(packet);
                *flag = false;
            }
        }
        let ts = self.schedule.millis(now);
        while let Some(going) = self.outgoing.going() {
            let segment =
                Segment { command: Command::Push, frg: going.frg, sn: going.sn, ts, data: going.data, ..bare };
            if packet.len() + segment.len() > limit {
                return;
            }
            segment.write(packet);
            self.outgoing.gone();
        }
    }

    /// Whether all that a datagram says can be true.
    pub(super) fn is_credible(&self, mut segments: Segments) -> bool {
        segments.all(|segment| {
            segment.conv == self.conv
                && self.outgoing.can_be_una(segment.una)
                && (segment.command != Command::Ack || self.outgoing.can_be_acked(segment.sn))
        })
    }

    pub(super) fn take(&mut self, now: Instant, segments: Segments) -> Result<(), Failure> {
        let config = self.config.as_deref().unwrap_or(&Config::FAST);
        let schedule = &self.schedule;
        let mut una = None;
        let mut newest_ack = None;
        let mut pushes = [0_u32; 2];
        for segment in segments {
            self.outgoing.window(segment.wnd, segment.una);
            una = newer(una, segment.una);
            match segment.command {
                Command::Push => {
                    let is_new = self.incoming.push(&segment, config)?;
                    pushes[usize::from(is_new)] += 1;
                }
                Command::Ack => {
                    let sample = self.outgoing.acked(now, segment.sn, segment.ts, |at| schedule.millis(at));
                    newest_ack = newer(newest_ack, segment.sn);
                    if let Some(sample) = sample {
                        self.rtt.sample(sample, config.interval, config.nodelay);
                        // The acks of a flush left together: the last to come had waited least for it.
                        self.round_trip = Some(self.round_trip.map_or(sample, |known| known.min(sample)));
                    }
                }
                Command::Ask => self.tells = true,
                Command::Tell => {}
            }
        }
        if let Some(una) = una {
            self.outgoing.una(una, config);
        }
        if let Some(newest) = newest_ack {
            self.outgoing.skipped(newest, config);
        }
        self.discarded += u64::from(pushes[0] > 0 && pushes[1] == 0);
        Ok(())
    }
}

/// The later of the two numbers.
fn newer(known: Option<u32>, number: u32) -> Option<u32> {
    Some(known.filter(|known| after(number, *known) <= 0).unwrap_or(number))
}
