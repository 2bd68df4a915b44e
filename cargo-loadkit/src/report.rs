//! `cargo loadkit report`: the report of a run, as files here.

use std::path::PathBuf;

use loadkit_core::summary;
use serde::Serialize;

use crate::exit::{Exit, Failure};
use crate::fleet::{Named, Opened, run_of, save, wait, with};
use crate::output::Output;
use crate::settings::{SettingArgs, Settings};

/// What the help ends with.
pub(crate) const HELP: &str = "\
Examples:
  cargo loadkit report                                    of the latest run, into the folder of the setting `report`
  cargo loadkit report 00a1b2c3d4e5f607 --out report-2.31

It writes what every run leaves: report.json, report.html, report.md, junit.xml, steps.csv, series.csv, histograms.hlog.

Exit codes:
  0  written
  2  wrong use; there is no such run, or no report of it yet
  4  the fleet does not answer, or the folder cannot be written";

/// The arguments of `report`.
#[derive(Clone, Debug, clap::Args)]
pub struct ReportArgs {
    /// The run's id, or `latest`.
    #[arg(default_value = "latest")]
    pub run: Named,
    /// Where it goes.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// What the command line says of settings.
    #[command(flatten)]
    pub settings: SettingArgs,
}

/// What was written.
#[derive(Debug, Serialize)]
struct Saved {
    run: String,
    report: PathBuf,
    verdict: loadkit_core::Verdict,
}

/// Brings a report here.
///
/// # Errors
/// When there is none.
pub fn run(args: &ReportArgs, output: &Output) -> Result<Exit, Failure> {
    let settings = Settings::resolve(&args.settings)?;
    let folder = args.out.clone().or_else(|| settings.path("report")).unwrap_or_else(|| PathBuf::from("report"));
    wait(async {
        with(Opened::to_ask(&settings, output).await?, async |fleet: &Opened| {
            let run = run_of(&fleet.client, args.run).await?;
            let report = save(&fleet.client, run, &folder, output).await?;
            let place = folder.join("report.html").display().to_string();
            let words = summary(&report, Some(&place));
            let saved = Saved { run: run.to_string(), report: folder.clone(), verdict: report.judgement.verdict };
            output.result("loadkit.report-saved/1", &saved, words)?;
            Ok(Exit::Done)
        })
        .await
    })
}
