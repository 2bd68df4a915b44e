//! What recording costs.

use std::hint::black_box;
use std::time::{Duration, Instant};

use loadkit::core::Recorder;
use loadkit_tests::bench::Figure;
use serde_json::json;

/// One step recorded by its name: the look-up, the service time and the response time.
pub(crate) fn record() -> Vec<Figure> {
    const ROUNDS: u32 = 4_000_000;
    let mut recorder = Recorder::new();
    let names = ["login", "matchmake", "tick", "buy", "leave"];
    for name in names {
        recorder.step_id(name);
    }
    let mut best = f64::MAX;
    let mut by_id = f64::MAX;
    for _ in 0..5 {
        let start = Instant::now();
        for i in 0..ROUNDS {
            let id = recorder.step_id(black_box(names[i as usize % names.len()]));
            let time = Duration::from_micros(u64::from(black_box(i) % 60_000));
            recorder.step_ok(id, time, time);
        }
        best = best.min(start.elapsed().as_nanos() as f64 / f64::from(ROUNDS));
        let id = recorder.trend_id("age");
        let start = Instant::now();
        for i in 0..ROUNDS {
            recorder.trend(id, Duration::from_micros(u64::from(black_box(i) % 60_000)));
        }
        by_id = by_id.min(start.elapsed().as_nanos() as f64 / f64::from(ROUNDS));
    }
    let notes = json!({ "what": "a step by its name, service and response time", "one_value_by_id_ns": by_id });
    vec![Figure::new("record_ns", best).at_most(25.0).with(notes)]
}
