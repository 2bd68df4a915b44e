//! `cargo loadkit stop` and `dial`: what is told to a run that is under way.

use crate::exit::{Exit, Failure};
use crate::fleet::{Named, Opened, Outcome, run_of, wait, with};
use crate::output::Output;
use crate::settings::{SettingArgs, Settings};

/// What the help of `stop` ends with.
pub(crate) const STOP_HELP: &str = "\
Examples:
  cargo loadkit stop                        the latest run
  cargo loadkit stop 00a1b2c3d4e5f607 --now

The players are asked to leave, and have the plan's grace time for it. It takes two seconds at most until all workers know.

Exit codes:
  0  it was told to stop
  1  it has ended already
  2  wrong use; there is no such run
  4  the fleet does not answer";

/// What the help of `dial` ends with.
pub(crate) const DIAL_HELP: &str = "\
Examples:
  cargo loadkit dial latest 1.5            half as many players more
  cargo loadkit dial 00a1b2c3d4e5f607 0.5  half of the plan's players

Exit codes:
  0  it was told
  1  it has ended already, or a guard-rail refuses so many players
  2  wrong use; there is no such run
  4  the fleet does not answer";

/// The arguments of `stop`.
#[derive(Clone, Debug, clap::Args)]
pub struct StopArgs {
    /// The run's id, or `latest`.
    #[arg(default_value = "latest")]
    pub run: Named,
    /// At once, without the plan's grace time.
    #[arg(long)]
    pub now: bool,
    /// What the command line says of settings.
    #[command(flatten)]
    pub settings: SettingArgs,
}

/// The arguments of `dial`.
#[derive(Clone, Debug, clap::Args)]
pub struct DialArgs {
    /// The run's id, or `latest`.
    pub run: Named,
    /// How far to turn its load: 1.0 is the plan's own, 0.5 the half of it, 2 twice as much.
    pub to: f64,
    /// What the command line says of settings.
    #[command(flatten)]
    pub settings: SettingArgs,
}

/// Tells a run to stop.
///
/// # Errors
/// When there is none, or it has ended.
pub fn stop(args: &StopArgs, output: &Output) -> Result<Exit, Failure> {
    let settings = Settings::resolve(&args.settings)?;
    wait(async {
        with(Opened::to_ask(&settings, output).await?, async |fleet: &Opened| {
            let run = run_of(&fleet.client, args.run).await?;
            let record = fleet.client.stop(run, args.now).await?;
            let how = if args.now { "its players are gone at once" } else { "its players are asked to leave" };
            let outcome = Outcome::new(&record, &fleet.client, None, Exit::Done);
            output.result("loadkit.stop/1", &outcome, format!("{run} is told to stop: {how}\n"))?;
            Ok(Exit::Done)
        })
        .await
    })
}

/// Turns a run's load.
///
/// # Errors
/// When there is none, it has ended, or a rule refuses it.
pub fn dial(args: &DialArgs, output: &Output) -> Result<Exit, Failure> {
    let settings = Settings::resolve(&args.settings)?;
    wait(async {
        with(Opened::to_ask(&settings, output).await?, async |fleet: &Opened| {
            let run = run_of(&fleet.client, args.run).await?;
            let record = fleet.client.dial(run, args.to).await?;
            let outcome = Outcome::new(&record, &fleet.client, None, Exit::Done);
            output.result(
                "loadkit.dial/1",
                &outcome,
                format!("{run} is turned to {} of its plan's load\n", args.to),
            )?;
            Ok(Exit::Done)
        })
        .await
    })
}
