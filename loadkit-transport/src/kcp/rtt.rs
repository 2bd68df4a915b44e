//! Round trips: smoothed, and the resend time-out that follows from them, by KCP's rules.

use std::time::Duration;

use super::config::NoDelay;

/// `IKCP_RTO_DEF`: before the first measured round trip.
const FIRST: u32 = 200_000;
/// `IKCP_RTO_MAX`. The reference bounds only what follows from round trips; here also what grows from it.
pub(super) const MAX: u32 = 60_000_000;

/// What was learnt of the round trip, in µs (a u32 holds 71 minutes).
#[derive(Debug, Default)]
pub(super) struct RoundTrip {
    latest: u32,
    /// `rx_srtt`; 0 before the first sample.
    smoothed: u32,
    /// `rx_rttval`.
    variance: u32,
    least: u32,
    /// `rx_rto`; 0 before the first sample.
    time_out: u32,
}

impl RoundTrip {
    /// Takes a sample: `rttval = (3 rttval + |sample - srtt|) / 4`, `srtt = (7 srtt + sample) / 8`, and the time-out is
    /// `srtt + max(interval, 4 rttval)` between its bounds. The first one sets `srtt`, and `rttval` to half of it.
    pub(super) fn sample(&mut self, rtt: Duration, interval: Duration, nodelay: NoDelay) {
        let sample = micros(rtt).max(1);
        self.latest = sample;
        if self.smoothed == 0 {
            (self.smoothed, self.variance, self.least) = (sample, sample / 2, sample);
        } else {
            self.variance = (3 * self.variance + self.smoothed.abs_diff(sample)) / 4;
            self.smoothed = ((7 * self.smoothed + sample) / 8).max(1);
            self.least = self.least.min(sample);
        }
        // `IKCP_RTO_MIN` and `IKCP_RTO_NDL`.
        let min = if nodelay == NoDelay::Off { 100_000 } else { 30_000 };
        self.time_out = (self.smoothed + micros(interval).max(4 * self.variance)).clamp(min, MAX);
    }

    /// A segment's time-out when it is sent for the first time, in µs.
    pub(super) fn time_out(&self) -> u32 {
        if self.time_out == 0 { FIRST } else { self.time_out }
    }

    /// What becomes of a segment's time-out when it has passed.
    pub(super) fn grown(&self, time_out: u32, nodelay: NoDelay) -> u32 {
        let grown = match nodelay {
            NoDelay::Off => time_out + time_out.max(self.time_out()),
            NoDelay::On => time_out + time_out / 2,
            NoDelay::Flat => time_out + self.time_out() / 2,
        };
        grown.min(MAX)
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
        (self.smoothed > 0).then(|| Duration::from_micros(micros.into()))
    }
}

/// At most what can be multiplied by 8: longer than any time-out.
fn micros(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX).min(u32::MAX / 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(samples: &[u64], interval: u64, nodelay: NoDelay) -> RoundTrip {
        let mut rtt = RoundTrip::default();
        for &sample in samples {
            rtt.sample(Duration::from_millis(sample), Duration::from_millis(interval), nodelay);
        }
        rtt
    }

    #[test]
    fn the_time_out_follows_the_rules_of_the_reference() {
        assert_eq!(RoundTrip::default().time_out(), 200_000);
        // 80 + max(10, 4 * 40).
        assert_eq!(after(&[80], 10, NoDelay::On).time_out(), 240_000);
        // rttval = (3 * 40 + 80) / 4 = 50, srtt = (7 * 80 + 160) / 8 = 90.
        assert_eq!(after(&[80, 160], 10, NoDelay::On).time_out(), 290_000);
        assert_eq!(after(&[1; 200], 10, NoDelay::Off).time_out(), 100_000);
        assert_eq!(after(&[1; 200], 10, NoDelay::On).time_out(), 30_000);
        assert_eq!(after(&[80; 200], 100, NoDelay::On).time_out(), 180_000);
        assert_eq!(after(&[u64::MAX; 200], 10, NoDelay::On).time_out(), MAX);
        let stats = after(&[80, 160], 10, NoDelay::On);
        let ms = |millis| Some(Duration::from_millis(millis));
        assert_eq!((stats.latest(), stats.smoothed(), stats.least()), (ms(160), ms(90), ms(80)));
        assert_eq!(RoundTrip::default().least(), None);
    }

    #[test]
    fn it_grows_as_the_mode_has_it_and_has_an_end() {
        let grown = |nodelay| {
            let rtt = after(&[50], 10, nodelay);
            let first = rtt.grown(rtt.time_out(), nodelay);
            (first, rtt.grown(first, nodelay))
        };
        assert_eq!(grown(NoDelay::Off), (300_000, 600_000));
        assert_eq!(grown(NoDelay::On), (225_000, 337_500));
        assert_eq!(grown(NoDelay::Flat), (225_000, 300_000));
        assert_eq!(RoundTrip::default().grown(MAX, NoDelay::Off), MAX);
    }
}
