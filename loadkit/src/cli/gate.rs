//! `gate BASE… CANDIDATE`: whether a build has become slower, from the reports of its runs.

use std::path::PathBuf;
use std::time::Duration;

use loadkit_core::gate::{Gate, GateError, GateOptions, GateRun, compare, differences, gate_summary};
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

/// What the gate looks for.
#[derive(Clone, Debug, clap::Args)]
pub struct GateLimits {
    /// Smaller changes do not matter.
    #[arg(long, value_name = "PERCENT", value_parser = share, default_value = "3%", help_heading = GATE)]
    pub min_effect: f64,
    /// And neither do changes of a time by less than this, however short it is: the generator's own share in it.
    #[arg(long, value_name = "TIME", value_parser = time, default_value = "100us", help_heading = GATE)]
    pub min_time: Duration,
    /// A change for the worse as large as this must not stay unseen: otherwise the answer is "not enough data".
    #[arg(long, value_name = "PERCENT", value_parser = share, default_value = "10%", help_heading = GATE)]
    pub detect: f64,
    /// Of shares of failures, a smaller difference does not matter.
    #[arg(long, value_name = "PERCENT", value_parser = share, default_value = "0.1%", help_heading = GATE)]
    pub min_errors: f64,
    /// And one as large must not stay unseen.
    #[arg(long, value_name = "PERCENT", value_parser = share, default_value = "1%", help_heading = GATE)]
    pub detect_errors: f64,
    /// How probable it may be that anything is called changed where nothing has.
    #[arg(long, value_name = "SHARE", value_parser = share, default_value = "1%", help_heading = GATE)]
    pub alpha: f64,
}

/// Where the help has what belongs to the gate.
pub(super) const GATE: &str = "Regression gate";

impl Default for GateLimits {
    fn default() -> GateLimits {
        let GateOptions { min_effect, min_time, detect, min_errors, detect_errors, alpha } = GateOptions::default();
        GateLimits { min_effect, min_time, detect, min_errors, detect_errors, alpha }
    }
}

impl GateLimits {
    /// As the gate takes them.
    pub(super) fn options(&self) -> Result<GateOptions, UseError> {
        let GateLimits { min_effect, min_time, detect, min_errors, detect_errors, alpha } = *self;
        for (least, limit, what) in
            [(min_effect, detect, ["effect", ""]), (min_errors, detect_errors, ["errors", "-errors"])]
        {
            let [least_name, limit_name] = what;
            if least > limit {
                return Err(UseError::new(format!(
                    "--min-{least_name} is larger than --detect{limit_name}: a change that does not matter need not be seen; \
                     raise --detect{limit_name} too"
                )));
            }
        }
        Ok(GateOptions { min_effect, min_time, detect, min_errors, detect_errors, alpha })
    }
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
        for (base_name, base) in &self.0 {
            let differ = differences((base_name, &base.run), (name, run));
            if !differ.is_empty() {
                let list: String = differ.iter().map(|line| format!("\n  {line}")).collect();
                return Err(UseError::new(format!("{base_name} and {name} cannot be compared; what differs:{list}")));
            }
        }
        Ok(())
    }

    /// What the gate says of a run.
    pub(super) fn compare(
        &self,
        name: &str,
        report: &Report,
        after: Option<Duration>,
        options: &GateOptions,
    ) -> Result<Gate, GateError> {
        let stored = |(name, base): &(String, Report)| GateRun::stored(name, base, after);
        let runs: Vec<GateRun> = self.0.iter().map(stored).collect::<Result<_, _>>()?;
        let candidate = GateRun::stored(name, report, after)?;
        let all: Vec<&GateRun> = runs.iter().chain([&candidate]).collect();
        GateRun::comparable(&all)?;
        Ok(compare(&runs, std::slice::from_ref(&candidate), options))
    }
}

/// Compares, prints, and gives the exit code.
pub(super) fn gate(args: &GateArgs) -> Result<u8, UseError> {
    let options = args.limits.options()?;
    let (candidate, first) = args.reports.split_last().ok_or_else(no_baseline)?;
    let baselines: Vec<&PathBuf> = args.base.iter().chain(first).collect();
    if baselines.is_empty() {
        return Err(no_baseline());
    }
    let name = candidate.display().to_string();
    let candidate = Report::load(candidate).map_err(UseError::new)?;
    let baselines = Baselines::load(baselines)?;
    baselines.check(&name, &candidate.run)?;
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

/// `3%` or `0.03`, between 0 and 1.
fn share(text: &str) -> Result<f64, String> {
    let (number, whole) = text.strip_suffix('%').map_or((text, 1.0), |number| (number, 100.0));
    let value = number.trim().parse::<f64>().ok().map(|number| number / whole);
    value
        .filter(|value| *value > 0.0 && *value < 1.0)
        .ok_or_else(|| "write a share between 0 and 1, or a percentage: 0.03, 3%".to_owned())
}

fn time(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_read_as_people_write_them() {
        assert_eq!(share("3%"), Ok(0.03));
        assert_eq!(share("0.01"), Ok(0.01));
        assert_eq!(share("2.5 %"), Ok(0.025));
        for text in ["3", "0", "100%", "-1%", "NaN", "%", ""] {
            assert!(share(text).is_err(), "{text}");
        }
    }
}
