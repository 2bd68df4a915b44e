//! `run -> its report, as files here`.

use std::fs;
use std::path::{Component, Path};

use loadkit_core::{Report, RunId, check_writable, write_report};
use loadkit_http::Bytes;

use super::client::FleetClient;
use crate::exit::{Exit, Failure};
use crate::output::Output;

/// What a report is read from. The rest is made of it.
const REPORT: &str = "report.json";
const HISTOGRAMS: &str = "histograms.hlog";

/// The report of a run, with its histograms where they are to be had.
pub(crate) async fn fetch(client: &FleetClient, run: RunId, output: &Output) -> Result<Report, Failure> {
    let folder = tempfile::tempdir().map_err(unkept)?;
    put(&folder.path().join(REPORT), &client.file(run, REPORT).await?)?;
    match client.file(run, HISTOGRAMS).await {
        Ok(log) => put(&folder.path().join(HISTOGRAMS), &log)?,
        // API Gateway passes no answer of any length, and old reports have none.
        Err(failure) if failure.exit() == Exit::WrongUse => {
            output.say(format_args!("warning: the histograms of the run are not to be had: {}", failure.what()));
        }
        Err(failure) => return Err(failure),
    }
    Report::load(folder.path()).map_err(Failure::missing)
}

/// Writes the report of a run into this folder, as every run has it.
pub(crate) async fn save(client: &FleetClient, run: RunId, into: &Path, output: &Output) -> Result<Report, Failure> {
    check_writable(into).map_err(Failure::missing)?;
    let report = fetch(client, run, output).await?;
    write_report(into, &report).map_err(Failure::missing)?;
    for entry in &report.flights {
        let path = Path::new(&entry.file);
        // Nothing leads out of the folder, whatever the report says.
        if !path.components().all(|part| matches!(part, Component::Normal(_))) {
            continue;
        }
        match client.file(run, &entry.file).await {
            Ok(flight) => put(&into.join(path), &flight)?,
            Err(failure) => output.say(format_args!("warning: {} is not to be had: {}", entry.file, failure.what())),
        }
    }
    Ok(report)
}

fn put(path: &Path, bytes: &Bytes) -> Result<(), Failure> {
    path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(path, bytes)).map_err(unkept)
}

fn unkept(error: std::io::Error) -> Failure {
    Failure::missing(format!("the report cannot be written: {error}"))
}
