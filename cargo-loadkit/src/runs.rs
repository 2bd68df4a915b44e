//! `cargo loadkit runs`: the runs of a fleet, the latest first.

use clap::ValueEnum;
use loadkit_core::format;
use loadkit_fleet::api::{Filter, RunList};
use loadkit_fleet::{RunLine, RunState};

use crate::exit::{Exit, Failure};
use crate::fleet::{Opened, wait, with};
use crate::output::Output;
use crate::settings::{SettingArgs, Settings};

/// What the help ends with.
pub(crate) const HELP: &str = "\
Examples:
  cargo loadkit runs
  cargo loadkit runs --state running --by ci-main
  cargo loadkit runs --of-build 2.31.0 --limit 200 --json

Exit codes:
  0  listed
  2  wrong use
  4  the fleet does not answer";

/// How far a run has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StateArg {
    /// Its workers are being started.
    Assembling,
    /// Players play.
    Running,
    /// They are leaving.
    Draining,
    /// It has ended.
    Ended,
}

/// The arguments of `runs`.
#[derive(Clone, Debug, clap::Args)]
pub struct RunsArgs {
    /// Only those that have come so far.
    #[arg(long, value_enum)]
    pub state: Option<StateArg>,
    /// Only those that this caller launched.
    #[arg(long, value_name = "NAME")]
    pub by: Option<String>,
    /// Only those of this scenario.
    #[arg(long, value_name = "NAME")]
    pub of_scenario: Option<String>,
    /// Only those of this build of the server.
    #[arg(long, value_name = "BUILD")]
    pub of_build: Option<String>,
    /// Only those behind this place: what the list before ended with.
    #[arg(long, value_name = "PLACE")]
    pub after: Option<String>,
    /// At most so many.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=200))]
    pub limit: u32,
    /// What the command line says of settings.
    #[command(flatten)]
    pub settings: SettingArgs,
}

/// Lists runs.
///
/// # Errors
/// When the fleet does not answer.
pub fn run(args: &RunsArgs, output: &Output) -> Result<Exit, Failure> {
    let settings = Settings::resolve(&args.settings)?;
    let filter = Filter {
        state: args.state.map(|state| match state {
            StateArg::Assembling => RunState::Assembling,
            StateArg::Running => RunState::Running,
            StateArg::Draining => RunState::Draining,
            StateArg::Ended => RunState::Ended,
        }),
        by: args.by.clone(),
        scenario: args.of_scenario.clone(),
        build: args.of_build.clone(),
        after: args.after.clone(),
        limit: Some(args.limit),
        ..Filter::default()
    };
    wait(async {
        with(Opened::to_ask(&settings, output).await?, async |fleet: &Opened| {
            let list = fleet.client.list(&filter).await?;
            output.result("loadkit.runs/1", &list, words(&list))?;
            Ok(Exit::Done)
        })
        .await
    })
}

fn words(list: &RunList) -> String {
    if list.runs.is_empty() {
        return "There are none.\n".to_owned();
    }
    let mut text = format!(
        "{:<17} {:<17} {:<11} {:<8} {:<14} {:<22} {}\n",
        "run", "asked for (UTC)", "state", "verdict", "scenario", "target", "build"
    );
    for RunLine { id, created_at_ms, scenario, target, build, state, verdict, .. } in &list.runs {
        let state = match state {
            RunState::Assembling => "assembling",
            RunState::Running => "running",
            RunState::Draining => "draining",
            RunState::Ended => "ended",
        };
        let at = format::moment(created_at_ms / 1_000);
        let at: String = at.chars().take(16).collect();
        let verdict = verdict.map_or("-", |verdict| verdict.name());
        let fit = |text: &str, width| format::fit(text, width);
        let line = format!(
            "{:<17} {at:<17} {state:<11} {verdict:<8} {:<14} {:<22} {}",
            id.to_string(),
            fit(scenario, 14),
            fit(target, 22),
            fit(build, 20),
        );
        text += line.trim_end();
        text.push('\n');
    }
    match &list.next {
        Some(next) => text + &format!("There may be more: --after {next}\n"),
        None => text,
    }
}
