//! What the benchmarks share: figures, whole runs for real, and an echo server in a process of its own.

mod echo_server;
mod used;

use std::process::ExitCode;
use std::sync::Arc;

pub use self::echo_server::{EchoServer, HEARTBEATS, Over};
pub use self::used::Used;

use loadkit::core::{Collector, Control, Job, RunId, Seed, Stage, Target, run};
use loadkit::{Os, Plan, Scenario};
use serde_json::json;

/// One figure, and what it must be at the most or at the least.
pub struct Figure {
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
    /// A figure without a bound.
    pub fn new(name: &'static str, value: f64) -> Figure {
        Figure { name, value, limit: None, notes: json!({}) }
    }

    /// It is promised to be at most this.
    pub fn at_most(mut self, bound: f64) -> Figure {
        self.limit = Some(Limit::AtMost(bound));
        self
    }

    /// It is promised to be at least this.
    pub fn at_least(mut self, bound: f64) -> Figure {
        self.limit = Some(Limit::AtLeast(bound));
        self
    }

    /// What else there is to know.
    pub fn with(mut self, notes: serde_json::Value) -> Figure {
        self.notes = notes;
        self
    }

    /// Prints it; whether its promise is kept.
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
pub type Benchmark<'a> = (&'static str, &'a dyn Fn() -> Vec<Figure>);

/// Runs the benchmarks that the arguments name, or all, and prints a line a figure. Code 1 when a promise is missed.
pub fn main(benchmarks: &[Benchmark<'_>]) -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    if let Some(served) = EchoServer::serve(&wanted) {
        return served.map_or_else(|error| fail("the echo server", error), |()| ExitCode::SUCCESS);
    }
    if let Some(unknown) = wanted.iter().find(|name| benchmarks.iter().all(|(known, _)| known != name)) {
        let known: Vec<_> = benchmarks.iter().map(|(name, _)| *name).collect();
        return fail("usage", format!("no benchmark is named {unknown:?}; there is: {}", known.join(", ")));
    }
    let mut all_met = true;
    for (_, measure) in benchmarks.iter().filter(|(name, _)| wanted.is_empty() || wanted.iter().any(|w| w == name)) {
        for figure in measure() {
            all_met &= figure.print();
        }
    }
    if all_met { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn fail(what: &str, why: impl std::fmt::Display) -> ExitCode {
    eprintln!("error: {what}: {why}");
    ExitCode::from(2)
}

/// Ends the process when a benchmark cannot be set up.
fn set_up<T, E: std::fmt::Display>(what: &str, result: Result<T, E>) -> T {
    result.unwrap_or_else(|error| {
        fail(what, error);
        std::process::exit(2)
    })
}

/// Runs a scenario for real on one shard.
pub fn play<S: Scenario>(scenario: S, plan: Plan, target: Target) -> Collector {
    let mut collector = Collector::new(plan.interval());
    let job = Job { shards: 1, ..Job::whole(RunId(1), plan, target, Seed(1)) };
    let ended = run(&Arc::new(scenario), &job, &(Arc::new(Os) as _), &Control::new(), &mut collector);
    set_up("the benchmark's run", ended);
    collector
}

/// A plan of these stages.
pub fn plan(stages: impl IntoIterator<Item = Stage>) -> Plan {
    set_up("the benchmark's plan", Plan::builder().stages(stages).build())
}
