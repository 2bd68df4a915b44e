//! The progress of a run: a block that redraws itself on a terminal, a plain line every few seconds elsewhere.

use std::io::IsTerminal;
use std::time::Duration;

use async_trait::async_trait;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use loadkit_core::format::{clock, count, counted, fit, micros, rate};
use loadkit_core::{Collector, Control, Failure, Job, Judge, MetricSink, Point, SeriesStep, Snapshot};

use super::say;

/// The narrowest terminal that the block fits.
const WIDTH: usize = 80;
/// Steps shown in the block; a terminal has 24 lines.
const MAX_STEPS: usize = 14;
/// The block redraws so often.
const SHOW_EVERY: Duration = Duration::from_millis(500);
/// Without a terminal: a line so often.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Collects a run's snapshots and shows how it goes.
pub(super) struct Live {
    judge: Judge,
    title: String,
    duration: Duration,
    shown: Duration,
    screen: Screen,
}

enum Screen {
    Nothing,
    Block(ProgressBar),
    Lines { next: Duration },
}

impl Live {
    pub(super) fn new(job: &Job, scenario: &str, control: &Control, quiet: bool) -> Live {
        Live::titled(format!("{scenario} against {}, seed {}", job.target.name(), job.seed), job, control, quiet)
    }

    /// With a title of one's own.
    pub(super) fn titled(title: String, job: &Job, control: &Control, quiet: bool) -> Live {
        let screen = if quiet {
            Screen::Nothing
        } else if std::io::stderr().is_terminal() {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            Screen::Block(bar.with_style(ProgressStyle::default_spinner().template("{msg}").unwrap_or_else(|_| {
                // The template is a constant that holds; the default shows the message too.
                ProgressStyle::default_spinner()
            })))
        } else {
            Screen::Lines { next: LINE_EVERY }
        };
        let judge = Judge::new(job.plan.thresholds(), job.plan.interval()).with_control(control);
        if let Screen::Lines { .. } = screen {
            say::aside(&title);
        }
        Live { judge, title, duration: job.plan.duration(), shown: Duration::ZERO, screen }
    }

    /// Ends the progress; what was collected, with its judge.
    pub(super) fn finish(self) -> Judge {
        if let Screen::Block(bar) = self.screen {
            bar.finish_and_clear();
        }
        self.judge
    }

    fn show(&mut self, snapshot: &Snapshot) {
        let at = Duration::from_micros(snapshot.to_us);
        if at < self.shown + SHOW_EVERY {
            return;
        }
        self.shown = at;
        let Some(point) = self.latest() else { return };
        let collector = self.judge.collector();
        let width = collector.width();
        match &self.screen {
            Screen::Nothing => {}
            Screen::Block(bar) => bar.set_message(block(&self.title, at, self.duration, point, width, collector)),
            Screen::Lines { next } if at < *next => {}
            Screen::Lines { .. } => {
                say::aside(line(at, self.duration, point, width, collector));
                self.screen = Screen::Lines { next: at + LINE_EVERY };
            }
        }
    }

    /// The latest point but one: every shard that still plays has told of it.
    fn latest(&self) -> Option<Point<'_>> {
        self.judge.collector().points().rev().nth(1)
    }
}

#[async_trait]
impl MetricSink for Live {
    async fn publish(&mut self, snapshot: &Snapshot) -> Result<(), Failure> {
        self.judge.apply(snapshot);
        self.show(snapshot);
        Ok(())
    }
}

fn players(point: Point<'_>, collector: &Collector) -> String {
    let totals = collector.totals();
    format!(
        "{} connected, {} playing of {} planned, {} failed",
        count(point.connected()),
        count(point.active()),
        count(point.planned()),
        count(totals.failed()),
    )
}

fn time_left(at: Duration, duration: Duration) -> String {
    match duration.saturating_sub(at) {
        Duration::ZERO => "the players leave".into(),
        left => format!("{} left", clock(left)),
    }
}

/// The block on a terminal.
fn block(
    title: &str,
    at: Duration,
    duration: Duration,
    point: Point<'_>,
    width: Duration,
    collector: &Collector,
) -> String {
    let mut lines = vec![
        title.to_owned(),
        format!("{} of {}, {}", clock(at.min(duration)), clock(duration), time_left(at, duration)),
        format!("players  {}", players(point, collector)),
        format!("{:<22}{:>10}{:>11}{:>11}{:>11}{:>10}", "step", "rate", "p50", "p95", "p99", "failed"),
    ];
    let mut steps: Vec<_> = collector.totals().steps.iter().collect();
    steps.sort_by_key(|(_, step)| std::cmp::Reverse(step.succeeded() + step.failed()));
    for (name, totals) in steps.iter().take(MAX_STEPS) {
        let now = point.step(name).unwrap_or_default();
        let at = |quantile| match now.response.count() {
            0 => "-".into(),
            _ => micros(now.response.quantile(quantile) as f64),
        };
        lines.push(format!(
            "{:<22}{:>10}{:>11}{:>11}{:>11}{:>10}",
            fit(name, 21),
            rate(per_second(&now, width)),
            at(0.5),
            at(0.95),
            at(0.99),
            count(totals.failed()),
        ));
    }
    if steps.len() > MAX_STEPS {
        lines.push(counted((steps.len() - MAX_STEPS) as u64, "more step", "more steps"));
    }
    lines.iter().map(|line| fit(line, WIDTH - 1)).collect::<Vec<_>>().join("\n")
}

/// The plain line elsewhere.
fn line(at: Duration, duration: Duration, point: Point<'_>, width: Duration, collector: &Collector) -> String {
    let busiest = point.steps().max_by_key(|(_, step)| step.response.count());
    let step = busiest.map_or_else(String::new, |(name, step)| {
        format!(", {name} {} p99 {}", rate(per_second(&step, width)), micros(step.response.quantile(0.99) as f64))
    });
    format!("{} of {}  {}{step}", clock(at), clock(duration), players(point, collector))
}

fn per_second(step: &SeriesStep, width: Duration) -> f64 {
    (step.response.count() + step.failed) as f64 / width.as_secs_f64()
}
