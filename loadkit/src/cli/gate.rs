//! `gate BASE… CANDIDATE`: whether a build has become slower, from the reports of its runs.

use std::path::PathBuf;
use std::time::Duration;

pub use loadkit_core::gate::GateLimits;
use loadkit_core::gate::{Gate, GateError, GateOptions, comparable, compare_stored, gate_summary};
use loadkit_core::{Report, RunFacts, parse_duration};

use super::outcome::UseError;
use super::run::coloured;
use super::say;

pub(super) const EXAMPLES: &str = "\
Examples:
  gate report-1.4 report-1.5                        is 1.5 worse than 1.4?
  gate --base mon --base tue --base wed report      against three runs of the old build
  gate report-1.4 report-1.5 --after 1m --json

Exit codes:
  0  no figure has become worse
  1  a figure has: by more than the noise explains, and by enough to matter
  2  wrong use, or the runs cannot be compared
  3  not enough data, or a run was invalid itself";

/// The arguments of `gate`.
#[derive(Clone, Debug, clap::Args)]
pub struct GateArgs {
    /// Directories of reports, the candidate's last: BASE CANDIDATE, or several baselines before it.
    #[arg(required = true, value_name = "DIR")]
    pub reports: Vec<PathBuf>,
    /// A report of the baseline. Several show how much the machine differs from run to run.
    #[arg(long, value_name = "DIR")]
    pub base: Vec<PathBuf>,
    /// What is looked for.
    #[command(flatten)]
    pub limits: GateLimits,
    /// Compares from this time of each run on; by default from the end of the plan's ramp.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub after: Option<Duration>,
    /// Prints the result as JSON.
    #[arg(long)]
    pub json: bool,
}

/// Where the help has what belongs to the gate.
pub(super) const GATE: &str = "Regression gate";

/// What the limits say, for the gate.
pub(super) fn options(limits: &GateLimits) -> Result<GateOptions, UseError> {
    limits.options().map_err(UseError::new)
}

/// Reports of the build before.
pub(super) struct Baselines(Vec<(String, Report)>);

impl Baselines {
    /// Reads them.
    pub(super) fn load<'a>(dirs: impl IntoIterator<Item = &'a PathBuf>) -> Result<Baselines, UseError> {
        let load = |dir: &PathBuf| Ok((dir.display().to_string(), Report::load(dir).map_err(UseError::new)?));
        dirs.into_iter().map(load).collect::<Result<_, _>>().map(Baselines)
    }

    /// The latest of them.
    pub(super) fn last(&self) -> Option<&Report> {
        self.0.iter().map(|(_, report)| report).max_by_key(|report| report.run.started_at_unix_s)
    }

    /// Whether they are of the same test as this run, which may not have begun yet.
    pub(super) fn check(&self, name: &str, run: &RunFacts) -> Result<(), UseError> {
        self.0
            .iter()
            .try_for_each(|(base_name, base)| comparable((base_name, &base.run), (name, run)).map_err(UseError::new))
    }

    /// What the gate says of a run.
    pub(super) fn compare(
        &self,
        name: &str,
        report: &Report,
        after: Option<Duration>,
        options: &GateOptions,
    ) -> Result<Gate, GateError> {
        let bases = self.0.iter().map(|(name, base)| (name.as_str(), base));
        compare_stored(bases, (name, report), after, options)
    }
}

/// Compares, prints, and gives the exit code.
pub(super) fn gate(args: &GateArgs) -> Result<u8, UseError> {
    let options = options(&args.limits)?;
    let (candidate, first) = args.reports.split_last().ok_or_else(no_baseline)?;
    let baselines: Vec<&PathBuf> = args.base.iter().chain(first).collect();
    if baselines.is_empty() {
        return Err(no_baseline());
    }
    let name = candidate.display().to_string();
    let candidate = Report::load(candidate).map_err(UseError::new)?;
    let baselines = Baselines::load(baselines)?;
    let gate = baselines.compare(&name, &candidate, args.after, &options).map_err(UseError::new)?;
    let text = if args.json {
        serde_json::to_string_pretty(&gate).map_err(UseError::new)? + "\n"
    } else {
        coloured(&gate_summary(&gate))
    };
    say::result(text).map_err(|error| UseError::unprinted(&error))?;
    Ok(gate.verdict.exit_code())
}

fn no_baseline() -> UseError {
    UseError::new("there is no baseline: give the old report before the new one (gate OLD NEW), or with --base OLD")
}

fn time(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|error| error.to_string())
}
