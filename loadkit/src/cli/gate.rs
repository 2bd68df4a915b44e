//! `gate BASE… CANDIDATE`: whether a build has become slower, from the reports of its runs.

use std::path::{Path, PathBuf};
use std::time::Duration;

use loadkit_core::gate::{GateOptions, GateRun, compare, differences, gate_summary};
use loadkit_core::{Report, parse_duration};

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
    /// Smaller changes do not matter.
    #[arg(long, value_name = "PERCENT", value_parser = share, default_value = "3%")]
    pub min_effect: f64,
    /// And neither do changes of a time by less than this, however short it is: the generator's own share in it.
    #[arg(long, value_name = "TIME", value_parser = time, default_value = "100us")]
    pub min_time: Duration,
    /// A change for the worse as large as this must not stay unseen: otherwise the answer is "not enough data".
    #[arg(long, value_name = "PERCENT", value_parser = share, default_value = "10%")]
    pub detect: f64,
    /// How probable it may be that anything is called changed where nothing has.
    #[arg(long, value_name = "SHARE", value_parser = share, default_value = "1%")]
    pub alpha: f64,
    /// Compares from this time of each run on; by default from the end of the plan's ramp.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub after: Option<Duration>,
    /// Prints the result as JSON.
    #[arg(long)]
    pub json: bool,
}

impl GateArgs {
    fn options(&self) -> Result<GateOptions, UseError> {
        if self.min_effect > self.detect {
            return Err(UseError::new(
                "--min-effect is larger than --detect: a change that does not matter need not be seen; raise --detect too",
            ));
        }
        let GateArgs { min_effect, min_time, detect, alpha, .. } = *self;
        Ok(GateOptions { min_effect, min_time, detect, alpha, ..GateOptions::default() })
    }
}

/// Compares, prints, and gives the exit code.
pub(super) fn gate(args: &GateArgs) -> Result<u8, UseError> {
    let options = args.options()?;
    let (candidate, first) = args.reports.split_last().ok_or_else(no_baseline)?;
    let baselines: Vec<&PathBuf> = args.base.iter().chain(first).collect();
    if baselines.is_empty() {
        return Err(no_baseline());
    }
    let load = |dir: &Path| Report::load(dir).map(|report| (dir.display().to_string(), report)).map_err(UseError::new);
    let (name, candidate) = load(candidate)?;
    let mut runs = Vec::new();
    for dir in baselines {
        let (base_name, base) = load(dir)?;
        let differ = differences((&base_name, &base), (&name, &candidate));
        if !differ.is_empty() {
            let list: String = differ.iter().map(|line| format!("\n  {line}")).collect();
            return Err(UseError::new(format!("{base_name} and {name} cannot be compared; what differs:{list}")));
        }
        runs.push(GateRun::stored(base_name, &base, args.after).map_err(UseError::new)?);
    }
    let candidate = GateRun::stored(name, &candidate, args.after).map_err(UseError::new)?;
    let all: Vec<&GateRun> = runs.iter().chain([&candidate]).collect();
    GateRun::comparable(&all).map_err(UseError::new)?;
    let gate = compare(&runs, std::slice::from_ref(&candidate), &options);
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
