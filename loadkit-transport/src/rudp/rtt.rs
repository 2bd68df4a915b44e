//! Round trips: smoothed, and the time-outs that follow from them (RFC 6298, RFC 9002).

use std::time::Duration;

use tokio::time::Instant;

use super::config::{BackOff, Config};

/// The least round trip is that of this window and the one before.
const WINDOW: Duration = Duration::from_secs(10);
/// A clock is not finer than this (RFC 9002, section 6.1.2).
const GRANULARITY: Duration = Duration::from_millis(1);

/// What was learnt of the round trip, in µs (a u32 holds 71 minutes).
#[derive(Debug, Default)]
pub(super) struct RoundTrip {
    latest: u32,
    smoothed: u32,
    variance: u32,
    jitter: u32,
    /// The least of this window, and of the one before.
    least: [u32; 2],
    /// When this window began. `None`: nothing has been measured.
    window: Option<Instant>,
    /// How often in a row the time-out has passed: each time doubles it.
    backoff: u8,
}

impl RoundTrip {
    /// Takes a sample: `srtt += (sample - srtt) / 8`, `var += (|sample - srtt| - var) / 4`; the first one sets both. The
    /// jitter is the smoothed difference of one sample and the next (RFC 3550, section 6.4.1).
    pub(super) fn sample(&mut self, now: Instant, rtt: Duration) {
        let sample = u32::try_from(rtt.as_micros()).unwrap_or(u32::MAX / 8);
        let Some(window) = self.window else {
            self.window = Some(now);
            (self.latest, self.smoothed, self.variance, self.least) = (sample, sample, sample / 2, [sample; 2]);
            return;
        };
        let off = self.smoothed.abs_diff(sample);
        self.variance = self.variance - self.variance / 4 + off / 4;
        self.smoothed = self.smoothed - self.smoothed / 8 + sample / 8;
        self.jitter = self.jitter - self.jitter / 16 + self.latest.abs_diff(sample) / 16;
        self.latest = sample;
        if now >= window + WINDOW {
            self.window = Some(now);
            self.least = [sample, self.least[0]];
        }
        self.least[0] = self.least[0].min(sample);
    }

    /// Something of ours has arrived: the time-out is as measured again.
    pub(super) fn progress(&mut self) {
        self.backoff = 0;
    }

    /// The time-out has passed without an ack.
    pub(super) fn back_off(&mut self) {
        self.backoff = self.backoff.saturating_add(1).min(16);
    }

    /// `srtt + max(4 var, tick)`, between the bounds, grown for each time-out in a row.
    pub(super) fn time_out(&self, config: &Config) -> Duration {
        let base = if self.window.is_some() {
            let spread = Duration::from_micros(u64::from(self.variance) * 4).max(config.tick);
            (Duration::from_micros(self.smoothed.into()) + spread).max(config.rto_min)
        } else {
            config.rto_first
        };
        let grown = match config.back_off {
            BackOff::Double => base.saturating_mul(1 << self.backoff),
            BackOff::ByHalf => (0..self.backoff).fold(base, |time, _| time.saturating_add(time / 2)),
        };
        grown.min(config.rto_max)
    }

    /// A packet is lost when a later one has arrived and so much time has passed since it was sent: 9/8 of the greater
    /// of the smoothed and the latest round trip (RFC 9002, section 6.1.2).
    pub(super) fn loss_delay(&self, config: &Config) -> Duration {
        if self.window.is_none() {
            return config.rto_first;
        }
        let base = u64::from(self.smoothed.max(self.latest));
        Duration::from_micros(base + base / 8).max(GRANULARITY)
    }

    pub(super) fn latest(&self) -> Option<Duration> {
        self.time(self.latest)
    }

    pub(super) fn smoothed(&self) -> Option<Duration> {
        self.time(self.smoothed)
    }

    /// The least of the last 10 to 20 s.
    pub(super) fn least(&self) -> Option<Duration> {
        self.time(self.least[0].min(self.least[1]))
    }

    pub(super) fn jitter(&self) -> Option<Duration> {
        self.time(self.jitter)
    }

    fn time(&self, micros: u32) -> Option<Duration> {
        self.window.map(|_| Duration::from_micros(micros.into()))
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
        let now = Instant::now();
        assert_eq!(rtt.loss_delay(&config), ms(333));
        rtt.sample(now, ms(1));
        assert_eq!(rtt.loss_delay(&config), Duration::from_micros(1_125));
        assert_eq!(rtt.time_out(&config), ms(100), "at least 100 ms");
        for _ in 0..200 {
            rtt.sample(now, ms(80));
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
        assert_eq!((rtt.least(), rtt.loss_delay(&config)), (Some(ms(1)), ms(90)));
        assert!(rtt.jitter().is_some_and(|jitter| jitter < ms(1)), "{:?}", rtt.jitter());
    }

    #[test]
    fn the_least_is_of_late() {
        let (mut rtt, now) = (RoundTrip::default(), Instant::now());
        for (at, sample, least) in [(0, 5, 5), (3, 9, 5), (10, 9, 5), (19, 8, 5), (21, 9, 8), (29, 9, 8), (31, 9, 9)] {
            rtt.sample(now + Duration::from_secs(at), ms(sample));
            assert_eq!(rtt.least(), Some(ms(least)), "after {at} s");
        }
    }

    #[test]
    fn fast_mode_waits_less_and_grows_slower() {
        let (mut rtt, config) = (RoundTrip::default(), Config::DEFAULT.fast());
        rtt.sample(Instant::now(), ms(2));
        assert_eq!(rtt.time_out(&config), ms(30));
        rtt.back_off();
        assert_eq!(rtt.time_out(&config), ms(45));
        for _ in 0..40 {
            rtt.back_off();
        }
        assert_eq!(rtt.time_out(&config), ms(5_000));
    }
}
