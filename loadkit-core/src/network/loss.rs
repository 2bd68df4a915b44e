//! Losses in bursts: the model of Gilbert and Elliott.

use super::{NetworkError, share};

/// Losses in bursts: the network is good or bad, changes by chance from one datagram to the next, and loses other shares
/// of them while it is good than while it is bad.
///
/// E. N. Gilbert, "Capacity of a Burst-Noise Channel", Bell System Technical Journal 39, 1960 (which loses nothing while
/// it is good), and E. O. Elliott, "Estimates of Error Rates for Codes on Burst-Noise Channels", Bell System Technical
/// Journal 42, 1963. The letters are those of netem's `loss gemodel p r 1-h 1-k`: `worsens` is p, `recovers` is r,
/// `loss_bad` is 1-h and `loss_good` is 1-k.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bursts {
    /// The chance that a good network is bad for the next datagram: p.
    pub worsens: f64,
    /// The chance that a bad network is good for the next datagram: r. Above 0.
    pub recovers: f64,
    /// The share lost while it is good: 1-k.
    pub loss_good: f64,
    /// The share lost while it is bad: 1-h.
    pub loss_bad: f64,
}

impl Bursts {
    /// The share of datagrams that meet a bad network in the long run.
    pub fn bad_share(&self) -> f64 {
        self.worsens / (self.worsens + self.recovers).max(f64::MIN_POSITIVE)
    }

    /// The share of datagrams that it loses in the long run.
    pub fn loss_rate(&self) -> f64 {
        let bad = self.bad_share();
        bad * self.loss_bad + (1.0 - bad) * self.loss_good
    }

    pub(super) fn check(&self) -> Result<(), NetworkError> {
        share("bursts.worsens", self.worsens)?;
        share("bursts.recovers", self.recovers)?;
        share("bursts.loss-good", self.loss_good)?;
        share("bursts.loss-bad", self.loss_bad)?;
        if self.recovers == 0.0 {
            return Err(NetworkError::Share { what: "bursts.recovers", share: 0.0 });
        }
        Ok(())
    }
}
