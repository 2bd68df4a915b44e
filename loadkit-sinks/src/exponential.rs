//! HdrHistogram's buckets -> few buckets whose bounds grow by a constant factor, as OTLP's exponential histograms have
//! them: bucket `i` at a scale holds what is above `base^i` and at most `base^(i + 1)`, with `base = 2^(2^-scale)`.
//! Source: the OpenTelemetry metrics data model, "ExponentialHistogram".

use loadkit_core::HistogramDelta;

/// Buckets 0.135 % wide: finer than the buckets that come in would be for show.
const FINEST: i32 = 9;
/// At this scale two buckets hold all that there is.
const COARSEST: i32 = -10;

/// A distribution in buckets of constant relative width.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Exponential {
    /// How fine: each step up halves the width.
    pub(crate) scale: i32,
    /// How many values are zero.
    pub(crate) zeros: u64,
    /// The index of the first bucket.
    pub(crate) offset: i32,
    /// How many values are in each bucket from there on.
    pub(crate) counts: Vec<u64>,
}

impl Exponential {
    /// The values, each times `unit`, in the finest buckets of which at most `most` span them all.
    pub(crate) fn new(values: &HistogramDelta, unit: f64, most: usize) -> Exponential {
        let of = |value: u64| value.min(values.max) as f64 * unit;
        let zeros = values.buckets.iter().filter(|(value, _)| of(*value) <= 0.0).map(|(_, count)| count).sum();
        let positive =
            || values.buckets.iter().map(|&(value, count)| (of(value), count)).filter(|(value, _)| *value > 0.0);
        let (Some((least, _)), Some((largest, _))) = (positive().next(), positive().next_back()) else {
            return Exponential { zeros, ..Exponential::default() };
        };
        let spans = |scale| (index(largest, scale) - index(least, scale)) as usize + 1;
        let scale = (COARSEST..=FINEST).rev().find(|&scale| spans(scale) <= most.max(2)).unwrap_or(COARSEST);
        let offset = index(least, scale);
        let mut counts = vec![0_u64; spans(scale)];
        for (value, count) in positive() {
            if let Some(bucket) = counts.get_mut((index(value, scale) - offset) as usize) {
                *bucket = bucket.saturating_add(count);
            }
        }
        Exponential { scale, zeros, offset, counts }
    }

    /// The middle of the nth bucket.
    #[cfg(any(feature = "emf", test))]
    pub(crate) fn middle(&self, nth: usize) -> f64 {
        let at = f64::from(self.offset) + nth as f64 + 0.5;
        (at * (-f64::from(self.scale)).exp2()).exp2()
    }
}

/// The bucket of a positive value.
fn index(value: f64, scale: i32) -> i32 {
    (value.log2() * f64::from(scale).exp2()).ceil() as i32 - 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A delta with a value in each bucket, as if each had one of its own.
    fn delta(mut values: Vec<u64>) -> HistogramDelta {
        values.sort_unstable();
        let (min, max) = (values.first().copied().unwrap_or(0), values.last().copied().unwrap_or(0));
        let sum = values.iter().map(|&value| u128::from(value)).sum();
        values.dedup();
        HistogramDelta { buckets: values.into_iter().map(|value| (value, 1)).collect(), sum, min, max }
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_everything_is_in_its_bucket(
            values in prop::collection::vec(0_u64..1 << 42, 0..200),
            most in 2_usize..160,
        ) {
            let delta = delta(values);
            for unit in [1.0, 1e-6] {
                let got = Exponential::new(&delta, unit, most);
                prop_assert_eq!(got.counts.iter().sum::<u64>() + got.zeros, delta.count());
                prop_assert!(got.counts.len() <= most);
                for &(value, _) in delta.buckets.iter().filter(|(value, _)| *value > 0) {
                    let value = value as f64 * unit;
                    let nth = (index(value, got.scale) - got.offset) as usize;
                    prop_assert!(got.counts[nth] > 0);
                    let half = (0.5 * (-f64::from(got.scale)).exp2()).exp2();
                    let (low, high) = (got.middle(nth) / half, got.middle(nth) * half);
                    prop_assert!(value > low * (1.0 - 1e-9) && value <= high * (1.0 + 1e-9), "{value} in {low}..{high}");
                }
            }
        }
    }

    #[test]
    fn what_is_close_together_is_told_apart_finely() {
        let fine = Exponential::new(&delta((1_000..1_050).collect()), 1e-6, 160);
        assert_eq!(fine.scale, FINEST);
        // From 100 µs to 60 s, in at most 160 buckets: each is 9 % wide.
        let wide = Exponential::new(&delta((0..20).map(|n| 100 << n).collect()), 1e-6, 160);
        assert_eq!((wide.scale, wide.zeros), (3, 0));
        assert_eq!(Exponential::new(&delta(vec![0]), 1.0, 160), Exponential { zeros: 1, ..Exponential::default() });
        assert_eq!(Exponential::new(&delta(vec![]), 1.0, 160), Exponential::default());
    }
}
