//! `cargo loadkit watch`: a run that is under way, followed to its verdict.

use std::path::PathBuf;

use crate::exit::{Exit, Failure};
use crate::fleet::{Following, Named, Opened, run_of, wait, with};
use crate::launch::{time, to_the_end};
use crate::output::Output;
use crate::settings::{SettingArgs, Settings};

/// What the help ends with.
pub(crate) const HELP: &str = "\
Examples:
  cargo loadkit watch                                 the latest run
  cargo loadkit watch 00a1b2c3d4e5f607 --report report
  cargo loadkit watch latest --json

Ctrl-C leaves the run as it is.

Exit codes:
  0  it passed
  1  a threshold was missed
  2  wrong use; there is no such run
  3  the figures say nothing: the load generator was sick, or the run never began
  4  the fleet does not answer, or the run was left before its end";

/// The arguments of `watch`.
#[derive(Clone, Debug, clap::Args)]
pub struct WatchArgs {
    /// The run's id, or `latest`.
    #[arg(default_value = "latest")]
    pub run: Named,
    /// Writes its report into this folder when it has ended.
    #[arg(long, value_name = "DIR")]
    pub report: Option<PathBuf>,
    /// Gives up when nothing is heard of the run for so long.
    #[arg(long, value_name = "TIME", value_parser = time, default_value = "5m")]
    pub patience: std::time::Duration,
    /// What the command line says of settings.
    #[command(flatten)]
    pub settings: SettingArgs,
}

/// Follows a run to its end.
///
/// # Errors
/// When there is none, or its fleet is lost.
pub fn run(args: &WatchArgs, output: &Output) -> Result<Exit, Failure> {
    let settings = Settings::resolve(&args.settings)?;
    wait(async {
        let fleet = Opened::to_ask(&settings, output).await?.patient(args.patience);
        with(fleet, async |fleet: &Opened| {
            let run = run_of(&fleet.client, args.run).await?;
            let record = fleet.client.show(run).await?;
            let following = Following { patience: args.patience, may_stop: false, is_here: false, leave: true };
            to_the_end(fleet, &record, &following, args.report.clone(), "loadkit.watch/1", output).await
        })
        .await
    })
}
