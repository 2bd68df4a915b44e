//! Round trips: smoothed, and the resend time-out that follows from them (RFC 6298).

use std::time::Duration;

use super::config::Config;

/// What was learnt of the round trip, in µs (a u32 holds 71 minutes).
#[derive(Debug, Default)]
pub(super) struct RoundTrip {
    latest: u32,
    smoothed: u32,
    variance: u32,
    least: u32,
    measured: bool,
    /// How often in a row the time-out has passed: each time doubles it.
    backoff: u8,
}

impl RoundTrip {
    /// Takes a sample: `srtt += (sample - srtt) / 8`, `var += (|sample - srtt| - var) / 4`; the first one sets both.
    pub(super) fn sample(&mut self, rtt: Duration) {
        let sample = u32::try_from(rtt.as_micros()).unwrap_or(u32::MAX / 8);
        self.latest = sample;
        if self.measured {
            let off = self.smoothed.abs_diff(sample);
            self.variance = self.variance - self.variance / 4 + off / 4;
            self.smoothed = self.smoothed - self.smoothed / 8 + sample / 8;
            self.least = self.least.min(sample);
        } else {
            self.measured = true;
            (self.smoothed, self.variance, self.least) = (sample, sample / 2, sample);
        }
    }

    /// Something of ours has arrived: the time-out is as measured again.
    pub(super) fn progress(&mut self) {
        self.backoff = 0;
    }

    /// The time-out has passed without an ack.
    pub(super) fn back_off(&mut self) {
        self.backoff = self.backoff.saturating_add(1).min(16);
    }

    /// `srtt + max(4 var, tick)`, between the bounds, doubled for each time-out in a row.
    pub(super) fn time_out(&self, config: &Config) -> Duration {
        let base = if self.measured {
            let spread = Duration::from_micros(u64::from(self.variance) * 4).max(config.tick);
            (Duration::from_micros(self.smoothed.into()) + spread).max(config.rto_min)
        } else {
            config.rto_first
        };
        base.saturating_mul(1 << self.backoff).min(config.rto_max)
    }

    pub(super) fn latest(&self) -> Option<Duration> {
        self.time(self.latest)
    }

    pub(super) fn smoothed(&self) -> Option<Duration> {
        self.time(self.smoothed)
    }

    pub(super) fn least(&self) -> Option<Duration> {
        self.time(self.least)
    }

    fn time(&self, micros: u32) -> Option<Duration> {
        self.measured.then(|| Duration::from_micros(micros.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn the_time_out_follows_the_round_trip_between_its_bounds() {
        let config = Config::default();
        let mut rtt = RoundTrip::default();
        assert_eq!(rtt.time_out(&config), ms(333));
        rtt.sample(ms(1));
        assert_eq!(rtt.time_out(&config), ms(100), "at least 100 ms");
        for _ in 0..200 {
            rtt.sample(ms(80));
        }
        let steady = rtt.time_out(&config);
        assert!(steady >= ms(129) && steady <= ms(131), "srtt + tick, not {steady:?}");
        rtt.back_off();
        assert_eq!(rtt.time_out(&config), steady * 2);
        for _ in 0..40 {
            rtt.back_off();
        }
        assert_eq!(rtt.time_out(&config), ms(5_000));
        rtt.progress();
        assert_eq!(rtt.time_out(&config), steady);
        assert_eq!(rtt.least(), Some(ms(1)));
    }
}
