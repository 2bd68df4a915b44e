//! `cargo loadkit gate`: whether a build has become worse, from two runs or their reports.

use std::path::Path;
use std::time::Duration;

use loadkit_core::Report;
use loadkit_core::gate::{Gate, GateLimits, GateOptions, compare_stored, gate_summary, parse_share};

use crate::exit::{Exit, Failure};
use crate::fleet::{Opened, fetch, run_id, wait, with};
use crate::launch::time;
use crate::output::Output;
use crate::settings::{SettingArgs, Settings};

/// What the help ends with.
pub(crate) const HELP: &str = "\
Examples:
  cargo loadkit gate report-2.30 report-2.31              two folders of reports
  cargo loadkit gate 00a1b2c3d4e5f607 0f1e2d3c4b5a6978    two runs of the fleet
  cargo loadkit gate mon tue wed report --json            against three runs of the old build
  cargo loadkit gate old new --min-effect 10% --detect 50%

Exit codes:
  0  no figure has become worse
  1  a figure has: by more than the noise explains, and by enough to matter
  2  wrong use, or the runs cannot be compared
  3  not enough data, or a run was invalid itself
  4  the fleet does not answer";

/// The arguments of `gate`.
#[derive(Clone, Debug, clap::Args)]
pub struct GateArgs {
    /// Runs or folders of reports, the candidate last: BASE… CANDIDATE.
    #[arg(required = true, num_args = 2.., value_name = "RUN|DIR")]
    pub reports: Vec<String>,
    /// Compares from this time of each run on; by default from the end of the plan's ramp.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub after: Option<Duration>,
    /// What is looked for; else the settings of these names, as of `ci`.
    #[command(flatten)]
    pub limits: GateLimits,
    /// What the command line says of settings.
    #[command(flatten)]
    pub settings: SettingArgs,
}

/// Compares.
///
/// # Errors
/// When a report is not to be had, or they are not of the same test.
pub fn run(args: &GateArgs, output: &Output) -> Result<Exit, Failure> {
    let settings = Settings::resolve(&args.settings)?;
    let options = args.limits.or(&of_settings(&settings)).options().map_err(Failure::wrong_use)?;
    let gate = judge(&reports(&args.reports, &settings, output)?, args.after, &options)?;
    output.result("loadkit.gate/1", &gate, gate_summary(&gate))?;
    Ok(match gate.verdict.exit_code() {
        0 => Exit::Done,
        1 => Exit::Failed,
        _ => Exit::Invalid,
    })
}

/// The reports that are meant, each with its name.
fn reports(named: &[String], settings: &Settings, output: &Output) -> Result<Vec<(String, Report)>, Failure> {
    let here = |name: &String| Path::new(name).exists();
    let load = |name: &String| Report::load(name).map(|report| (name.clone(), report)).map_err(Failure::wrong_use);
    if named.iter().all(here) {
        return named.iter().map(load).collect();
    }
    // What is neither a folder nor an id is said before a fleet is looked for.
    for name in named.iter().filter(|name| !here(name)) {
        run_id(name).map_err(|_| {
            Failure::wrong_use(format!("{name:?} is neither a folder of a report nor a run's id"))
                .mended_by("cargo loadkit runs lists the runs of the fleet")
        })?;
    }
    wait(async {
        with(Opened::to_ask(settings, output).await?, async |fleet: &Opened| {
            let mut reports = Vec::new();
            for name in named {
                reports.push(match here(name) {
                    true => load(name)?,
                    false => {
                        let run = run_id(name).map_err(Failure::wrong_use)?;
                        (name.clone(), fetch(&fleet.client, run, output).await?)
                    }
                });
            }
            Ok(reports)
        })
        .await
    })
}

/// What the gate looks for where no flag says it: what `loadkit.toml` has for `ci`.
fn of_settings(settings: &Settings) -> GateLimits {
    let share = |name| settings.text(name).and_then(|text| parse_share(text).ok());
    GateLimits {
        min_effect: share("min-effect"),
        min_time: settings.duration("min-time"),
        detect: share("detect"),
        detect_errors: share("detect-errors"),
        ..GateLimits::default()
    }
}

fn judge(reports: &[(String, Report)], after: Option<Duration>, options: &GateOptions) -> Result<Gate, Failure> {
    let mut named = reports.iter().map(|(name, report)| (name.as_str(), report));
    let Some(candidate) = named.next_back() else {
        return Err(Failure::wrong_use("there is nothing to compare"));
    };
    compare_stored(named, candidate, after, options).map_err(Failure::wrong_use)
}
