//! `cargo xtask bench [NAME…]`: the figures that we claim, one JSON line each.
//!
//! Every figure of speed stands beside a baseline measured in the same run, because machines are noisy. Give names
//! to run only those.

mod engine;
mod metrics;

use serde_json::json;

/// One figure, and what it must be at the most or at the least.
struct Figure {
    name: &'static str,
    value: f64,
    limit: Option<Limit>,
    notes: serde_json::Value,
}

/// The bound that the project promises for a figure.
#[derive(Clone, Copy)]
enum Limit {
    AtMost(f64),
    AtLeast(f64),
}

impl Figure {
    fn new(name: &'static str, value: f64) -> Figure {
        Figure { name, value, limit: None, notes: json!({}) }
    }

    fn at_most(mut self, bound: f64) -> Figure {
        self.limit = Some(Limit::AtMost(bound));
        self
    }

    fn at_least(mut self, bound: f64) -> Figure {
        self.limit = Some(Limit::AtLeast(bound));
        self
    }

    fn with(mut self, notes: serde_json::Value) -> Figure {
        self.notes = notes;
        self
    }

    fn print(&self) -> bool {
        let (limit, met) = match self.limit {
            None => (json!(null), true),
            Some(Limit::AtMost(bound)) => (json!({ "at_most": bound }), self.value <= bound),
            Some(Limit::AtLeast(bound)) => (json!({ "at_least": bound }), self.value >= bound),
        };
        let value = (self.value * 1_000.0).round() / 1_000.0;
        let line = json!({ "figure": self.name, "value": value, "limit": limit, "met": met, "notes": self.notes });
        println!("{line}");
        met
    }
}

/// A benchmark: its name, and what it measures.
type Benchmark = (&'static str, fn() -> Vec<Figure>);

const BENCHMARKS: &[Benchmark] = &[("record", metrics::record), ("spawn", engine::spawn), ("idle", engine::idle)];

fn main() -> std::process::ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    if let Some(unknown) = wanted.iter().find(|name| BENCHMARKS.iter().all(|(known, _)| known != name)) {
        let known: Vec<_> = BENCHMARKS.iter().map(|(name, _)| *name).collect();
        eprintln!("error: no benchmark is named {unknown:?}; there is: {}", known.join(", "));
        return 2.into();
    }
    let mut all_met = true;
    for (_, measure) in BENCHMARKS.iter().filter(|(name, _)| wanted.is_empty() || wanted.iter().any(|w| w == name)) {
        for figure in measure() {
            all_met &= figure.print();
        }
    }
    if all_met { 0.into() } else { 1.into() }
}
