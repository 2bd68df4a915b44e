//! How fast packets with messages leave: a budget of bytes, and on request NewReno.

use std::time::Duration;

use tokio::time::Instant;

use super::config::{Config, Congestion};
use super::outgoing::{Fate, Sent};

/// A budget that is used up is filled again after so long, where no rate fills it.
const FLUSH: Duration = Duration::from_millis(1);

/// What may leave now.
#[derive(Debug)]
pub(super) struct Pace {
    /// Bytes left of the budget.
    left: u32,
    /// When it was filled last.
    filled: Instant,
    /// When there is budget again for what waits.
    pub(super) resume: Option<Instant>,
    reno: Option<Box<NewReno>>,
    /// How often something had to wait.
    pub(super) held_back: u32,
}

impl Pace {
    pub(super) fn new(now: Instant, config: &Config) -> Pace {
        let reno = match config.congestion {
            Congestion::Off => None,
            Congestion::NewReno => Some(Box::new(NewReno::new(config.packet as u32))),
        };
        Pace { left: config.bytes_per_flush, filled: now, resume: None, reno, held_back: 0 }
    }

    /// Whether a full packet may leave. Call when one waits.
    pub(super) fn may_send(&mut self, now: Instant, config: &Config) -> bool {
        let packet = config.packet as u32;
        let rate = config.bytes_per_second;
        if rate > 0 {
            let since = now.saturating_duration_since(self.filled).as_micros();
            let fresh = u128::from(rate).saturating_mul(since) / 1_000_000;
            // What is less than a byte is not lost: the time stays until it is one.
            if fresh > 0 {
                let left = u128::from(self.left).saturating_add(fresh).min(config.bytes_per_flush.into());
                (self.left, self.filled) = (left as u32, now);
            }
        } else if self.left < packet && now >= self.filled + FLUSH {
            (self.left, self.filled) = (config.bytes_per_flush, now);
        }
        let has_budget = self.left >= packet;
        let has_window = self.reno.as_ref().is_none_or(|reno| reno.in_flight + packet <= reno.window);
        if has_budget && has_window {
            self.resume = None;
            return true;
        }
        // Where the window is closed, an ack or a loss opens it: no clock does.
        if !has_budget {
            let wait = match u64::from(packet - self.left).saturating_mul(1_000_000).checked_div(rate.into()) {
                Some(micros) => Duration::from_micros(micros + 1),
                None => FLUSH,
            };
            let resume = self.filled + wait;
            if self.resume != Some(resume) {
                self.held_back = self.held_back.saturating_add(1);
            }
            self.resume = Some(resume);
        } else {
            self.held_back = self.held_back.saturating_add(1);
            self.resume = None;
        }
        false
    }

    /// A packet with messages has left.
    pub(super) fn sent(&mut self, len: usize) {
        let len = u32::try_from(len).unwrap_or(u32::MAX);
        self.left = self.left.saturating_sub(len);
        if let Some(reno) = &mut self.reno {
            reno.in_flight = reno.in_flight.saturating_add(len);
        }
    }

    /// What became of one.
    pub(super) fn fate(&mut self, now: Instant, sent: &Sent, fate: Fate) {
        if let Some(reno) = &mut self.reno {
            reno.fate(now, sent, &fate);
        }
    }

    /// Nothing has been acked for the whole time-out.
    pub(super) fn timed_out(&mut self) {
        if let Some(reno) = &mut self.reno {
            reno.window = reno.least();
        }
    }

    /// The way is a new one.
    pub(super) fn moved(&mut self) {
        if let Some(reno) = &mut self.reno {
            let fresh = NewReno::new(reno.packet);
            **reno = NewReno { in_flight: reno.in_flight, ..fresh };
        }
    }
}

/// The window of bytes under way (RFC 9002, section 7 and appendix B).
#[derive(Debug)]
struct NewReno {
    packet: u32,
    window: u32,
    threshold: u32,
    in_flight: u32,
    /// Losses of what was sent before have been answered.
    recovery: Option<Instant>,
}

impl NewReno {
    fn new(packet: u32) -> NewReno {
        let window = (10 * packet).min(14_720.max(2 * packet));
        NewReno { packet, window, threshold: u32::MAX, in_flight: 0, recovery: None }
    }

    fn least(&self) -> u32 {
        2 * self.packet
    }

    fn fate(&mut self, now: Instant, sent: &Sent, fate: &Fate) {
        // A window that is not used does not grow (section 7.8).
        let is_used = self.in_flight.saturating_mul(2) >= self.window;
        let len = u32::from(sent.len);
        self.in_flight = self.in_flight.saturating_sub(len);
        if self.recovery.is_some_and(|since| sent.at <= since) {
            return;
        }
        match fate {
            Fate::Acked if !is_used => {}
            Fate::Acked if self.window < self.threshold => self.window = self.window.saturating_add(len),
            Fate::Acked => {
                let more = u64::from(self.packet) * u64::from(len) / u64::from(self.window.max(1));
                self.window = self.window.saturating_add(u32::try_from(more).unwrap_or(u32::MAX));
            }
            Fate::Lost => {
                self.recovery = Some(now);
                self.threshold = self.window / 2;
                self.window = self.threshold.max(self.least());
            }
            Fate::Forgotten => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: Config = Config { bytes_per_flush: 10_000, ..Config::DEFAULT };

    #[test]
    fn a_flush_has_a_budget() {
        let now = Instant::now();
        let mut pace = Pace::new(now, &CONFIG);
        let mut sent = 0;
        while pace.may_send(now, &CONFIG) {
            pace.sent(1_200);
            sent += 1;
        }
        assert_eq!((sent, pace.resume, pace.held_back), (8, Some(now + FLUSH), 1));
        assert!(!pace.may_send(now, &CONFIG) && pace.held_back == 1, "it is the same wait");
        assert!(pace.may_send(now + FLUSH, &CONFIG));
        assert_eq!(pace.resume, None);
    }

    #[test]
    fn a_rate_is_kept_over_a_second() {
        let config = Config { bytes_per_second: 100_000, ..CONFIG };
        let began = Instant::now();
        let (mut pace, mut now, mut bytes) = (Pace::new(began, &config), began, 0);
        while now < began + Duration::from_secs(10) {
            if pace.may_send(now, &config) {
                pace.sent(1_000);
                bytes += 1_000;
            } else {
                now = pace.resume.unwrap();
            }
        }
        assert!((1_000_000..=1_010_000).contains(&bytes), "{bytes}");
    }
}
