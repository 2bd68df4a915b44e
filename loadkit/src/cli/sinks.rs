//! Live sinks: where the figures go while the run is on, beside the screen and the report.

use std::io;
use std::time::Duration;

use loadkit_core::{Job, Judge, Judgement, MetricSink};
use loadkit_sinks::{Delivery, Fan, FanOptions, RunLabels, Sink, losses};

use super::outcome::UseError;
use super::say;

/// Where the figures go while the run is on. Each interval goes out as one figure of each name, all threads together.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Live figures")]
pub struct SinkArgs {
    /// Serves the figures to Prometheus at this address: 127.0.0.1:9464.
    #[cfg(feature = "prometheus")]
    #[arg(long, value_name = "ADDR")]
    pub prometheus: Option<std::net::SocketAddr>,
    /// Sends the figures by OTLP over HTTP to this collector: http://127.0.0.1:4318.
    #[cfg(feature = "otlp")]
    #[arg(long, value_name = "URL")]
    pub otlp: Option<String>,
    /// Writes a line of JSON for each interval to this file; - is standard output.
    #[arg(long, value_name = "FILE")]
    pub json_lines: Option<std::path::PathBuf>,
    /// Sends the figures to this StatsD daemon over UDP: 127.0.0.1:8125.
    #[arg(long, value_name = "ADDR")]
    pub statsd: Option<String>,
    /// Sends steps and labels to StatsD as tags, as DogStatsD has them.
    #[arg(long, requires = "statsd")]
    pub statsd_tags: bool,
    /// Writes the figures in CloudWatch's embedded metric format to this file; - is standard output.
    #[arg(long, value_name = "FILE")]
    pub emf: Option<std::path::PathBuf>,
}

impl SinkArgs {
    /// Opens all sinks that are asked for. `is_stdout_free` says that nothing else is printed there.
    fn open(&self, run: &RunLabels, is_stdout_free: bool) -> Result<Vec<Box<dyn Sink>>, UseError> {
        self.check_stdout(is_stdout_free)?;
        let mut sinks: Vec<Box<dyn Sink>> = Vec::new();
        #[cfg(feature = "prometheus")]
        if let Some(addr) = self.prometheus {
            sinks.push(Box::new(loadkit_sinks::Prometheus::open(addr, run).map_err(UseError::new)?));
        }
        #[cfg(feature = "otlp")]
        if let Some(url) = &self.otlp {
            sinks.push(Box::new(loadkit_sinks::Otlp::open(url, run.clone()).map_err(UseError::new)?));
        }
        if let Some(path) = &self.json_lines {
            sinks.push(Box::new(loadkit_sinks::JsonLines::open(path, run.clone()).map_err(UseError::new)?));
        }
        if let Some(addr) = &self.statsd {
            sinks.push(Box::new(loadkit_sinks::StatsD::open(addr, self.statsd_tags).map_err(UseError::new)?));
        }
        if let Some(path) = &self.emf {
            sinks.push(Box::new(loadkit_sinks::Emf::open(path, run.clone()).map_err(UseError::new)?));
        }
        Ok(sinks)
    }

    /// Standard output is one stream: two that write there would spoil each other.
    fn check_stdout(&self, is_free: bool) -> Result<(), UseError> {
        let is_stdout = |path: &Option<std::path::PathBuf>| path.as_ref().is_some_and(|path| path.as_os_str() == "-");
        let users = [("--json-lines", is_stdout(&self.json_lines)), ("--emf", is_stdout(&self.emf))];
        let users: Vec<&str> = users.into_iter().filter(|(_, uses)| *uses).map(|(flag, _)| flag).collect();
        match users.as_slice() {
            [] => Ok(()),
            [_] if is_free => Ok(()),
            [flag] => Err(UseError::new(format!(
                "{flag} - writes to standard output, and so does the summary: add --quiet (without --json), or name a file"
            ))),
            _ => Err(UseError::new(
                "--json-lines - and --emf - both write to standard output: name a file for one of them",
            )),
        }
    }
}

/// Puts the sinks that are asked for beside `inner`. To be done before the first player starts.
pub(super) fn beside<S: MetricSink>(
    inner: S,
    args: &super::RunArgs,
    job: &Job,
    scenario: &str,
    now: fn() -> Duration,
) -> Result<Fan<S>, UseError> {
    let run = RunLabels {
        run: job.id.to_string(),
        scenario: scenario.to_owned(),
        target: job.target.name().to_owned(),
        seed: job.seed.to_string(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let sinks = args.sinks.open(&run, args.play.quiet && !args.play.json)?;
    if !args.play.quiet {
        for sink in &sinks {
            say::aside(format_args!("live figures: {} {}", sink.name(), sink.place()));
        }
    }
    let options = FanOptions::new(job.plan.interval(), job.shards, now);
    Fan::start(inner, sinks, &options).map_err(|error: io::Error| {
        UseError::invalid(format!("the system gives no thread for the live figures: {error}"))
    })
}

/// What was lost, as counts among the run's others.
pub(super) fn count_losses(deliveries: &[Delivery], job: &Job, judge: &mut Judge) {
    if !deliveries.is_empty() {
        let to_us = judge.collector().totals().to_us;
        judge.apply(&losses(deliveries, job.id, job.worker, to_us));
    }
}

/// What was lost, in words. It is no reason to doubt the report, which has all figures.
///
/// The summary has no room for all of it, so it is said beside it as well.
pub(super) fn warn_of_losses(deliveries: &[Delivery], judgement: &mut Judgement, quiet: bool) {
    for warning in deliveries.iter().filter_map(Delivery::warning) {
        if !quiet {
            say::aside(format_args!("warning: {warning}"));
        }
        judgement.warnings.push(warning);
    }
}
