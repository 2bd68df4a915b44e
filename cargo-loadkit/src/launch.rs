//! `cargo loadkit launch`: a run on the fleet, followed to its verdict.

use std::path::PathBuf;
use std::time::Duration;

use loadkit_core::{Report, RunId, parse_duration};
use loadkit_fleet::{Ending, RunRecord};

use crate::exit::{Exit, Failure};
use crate::fleet::{Followed, Following, Opened, OrderArgs, Outcome, Screen, exit_of, follow, order, save, wait, with};
use crate::output::Output;
use crate::settings::{SettingArgs, Settings};

/// What the help ends with.
pub(crate) const HELP: &str = "\
Examples:
  cargo loadkit launch --wait --profile ci --target game.test:4000
  cargo loadkit launch --fleet https://a1b2.execute-api.eu-west-1.amazonaws.com --profile launch-day
  cargo loadkit launch --plan plan.toml --set bots=200 --json

Without a fleet's URL the players play here, as processes of this machine, and it waits in any case. With --wait it shows
how the fleet fares, comes back by itself after a broken connection, and writes into the folder of the setting `report`:
junit.xml, report.html, report.json, and report.md, which is made for a comment. Ctrl-C asks whether to stop the run or
leave it.

Exit codes:
  0  launched; with --wait: it passed
  1  a threshold was missed; or a guard-rail or a quota refuses the launch
  2  wrong use: a setting, the plan
  3  the figures say nothing: the load generator was sick, or the run never began
  4  the fleet does not answer, or does not know who asks; or the run was left before its end";

/// The arguments of `launch`.
#[derive(Clone, Debug, clap::Args)]
pub struct LaunchArgs {
    /// Follows it to its end, writes its report, and ends as its verdict says.
    #[arg(long)]
    pub wait: bool,
    /// A name for this launch: asked for again under it, it is the same run. Without one it has its own.
    #[arg(long, value_name = "NAME")]
    pub once: Option<String>,
    /// How it is followed.
    #[command(flatten)]
    pub following: FollowArgs,
    /// What is launched.
    #[command(flatten)]
    pub order: OrderArgs,
    /// What the command line says of settings.
    #[command(flatten)]
    pub settings: SettingArgs,
}

/// How a run is followed.
#[derive(Clone, Debug, clap::Args)]
pub struct FollowArgs {
    /// Gives up when nothing is heard of the run for so long; it plays on.
    #[arg(long, value_name = "TIME", value_parser = time, default_value = "5m")]
    pub patience: Duration,
    /// Where nobody can be asked, a signal leaves the run playing instead of stopping it.
    #[arg(long)]
    pub leave: bool,
}

pub(crate) fn time(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|error| error.to_string())
}

/// Launches a run.
///
/// # Errors
/// When it was not launched, or its fleet is lost.
pub fn run(args: &LaunchArgs, output: &Output) -> Result<Exit, Failure> {
    let settings = Settings::resolve(&args.settings)?;
    let mut request = order(&args.order, &settings)?;
    if let Some(once) = &args.once {
        request.once.clone_from(once);
    }
    let report = settings.path("report").unwrap_or_else(|| PathBuf::from("report"));
    wait(async {
        let fleet = Opened::to_play(&settings, output).await?.patient(args.following.patience);
        with(fleet, async |fleet: &Opened| {
            let record = fleet.client.launch(&request).await?;
            if !args.wait && !fleet.is_here() {
                let outcome = Outcome::new(&record, &fleet.client, None, Exit::Done);
                let words = format!("{}\n", record.id);
                output.say(format_args!("launched; cargo loadkit watch {} follows it", record.id));
                output.result("loadkit.launch/1", &outcome, words)?;
                return Ok(Exit::Done);
            }
            if !args.wait {
                output.say("the fleet of this machine ends with this command, so it waits");
            }
            let following = Following {
                patience: args.following.patience,
                may_stop: true,
                is_here: fleet.is_here(),
                leave: args.following.leave,
            };
            to_the_end(fleet, &record, &following, Some(report), "loadkit.launch/1", output).await
        })
        .await
    })
}

/// Follows a run, has its report here, and says how it ended.
pub(crate) async fn to_the_end(
    fleet: &Opened,
    record: &RunRecord,
    following: &Following,
    folder: Option<PathBuf>,
    schema: &str,
    output: &Output,
) -> Result<Exit, Failure> {
    let screen = Screen::new(record, output);
    let record = match follow(&fleet.client, record.id, following, &screen, output).await? {
        Followed::Ended(record) => record,
        Followed::Left => {
            let outcome = Outcome::new(record, &fleet.client, None, Exit::Missing);
            output.result(schema, &outcome, format!("{}\n", record.id))?;
            return Ok(Exit::Missing);
        }
    };
    drop(screen);
    let exit = exit_of(&record);
    let report = match &folder {
        Some(folder) if record.ending != Some(Ending::Failed) => {
            Some(report_of(fleet, record.id, folder, output).await?)
        }
        _ => None,
    };
    let folder = folder.filter(|_| report.is_some());
    let outcome = Outcome::new(&record, &fleet.client, folder.as_deref(), exit);
    output.result(schema, &outcome, outcome.words(report.as_ref()))?;
    Ok(exit)
}

async fn report_of(fleet: &Opened, run: RunId, folder: &std::path::Path, output: &Output) -> Result<Report, Failure> {
    save(&fleet.client, run, folder, output).await.map_err(|failure| {
        let again = format!("cargo loadkit report {run} --out DIR");
        Failure::missing(format!("the run has ended, and its report is not here: {}", failure.what()))
            .mended_by(failure.remedy().map_or(again.clone(), |remedy| format!("{remedy}; then {again}")))
    })
}
