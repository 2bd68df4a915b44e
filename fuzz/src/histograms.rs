//! `histograms.hlog`: as text, and the bytes of its histograms below base64 and compression.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use loadkit_core::{Histogram, HistogramDelta, Intervals, hlog};

pub(crate) fn target(bytes: &[u8]) {
    let read = match std::str::from_utf8(bytes) {
        Ok(text) if text.starts_with('#') => hlog::read(text),
        // Random bytes do not get through base64, a compressed stream and a head that says their length.
        _ => hlog::read(&log(&encoded(bytes))),
    };
    match read {
        Ok(intervals) => check(&intervals),
        Err(error) => assert!(error.line() > 0 && !error.to_string().is_empty()),
    }
}

/// A log of two intervals with this histogram.
pub(crate) fn log(histogram: &str) -> String {
    format!(
        "#[Run: 1]\n#[IntervalWidth: 1 (seconds)]\nTag=step,0.0,1.0,1.0,{histogram}\nTag=step,3.0,1.0,1.0,{histogram}\n\
         #[Intervals: 2]\n"
    )
}

/// These bytes as what stands in a histogram after its head.
pub(crate) fn encoded(counts: &[u8]) -> String {
    let mut plain = Vec::new();
    for word in [0x1c84_9313_u32, counts.len() as u32, 0, 3] {
        plain.extend(word.to_be_bytes());
    }
    for word in [1_u64, 1 << 40, 1_f64.to_bits()] {
        plain.extend(word.to_be_bytes());
    }
    plain.extend(counts);
    let mut packer = ZlibEncoder::new(Vec::new(), Compression::fast());
    let packed = packer.write_all(&plain).and_then(|()| packer.finish()).unwrap_or_default();
    let mut bytes = 0x1c84_9314_u32.to_be_bytes().to_vec();
    bytes.extend((packed.len() as u32).to_be_bytes());
    bytes.extend(packed);
    BASE64.encode(bytes)
}

fn check(intervals: &Intervals) {
    for step in intervals.steps.values() {
        let whole = step.whole_response();
        step.response.iter().chain([&step.service, &whole]).for_each(check_one);
    }
}

fn check_one(values: &HistogramDelta) {
    assert!(values.buckets.is_sorted_by(|a, b| a.0 < b.0), "{values:?}");
    let mut general = Histogram::new();
    general.apply(values);
    for quantile in [0.0, 0.5, 0.99, 1.0] {
        assert!(values.quantile(quantile) <= values.max, "{quantile} of {values:?}");
        let _ = general.quantile(quantile);
    }
    let _ = general.mean();
}
