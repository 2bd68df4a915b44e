//! `cargo loadkit estimate`: what a run would take, before anything starts.

use loadkit_core::format;
use loadkit_fleet::Estimate;

use crate::exit::{Exit, Failure};
use crate::fleet::{Opened, OrderArgs, order, wait, with};
use crate::output::Output;
use crate::settings::{SettingArgs, Settings};

/// What the help ends with.
pub(crate) const HELP: &str = "\
Examples:
  cargo loadkit estimate --profile launch-day
  cargo loadkit estimate --plan plan.toml --set runner=fargate --set bots=1_000_000 --json

It starts nothing. Without a fleet's URL it is for this machine.

Exit codes:
  0  it would be launched
  1  a guard-rail or a quota would refuse it: which, and what to do
  2  wrong use: a setting, the plan
  4  the fleet does not answer";

/// The arguments of `estimate`.
#[derive(Clone, Debug, clap::Args)]
pub struct EstimateArgs {
    /// What would be launched.
    #[command(flatten)]
    pub order: OrderArgs,
    /// What the command line says of settings.
    #[command(flatten)]
    pub settings: SettingArgs,
}

/// Estimates.
///
/// # Errors
/// When the request makes no sense, or the fleet does not answer.
pub fn run(args: &EstimateArgs, output: &Output) -> Result<Exit, Failure> {
    let settings = Settings::resolve(&args.settings)?;
    let request = order(&args.order, &settings)?;
    let estimate = wait(async {
        with(Opened::to_estimate(&settings, output).await?, async |fleet: &Opened| {
            fleet.client.estimate(&request).await
        })
        .await
    })?;
    output.result("loadkit.estimate/1", &estimate, words(&estimate))?;
    Ok(if estimate.refusals.is_empty() { Exit::Done } else { Exit::Failed })
}

fn words(estimate: &Estimate) -> String {
    let Estimate { home, players, workers, players_per_worker, generations, seconds, launch_s, .. } = estimate;
    let time = |seconds: f64| format::micros(seconds * 1e6);
    let mut text = format!(
        "{} by {} on {home}, {} each at most, for {}\n",
        format::counted(*players, "player", "players"),
        format::counted(u64::from(*workers), "worker", "workers"),
        format::count(*players_per_worker),
        time(*seconds),
    );
    text += &format!("All workers are there {} after the launch", time(*launch_s));
    text += &match generations {
        0 | 1 => "\n".to_owned(),
        _ => format!("; {generations} generations of them take over from each other\n"),
    };
    text += "Quotas\n";
    for need in &estimate.quotas {
        let have = need.have.map_or("?".to_owned(), format::count);
        let short = need.have.is_some_and(|have| need.need > have);
        text += &format!("  {:<52} {:>9} of {have}\n", need.name, format::count(need.need));
        if short {
            text += &format!("    too small: {}\n", need.raise);
        }
    }
    let dollars = &estimate.dollars;
    text += &format!("Cost: ${:.2} to ${:.2} ({})\n", dollars.low, dollars.high, dollars.prices);
    for line in &dollars.lines {
        text += &format!("  {:<20} ${:>8.2} to ${:>8.2}  {}\n", line.what, line.low, line.high, line.formula);
    }
    for warning in &estimate.warnings {
        text += &format!("warning: {warning}\n");
    }
    for rail in &estimate.rails {
        text += &format!("The rule {:?} allows {}\n", rail.rule, rail.allows);
    }
    for refusal in &estimate.refusals {
        text += &format!("REFUSED by {:?}: {}\n", refusal.rule, refusal.why);
    }
    text
}
