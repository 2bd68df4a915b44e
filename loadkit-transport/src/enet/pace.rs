//! Round trips, the resend time-out that follows from them, and the throttle: how ENet paces itself.

use std::time::Duration;

use super::config::THROTTLE_SCALE;
use super::wire::ThrottleRates;

/// The round trip before the first measured one (`ENET_PEER_DEFAULT_ROUND_TRIP_TIME`).
const FIRST_RTT_MS: u32 = 500;
/// With each unreliable message the counter moves on by so much, modulo the scale: dropping is spread evenly
/// (`ENET_PEER_PACKET_THROTTLE_COUNTER`).
const COUNTER_STEP: u8 = 7;

/// What was learnt of the way, in ms as ENet counts; beside it, for the report, in µs.
#[derive(Debug)]
pub(super) struct Pace {
    rtt_ms: u32,
    variance_ms: u32,
    /// The lowest round trip and the highest variance of this interval, and of the last.
    lowest_ms: u32,
    highest_variance_ms: u32,
    last_rtt_ms: u32,
    last_variance_ms: u32,
    /// When this interval began, in ms of the session.
    epoch_ms: Option<u32>,
    pub(super) rates: ThrottleRates,
    /// So many thirty-seconds of the unreliable messages are sent, and of the window of the reliable ones.
    throttle: u8,
    limit: u8,
    counter: u8,
    is_measured: bool,
    latest_us: u32,
    smoothed_us: u32,
    least_us: u32,
}

impl Pace {
    pub(super) fn new(rates: ThrottleRates) -> Pace {
        Pace {
            rtt_ms: FIRST_RTT_MS,
            variance_ms: 0,
            lowest_ms: FIRST_RTT_MS,
            highest_variance_ms: 0,
            last_rtt_ms: FIRST_RTT_MS,
            last_variance_ms: 0,
            epoch_ms: None,
            rates,
            throttle: THROTTLE_SCALE as u8,
            limit: THROTTLE_SCALE as u8,
            counter: 0,
            is_measured: false,
            latest_us: 0,
            smoothed_us: 0,
            least_us: 0,
        }
    }

    /// Takes a round trip measured at `now_ms`: gains of 1/8 for the round trip and 1/4 for its variance, in whole
    /// milliseconds; the first one sets both.
    pub(super) fn sample(&mut self, now_ms: u32, rtt: Duration) {
        self.report(rtt);
        let sample = u32::try_from(rtt.as_millis()).unwrap_or(u32::MAX / 8).clamp(1, u32::MAX / 8);
        if self.is_measured {
            self.adjust(sample);
            let off = self.rtt_ms.abs_diff(sample);
            self.variance_ms = self.variance_ms - self.variance_ms / 4 + off / 4;
            if sample >= self.rtt_ms {
                self.rtt_ms += off / 8;
            } else {
                self.rtt_ms -= off / 8;
            }
        } else {
            self.is_measured = true;
            (self.rtt_ms, self.variance_ms) = (sample, sample.div_ceil(2));
        }
        self.lowest_ms = self.lowest_ms.min(self.rtt_ms);
        self.highest_variance_ms = self.highest_variance_ms.max(self.variance_ms);
        if self.epoch_ms.is_none_or(|epoch| now_ms.wrapping_sub(epoch) >= self.rates.interval_ms) {
            self.last_rtt_ms = self.lowest_ms;
            self.last_variance_ms = self.highest_variance_ms.max(1);
            self.lowest_ms = self.rtt_ms;
            self.highest_variance_ms = self.variance_ms;
            self.epoch_ms = Some(now_ms);
        }
    }

    /// A better round trip than in the last interval speeds up, one that is much worse slows down; where the round trip
    /// is within its own variance there is nothing to be learnt from it.
    fn adjust(&mut self, sample_ms: u32) {
        let throttle = u32::from(self.throttle);
        let limit = u32::from(self.limit);
        let throttle = if self.last_rtt_ms <= self.last_variance_ms {
            limit
        } else if sample_ms <= self.last_rtt_ms {
            throttle.saturating_add(self.rates.acceleration).min(limit)
        } else if sample_ms > self.last_rtt_ms + 2 * self.last_variance_ms {
            throttle.saturating_sub(self.rates.deceleration)
        } else {
            throttle
        };
        self.throttle = throttle as u8;
    }

    fn report(&mut self, rtt: Duration) {
        let sample = u32::try_from(rtt.as_micros()).unwrap_or(u32::MAX / 8).max(1);
        if self.is_measured {
            self.smoothed_us = self.smoothed_us - self.smoothed_us / 8 + sample / 8;
            self.least_us = self.least_us.min(sample);
        } else {
            (self.smoothed_us, self.least_us) = (sample, sample);
        }
        self.latest_us = sample;
    }

    /// The time-out of a command that is sent for the first time: the round trip and four times its variance.
    pub(super) fn time_out_ms(&self) -> u32 {
        self.rtt_ms + 4 * self.variance_ms
    }

    /// Whether the next unreliable message is sent; if not, it is dropped.
    pub(super) fn passes(&mut self) -> bool {
        self.counter = (self.counter + COUNTER_STEP) % THROTTLE_SCALE as u8;
        self.counter <= self.throttle
    }

    /// The bandwidth allows so many thirty-seconds of what is queued.
    pub(super) fn set_limit(&mut self, limit: u8) {
        self.limit = limit.min(THROTTLE_SCALE as u8);
        self.throttle = self.throttle.min(self.limit);
    }

    /// The share of `window` that may be under way.
    pub(super) fn window(&self, window: u32) -> usize {
        (u64::from(window) * u64::from(self.throttle) / u64::from(THROTTLE_SCALE)) as usize
    }

    #[cfg(test)]
    pub(super) fn throttle(&self) -> u8 {
        self.throttle
    }

    pub(super) fn latest(&self) -> Option<Duration> {
        self.time(self.latest_us)
    }

    pub(super) fn smoothed(&self) -> Option<Duration> {
        self.time(self.smoothed_us)
    }

    pub(super) fn least(&self) -> Option<Duration> {
        self.time(self.least_us)
    }

    fn time(&self, micros: u32) -> Option<Duration> {
        self.is_measured.then(|| Duration::from_micros(micros.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::enet::config::Config;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn the_time_out_follows_the_round_trip() {
        let mut pace = Pace::new(Config::DEFAULT.throttle());
        assert_eq!(pace.time_out_ms(), 500);
        pace.sample(0, ms(80));
        assert_eq!(pace.time_out_ms(), 80 + 4 * 40, "the first one sets both");
        for n in 0..200 {
            pace.sample(n, ms(80));
        }
        // In whole milliseconds a quarter of 3 is 0: so much variance always stays.
        assert_eq!(pace.time_out_ms(), 80 + 4 * 3);
        pace.sample(300, ms(160));
        assert_eq!(pace.time_out_ms(), 90 + 4 * (3 + 20));
        pace.sample(300, Duration::from_micros(3));
        assert_eq!(pace.least(), Some(Duration::from_micros(3)));
        assert_eq!(pace.latest(), Some(Duration::from_micros(3)));
    }

    #[test]
    fn worse_round_trips_throttle_and_better_ones_recover() {
        let mut pace = Pace::new(Config::DEFAULT.throttle());
        let mut now = 0;
        let mut go = |pace: &mut Pace, rtt, times| {
            for _ in 0..times {
                now += 100;
                pace.sample(now, ms(rtt));
            }
        };
        // The interval must not end just when it gets worse: then the variance would excuse it.
        go(&mut pace, 50, 180);
        assert_eq!(pace.throttle(), 32);
        let passed = |pace: &mut Pace| (0..320).filter(|_| pace.passes()).count();
        assert_eq!(passed(&mut pace), 320);
        go(&mut pace, 400, 8);
        assert_eq!(pace.throttle(), 16);
        assert_eq!(passed(&mut pace), 170, "17 of 32 counters are at most 16");
        assert_eq!(pace.window(65_536), 32_768);
        go(&mut pace, 50, 40);
        assert_eq!(pace.throttle(), 32);
        pace.set_limit(8);
        assert_eq!(pace.throttle(), 8);
        go(&mut pace, 50, 40);
        assert_eq!(pace.throttle(), 8, "the bandwidth holds it");
        // Without deceleration nothing is ever dropped.
        let mut stubborn = Pace::new(Config { throttle_deceleration: 0, ..Config::DEFAULT }.throttle());
        go(&mut stubborn, 50, 100);
        go(&mut stubborn, 900, 100);
        assert_eq!(stubborn.throttle(), 32);
    }
}
